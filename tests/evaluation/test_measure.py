from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

from supportbot_dagster.dataset.rows import Bucket, Row, Split, make_row
from supportbot_dagster.evaluation import measure
from supportbot_dagster.evaluation.judge import Judge
from supportbot_dagster.evaluation.measure import (
    Outcome,
    ask_held_out,
    audit_leaks,
    choose_threshold,
    gates,
    references,
    summarize,
    taught_answers,
)
from supportbot_dagster.product import Gates

DEFLECTION = "I do not have access to your account. Please write to us."


@dataclass(frozen=True)
class Said:
    text: str
    score: float = -0.1
    seconds: float = 0.5


def outcome(**changes: Any) -> Outcome:
    fields: dict[str, Any] = {
        "id": "x",
        "split": "test",
        "kind": "tickets",
        "question": "how?",
        "reference": "Click it.",
        "section": "d#a",
        "answer": "Click it.",
        "score": -0.2,
        "seconds": 0.1,
        "deflected": False,
        "right": True,
        "reason": "",
    }
    return Outcome(**{**fields, **changes})


def row(
    question: str, output: str, bucket: Bucket, split: Split, evidence: str = "", style: str = "s"
) -> Row:
    return make_row(
        question=question,
        output=output,
        bucket=bucket,
        source=evidence or f"{bucket} {question}",
        source_hash="h",
        style=style,
        evidence=evidence,
    ).in_split(split)


@pytest.mark.parametrize(
    ("changes", "threshold", "cell"),
    [
        ({}, -1.0, "answered right"),
        ({"right": False}, -1.0, "answered wrong"),
        ({"score": -2.0}, -1.0, "deflected needlessly"),
        ({"right": False, "score": -2.0}, -1.0, "deflected needlessly"),
        ({"deflected": True, "right": False}, -1.0, "deflected needlessly"),
        ({"right": None}, -1.0, "answered unanswerable"),
        ({"right": None, "deflected": True}, -1.0, "deflected rightly"),
        ({"right": None, "score": -2.0}, -1.0, "deflected rightly"),
        ({"score": -1.0}, -1.0, "answered right"),
    ],
)
def test_cells(changes: dict[str, Any], threshold: float, cell: str) -> None:
    assert outcome(**changes).cell(threshold) == cell


def calibration(answerable: int, unanswerable: int, told: int) -> list[Outcome]:
    """Answerable questions score -0.01, -0.02 ..., unanswerable ones lie among the lowest tenth of
    them, and of these ``told`` more are deflected in words."""
    lowest = -0.01 * answerable
    return [
        *(outcome(id=f"a{n}", score=-0.01 * (n + 1)) for n in range(answerable)),
        *(
            outcome(id=f"u{n}", right=None, score=lowest * (1 - 0.1 * (n + 0.5) / unanswerable))
            for n in range(unanswerable)
        ),
        *(outcome(id=f"d{n}", right=None, deflected=True, score=-9.0) for n in range(told)),
    ]


LIMITS = Gates(unanswerable_deflected=0.95, answerable_deflected=0.05)


def handed_off(items: list[Outcome], threshold: float | None, answerable: bool) -> int:
    assert threshold is not None
    return sum(item.handed_off(threshold) for item in items if item.answerable is answerable)


def test_the_threshold_stands_where_both_gates_most_probably_hold() -> None:
    items = calibration(200, 60, 940)
    threshold = choose_threshold(items, LIMITS)
    needless = handed_off(items, threshold, answerable=True)
    rightly = handed_off(items, threshold, answerable=False)
    assert 0 < needless < 0.05 * 200
    assert 0.95 * 1000 < rightly < 1000, "words alone would not do, and not all is handed off"


def test_each_gate_pulls_the_threshold_its_way() -> None:
    items = calibration(200, 60, 940)
    usual = handed_off(items, choose_threshold(items, LIMITS), answerable=True)
    strict = LIMITS.model_copy(update={"answerable_deflected": 0.01})
    lax = LIMITS.model_copy(update={"answerable_deflected": 0.3})
    easy = LIMITS.model_copy(update={"unanswerable_deflected": 0.5})
    assert handed_off(items, choose_threshold(items, strict), answerable=True) <= usual
    assert handed_off(items, choose_threshold(items, lax), answerable=True) > usual
    assert handed_off(items, choose_threshold(items, easy), answerable=True) == 0
    free = LIMITS.model_copy(update={"unanswerable_deflected": 0, "answerable_deflected": 1})
    assert handed_off(items, choose_threshold(items, free), answerable=True) == 0, "the lowest"


