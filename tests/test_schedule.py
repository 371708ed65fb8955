"""When the retrain runs by itself, and for which month."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice

import dagster as dg
import pytest
from dagster._utils.schedules import schedule_execution_time_iterator

from supportbot_dagster.definitions import build_definitions
from supportbot_dagster.product import Product, load_product, sample_product_file
from supportbot_dagster.settings import load_settings

START = datetime(2026, 1, 1, tzinfo=UTC)


def with_cadence(cadence: str) -> dg.Definitions:
    raw = load_product(sample_product_file()).model_dump()
    raw["retrain"] = {"first_month": "2026-01", "cadence": cadence}
    return build_definitions(load_settings(), Product.model_validate(raw))


def ticks(defs: dg.Definitions, count: int) -> list[datetime]:
    schedule = defs.resolve_schedule_def("retrain_schedule")
    times = schedule_execution_time_iterator(
        START.timestamp(), schedule.cron_schedule, schedule.execution_timezone
    )
    return [moment.astimezone(UTC) for moment in islice(times, count)]


@pytest.mark.parametrize(
    ("cadence", "months"),
    [
        ("monthly", ["2026-01", "2026-02", "2026-03", "2026-04", "2026-05"]),
        ("quarterly", ["2026-01", "2026-04", "2026-07", "2026-10", "2027-01"]),
    ],
)
def test_it_runs_on_the_first_after_the_cut_off(cadence: str, months: list[str]) -> None:
    found = ticks(with_cadence(cadence), 5)
    assert [f"{moment:%Y-%m}" for moment in found] == months
    assert {(moment.day, moment.hour, moment.minute) for moment in found} == {(1, 5, 0)}


@pytest.mark.parametrize("cadence", ["monthly", "quarterly"])
def test_a_tick_asks_for_the_month_that_has_begun(cadence: str, own_environment: None) -> None:
    defs = with_cadence(cadence)
    schedule = defs.resolve_schedule_def("retrain_schedule")
    with dg.DagsterInstance.ephemeral() as instance:
        for moment in ticks(defs, 3):
            with dg.build_schedule_context(
                instance=instance,
                scheduled_execution_time=moment,
                repository_def=defs.get_repository_def(),
            ) as context:
                tick = schedule.evaluate_tick(context)
            (request,) = tick.run_requests or []
            assert request.partition_key == f"{moment:%Y-%m}"
            assert request.tags["dagster/partition"] == f"{moment:%Y-%m}"
    assert schedule.job_name == "retrain"


def test_the_running_month_is_the_last_partition(own_environment: None) -> None:
    defs = with_cadence("monthly")
    partitions = defs.resolve_asset_graph().get(dg.AssetKey("release")).partitions_def
    assert partitions is not None
    now = datetime(2026, 5, 17, tzinfo=UTC)
    keys = partitions.get_partition_keys(current_time=now)
    assert keys == ["2026-01", "2026-02", "2026-03", "2026-04", "2026-05"]
