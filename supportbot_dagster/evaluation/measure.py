"""What the shipped file does with the held-out questions.

What lives here: asking every question, the cells that its outcome falls into, the hand-off
threshold, the leak audit and the summary with its gates. What does not: judging one answer
(:mod:`supportbot_dagster.evaluation.judge`), running the model
(:mod:`supportbot_dagster.export.runtime`) and drawing (:mod:`supportbot_dagster.evaluation.plots`).
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol

from supportbot_dagster.dataset.rows import TICKET_STYLE, Row, normalized_question
from supportbot_dagster.evaluation.judge import Judge, Reference
from supportbot_dagster.gate import Gate
from supportbot_dagster.product import Gates
from supportbot_dagster.progress import Progress, silent
from supportbot_dagster.refusals.markers import is_refusal

Cell = Literal[
    "answered right", "answered wrong", "deflected rightly", "deflected needlessly",
    "answered unanswerable",
]  # fmt: skip
WITHHELD = "withheld section"
"""Kind of the questions about docs sections that training was not shown: the product's own subject,
and yet unknown to the bot."""
MIN_ANSWERED = 50
"""Answered answerable questions without which no threshold is chosen."""


_PLACEHOLDER = re.compile(r"<[A-Z][A-Z_]+(?:_\d+)?>")


class Reply(Protocol):
    """What a runtime returns for a question."""

    @property
    def text(self) -> str:
        """The answer."""
        ...

    @property
    def score(self) -> float:
        """How certain the bot is, at most 0; see the runtime's ``Generation.score``."""
        ...

    @property
    def seconds(self) -> float:
        """Wall-clock time."""
        ...


Ask = Callable[[str], Reply]


@dataclass(frozen=True)
class Outcome:
    """One held-out question and what became of it.

    Args:
        id: of the row.
        split: of the row.
        kind: the bucket, the refusal category, or :data:`WITHHELD`.
        question: as asked, without the instruction prefix.
        reference: the row's own output.
        section: key of the section that answers it; empty for unanswerable ones.
        answer: what the bot said.
        score: how certain the bot is, at most 0; see
            :attr:`supportbot_dagster.export.runtime.Generation.score`.
        seconds: time for the answer.
        deflected: whether the text is a deflection.
        right: the judge's verdict; None for questions that no section answers.
        reason: why it is wrong.
    """

    id: str
    split: str
    kind: str
    question: str
    reference: str
    section: str
    answer: str
    score: float
    seconds: float
    deflected: bool
    right: bool | None
    reason: str

    @property
    def answerable(self) -> bool:
        """Whether what was taught answers the question."""
        return self.right is not None and self.kind != WITHHELD

    def handed_off(self, threshold: float) -> bool:
        """What the app does: hand off a deflection, and an answer below the threshold."""
        return self.deflected or self.score < threshold

    def cell(self, threshold: float) -> Cell:
        """The cell that the outcome falls into at a threshold."""
        if self.handed_off(threshold):
            return "deflected needlessly" if self.answerable else "deflected rightly"
        if self.right is None:
            return "answered unanswerable"
        return "answered right" if self.right else "answered wrong"

    def to_dict(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)


def taught_answers(rows: Sequence[Row]) -> dict[str, list[str]]:
    """Section key to the answers of the train split that name the section as their evidence."""
    answers = _answers(row for row in rows if row.split == "train" and row.bucket == "docs")
    for row in rows:
        if row.split == "train" and row.bucket == "tickets" and row.evidence in answers:
            answers[row.evidence].append(row.output)
    return answers


def _answers(rows: Iterable[Row]) -> dict[str, list[str]]:
    answers: dict[str, list[str]] = {}
    for row in rows:
        answers.setdefault(row.evidence, []).append(row.output)
    return answers


def references(rows: Sequence[Row], judge: Judge) -> dict[str, Reference]:
    """Row id to reference, for ticket rows whose section training taught.

    A ticket without a docs link is matched by its agent's reply, if that is like what a section
    says (:data:`supportbot_dagster.evaluation.judge.LEAST_SIMILARITY`). One whose section is not
    taught, or not in the docs, or not known so, cannot be judged and is left out.
    """
    found: dict[str, Reference] = {}
    for row in rows:
        if row.bucket != "tickets":
            continue
        section = row.evidence or judge.nearest_section(row.output)
        if section in judge.sections:
            found[row.id] = Reference(section, (row.output,))
    return found


