"""A docs section as the teachers see it.

What lives here: :class:`SectionText`, and how crawled pages become a list of them. What does not:
crawling (:mod:`supportbot_dagster.crawl`) and phrasing
(:mod:`supportbot_dagster.synthesis.teacher`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class SectionText:
    """A docs section as a teacher sees it.

    Args:
        key: ``url#anchor``.
        content_hash: hash of the section's headings and text, the key of recordings and caches.
        heading_path: headings from the page's title down.
        markdown: the section's text.
    """

    key: str
    content_hash: str
    heading_path: tuple[str, ...]
    markdown: str


def sections_of(pages: Sequence[Mapping[str, Any]]) -> list[SectionText]:
    """The sections of crawled pages (page records as in ``docs_crawl``), in order."""
    return [
        SectionText(
            key=f"{page['url']}#{section['anchor']}" if section["anchor"] else page["url"],
            content_hash=section["content_hash"],
            heading_path=tuple(section["heading_path"]),
            markdown=section["markdown"],
        )
        for page in pages
        for section in page["sections"]
    ]
