"""A small neural tagger that decides which words of a message are personal data.

What lives here: its tokens, their features, and its arithmetic in numpy. What does not: how it is
trained (:mod:`supportbot_dagster.tickets.tagger_training`), the rules whose finds are among its
features (``rules_*.py``), and Presidio, which takes its spans (:mod:`.engine`).

A token is a run of letters, a run of digits or one other character. Each becomes the sum of
embeddings of hashed features: the word and its pieces, its shape, what the word lists say of it,
what it touches, and the rules that found it. A small layer reads what it is by itself; residual
convolutions of growing dilation read the words around it (after Strubell et al., "Fast and Accurate
Entity Recognition with Iterated Dilated Convolutions", EMNLP 2017), and a softmax gives the chances
of the labels: none, or the first or a further token of an entity. What comes of a token's own
features is kept, because the words of one ticket come again in the next.
"""

from __future__ import annotations

import re
import threading
import zipfile
import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from supportbot_dagster.errors import UserError
from supportbot_dagster.tickets.labelled import ENTITY_OF
from supportbot_dagster.tickets.words import COMMON, GIVEN, SURNAME, THING, fold, words

WEIGHTS = Path(__file__).parent / "tagger.npz"
BUCKETS = 1 << 15
"""Rows of the embedding table; row 0 is no feature."""
MASK = "\ufffc"
"""Stands for what is redacted already, one for each character."""
LABELS = ("", *(entity for entity in ENTITY_OF.values() for _ in "BI"))
"""The entity of each label; odd labels are first tokens, even ones further tokens."""
Find = tuple[str, int, int, float]
"""What a rule found: entity, start, end and score."""

_TOKEN = re.compile(rf"{MASK}+|[^\W\d_]+|\d+|\n|[^\w\s]|_")
_GLUE = frozenset("-_@!#$*+")
"""Marks that hold the pieces of one value together."""
_MAIL = _GLUE | {"."}
_KEY = re.compile(r"[A-Z]{2,6}-\d{1,3}")
_KEY_LIMIT = 0.6
"""The keys of issues and pages look like short references; these take a surer tagger."""
PLACES = 2 * 2 * 2 * 4 * 6 * 6
_ROWS = BUCKETS - 1
_WORD, _BEGINS, _ENDS, _HAS = map(zlib.crc32, (b"word ", b"begins ", b"ends ", b"has "))
"""What the pieces of a word are hashed on from, so that each kind has rows of its own."""
_KINDS = COMMON | GIVEN | SURNAME | THING
_PLANE = 0xFFFF
_NEWLINE = ord("\n")
_REMEMBERED = 50_000
_HIGHEST = 80.0
"""Of logits, so that their exponentials have a sum in 32 bit."""
_AT_ONCE = 4_000
"""Characters of the texts read together, so that the arrays stay in the processor's cache."""


def tokens_of(text: str) -> list[tuple[int, int]]:
    """Start and end of the tokens of a text."""
    return [match.span() for match in _TOKEN.finditer(text)]


def within(tokens: Sequence[tuple[int, int]], start: int, end: int) -> range:
    """Which tokens a span touches."""
    first = bisect_right(tokens, start, key=lambda token: token[1])
    return range(first, bisect_left(tokens, end, lo=first, key=lambda token: token[0]))


def feature(name: str) -> int:
    """The row of a feature in the embedding table."""
    return 1 + zlib.crc32(name.encode()) % _ROWS


def _shape(token: str) -> str:
    if token.isdecimal():
        return f"d{min(len(token), 9)}"
    if not token[0].isalpha():
        return token[0]
    if len(token) == 1:
        return "X1" if token.isupper() else "x1"
    if token.isupper():
        return "XX"
    if token.islower():
        return "xx"
    if token[0].isupper():
        return "Xx" if token[1:].islower() else "XxX"
    return "xX"


