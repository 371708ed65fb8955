"""The main content of an HTML page of any documentation site.

What lives here: choosing the container of the content, pruning what a site repeats around and
inside it, and cutting the rest into sections. What does not: how elements are written as Markdown
(``markdown``), encodings (``charset``) and fetching (``crawler``).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from lxml import etree

from supportbot_dagster.crawl.charset import decode_html
from supportbot_dagster.crawl.dom import (
    BLOCKS,
    HEADINGS,
    Node,
    class_words,
    one_line,
    parse,
    prose_size,
    size_of,
    tree,
    words_said,
)
from supportbot_dagster.crawl.markdown import Block, Heading, Renderer
from supportbot_dagster.crawl.page import Page, Section
from supportbot_dagster.crawl.repeats import without_repeated


class _Finder:
    """Finds the elements that meet one of some conditions.

    Each condition is an attribute and a word of its value. A search costs as much as its conditions
    are many, and a page has few of the words: one look at all attributes tells which.
    """

    def __init__(self, *conditions: tuple[str, str]) -> None:
        self._conditions = conditions
        self._words = frozenset(word for _, word in conditions)

    def __call__(self, element: Any, said: set[str]) -> list[Any]:
        if self._words.isdisjoint(said):
            return []
        found: list[Any] = _search(tuple(pair for pair in self._conditions if pair[1] in said))(
            element
        )
        return found


@lru_cache(maxsize=256)
def _search(conditions: tuple[tuple[str, str], ...]) -> Any:
    return etree.XPath(".//*[" + " or ".join(_word(*pair) for pair in conditions) + "]")


def _word(attribute: str, word: str) -> str:
    if attribute == "id":
        return f"@id='{word}'"
    whole = f"contains(concat(' ', normalize-space(@{attribute}), ' '), ' {word} ')"
    return f"(contains(@{attribute}, '{word}') and {whole})"  # the first part is fast, and rare


_ARTICLE_BODY = _Finder(("itemprop", "articleBody"))
_ROLE_MAIN = _Finder(("role", "main"))
# Doxygen's two parts of a page; "contents" alone is a table of contents as often.
_UNDER_A_TITLE = etree.XPath(
    f".//div[{_word('class', 'contents')}]"
    f"[preceding-sibling::*[1][{_word('class', 'header')}]//div[{_word('class', 'title')}]]"
)
_TITLE_PAGES = _Finder(("class", "titlepage"))
_DOCBOOK = frozenset(
    "book part chapter appendix article preface sect1 sect2 sect3 sect4 sect5 section refentry "
    "glossary bibliography index reference colophon dedication set refsect1 topic".split()
)
_NAMED = (
    _Finder(
        *(
            ("id", name)
            for name in "main-content maincontent mainContent bodyContent page-content "
            "article-content doc-content content main article".split()
        )
    ),
    _Finder(
        *(
            ("class", name)
            for name in "markdown-body theme-doc-markdown rst-content md-content article-body "
            "article-content article__body post-content entry-content docs-content documentation "
            "main-content page-content help-content content markdown".split()
        )
    ),
)

# Gone wherever they stand: they carry no words of the page.
_NO_TEXT = ("script", "style", "template")
_INVISIBLE = tuple(
    "noscript svg iframe object embed canvas audio video select textarea dialog link meta "
    "datalist map".split()
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
_PERMALINK_TEXT = frozenset({"", "¶", "#", "§", "◆", "🔗", "link", "permalink", "anchor"})
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
# Line numbers, and doxygen's tooltips, which stand among the lines and show on a touch.
_BESIDE_CODE = frozenset({"linenos", "lineno", "gutter", "ttc"})
_UNSEEN = frozenset({"visually-hidden", "sr-only"})
_PHRASES = ("was", "is ", "did", "how", "last", "page")
_CHROME_BLOCKS = frozenset(
    "address div section ul ol aside header footer nav table p form dl details menu center".split()
)


# Elements that may be beside the content without any attribute that says so.
_KNOWN_BY_NAME = frozenset({"button", "footer", "form", "header", "input", "nav"})
_WIDGET = 120  # characters of text, of a block that is known by what it says


@dataclass(frozen=True)
class Skipped:
    """A page that gives no record.

    Attributes:
        reason: a short stable word, such as ``no-content``.
        detail: what was found, for a person; may be empty.
    """

    reason: str
    detail: str = ""


@dataclass(frozen=True)
class Content:
    """The main content of a page, before it is cut into sections.

    Attributes:
        blocks: Markdown blocks and headings in reading order.
        named: whether the page itself says which element holds its content.
        outer_title: its only ``h1`` or its ``<title>``, for content without a title of its own.
        outer_is_heading: whether that was the ``h1``.
    """

    blocks: list[Block]
    named: bool
    outer_title: str
    outer_is_heading: bool

    def page(
        self,
        url: str,
        *,
        etag: str | None = None,
        last_modified: str | None = None,
        repeated: Collection[str] = (),
    ) -> Page:
        """The record of the page, without the blocks that ``repeated`` names (see ``repeats``)."""
        blocks, left_out = without_repeated(self.blocks, repeated)
        title, blocks = _with_title(
            blocks, self.outer_title, outer_is_heading=self.outer_is_heading
        )
        text = "\n\n".join(
            f"{'#' * block.level} {block.text}" if isinstance(block, Heading) else block
            for block in blocks
        )
        return Page.of(
            url,
            title,
            text,
            list(_sections(title, blocks)),
            etag=etag,
            last_modified=last_modified,
            repeated=left_out,
        )


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
    root = parse(decode_html(html, content_type_charset))
    found = extract_content(root, url=url, fetched_url=fetched_url)
    if isinstance(found, Skipped):
        return found
    return found.page(url, etag=etag, last_modified=last_modified)


def extract_content(
    root: Any | None, *, url: str, fetched_url: str | None = None
) -> Content | Skipped:
    """The main content of a page that is already parsed. The lxml tree is changed."""
    body = None if root is None else root.find("body")
    if root is None or body is None:
        return Skipped("no-content", "the page has no body")
    outer_title, is_heading = _outer_title(root)
    etree.strip_elements(body, *_NO_TEXT, with_tail=False)
    chosen, named = _container(body)
    etree.strip_elements(chosen, *_INVISIBLE, with_tail=False)
    container = tree(chosen)
    _promote_title(container)
    _prune(container, named=named, heading_outside=not named and _heading_outside(body))
    blocks = Renderer(container, {_origin(url), _origin(fetched_url or url)}).blocks()
    if not blocks:
        return Skipped("no-content", "nothing is left beside navigation")
    return Content(blocks, named, outer_title, is_heading)


# Container --------------------------------------------------------------------------------------


def _container(body: Any) -> tuple[Any, bool]:
    """The element that holds the main content, and whether the page named it as such."""
    said = words_said(body)
    for found in (_ARTICLE_BODY(body, said), _ROLE_MAIN(body, said), list(body.iter("main"))):
        if outer := _outer(_with_text(found)):
            return _only_article(outer[0] if len(outer) == 1 else max(outer, key=size_of)), True
    if outer := _outer(_with_text(list(body.iter("article")))):
        return (_common(outer), False) if len(outer) > 1 else (outer[0], True)
    docbook = [
        above
        for page in _TITLE_PAGES(body, said)
        for above in page.iterancestors("div")
        if _DOCBOOK.intersection(above.get("class", "").split())
    ]
    if docbook:
        return max(_outer(docbook), key=size_of), True
    if "contents" in said and (titled := _UNDER_A_TITLE(body)):
        return _with_title_part(titled[0]), True
    for find in _NAMED:
        if outer := _outer(_with_text(find(body, said))):
            best = max(outer, key=prose_size)
            # Names such as "content" also stand on cards; content holds most of a page's prose, or,
            # on an index, of its text.
            if prose_size(best) * 2 >= prose_size(body) or size_of(best) * 2 >= size_of(body):
                return _with_head(best), True
    return body, False


def _with_head(content: Any) -> Any:
    """The content, with the part before it where that holds its title.

    AsciiDoc puts a manual page's title and its section NAME in a ``#header`` beside ``#content``,
    and doxygen a ``title`` in a ``header`` beside ``contents``. A site's own header holds neither a
    section nor an element of that name.
    """
    head = content.getprevious()
    if head is None or next(content.iter("h1"), None) is not None:
        return content
    titled = any("title" in below.get("class", "").split() for below in head.iter("div"))
    section = next(head.iter("h2", "h3"), None) is not None
    if not titled and not (section and next(head.iter("h1"), None) is not None):
        return content
    return _led_by(head, content)


def _with_title_part(contents: Any) -> Any:
    """Doxygen's ``contents`` with the title from the ``header`` before it.

    The header also lists the parts of the page, which go, and within the title the groups that the
    page is in, which become a line below it. What is a section of a page is an ``h1`` to doxygen,
    and stands below the title here.
    """
    head = contents.getprevious()
    for part in list(head.iter("div")):
        names = part.get("class", "").split()
        if "summary" in names:
            part.getparent().remove(part)
        elif "ingroups" in names and "title" in part.getparent().get("class", "").split():
            part.getparent().addnext(part)
    if next(contents.iter("h1"), None) is not None:
        for heading in contents.iter(*HEADINGS):
            heading.tag = f"h{min(6, int(heading.tag[1]) + 1)}"
    return _led_by(head, contents)


def _led_by(head: Any, content: Any) -> Any:
    """The content, with what stands before it moved to its beginning."""
    head.tail, content.text = content.text, None
    content.insert(0, head)
    return content


def _with_text(elements: list[Any]) -> list[Any]:
    return [el for el in elements if any(not text.isspace() for text in el.itertext())]


def _outer(elements: Collection[Any]) -> list[Any]:
    """Those that stand in none of the others, in document order."""
    held = dict.fromkeys(elements)
    return [
        element for element in held if not any(above in held for above in element.iterancestors())
    ]


def _only_article(container: Any) -> Any:
    """The one article in ``main``, where it holds most of it and its title; else the container."""
    outer = _outer([found for found in container.iter("article") if found is not container])
    title = next(container.iter("h1"), None)
    if len(outer) == 1 and title is not None and outer[0] not in title.iterancestors():
        return container
    if len(outer) == 1 and prose_size(outer[0]) * 2 >= prose_size(container):
        return outer[0]
    return container


def _common(elements: list[Any]) -> Any:
    """The nearest element that holds them all."""
    first, *rest = elements
    above = [set(other.iterancestors()) for other in rest]
    return next(parent for parent in first.iterancestors() if all(parent in a for a in above))


def _promote_title(container: Node) -> None:
    """Make a heading of a ``div`` named title, where no text and no ``h1`` stands before it."""
    before = 0
    for node in container.walk():
        if node.name == "h1" or before:
            return
        if node.name in {"div", "p"} and "title" in node.classes and 0 < node.size < 200:
            if node.headings == 0 and not any(below.name in BLOCKS for below in node.walk()):
                node.name = "h1"
                for above in [node, *node.ancestors()]:
                    above.headings += 1
            return
        before += sum(len(text.strip()) for text in node.children if isinstance(text, str)) * (
            node.name != "a"
        )


# Boilerplate ------------------------------------------------------------------------------------


def _prune(container: Node, *, named: bool, heading_outside: bool) -> None:
    """Take out of the container what is not its content. The container itself stays."""
    whole = max(1, container.size)

    def unwanted(node: Node) -> bool:
        if not node.attributes and node.name not in _KNOWN_BY_NAME:
            return False
        return _is_permalink(node) or _is_chrome(
            node, whole, named=named, heading_outside=heading_outside
        )

    _drop(container, unwanted)
    _prune_phrases(container)


def _drop(container: Node, unwanted: Callable[[Node], bool]) -> None:
    """Take out the nodes below the container that are unwanted, outer ones first.

    The walk ends at a depth that no real page has.
    """
    waiting = [(container, 0)]
    while waiting:
        node, depth = waiting.pop()
        for child in node.elements():
            if unwanted(child):
                child.remove()
            elif depth < _MAX_DEPTH and child.children:
                waiting.append((child, depth + 1))


def _is_permalink(node: Node) -> bool:
    if node.name not in {"a", "span"}:
        return False
    names = node.classes
    if node.name == "a" and node.get("href").startswith("#"):
        text = one_line(node.text()).lower()
        heading = node.above(*HEADINGS, "dt", "figcaption", "caption")
        symbol = text in _PERMALINK_TEXT and (heading is not None or text == "¶")
        if symbol and not (node.get("id") or node.get("name")):
            return True
        if _PERMALINK.intersection(names):
            # Some sites put the heading's own words into the link.
            return heading is None or one_line(heading.text()).lower() != text
    return bool(_UNSEEN.intersection(names))


def _is_chrome(node: Node, whole: int, *, named: bool, heading_outside: bool) -> bool:
    name = node.name
    if name == "button":
        return node.get("role") != "tab" and node.above(*HEADINGS, "summary", "dt") is None
    if name == "input":
        return node.get("type") != "checkbox"
    if name == "a":
        rel = node.get("rel").lower().split()
        return bool({"prev", "next", "edit"}.intersection(rel)) or _is_edit_link(node)
    if name in {"td", "span", "pre", "div"} and _BESIDE_CODE.intersection(node.classes):
        return True
    if name == "span":  # the language in the corner of a code block; the version on every page
        return node.classes == ["lang"] or "theme-doc-version-badge" in node.classes
    if name not in _CHROME_BLOCKS:
        return False
    if name == "nav" or node.get("role") in _ROLES:
        return not _is_prose(node, whole)
    if name in {"header", "footer"}:
        if name == "footer" or not node.headings:
            return not _is_prose(node, whole)
        return not named and heading_outside
    if name == "form":
        return not node.headings and node.size * 5 < whole
    strong, soft = _named_chrome(node.get("class"))
    if strong:
        return not _is_prose(node, whole) or _is_listing(node)
    if soft:
        if node.headings and node.below("h1") is not None:
            return False  # what holds the title is not beside the content
        return _is_links(node) or (not named and not _is_prose(node, whole))
    if node.get("id").lower() in _CHROME_IDS:
        return (not node.headings or _is_links(node)) and not _is_prose(node, whole)
    return False


@lru_cache(maxsize=4096)
def _named_chrome(classes: str) -> tuple[bool, bool]:
    """Whether one of the class names is strongly, or softly, that of something beside content."""
    words = class_words(classes)
    return any(map(_STRONG.match, words)), any(map(_SOFT.match, words))


def _is_prose(node: Node, whole: int) -> bool:
    """Whether the block holds so much running text of the page that its name cannot be right."""
    return node.size * 10 > whole * 4 and node.link_share < 0.5


def _is_links(node: Node) -> bool:
    return node.link_share >= 0.5


def _is_listing(node: Node) -> bool:
    """Whether each entry of the block leads somewhere, as in a table of contents."""
    entries = [entry for entry in node.walk() if entry.name in {"li", "dt"}]
    return len(entries) > 1 and all(
        any(below.name == "a" and "href" in below.attributes for below in entry.walk())
        for entry in entries
    )


def _heading_outside(body: Any) -> bool:
    """Whether one of the page's first headings stands in no ``header``."""
    headings = itertools.islice(body.iter(*HEADINGS), 50)
    return any(next(heading.iterancestors("header"), None) is None for heading in headings)


