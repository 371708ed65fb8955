"""Word lists and the length-preserving folding of text that all redaction rules share.

What lives here: which words are ordinary vocabulary, which are names, which name a tool or a place,
and the two shadows of a text (punctuation normalised; accents folded as well). What does not:
any decision about a text; that is made in :mod:`supportbot_dagster.tickets.rules` and
:mod:`supportbot_dagster.tickets.tagger`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

_EMOJI = (
    "\u00a9\u00ae\u203c\u2049\u2122\u2139\u2190-\u21ff\u2300-\u27bf\u2934\u2935\u2b00-\u2bff\u3030"
    "\u303d\u3297\u3299\U0001f000-\U0001faff"
)
_INVISIBLE = re.compile(
    # what Unicode has ignored by default, and the character of an inline object
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200c\u200e\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0e\ufeff\uffa0\ufff0-\ufff8\ufffc"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]|"
    # what gives an emoji its colours or joins two stays there, where it parts no word
    f"(?<![{_EMOJI}])\ufe0f(?!\u20e3)|"
    f"(?<![{_EMOJI}])(?<![{_EMOJI}]\ufe0f)\u200d|\u200d(?![{_EMOJI}])"
)
_SURROGATE = re.compile("[\ud800-\udfff]")

_PUNCTUATION = {
    **{ord(char): " " for char in "\u00a0\u2002\u2003\u2007\u2009\u200a\u202f\u3000\t"},
    **{ord(char): "-" for char in "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\uff0d"},
    **{ord(char): "'" for char in "\u2018\u2019\u201b\u02bc\u00b4`"},
    **{ord(char): '"' for char in "\u201c\u201d\u201e\u00ab\u00bb"},
    **{code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F) if code != 0xFF0D},
}


def _fold_table() -> dict[int, str]:
    table = dict(_PUNCTUATION)
    ranges = (range(0x00C0, 0x0250), range(0x1E00, 0x1F00))
    special = {
        "ø": "o",
        "ð": "d",
        "ł": "l",
        "đ": "d",
        "ı": "i",
        "ß": "s",
        "æ": "e",
        "œ": "e",
        "þ": "t",
    }
    for code in (code for span in ranges for code in span):
        base = unicodedata.normalize("NFD", chr(code))[0].lower()
        table[code] = special.get(base, base)[0]
    table.update({code: chr(code).lower() for code in range(ord("A"), ord("Z") + 1)})
    return table


_FOLD = _fold_table()


def word_set(text: str) -> frozenset[str]:
    """The words of a text, for lists that are read better as a text."""
    return frozenset(text.split())


PARTICLES = word_set(
    "de del della der den des di do dos du da das el al bin ben ibn la las le les lo los van von "
    "binti bint bte binte ter ten te zu zum zur san st saint mc mac abu af av y e i o"
)

COMMON, GIVEN, SURNAME, THING = 1, 2, 4, 8
"""Bits of :attr:`Words.kinds`: vocabulary, given name, family name, tool or place."""

_ENDINGS = (
    ("'s", ("",)), ("ies", ("y",)), ("es", ("", "e")), ("s", ("",)), ("ied", ("y",)),
    ("ed", ("", "e")), ("ing", ("", "e")), ("ers", ("", "e")), ("er", ("", "e")),
    ("est", ("", "e")), ("ors", ("", "e")), ("or", ("", "e")), ("ly", ("", "le")),
    ("ness", ("",)), ("able", ("", "e")), ("ment", ("",)), ("ments", ("",)), ("ful", ("",)),
    ("less", ("",)), ("ation", ("", "e")), ("ations", ("", "e")), ("ity", ("", "e")),
    ("ability", ("able",)), ("ive", ("", "e")), ("ically", ("ic",)), ("ish", ("",)),
    ("ise", ("", "y")), ("ize", ("", "y")), ("iser", ("",)), ("izer", ("",)), ("y", ("", "e")),
)  # fmt: skip
_BEGINNINGS = (
    "un", "re", "non", "pre", "sub", "super", "multi", "over", "under", "auto", "dis", "mis",
    "inter", "anti", "out", "up", "down", "back", "co", "micro", "mini", "cyber", "e", "self",
)  # fmt: skip


@dataclass(frozen=True)
class Words:
    """The word lists, folded.

    Args:
        common: ordinary vocabulary; a capital letter alone does not make a name of these.
        given_names: first names that are not ordinary words.
        ambiguous_names: first names that are ordinary words as well.
        tools: tools, brands, places, languages and feasts.
        kinds: all of them, with surnames, as bits; what kinds a word has is one look-up.
        seen: what :meth:`kind` answered; only a memory, nothing is derived from it.
    """

    common: frozenset[str]
    given_names: frozenset[str]
    ambiguous_names: frozenset[str]
    tools: frozenset[str]
    kinds: Mapping[str, int]
    seen: dict[str, int] = field(default_factory=dict, repr=False, compare=False)

    def kind(self, word: str) -> int:
        """The bits of a folded word; derived forms of vocabulary ("unsynced") count as common."""
        found = self.kinds.get(word)
        if found is None:
            found = self.seen.get(word)
        if found is None and "'" in word and self.kinds.get(word.replace("'", ""), 0) & SURNAME:
            found = SURNAME  # o'shea
        if found is None and "-" in word:
            found = self._double(word)
        if found is None:
            # remembered, because a word of a ticket comes again in the next one; apart from the
            # lists, so that what a word is does not depend on the tickets before
            found = COMMON if self._derived(word) else 0
            if len(self.seen) < 100_000:
                self.seen[word] = found
        return found

    def _double(self, word: str) -> int | None:
        """A double name's kind: two given names, because surnames may be a method's."""
        kinds = [self.kinds.get(part, 0) for part in word.split("-")]
        if any(bits & (COMMON | THING) for bits in kinds) or not any(kinds):
            return None
        return GIVEN if all(bits & GIVEN for bits in kinds) else None

    def _derived(self, word: str) -> bool:
        if "-" in word:
            return all(self.kind(part) & (COMMON | THING) for part in word.split("-") if part)
        if "'" in word and not word.endswith("'s"):
            return word.endswith(("n't", "'m", "'ll", "'re", "'ve", "'d", "s'"))
        for ending, instead in _ENDINGS:
            if word.endswith(ending):
                stem = word[: -len(ending)]
                if len(stem) < 3:
                    continue
                if any(self.kinds.get(stem + last, 0) & COMMON for last in instead):
                    return True
                doubled = len(stem) > 3 and stem[-1] == stem[-2]
                if doubled and self.kinds.get(stem[:-1], 0) & COMMON:
                    return True
        for beginning in _BEGINNINGS:
            rest = word[len(beginning) :]
            if word.startswith(beginning) and len(rest) >= 3 and self.kinds.get(rest, 0) & COMMON:
                return True
        return False


@cache
def words() -> Words:
    """The lists of this package, read once."""
    folder = Path(__file__).parent
    common = frozenset(_read(folder / "common_words.txt"))
    tools = frozenset(_read(folder / "things.txt"))
    surnames = _read(folder / "surnames.txt")
    entries = _read(folder / "first_names.txt")
    names = {entry.rstrip("*") for entry in entries}
    ambiguous = {entry.rstrip("*") for entry in entries if entry.endswith("*")}
    ambiguous |= names & (common | tools)
    kinds: dict[str, int] = {}
    for bit, group in (
        (COMMON, common | ambiguous),
        (GIVEN, names),
        (SURNAME, surnames),
        (THING, tools),
    ):
        for word in group:
            kinds[word] = kinds.get(word, 0) | bit
    return Words(common, frozenset(names - ambiguous), frozenset(ambiguous), tools, kinds)


def strip_invisible(text: str) -> str:
    """``text`` without characters that show nothing, which hide data in words.

    They are zero-width characters, bidirectional marks, variation selectors and tags; the joiners
    of Persian and Indic words go as well, and those within an emoji stay. A lone surrogate, which
    JSON can hold and no file, becomes the replacement character.
    """
    if text.isascii():
        return text
    # an inline object's character goes because it means "redacted already" further on
    return _SURROGATE.sub("\ufffd", _INVISIBLE.sub("", text))


def shadow(text: str) -> str:
    """``text`` with typographic spaces, hyphens, quotes and full-width forms as ASCII.

    The length stays the same, so that a position in the shadow is one in the text.
    """
    return text.translate(_PUNCTUATION)


def fold(text: str) -> str:
    """The shadow in lower case without accents, of the same length as ``text``."""
    if text.isascii():
        return text.replace("\t", " ").lower()
    return text.translate(_FOLD)


def _read(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [word for line in lines if not line.startswith("#") for word in line.split()]
