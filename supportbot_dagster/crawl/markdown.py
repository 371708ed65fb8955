"""An HTML tree to Markdown blocks, and Markdown to the text a reader sees.

What lives here: how each element is written (headings, code, lists, tables, definition lists,
admonitions, tabs, keys, menu paths). What does not: which part of a page is content (``extract``).

It is a converter of its own because the common ones lose what help pages are made of: definition
lists and tables with blocks in their cells, layout tables, tabs, and anything nested deeply.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from bs4 import BeautifulSoup, CData, Tag
from bs4.element import NavigableString, PageElement

from supportbot_dagster.crawl.dom import (
    BLOCKS,
    HEADINGS,
    attribute,
    class_words,
    classes,
    one_line,
    text_length,
)

_MAX_DEPTH = 80  # levels of meaning, bare wrappers not counted; below it only the text is kept
_TEXT = (NavigableString, CData)  # exactly these: comments and the like are subclasses
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
_GUTTERS = frozenset({"linenos", "lineno", "linenodiv", "gutter", "line-numbers-rows"})
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

    def __init__(self, container: Tag, internal: Collection[str]) -> None:
        self._container = container
        self._internal = frozenset(internal)
        self._wraps_blocks: set[int] = set()
        for element in container.find_all(True):
            if element.name not in BLOCKS:
                continue
            for parent in element.parents:
                if id(parent) in self._wraps_blocks or parent is container:
                    break
                self._wraps_blocks.add(id(parent))

    def blocks(self) -> list[Block]:
        """The container's content in reading order; headings that split sections are marked."""
        return self._flow(self._container, top=True, depth=0)

    # Blocks ---------------------------------------------------------------------------------

    def _flow(self, element: Tag, *, top: bool, depth: int) -> list[Block]:
        element = self._innermost(element)
        if depth > _MAX_DEPTH:
            text = one_line(element.get_text(" "))
            return [text] if text else []
        out: list[Block] = []
        run: list[PageElement] = []

        def flush() -> None:
            text = self._paragraph(run)
            if text:
                out.append(text)
            run.clear()

        for child in list(element.children):
            if isinstance(child, Tag) and self._is_block(child):
                flush()
                out.extend(self._block(child, top=top, depth=depth + 1))
            else:
                run.append(child)
        flush()
        return out

    def _innermost(self, element: Tag) -> Tag:
        """Walk down bare wrappers, so that their number does not count as depth."""
        while True:
            inner: Tag | None = None
            for child in element.children:
                if isinstance(child, Tag):
                    if inner is not None:
                        return element
                    inner = child
                elif _visible(child):
                    return element
            if inner is None or not self._is_wrapper(inner):
                return element
            element = inner

    def _is_wrapper(self, element: Tag) -> bool:
        bare = element.name in {"div", "section", "center", "span", "font"}
        return (
            bare
            and self._is_block(element)
            and not _is_admonition(element)
            and _tabs(element) is None
        )

    def _is_block(self, element: Tag) -> bool:
        return element.name in BLOCKS or id(element) in self._wraps_blocks

    def _block(self, element: Tag, *, top: bool, depth: int) -> list[Block]:
        name = element.name
        if name in HEADINGS:
            text = self._inline_text(element, plain=True)
            if not text:
                return []
            if top:
                return [Heading(int(name[1]), text, self._anchor(element))]
            return [f"**{text}**"]
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
        if (pairs := _tabs(element)) is not None:
            out: list[Block] = []
            for label, panel in pairs:
                out.append(f"**{label}**")
                out.extend(self._flow(panel, top=False, depth=depth))
            return out
        return self._flow(element, top=top, depth=depth)

    def _paragraph(self, run: list[PageElement]) -> str:
        text = _tidy("".join(self._inline(node, plain=False, depth=0) for node in run))
        if not text:
            return ""
        if all(isinstance(node, Tag) and node.name == "img" for node in run if _visible(node)):
            return ""  # a picture by itself: its alternative text repeats the caption
        if re.match(r"(#{1,6}\s|>|```|~~~|(-\s*){3,}$|(=\s*){3,}$)", text):
            return "\\" + text
        return text

    def _fence(self, element: Tag) -> list[Block]:
        code = "".join(_code_pieces(element)).replace("\xa0", " ").replace("\r\n", "\n")
        code = code.lstrip("\n").rstrip()
        if not code.strip():
            return []
        longest = max((len(run) for run in re.findall(r"`{3,}", code)), default=2)
        fence = "`" * (longest + 1)
        return [f"{fence}{_language(element)}\n{code}\n{fence}"]

    def _list(self, element: Tag, *, depth: int) -> list[Block]:
        ordered = element.name == "ol"
        number = _integer(attribute(element, "start"), 1)
        items: list[str] = []
        for child in list(element.children):
            if not isinstance(child, Tag):
                blocks: list[Block] = [self._paragraph([child])]
            elif child.name in {"ul", "ol"}:  # a list straight in a list belongs to the item above
                blocks = self._list(child, depth=depth + 1)
                if items and blocks:
                    items[-1] += "\n" + _indent(_join(blocks), 3 if ordered else 2)
                    continue
            elif child.name == "li":
                number = _integer(attribute(child, "value"), number)
                blocks = self._flow(child, top=False, depth=depth + 1)
            else:
                blocks = self._block(child, top=False, depth=depth + 1)
            strings = [text for text in _strings(blocks) if text]
            if not strings:
                continue
            marker = f"{number}. " if ordered else "- "
            body = strings[0]
            for text in strings[1:]:
                tight = re.match(r"(- |\d+\. )", text) and "\n\n" not in text
                body += ("\n" if tight else "\n\n") + text
            items.append(marker + _indent(body, len(marker)).lstrip(" "))
            number += 1
        return ["\n".join(items)] if items else []

    def _definitions(self, element: Tag, *, depth: int) -> list[Block]:
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

    def _table(self, element: Tag, *, top: bool, depth: int) -> list[Block]:
        rows = [row for row in element.find_all("tr") if row.find_parent("table") is element]
        cells = [
            [cell for cell in row.find_all(["td", "th"]) if cell.find_parent("tr") is row]
            for row in rows
        ]
        if _is_layout(element, cells):
            out: list[Block] = []
            for row_cells in cells:
                for cell in row_cells:
                    out.extend(self._flow(cell, top=top, depth=depth))
            return out
        grid = self._grid(cells, depth=depth)
        out = []
        caption = element.find("caption")
        if isinstance(caption, Tag) and (text := self._inline_text(caption, plain=False)):
            out.append(text)
        if not any(any(line) for line in grid):
            return out
        width = max(len(line) for line in grid)
        lines = [line + [""] * (width - len(line)) for line in grid]
        first_is_head = bool(cells[0]) and (
            rows[0].find_parent("thead") is not None or all(cell.name == "th" for cell in cells[0])
        )
        head = lines.pop(0) if first_is_head else [""] * width
        written = [head, ["---"] * width, *(line for line in lines if any(line))]
        out.append("\n".join("| " + " | ".join(line) + " |" for line in written))
        return out

    def _grid(self, cells: list[list[Tag]], *, depth: int) -> list[list[str]]:
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
                down = min(_integer(attribute(cell, "rowspan"), 1), len(cells))
                across = min(max(_integer(attribute(cell, "colspan"), 1), 1), 50)
                for offset in range(across):
                    shown = text if offset == 0 else ""
                    if down > 1:
                        hanging[len(line)] = (down - 1, shown)
                    line.append(shown)
            hang(line)
            grid.append(line)
        return [line for line in grid if line]

    def _cell(self, cell: Tag, *, depth: int) -> str:
        parts: list[str] = []
        for block in _strings(self._flow(cell, top=False, depth=depth + 1)):
            if block.startswith("```"):
                parts += [f"`{line}`" for line in block.split("\n")[1:-1] if line.strip()]
            else:
                parts += [line.strip() for line in block.split("\n") if line.strip()]
        return "<br>".join(parts).replace("|", "\\|")

    def _admonition(self, element: Tag, *, depth: int) -> list[Block]:
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

    def _inline_text(self, element: Tag, *, plain: bool) -> str:
        text = "".join(self._inline(node, plain=plain, depth=0) for node in element.children)
        return _tidy(text).replace("\n", " ")

    def _inline(self, node: PageElement, *, plain: bool, depth: int) -> str:
        if not isinstance(node, Tag):
            return re.sub(r"\s+", " ", str(node)) if type(node) in _TEXT else ""
        name = node.name
        if name == "br":
            return _BREAK
        if name == "img":
            return one_line(attribute(node, "alt"))
        if name == "input":
            if attribute(node, "type") != "checkbox":
                return ""
            return "[x] " if node.has_attr("checked") else "[ ] "
        if depth > _MAX_DEPTH:
            return one_line(node.get_text(" "))
        if name in {"code", "tt", "samp"} or _is_key(node):
            before = node.previous_sibling
            glued = isinstance(before, Tag) and (before.name == "code" or _is_key(before))
            # Two code spans that touch would be read as one.
            return (" " if glued else "") + _code_span(node.get_text(), plain=plain)
        inside = "".join(
            self._inline(child, plain=plain, depth=depth + 1) for child in node.children
        )
        if name in BLOCKS:  # a block where only a line is wanted, as in a heading
            return f" {inside} "
        if name == "q":
            return f"“{inside}”"
        if name == "a":
            return self._link(node, inside, plain=plain)
        if plain:
            return inside
        if name in {"strong", "b"}:
            return _marked(inside, "**")
        if name in {"em", "i", "cite", "dfn", "var"}:
            return _marked(inside, "*")
        if name in {"del", "s", "strike"}:
            return _marked(inside, "~~")
        if name == "sup" and re.fullmatch(r"[-\u2212+]?\d+", inside.strip()):
            return f"^{inside.strip()}"  # powers of ten, square metres
        return inside

    def _link(self, element: Tag, inside: str, *, plain: bool) -> str:
        href = attribute(element, "href").strip()
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

    def _anchor(self, heading: Tag) -> str:
        if own := attribute(heading, "id").strip():
            return own
        for inner in heading.find_all(True):
            if found := _own_anchor(inner):
                return found
        for parent in heading.parents:
            if parent is self._container or parent.find(list(HEADINGS)) is not heading:
                break
            if found := attribute(parent, "id").strip():
                return found
        before = heading.find_previous_sibling(True)
        if isinstance(before, Tag) and not text_length(before):
            for candidate in [before, *before.find_all(True)]:
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
        bare = re.sub(r"\[([^\]]*)\]\([^)\s]*\)", r"\1", bare)
        bare = re.sub(r"(\*\*|~~|`+)(?=\S)(.+?)(?<=\S)\1", r"\2", bare)
        bare = re.sub(r"(?<![\w*])\*(?=\S)([^*]+?)(?<=\S)\*(?![\w*])", r"\1", bare)
        out.append(bare)
    return one_line(" ".join(out))