def _is_edit_link(link: Node) -> bool:
    if not _EDIT_TARGET.search(link.get("href")) or not _EDIT.match(one_line(link.text())):
        return False
    parent = link.above(*BLOCKS)
    # In a sentence the same words are content.
    return parent is None or parent.size <= link.size + 12 or _is_links(parent)


def _prune_phrases(container: Node) -> None:
    """Take out widgets that are known only by what they say."""
    said = [
        (holder, one_line(text))
        for holder in [container, *container.walk()]
        if holder.size <= _WIDGET
        for text in holder.children
        if isinstance(text, str) and text.lstrip()[:4].lower().startswith(_PHRASES)
    ]
    for holder, text in said:
        if not 4 <= len(text) <= 160:
            continue
        helpful = bool(_HELPFUL.match(text))
        if not helpful and not _UPDATED.match(text):
            continue
        block = holder if holder.name in BLOCKS else holder.above(*BLOCKS)
        if block is None or block is container or block.name in {"td", "li", "dd", "dt"}:
            continue
        if block.size > _WIDGET:
            continue
        if not helpful:
            block.remove()
            continue
        # The question's box: the largest one around it that says little else.
        while (
            (parent := block.parent) is not None
            and parent is not container
            and parent.size <= 140
            and parent.headings <= (block.name in HEADINGS)  # none but the question itself
        ):
            block = parent
        block.remove()


