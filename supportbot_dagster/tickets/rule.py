"""What a redaction rule is: a pattern, what it finds, and the test that a match must pass.

What lives here: :class:`Rule`, the :class:`Scan` of a text that all rules share, and the helpers of
the rule tables. What does not: the tables (``rules_*.py``) and the engine that runs them
(:mod:`supportbot_dagster.tickets.engine`).

All patterns run on the shadow of a text (:func:`supportbot_dagster.tickets.words.shadow`). A rule
redacts its group ``x``, or the whole match where it has none. Repetitions are bounded, so that a
long text costs time in proportion to its length.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from supportbot_dagster.tickets.vendor import Vendor
from supportbot_dagster.tickets.words import fold


@dataclass(frozen=True)
class Scan:
    """One text on its way through the rules.

    Args:
        text: the shadow of the text.
        lower: the folded text; same length as ``text``.
        vendor: what may stay.
        digits: how many digits the text holds.
        prefilter: whether rules may be skipped that cannot hit; only for tests of that.
        memo: what one recognizer found out about the text and another wants as well.
    """

    text: str
    lower: str
    vendor: Vendor
    digits: int
    prefilter: bool = True
    memo: dict[str, Any] = field(default_factory=dict, compare=False)

    @cached_property
    def features(self) -> frozenset[str]:
        """What the text holds, for the prefilter: see :data:`_FEATURES` and :data:`_SHAPES`."""
        words = self.text.split()
        found = {"run32"} if max(map(len, words), default=0) >= _RUN else set()
        if not self.digits:
            if _HOST.search(self.lower):
                found.add("host")
            return frozenset(found)
        if _CODED.search(self.lower):
            found.add("coded")
        mixed = " ".join([word for word in words if not word.isalpha()])
        folded = fold(mixed)
        found.update(name for name, pattern in _FEATURES if pattern.search(folded))
        found.update(name for name, pattern in _SHAPES if pattern.search(mixed))
        return frozenset(found)

    @cached_property
    def speaks_of_docs(self) -> bool:
        """Whether docs, samples or instructions are mentioned anywhere."""
        if self.prefilter and _DOCUMENTING.isdisjoint(_LETTERS.findall(self.lower)):
            return False
        return _DOCUMENTED.search(self.lower) is not None

    def before(self, position: int, length: int = 40) -> str:
        """The folded characters just before ``position``, up to ``length``."""
        return self.lower[max(0, position - length) : position]

    def after(self, position: int, length: int = 20) -> str:
        """The folded characters from ``position`` on, up to ``length``."""
        return self.lower[position : position + length]


_RUN = 32
_SPACE = re.compile(r"\s")
_HOST = re.compile(r"\.[^\W\d_]{2}")
_CODED = re.compile(r"\d(?:(?<=[^\W\d_]\d)|(?<=[^\W\d_][ \-_/#.]\d))")
"""A letter, perhaps a mark, and a digit. It begins with the digit, which is looked for fastest."""
_FEATURES = (
    # of the words that are more than letters: a few characters instead of the whole text
    ("host", _HOST),
    ("quad", re.compile(r"\.\d{1,3}\.\d")),
    ("hexes", re.compile(r"[:\-.][0-9a-f]{2,4}[:\-.][0-9a-f]{2}")),
    ("colons", re.compile(r":[0-9a-f]{0,4}:")),
)
_SHAPES = (
    ("five", re.compile(r"\d(?:[ .\-+*A-Z]{0,2}\d){4}")),
    ("seven", re.compile(r"\d(?:[ ()./\-]{0,3}\d){6}")),
    ("twelve", re.compile(r"\d(?:[ \-]{0,2}\d){11}")),
    ("social", re.compile(r"\d{3}[- ]\d\d[- ]\d{4}")),
    ("hex", re.compile(r"[0-9a-fA-F]{16}")),
    ("long", re.compile(r"[\w+/\-]{24}")),
    ("hosted", re.compile(r"\d-\d{1,3}-\d{1,3}-\d")),
    ("iban", re.compile(r"[A-Z]{2}\d{2}")),
    ("state", re.compile(r"[A-Z]\d|\d[A-Z]|\d\.\d{3}\.\d|\d{6}[\-+]\d|\d{3} \d\d \d\d")),
)
"""Features of a text that a rule may need, beside a word of 32 characters and a letter next to a
digit: what the words look like that are more than letters."""
_LETTERS = re.compile(r"[^\W\d_]+")


Accept = Callable[["re.Match[str]", Scan], bool]


def _always(match: re.Match[str], scan: Scan) -> bool:
    return True


@dataclass(frozen=True)
class Rule:
    """One pattern.

    Args:
        entity: the type of what is found; its placeholder is ``<entity>``.
        pattern: compiled pattern; group ``x`` is what is redacted, else the whole match.
        gate: the pattern is tried only if one of these is in the folded text; empty for always.
        digits: how many digits the text must hold for the pattern to be tried.
        needs: features (of :data:`_FEATURES` and :data:`_SHAPES`) that the text must have for the
            pattern to be tried.
        folded: the pattern runs on the folded text, where it is several times as fast as one that
            ignores case; it is written in lower case and ASCII letters then.
        starts: all that a match may begin with; the pattern is tried at these places alone.
        marks: what a word (a run without white space) holds if the pattern matches in it; it is
            tried in such words alone.
        shared: other rules have the same pattern; its matches are looked for once.
        accept: the test that a match must pass.
        score: decides between overlapping finds, 0 to 1.
    """

    entity: str
    pattern: re.Pattern[str]
    gate: tuple[str, ...] = ()
    digits: int = 0
    needs: frozenset[str] = frozenset()
    folded: bool = False
    starts: re.Pattern[str] | None = None
    marks: re.Pattern[str] | None = None
    shared: bool = False
    accept: Accept = field(default=_always)
    score: float = 0.8

    def spans(self, scan: Scan) -> list[tuple[int, int]]:
        """Where the rule applies in ``scan``."""
        pattern, accept = self.pattern, self.accept
        group = "x" if "x" in pattern.groupindex else 0
        matches = self.shared_matches(scan) if self.shared else self._matches(scan)
        return [
            match.span(group)
            for match in matches
            if match.end(group) > match.start(group) and accept(match, scan)
        ]

    def shared_matches(self, scan: Scan) -> list[re.Match[str]]:
        """The matches of a pattern that several ask for, looked for once."""
        matches: list[re.Match[str]] | None = scan.memo.get(self.pattern.pattern)
        if matches is None:
            matches = scan.memo[self.pattern.pattern] = list(self._matches(scan))
        return matches

    def _matches(self, scan: Scan) -> Iterator[re.Match[str]]:
        text = scan.lower if self.folded else scan.text
        if not scan.prefilter or not (self.starts or self.marks):
            yield from self.pattern.finditer(text)
        elif self.starts:
            end = 0
            for head in self.starts.finditer(text):
                if head.start() >= end:
                    match = self.pattern.match(text, head.start())
                    if match is not None:
                        yield match
                        end = match.end()
        elif self.marks:
            end = 0
            for mark in self.marks.finditer(text):
                if mark.start() >= end:
                    start = mark.start()
                    while start > 0 and not text[start - 1].isspace():
                        start -= 1
                    space = _SPACE.search(text, mark.end())
                    end = space.start() if space else len(text)
                    yield from self.pattern.finditer(text, start, end)


def regex(pattern: str, flags: int = re.IGNORECASE) -> re.Pattern[str]:
    """A compiled pattern; ``^`` and ``$`` are those of a line. Case is ignored by default."""
    return re.compile(pattern, flags | re.MULTILINE)


NUMBERS = regex(r"\d\d*")
CAPITALS = regex(r"[A-Z][A-Z]", flags=0)
"""Where rules may begin. A pattern that begins with one class is looked for fastest."""


def value_of(match: re.Match[str]) -> str:
    """What the match redacts."""
    return match["x"] if "x" in match.re.groupindex else match[0]


def start_of(match: re.Match[str]) -> int:
    """Where that begins."""
    return match.start("x") if "x" in match.re.groupindex else match.start()


def end_of(match: re.Match[str]) -> int:
    """Where that ends."""
    return match.end("x") if "x" in match.re.groupindex else match.end()


UNIT_AFTER = re.compile(
    r"^\s*(?:%|px|ms|kb|mb|gb|tb|bytes?|rows?|issues?|records?|items?|users?|requests?|seconds?|"
    r"minutes?|hours?|days?|weeks?|months?|years?|[kcm]?m|[kmg]?hz|[km]?g|lbs?|[km]?[wv]|kwh|[kmg]?bps|"
    r"fps|dpi|rpm|eur|usd|gbp|dollars?|euros?|x\d|comments?|tickets?|lines?|files?)\b"
)


_EXAMPLE = (
    r"(?<!for )examples?(?! (?:order|invoice|booking|customer|ticket|account|case|user|of)\b)|"
    r"samples?|placeholders?|dummy|tooltip|test (?:cards?|numbers?|data)"
)
_EXEMPLIFIED = re.compile(r"(?<![.@\-])\b(?:" + _EXAMPLE + r")\b(?!\.[a-z])")
_DOCUMENTED = re.compile(
    # the lookbehind spares hosts such as acme.example
    r"(?<![.@\-])\b(?:" + _EXAMPLE + r"|docs?|documentation|quickstart|quick start|"
    r"test (?:values?|mode)|sandbox|leaflet|tutorial|(?:help |setup |kb )?articles?|"
    r"instructions|demo|readme|api (?:guide|reference)|your (?:guide|faq|video|manual)|"
    r"template (?:says|shows|has)|accepts|expects|expected|seed(?:ed)?)\b(?!\.[a-z])"
)
_DOCUMENTING = frozenset(
    "doc docs documentation example examples sample samples placeholder placeholders dummy tooltip "
    "quickstart quick test sandbox leaflet tutorial article articles instructions demo readme api "
    "your template accepts "
    "expects expected seed seeded".split()
)
_SENTENCE_END = re.compile(r"[.!?](?=\s)|\n\s*\n")


def documented(scan: Scan, start: int, end: int) -> bool:
    """Whether a sentence speaks of an example from docs, samples or instructions."""
    return _in_sentence(_DOCUMENTED, scan, start, end)


def exemplified(scan: Scan, start: int, end: int) -> bool:
    """Whether a sentence says that a value is made up.

    For values whose form is proof: that a page is spoken of ("your form expects another one") makes
    no example of them.
    """
    return _in_sentence(_EXEMPLIFIED, scan, start, end)


def _in_sentence(pattern: re.Pattern[str], scan: Scan, start: int, end: int) -> bool:
    # each pattern finds only what the one for the whole text finds as well
    if scan.prefilter and not scan.speaks_of_docs:
        return False
    low = max(0, start - 220)
    head = scan.lower[low:start]
    stops = [match.end() for match in _SENTENCE_END.finditer(head)]
    head = head[stops[-1] :] if stops else head
    tail = scan.lower[end : end + 160]
    stop = _SENTENCE_END.search(tail)
    tail = tail[: stop.start()] if stop else tail
    return pattern.search(head) is not None or pattern.search(tail) is not None


_CHANGES_BEFORE = re.compile(
    r"\b(?:release notes?|change ?log|known issues?|fix(?:ed|es)?|merged|dup\w*)\b"
)
_CHANGES_AFTER = re.compile(
    r"[^.!?\n]{0,24}\b(?:fix(?:ed|es)?|merged|duplicate|regression|changelog)\b"
)


def speaks_of_changes(scan: Scan, start: int, end: int) -> bool:
    """Whether a number is one of a product's issues: "the notes list #18832 as fixed"."""
    if "#" not in scan.text[max(0, start - 1) : start + 1]:
        return False
    return (
        _CHANGES_AFTER.match(scan.after(end, 40)) is not None
        or _CHANGES_BEFORE.search(scan.before(start, 70)) is not None
    )