def own_features(token: str) -> tuple[int, list[int]]:
    """The row of the token's word, and the rows of all that can be said of it by itself."""
    crc = zlib.crc32
    low = fold(token)
    data = low.encode("utf-8", "replace")
    word = 1 + crc(data, _WORD) % _ROWS
    if not token[0].isalpha():
        return word, _number_features(token)
    kind = words().kind(low) & _KINDS
    rows = list(_said(kind, _shape(token), min(len(token), 12), token.isascii()))
    for size in (2, 3, 4):
        rows.append(1 + crc(data[:size], _BEGINS) % _ROWS)
        rows.append(1 + crc(data[-size:], _ENDS) % _ROWS)
    whole = b"^" + (data[:13] if len(data) > 12 else data + b"$")
    rows += [1 + crc(whole[at : at + 3], _HAS) % _ROWS for at in range(len(whole) - 2)]
    return word, rows


@cache
def _said(kind: int, shape: str, letters: int, is_ascii: bool) -> tuple[int, ...]:
    names = [f"shape {shape}", f"kind {kind}", f"kind {kind} {shape}", f"letters {letters}"]
    if not is_ascii:
        names.append("not ascii")
    return tuple(feature(name) for name in names)


def _number_features(token: str) -> list[int]:
    names = [f"shape {_shape(token)}"]
    if token.isdecimal():
        value = int(token[:6])
        names += [f"digits {min(len(token), 20)}", f"first digit {token[0]}"]
        if len(token) == 4 and 1900 <= value <= 2035:
            names.append("year")
        if len(token) <= 2:
            names.append("month" if value <= 12 else "day" if value <= 31 else "two digits")
        elif len(token) == 3 and value > 255:
            names.append("no octet")
    return [feature(name) for name in names]


def split(texts: Sequence[str]) -> tuple[list[list[tuple[int, int]]], Any]:
    """The tokens of each text, and of all, one after the other, what stands around them.

    Returns:
        What :func:`tokens_of` gives for each text, and an array of keys below :data:`PLACES`.
    """
    import numpy as np

    joined = "\n".join([*texts, ""])  # a text is followed by a new line, which is none of it
    codes = np.frombuffer(joined.encode("utf-32-le", "replace"), dtype=np.uint32)
    starts = np.cumsum([0, *(len(text) + 1 for text in texts)])
    table = _classes()
    kind = table.kind[np.minimum(codes, _PLANE)]
    kind[starts[1:] - 1] = _SPACE
    alone, change = kind == _ALONE, kind[1:] != kind[:-1]
    first, last = alone.copy(), alone
    first[0] |= kind[0] != _SPACE
    first[1:] |= change & (kind[1:] != _SPACE)
    last[:-1] |= change & (kind[:-1] != _SPACE)
    at, end = np.flatnonzero(first), np.flatnonzero(last) + 1
    if codes.max(initial=0) > _PLANE:  # the table lacks these characters
        spans = [
            (start + offset, stop + offset)
            for text, offset in zip(texts, starts.tolist(), strict=False)
            for start, stop in tokens_of(text)
        ]
        at, end = np.array(spans, dtype=np.int64).reshape(-1, 2).T
    bounds = np.searchsorted(at, starts)
    counts = np.diff(bounds)
    offset = np.repeat(starts[:-1], counts)
    begin = at - offset
    pairs = list(zip(begin.tolist(), (end - offset).tolist(), strict=True))
    edges = bounds.tolist()
    tokens = [pairs[low:high] for low, high in pairwise(edges)]
    index = np.arange(len(at)) - np.repeat(bounds[:-1], counts)
    left = np.repeat(counts, counts) - 1 - index
    codes = np.minimum(codes, _PLANE)
    space = table.space
    touches = np.zeros(len(at), dtype=np.int64)
    touches[1:] = at[1:] == end[:-1]
    goes_on = ~space[codes[end]]
    before = codes[np.maximum(at - 1, 0)]
    farther = codes[np.maximum(at - 2, 0)]
    line = (begin == 0) | (before == _NEWLINE)
    # the first of the two characters before, or the only one
    stops = table.stop[np.where(begin >= 2, farther, before)]
    opens = (begin == 0) | stops | (space[before] & (space[farther] | (begin < 2)))
    key = 2 * (2 * touches + goes_on) + line
    key = 4 * key + 2 * opens + table.upper[codes[at]]
    return tokens, (key * 6 + np.minimum(index, 5)) * 6 + np.minimum(left, 5)


