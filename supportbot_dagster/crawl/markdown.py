"""An HTML tree to Markdown blocks, and Markdown to the text a reader sees.

What lives here: how each element is written (headings, code, lists, tables, definition lists,
admonitions, tabs, keys, menu paths). What does not: which part of a page is content (``extract``).

It is a converter of its own because the common ones lose what help pages are made of: definition
lists and tables with blocks in their cells, layout tables, tabs, and anything nested deeply.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from lxml import etree

from supportbot_dagster.crawl.dom import BLOCKS, HEADINGS, Node, class_words, one_line, text_of

_MAX_DEPTH = 80  # levels of meaning, bare wrappers not counted; below it only the text is kept
_BREAK = "\x01"  # a <br> until white space is collapsed

_KINDS = frozenset(
    "note tip hint info important warning caution danger attention error seealso".split()
)
_DOCBOOK_KINDS = frozenset({"note", "tip", "important", "warning", "caution"})
_ADMONITION = re.compile(
    r"^(admonition|callout|alert|markdown-alert|notice|theme-admonition|starlight-aside|hint|bs-callout)"
    r"(-|$)"
)
_ADMONITION_PART = re.compile(r"-(content|icon|body|inner|text|link)(-|$)")
_ADMONITION_TITLE = re.compile(
    r"^(admonition|callout|alert|markdown-alert|notice|starlight-aside|note)-(title|heading|header)"
)
_LANGUAGE = re.compile(r"^(?:language|lang|highlight-source|highlight|brush:?|sourcecode)-(.+)$")
_NO_LANGUAGE = frozenset(
    "default none text plain plaintext plain-text txt notranslate highlighter-rouge "
    "undefined".split()
)
_GUTTERS = frozenset(
    "linenos lineno linenodiv gutter line-numbers-rows sr-only visually-hidden boring".split()
)
_CODE_PARTS = ("br", "div", "li", "p", "tr", "button")  # what is more than a colour in a ``pre``
_CODE_NAMES = ("line", "gutter", "boring", "sr-only", "visually")  # in the same way, within a class
_CLASSES = etree.XPath("descendant::*/@class", smart_strings=False)
_LOOKS_LIKE_MARKUP = re.compile(r"(#{1,6}\s|>|```|~~~|(-\s*){3,}$|(=\s*){3,}$)")
_ITEM = re.compile(r"(- |\d+\. )")
_INTEGER = re.compile(r"-?\d{1,6}")
_EMPHASIS = dict.fromkeys(("strong", "b"), "**")
_EMPHASIS |= dict.fromkeys(("em", "i", "cite", "dfn", "var"), "*")
_EMPHASIS |= dict.fromkeys(("del", "s", "strike"), "~~")
_LINK = re.compile(r"\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\([^)\s]*\)")
_STRUCTURE = re.compile(r"^(- |\d+\. |```|\||> |: )")


@dataclass(frozen=True)
class Heading:
    """A heading that opens a section: its level (1 to 6), its text and its anchor ("" if none)."""

    level: int
    text: str
    anchor: str


Block = Heading | str


class Renderer:
    """Writes one container of one page as Markdown blocks.

    Args:
        container: the element that holds the main content, already pruned. It is changed.
        internal: origins (``https://host``) whose links are written as their text only: their
            addresses change with the place where the site is served, and say nothing to a reader.
    """

    def __init__(self, container: Node, internal: Collection[str]) -> None:
        self._container = container
        self._internal = frozenset(internal)

    def blocks(self) -> list[Block]:
        """The container's content in reading order; headings that split sections are marked."""
        return self._flow(self._container, top=True, depth=0)

    # Blocks ---------------------------------------------------------------------------------

    def _flow(self, element: Node, *, top: bool, depth: int) -> list[Block]:
        element = self._innermost(element)
        if depth > _MAX_DEPTH:
            text = one_line(element.text(" "))
            return [text] if text else []
        if not element.holds_block:
            text = self._paragraph(element.children)
            return [text] if text else []
        out: list[Block] = []
        run: list[Node | str] = []
        before: Node | None = None

        def flush() -> None:
            text = self._paragraph(run)
            if text:
                out.append(text)
            run.clear()

        for child in element.children:
            if isinstance(child, Node) and self._is_block(child):
                flush()
                if top and child.name in HEADINGS:
                    out.extend(self._heading(child, before))
                else:
                    out.extend(self._block(child, top=top, depth=depth + 1))
            else:
                run.append(child)
            if isinstance(child, Node):
                before = child
        flush()
        return out

    def _heading(self, element: Node, before: Node | None) -> list[Block]:
        text = self._inline_text(element, plain=True)
        return [Heading(int(element.name[1]), text, self._anchor(element, before))] if text else []

    def _innermost(self, element: Node) -> Node:
        """Walk down bare wrappers, so that their number does not count as depth."""
        while element.holds_block:
            inner: Node | None = None
            for child in element.children:
                if isinstance(child, Node):
                    if inner is not None:
                        return element
                    inner = child
                elif _visible(child):
                    return element
            if inner is None or not self._is_wrapper(inner):
                return element
            element = inner
        return element

    def _is_wrapper(self, element: Node) -> bool:
        bare = element.name in {"div", "section", "center", "span", "font"}
        return (
            bare
            and self._is_block(element)
            and not _is_admonition(element)
            and not _is_lines(element)
            and _tabs(element) is None
        )

    def _is_block(self, element: Node) -> bool:
        return element.blocks > 0

    def _block(self, element: Node, *, top: bool, depth: int) -> list[Block]:
        name = element.name
        if name in HEADINGS:
            text = self._inline_text(element, plain=True)
            return [f"**{text}**"] if text else []
        if name == "pre":
            return self._fence(element)
        if _is_admonition(element):
            return self._admonition(element, depth=depth)
        if name in {"ul", "ol", "menu", "dir"}:
            return self._list(element, depth=depth)
        if name == "dl":
            return self._definitions(element, depth=depth)
        if name == "table":
            return self._table(element, top=top, depth=depth)
        if name == "blockquote":
            return _quote(_strings(self._flow(element, top=False, depth=depth)))
        if name in {"summary", "legend"}:
            text = self._inline_text(element, plain=True)
            return [f"**{text}**"] if text else []
        if not element.holds_block:  # the usual paragraph
            return self._flow(element, top=top, depth=depth)
        if _is_lines(element):
            lines = "\n".join(line.text().rstrip("\n") for line in element.elements())
            return _fenced(lines, "")
        if (pairs := _tabs(element)) is not None:
            out: list[Block] = []
            for label, panel in pairs:
                out.append(f"**{label}**")
                out.extend(self._flow(panel, top=False, depth=depth))
            return out
        return self._flow(element, top=top, depth=depth)

    def _paragraph(self, run: list[Node | str]) -> str:
        text = _tidy(self._inlines(run, plain=False, depth=0))
        if not text:
            return ""
        if _only_pictures(run):
            return ""  # a picture by itself: its alternative text repeats the caption
        if _LOOKS_LIKE_MARKUP.match(text):
            return "\\" + text
        return text

    def _fence(self, element: Node) -> list[Block]:
        return _fenced(_code(element.source), _language(element))

    def _list(self, element: Node, *, depth: int) -> list[Block]:
        ordered = element.name == "ol"
        number = _integer(element.get("start"), 1)
        items: list[str] = []
        for child in element.children:
            if not isinstance(child, Node):
                blocks: list[Block] = [self._paragraph([child])]
            elif child.name in {"ul", "ol"}:  # a list straight in a list belongs to the item above
                blocks = self._list(child, depth=depth + 1)
                if items and blocks:
                    items[-1] += "\n" + _indent(_join(blocks), 3 if ordered else 2)
                    continue
            elif child.name == "li":
                number = _integer(child.get("value"), number)
                blocks = self._flow(child, top=False, depth=depth + 1)
            else:
                blocks = self._block(child, top=False, depth=depth + 1)
            strings = [text for text in _strings(blocks) if text]
            if not strings:
                continue
            marker = f"{number}. " if ordered else "- "
            body = strings[0]
            for text in strings[1:]:
                tight = _ITEM.match(text) and "\n\n" not in text
                body += ("\n" if tight else "\n\n") + text
            items.append(marker + _indent(body, len(marker)).lstrip(" "))
            number += 1
        return ["\n".join(items)] if items else []

    def _definitions(self, element: Node, *, depth: int) -> list[Block]:
        out: list[Block] = []
        terms: list[str] = []
        described = False
        for child in _definition_parts(element):
            if child.name == "dt":
                if described:
                    out.append("\n".join(terms))
                    terms, described = [], False
                if text := " ".join(_strings(self._flow(child, top=False, depth=depth + 1))):
                    terms.append(text.replace("\n", " "))
                continue
            body = _join(self._flow(child, top=False, depth=depth + 1))
            if body and terms:
                terms.append(":   " + _indent(body, 4).lstrip(" "))
                described = True
            elif body:  # the term was a picture
                out.append("- " + _indent(body, 2).lstrip(" "))
        if terms:
            out.append("\n".join(terms))
        return out

    def _table(self, element: Node, *, top: bool, depth: int) -> list[Block]:
        rows = _own(element, "table", {"tr"})
        cells = [_own(row, "tr", {"td", "th"}) for row in rows]
        if _is_layout(element, cells):
            out: list[Block] = []
            for row_cells in cells:
                for cell in row_cells:
                    out.extend(self._flow(cell, top=top, depth=depth))
            return out
        grid = self._grid(cells, depth=depth)
        out = []
        caption = element.below("caption")
        if caption is not None and (text := self._inline_text(caption, plain=False)):
            out.append(text)
        if not any(any(line) for line in grid):
            return out
        width = max(len(line) for line in grid)
        lines = [line + [""] * (width - len(line)) for line in grid]
        first_is_head = bool(cells[0]) and (
            rows[0].above("thead") is not None or all(cell.name == "th" for cell in cells[0])
        )
        head = lines.pop(0) if first_is_head else [""] * width
        written = [head, ["---"] * width, *(line for line in lines if any(line))]
        out.append("\n".join("| " + " | ".join(line) + " |" for line in written))
        return out

    def _grid(self, cells: list[list[Node]], *, depth: int) -> list[list[str]]:
        """Cell texts; a cell over several rows is repeated, so that each row reads alone."""
        grid: list[list[str]] = []
        hanging: dict[int, tuple[int, str]] = {}
        for row_cells in cells:
            line: list[str] = []

            def hang(line: list[str]) -> None:
                while (held := hanging.get(len(line))) is not None:
                    left, text = held
                    if left > 1:
                        hanging[len(line)] = (left - 1, text)
                    else:
                        del hanging[len(line)]
                    line.append(text)

            for cell in row_cells:
                hang(line)
                text = self._cell(cell, depth=depth)
                down = min(_integer(cell.get("rowspan"), 1), len(cells), 100)
                across = min(max(_integer(cell.get("colspan"), 1), 1), 50)
                for offset in range(across):
                    shown = text if offset == 0 else ""
                    if down > 1:
                        hanging[len(line)] = (down - 1, shown)
                    line.append(shown)
            hang(line)
            grid.append(line)
        return [line for line in grid if line]

    def _cell(self, cell: Node, *, depth: int) -> str:
        parts: list[str] = []
        for block in _strings(self._flow(cell, top=False, depth=depth + 1)):
            if block.startswith("```"):
                parts += [f"`{line}`" for line in block.split("\n")[1:-1] if line.strip()]
            else:
                parts += [line.strip() for line in block.split("\n") if line.strip()]
        return "<br>".join(parts).replace("|", "\\|")

    def _admonition(self, element: Node, *, depth: int) -> list[Block]:
        title = _take_admonition_title(element)
        blocks = [text for text in _strings(self._flow(element, top=False, depth=depth)) if text]
        if not blocks:
            return []
        if not title:
            title = _kind(element)
            spoken = re.sub(r"[*_`>\s]+", " ", blocks[0]).strip().lower()
            if title and spoken.startswith(title.lower()):
                title = ""
        if title:
            bold = f"**{title}**" if title[-1] in ".:!?" else f"**{title}:**"
            if _STRUCTURE.match(blocks[0]):
                blocks.insert(0, bold)
            else:
                blocks[0] = f"{bold} {blocks[0]}"
        return _quote(blocks)

    # Inline ---------------------------------------------------------------------------------

    def _inline_text(self, element: Node, *, plain: bool) -> str:
        return _tidy(self._run(element, plain=plain, depth=0)).replace("\n", " ")

    def _run(self, element: Node, *, plain: bool, depth: int) -> str:
        return self._inlines(element.children, plain=plain, depth=depth)

    def _inlines(self, nodes: list[Node | str], *, plain: bool, depth: int) -> str:
        pieces: list[str] = []
        before: Node | str = ""
        for place, node in enumerate(nodes):
            if isinstance(node, str):
                pieces.append(_collapsed(node))
            else:
                glued = isinstance(before, Node) and (before.name == "code" or _is_key(before))
                marked = not plain and not (
                    node.name in _EMPHASIS and self._within_word(nodes, place)
                )
                pieces.append(
                    self._inline(node, glued=glued, marked=marked, plain=plain, depth=depth)
                )
            before = node
        return "".join(pieces)

    @staticmethod
    def _within_word(nodes: list[Node | str], place: int) -> bool:
        """Whether a node begins or ends within a word, where marks are not read as marks."""

        def ends(place: int) -> str:
            if not 0 <= place < len(nodes):
                return "  "
            node = nodes[place]
            text = node if isinstance(node, str) else node.text()
            return text[:1] + text[-1:] if text else "  "

        before, own, after = ends(place - 1), ends(place), ends(place + 1)
        return (before[1] + own[0]).isalnum() or (own[1] + after[0]).isalnum()

    def _inline(self, node: Node, *, glued: bool, marked: bool, plain: bool, depth: int) -> str:
        name = node.name
        if name == "br":
            return _BREAK
        if name == "img":
            return one_line(node.get("alt"))
        if name == "input":
            if node.get("type") != "checkbox":
                return ""
            return "[x] " if "checked" in node.attributes else "[ ] "
        if depth > _MAX_DEPTH or node.source is not None:
            return one_line(node.text(" "))
        if name in {"code", "tt", "samp"} or _is_key(node):
            # Two code spans that touch would be read as one.
            return (" " if glued else "") + _code_span(node.text(), plain=plain)
        # An index stands close to its word, where marks are not read as marks.
        inside = self._run(node, plain=plain or name in {"sub", "sup"}, depth=depth + 1)
        if name in BLOCKS:  # a block where only a line is wanted, as in a heading
            return f" {inside} "
        if name == "q":
            return f"“{inside}”"
        if name == "a":
            return self._link(node, inside, plain=plain)
        if plain:
            return inside
        if mark := _EMPHASIS.get(name):
            return _marked(inside, mark) if marked else inside
        if name == "sup" and re.fullmatch(r"[-\u2212+]?\d+", inside.strip()):
            return f"^{inside.strip()}"  # powers of ten, square metres
        return inside

    def _link(self, element: Node, inside: str, *, plain: bool) -> str:
        href = element.get("href").strip()
        text = inside.strip()
        if plain or not text:
            return inside
        try:
            parts = urlsplit(href)
            origin = f"{parts.scheme}://{parts.netloc}".lower()
        except ValueError:
            return inside
        if parts.scheme not in {"http", "https", "mailto"} or origin in self._internal:
            return inside
        if text.rstrip("/") in {href.rstrip("/"), href.split(":", 1)[1].strip("/")}:
            return inside
        target = href.replace(" ", "%20").replace("(", "%28").replace(")", "%29")
        return inside.replace(text, f"[{text}]({target})", 1)

    # Anchors --------------------------------------------------------------------------------

    def _anchor(self, heading: Node, before: Node | None) -> str:
        if own := heading.get("id").strip():
            return own
        for inner in heading.walk():
            if found := _own_anchor(inner):
                return found
        for parent in heading.ancestors():
            if parent is self._container or parent.below(*HEADINGS) is not heading:
                break
            if found := parent.get("id").strip():
                return found
        if before is not None and not before.size:
            for candidate in [before, *before.walk()]:
                if found := _own_anchor(candidate):
                    return found
        return ""


def plain_text(markdown: str) -> str:
    """The words of a Markdown text as a reader sees them, white space collapsed to single spaces.

    For comparing a quotation with the section it comes from. Marks (headings, bullets, numbers of
    lists, quotes, bold, code, tables, link targets) are dropped; the words of code blocks stay.
    """
    out: list[str] = []
    fence = ""
    for line in markdown.split("\n"):
        bare = re.sub(r"^\s*(>\s?)*", "", line)
        mark = re.match(r"\s*(`{3,})", bare)
        if fence:
            if mark and mark.group(1) == fence:
                fence = ""
            else:
                out.append(bare)
            continue
        if mark:
            fence = mark.group(1)
            continue
        if re.fullmatch(r"\|( --- \|)+", bare.strip()):
            continue
        bare = re.sub(r"^(\s*([-*+]|\d+\.|:)\s+)+", "", bare)
        bare = re.sub(r"^\\(?=[#>`~=-])|^#{1,6}\s+", "", bare)
        if bare.startswith("|"):
            bare = re.sub(r"(?<!\\)\||<br>", " ", bare).replace("\\|", "|")
        bare = _LINK.sub(r"\1", bare)
        bare = re.sub(r"(\*\*|~~|`+)(?=\S)(.+?)(?<=\S)\1", r"\2", bare)
        bare = re.sub(r"(?<![\w*])\*(?=\S)([^*]+?)(?<=\S)\*(?![\w*])", r"\1", bare)
        out.append(bare)
    return one_line(" ".join(out))


def _visible(node: Node | str) -> bool:
    """Whether a node can show anything: an element, or text that is not white space."""
    return isinstance(node, Node) or not node.isspace()


def _only_pictures(run: list[Node | str]) -> bool:
    """Whether nothing but pictures is to be seen."""
    for node in run:
        if isinstance(node, str):
            if not node.isspace():
                return False
        elif node.size or not _is_picture(node):
            return False
    return True


def _is_picture(node: Node) -> bool:
    """Whether a node without text is a picture, or a link and the like around pictures."""
    return node.name == "img" or (
        node.below("img") is not None and node.below("input", "br") is None
    )


def _own(element: Node, name: str, wanted: set[str]) -> list[Node]:
    """The wanted parts of an element that belong to none of the same name within it."""
    return [part for part in element.walk() if part.name in wanted and part.above(name) is element]


def _collapsed(text: str) -> str:
    """A text with each run of white space as one space, at its ends as well."""
    words = text.split()
    if not words:
        return " "
    before = " " if text[0].isspace() else ""
    after = " " if text[-1].isspace() else ""
    return before + " ".join(words) + after


def _tidy(text: str) -> str:
    if _BREAK not in text:
        return one_line(text)
    lines = (one_line(line) for line in text.split(_BREAK))
    return "\n".join(line for line in lines if line)


def _strings(blocks: list[Block]) -> list[str]:
    return [block if isinstance(block, str) else f"**{block.text}**" for block in blocks]


def _join(blocks: list[Block]) -> str:
    return "\n\n".join(text for text in _strings(blocks) if text)


def _indent(text: str, width: int) -> str:
    return "\n".join(" " * width + line if line.strip() else "" for line in text.split("\n"))


def _quote(blocks: list[str]) -> list[Block]:
    body = "\n\n".join(text for text in blocks if text)
    if not body:
        return []
    return ["\n".join(f"> {line}".rstrip() for line in body.split("\n"))]


def _marked(inside: str, mark: str) -> str:
    core = inside.strip(" \n\t" + _BREAK)
    if not core or core.startswith("*") or mark in core:
        return inside
    start = inside.index(core)
    return inside[:start] + mark + core + mark + inside[start + len(core) :]


def _code_span(text: str, *, plain: bool) -> str:
    core = one_line(text)
    if plain or not core:
        return core
    ticks = "``" if "`" in core else "`"
    pad = " " if ticks == "``" else ""
    before = " " if text[:1].isspace() else ""
    after = " " if text[-1:].isspace() else ""
    return f"{before}{ticks}{pad}{core}{pad}{ticks}{after}"


def _is_key(element: Node) -> bool:
    if element.name == "kbd":
        return element.below("kbd") is None  # the outer of nested keys only groups them
    return "keycap" in element.classes


def _integer(text: str, default: int) -> int:
    return int(text) if _INTEGER.fullmatch(text.strip()) else default


def _own_anchor(element: Node) -> str:
    name = element.get("name") if element.name == "a" else ""
    return (element.get("id") or name).strip()


def _code(pre: Any) -> str:
    """The text of a ``pre`` as shown: line numbers left out, one line for each block in it."""
    if _is_plain_code(pre):
        return text_of(pre)
    pieces: list[str] = []
    block_ended = False

    def say(text: str) -> None:
        nonlocal block_ended
        if block_ended and pieces and not (pieces[-1].endswith("\n") or text.startswith("\n")):
            pieces.append("\n")
        block_ended = False
        pieces.append(text)

    walk = etree.iterwalk(pre, events=("start", "end"))
    for event, element in walk:
        tag = element.tag
        if event == "start":
            names = element.get("class", "").split()
            if element is not pre and (tag == "button" or _GUTTERS.intersection(names)):
                walk.skip_subtree()
            elif tag == "br":
                say("\n")
            elif element.text:
                say(element.text)
        elif element is not pre:
            block_ended = block_ended or tag in {"div", "li", "p", "tr"}
            if element.tail:
                say(element.tail)
    return "".join(pieces)


def _is_plain_code(pre: Any) -> bool:
    """Whether every text of a ``pre`` is code, with its own line breaks."""
    if not len(pre):
        return True
    classes = " ".join(_CLASSES(pre))
    if any(name in classes for name in _CODE_NAMES):
        return False
    return next(pre.iter(*_CODE_PARTS), None) is None


def _fenced(text: str, language: str) -> list[Block]:
    code = text.replace("\xa0", " ").replace("\r\n", "\n").lstrip("\n").rstrip()
    if not code.strip():
        return []
    longest = max((len(run) for run in re.findall(r"`{3,}", code)), default=2)
    fence = "`" * (longest + 1)
    return [f"{fence}{language}\n{code}\n{fence}"]


def _is_lines(element: Node) -> bool:
    """Whether the element holds code as one ``div`` named line for each line."""
    lines = element.elements()
    return bool(lines) and all(line.name == "div" and "line" in line.classes for line in lines)


def _language(pre: Node) -> str:
    around: list[Any] = [pre, *itertools.islice(pre.source.iter("code"), 1)]
    for parent in pre.ancestors():
        if len(around) > 8 or parent.name in {"body", "article", "main", "li", "section"}:
            break
        around.append(parent)
    for candidate in around:
        if said := candidate.get("data-language") or candidate.get("data-lang"):
            return "" if said in _NO_LANGUAGE else _info(said)
        names = (candidate.get("class") or "").split()
        for name in names:
            found = _LANGUAGE.match(name.lower())
            if found and found.group(1) not in _NO_LANGUAGE:
                return _info(found.group(1))
        if "sourceCode" in names and len(names) > 1:
            return _info(next(name for name in names if name != "sourceCode"))
    return ""


def _info(language: str) -> str:
    return re.sub(r"[^\w+#.-]", "", language.lower())


def _definition_parts(element: Node) -> Iterator[Node]:
    for child in element.children:
        if not isinstance(child, Node):
            continue
        if child.name in {"dt", "dd"}:
            yield child
        else:  # HTML allows groups in <div>; anything else is taken the same way
            yield from (
                part
                for part in child.walk()
                if part.name in {"dt", "dd"} and part.above("dl") is element
            )


def _is_layout(table: Node, cells: list[list[Node]]) -> bool:
    if table.get("role") in {"presentation", "none"} or table.below("table") is not None:
        return True
    if max((len(row) for row in cells), default=0) <= 1:
        return True
    flat = [cell for row in cells for cell in row]
    if any(cell.headings for cell in flat):
        return True
    headless = all(cell.name != "th" for cell in flat)
    return headless and any(cell.below("pre") is not None for cell in flat)


def _tabs(element: Node) -> list[tuple[str, Node]] | None:
    """Label and panel of each tab, where the element is a set of tabs; else None."""
    if element.name != "div":
        return None
    bar = next(
        (
            child
            for child in element.elements()
            if child.get("role") == "tablist" or "tabbed-labels" in child.classes
        ),
        None,
    )
    if bar is None:
        return None
    labels = [one_line(tab.text()) for tab in bar.walk() if tab.get("role") == "tab"]
    labels = labels or [one_line(tab.text()) for tab in bar.walk() if tab.name == "label"]
    panels: list[Node] = []
    for panel in element.walk():
        if panel.name != "div":
            continue
        if panel.get("role") != "tabpanel" and "tabbed-block" not in panel.classes:
            continue
        if not any(above in panels for above in panel.ancestors()):
            panels.append(panel)
    if not labels or len(labels) != len(panels):
        return None
    return list(zip(labels, panels, strict=True))


def _is_admonition(element: Node) -> bool:
    return (
        element.name in {"div", "aside", "section", "details", "blockquote", "p"}
        and _names_admonition(element.get("class"))
        # Names like "info" also stand on wrappers of a whole page.
        and element.headings < 2
    )


@lru_cache(maxsize=4096)
def _names_admonition(classes: str) -> bool:
    words = class_words(classes)
    if not any(word in _KINDS or _ADMONITION.match(word) for word in words):
        return False
    return not any(_ADMONITION_TITLE.match(w) or _ADMONITION_PART.search(w) for w in words)


def _take_admonition_title(element: Node) -> str:
    """Cut the title out of an admonition and return its text, "" if it has none."""
    docbook = _DOCBOOK_KINDS.intersection(element.classes)
    for candidate in element.walk():
        titled = (
            candidate.name == "summary"
            or any(_ADMONITION_TITLE.match(word) for word in class_words(candidate.get("class")))
            or (candidate.name in HEADINGS and "title" in candidate.classes)
            or (docbook and candidate.name == "th")
        )
        if titled:
            text = one_line(candidate.text(" "))
            candidate.remove()
            return text[:1].upper() + text[1:]
    return ""


def _kind(element: Node) -> str:
    for word in class_words(element.get("class")):
        for part in word.split("-"):
            if part in _KINDS:
                return "See also" if part == "seealso" else part.capitalize()
    return ""