def ask_held_out(
    rows: Sequence[Row],
    judge: Judge,
    ask: Ask,
    progress: Progress = silent,
) -> tuple[list[Outcome], dict[str, int]]:
    """Ask every held-out row that can be judged.

    A held-out row of the docs is about a withheld section: unless the base knows it from elsewhere,
    the bot cannot know, and should say so. Its answer is judged as if the section had been taught.

    Args:
        rows: rows of the splits that do not train.
        judge: knows what the train split taught.
        ask: one instruction in, one reply out.
        progress: called after each question.

    Returns:
        The outcomes, and the rows left out by reason.
    """
    known = references(rows, judge)
    unseen = [row for row in rows if row.bucket == "docs"]
    wider = judge.with_answers(_answers(unseen)) if unseen else judge
    outcomes: list[Outcome] = []
    left_out: dict[str, int] = {}
    for done, row in enumerate(rows, start=1):
        reference = known.get(row.id)
        if row.bucket == "tickets" and reference is None:
            linked = "no taught section answers it"
            reason = linked if row.evidence else "its reply is like no taught section"
            left_out[reason] = left_out.get(reason, 0) + 1
            continue
        reply = ask(row.instruction)
        right: bool | None = None
        why = ""
        if row.bucket == "docs":
            reference = Reference(row.evidence, (row.output,))
        if reference is not None:
            verdict = wider.judge(reply.text, reference)
            right, why = verdict.right, verdict.reason
        outcomes.append(
            Outcome(
                id=row.id,
                split=row.split,
                kind={"docs": WITHHELD, "refusals": row.style}.get(row.bucket, row.bucket),
                question=row.question,
                reference=row.output,
                section=reference.section if reference else "",
                answer=reply.text,
                score=reply.score,
                seconds=reply.seconds,
                deflected=is_refusal(reply.text),
                right=right,
                reason=why,
            )
        )
        progress("held-out questions asked", done, len(rows))
    return outcomes, left_out


def choose_threshold(calibration: Sequence[Outcome], limits: Gates) -> float | None:
    """The hand-off threshold on the score, chosen on held-out questions that do not test it.

    A higher one hands off more of the unanswerable questions and more of the answerable ones. It
    is chosen so that both gates most probably hold on further questions: the product of the two
    probabilities, each from the Beta distribution of a share that was met with so many times in so
    many questions (Bayes' uniform prior), is the largest. Of equals the lowest is taken.

    Args:
        calibration: outcomes of the calibration and validation splits.
        limits: the product's gates.

    Returns:
        The threshold, or None with fewer than :data:`MIN_ANSWERED` answers to answerable questions
        to choose it on.
    """
    from scipy.stats import beta

    answerable = [outcome for outcome in calibration if outcome.answerable]
    unanswerable = [
        outcome for outcome in calibration if not outcome.answerable and outcome.kind != WITHHELD
    ]
    scores = sorted({outcome.score for outcome in answerable if not outcome.deflected})
    if sum(not outcome.deflected for outcome in answerable) < MIN_ANSWERED:
        return None

    def handed_off(outcomes: Sequence[Outcome], threshold: float) -> tuple[int, int]:
        count = sum(outcome.handed_off(threshold) for outcome in outcomes)
        return count + 1, len(outcomes) - count + 1

    def both_hold(threshold: float) -> float:
        needless = beta.cdf(limits.answerable_deflected, *handed_off(answerable, threshold))
        rightly = beta.sf(limits.unanswerable_deflected, *handed_off(unanswerable, threshold))
        return float(needless * rightly)

    # Between two answerable questions' scores, the higher threshold only hands off more of the
    # unanswerable ones: so each of these scores is a candidate.
    return max(scores, key=both_hold)


@dataclass(frozen=True)
class Share:
    """A measured share with its sample."""

    count: int
    of: int

    @property
    def value(self) -> float | None:
        """The share, or None without a sample."""
        return self.count / self.of if self.of else None

    def to_dict(self) -> dict[str, Any]:
        """As a JSON object."""
        return {"count": self.count, "of": self.of, "share": self.value}


@dataclass(frozen=True)
class Summary:
    """The figures of one split at one threshold; see :func:`summarize`."""

    answerable_right: Share
    answerable_deflected: Share
    answered_wrong: Share
    unanswerable_deflected: Share
    withheld_deflected: Share
    withheld_wrong: Share
    cells: dict[str, int]
    by_kind: dict[str, dict[str, int]]