_SPACE, _LETTER, _DIGIT, _REDACTED, _ALONE = range(5)


@dataclass(frozen=True)
class _Classes:
    """What the characters of the basic plane are, as arrays of 65,536."""

    kind: Any
    space: Any
    upper: Any
    stop: Any


@cache
def _classes() -> _Classes:
    import numpy as np

    chars = [chr(code) for code in range(_PLANE + 1)]
    kind = np.full(len(chars), _ALONE, dtype=np.int8)
    letter = np.array([char.isalnum() for char in chars])
    digit = np.array([char.isdecimal() for char in chars])
    space = np.array([char.isspace() for char in chars])
    kind[letter], kind[digit], kind[space] = _LETTER, _DIGIT, _SPACE
    kind[_NEWLINE], kind[ord(MASK)] = _ALONE, _REDACTED
    return _Classes(
        kind,
        space,
        np.array([char.isupper() for char in chars]),
        np.array([char in ".!?:;" for char in chars]),
    )


def place_features(key: int) -> list[int]:
    """The rows of one of the keys that :func:`split` gives."""
    rest, left = divmod(key, 6)
    rest, index = divmod(rest, 6)
    rest, opens = divmod(rest, 4)
    touches, line = divmod(rest, 2)
    return [
        feature(f"touches {touches}"),
        feature(f"line {line}"),
        feature(f"opens {opens}"),
        feature(f"index {index}"),
        feature(f"left {left}"),
    ]


def rule_features(entity: str, score: float, first: bool) -> tuple[int, ...]:
    """The rows of a token within a rule's find."""
    begins = "first" if first else "further"
    return (feature("rule"), feature(f"rule {entity}"), feature(f"rule {entity} {score} {begins}"))


@dataclass(frozen=True)
class Tagged:
    """A run of tokens that the tagger takes for personal data.

    Args:
        entity: what it is.
        start: where it begins.
        end: where it ends.
        chance: how sure the tagger is of its least sure token, 0 to 1.
    """

    entity: str
    start: int
    end: int
    chance: float


