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
from collections.abc import Callable
from dataclasses import dataclass, field

from supportbot_dagster.tickets.vendor import Vendor


@dataclass(frozen=True)
class Scan:
    """One text on its way through the rules.

    Args:
        text: the shadow of the text.
        lower: the folded text; same length as ``text``.
        vendor: what may stay.
    """

    text: str
    lower: str
    vendor: Vendor
    has_digit: bool
    known_names: frozenset[str] = frozenset()

    def before(self, position: int, length: int = 40) -> str:
        """The folded characters just before ``position``, up to ``length``."""
        return self.lower[max(0, position - length) : position]

    def after(self, position: int, length: int = 20) -> str:
        """The folded characters from ``position`` on, up to ``length``."""
        return self.lower[position : position + length]


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
        digits: the pattern is tried only if the text holds a digit.
        accept: the test that a match must pass.
        score: decides between overlapping finds, 0 to 1.
    """

    entity: str
    pattern: re.Pattern[str]
    gate: tuple[str, ...] = ()
    digits: bool = False
    accept: Accept = field(default=_always)
    score: float = 0.8

    def spans(self, scan: Scan) -> list[tuple[int, int]]:
        """Where the rule applies in ``scan``."""
        if self.digits and not scan.has_digit:
            return []
        if self.gate and not any(part in scan.lower for part in self.gate):
            return []
        group = "x" if "x" in self.pattern.groupindex else 0
        return [
            match.span(group)
            for match in self.pattern.finditer(scan.text)
            if match.end(group) > match.start(group) and self.accept(match, scan)
        ]


def regex(pattern: str, flags: int = re.IGNORECASE) -> re.Pattern[str]:
    """A compiled pattern; ``^`` and ``$`` are those of a line. Case is ignored by default."""
    return re.compile(pattern, flags | re.MULTILINE)


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
    r"minutes?|hours?|days?|eur|usd|gbp|dollars?|euros?|x\d|comments?|tickets?|lines?|files?)\b"
)


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
