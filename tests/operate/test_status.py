"""Fresh, stale, missing, failed: on real runs of a small graph in a real instance."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from supportbot_dagster.artifacts import UNPARTITIONED, Manifest
from supportbot_dagster.errors import UserError
from supportbot_dagster.operate.status import AssetStatus, StatusReader
from supportbot_dagster.partitions import monthly_partitions
from supportbot_dagster.resources.artifact_store import ArtifactStore, io_managers

MONTH, OTHER = "2026-02", "2026-01"
MONTHS = monthly_partitions("2026-01")


class Graph:
    """``source`` -> ``rows`` -> ``dataset`` -> ``model`` <- ``base``, with values to set."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.store = ArtifactStore(root=str(folder / "root"), scratch=str(folder / "scratch"))
        self.words = {name: f"{name} 1" for name in ("source", "rows", "dataset", "model", "base")}
        self.code = dict.fromkeys(self.words, "1")
        self.broken = ""
        self.leaks = False

    def value(self, name: str) -> dg.Output[list[dict[str, Any]]]:
        if self.broken == name:
            raise UserError(f"The {name} is broken. Mend it.")
        return dg.Output(
            [{"word": self.words[name]}], data_version=dg.DataVersion(self.words[name])
        )

    @property
    def definitions(self) -> dg.Definitions:
        store, code = self.store, self.code

        def rows(name: str) -> dict[str, Any]:
            return {
                "name": name,
                "partitions_def": MONTHS,
                "io_manager_key": "rows_io",
                "code_version": code[name],
                "group_name": "small",
            }

        @dg.asset(**rows("source"))
        def source() -> dg.Output[Any]:
            return self.value("source")

        @dg.asset(**rows("rows"))
        def made_rows(source: list[Any]) -> dg.Output[Any]:
            return self.value("rows")

        @dg.asset(**rows("dataset"))
        def dataset(rows: list[Any]) -> dg.Output[Any]:
            return self.value("dataset")

        @dg.asset(code_version=code["base"], io_manager_key="artifact_io")
        def base() -> dg.Output[Any]:
            with store.staging("base") as folder:
                (folder / "weights").write_text(self.words["base"])
                parameters = {"words": self.words["base"]}
                description = Manifest("base", UNPARTITIONED, "1", {}, parameters)
                artifact = store.publish(folder, description)
            version = dg.DataVersion(artifact.manifest.data_version)
            return dg.Output(artifact, data_version=version)

        @dg.asset(**rows("model"))
        def model(dataset: list[Any], base: Any) -> dg.Output[Any]:
            return self.value("model")

        @dg.asset_check(asset="dataset", partitions_def=MONTHS, blocking=True)
        def nothing_leaks(dataset: list[Any]) -> dg.AssetCheckResult:
            return dg.AssetCheckResult(passed=not self.leaks, description="a page in two splits")

        return dg.Definitions(
            assets=[source, made_rows, dataset, base, model],
            asset_checks=[nothing_leaks],
            resources=dict(io_managers(store)),
        )

    def run(self, *names: str, month: str = MONTH) -> bool:
        """Materialize the named assets, or all."""
        job = self.definitions.resolve_implicit_global_asset_job_def()
        result = job.execute_in_process(
            instance=self.instance,
            partition_key=month,
            asset_selection=[dg.AssetKey(name) for name in names or self.words],
            raise_on_error=False,
        )
        return result.success

    def status(
        self, month: str = MONTH, changed: dict[str, str] | None = None
    ) -> dict[str, AssetStatus]:
        reader = StatusReader(self.definitions, self.instance, self.store)
        return {item.asset: item for item in reader.read(month, changed)}

    def states(self, month: str = MONTH) -> dict[str, str]:
        return {name: item.state for name, item in self.status(month).items()}


@pytest.fixture
def graph(tmp_path: Path) -> Iterator[Graph]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Graph(tmp_path, instance)


ALL_FRESH = dict.fromkeys(("source", "rows", "dataset", "model", "base"), "fresh")


def test_nothing_yet_is_missing(graph: Graph) -> None:
    found = graph.status()
    assert {item.state for item in found.values()} == {"missing"}
    assert found["model"].why == ("never materialized",)
    assert found["model"].own
    assert found["model"].since == ""
    order = list(found)
    assert order.index("source") < order.index("rows") < order.index("dataset")


def test_all_is_fresh_after_a_run_and_after_another(graph: Graph) -> None:
    for _ in range(2):
        assert graph.run()
        assert graph.states() == ALL_FRESH
    found = graph.status()
    assert all(item.why == () and not item.own for item in found.values())
    assert found["model"].since.endswith("+00:00")
    assert found["model"].group == "small"
    assert found["model"].to_dict()["state"] == "fresh"


