"""Hard facts in a text: what can be checked without understanding it.

What lives here: extraction of numbers, menu paths, shortcuts, URLs, e-mail addresses and error
codes. What does not: judging with them (synthesis filters and the evaluation's judge do that).
"""

import re
from collections.abc import Iterable, Iterator
from unicodedata import normalize

_STEP = r"[A-Z+][\w'&/-]*(?: [\w'&/-]+){0,3}"
_TO = r"\s*(?:[-=]?>|[→›»▸▶➔➜⟶])\s*"
_PATH = re.compile(
    # A path opens with capitalized words ("Settings", "Team settings", "Project Overview"), but not
    # with the word that leads to it at the start of a sentence ("Open Settings > General").
    r"(?<!\w)(?!(?:At|Check|Choose|Click|Find|From|In|Open|See|Select|Then|Under|Use|Visit) )"
    r"[A-Z][\w'-]*(?: (?:settings|[A-Z][\w'-]*)){0,2}" + rf"(?:{_TO}{_STEP})+"
)
_ARROW = re.compile(_TO)
_TAIL = r"[^\s)>\]\"']*"
_HOST = r"\b(?:[\w-]{1,63}\.){1,8}"
_URL = re.compile(
    rf"\b[a-z][a-z0-9+.-]{{1,15}}://{_TAIL}"
    # with a path a host is one whatever its domain; without, it could be a file or a typing slip
    rf"|{_HOST}[a-z]{{2,24}}(?::\d+)?/{_TAIL}"
    rf"|{_HOST}(?:ai|app|biz|cloud|cn|co|com|de|dev|edu|eu|example|fr|gg|gov|info|io|link|ly|net|nl|"
    rf"online|org|ru|shop|site|tech|tv|uk|us|xyz)\b{_TAIL}",
    re.IGNORECASE,
)
_EMAIL = re.compile(r"\b[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}\b")
_SPAN = (
    "second|minute|hour|day|night|week|month|quarter|year|percent|per cent|byte|kilobyte|megabyte|"
    "gigabyte|terabyte"
)
_MEASURE = f"{_SPAN}|time|dollar|euro|pound|member|owner|seat|issue"
"""What a number before it measures, one among them."""
_COUNTED = (
    "account|admin|attempt|call|cent|character|credit|device|digit|file|guest|letter|licen[cs]e|"
    "person|people|project|request|row|team|teammate|tries|user|workspace"
)
"""What a number before it limits; "one file" only means a file."""
_NUMBER = re.compile(
    # A unit may follow without a space ("5MB", "24h", "14th", "30days").
    r"(?<![\w.])\d+(?:[.,:]\d+)*"
    r"(?=(?:[KMGT]i?B|k|px|x|s|ms|m|min|mins|h|hrs?|d|w|st|nd|rd|th|"
    rf"(?:secs?|{_MEASURE}|{_COUNTED})s?)?(?!\w))"
)
_AMOUNT = re.compile(
    rf"(?<![\w.])(?P<number>\d+(?:[.,]\d+)*)[ -]?(?P<unit>{_SPAN})s?\b", re.IGNORECASE
)
_MONEY = re.compile(
    r"[$€£¥]\s?(?P<after>\d+(?:[.,]\d+)*)|"
    r"(?<![\w.])(?P<before>\d+(?:[.,]\d+)*)\s?(?:[$€£¥]|(?:dollar|euro|pound|usd|eur|gbp)s?\b)",
    re.IGNORECASE,
)
_SHORTCUT = re.compile(
    r"\b(?:Cmd|Ctrl|Alt|Option|Shift|Command|Control)(?:\s*\+\s*(?:[A-Za-z]+|[.,/\\]))+"
)
_CODE = re.compile(r"\b[A-Z]{2,}-\d+\b")

_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_WORDS = {
    **{word: number for number, word in enumerate(_ONES)},
    **{word: 20 + 10 * number for number, word in enumerate(_TENS)},
    "fourty": 40, "dozen": 12, "hundred": 100, "thousand": 1000, "million": 1_000_000,
}  # fmt: skip
_LARGE = frozenset({"dozen", "hundred", "thousand", "million"})
_SPELLED = re.compile(
    rf"\b(?:{'|'.join(_WORDS)})\b(?:(?:[ -]|\s+and\s+)(?:{'|'.join(_WORDS)})\b)*", re.IGNORECASE
)
_UNIT = re.compile(
    r"[ -](?:working |business |calendar |more |other |different )?"
    rf"(?:(?P<measured>{_MEASURE})|(?P<counted>{_COUNTED}))s?\b",
    re.IGNORECASE,
)


