"""A pair between the teacher and the dataset.

What lives here: :class:`Candidate`, a pair with its section and what was decided of it. What does
not: who decides (:mod:`supportbot_dagster.synthesis.filters`, :mod:`supportbot_dagster.review`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from supportbot_dagster.dataset.rows import fold
from supportbot_dagster.hashing import sha256_json
from supportbot_dagster.synthesis.section import SectionText
from supportbot_dagster.synthesis.teacher import Pair


def content_key(section: str, question: str, answer: str) -> str:
    """32 hexadecimal digits of what makes a candidate: its section, question and answer.

    Args:
        section: the section's content hash.
        question: as the teacher phrased it; white space does not count.
        answer: likewise.
    """
    return sha256_json([section, fold(question), fold(answer)])[:32]


@dataclass(frozen=True)
class Candidate:
    """A pair, its section, and what the filters said.

    Args:
        section: the docs section.
        pair: question, answer, evidence and style.
        reason: why the filters stopped it; empty if they did not.
    """

    section: SectionText
    pair: Pair
    reason: str = ""

    @cached_property
    def key(self) -> str:
        """Identity by content: that of section, question and answer, wherever the docs stand."""
        return content_key(self.section.content_hash, self.pair.question, self.pair.answer)

    @cached_property
    def former_key(self) -> str:
        """The key that held the section's address in place of its content, as verdicts once did."""
        return content_key(self.section.key, self.pair.question, self.pair.answer)

    @property
    def page(self) -> str:
        """Address of the docs page."""
        return self.section.key.split("#", 1)[0]