def _visible(node: PageElement) -> bool:
    """Whether a node can show anything: a tag, or text that is not white space or a comment."""
    if isinstance(node, Tag):
        return True
    return type(node) in _TEXT and bool(str(node).strip())


def _tidy(text: str) -> str:
    text = re.sub("[\u200b\u200c\u2060\ufeff\u00ad\x00]", "", text)
    lines = (re.sub(r"\s+", " ", line).strip() for line in text.split(_BREAK))
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


def _is_key(element: Tag) -> bool:
    if element.name == "kbd":
        return element.find("kbd") is None  # the outer of nested keys only groups them
    return "keycap" in classes(element)


def _integer(text: str, default: int) -> int:
    return int(text) if re.fullmatch(r"-?\d{1,6}", text.strip()) else default


def _own_anchor(element: Tag) -> str:
    name = attribute(element, "name") if element.name == "a" else ""
    return (attribute(element, "id") or name).strip()


def _code_pieces(element: Tag) -> Iterator[str]:
    """The text of a ``pre`` as shown: line numbers left out, one line for each block in it."""
    stack: list[PageElement | str] = [element]
    ends_line = True
    while stack:
        node = stack.pop()
        if isinstance(node, str) and not isinstance(node, NavigableString):
            piece = "" if ends_line else node
        elif isinstance(node, Tag):
            if node.name == "br":
                piece = "\n"
            elif node.name in {"button", "script", "style"} or _GUTTERS.intersection(classes(node)):
                continue
            else:
                if node.name in {"div", "li", "p", "tr"}:
                    stack.append("\n")
                stack.extend(reversed(list(node.children)))
                continue
        elif type(node) in _TEXT:
            piece = str(node)
        else:
            continue
        if piece:
            ends_line = piece.endswith("\n")
            yield piece


