"""From docs sections to synthesized rows: ask the teacher, filter, count.

What lives here: the loop over sections and the filters that every pair must pass, each with its
reject reason. What does not: the teachers themselves and hand review.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rapidfuzz import fuzz

from supportbot_dagster.dataset.rows import Row, fold, make_row, normalized_question
from supportbot_dagster.progress import Progress, silent
from supportbot_dagster.refusals.markers import is_refusal
from supportbot_dagster.synthesis.facts import unsupported
from supportbot_dagster.synthesis.section import SectionText, sections_of
from supportbot_dagster.synthesis.teacher import Pair, Teacher

MAX_ANSWER_WORDS = 120
"""An answer of 200 tokens holds about 150 words; 120 leaves room for long words."""
MIN_ANSWER_WORDS = 8
NEAR_DUPLICATE = 97.0
"""Token-sort ratio (0 to 100) from which two questions of one section count as the same."""

_PLAIN = re.compile(r"[*_`#>|\\]|\[([^\]]*)\]\([^)]*\)")


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
        rows: rows of the ``docs`` bucket, in section order.
        rejected: pairs that a filter stopped.
        silent_sections: keys of sections for which the teacher had no pair.
        faults: keys of sections of which the teacher's reply could not be used, and why.
    """

    rows: list[Row]
    rejected: list[Rejected]
    silent_sections: list[str]
    faults: dict[str, str]

    @property
    def reject_counts(self) -> dict[str, int]:
        """Rejected pairs by reason."""
        counts: dict[str, int] = {}
        for item in self.rejected:
            counts[item.reason] = counts.get(item.reason, 0) + 1
        return dict(sorted(counts.items()))


def synthesize(
    pages: Sequence[Mapping[str, Any]], teacher: Teacher, progress: Progress = silent
) -> Synthesis:
    """Rows for every section that the teacher can phrase, after the filters."""
    sections = sections_of(pages)
    rows: list[Row] = []
    rejected: list[Rejected] = []
    silent_sections: list[str] = []
    faults_of_teacher: dict[str, str] = {}
    seen: set[str] = set()
    for done, phrased in enumerate(teacher.phrase(sections), start=1):
        section, pairs = phrased.section, phrased.pairs
        kept: list[str] = []
        # The questions of a section mostly share one answer, which is checked once.
        faults: dict[tuple[str, str], str | None] = {}
        if phrased.fault:
            faults_of_teacher[section.key] = phrased.fault
        elif not pairs:
            silent_sections.append(section.key)
        for pair in pairs:
            normalized = normalized_question(pair.question)
            said = (pair.answer, pair.evidence)
            if said not in faults:
                faults[said] = _answer_fault(pair, section)
            reason = "empty question" if not pair.question.strip() else faults[said]
            if reason is None and normalized in seen:
                reason = "same question as another section's"
            if reason is None and any(
                fuzz.token_sort_ratio(normalized, other) >= NEAR_DUPLICATE for other in kept
            ):
                reason = "near-duplicate question"
            if reason is not None:
                rejected.append(Rejected(section.key, pair.question, reason))
                continue
            kept.append(normalized)
            seen.add(normalized)
            rows.append(
                make_row(
                    question=pair.question,
                    output=pair.answer,
                    bucket="docs",
                    source=section.key,
                    source_hash=section.content_hash,
                    style=pair.style,
                    evidence=section.key,
                )
            )
        progress("sections phrased", done, len(sections))
    return Synthesis(rows, rejected, silent_sections, faults_of_teacher)


def reject_reason(pair: Pair, section: SectionText) -> str | None:
    """Why a pair must not train, or None.

    The evidence must stand in the section, and so must every hard fact of the answer; a deflection
    or an answer of the wrong length is no docs answer.
    """
    return "empty question" if not pair.question.strip() else _answer_fault(pair, section)


def _answer_fault(pair: Pair, section: SectionText) -> str | None:
    if not MIN_ANSWER_WORDS <= len(pair.answer.split()) <= MAX_ANSWER_WORDS:
        return "answer length"
    if is_refusal(pair.answer):
        return "answer is a deflection"
    evidence = _squeeze(pair.evidence)
    if not evidence or evidence not in _squeeze(section.markdown):
        return "evidence not in the section"
    missing = unsupported(pair.answer, (section.markdown, " > ".join(section.heading_path)))
    if missing:
        return "fact not in the section"
    return None


def _squeeze(text: str) -> str:
    """Letters and digits only, so that markup and spacing cannot hide a quote."""
    plain = _PLAIN.sub(lambda match: match.group(1) or "", fold(text))
    return re.sub(r"[^\w]+", "", plain).casefold()
