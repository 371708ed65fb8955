"""From docs sections to synthesized rows: ask the teacher, filter, count.

What lives here: the loop over sections, which counts what comes out. What does not: the teachers,
the filters (:mod:`supportbot_dagster.synthesis.filters`) and hand review.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rapidfuzz import fuzz

from supportbot_dagster.dataset.duplicates import NEAR_COPY, Questions, prepare
from supportbot_dagster.dataset.rows import Row, make_row, normalized_question
from supportbot_dagster.progress import Progress, silent
from supportbot_dagster.synthesis.candidate import Candidate
from supportbot_dagster.synthesis.filters import Checked, reject_reasons
from supportbot_dagster.synthesis.section import sections_of
from supportbot_dagster.synthesis.teacher import Teacher

SAME_PHRASING = 97.0
"""Token-sort ratio (0 to 100) from which two questions of one section count as the same. It lets
spellings pass: how people misspell is worth learning."""
COPIES_A_SECTION = "near copy of another section's question"
COPIES_A_PHRASING = "near copy of another phrasing"


@dataclass(frozen=True)
class Rejected:
    """A pair that did not pass, and why."""

    section: str
    question: str
    reason: str


@dataclass(frozen=True)
class Synthesis:
    """What came out.

    Args:
        candidates: every pair, in section order, with why it must not train or an empty reason.
        silent_sections: keys of sections for which the teacher had no pair.
        faults: keys of sections of which the teacher's reply could not be used, and why.
    """

    candidates: list[Candidate]
    silent_sections: list[str]
    faults: dict[str, str]

    @property
    def rows(self) -> list[Row]:
        """Rows of the ``docs`` bucket, of the candidates that may train."""
        return [_row(one) for one in self.candidates if not one.reason]

    @property
    def rejected(self) -> list[Rejected]:
        """The others, and why."""
        return [
            Rejected(one.section.key, one.pair.question, one.reason)
            for one in self.candidates
            if one.reason
        ]

    @property
    def reject_counts(self) -> dict[str, int]:
        """Rejected pairs by reason."""
        counts = Counter(one.reason for one in self.candidates if one.reason)
        return dict(sorted(counts.items()))


def _row(candidate: Candidate) -> Row:
    section, pair = candidate.section, candidate.pair
    return make_row(
        question=pair.question,
        output=pair.answer,
        bucket="docs",
        source=section.key,
        source_hash=section.content_hash,
        style=pair.style,
        evidence=section.key,
    )


def synthesize(
    pages: Sequence[Mapping[str, Any]],
    teacher: Teacher,
    progress: Progress = silent,
    own: frozenset[str] = frozenset(),
) -> Synthesis:
    """Rows for every section that the teacher can phrase, after the filters.

    Args:
        pages: page records as in ``docs_crawl``.
        teacher: who phrases them.
        progress: told after each section.
        own: words that may stand in any answer, lower case: the product's name.
    """
    sections = sections_of(pages)
    candidates: list[Candidate] = []
    silent_sections: list[str] = []
    faults_of_teacher: dict[str, str] = {}
    seen = Questions(NEAR_COPY)
    for done, phrased in enumerate(teacher.phrase(sections), start=1):
        section, pairs = phrased.section, phrased.pairs
        kept: list[str] = []
        if phrased.fault:
            faults_of_teacher[section.key] = phrased.fault
        elif not pairs:
            silent_sections.append(section.key)
        normalized = [normalized_question(pair.question) for pair in pairs]
        reasons = reject_reasons(pairs, Checked(section, own))
        for pair, text, reason, hashed in zip(
            pairs, normalized, reasons, prepare(normalized), strict=True
        ):
            if reason is None and seen.find(text, hashed) not in {None, section.key}:
                reason = COPIES_A_SECTION
            if reason is None and any(
                fuzz.token_sort_ratio(text, other) >= SAME_PHRASING for other in kept
            ):
                reason = COPIES_A_PHRASING
            candidates.append(Candidate(section, pair, reason or ""))
            if reason is None:
                kept.append(text)
                seen.add(section.key, text, hashed)
        progress("sections phrased", done, len(sections))
    return Synthesis(candidates, silent_sections, faults_of_teacher)
