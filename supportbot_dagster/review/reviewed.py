"""Candidates after review: what people said decides over the filters.

What lives here: how verdicts turn candidates into the pairs that train, also where the teacher no
longer makes the candidate. What does not: keeping verdicts
(:mod:`supportbot_dagster.review.verdicts`) and making candidates
(:mod:`supportbot_dagster.synthesis.pairs`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from supportbot_dagster.dataset.duplicates import copies
from supportbot_dagster.dataset.rows import normalized_question
from supportbot_dagster.review.verdicts import DONE, Verdict
from supportbot_dagster.synthesis.candidate import Candidate
from supportbot_dagster.synthesis.pairs import COPIES_A_SECTION, SAME_PHRASING
from supportbot_dagster.synthesis.section import SectionText

COUNTS = (
    "kept",
    "edited",
    "rejected",
    "from_stored_words",
    "overridden",
    "waiting",
    "orphaned",
    "unused",
)
"""What is counted: verdicts by decision; of those that train, the ones whose candidate the teacher
no longer makes and the edits kept in spite of the filters; candidates that passed the filters and
have no verdict; verdicts whose section no longer exists; rejections of what is no longer made."""


@dataclass(frozen=True)
class Reviewed:
    """Candidates after review.

    Args:
        candidates: all of them in the order of the sections, those edited with their new words and
            those that only a verdict still holds; ``reason`` is empty for those that train.
        counts: by :data:`COUNTS`.
        restored: those that only a verdict still holds, in the teacher's words, for the page.
    """

    candidates: list[Candidate]
    counts: dict[str, int]
    restored: list[Candidate]

    @property
    def kept_share(self) -> float | None:
        """Share of the judged candidates that train, or None where none was judged."""
        kept = self.counts["kept"] + self.counts["edited"]
        judged = kept + self.counts["rejected"]
        return kept / judged if judged else None


def verdict_of(candidate: Candidate, verdicts: Mapping[str, Verdict]) -> Verdict | None:
    """The verdict on a candidate among those that count, or None."""
    found = verdicts.get(candidate.key)
    if found is None:
        # an edit of the first format, as long as the section says what it said then
        found = verdicts.get(candidate.former_key)
        if found is not None and found.section_hash != candidate.section.content_hash:
            return None
    return found


def apply_verdicts(
    candidates: Sequence[Candidate],
    verdicts: Mapping[str, Verdict],
    sections: Sequence[SectionText],
    *,
    required: bool,
) -> Reviewed:
    """Let verdicts decide over filters.

    Args:
        candidates: in their order.
        verdicts: those that count, by candidate.
        sections: all docs sections of the month.
        required: whether only what a person approved may train.
    """
    counts = dict.fromkeys(COUNTS, 0)
    done: list[Candidate] = []
    open_ones: list[int] = []
    used: set[str] = set()
    approved: dict[str, list[str]] = defaultdict(list)

    def judge(candidate: Candidate, verdict: Verdict) -> None:
        counts[DONE[verdict.decision]] += 1
        counts["overridden"] += bool(verdict.overridden)
        reason = "rejected by hand" if verdict.decision == "reject" else ""
        pair = replace(candidate.pair, question=verdict.question, answer=verdict.answer)
        if verdict.trains:
            approved[candidate.section.key].append(normalized_question(pair.question))
        else:
            pair = candidate.pair
        done.append(Candidate(candidate.section, pair, reason))

    for candidate in candidates:
        verdict = verdict_of(candidate, verdicts)
        if verdict is None:
            open_ones.append(len(done))
            done.append(candidate)
        elif verdict.candidate in used:
            # The same section stands at two addresses: one of them trains.
            done.append(replace(candidate, reason=candidate.reason or COPIES_A_SECTION))
        else:
            used.add(verdict.candidate)
            judge(candidate, verdict)

    restored: list[Candidate] = []
    standing: dict[str, list[SectionText]] = defaultdict(list)
    for section in sections:
        standing[section.content_hash].append(section)
    for key, verdict in verdicts.items():
        if key in used:
            continue
        found = standing.get(verdict.section_hash)
        if not found:
            counts["orphaned"] += 1
        elif not verdict.trains:
            counts["unused"] += 1
        else:
            section = next((one for one in found if one.key == verdict.section), found[0])
            counts["from_stored_words"] += 1
            judge(Candidate(section, verdict.pair), verdict)
            if verdict.own is not None:
                restored.append(Candidate(section, verdict.own))

    for place in open_ones:
        candidate = done[place]
        if candidate.reason:
            continue
        asked = normalized_question(candidate.pair.question)
        if any(copies(asked, one, SAME_PHRASING) for one in approved[candidate.section.key]):
            done[place] = replace(candidate, reason="near copy of an approved question")
            continue
        counts["waiting"] += 1
        if required:
            done[place] = replace(candidate, reason="not reviewed yet")
    order = {section.key: place for place, section in enumerate(sections)}
    done.sort(key=lambda one: order.get(one.section.key, len(order)))
    return Reviewed(done, counts, restored)
