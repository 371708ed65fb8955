"""A crawl that lost pages must not pass for docs that shrank.

What lives here: the comparison with the crawl before, and the refusal of a partial crawl. What does
not: crawling.
"""

from supportbot_dagster.crawl.crawler import CrawlReport
from supportbot_dagster.errors import UserError

MAX_LOST = 0.2
"""Share of the last crawl's pages that may be missing."""


def check_not_shrunk(pages: int, before: int, max_lost: float = MAX_LOST) -> None:
    """Refuse a crawl that found far fewer pages than the last one.

    Raises:
        UserError: if more than ``max_lost`` of ``before`` pages are missing.
    """
    if pages < (1 - max_lost) * before:
        raise UserError(
            f"The crawl found {pages} pages where the last one had {before}: over "
            f"{max_lost:.0%} are lost. If the docs really shrank, remove the last month's "
            "docs_crawl file and materialize it again; else mend the site."
        )


def check_complete(report: CrawlReport) -> None:
    """Refuse a crawl that a limit or a failing server cut short.

    Raises:
        UserError: with the outcomes that kept pages away.
    """
    if not report.complete:
        outcomes = ", ".join(f"{name}: {count}" for name, count in report.outcomes.items())
        raise UserError(
            f"The crawl of {report.start_url} is not complete ({outcomes}). Mend the site, or "
            "raise docs.max_pages in product.yaml, and materialize docs_crawl again."
        )
