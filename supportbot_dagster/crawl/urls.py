"""Addresses in one spelling, and whether they belong to a crawl.

What lives here: normalisation, the path prefix, and the exchange of the crawled prefix for the
public one. What does not: requests.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, unquote, urlencode, urljoin, urlsplit, urlunsplit

_PORTS = {"http": 80, "https": 443}
_TRACKING = re.compile(r"^(utm_\w+|gclid|fbclid|mc_[ce]id|_ga|ref_src)$", re.IGNORECASE)
_SAFE_PATH = "/:@!$&'()*+,;=-._~"
_NOT_HTML = frozenset(
    ".7z .avi .bz2 .css .csv .deb .dmg .doc .docx .epub .exe .gif .gz .ico .inv .jar "
    ".jpeg .jpg .js .json .map .mjs .mov .mp3 .mp4 .msi .odt .ogg .otf .pdf .pkg .png "
    ".ppt .pptx .rar .rpm .rss .svg .tar .tgz .tif .tiff .ttf .txt .wasm .wav .webm .webp "
    ".whl .woff .woff2 .xls .xlsx .xml .xz .yaml .yml .zip".split()
)


def normalise(href: str, base: str | None = None) -> str | None:
    """The absolute http(s) address in one spelling, without fragment; None where it is not one.

    Lower-case scheme and host, no default port, no user name, dot segments resolved, percent
    escapes in one form, tracking parameters dropped. ``index.html`` is kept as it is.

    Raises:
        ValueError: if the address is malformed (a bad port, an open bracket, a bad host name).
    """
    text = re.sub(r"[\t\n\r]", "", href.strip())
    joined = urljoin(base, text) if base else text
    parts = urlsplit(joined)
    if parts.scheme not in _PORTS:
        return None
    host = (parts.hostname or "").rstrip(".")
    if not host or re.search(r"[\s<>\"{}|\\^`%]", host):
        raise ValueError(f"no valid host in {href!r}")
    if not host.isascii():
        host = host.encode("idna").decode("ascii")
    if ":" in host:
        host = f"[{host}]"
    port = parts.port
    place = host if port in (None, _PORTS[parts.scheme]) else f"{host}:{port}"
    path = _one_escape(parts.path)
    resolved = posixpath.normpath(path) if path else "/"
    if path.endswith(("/", "/.", "/..")) and not resolved.endswith("/"):
        resolved += "/"
    resolved = "/" + resolved.lstrip("/")
    query = parts.query
    if query:
        pairs = parse_qsl(query, keep_blank_values=True)
        kept = [(key, value) for key, value in pairs if not _TRACKING.match(key)]
        if len(kept) != len(pairs):
            query = urlencode(kept)
        query = quote(query, safe="=&?/:;+,%!$'()*@-._~")
    return urlunsplit((parts.scheme, place, resolved, query, ""))


def _one_escape(path: str) -> str:
    """Percent escapes only where they are needed; an escaped slash stays one."""
    pieces = re.split("%2f", path, flags=re.IGNORECASE)
    return "%2F".join(
        quote(unquote(piece, errors="surrogateescape"), safe=_SAFE_PATH, errors="surrogateescape")
        for piece in pieces
    )


def looks_like_html(url: str) -> bool:
    """False where the file name says that the address is a picture, an archive and the like."""
    return posixpath.splitext(urlsplit(url).path)[1].lower() not in _NOT_HTML


@dataclass(frozen=True)
class Scope:
    """The part of a site that a crawl covers.

    Attributes:
        prefix: normalised address of the directory, ending in "/".
        public: what stands for ``prefix`` in the data, ending in "/"; equal to it by default.
    """

    prefix: str
    public: str

    @classmethod
    def of(cls, start_url: str, public_base: str | None = None) -> Scope:
        """The directory of a normalised start URL.

        Raises:
            ValueError: if ``public_base`` is not an http(s) address.
        """
        parts = urlsplit(start_url)
        directory = parts.path.rsplit("/", 1)[0] + "/"
        prefix = urlunsplit((parts.scheme, parts.netloc, directory, "", ""))
        public = prefix
        if public_base:
            found = normalise(public_base if public_base.endswith("/") else public_base + "/")
            if found is None:
                raise ValueError(f"{public_base!r} is not an http(s) address")
            public = found
        return cls(prefix, public)

    def covers(self, url: str) -> bool:
        """Whether a normalised address lies under the prefix."""
        return url.startswith(self.prefix)

    def to_public(self, url: str) -> str:
        """The address for the data."""
        return self.public + url[len(self.prefix) :] if self.covers(url) else url

    def to_crawled(self, url: str) -> str:
        """The address to request: one under the public prefix is asked of the crawled one."""
        return self.prefix + url[len(self.public) :] if url.startswith(self.public) else url