def _language(element: Tag) -> str:
    around = [element, *element.find_all("code", limit=1)]
    for parent in element.parents:
        if len(around) > 8 or parent.name in {"body", "article", "main", "li", "section"}:
            break
        around.append(parent)
    for candidate in around:
        if said := attribute(candidate, "data-language") or attribute(candidate, "data-lang"):
            return "" if said in _NO_LANGUAGE else _info(said)
        names = classes(candidate)
        for name in names:
            found = _LANGUAGE.match(name.lower())
            if found and found.group(1) not in _NO_LANGUAGE:
                return _info(found.group(1))
        if "sourceCode" in names and len(names) > 1:
            return _info(next(name for name in names if name != "sourceCode"))
    return ""


def _info(language: str) -> str:
    return re.sub(r"[^\w+#.-]", "", language.lower())


def _definition_parts(element: Tag) -> Iterator[Tag]:
    for child in element.children:
        if not isinstance(child, Tag):
            continue
        if child.name in {"dt", "dd"}:
            yield child
        else:  # HTML allows groups in <div>; anything else is taken the same way
            yield from (
                part for part in child.find_all(["dt", "dd"]) if part.find_parent("dl") is element
            )


def _is_layout(table: Tag, cells: list[list[Tag]]) -> bool:
    if attribute(table, "role") in {"presentation", "none"} or table.find("table") is not None:
        return True
    if max((len(row) for row in cells), default=0) <= 1:
        return True
    flat = [cell for row in cells for cell in row]
    if any(cell.find(list(HEADINGS)) is not None for cell in flat):
        return True
    headless = all(cell.name != "th" for cell in flat)
    return headless and any(cell.find("pre") is not None for cell in flat)


