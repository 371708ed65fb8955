"""The sources group: the docs site and the help desk.

What lives here: two assets that bring the outside in. What does not: crawling
(:mod:`supportbot_dagster.crawl`) and redaction (:mod:`supportbot_dagster.tickets`).
"""

from collections import Counter

import dagster as dg

from supportbot_dagster.assets.house import (
    NETWORK_RETRY,
    House,
    Rows,
    counts,
    log_progress,
    rows_output,
    table,
)
from supportbot_dagster.crawl import Page
from supportbot_dagster.crawl.loss import check_complete, check_not_shrunk
from supportbot_dagster.partitions import ticket_window
from supportbot_dagster.resources.artifact_store import ArtifactStore
from supportbot_dagster.resources.docs_site import DocsSite
from supportbot_dagster.resources.ticket_source import TicketSource
from supportbot_dagster.tickets.importers import loss

VOLATILE_PAGE_FIELDS = ("etag", "last_modified")
"""Kept for conditional requests, but no part of a page's content."""


def build(house: House) -> list[dg.AssetsDefinition]:
    """The assets of this group for one product."""
    product = house.product

    @dg.asset(
        description="Every page of the docs site, main content only, in sections with stable "
        "hashes. Unchanged pages cost a conditional request each.",
        retry_policy=NETWORK_RETRY,
        **house.common(
            group="sources",
            kinds={"html", "jsonl"},
            version="2",
            settings=[product.docs],
            rows=True,
        ),
    )
    def docs_crawl(
        context: dg.AssetExecutionContext, docs_site: DocsSite, store: ArtifactStore
    ) -> dg.Output[Rows]:
        before = store.latest_rows("docs_crawl", context.partition_key) or []
        previous = {row["url"]: Page.from_dict(row) for row in before}
        result = docs_site.crawl(previous, log_progress(context))
        check_not_shrunk(len(result.pages), len(previous))
        check_complete(result.report)
        pages = [page.to_dict() for page in result.pages]
        report = result.report
        return rows_output(
            pages,
            {
                "pages": table(
                    [
                        {
                            "url": page.url,
                            "title": page.title,
                            "sections": len(page.sections),
                            "words": len(page.text.split()),
                        }
                        for page in result.pages
                    ],
                    limit=100,
                ),
                "sections": sum(len(page.sections) for page in result.pages),
                "outcomes": counts(report.outcomes, "outcome"),
                "skipped": table(
                    [
                        {"url": item.url, "reason": item.reason, "detail": item.detail}
                        for item in report.skipped
                    ],
                    limit=100,
                ),
                "notes": " ".join(report.notes) or "none",
                "requests": report.requested,
                "bytes": report.bytes,
                "seconds": report.seconds,
            },
            leave_out=VOLATILE_PAGE_FIELDS,
        )

    @dg.asset(
        description="Resolved help-desk conversations of the months before the cut-off, redacted "
        "in memory: nothing unredacted is ever written.",
        **house.common(
            group="sources",
            kinds={product.tickets.format.removesuffix("_api"), "presidio"},
            version="5",
            settings=[
                product.tickets.model_copy(update={"source": "", "max_drop": loss.MAX_DROP}),
                product.facts,
            ],
            rows=True,
        ),
    )
    def ticket_export(
        context: dg.AssetExecutionContext, ticket_source: TicketSource, store: ArtifactStore
    ) -> dg.Output[Rows]:
        before = store.latest_rows("ticket_export", context.partition_key) or []
        window = ticket_window(context.partition_key, product.tickets.window_months)
        result = ticket_source.conversations(window, product, log_progress(context))
        rows = [conversation.to_dict() for conversation in result.conversations]
        loss.check_not_shrunk(len(rows), len(before), product.tickets.max_drop)
        turns = Counter("single turn" if row["single_turn"] else "follow-ups" for row in rows)
        return rows_output(
            rows,
            {
                "window": f"{window.start:%Y-%m-%d} to before {window.cut_off:%Y-%m-%d}",
                "source_version": ticket_source.version(window),
                "kinds": counts(dict(turns), "kind"),
                "left_out": counts(dict(result.left_out)),
                "quarantined_reasons": counts(Counter(item.reason for item in result.quarantined)),
                "quarantined": table(
                    [{"ticket": item.id, "reason": item.reason} for item in result.quarantined]
                ),
                "doubtful_redaction": sum(bool(row["hints"]) for row in rows),
                "preview": table(
                    [
                        {"customer": row["turns"][0]["text"], "agent": row["turns"][1]["text"]}
                        for row in rows
                        if row["single_turn"]
                    ]
                ),
            },
        )

    return [docs_crawl, ticket_export]