# Sections ---------------------------------------------------------------------------------------


def _outer_title(root: Any) -> tuple[str, bool]:
    """The page's title as its only ``h1`` or its ``<title>`` has it, and whether it is the ``h1``.

    For a container that holds no title of its own.
    """
    found = next(root.iter("title"), None)
    title = "" if found is None else one_line("".join(found.itertext()))
    tops = list(root.iter("h1"))
    if len(tops) == 1 and (text := one_line("".join(tops[0].itertext())).rstrip("¶").strip()):
        if title == text or not title.endswith(text):
            return text, True
        # "Install - The Manual" above "The Manual": that heading names the site.
        return title.removesuffix(text).rstrip(" -–—|·:»<") or text, False
    return title, False


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
    begins = (
        first is not None
        and blocks[0] is first
        and not outer_is_heading
        and (alone or _bare(first.text) in outer_title)
    )
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


def _bare(heading: str) -> str:
    """The heading without its number."""
    return re.sub(r"^(?:[A-Z]\.)?[\d.]+\s+", "", heading)


def _sections(title: str, blocks: list[Block]) -> Iterator[Section]:
    path: list[tuple[int, str]] = [(1, title)] if title else []
    anchor = ""
    body: list[str] = []
    used = {"": 1}

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


def _unused(anchor: str, used: dict[str, int]) -> str:
    """The anchor, or the first of anchor-2, anchor-3 and so on that is free."""
    name = anchor
    number = used.get(anchor, 1)
    while name in used:
        number += 1
        name = f"{anchor}-{number}"
    used[anchor] = number
    used.setdefault(name, 1)
    return name


def _slug(text: str) -> str:
    return re.sub(r"[^\w]+", "-", text.lower()).strip("-") or "section"


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()