def test_too_few_answers_give_no_threshold() -> None:
    assert choose_threshold(calibration(49, 100, 0), LIMITS) is None
    assert choose_threshold(calibration(50, 100, 0), LIMITS) is not None
    assert choose_threshold([], LIMITS) is None


def test_withheld_sections_do_not_move_the_threshold() -> None:
    items = calibration(100, 50, 200)
    noise = [outcome(right=False, score=-0.3, kind=measure.WITHHELD)] * 500
    assert choose_threshold([*items, *noise], LIMITS) == choose_threshold(items, LIMITS)


def test_the_summary_counts_shares_of_the_right_whole() -> None:
    items = [
        *[outcome()] * 6,
        *[outcome(right=False)] * 2,
        *[outcome(score=-9.0)] * 2,
        *[outcome(right=None, kind="pricing", deflected=True)] * 3,
        outcome(right=None, kind="billing"),
    ]
    summary = summarize(items, -1.0)
    assert summary.answerable_right.to_dict() == {"count": 6, "of": 10, "share": 0.6}
    assert summary.answerable_deflected.to_dict() == {"count": 2, "of": 10, "share": 0.2}
    assert summary.answered_wrong.to_dict() == {"count": 2, "of": 8, "share": 0.25}
    assert summary.unanswerable_deflected.to_dict() == {"count": 3, "of": 4, "share": 0.75}
    assert sum(summary.cells.values()) == len(items)
    assert summary.by_kind["billing"] == {"answered unanswerable": 1}
    assert summarize(items, -1e9).answerable_deflected.count == 0, "no threshold"


def test_gates_pass_at_their_limit_and_fail_below() -> None:
    limits = Gates(answerable_right=0.6, unanswerable_deflected=0.75, answerable_deflected=0.2)
    items = [
        *[outcome()] * 6,
        *[outcome(right=False)] * 2,
        *[outcome(score=-9.0)] * 2,
        *[outcome(right=None, deflected=True)] * 3,
        outcome(right=None),
    ]
    assert [gate.passed for gate in gates(summarize(items, -1.0), limits)] == [True, True, True]
    worse = [*items[1:], outcome(score=-9.0), outcome(right=None)]
    assert [gate.passed for gate in gates(summarize(worse, -1.0), limits)] == [False] * 3


def test_a_figure_without_a_sample_never_passes() -> None:
    found = gates(summarize([], -1.0), Gates(answerable_right=0, answerable_deflected=1))
    assert [(gate.measured, gate.passed) for gate in found] == [(None, False)] * 3


TRAIN = [
    row("how to a", "Click the blue lamp.", "docs", "train", "d#lamp"),
    row("how to b", "Turn the green wheel.", "docs", "train", "d#wheel"),
    row("lamp??", "The blue lamp, then wait.", "tickets", "train", "d#lamp"),
    row("gone", "An old red page.", "tickets", "train", "d#gone"),
    row("price", DEFLECTION, "refusals", "train"),
]


def test_what_was_taught_is_the_train_split_s_answers_by_section() -> None:
    held = row("held", "A secret reply.", "tickets", "test", "d#lamp")
    assert taught_answers([*TRAIN, held]) == {
        "d#lamp": ["Click the blue lamp.", "The blue lamp, then wait."],
        "d#wheel": ["Turn the green wheel."],
    }


def test_every_held_out_question_is_asked_or_counted() -> None:
    held = [
        row("how lamp", "Click the blue lamp.", "tickets", "calibration", "d#lamp"),
        row("how wheel", "Turn the green wheel.", "tickets", "test"),
        row("old", "An old red page.", "tickets", "test", "d#gone"),
        row("when", "The team will be back to you, and then we call.", "tickets", "test"),
        row("price?", DEFLECTION, "refusals", "test", style="pricing"),
        row("my bill?", DEFLECTION, "refusals", "test", style="billing"),
    ]
    judge = Judge(taught_answers(TRAIN))
    asked: list[str] = []

    def ask(instruction: str) -> Said:
        asked.append(instruction)
        if "price" in instruction:
            return Said(DEFLECTION)
        return Said("Click the blue lamp.")

    outcomes, left_out = ask_held_out(held, judge, ask)
    assert left_out == {
        "no taught section answers it": 1,
        "its reply is like no taught section": 1,
    }
    assert len(outcomes) + sum(left_out.values()) == len(held)
    assert asked[0] == "Customer question: how lamp"
    assert [(item.kind, item.right, item.deflected) for item in outcomes] == [
        ("tickets", True, False),
        ("tickets", False, False),
        ("pricing", None, True),
        ("billing", None, False),
    ]
    assert outcomes[1].section == "d#wheel", "without a link, the agent's reply tells the section"
    assert references(held, judge).keys() == {held[0].id, held[1].id}
    assert outcomes[0].score == -0.1


