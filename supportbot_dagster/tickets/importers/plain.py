"""HTML of a message becomes the plain text that its reader saw.

What lives here: lines, lists, quotations and links of a chat message or e-mail. What does not:
pages of documentation (:mod:`supportbot_dagster.crawl`), and what mail programs add to a message
(:mod:`supportbot_dagster.tickets.mail`).
"""

from __future__ import annotations

import html
import re
import warnings

from bs4 import BeautifulSoup, MarkupResemblesLocatorWarning, NavigableString, PageElement, Tag
from bs4.element import PreformattedString

_TAG = re.compile(r"</?[a-zA-Z][^<>]*>|<!--")
_HIDDEN = frozenset("head script style template title noscript".split())
_BLOCKS = frozenset(
    "address article aside blockquote body dd details div dl dt fieldset figure footer form h1 h2 "
    "h3 h4 h5 h6 header hr html li main nav ol p pre section summary table tbody tfoot thead tr "
    "ul".split()
)
_SPACED = frozenset("blockquote dl h1 h2 h3 h4 h5 h6 ol p pre table ul".split())

_LINE, _PARAGRAPH = "\x00", "\x01"
"""Edges of blocks, until they are put together: of several that meet, the widest counts."""
_EDGES = re.compile(r"(?<![ \t\n])[ \t\n]*(?:[\x00\x01][ \t]*)+")


def plain_text(body: str) -> str:
    """The text of an HTML fragment.

    Paragraphs are parted by an empty line, list entries start with "- " or their number, quoted
    text with "> ", and a link's address follows its words in parentheses. What is not HTML comes
    back as it is, entities resolved.

    Args:
        body: an HTML fragment, or plain text.
    """
    if not _TAG.search(body):
        return html.unescape(body).strip()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MarkupResemblesLocatorWarning)
        soup = BeautifulSoup(re.sub(r"[\x00\x01]", "", body), "lxml")
    try:
        text = _joined(_children(soup, preformatted=False))
    except RecursionError:  # nested by the thousand: only a machine writes that
        text = soup.get_text("\n")
    lines = [line.rstrip() for line in text.replace("\u00a0", " ").split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _joined(text: str) -> str:
    text = _EDGES.sub(lambda edges: "\n\n" if _PARAGRAPH in edges[0] else "\n", text)
    return re.sub(r"[ \t]*\n[ \t]*", "\n", text).strip(" \t\n")


def _children(element: Tag, *, preformatted: bool) -> str:
    return "".join(_text(child, preformatted=preformatted) for child in element.children)


def _text(node: PageElement, *, preformatted: bool) -> str:
    if isinstance(node, NavigableString):
        if isinstance(node, PreformattedString):  # comments, declarations
            return ""
        return str(node) if preformatted else re.sub(r"[ \t\r\n]+", " ", str(node))
    if not isinstance(node, Tag) or node.name in _HIDDEN:
        return ""
    if node.name == "br":
        return "\n"
    inside = _children(node, preformatted=preformatted or node.name == "pre")
    if node.name == "a":
        return _link(node, inside)
    if node.name in {"td", "th"}:
        return f"{_joined(inside)} "
    if node.name not in _BLOCKS:
        return inside
    edge = _PARAGRAPH if node.name in _SPACED and node.find_parent("li") is None else _LINE
    if node.name == "pre":
        inside = _fixed(inside.strip("\n").expandtabs(4))
    elif node.name == "li":
        inside = _entry(node, _joined(inside))
    elif node.name == "blockquote":
        inside = "\n".join(f"> {line}" for line in _joined(inside).split("\n"))
    return f"{edge}{inside}{edge}"


def _fixed(text: str) -> str:
    """The text with spaces that stay until all lines are put together."""
    return text.replace(" ", "\u00a0")


def _link(node: Tag, words: str) -> str:
    address = node.get("href")
    if not isinstance(address, str) or not re.match(r"https?://", address, re.I):
        return words
    shown = words.strip()
    if not shown or shown.rstrip("/") in {address.rstrip("/"), address.split("://")[1].rstrip("/")}:
        return address
    return f"{words} ({address})"


def _entry(node: Tag, inside: str) -> str:
    parent = node.parent
    mark = "-"
    if parent is not None and parent.name == "ol":
        mark = f"{1 + len(node.find_previous_siblings('li'))}."
    return inside and f"{mark} {inside}".replace("\n", _fixed("\n  "))
