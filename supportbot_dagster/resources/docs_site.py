"""The docs site as a Dagster resource.

What lives here: which site is crawled, and serving the embedded sample on loopback for as long as
a crawl takes. What does not: crawling (:mod:`supportbot_dagster.crawl`).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import dagster as dg

from supportbot_dagster.crawl import CrawlResult, CrawlSettings, Page, crawl
from supportbot_dagster.product import SAMPLE
from supportbot_dagster.progress import Progress, silent
from supportbot_dagster.sample.server import serve_sample_site


class DocsSite(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The docs site.

    Args:
        url: start URL, or ``sample``.
        public_url: replaces the start prefix in the data; None keeps it.
        max_pages: pages at most.
        delay_seconds: pause between two requests.
        contact: an address or a page that the User-Agent header names; None for none.
    """

    url: str
    public_url: str | None = None
    max_pages: int = 5000
    delay_seconds: float = 0.0
    contact: str | None = None

    def crawl(
        self, previous: Mapping[str, Page] | None = None, progress: Progress = silent
    ) -> CrawlResult:
        """Crawl the site; pages known from ``previous`` cost a conditional request each."""
        with self._start_url() as url:
            return crawl(
                url,
                public_base=self.public_url,
                settings=CrawlSettings(
                    max_pages=self.max_pages,
                    delay_seconds=self.delay_seconds,
                    contact=self.contact or "",
                ),
                progress=progress,
                previous=previous,
            )

    @contextmanager
    def _start_url(self) -> Iterator[str]:
        if self.url != SAMPLE:
            yield self.url
            return
        with serve_sample_site() as base:
            yield base
