"""Sensors: what outside changes start a run.

What lives here: ``docs_changed``. What does not: the crawl that it probes with
(:mod:`supportbot_dagster.resources.docs_site`).
"""

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from supportbot_dagster.assets.house import House, rows_version
from supportbot_dagster.assets.sources import VOLATILE_PAGE_FIELDS
from supportbot_dagster.crawl import Page
from supportbot_dagster.errors import UserError
from supportbot_dagster.partitions import current_month
from supportbot_dagster.resources.artifact_store import ArtifactStore
from supportbot_dagster.resources.docs_site import DocsSite

VERSION_TAG = "supportbot/docs_version"
MAX_ATTEMPTS = 3
"""Runs for one version of the docs that may fail before the sensor waits for a change."""


def docs_version(site: DocsSite, store: ArtifactStore, month: str) -> tuple[str, str | None]:
    """Data versions of the docs as they are now, and as last crawled for the month (or None).

    Unchanged pages are asked for conditionally, so that an unchanged site costs no bodies.
    """
    crawled = store.read_rows("docs_crawl", month)
    before = crawled if crawled is not None else store.latest_rows("docs_crawl", month) or []
    result = site.crawl({row["url"]: Page.from_dict(row) for row in before})
    now = rows_version([page.to_dict() for page in result.pages], VOLATILE_PAGE_FIELDS)
    stored = rows_version(crawled, VOLATILE_PAGE_FIELDS) if crawled is not None else None
    return now, stored


def build(house: House, refresh_docs: UnresolvedAssetJobDefinition) -> list[dg.SensorDefinition]:
    """The sensors of one product."""

    @dg.sensor(
        name="docs_changed",
        job=refresh_docs,
        minimum_interval_seconds=3600,
        description="Probes the docs with conditional requests and starts refresh_docs for the "
        "running month when their content differs from the month's crawl.",
    )
    def docs_changed(
        context: dg.SensorEvaluationContext, docs_site: DocsSite, store: ArtifactStore
    ) -> dg.SensorResult:
        month = current_month()
        try:
            now, stored = docs_version(docs_site, store, month)
        except UserError as error:
            return dg.SensorResult(skip_reason=f"the docs cannot be probed: {error}")
        if now == stored:
            return dg.SensorResult(skip_reason="the docs are as they were crawled")
        # A run key is used up for ever, even by a failed run, and a change that is reverted and
        # made again has the same hash. So runs are told apart by their tag and their outcome.
        runs = context.instance.get_runs(
            dg.RunsFilter(tags={VERSION_TAG: f"{month}:{now}"}), limit=MAX_ATTEMPTS + 1
        )
        if any(not run.is_finished for run in runs):
            return dg.SensorResult(skip_reason="a run for this version of the docs is under way")
        failed = 0
        for run in runs:
            if run.is_success:
                break
            failed += 1
        if failed >= MAX_ATTEMPTS:
            return dg.SensorResult(
                skip_reason=f"{failed} runs for this version of the docs failed; mend the cause "
                "and materialize docs_crawl by hand"
            )
        return dg.SensorResult(
            run_requests=[dg.RunRequest(partition_key=month, tags={VERSION_TAG: f"{month}:{now}"})]
        )

    return [docs_changed]