class Tagger:
    """The trained tagger.

    Args:
        weights: arrays by name, as :mod:`.tagger_training` writes them: ``embedding``
            (``BUCKETS`` x width), ``word_in`` (width x 2 * width), ``word_bias`` (2 * width),
            ``word_out`` (2 * width x width), ``scale`` (2 x width), ``kernel`` (layers x 3 * width
            x width), ``bias`` (layers x width), ``out`` (width x labels), ``out_bias``
            (labels), ``thresholds`` (two chances: above which a token is personal where no rule,
            and where a rule found it), ``words`` (frequent tokens, one a line, as UTF-8, which are
            looked at when the tagger is loaded).
    """

    def __init__(self, weights: dict[str, Any]) -> None:
        import numpy as np

        self._np = np
        frequent = bytes(weights["words"]).decode("utf-8").splitlines()
        arrays = {
            name: np.asarray(array, dtype=np.float32)
            for name, array in weights.items()
            if name != "words"
        }
        self._embedding = arrays["embedding"]
        self._word_in, self._word_bias = arrays["word_in"], arrays["word_bias"]
        self._word_out = arrays["word_out"]
        self._scale = arrays["scale"]
        # the bias is what a last column of ones is multiplied with
        self._kernels = np.concatenate((arrays["kernel"], arrays["bias"][:, None]), axis=1)
        self._out, self._out_bias = arrays["out"], arrays["out_bias"]
        self._ones = np.ones(len(self._out_bias), dtype=np.float32)
        self.alone, self.found = (float(value) for value in arrays["thresholds"])
        self.width = self._embedding.shape[1]
        # what is known of tokens, row by row
        self._kept = np.zeros((1024, self.width), dtype=np.float32)
        self._row_of: dict[str, int] = {}
        self._lock = threading.Lock()
        self._rules: dict[tuple[str, float, bool], Any] = {}
        self._places = np.stack(
            [self._embedding[place_features(key)].sum(axis=0) for key in range(PLACES)]
        )
        self._learn(frequent)

    @classmethod
    def load(cls, path: Path = WEIGHTS) -> Tagger:
        """The tagger of a file.

        Raises:
            UserError: if the file is missing, damaged or of another form.
        """
        import numpy as np

        try:
            with np.load(path, allow_pickle=False) as arrays:
                weights = {name: arrays[name] for name in arrays.files}
            fits = weights["embedding"].shape[0] == BUCKETS and weights["out"].shape[1] == len(
                LABELS
            )
            if not fits or not all(np.isfinite(array).all() for array in weights.values()):
                raise ValueError("shape or values")
            return cls(weights)
        except (OSError, EOFError, ValueError, LookupError, zipfile.BadZipFile) as error:
            raise UserError(
                f"{path} is missing or damaged ({type(error).__name__}), and nothing is redacted "
                "without it. Install the package again."
            ) from error

    def _learn(self, tokens: Iterable[str]) -> None:
        """Make the rows of tokens, of which none is known yet."""
        np = self._np
        flat: list[int] = []
        starts: list[int] = []
        first = len(self._row_of)
        for token in dict.fromkeys(tokens):
            word, rows = own_features(token)
            starts.append(len(flat))
            flat.append(word)
            flat += rows
            self._row_of[token] = len(self._row_of)
        if not starts:
            return
        stop = first + len(starts)
        if stop > len(self._kept):
            more = np.zeros((max(stop, 2 * len(self._kept)), self.width), dtype=np.float32)
            more[:first] = self._kept[:first]
            self._kept = more
        own = np.add.reduceat(self._embedding[flat], starts, axis=0)
        hidden = self._normed(own.copy()) @ self._word_in
        hidden += self._word_bias
        np.maximum(hidden, 0.0, out=hidden)
        own += hidden @ self._word_out
        self._kept[first:stop] = own

    def _rule(self, entity: str, score: float, first: bool) -> Any:
        key = entity, score, first
        if key not in self._rules:
            self._rules[key] = self._embedding[list(rule_features(*key))].sum(axis=0)
        return self._rules[key]

    def chances(
        self, texts: Sequence[str], finds: Sequence[Iterable[Find]]
    ) -> list[tuple[list[tuple[int, int]], Any]]:
        """Tokens of each text and the chances of their labels, an array of tokens x labels.

        Args:
            texts: shadows of texts (:func:`.words.shadow`), what is redacted already as
                :data:`MASK`.
            finds: what the rules found in each.
        """
        result: list[tuple[list[tuple[int, int]], Any]] = []
        first = 0
        while first < len(texts):
            stop, size = first + 1, len(texts[first])
            while stop < len(texts) and size + len(texts[stop]) <= _AT_ONCE:
                size += len(texts[stop])
                stop += 1
            with self._lock:  # threads share what is remembered
                result += self._chances(texts[first:stop], finds[first:stop])
            first = stop
        return result

    def _chances(
        self, texts: Sequence[str], finds: Sequence[Iterable[Find]]
    ) -> list[tuple[list[tuple[int, int]], Any]]:
        np = self._np
        if len(self._row_of) > _REMEMBERED:
            self._row_of.clear()
        all_tokens, places = split(texts)
        pieces = [
            text[start:end]
            for text, tokens in zip(texts, all_tokens, strict=True)
            for start, end in tokens
        ]
        known = self._row_of
        self._learn([token for token in pieces if token not in known])
        values = self._kept[[known[token] for token in pieces]]
        values += self._places[places]
        bounds = np.cumsum([0, *map(len, all_tokens)])
        for finds_here, tokens, first in zip(finds, all_tokens, bounds.tolist(), strict=False):
            for entity, begin, end, score in finds_here:
                inside = within(tokens, begin, end)
                if inside:
                    start = first + inside.start
                    values[start] += self._rule(entity, score, True)
                    values[start + 1 : first + inside.stop] += self._rule(entity, score, False)
        text = np.repeat(np.arange(len(texts)), np.diff(bounds))
        values = self._forward(values, text)
        return list(zip(all_tokens, np.split(values, bounds[1:-1]), strict=True))

    def _forward(self, values: Any, text: Any) -> Any:
        """The chances of the labels, of what is known of each token and the number of its text."""
        np = self._np
        size, width = values.shape
        # the token before, the token itself and the one behind, side by side
        row = np.empty((size, 3 * width + 1), dtype=np.float32)
        before, own, after = row[:, :width], row[:, width : 2 * width], row[:, 2 * width : -1]
        np.multiply(self._normed(values), self._scale[0], out=own)
        row[:, -1] = 1.0
        added = np.empty((size, width), dtype=np.float32)
        for layer, kernel in enumerate(self._kernels):
            reach = min(1 << layer, size)
            before[reach:], after[: size - reach] = own[: size - reach], own[reach:]
            before[:reach], after[size - reach :] = 0.0, 0.0
            apart = np.flatnonzero(text[reach:] != text[: size - reach])  # no text reads another
            before[apart + reach], after[apart] = 0.0, 0.0
            np.matmul(row, kernel, out=added)
            own += np.maximum(added, 0.0, out=added)
        values = np.ascontiguousarray(own)
        values = self._normed(values)
        values *= self._scale[1]
        logits = values @ self._out
        logits += self._out_bias
        np.exp(np.minimum(logits, _HIGHEST, out=logits), out=logits)
        logits /= (logits @ self._ones)[:, None]
        return logits

    def _normed(self, values: Any) -> Any:
        """``values`` [tokens, width], in place, with the mean square of each row at 1."""
        np = self._np
        square = np.einsum("ij,ij->i", values, values)
        values *= (1.0 / np.sqrt(square / self.width + 1e-6))[:, None]
        return values

    def tag(self, texts: Sequence[str], finds: Sequence[Sequence[Find]]) -> list[list[Tagged]]:
        """What is personal in each text; arguments as for :meth:`chances`."""
        return [
            decode(text, tokens, chances, found, self.alone, self.found)
            for text, found, (tokens, chances) in zip(
                texts, finds, self.chances(texts, finds), strict=True
            )
        ]