def test_months_are_told_apart(graph: Graph) -> None:
    graph.run()
    others = graph.states(OTHER)
    assert others.pop("base") == "fresh", "the base has no months"
    assert set(others.values()) == {"missing"}
    graph.words["source"] = "source 2"
    graph.run(month=OTHER)
    assert graph.states() == ALL_FRESH, "another month's source is none of this one's"


def test_a_change_far_up_makes_every_reader_stale(graph: Graph) -> None:
    graph.run()
    graph.words["source"] = "source 2"
    graph.run("source")
    found = graph.status()
    assert found["source"].state == "fresh"
    assert found["rows"].why == ("source changed",)
    assert found["dataset"].why == ("rows is stale",), "the grandchild, of which Dagster knows not"
    assert found["model"].why == ("dataset is stale",)
    assert found["base"].state == "fresh"
    assert not any(item.own for item in found.values()), "they may turn out to be fresh"


def test_a_rerun_that_gives_the_same_stops_the_staleness(graph: Graph) -> None:
    graph.run()
    graph.words["source"] = "source 2"
    graph.run("source")
    graph.run("rows")
    assert graph.states() == ALL_FRESH, "the rows came out as they were"


def test_a_change_that_is_reverted_is_none(graph: Graph) -> None:
    graph.run()
    for word in ("source 2", "source 1"):
        graph.words["source"] = word
        graph.run("source")
    assert graph.states() == ALL_FRESH


def test_a_change_of_the_unpartitioned_input_reaches_every_month(graph: Graph) -> None:
    graph.run()
    graph.run(month=OTHER)
    graph.words["base"] = "base 2"
    graph.run("base")
    for month in (MONTH, OTHER):
        assert graph.status(month)["model"].why == ("base changed",)
        assert graph.status(month)["dataset"].state == "fresh"


def test_changed_settings_make_their_reader_stale_by_itself(graph: Graph) -> None:
    graph.run()
    graph.code["dataset"] = "1-other"
    found = graph.status()
    assert found["rows"].state == "fresh"
    assert found["dataset"].state == "stale"
    assert found["dataset"].why == ("its code or settings changed",)
    assert found["dataset"].own
    assert found["model"].why == ("dataset is stale",)
    assert not found["model"].own


def test_what_changed_outside_is_named(graph: Graph) -> None:
    graph.run()
    found = graph.status(changed={"source": "the docs changed"})
    assert found["source"].why == ("the docs changed",)
    assert found["source"].own
    assert found["model"].why == ("dataset is stale",)


def test_an_artifact_that_is_gone_is_missing(graph: Graph) -> None:
    graph.run()
    graph.store.rows_target("rows", MONTH).unlink()
    found = graph.status()
    assert found["rows"].state == "missing"
    assert found["rows"].why == ("its artifact is gone",)
    assert found["rows"].own
    assert found["dataset"].why == ("rows is missing",)
    (graph.store.target("base", UNPARTITIONED) / "manifest.json").unlink()
    assert graph.status()["base"].why == ("its artifact is gone",)


def test_a_failure_is_told_with_its_reason_and_what_was_there_is_kept(graph: Graph) -> None:
    graph.run()
    graph.broken = "rows"
    assert not graph.run("rows")
    found = graph.status()
    assert found["rows"].state == "failed"
    assert found["rows"].why == ("the last attempt failed: The rows is broken. Mend it.",)
    assert found["rows"].own
    assert found["rows"].since, "the last good one"
    assert found["dataset"].why == ("rows is failed",)
    assert graph.states(OTHER)["rows"] == "missing", "the other month did not fail"
    graph.broken = ""
    assert graph.run("rows")
    assert graph.states() == ALL_FRESH


def test_a_first_attempt_that_fails_is_failed_not_missing(graph: Graph) -> None:
    graph.broken = "source"
    graph.run()
    found = graph.status()
    assert found["source"].state == "failed"
    assert "The source is broken. Mend it." in found["source"].why[0]
    assert found["rows"].state == "missing"


def test_a_blocking_check_blocks_the_next_run_as_well(graph: Graph) -> None:
    graph.leaks = True
    assert not graph.run()
    found = graph.status()
    assert found["dataset"].state == "failed"
    assert "nothing_leaks" in found["dataset"].why[0]
    assert found["dataset"].own, "so that the next retrain meets the check again"
    assert found["model"].state == "missing"
    graph.leaks = False
    assert graph.run("dataset")
    assert graph.states()["dataset"] == "fresh"
