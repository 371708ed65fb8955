"""The row contract: what a training or evaluation row looks like.

What lives here: the :class:`Row` record shared by all buckets, its identity, and the question
prefix. What does not: where rows come from (synthesis, tickets, refusals) and how they are merged
(:mod:`supportbot_dagster.dataset.merge`).
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal
from unicodedata import category, normalize

from supportbot_dagster.hashing import sha256_text

QUESTION_PREFIX = "Customer question: "
"""Opens every instruction; the shipped client sends the same prefix."""

TICKET_STYLE = "ticket"
"""Style of every row whose question a customer wrote, in whatever bucket."""

Bucket = Literal["docs", "tickets", "refusals"]
Split = Literal["", "train", "validation", "calibration", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "calibration", "test")

_SPACES = re.compile(r"\s+")
_NOT_WORD = re.compile(r"[^\w]+")


@dataclass(frozen=True)
class Row:
    """One question and its answer.

    Args:
        instruction: the question behind :data:`QUESTION_PREFIX`.
        output: the answer in the product's support voice, or the deflection.
        id: first 16 hex digits of the SHA-256 of bucket, source and instruction.
        bucket: ``docs``, ``tickets`` or ``refusals``.
        source: ``url#anchor`` for docs, the redacted conversation's hash for tickets,
            ``category/family`` for refusals. All rows of a source stand in one split.
        source_hash: content hash of that source.
        style: how the question is phrased, or how the row came about.
        split: assigned by the merge; empty before.
        evidence: ``url#anchor`` of the docs section that answers the question, where one is
            known; empty for refusals.
    """

    instruction: str
    output: str
    id: str
    bucket: Bucket
    source: str
    source_hash: str
    style: str
    split: Split = ""
    evidence: str = ""

    @property
    def question(self) -> str:
        """The instruction without its prefix."""
        return self.instruction.removeprefix(QUESTION_PREFIX)

    def in_split(self, split: Split) -> "Row":
        """The same row with its split set."""
        return replace(self, split=split)

    def to_dict(self) -> dict[str, Any]:
        """The row as it stands in JSONL."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> "Row":
        """The inverse of :meth:`to_dict`."""
        return cls(**{name: value[name] for name in cls.__dataclass_fields__})


def make_row(
    *,
    question: str,
    output: str,
    bucket: Bucket,
    source: str,
    source_hash: str,
    style: str,
    evidence: str = "",
) -> Row:
    """A row with folded white space, the instruction prefix and its id."""
    instruction = QUESTION_PREFIX + fold(question)
    return Row(
        instruction=instruction,
        output=fold(output),
        id=sha256_text(f"{bucket}\n{source}\n{instruction}")[:16],
        bucket=bucket,
        source=source,
        source_hash=source_hash,
        style=style,
        evidence=evidence,
    )


def fold(text: str) -> str:
    """White space folded to single spaces and stripped."""
    return _SPACES.sub(" ", text).strip()


def normalized_question(text: str) -> str:
    """A question without case, punctuation and surplus space, for comparing.

    Full-width and decomposed letters are as their plain ones (NFKC), and what is not seen (a soft
    hyphen, a joiner) is gone.
    """
    if text.isascii():
        return _NOT_WORD.sub(" ", text.casefold()).strip()
    kept: list[str] = []
    for char in normalize("NFKC", normalize("NFKC", text).casefold()):
        kind = category(char)
        if char.isalnum() or char == "_":
            kept.append(char)
        elif kind[0] == "M":
            if kept and kept[-1] != " ":  # a letter's, as the vowels of many scripts are
                kept.append(char)
        elif kind != "Cf":
            kept.append(" ")
    return fold("".join(kept))
