"""The preflight's report as a blocking check: what failed stops the training in the same run."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from supportbot_dagster.artifacts import Artifact, Manifest, list_files
from supportbot_dagster.assets.house import House
from supportbot_dagster.checks.model import build
from supportbot_dagster.partitions import current_month
from supportbot_dagster.product import load_product, sample_product_file
from supportbot_dagster.training.preflight import (
    RESULTS,
    PreflightReport,
    PreflightResult,
    write_report,
)


def plan_with(folder: Path, *, failing: str = "", report: bool = True) -> Artifact:
    """A published plan whose preflight failed at one result, or at none."""
    if report:
        results = tuple(PreflightResult(name, name != failing, "as told") for name in RESULTS)
        write_report(PreflightReport("pocket", "cpu", results, 2.0, 0.5), folder)
    else:
        (folder / "plan.json").write_text("{}")
    manifest = Manifest("training_plan", current_month(), "1", {}, {}, list_files(folder))
    return Artifact(folder, manifest)


def run(plan: Artifact) -> tuple[dg.AssetCheckEvaluation | None, bool]:
    """Materialize a plan and a training after it with the real check between them."""
    house = House(load_product(sample_product_file()))
    check = next(item for item in build(house) if "preflight" in str(item.check_keys))
    trained: list[bool] = []

    @dg.asset(partitions_def=house.partitions)
    def training_plan() -> Artifact:
        return plan

    @dg.asset(partitions_def=house.partitions, deps=[training_plan])
    def lora_adapter() -> None:
        trained.append(True)

    result = dg.materialize(
        [training_plan, lora_adapter, check],
        partition_key=house.partitions.get_last_partition_key(),
        resources={"io_manager": dg.mem_io_manager},
        raise_on_error=False,
    )
    found = result.get_asset_check_evaluations()
    return (found[0] if found else None), bool(trained)


def test_a_preflight_that_passed_lets_the_training_start(tmp_path: Path) -> None:
    found, trained = run(plan_with(tmp_path))
    assert found is not None
    assert found.passed
    assert trained
    assert found.description == f"all {len(RESULTS)} results on cpu"


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_that_failed_stops_the_training(name: str, tmp_path: Path) -> None:
    found, trained = run(plan_with(tmp_path, failing=name))
    assert found is not None
    assert not found.passed
    assert not trained
    assert found.description == f"{name}: as told"


def test_a_plan_without_a_report_stops_the_training(tmp_path: Path) -> None:
    found, trained = run(plan_with(tmp_path, report=False))
    assert not trained
    assert found is None or not found.passed