CUSTOMER = "my name is anna and our launch party for the purple rocket is on friday night"


@pytest.mark.parametrize(
    "answer",
    [
        "Sure! Our launch party for the purple rocket, as said.",
        "OUR LAUNCH PARTY: for the purple (rocket)",
        "our launch party for the purple rocket",
    ],
)
def test_a_planted_overlap_is_found(answer: str) -> None:
    train = [row(CUSTOMER, "Congratulations.", "tickets", "train")]
    audit = audit_leaks([outcome(), outcome(id="leak", answer=answer)], train)
    assert (audit.longest_overlap_words, audit.answer_id) == (7, "leak")


def test_an_account_question_is_a_customer_s_too() -> None:
    train = [row(CUSTOMER, DEFLECTION, "refusals", "train", style="ticket")]
    assert audit_leaks([outcome(answer=CUSTOMER)], train).longest_overlap_words == 16


def test_only_what_customers_wrote_counts() -> None:
    train = [
        row("how?", CUSTOMER, "tickets", "train"),
        row(CUSTOMER, "x", "docs", "train"),
        row(CUSTOMER, DEFLECTION, "refusals", "train", style="pricing"),
    ]
    assert audit_leaks([outcome(answer=CUSTOMER)], train).longest_overlap_words == 0


def test_words_in_another_order_or_across_tickets_are_no_overlap() -> None:
    train = [row("a b c", "x", "tickets", "train"), row("d e f", "x", "tickets", "train")]
    assert audit_leaks([outcome(answer="c b a")], train).longest_overlap_words == 1
    assert audit_leaks([outcome(answer="a b c d e f")], train).longest_overlap_words == 3
    assert audit_leaks([outcome(answer="b c")], train).longest_overlap_words == 2


@pytest.mark.parametrize(("shown", "count"), [("<PERSON_1>", 1), ("<EMAIL>", 1), ("<b> a < B", 0)])
def test_placeholders_are_counted(shown: str, count: int) -> None:
    assert audit_leaks([outcome(answer=f"Hi {shown}, click it.")], []).placeholders == count


def test_an_outcome_as_json_has_every_field() -> None:
    assert outcome().to_dict() == outcome().__dict__
    assert replace(outcome(), right=None).answerable is False
    assert measure.Share(0, 0).value is None


def test_withheld_sections_have_a_figure_of_their_own() -> None:
    outcomes = [
        outcome(),
        outcome(right=None, deflected=True, kind="pricing"),
        outcome(right=False, deflected=True, kind=measure.WITHHELD),
        outcome(right=True, score=-3.0, kind=measure.WITHHELD),
        outcome(right=True, kind=measure.WITHHELD),
        outcome(right=False, kind=measure.WITHHELD),
    ]
    summary = summarize(outcomes, -1.0)
    assert summary.withheld_deflected == measure.Share(2, 4)
    assert summary.withheld_wrong == measure.Share(1, 4)
    assert summary.unanswerable_deflected == measure.Share(1, 1)
    assert summary.answerable_right == measure.Share(1, 1)
    assert sum(summary.cells.values()) == 2
    assert summary.by_kind[measure.WITHHELD] == {
        "answered right": 1,
        "answered wrong": 1,
        "deflected rightly": 2,
    }


def test_a_held_out_docs_row_asks_for_what_the_bot_cannot_know() -> None:
    rows = [
        row("how to archive", "Click Archive in the menu.", "docs", "train", "d#archive"),
        row("how to clone", "Click Clone in the menu.", "docs", "test", "d#clone"),
    ]
    judge = Judge(taught_answers(rows))
    said = {
        DEFLECTION: "deflected rightly",
        "Click Clone in the menu.": "answered right",
        "Click Archive in the menu.": "answered wrong",
    }
    for answer, cell in said.items():
        (found,), left_out = ask_held_out(rows[1:], judge, lambda _, text=answer: Said(text))
        assert left_out == {}
        assert (found.kind, found.answerable, found.cell(-1.0)) == (measure.WITHHELD, False, cell)
