"""Near-duplicate questions among many, without comparing all with all.

What lives here: an index of questions that is asked for a near copy. What does not: what becomes of
the copies (:mod:`supportbot_dagster.synthesis.pairs`, :mod:`supportbot_dagster.dataset.merge`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from zlib import crc32

from rapidfuzz import fuzz

_SHINGLE = 3
_BANDS, _ROWS = 32, 3
"""Bands and rows of the locality-sensitive hashing: of two questions that share six in ten of their
shingles (Jaccard 0.6), 1 - (1 - 0.6^3)^32 = 99.96 % are compared. Two questions of a token-sort
ratio of 92 share more."""
NEAR_COPY = 92.0
"""Token-sort ratio (0 to 100) from which a question nearly copies another."""
MIN_COMPARED_WORDS = 2
"""Questions this short are compared exactly: any two of them look alike."""


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
        if len(text.split()) <= MIN_COMPARED_WORDS:
            return None
        ordered = in_order(text)
        hashed = prepared if prepared is not None else prepare([text])[0]
        best: tuple[float, str] | None = None
        for candidate in sorted(self._lsh.query(hashed)):
            ratio = fuzz.ratio(ordered, self._sorted[candidate], score_cutoff=self._similarity)
            if ratio >= self._similarity and (best is None or ratio > best[0]):
                best = ratio, candidate
        return self._exact[best[1]] if best else None

    def add(self, key: str, text: str, prepared: Any = None) -> None:
        """Put a normalized question in; one that is there already keeps its first key."""
        if text in self._exact:
            return
        self._exact[text] = key
        if len(text.split()) > MIN_COMPARED_WORDS:
            self._sorted[text] = in_order(text)
            hashed = prepared if prepared is not None else prepare([text])[0]
            self._lsh.insert(text, hashed, check_duplication=False)


def prepare(texts: Sequence[str]) -> list[Any]:
    """MinHashes of normalized questions, made together: several times as fast as one by one."""
    from datasketch import MinHash

    shingles = [_shingles(text) for text in texts]
    return list(MinHash.bulk(shingles, num_perm=_BANDS * _ROWS, seed=1, hashfunc=crc32))


def _shingles(text: str) -> list[bytes]:
    ordered = f" {in_order(text)} "
    return [
        ordered[place : place + _SHINGLE].encode()
        for place in range(max(1, len(ordered) - _SHINGLE + 1))
    ]


def in_order(text: str) -> str:
    """The words in order of the alphabet: then the plain ratio is the token-sort ratio."""
    return " ".join(sorted(text.split()))
