"""Checks on the rows group.

What lives here: what must hold of rows before they are merged. What does not: the assets.
"""

from collections import Counter

import dagster as dg

from supportbot_dagster.assets.house import House, Rows
from supportbot_dagster.checks.common import outcome
from supportbot_dagster.dataset.rows import Row
from supportbot_dagster.refusals.families import (
    CATEGORIES,
    MISSING_FEATURE,
    lint_deflection,
    opening,
)
from supportbot_dagster.refusals.markers import is_refusal
from supportbot_dagster.refusals.rows import near_copies

MAX_SILENT = 0.5
"""Share of the docs pages that may go without a single pair."""
FEWEST_OF_A_CATEGORY = 25
"""Refusal rows that a category needs, or its habit is hardly learned."""
MOST_COPIES = 0.05
"""Share of the refusal rows that may nearly copy another family's question."""


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
        description="Every category is there, and every deflection opens with its category's own "
        "sentence, which names the lack, and gives a next step: bare refusals fail.",
    )
    def deflections_are_sound(refusal_rows: Rows) -> dg.AssetCheckResult:
        rows = [Row.from_dict(row) for row in refusal_rows]
        # Docs may have no heading that a near miss can be made from.
        missing = sorted(set(CATEGORIES) - {MISSING_FEATURE} - {row.style for row in rows})
        problems = [
            f"{row.source}: {problem}"
            for row in rows
            if (problem := lint_deflection(row.output, opening(row.style, house.product)))
            is not None
        ]
        return outcome(
            not missing and not problems,
            f"{len(rows)} rows, {len(missing)} categories missing, {len(problems)} unsound",
            missing=missing,
            problems=problems[:10],
        )

    @dg.asset_check(
        asset="refusal_rows",
        partitions_def=house.partitions,
        description=f"Every category has {FEWEST_OF_A_CATEGORY} rows, and at most "
        f"{MOST_COPIES:.0%} of the questions nearly copy another family's.",
    )
    def refusals_are_varied(refusal_rows: Rows) -> dg.AssetCheckResult:
        rows = [Row.from_dict(row) for row in refusal_rows]
        found = Counter(row.style for row in rows)
        thin = {name: found[name] for name in CATEGORIES if found[name] < FEWEST_OF_A_CATEGORY}
        copies = near_copies(rows)
        return outcome(
            not thin and copies <= MOST_COPIES * len(rows),
            f"{len(thin)} thin categories, {copies} of {len(rows)} questions nearly copy another",
            warn=True,
            thin=thin,
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

    return [
        pairs_cover_the_docs,
        deflections_are_sound,
        refusals_are_varied,
        ticket_answers_are_clean,
    ]
