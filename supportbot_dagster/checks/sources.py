"""Checks on the sources group.

What lives here: what must hold of pages and conversations. What does not: the assets.
"""

import re

import dagster as dg

from supportbot_dagster.assets.house import House, Rows
from supportbot_dagster.checks.common import outcome

_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_CARD = re.compile(r"\b(?:\d[ -]?){13,16}\b")


def build(house: House) -> list[dg.AssetChecksDefinition]:
    """The checks of this group for one product."""
    allowed = {house.product.facts.support_email, house.product.facts.security_email}
    vendor = house.product.facts.support_email.partition("@")[2]

    @dg.asset_check(
        asset="docs_crawl",
        partitions_def=house.partitions,
        description="Every page has text, and no paragraph stands on more than half of the pages, "
        "which would be boilerplate taken for content.",
    )
    def pages_are_content(docs_crawl: Rows) -> dg.AssetCheckResult:
        empty = [page["url"] for page in docs_crawl if not page["text"].strip()]
        seen: dict[str, int] = {}
        for page in docs_crawl:
            for block in {part.strip() for part in page["text"].split("\n\n") if len(part) > 30}:
                seen[block] = seen.get(block, 0) + 1
        repeated = [block for block, count in seen.items() if count > max(3, len(docs_crawl) / 2)]
        return outcome(
            not empty and not repeated,
            f"{len(docs_crawl)} pages, {len(empty)} empty, {len(repeated)} repeated paragraphs",
            examples=[*empty[:3], *repeated[:3]],
        )

    @dg.asset_check(
        asset="ticket_export",
        partitions_def=house.partitions,
        description="No e-mail address but the vendor's own and no card number stands in a turn of "
        "a conversation that may train; those with doubts wait for a person.",
    )
    def tickets_are_redacted(ticket_export: Rows) -> dg.AssetCheckResult:
        hits = 0
        for row in ticket_export:
            if row["hints"]:
                continue
            for turn in row["turns"]:
                mails = {mail.rstrip(".") for mail in _EMAIL.findall(turn["text"])}
                hits += sum(
                    mail not in allowed and not mail.endswith(vendor) for mail in mails
                ) + len(_CARD.findall(turn["text"]))
        # The finds themselves are personal data and are not shown.
        return outcome(hits == 0, f"{hits} finds in {len(ticket_export)} conversations", finds=hits)

    return [pages_are_content, tickets_are_redacted]