def summarize(outcomes: Sequence[Outcome], threshold: float) -> Summary:
    """Count the cells of a split.

    ``answerable_right`` and ``answerable_deflected`` are shares of all answerable questions,
    ``answered_wrong`` of the answerable ones that were answered. Questions about withheld sections
    enter ``withheld_deflected``, ``withheld_wrong`` (shares of all of them) and ``by_kind`` alone:
    their number is chosen, not met with.
    """
    by_kind: dict[str, dict[str, int]] = {}
    for outcome in outcomes:
        cell = outcome.cell(threshold)
        kind = by_kind.setdefault(outcome.kind, {})
        kind[cell] = kind.get(cell, 0) + 1
    usual = [outcome for outcome in outcomes if outcome.kind != WITHHELD]
    cells = Counter[str](outcome.cell(threshold) for outcome in usual)
    withheld = by_kind.get(WITHHELD, {})
    answerable = sum(outcome.answerable for outcome in usual)
    right = cells.get("answered right", 0)
    wrong = cells.get("answered wrong", 0)
    return Summary(
        answerable_right=Share(right, answerable),
        answerable_deflected=Share(cells.get("deflected needlessly", 0), answerable),
        answered_wrong=Share(wrong, right + wrong),
        unanswerable_deflected=Share(cells.get("deflected rightly", 0), len(usual) - answerable),
        withheld_deflected=Share(withheld.get("deflected rightly", 0), sum(withheld.values())),
        withheld_wrong=Share(withheld.get("answered wrong", 0), sum(withheld.values())),
        cells=dict(sorted(cells.items())),
        by_kind={kind: dict(sorted(by_kind[kind].items())) for kind in sorted(by_kind)},
    )


def gates(summary: Summary, limits: Gates) -> list[Gate]:
    """The gates on the test split; a figure without a sample never passes."""
    return [
        Gate.at_least(
            "answerable questions answered right",
            summary.answerable_right.value,
            limits.answerable_right,
            "judge: nearest docs section is the right one, no unsupported fact, enough substance",
        ),
        Gate.at_least(
            "unanswerable questions deflected",
            summary.unanswerable_deflected.value,
            limits.unanswerable_deflected,
            "refusal markers in the text, or a score below the threshold",
        ),
        Gate.at_most(
            "answerable questions deflected",
            summary.answerable_deflected.value,
            limits.answerable_deflected,
            "refusal markers in the text, or a score below the threshold",
        ),
    ]


@dataclass(frozen=True)
class LeakAudit:
    """What answers share with the training tickets.

    Args:
        longest_overlap_words: longest run of words that an answer shares with a customer's
            message of the training set, whatever the case and the punctuation.
        answer_id: row whose answer holds it.
        placeholders: answers that show a redaction placeholder.
    """

    longest_overlap_words: int
    answer_id: str
    placeholders: int


def audit_leaks(outcomes: Sequence[Outcome], train: Sequence[Row]) -> LeakAudit:
    """Look for customers' words in the answers.

    Only the questions of training tickets count, account questions among them: an agent's reply
    repeats the docs by design.
    """
    runs: dict[str, set[int]] = {}
    texts = [
        normalized_question(row.question).split()
        for row in train
        if row.bucket == "tickets" or row.style == TICKET_STYLE
    ]
    for number, words in enumerate(texts):
        for word in words:
            runs.setdefault(word, set()).add(number)
    longest, holder = 0, ""
    for outcome in outcomes:
        words = normalized_question(outcome.answer).split()
        for start in range(len(words)):
            while (end := start + longest + 1) <= len(words) and _stands(
                words[start:end], texts, runs
            ):
                longest, holder = longest + 1, outcome.id
    shown = sum(_PLACEHOLDER.search(outcome.answer) is not None for outcome in outcomes)
    return LeakAudit(longest, holder, shown)


def _stands(run: list[str], texts: list[list[str]], runs: Mapping[str, set[int]]) -> bool:
    candidates = set.intersection(*(runs.get(word, set()) for word in run))
    size = len(run)
    return any(
        texts[number][start : start + size] == run
        for number in candidates
        for start in range(len(texts[number]) - size + 1)
    )
