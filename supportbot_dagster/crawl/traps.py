"""Addresses without end: calendars, sort orders, sessions, paths that grow by themselves.

What lives here: telling such addresses by their shape and by what came back for others of the same
shape. What does not: limits of a crawl (``crawler``).
"""

from __future__ import annotations

import re
from collections import defaultdict
from urllib.parse import urlsplit

LONGEST = 2000
"""Characters of an address; a longer one is made by a machine for itself."""

_NUMBER = re.compile(r"\d+")
_DATES = re.compile(
    r"\d+|\b(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|"
    r"sep(?:t(?:ember)?)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?|mon(?:day)?|tue(?:sday)?|"
    r"wed(?:nesday)?|thu(?:rsday)?|fri(?:day)?|sat(?:urday)?|sun(?:day)?)\b",
    re.IGNORECASE,
)
_MARKS = re.compile(r"[\W_]+")


class Traps:
    """What a crawl knows of the shapes of addresses.

    Two addresses are of one shape if they differ in their numbers only, or in their queries only. A
    shape is a trap once so many of its addresses were read and over half of them said, numbers and
    names of days and months apart, what another one had said.

    Args:
        patience: addresses of a shape that are read before it may count as a trap.
    """

    def __init__(self, patience: int) -> None:
        self._patience = patience
        self._read: dict[str, int] = defaultdict(int)
        self._unread: dict[str, list[str]] = defaultdict(list)
        self._said: dict[str, set[int]] = defaultdict(set)
        self.closed: set[str] = set()

    def why(self, url: str) -> str:
        """Why the address is not worth a request; "" where it is."""
        if len(url) > LONGEST:
            return f"{len(url)} characters"
        if _repeats_itself(urlsplit(url).path):
            return "a path that repeats itself"
        for shape in self.closed.intersection(shapes(url)):
            return f"one more of {shape}"
        return ""

    def saw(self, url: str, text: str) -> None:
        """Note what an address said: the text of its page, or where it led."""
        for shape in shapes(url):
            self._read[shape] += 1
            self._unread[shape].append(text)
            read = self._read[shape]
            if read < self._patience:
                continue  # most shapes never have so many addresses: their texts stay unread
            said = self._said[shape]
            said.update(hash(skeleton(waiting)) for waiting in self._unread.pop(shape))
            if len(said) * 2 < read:
                self.closed.add(shape)


def shapes(url: str) -> list[str]:
    """The shapes of an address: numbers as ``N``; a query as ``?``. None for one without either."""
    parts = urlsplit(url)
    whole = parts.path + (f"?{parts.query}" if parts.query else "")
    found = []
    if (numbered := _NUMBER.sub("N", whole)) != whole:
        found.append(numbered)
    if parts.query:
        found.append(parts.path + "?")
    return found


def skeleton(text: str) -> str:
    """A text without its numbers, marks and names of days and months."""
    return _MARKS.sub(" ", _DATES.sub(" ", text)).strip().lower()


def _repeats_itself(path: str) -> bool:
    """Whether one to four parts stand three times in a row. Numbers may: ``/11/11`` is a date."""
    parts = path.split("/")[1:]
    for width in range(1, 5):
        for start in range(len(parts) - 3 * width + 1):
            run = parts[start : start + width]
            if all(not part or part.isdigit() for part in run):
                continue
            if run * 3 == parts[start : start + 3 * width]:
                return True
    return False