_MESSAGE = re.compile(r"[A-Z]{2,5}-?\d{3,5}")
_MESSAGE_BEFORE = re.compile(
    r"(?:\b(?:says?|gives?|gave|shows?|showed|returns?|returned|throws?|threw|prints?|printed|logs|"
    r"get|gets|got|with|(?:with|error|exit|status|fault|result|err) code|reason|problem|fault|"
    r"error(?: is(?: always)?)?|always|warning|message|"
    r"exception|err|errno)[\"']?[ ]?[:=]?[ ]?[\"'(]{0,2})$"
)
_MESSAGE_SAYS = re.compile(
    r"\b(?:says?|gives?|gave|shows?|showed|returns?|returned|throws?|threw|prints?|printed)[ ]?$"
)
_ON_PAPER = re.compile(
    r"\b(?:invoice|order|receipt|pdf|letter|label|contract|statement|paper|slip|e-?mail|card|box|"
    r"booking|confirmation|quote|quotation|ticket|customer|account|sticker|plate)\b[^.!?\n]{0,30}$"
)


def is_message(scan: Scan, start: int, value: str) -> bool:
    """Whether letters and a few digits are a machine's message: "the API returns MSB3073"."""
    if _MESSAGE.fullmatch(value) is None:
        return False
    before = scan.before(start, 60)
    if _MESSAGE_BEFORE.search(before) is None:
        return False
    # what a paper says is its number
    return _MESSAGE_SAYS.search(before) is None or _ON_PAPER.search(before) is None


def digits_of(text: str) -> str:
    """The digits of a text."""
    return re.sub(r"\D", "", text)


PLACEHOLDER_VALUE = re.compile(
    r"^(?:<.*>?|\{.*\}?|\[.*\]?|\$.*|%.*|x{3,}|\*{3,}|\.{2,}|your[\w\-]*|my[_-]\w+|\w*_?here|"
    r"token|secret|key|value|example|redacted|abc|foo|bar)$",
    re.IGNORECASE,
)


def entropy(value: str) -> float:
    """Shannon entropy of the characters, in bits per character."""
    counts = Counter(value)
    return -sum(n / len(value) * math.log2(n / len(value)) for n in counts.values())
