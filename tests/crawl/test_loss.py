from __future__ import annotations

from dataclasses import replace

import pytest

from supportbot_dagster.crawl.crawler import CrawlReport
from supportbot_dagster.crawl.loss import check_complete, check_not_shrunk
from supportbot_dagster.errors import UserError


@pytest.mark.parametrize(
    ("pages", "before"), [(1, 0), (50, 50), (60, 50), (40, 50), (4, 5), (1, 1), (800, 1000)]
)
def test_a_fifth_may_go(pages: int, before: int) -> None:
    check_not_shrunk(pages, before)


@pytest.mark.parametrize(("pages", "before"), [(39, 50), (3, 5), (0, 1), (799, 1000)])
def test_more_than_a_fifth_is_a_broken_crawl(pages: int, before: int) -> None:
    with pytest.raises(UserError, match=rf"found {pages} pages where the last one had {before}"):
        check_not_shrunk(pages, before)
    check_not_shrunk(pages, before, max_lost=1.0)


def test_exactly_a_fifth_is_allowed_at_any_size() -> None:
    for before in range(5, 2000, 5):
        check_not_shrunk(before * 4 // 5, before)


def test_a_partial_crawl_is_refused_with_its_outcomes() -> None:
    report = CrawlReport(
        start_url="https://docs.example/",
        requested=3,
        pages=2,
        outcomes={"ok": 2, "http-503": 1},
        skipped=[],
        bytes=10,
        seconds=0.1,
        complete=False,
        notes=[],
    )
    with pytest.raises(UserError, match=r"not complete \(ok: 2, http-503: 1\)"):
        check_complete(report)
    check_complete(replace(report, complete=True))
