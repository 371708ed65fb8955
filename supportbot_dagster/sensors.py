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
from supportbot_dagster.jobs import DOCS_HALF
from supportbot_dagster.partitions import current_month
from supportbot_dagster.resources.artifact_store import ArtifactStore
from supportbot_dagster.resources.docs_site import DocsSite

VERSION_TAG = "supportbot/docs_version"
MAX_ATTEMPTS = 3
"""Runs for one version of the docs that may fail before the sensor waits for a change."""
LOOK_BACK = 50
"""Latest runs of the month that are looked at."""


def docs_version(site: DocsSite, store: ArtifactStore, month: str) -> tuple[str, str | None]:
    """Data versions of the docs as they are now, and as last crawled for the month (or None).

    Unchanged pages are asked for conditionally, so that an unchanged site costs no bodies. A page
    that a failing server kept away counts as it was, so that an outage does not pass for a change.
    """
    crawled = store.read_rows("docs_crawl", month)
    before = crawled if crawled is not None else store.latest_rows("docs_crawl", month) or []
    result = site.crawl({row["url"]: Page.from_dict(row) for row in before})
    pages = {page.url: page.to_dict() for page in result.pages}
    if not result.report.complete:
        pages = {row["url"]: row for row in before} | pages
    now = rows_version([pages[url] for url in sorted(pages)], VOLATILE_PAGE_FIELDS)
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
        version = f"{month}:{now}"
        runs = context.instance.get_runs(
            dg.RunsFilter(tags={"dagster/partition": month}), limit=LOOK_BACK
        )
        under_way = next((run for run in runs if not run.is_finished), None)
        if under_way is not None:
            return dg.SensorResult(
                skip_reason=f"run {under_way.run_id} for {month} is under way; it may crawl the "
                "docs itself"
            )
        failed = 0
        for run in runs:
            if run.is_success:
                break
            failed += run.tags.get(VERSION_TAG) == version
        if failed >= MAX_ATTEMPTS:
            return dg.SensorResult(
                skip_reason=f"{failed} runs for this version of the docs failed; mend the cause "
                "and materialize docs_crawl by hand"
            )
        # Tickets do not change with the docs: they are read only where the month has none yet.
        has_tickets = store.present("ticket_pairs", month, rows=True)
        return dg.SensorResult(
            run_requests=[
                dg.RunRequest(
                    partition_key=month,
                    tags={VERSION_TAG: version},
                    asset_selection=[dg.AssetKey(asset) for asset in DOCS_HALF]
                    if has_tickets
                    else None,
                )
            ]
        )

    return [docs_changed]