def numbers(text: str) -> set[str]:
    """Numbers in digits (thousands commas dropped); shortcuts, codes and URLs are not counted."""
    bare = _URL.sub(" ", _EMAIL.sub(" ", _CODE.sub(" ", text)))
    return {match.replace(",", "") for match in _NUMBER.findall(bare)}


def number_words(text: str) -> set[str]:
    """Numbers spelled as words, in digits: "sixteen", "two hundred", and what stands before a unit
    ("three days").

    A small number alone states nothing: "two ways" only counts words.
    """
    found: set[str] = set()
    for match in _SPELLED.finditer(text):
        values = list(_values(re.split(r"[\s-]+", match[0].lower())))
        unit = _UNIT.match(text, match.end())
        for value in values[:-1]:
            found |= {str(value)} if value > 10 else set()
        last = values[-1]
        if last > 10 or (unit and (unit["measured"] or last > 1)):
            found.add(str(last))
    return found


def _values(words: list[str]) -> Iterator[int]:
    """The numbers of a run of number words: "two hundred and five" is one, "one and two" are
    two."""
    total = part = 0
    last: int | None = None
    joined = False
    for word in words:
        if word == "and":
            joined = True
            continue
        number = _WORDS[word]
        large = word in _LARGE
        if not (
            last is None
            or last >= 100
            or (not joined and (large or (last >= 20 and 0 < number < 10)))
        ):
            yield total + part
            total = part = 0
        if number >= 1000:
            total, part = total + max(part, 1) * number, 0
        else:
            part = max(part, 1) * number if large else part + number
        last, joined = number, False
    yield total + part


def amounts(text: str) -> dict[str, set[str]]:
    """Numbers in digits before a unit of time or size, each with its units in the singular."""
    found: dict[str, set[str]] = {}
    for match in _AMOUNT.finditer(text):
        number = match["number"].replace(",", "")
        found.setdefault(number, set()).add(match["unit"].lower())
    return found


def prices(text: str) -> set[str]:
    """Amounts of money, as numbers alone."""
    return {(match["after"] or match["before"]).replace(",", "") for match in _MONEY.finditer(text)}


def menu_paths(text: str) -> set[str]:
    """Menu paths such as ``Settings > General``, lower case, single spaces round the arrow."""
    return {_ARROW.sub(" > ", match.group()).lower() for match in _PATH.finditer(text)}


def shortcuts(text: str) -> set[str]:
    """Keyboard shortcuts with a modifier, lower case without spaces (``cmd+a``)."""
    return {re.sub(r"\s+", "", match).lower() for match in _SHORTCUT.findall(text)}


def addresses(text: str) -> set[str]:
    """URLs, host names and e-mail addresses without scheme and trailing punctuation."""
    found = _URL.findall(_EMAIL.sub(" ", text)) + _EMAIL.findall(text)
    return {re.sub(r"^https?://", "", item, flags=re.I).rstrip(".,;:!?/").lower() for item in found}


def codes(text: str) -> set[str]:
    """Upper-case codes with a number, such as ``TL-409``."""
    return set(_CODE.findall(text))


def unsupported(text: str, sources: Iterable[str]) -> list[str]:
    """Hard facts of ``text`` that none of ``sources`` holds, sorted; empty when all stand.

    A number is supported by digits or by its word, an amount of money by one; where the sources
    give a number another unit, with that unit alone. A menu path is supported when its steps stand
    in a source in that order, whatever arrow is used.
    """
    text = normalize("NFKC", text)
    source = normalize("NFKC", "\n".join(sources))
    plain = re.sub(r"[*_`]|<[^<>\n]{1,80}>", "", source)
    flat = _ARROW.sub(" > ", plain).lower()
    missing = numbers(text) - numbers(source) - number_words(source)
    missing |= number_words(text) - number_words(source) - numbers(source)
    missing |= {f"{number} as a price" for number in prices(text) - prices(source) - missing}
    given = amounts(source)
    missing |= {
        f"{number} {unit}"
        for number, units in amounts(text).items()
        for unit in units - given.get(number, units)
    }
    missing |= {path for path in menu_paths(text) if not _path_stands(path, flat)}
    missing |= shortcuts(text) - shortcuts(plain)
    missing |= codes(text) - codes(plain)
    missing |= {item for item in addresses(text) if not _stands_whole(item, flat)}
    return sorted(missing)


def _stands_whole(address: str, flat: str) -> bool:
    """Whether an address stands in a text, not merely as a piece of a longer word or path."""
    further = r"[\w-]|/\w" if "/" in address else r"[\w-]|\.\w"
    return re.search(rf"(?<![\w-])(?<!\w\.){re.escape(address)}(?!{further})", flat) is not None


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
