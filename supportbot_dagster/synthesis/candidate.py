"""A pair between the teacher and the dataset.

What lives here: :class:`Candidate`, a pair with its section and what was decided of it. What does
not: who decides (:mod:`supportbot_dagster.synthesis.filters`, :mod:`supportbot_dagster.review`).
"""

from __future__ import annotations

from dataclasses import dataclass

from supportbot_dagster.dataset.rows import fold
from supportbot_dagster.hashing import sha256_json
from supportbot_dagster.synthesis.section import SectionText
from supportbot_dagster.synthesis.teacher import Pair


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

    @property
    def key(self) -> str:
        """Identity by content: 32 hexadecimal digits of section address, question and answer.

        The section's text is no part of it, so that a verdict is found again, and known to be
        stale, when that has changed.
        """
        return sha256_json([self.section.key, fold(self.pair.question), fold(self.pair.answer)])[
            :32
        ]

    @property
    def page(self) -> str:
        """Address of the docs page."""
        return self.section.key.split("#", 1)[0]