def decode(
    text: str,
    tokens: Sequence[tuple[int, int]],
    chances: Any,
    finds: Sequence[Find],
    alone: float,
    found: float,
) -> list[Tagged]:
    """Runs of personal tokens.

    A token is personal if the chance that it is exceeds ``alone``, or ``found`` where a rule found
    it. What touches is told apart as :func:`_settle_pieces` says.

    Args:
        text: the text.
        tokens: start and end of its tokens.
        chances: chances of the labels, tokens x labels.
        finds: what the rules found.
        alone: threshold where no rule found anything.
        found: threshold within the finds of rules.
    """
    sure = (1.0 - chances[:, 0]).tolist()
    if max(sure, default=0.0) <= min(alone, found):
        return []
    limits = [alone] * len(tokens)
    for _, begin, stop, _ in finds:
        for index in within(tokens, begin, stop):
            limits[index] = found
    hidden = [value > limit for value, limit in zip(sure, limits, strict=True)]
    if True not in hidden:
        return []
    labels = (1 + chances[:, 1:].argmax(axis=1)).tolist()
    _settle_pieces(text, tokens, sure, limits, hidden)
    _fill_addresses(text, tokens, labels, hidden)
    result: list[Tagged] = []
    index = _next(hidden, 0)
    while index < len(tokens):
        stop = index + 1
        entity = LABELS[labels[index]]
        while stop < len(tokens) and hidden[stop] and _goes_on(tokens, labels, stop, entity):
            stop += 1
        members = [at for at in range(index, stop) if text[tokens[at][0]].isalnum()]
        if members:
            result.append(
                Tagged(
                    entity,
                    tokens[index][0],
                    tokens[stop - 1][1],
                    min(sure[at] for at in members),
                )
            )
        index = _next(hidden, stop)
    return result


