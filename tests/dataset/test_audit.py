from __future__ import annotations

from dataclasses import replace

import pytest

from supportbot_dagster.dataset.audit import audit_dataset
from supportbot_dagster.dataset.rows import Bucket, Row, Split, make_row


def one(bucket: Bucket, source: str, question: str, split: Split) -> Row:
    return make_row(
        question=question,
        output="An answer.",
        bucket=bucket,
        source=source,
        source_hash="h",
        style="correct",
    ).in_split(split)


SOUND = [
    one("docs", "https://d.example/a.html#one", "How do I archive?", "train"),
    one("docs", "https://d.example/a.html#two", "How do I delete?", "train"),
    one("tickets", "thread-1", "cant find my cycles", "test"),
    one("refusals", "pricing/price", "What does it cost?", "calibration"),
    one("refusals", "pricing/price", "Price please", "calibration"),
    one("refusals", "pricing/discount", "Any discount?", "validation"),
]


def test_a_sound_dataset_has_no_problem() -> None:
    assert audit_dataset(SOUND, probes=["How do I export?"]) == []


@pytest.mark.parametrize(
    ("planted", "said"),
    [
        (
            one("docs", "https://d.example/a.html#two", "New?", "test"),
            "a.html#two stands in test, tr",
        ),
        (one("tickets", "thread-1", "another question", "train"), "thread-1 stands in test, train"),
        (one("refusals", "pricing/price", "How much?", "train"), "pricing/price stands in"),
        (one("tickets", "thread-2", "HOW DO I ARCHIVE", "test"), "'how do i archive' stands in"),
        (
            one("docs", "https://d.example/a.html#one", "cant find my cycle", "train"),
            "nearly copies row",
        ),
        (one("tickets", "thread-2", "Why?", ""), "has no split"),
        (SOUND[0], "stands twice"),
        (one("docs", "https://d.example/b.html", "how do i export", "train"), "is a probe"),
        (one("docs", "https://d.example/b.html", "how do i exportt", "train"), "is a probe"),
        (replace(one("docs", "https://d.example/b.html", "So?", "train"), output=" "), "no output"),
    ],
)
def test_each_planted_fault_is_found(planted: Row, said: str) -> None:
    problems = audit_dataset([*SOUND, planted], probes=["How do I export?"])
    assert any(said in problem for problem in problems), problems


def test_a_ticket_about_a_withheld_section_is_found_in_training() -> None:
    withheld = one("docs", "https://d.example/a.html#none", "How do I clone?", "test")
    ticket = replace(one("tickets", "thread-9", "clone it pls", "train"), evidence=withheld.source)
    (problem,) = audit_dataset([*SOUND, withheld, ticket])
    assert "tells of the withheld section https://d.example/a.html#none" in problem
    assert audit_dataset([*SOUND, withheld, ticket.in_split("test")]) == []
