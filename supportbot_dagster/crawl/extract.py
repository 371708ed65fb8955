"""The main content of an HTML page of any documentation site.

What lives here: choosing the container of the content, pruning what a site repeats around and
inside it, and cutting the rest into sections. What does not: how elements are written as Markdown
(``markdown``), encodings (``charset``) and fetching (``crawler``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from bs4 import BeautifulSoup, Comment, Tag
from bs4.element import NavigableString

from supportbot_dagster.crawl.charset import decode_html
from supportbot_dagster.crawl.dom import (
    BLOCKS,
    HEADINGS,
    attribute,
    class_words,
    classes,
    link_share,
    one_line,
    text_length,
)
from supportbot_dagster.crawl.markdown import Block, Heading, Renderer, parse
from supportbot_dagster.crawl.page import Page, Section

_SEMANTIC = ('[itemprop~="articleBody"]', '[role~="main"]', "main", "article")
_DOCBOOK = frozenset(
    "book part chapter appendix article preface sect1 sect2 sect3 sect4 sect5 section refentry "
    "glossary bibliography index reference colophon dedication set refsect1 topic".split()
)
_NAMED = (
    "#main-content, #maincontent, #mainContent, #bodyContent, #page-content, #article-content, "
    "#content, #main, #article",
    ".markdown-body, .theme-doc-markdown, .rst-content, .md-content, .article-body, "
    ".article-content, .article__body, .post-content, .entry-content, .docs-content, "
    ".documentation, .main-content, .page-content, .help-content, .content, .markdown",
)

# Gone wherever they stand: they carry no words of the page.
_INVISIBLE = frozenset(
    "script style noscript template svg iframe object embed canvas audio video select textarea "
    "dialog link meta datalist map".split()
)
_ROLES = frozenset({"navigation", "search", "banner", "contentinfo", "dialog", "alertdialog"})

# Names are compared as whole words of whole class names (see dom.class_words).
_STRONG = re.compile(
    r"^(?:.*-)?(?:"
    r"breadcrumbs?|nav-?header|nav-?footer|pagination|pager|prev-?next|next-?prev|page-nav|post-nav|"
    r"article-nav|footer-nav|nav-links|footer-buttons|"
    r"(?:cookies?|gdpr|consent)-(?:.*-)?(?:banner|bar|consent|notice|note|popup|dialog|message|modal|"
    r"law|info|wrapper|container|overlay|settings|hint)|cc-window|"
    r"feedback|was-this-helpful|helpful|article-votes?|page-rating|rating|votes?|"
    r"edit-this-page|edit-page|edit-link|edit-on-github|page-edit|view-source|"
    r"last-updated|last-update|last-modified|git-revision-date|article-meta|page-meta|source-file|"
    r"toc|table-of-contents|on-this-page|contents-nav|skip-link|skiplink|reportbug|"
    r"version-banner|version-warning|version-switch|version-switcher|announcement-bar|"
    r"related-articles|recent-articles|related-pages|social-share|share-buttons|share-links"
    r")(?:-.*)?$"
)
# Names that also stand on content; they count only on a block that is mostly links, or anywhere
# where the page names no container at all.
_SOFT = re.compile(
    r"^(?:.*-)?(?:nav|navbar|navigation|topnav|sidenav|menu|sidebar|side-bar|related|footer|header|"
    r"topbar|masthead|search|searchbox|share|social|contents|subscribe|newsletter)(?:-.*)?$"
)
_CHROME_IDS = frozenset(
    "header footer nav navbar navigation navigation-top sidebar menu breadcrumbs breadcrumb toc "
    "search searchbox cookie-banner cookie-consent cookie-notice cookieconsent "
    "onetrust-consent-sdk onetrust-banner-sdk skip-link".split()
)
_PERMALINK = frozenset(
    "headerlink hash-link anchor-link header-anchor heading-anchor anchorjs-link permalink "
    "headline-anchor direct-link heading-link".split()
)
_PERMALINK_TEXT = frozenset({"", "¶", "#", "§", "🔗", "link", "permalink", "anchor"})
_HELPFUL = re.compile(
    r"^(?:was|is|did|how)\b.{0,40}\b(?:page|article|information|content|guide|document|this|we)\b"
    r".{0,40}\b(?:helpful|useful|help you|answer your question|do|doing)\b.{0,12}\?",
    re.IGNORECASE,
)
_UPDATED = re.compile(
    r"^(?:last|page)\s+(?:was\s+)?(?:last\s+)?(?:updated|modified|edited)\b", re.I
)
_EDIT = re.compile(
    r"^(?:edit|improve|view|show|suggest|report|raise|give)\b.{0,30}"
    r"\b(?:page|source|edits?|github|gitlab|issue|bug|feedback)$|^edit$",
    re.IGNORECASE,
)
_EDIT_TARGET = re.compile(r"/(?:edit|blob|tree|raw|issues|_sources|discussions)(?:/|$)")
_MAX_DEPTH = 200
_CHROME_BLOCKS = frozenset(
    "div section ul ol aside header footer nav table p form dl details menu center".split()
)


@dataclass(frozen=True)
class Skipped:
    """A page that gives no record.

    Attributes:
        reason: a short stable word, such as ``no-content``.
        detail: what was found, for a person; may be empty.
    """

    reason: str
    detail: str = ""


def extract_page(
    html: bytes,
    *,
    url: str,
    content_type_charset: str | None = None,
    etag: str | None = None,
    last_modified: str | None = None,
    fetched_url: str | None = None,
) -> Page | Skipped:
    """The main content of a page, in sections, without what the site repeats on every page.

    Args:
        html: the page as it was sent, malformed or not.
        url: the address for the record.
        content_type_charset: ``charset`` of the Content-Type header.
        etag: ETag header, kept for the next conditional request.
        last_modified: Last-Modified header, likewise.
        fetched_url: where the bytes came from, if that is not ``url``; links to either of the two
            hosts are links within the site.

    Returns:
        The page, or why there is none.
    """
    return extract_tree(
        parse(decode_html(html, content_type_charset)),
        url=url,
        etag=etag,
        last_modified=last_modified,
        fetched_url=fetched_url,
    )


def extract_tree(
    soup: BeautifulSoup,
    *,
    url: str,
    etag: str | None = None,
    last_modified: str | None = None,
    fetched_url: str | None = None,
) -> Page | Skipped:
    """Like :func:`extract_page`, for a tree that is already parsed. The tree is changed."""
    outer_title, is_heading = _outer_title(soup)
    container, named = _container(soup)
    if container is None:
        return Skipped("no-content", "the page has no body")
    _prune(container, named=named)
    internal = {_origin(url), _origin(fetched_url or url)}
    blocks = Renderer(container, internal).blocks()
    if not blocks:
        return Skipped("no-content", "nothing is left beside navigation")
    title, blocks = _with_title(blocks, outer_title, outer_is_heading=is_heading)
    sections = list(_sections(title, blocks))
    text = "\n\n".join(
        f"{'#' * block.level} {block.text}" if isinstance(block, Heading) else block
        for block in blocks
    )
    return Page.of(url, title, text, sections, etag=etag, last_modified=last_modified)


# Container --------------------------------------------------------------------------------------


def _container(soup: BeautifulSoup) -> tuple[Tag | None, bool]:
    """The element that holds the main content, and whether the page named it as such."""
    body = soup.body
    if body is None:
        return None, False
    for selector in _SEMANTIC:
        found = [element for element in body.select(selector) if text_length(element)]
        outer = [element for element in found if not _inside_any(element, found)]
        if not outer:
            continue
        if selector == "article" and len(outer) > 1:
            return _common(outer), False
        chosen = max(outer, key=text_length)
        return _only_article(chosen), True
    docbook = [
        element
        for element in body.find_all("div")
        if _DOCBOOK.intersection(classes(element)) and element.find(class_="titlepage") is not None
    ]
    if docbook:
        outer = [element for element in docbook if not _inside_any(element, docbook)]
        return max(outer, key=text_length), True
    whole = _prose_length(body)
    for selector in _NAMED:
        found = [element for element in body.select(selector) if text_length(element)]
        outer = [element for element in found if not _inside_any(element, found)]
        if outer:
            best = max(outer, key=_prose_length)
            # Names such as "content" also stand on cards; content holds most of a page's prose.
            if _prose_length(best) * 2 >= whole:
                return best, True
    return body, False


def _only_article(container: Tag) -> Tag:
    """The one article in ``main``, where it holds most of it; else the container."""
    articles = container.find_all("article")
    outer = [element for element in articles if not _inside_any(element, articles)]
    if len(outer) == 1 and _prose_length(outer[0]) * 2 >= _prose_length(container):
        return outer[0]
    return container


def _inside_any(element: Tag, others: Collection[Tag]) -> bool:
    held = {id(other) for other in others}
    return any(id(parent) in held for parent in element.parents)


def _common(elements: list[Tag]) -> Tag:
    """The nearest element that holds them all."""
    first, *rest = elements
    for parent in first.parents:
        if all(any(above is parent for above in other.parents) for other in rest):
            return parent
    return first


def _prose_length(element: Tag) -> int:
    """Characters of text that are not in links."""
    return round(text_length(element) * (1 - link_share(element)))


# Boilerplate ------------------------------------------------------------------------------------


def _prune(container: Tag, *, named: bool) -> None:
    """Take out of the container what is not its content. The container itself stays."""
    for comment in container.find_all(string=lambda text: isinstance(text, Comment)):
        comment.extract()
    _drop(container, lambda element: element.name in _INVISIBLE)
    whole = max(1, text_length(container))
    _drop(
        container,
        lambda element: _is_permalink(element) or _is_chrome(element, whole, named=named),
    )
    _prune_phrases(container)


def _drop(container: Tag, unwanted: Callable[[Tag], bool]) -> None:
    """Take out the elements below the container that are unwanted, outer ones first.

    The walk ends at a depth that no real page has, since the questions cost as much as there is
    below an element.
    """
    waiting = [(container, 0)]
    while waiting:
        element, depth = waiting.pop()
        for child in list(element.children):
            if not isinstance(child, Tag):
                continue
            if unwanted(child):
                child.extract()
            elif depth < _MAX_DEPTH:
                waiting.append((child, depth + 1))


def _is_permalink(element: Tag) -> bool:
    if element.name not in {"a", "span"}:
        return False
    text = one_line(element.get_text()).lower()
    if element.name == "a" and attribute(element, "href").startswith("#"):
        heading = element.find_parent([*HEADINGS, "dt", "figcaption", "caption"])
        symbol = text in _PERMALINK_TEXT and (heading is not None or text == "¶")
        if symbol and not (attribute(element, "id") or attribute(element, "name")):
            return True
        if _PERMALINK.intersection(classes(element)):
            # Some sites put the heading's own words into the link.
            return heading is None or one_line(heading.get_text()).lower() != text
    return bool({"visually-hidden", "sr-only"}.intersection(classes(element)))


def _is_chrome(element: Tag, whole: int, *, named: bool) -> bool:
    name = element.name
    if name == "button":
        return (
            attribute(element, "role") != "tab"
            and element.find_parent([*HEADINGS, "summary", "dt"]) is None
        )
    if name == "input":
        return attribute(element, "type") != "checkbox"
    if name == "a":
        rel = attribute(element, "rel").lower().split()
        return bool({"prev", "next", "edit"}.intersection(rel)) or _is_edit_link(element)
    if name in {"td", "span", "pre", "div"} and {"linenos", "lineno", "gutter"}.intersection(
        classes(element)
    ):
        return True
    if name == "span":  # the language in the corner of a code block; the version on every page
        return classes(element) == ["lang"] or "theme-doc-version-badge" in classes(element)
    if name not in _CHROME_BLOCKS:
        return False
    if name == "nav" or attribute(element, "role") in _ROLES:
        return not _is_prose(element, whole)
    if name in {"header", "footer"}:
        holds_heading = element.find(list(HEADINGS)) is not None
        if name == "footer" or not holds_heading:
            return not _is_prose(element, whole)
        return not named and _heading_outside(element)
    if name == "form":
        return element.find(list(HEADINGS)) is None and text_length(element) * 5 < whole
    words = class_words(element)
    if any(_STRONG.match(word) for word in words):
        return not _is_prose(element, whole) or _is_listing(element)
    if any(_SOFT.match(word) for word in words):
        return _is_links(element) or (not named and not _is_prose(element, whole))
    if attribute(element, "id").lower() in _CHROME_IDS:
        no_heading = element.find(list(HEADINGS)) is None
        return (no_heading or _is_links(element)) and not _is_prose(element, whole)
    return False


def _is_prose(element: Tag, whole: int) -> bool:
    """Whether the block holds so much running text of the page that its name cannot be right."""
    return text_length(element) * 10 > whole * 4 and link_share(element) < 0.5


def _is_links(element: Tag) -> bool:
    return link_share(element) >= 0.5


def _is_listing(element: Tag) -> bool:
    """Whether each entry of the block leads somewhere, as in a table of contents."""
    entries = element.find_all(["li", "dt"])
    return len(entries) > 1 and all(entry.find("a", href=True) is not None for entry in entries)


def _heading_outside(header: Tag) -> bool:
    body = header.find_parent("body")
    if body is None:
        return False
    return any(
        heading.find_parent("header") is None for heading in body.find_all(list(HEADINGS), limit=50)
    )


def _is_edit_link(link: Tag) -> bool:
    text = one_line(link.get_text())
    if not _EDIT.match(text):
        return False
    if not _EDIT_TARGET.search(attribute(link, "href")):
        return False
    parent = link.find_parent(list(BLOCKS))
    # In a sentence the same words are content.
    return parent is None or text_length(parent) <= text_length(link) + 12 or _is_links(parent)


def _prune_phrases(container: Tag) -> None:
    """Take out widgets that are known only by what they say."""
    for string in container.find_all(string=True):
        text = one_line(str(string))
        if not 4 <= len(text) <= 160 or type(string) is not NavigableString:
            continue
        helpful = bool(_HELPFUL.match(text))
        if not helpful and not _UPDATED.match(text):
            continue
        block = string.find_parent(list(BLOCKS))
        if block is None or block is container or block.name in {"pre", "td", "li", "dd", "dt"}:
            continue
        if string.find_parent("pre") is not None or text_length(block) > 120:
            continue
        if not helpful:
            block.extract()
            continue
        # The question's box: the largest one around it that says little else.
        while (
            (parent := block.parent) is not None
            and parent is not container
            and text_length(parent) <= 140
            and not any(other is not block for other in parent.find_all(list(HEADINGS)))
        ):
            block = parent
        block.extract()


# Sections ---------------------------------------------------------------------------------------


def _outer_title(soup: BeautifulSoup) -> tuple[str, bool]:
    """The page's title as its only ``h1`` or its ``<title>`` has it, and whether it is the ``h1``.

    For a container that holds no title of its own.
    """
    tops = soup.find_all("h1")
    if len(tops) == 1 and (text := one_line(tops[0].get_text())):
        return text.rstrip("¶").strip(), True
    return (one_line(soup.title.get_text()) if soup.title else ""), False


def _with_title(
    blocks: list[Block], outer_title: str, *, outer_is_heading: bool
) -> tuple[str, list[Block]]:
    """The page's title, and the blocks with the title as their only leading heading of level 1.

    The first heading is the title if it is an ``h1``, if it says what the page's ``<title>`` says,
    or if the page begins with it and no other heading stands as high: in DocBook a section's own
    page begins with ``h2`` or ``h3``, and a chapter's title stands as high as its sections.
    """
    headings = [block for block in blocks if isinstance(block, Heading)]
    first = headings[0] if headings else None
    alone = first is not None and all(other.level > first.level for other in headings[1:])
    begins = alone and blocks[0] is first and not outer_is_heading
    if first is None or not (first.level == 1 or begins or first.text == outer_title):
        lead: list[Block] = [Heading(1, outer_title, "")] if outer_title else []
        return outer_title, lead + blocks
    shift = 0 if first.level == 1 else first.level - (1 if alone else 2)
    moved = [
        Heading(max(1, block.level - shift), block.text, block.anchor)
        if isinstance(block, Heading)
        else block
        for block in blocks
        if block is not first
    ]
    return first.text, [Heading(1, first.text, ""), *moved]


def _sections(title: str, blocks: list[Block]) -> Iterator[Section]:
    path: list[tuple[int, str]] = [(1, title)] if title else []
    anchor = ""
    body: list[str] = []
    used: set[str] = {""}

    def section() -> Section | None:
        markdown = "\n\n".join(body)
        if not markdown:
            return None
        return Section.of(anchor, [text for _, text in path], markdown)

    for number, block in enumerate(blocks):
        if isinstance(block, str):
            body.append(block)
            continue
        if number == 0 and block.level == 1:
            continue  # the title: its text is the lead section
        if (done := section()) is not None:
            yield done
        body.clear()
        while path and path[-1][0] >= block.level:
            path.pop()
        path.append((block.level, block.text))
        anchor = _unused(block.anchor or _slug(block.text), used)
    if (done := section()) is not None:
        yield done


def _unused(anchor: str, used: set[str]) -> str:
    name = anchor
    number = 2
    while name in used:
        name = f"{anchor}-{number}"
        number += 1
    used.add(name)
    return name


def _slug(text: str) -> str:
    return re.sub(r"[^\w]+", "-", text.lower()).strip("-") or "section"


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()