def _next(hidden: list[bool], start: int) -> int:
    """The first hidden token from ``start`` on, or how many tokens there are."""
    try:
        return hidden.index(True, start)
    except ValueError:
        return len(hidden)


def _settle_pieces(
    text: str,
    tokens: Sequence[tuple[int, int]],
    sure: list[float],
    limits: list[float],
    hidden: list[bool],
) -> None:
    """Let the pieces of one value be hidden together or not at all.

    Letters, digits and the marks of :data:`_GLUE` that touch are one value, a dot as well where it
    has an ``@``; how sure the tagger is of it is the mean over its letters and digits.
    """
    first = _next(hidden, 0)
    while first < len(tokens):
        stop = first + 1
        while first > 0 and tokens[first - 1][1] == tokens[first][0]:
            first -= 1
        while stop < len(tokens) and tokens[stop][0] == tokens[stop - 1][1]:
            stop += 1
        if False in hidden[first:stop]:
            mail = "@" in text[tokens[first][0] : tokens[stop - 1][1]]
            _settle_run(text, tokens, sure, limits, hidden, first, stop, _MAIL if mail else _GLUE)
        first = _next(hidden, stop)


def _settle_run(
    text: str,
    tokens: Sequence[tuple[int, int]],
    sure: list[float],
    limits: list[float],
    hidden: list[bool],
    first: int,
    stop: int,
    glue: frozenset[str],
) -> None:
    start = first
    while start < stop:
        end = start
        while end < stop and (text[tokens[end][0]].isalnum() or text[tokens[end][0]] in glue):
            end += 1
        members = [at for at in range(start, end) if text[tokens[at][0]].isalnum()]
        if members:
            low, high = members[0], members[-1] + 1
            mean = sum(sure[at] for at in members) / len(members)
            limit = min(limits[low:high])
            if _KEY.fullmatch(text, tokens[low][0], tokens[high - 1][1]):
                limit = max(limit, _KEY_LIMIT)
            hidden[low:high] = [mean > limit] * (high - low)
        start = end + 1


def _fill_addresses(
    text: str, tokens: Sequence[tuple[int, int]], labels: Sequence[int], hidden: list[bool]
) -> None:
    """Hide the few words between two parts of an address in one line."""
    last = -1
    for at, gone in enumerate(hidden):
        if not gone or LABELS[labels[at]] != "ADDRESS":
            continue
        between = range(last + 1, at)
        if last >= 0 and 0 < len(between) <= 3:
            gap = text[tokens[last][1] : tokens[at][0]]
            if not any(mark in gap for mark in "\n.;:!?") and not any(
                hidden[one] for one in between
            ):
                for one in between:
                    hidden[one] = True
        last = at


def _goes_on(
    tokens: Sequence[tuple[int, int]], labels: Sequence[int], at: int, entity: str
) -> bool:
    """Whether a hidden token belongs to the run before it."""
    if tokens[at - 1][1] == tokens[at][0]:
        return True
    return LABELS[labels[at]] == entity and labels[at] % 2 == 0
