"""The schedule: a retrain every month or quarter.

What lives here: when the whole graph runs by itself. What does not: what it runs
(:mod:`supportbot_dagster.jobs`).
"""

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from supportbot_dagster.assets.house import House
from supportbot_dagster.jobs import RETRAIN

CRON = {"monthly": "0 5 1 * *", "quarterly": "0 5 1 1,4,7,10 *"}
"""05:00 UTC on the first day: the month's cut-off has just passed."""


def build(house: House, retrain: UnresolvedAssetJobDefinition) -> list[dg.ScheduleDefinition]:
    """The schedules of one product."""

    @dg.schedule(
        name="retrain_schedule",
        job=retrain,
        cron_schedule=CRON[house.product.retrain.cadence],
        execution_timezone="UTC",
        description=f"Runs {RETRAIN} for the month that has just begun.",
    )
    def retrain_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        month = context.scheduled_execution_time.strftime("%Y-%m")
        return dg.RunRequest(run_key=f"{RETRAIN}:{month}", partition_key=month)

    return [retrain_schedule]
