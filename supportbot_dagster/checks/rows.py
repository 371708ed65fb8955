"""Checks on the rows group.

What lives here: what must hold of rows before they are merged. What does not: the assets.
"""

import dagster as dg

from supportbot_dagster.assets.house import House, Rows
from supportbot_dagster.checks.common import outcome
from supportbot_dagster.dataset.rows import Row
from supportbot_dagster.refusals.families import CATEGORIES, lint_deflection
from supportbot_dagster.refusals.markers import is_refusal

MAX_SILENT = 0.5
"""Share of the docs pages that may go without a single pair."""


def build(house: House) -> list[dg.AssetChecksDefinition]:
    """The checks of this group for one product."""

    @dg.asset_check(
        asset="synthesized_pairs",
        partitions_def=house.partitions,
        additional_ins={"docs_crawl": dg.AssetIn("docs_crawl")},
        description="No answer deflects, and most docs pages gave pairs.",
    )
    def pairs_cover_the_docs(synthesized_pairs: Rows, docs_crawl: Rows) -> dg.AssetCheckResult:
        deflecting = sum(is_refusal(row["output"]) for row in synthesized_pairs)
        covered = {row["source"].split("#", 1)[0] for row in synthesized_pairs}
        silent = [page["url"] for page in docs_crawl if page["url"] not in covered]
        return outcome(
            deflecting == 0 and len(silent) <= MAX_SILENT * len(docs_crawl),
            f"{len(silent)} of {len(docs_crawl)} pages without a pair, {deflecting} deflections",
            silent_pages=silent[:10],
        )

    @dg.asset_check(
        asset="refusal_rows",
        partitions_def=house.partitions,
        description="Every category is there, and every deflection names its lack and a next "
        "step: bare refusals fail.",
    )
    def deflections_are_sound(refusal_rows: Rows) -> dg.AssetCheckResult:
        rows = [Row.from_dict(row) for row in refusal_rows]
        missing = sorted(set(CATEGORIES) - {row.style for row in rows})
        problems = [
            f"{row.source}: {problem}"
            for row in rows
            if (problem := lint_deflection(row.output)) is not None
        ]
        return outcome(
            not missing and not problems,
            f"{len(rows)} rows, {len(missing)} categories missing, {len(problems)} unsound",
            missing=missing,
            problems=problems[:10],
        )

    @dg.asset_check(
        asset="ticket_pairs",
        partitions_def=house.partitions,
        description="Answers carry no greeting or signature, and most are linked to the docs.",
    )
    def ticket_answers_are_clean(ticket_pairs: Rows) -> dg.AssetCheckResult:
        greetings = ("hi ", "hey ", "hello ", "dear ", "thanks for ")
        opened = sum(row["output"].lower().startswith(greetings) for row in ticket_pairs)
        linked = sum(bool(row["evidence"]) for row in ticket_pairs)
        return outcome(
            opened <= 0.02 * len(ticket_pairs),
            f"{opened} of {len(ticket_pairs)} open with a greeting, {linked} linked to the docs",
            warn=True,
        )

    return [pairs_cover_the_docs, deflections_are_sound, ticket_answers_are_clean]