def _tabs(element: Tag) -> list[tuple[str, Tag]] | None:
    """Label and panel of each tab, where the element is a set of tabs; else None."""
    if element.name != "div":
        return None
    bar = next(
        (
            child
            for child in element.find_all(True, recursive=False)
            if attribute(child, "role") == "tablist" or "tabbed-labels" in classes(child)
        ),
        None,
    )
    if bar is None:
        return None
    labels = [one_line(tab.get_text()) for tab in bar.select('[role="tab"]')]
    labels = labels or [one_line(tab.get_text()) for tab in bar.find_all("label")]
    panels: list[Tag] = []
    for panel in element.find_all("div"):
        if attribute(panel, "role") != "tabpanel" and "tabbed-block" not in classes(panel):
            continue
        if not any(held in panel.parents for held in panels):
            panels.append(panel)
    if not labels or len(labels) != len(panels):
        return None
    return list(zip(labels, panels, strict=True))


def _is_admonition(element: Tag) -> bool:
    if element.name not in {"div", "aside", "section", "details", "blockquote", "p"}:
        return False
    words = class_words(element)
    if not words or not any(word in _KINDS or _ADMONITION.match(word) for word in words):
        return False
    if any(_ADMONITION_TITLE.match(w) or _ADMONITION_PART.search(w) for w in words):
        return False
    # Names like "info" also stand on wrappers of a whole page.
    return len(element.find_all(list(HEADINGS), limit=2)) < 2


def _take_admonition_title(element: Tag) -> str:
    """Cut the title out of an admonition and return its text, "" if it has none."""
    docbook = _DOCBOOK_KINDS.intersection(classes(element))
    for candidate in element.find_all(True):
        titled = (
            candidate.name == "summary"
            or any(_ADMONITION_TITLE.match(word) for word in class_words(candidate))
            or (candidate.name in HEADINGS and "title" in classes(candidate))
            or (docbook and candidate.name == "th")
        )
        if titled:
            text = one_line(candidate.get_text(" "))
            candidate.extract()
            return text[:1].upper() + text[1:]
    return ""


def _kind(element: Tag) -> str:
    for word in class_words(element):
        for part in word.split("-"):
            if part in _KINDS:
                return "See also" if part == "seealso" else part.capitalize()
    return ""


def parse(html: str) -> BeautifulSoup:
    """The tree of a page, however malformed; an XML declaration is dropped."""
    cleaned = re.sub(r"^\s*<\?xml[^>]*\?>", "", html.replace("\x00", ""), count=1)
    return BeautifulSoup(cleaned, "lxml")
