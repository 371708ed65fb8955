from __future__ import annotations

import pytest

from supportbot_dagster.dataset.rows import make_row
from supportbot_dagster.refusals import near_miss
from supportbot_dagster.refusals.families import Refusals
from supportbot_dagster.refusals.near_miss import check_contrast

PAGES = [
    {
        "sections": [
            {"heading_path": ["Webhooks", "Create a webhook"]},
            {"heading_path": ["Members", "Why can't I see my team?"]},
            {"heading_path": []},
        ]
    }
]


def refusals(*questions: str) -> Refusals:
    return Refusals(
        [
            make_row(
                question=question,
                output="I do not have access to that. Ask an owner.",
                bucket="refusals",
                source="account_state/x",
                source_hash="h",
                style="account_state",
            )
            for question in questions
        ],
        {"same question as another row": 2},
    )


def test_a_question_that_is_a_heading_is_left_out_and_counted() -> None:
    result = check_contrast(
        refusals("create a webhook!", "why can't I see my team", "my team: why can't I see?"), PAGES
    )
    assert [row.question for row in result.rows] == []
    assert result.left_out == {
        "same question as another row": 2,
        "the docs have this very heading": 3,
    }


def test_a_near_miss_stays() -> None:
    near = ("Create a webhook for me", "which webhook did we create", "Webhooks")
    result = check_contrast(refusals(*near), PAGES)
    assert tuple(row.question for row in result.rows) == near
    assert result.left_out == {"same question as another row": 2}


def test_the_heading_would_be_taught_as_a_refusal_without_the_check(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(near_miss, "SAME_AS_HEADING", 101.0)
    assert len(check_contrast(refusals("create a webhook!"), PAGES).rows) == 1
