"""Hard facts in a text: what can be checked without understanding it.

What lives here: extraction of numbers, menu paths, shortcuts, URLs, e-mail addresses and error
codes. What does not: judging with them (synthesis filters and the evaluation's judge do that).
"""

import re
from collections.abc import Iterable

_STEP = r"[A-Z+][\w'&/-]*(?: [\w'&/-]+){0,3}"
_PATH = re.compile(
    # A path opens with capitalized words ("Settings", "Team settings", "Project Overview"), but not
    # with the word that leads to it at the start of a sentence ("Open Settings > General").
    r"(?<!\w)(?!(?:At|Check|Choose|Click|Find|From|In|Open|See|Select|Then|Under|Use|Visit) )"
    r"[A-Z][\w'-]*(?: (?:settings|[A-Z][\w'-]*)){0,2}" + rf"(?:\s*(?:>|→|›)\s*{_STEP})+"
)
_ARROW = re.compile(r"\s*(?:>|→|›)\s*")
_URL = re.compile(
    r"https?://[^\s)>\]\"']+|\b(?:[\w-]+\.)+(?:example|com|org|net|io|app)\b[^\s)>\]\"']*"
)
_EMAIL = re.compile(r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b")
_NUMBER = re.compile(
    # A unit may follow without a space ("5MB", "24h", "14th").
    r"(?<![\w.])\d+(?:[.,:]\d+)*"
    r"(?=(?:[KMGT]i?B|k|px|x|s|ms|m|min|mins|h|hrs?|d|w|st|nd|rd|th)?(?!\w))"
)
_SHORTCUT = re.compile(
    r"\b(?:Cmd|Ctrl|Alt|Option|Shift|Command|Control)(?:\s*\+\s*(?:[A-Za-z]+|[.,/\\]))+"
)
_CODE = re.compile(r"\b[A-Z]{2,}-\d+\b")

_WORDS = {
    "one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7",
    "eight": "8", "nine": "9", "ten": "10", "twelve": "12", "fourteen": "14", "fifteen": "15",
    "twenty": "20", "thirty": "30", "sixty": "60", "ninety": "90",
}  # fmt: skip
_NUMBER_WORD = re.compile(
    # A spelled number states a fact when it measures something; "two ways" only counts words.
    r"\b(" + "|".join(_WORDS) + r")[ -](?:working |business )?"
    r"(?:second|minute|hour|day|week|month|quarter|year|percent|member|owner|seat|issue|time)s?\b",
    re.IGNORECASE,
)


def numbers(text: str) -> set[str]:
    """Numbers in digits (thousands commas dropped); shortcuts, codes and URLs are not counted."""
    bare = _URL.sub(" ", _EMAIL.sub(" ", _CODE.sub(" ", text)))
    return {match.replace(",", "") for match in _NUMBER.findall(bare)}


def number_words(text: str) -> set[str]:
    """Numbers spelled as words before a unit ("thirty days"), in digits."""
    return {_WORDS[word.lower()] for word in _NUMBER_WORD.findall(text)}


def menu_paths(text: str) -> set[str]:
    """Menu paths such as ``Settings > General``, lower case, single spaces round the arrow."""
    return {_ARROW.sub(" > ", match.group()).lower() for match in _PATH.finditer(text)}


def shortcuts(text: str) -> set[str]:
    """Keyboard shortcuts with a modifier, lower case without spaces (``cmd+a``)."""
    return {re.sub(r"\s+", "", match).lower() for match in _SHORTCUT.findall(text)}


def addresses(text: str) -> set[str]:
    """URLs, host names and e-mail addresses without scheme and trailing punctuation."""
    found = _URL.findall(_EMAIL.sub(" ", text)) + _EMAIL.findall(text)
    return {re.sub(r"^https?://", "", item).rstrip(".,;:!?").lower() for item in found}


def codes(text: str) -> set[str]:
    """Upper-case codes with a number, such as ``TL-409``."""
    return set(_CODE.findall(text))


def unsupported(text: str, sources: Iterable[str]) -> list[str]:
    """Hard facts of ``text`` that none of ``sources`` holds, sorted; empty when all stand.

    A number is supported by digits or by its word. A menu path is supported when its steps stand
    in a source in that order, whatever arrow is used.
    """
    source = "\n".join(sources)
    plain = re.sub(r"[*_`]|<[^>]+>", "", source)
    flat = _ARROW.sub(" > ", plain).lower()
    missing = numbers(text) - numbers(source) - number_words(source)
    missing |= number_words(text) - number_words(source) - numbers(source)
    missing |= {path for path in menu_paths(text) if not _path_stands(path, flat)}
    missing |= shortcuts(text) - shortcuts(plain)
    missing |= codes(text) - codes(plain)
    missing |= {item for item in addresses(text) if not _stands_whole(item, flat)}
    return sorted(missing)


def _stands_whole(address: str, flat: str) -> bool:
    """Whether an address stands in a text, not merely as a piece of a longer word."""
    return re.search(rf"(?<![\w-]){re.escape(address)}(?![\w-])", flat) is not None


def _path_stands(path: str, flat: str) -> bool:
    """Whether the steps of a path stand in a text in that order, however they are joined there.

    The last step may have swallowed words that follow it in the sentence.
    """
    *steps, last = path.split(" > ")
    words = last.split()
    place = 0
    for step in steps:
        place = flat.find(step, place)
        if place < 0:
            return False
        place += len(step)
    return any(" ".join(words[:end]) in flat[place:] for end in range(len(words), 0, -1))
