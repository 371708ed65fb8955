"""Near-duplicate questions among many, without comparing all with all.

What lives here: an index of questions that is asked for a near copy. What does not: what becomes of
the copies (:mod:`supportbot_dagster.synthesis.pairs`, :mod:`supportbot_dagster.dataset.merge`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from zlib import crc32

from rapidfuzz import fuzz, process

NEAR_COPY = 92.0
"""Token-sort ratio (0 to 100) from which a question nearly copies another."""
LEAST_OVERLAP = 0.43
"""Share of their shingles (Jaccard) that two questions have at least whose ratio is
:data:`NEAR_COPY`: of n letters 0.148 n may be gone from one of them, each in three shingles, and
(n - 0.444 n) / (n + 0.296 n) are left in common. The more of its letters change at one place, the
higher it is."""
_BANDS, _ROWS = 80, 3
"""Bands and rows of the locality-sensitive hashing. Of pairs of the least overlap
1 - (1 - 0.43^3)^80 = 99.9 % are compared; of those that share one in twelve shingles, as any two
questions may, one in twenty-two."""
MIN_COMPARED_WORDS = 2
"""Questions this short are compared exactly: any two of them look alike."""
_UNSPACED = re.compile(
    # Thai, Lao, Myanmar, Khmer, kana, Chinese characters
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff]"
)
"""Letters of scripts that put no space between words."""


class Questions:
    """Questions, each under a key, that a new one can be compared with.

    A MinHash index (datasketch) finds candidates, the token-sort ratio of their normalized texts
    decides. Time and memory grow in proportion to the number of questions.

    Args:
        similarity: token-sort ratio (0 to 100) from which two questions are near copies.
    """

    def __init__(self, similarity: float) -> None:
        from datasketch import MinHashLSH

        self._similarity = similarity
        self._exact: dict[str, str] = {}
        self._sorted: dict[str, str] = {}
        self._lsh = MinHashLSH(num_perm=_BANDS * _ROWS, params=(_BANDS, _ROWS))

    def __len__(self) -> int:
        return len(self._exact)

    def find(self, text: str, prepared: Any = None) -> str | None:
        """The key of a question that ``text`` nearly copies, or None.

        Args:
            text: a normalized question.
            prepared: its entry of :func:`prepare`, if there is one.
        """
        if (key := self._exact.get(text)) is not None:
            return key
        return next(iter(self.near(text, prepared)), None)

    def near(self, text: str, prepared: Any = None) -> list[str]:
        """The keys of all questions that ``text`` nearly copies, the nearest first.

        Args:
            text: a normalized question.
            prepared: its entry of :func:`prepare`, if there is one.
        """
        if is_short(text):
            return [self._exact[text]] if text in self._exact else []
        ordered = in_order(text)
        hashed = prepared if prepared is not None else prepare([text])[0]
        found = process.extract(
            ordered,
            {candidate: self._sorted[candidate] for candidate in self._lsh.query(hashed)},
            scorer=fuzz.ratio,
            score_cutoff=self._similarity,
            limit=None,
        )
        # Of equals the first in the alphabet: the index gives them in no order.
        found.sort(key=lambda item: (-item[1], item[2]))
        return [self._exact[item[2]] for item in found]

    def add(self, key: str, text: str, prepared: Any = None) -> None:
        """Put a normalized question in; one that is there already keeps its first key."""
        if text in self._exact:
            return
        self._exact[text] = key
        if not is_short(text):
            self._sorted[text] = in_order(text)
            hashed = prepared if prepared is not None else prepare([text])[0]
            self._lsh.insert(text, hashed, check_duplication=False)


def prepare(texts: Sequence[str]) -> list[Any]:
    """MinHashes of normalized questions, made together: several times as fast as one by one."""
    from datasketch import MinHash

    shingles = [_shingles(text) for text in texts]
    return list(MinHash.bulk(shingles, num_perm=_BANDS * _ROWS, seed=1, hashfunc=crc32))


def _shingles(text: str) -> list[bytes]:
    # A word of an unspaced script has a letter or two: pairs of letters tell of it what three tell
    # of others.
    size = 2 if _UNSPACED.search(text) else 3
    ordered = f" {in_order(text)} "
    return [
        ordered[place : place + size].encode("utf-8", "surrogatepass")
        for place in range(max(1, len(ordered) - size + 1))
    ]


def is_short(text: str) -> bool:
    """Whether a normalized question has too few words to be compared but for being the same.

    Where a script puts no space between words their number is not known, and every letter says
    more: such a question is always compared.
    """
    return len(text.split()) <= MIN_COMPARED_WORDS and _UNSPACED.search(text) is None


def in_order(text: str) -> str:
    """The words in order of the alphabet: then the plain ratio is the token-sort ratio."""
    return " ".join(sorted(text.split()))


def copies(one: str, other: str, threshold: float) -> bool:
    """Whether a normalized question nearly copies another; short ones only if they are the same.

    Args:
        one: a normalized question.
        other: another.
        threshold: token-sort ratio (0 to 100) from which it does.
    """
    if is_short(one) or is_short(other):
        return one == other
    return fuzz.token_sort_ratio(one, other) >= threshold
