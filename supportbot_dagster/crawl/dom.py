"""An HTML page as a tree, and the small questions that the other modules ask of it.

What lives here: parsing, the :class:`Node` tree whose measures are kept up to date, tag families.
What does not: any decision about what is content.

lxml parses and finds; what is to be changed and read node by node is first copied into nodes. In
lxml's own tree a text belongs to the element before it, so that cutting an element out loses words,
and every question about a length would walk the tree again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from lxml import etree

HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})

BLOCKS = HEADINGS | frozenset(
    "address article aside blockquote body caption center dd details dialog dir div dl dt "
    "fieldset figcaption figure footer form header hgroup hr legend li main menu nav ol p pre "
    "search section summary table tbody td tfoot th thead tr ul".split()
)

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SEPARATORS = re.compile(r"[-_]+")
_UNSEEN = re.compile("[\u200b\u200c\u2060\ufeff\u00ad]+")
_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")
_PARSER: dict[str, Any] = {
    "encoding": "utf-8",
    "recover": True,
    "huge_tree": True,
    "remove_comments": True,
    "remove_pis": True,
}
_DEEPEST = 500  # levels of elements, of which a page that nests too deep keeps every one
_WRAPPERS = frozenset({"div", "section", "center", "span", "font"})
_NO_ATTRIBUTES: dict[str, str] = {}
_TEXT = etree.XPath("string()", smart_strings=False)
_LINK_TEXTS = etree.XPath(".//a[@href][not(ancestor::pre)]//text()", smart_strings=False)
_VALUES = etree.XPath("descendant::*/@*", smart_strings=False)
_ASCII_SPACE = " \n\t\r\x0b\x0c\x1c\x1d\x1e\x1f"


def parse(html: str) -> Any | None:
    """The root element of a page, however malformed; None for a page without any element.

    Comments, processing instructions and an XML declaration are dropped.
    """
    text = _DECLARATION.sub("", html.replace("\x00", ""), count=1).encode("utf-8", "replace")
    parser = etree.HTMLParser(**_PARSER)
    try:
        root: Any = etree.fromstring(text, parser)
        if any(error.type == etree.ErrorTypes.ERR_RESOURCE_LIMIT for error in parser.error_log):
            root = etree.fromstring(text, etree.HTMLParser(**_PARSER, target=_Shallow()))
    except etree.XMLSyntaxError:
        return None
    return root


class _Shallow:
    """Builds the tree of a page that nests deeper than libxml2 does, without its inner wrappers."""

    def __init__(self) -> None:
        self._builder = etree.TreeBuilder()
        self._built: list[bool] = []
        self._depth = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        most = _DEEPEST if tag in _WRAPPERS else 2 * _DEEPEST
        self._built.append(self._depth < most)
        if self._built[-1]:
            self._depth += 1
            self._builder.start(tag, attributes)

    def end(self, tag: str) -> None:
        if self._built.pop():
            self._depth -= 1
            self._builder.end(tag)

    def data(self, text: str) -> None:
        self._builder.data(text)

    def close(self) -> Any:
        return self._builder.close()


class Node:
    """An element of the copied tree; texts stand among its children as strings.

    Attributes:
        name: tag name in lower case.
        attributes: as written.
        children: nodes and strings in reading order; none for a ``pre``, which keeps its lxml
            element as ``source`` instead: code is written as it stands.
        size: characters of text below it, white space left out.
        linked: those of them that stand in links outside ``pre``.
        headings: number of headings below it, itself included.
        blocks: number of blocks below it, itself included.
    """

    __slots__ = (
        "attributes",
        "blocks",
        "children",
        "headings",
        "linked",
        "name",
        "parent",
        "size",
        "source",
    )

    def __init__(self, name: str, attributes: dict[str, str], parent: Node | None) -> None:
        self.name = name
        self.attributes = attributes
        self.parent = parent
        self.children: list[Node | str] = []
        self.source: Any = None
        self.size = 0
        self.linked = 0
        self.headings = 1 if name in HEADINGS else 0
        self.blocks = 1 if name in BLOCKS else 0

    def get(self, name: str) -> str:
        """The attribute; "" where it is absent."""
        return self.attributes.get(name, "")

    @property
    def classes(self) -> list[str]:
        """The class names as written."""
        return self.attributes.get("class", "").split()

    @property
    def link_share(self) -> float:
        """The part of the text that stands in links, 0 to 1; 0 for no text."""
        return min(1.0, self.linked / self.size) if self.size else 0.0

    @property
    def holds_block(self) -> bool:
        """Whether a block stands below it."""
        return self.blocks > (self.name in BLOCKS)

    def elements(self) -> list[Node]:
        """The nodes straight below this one."""
        return [child for child in self.children if isinstance(child, Node)]

    def walk(self) -> Iterator[Node]:
        """Every node below this one, in document order. The tree may not change meanwhile."""
        stack = [child for child in reversed(self.children) if isinstance(child, Node)]
        while stack:
            node = stack.pop()
            yield node
            if node.children:
                stack += [child for child in reversed(node.children) if isinstance(child, Node)]

    def ancestors(self) -> Iterator[Node]:
        """The nodes above this one, the nearest first."""
        node = self.parent
        while node is not None:
            yield node
            node = node.parent

    def above(self, *names: str) -> Node | None:
        """The nearest node above this one with one of the names."""
        return next((node for node in self.ancestors() if node.name in names), None)

    def below(self, *names: str) -> Node | None:
        """The first node below this one with one of the names."""
        return next((node for node in self.walk() if node.name in names), None)

    def strings(self) -> Iterator[str]:
        """Every text below this node, in reading order."""
        if self.source is not None:
            yield from self.source.itertext()
            return
        stack: list[Node | str] = list(reversed(self.children))
        while stack:
            child = stack.pop()
            if isinstance(child, str):
                yield child
            elif child.source is not None:
                yield from child.source.itertext()
            else:
                stack.extend(reversed(child.children))

    def text(self, separator: str = "") -> str:
        """All text below this node."""
        return separator.join(self.strings())

    def remove(self) -> None:
        """Cut this node, with what is below it, out of the tree."""
        parent = self.parent
        if parent is None:
            return
        parent.children.remove(self)
        linked = self.linked
        for node in self.ancestors():
            node.size -= self.size
            node.headings -= self.headings
            node.blocks -= self.blocks
            if node.name == "a" and "href" in node.attributes:
                linked = self.size
            node.linked -= linked
        self.parent = None


def tree(element: Any) -> Node:
    """A copy of an lxml element as nodes."""
    top = node = _copy(element, None)
    children = iter(element) if top.source is None else iter(())
    above: list[tuple[Node, Any, Any]] = []  # open nodes, what is left of them, their elements
    while True:
        for found in children:
            child = _copy(found, node)
            node.children.append(child)
            if child.source is None and len(found):
                above.append((node, children, found))
                node, children = child, iter(found)
                break
            _count(child, found.tail)
        else:
            if not above:
                break
            child = node
            node, children, found = above.pop()
            _count(child, found.tail)
    if top.name == "a" and "href" in top.attributes:
        top.linked = top.size
    return top


def _copy(element: Any, parent: Node | None) -> Node:
    """A node of an element and of its first text, its other children left out."""
    items = element.items()
    node = Node(element.tag, dict(items) if items else _NO_ATTRIBUTES, parent)
    if node.name == "pre":
        node.source = element
        node.size = size_of(element)
    elif text := element.text:
        node.children.append(text)
        node.size = len("".join(text.split()))
    return node


def _count(node: Node, tail: str | None) -> None:
    """Add a node whose children are all there, and the text after it, to the node above."""
    parent = node.parent
    assert parent is not None
    if node.name == "a" and "href" in node.attributes:
        node.linked = node.size
    parent.size += node.size
    parent.linked += node.linked
    parent.headings += node.headings
    parent.blocks += node.blocks
    if tail:
        parent.children.append(tail)
        parent.size += len("".join(tail.split()))


def words_said(element: Any) -> set[str]:
    """Every word of every attribute below an lxml element."""
    return {word for value in set(_VALUES(element)) for word in value.split()}


def text_of(element: Any) -> str:
    """All text below an lxml element."""
    text: str = _TEXT(element)
    return text


def size_of(element: Any) -> int:
    """Number of characters of an lxml element's text, white space left out."""
    text = text_of(element)
    if len(text) > 100 and text.isascii():
        return len(text) - sum(map(text.count, _ASCII_SPACE))
    return len("".join(text.split()))


def prose_size(element: Any) -> int:
    """The same, without what stands in links."""
    return size_of(element) - len("".join("".join(_LINK_TEXTS(element)).split()))


@lru_cache(maxsize=4096)
def class_words(classes: str) -> tuple[str, ...]:
    """The class names in lower case, words joined by "-": ``tocBox_x1`` is toc-box-x1."""
    return tuple(
        _SEPARATORS.sub("-", _CAMEL.sub("-", name)).strip("-").lower() for name in classes.split()
    )


def one_line(text: str) -> str:
    """The text on one line: white space collapsed, invisible characters dropped."""
    if not text.isascii():
        text = _UNSEEN.sub("", text)
    return " ".join(text.split())
