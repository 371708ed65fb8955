"""What the filters say of words that a reviewer typed.

What lives here: the reasons against an edited pair, and the near copies among the other questions.
What does not: the filters (:mod:`supportbot_dagster.synthesis.filters`) and the page that shows
the reasons (:mod:`supportbot_dagster.review.app`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from supportbot_dagster.dataset.duplicates import NEAR_COPY, copies
from supportbot_dagster.dataset.rows import normalized_question
from supportbot_dagster.review.reviewed import verdict_of
from supportbot_dagster.review.verdicts import Verdict
from supportbot_dagster.synthesis.candidate import Candidate
from supportbot_dagster.synthesis.filters import Checked, all_reasons
from supportbot_dagster.synthesis.pairs import (
    COPIES_A_PHRASING,
    COPIES_A_SECTION,
    SAME_PHRASING,
)


def faults(
    candidate: Candidate,
    question: str,
    answer: str,
    candidates: Iterable[Candidate],
    verdicts: Mapping[str, Verdict],
    own: frozenset[str],
) -> list[str]:
    """All that speaks against an edit, each in words; empty if it may train as it is.

    Args:
        candidate: what is edited.
        question: as typed.
        answer: as typed.
        candidates: all of the month.
        verdicts: those that count.
        own: words that may stand in any answer: the product's name.
    """
    pair = replace(candidate.pair, question=question, answer=answer)
    asked = normalized_question(question)
    phrasings: list[str] = []
    near: list[str] = []
    for other in candidates:
        if other.key == candidate.key or not (said := _trains(other, verdict_of(other, verdicts))):
            continue
        same = other.section.content_hash == candidate.section.content_hash
        if same:
            phrasings.append(said)
        if copies(asked, normalized_question(said), SAME_PHRASING if same else NEAR_COPY):
            near.append(f"{COPIES_A_PHRASING if same else COPIES_A_SECTION} ({said})")
    return [*all_reasons(pair, Checked(candidate.section, own), phrasings), *near[:3]]


def _trains(candidate: Candidate, verdict: Verdict | None) -> str:
    """The question with which a candidate trains, or nothing."""
    if verdict is not None:
        return verdict.question if verdict.trains else ""
    return "" if candidate.reason else candidate.pair.question
