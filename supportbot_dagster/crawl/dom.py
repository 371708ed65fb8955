"""Small questions that the other modules ask of a parsed HTML tree.

What lives here: typed attribute access, tag families, text measures. What does not: any decision
about what is content.
"""

from __future__ import annotations

import re

from bs4 import Tag

HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})

BLOCKS = HEADINGS | frozenset(
    "address article aside blockquote body caption center dd details dialog dir div dl dt "
    "fieldset figcaption figure footer form header hgroup hr legend li main menu nav ol p pre "
    "search section summary table tbody td tfoot th thead tr ul".split()
)

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SEPARATORS = re.compile(r"[-_]+")


def attribute(element: Tag, name: str) -> str:
    """The attribute as one string; "" where it is absent."""
    value = element.get(name)
    if value is None:
        return ""
    return value if isinstance(value, str) else " ".join(value)


def classes(element: Tag) -> list[str]:
    """The class names as written."""
    return attribute(element, "class").split()


def class_words(element: Tag) -> list[str]:
    """The class names in lower case, words joined by "-": ``tocBox_x1`` is toc-box-x1."""
    return [
        _SEPARATORS.sub("-", _CAMEL.sub("-", name)).strip("-").lower() for name in classes(element)
    ]


def text_length(element: Tag) -> int:
    """Number of characters of the element's text, white space left out."""
    return sum(len("".join(piece.split())) for piece in element.stripped_strings)


def link_share(element: Tag) -> float:
    """The part of the element's text that stands in links, 0 to 1; 0 for no text."""
    whole = text_length(element)
    if not whole:
        return 0.0
    inside = sum(
        text_length(link)
        for link in element.find_all("a", href=True)
        if not link.find_parent("pre")
    )
    return min(1.0, inside / whole)


def one_line(text: str) -> str:
    """The text on one line: white space collapsed, invisible characters dropped."""
    return re.sub(r"\s+", " ", re.sub("[\u200b\u200c\u2060\ufeff\u00ad]", "", text)).strip()
