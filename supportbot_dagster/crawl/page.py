"""What a crawl gives: a page of documentation, cut into sections.

What lives here: the :class:`Page` and :class:`Section` records, their hashes and their JSON form.
What does not: how they are taken from HTML (``extract``) or from the network (``crawler``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from supportbot_dagster.errors import UserError
from supportbot_dagster.hashing import sha256_json, sha256_text


@dataclass(frozen=True)
class Section:
    """The text between one heading and the next.

    Attributes:
        anchor: fragment that opens the section in a browser; "" for the lead section. A heading
            without any id gets a slug of its words, so that anchors are unique within a page.
        heading_path: titles from the page's down to the section's own.
        markdown: the body below the heading, without the heading line.
        content_hash: hex SHA-256 of ``heading_path`` and ``markdown``.
    """

    anchor: str
    heading_path: list[str]
    markdown: str
    content_hash: str

    @classmethod
    def of(cls, anchor: str, heading_path: list[str], markdown: str) -> Section:
        """A section with its hash computed."""
        return cls(anchor, heading_path, markdown, sha256_json([heading_path, markdown]))


@dataclass(frozen=True)
class Page:
    """The main content of one documentation page.

    Attributes:
        url: canonical address, without fragment.
        title: the page's heading, or its ``<title>`` where it has no heading.
        text: the whole main content as Markdown, headings included.
        sections: the same content cut at its headings; sections without a body are left out.
        content_hash: hex SHA-256 of ``text``. Address, ETag and dates do not enter it.
        etag: the server's ETag, for the next conditional request.
        last_modified: the server's Last-Modified, likewise.
        repeated: keys of the blocks at its beginning and end that were left out because the site
            repeats them; empty for a page that says which element holds its content.
    """

    url: str
    title: str
    text: str
    sections: list[Section]
    content_hash: str
    etag: str | None = None
    last_modified: str | None = None
    repeated: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        url: str,
        title: str,
        text: str,
        sections: list[Section],
        *,
        etag: str | None = None,
        last_modified: str | None = None,
        repeated: tuple[str, ...] = (),
    ) -> Page:
        """A page with its hash computed."""
        return cls(url, title, text, sections, sha256_text(text), etag, last_modified, repeated)

    def to_dict(self) -> dict[str, Any]:
        """The page as one JSON object, keys in the order of the attributes.

        ``repeated`` is there only where it is not empty.
        """
        row = asdict(self)
        row["repeated"] = list(self.repeated)
        if not self.repeated:
            del row["repeated"]
        return row

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> Page:
        """The page that :meth:`to_dict` wrote.

        Raises:
            UserError: if a field is missing or is of the wrong type.
        """
        try:
            sections = [
                Section(
                    str(item["anchor"]),
                    [str(title) for title in item["heading_path"]],
                    str(item["markdown"]),
                    str(item["content_hash"]),
                )
                for item in row["sections"]
            ]
            return cls(
                url=str(row["url"]),
                title=str(row["title"]),
                text=str(row["text"]),
                sections=sections,
                content_hash=str(row["content_hash"]),
                etag=row.get("etag"),
                last_modified=row.get("last_modified"),
                repeated=tuple(str(key) for key in row.get("repeated", ())),
            )
        except (KeyError, TypeError) as error:
            where = row.get("url", "a row without url") if isinstance(row, Mapping) else "a row"
            raise UserError(
                f"The page record of {where} does not fit ({type(error).__name__}: {error}). "
                "Crawl the docs again to write it anew."
            ) from None
