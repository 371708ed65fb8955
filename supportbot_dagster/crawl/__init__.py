"""Docs pages from a docs site: crawled, freed of navigation, cut into sections.

What lives here: everything between a start URL and :class:`Page` records. What does not: where the
records are kept, and anything made of them.
"""

from supportbot_dagster.crawl.crawler import CrawlReport, CrawlResult, CrawlSettings, crawl
from supportbot_dagster.crawl.extract import Skipped, extract_page
from supportbot_dagster.crawl.markdown import plain_text
from supportbot_dagster.crawl.page import Page, Section

__all__ = [
    "CrawlReport",
    "CrawlResult",
    "CrawlSettings",
    "Page",
    "Section",
    "Skipped",
    "crawl",
    "extract_page",
    "plain_text",
]
