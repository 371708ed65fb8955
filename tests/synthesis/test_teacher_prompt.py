"""How replies of models that do not keep to the form are read."""

from __future__ import annotations

import json

import pytest

from supportbot_dagster.synthesis.prompt import Prompt

GOOD = {
    "answer": "Open {Settings}.",
    "evidence": "Open it.",
    "questions": [{"question": "How?", "style": "correct"}, {"question": "hw", "style": "typo"}],
}
FORM = '{"answer": "...", "evidence": "...", "questions": [{"question": "...", "style": "..."}]}'


@pytest.mark.parametrize(
    "around",
    [
        "%s",
        "```json\n%s\n```",
        "Sure! Here is the {JSON} that you asked for:\n\n%s\n\nTell me if it helps {you}.",
        "Here it is:\n```\n%s\n```\nDone.",
        f"<think>The form is {FORM}, so</think>%s",
        "<think>\nA draft: " + json.dumps({**GOOD, "answer": "Draft."}) + "\n</think>\n\n%s",
        f"In the form {FORM}:\n%s",
    ],
)
def test_a_reply_is_found_in_what_stands_around_it(around: str) -> None:
    reply = Prompt("Acme", 5).read(around.replace("%s", json.dumps(GOOD)))
    assert reply.model_dump(mode="json") == GOOD


def test_a_thought_alone_is_no_reply() -> None:
    for text in (f"<think>{json.dumps(GOOD)}</think>", f"<think>{json.dumps(GOOD)}"):
        with pytest.raises(ValueError, match="no JSON object"):
            Prompt("Acme", 5).read(text)


def test_unknown_keys_are_dropped_styles_are_read_in_any_case_and_more_questions_are_cut() -> None:
    questions = [
        {"question": f"How {n}?", "style": style, "why": "x"}
        for n, style in enumerate(["Correct", " TYPO ", "search", "shouted"])
    ]
    reply = Prompt("Acme", 3).read(json.dumps({**GOOD, "questions": questions, "notes": [1]}))
    assert [item.style for item in reply.questions] == ["correct", "typo", "search"]
    assert [item.question for item in reply.questions] == ["How 0?", "How 1?", "How 2?"]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("", "no JSON object"),
        ("Sure!", "no JSON object"),
        ('{"a": ' * 20_000, "no JSON object"),
        (json.dumps(GOOD)[:-30], "another form"),
        ('{"answer": "Secret."}', "a JSON object of another form"),
        (json.dumps({**GOOD, "questions": ["Secret?"]}), "a JSON object of another form"),
        (
            json.dumps({**GOOD, "questions": [{"question": "Q", "style": "Secret"}]}),
            "a style that was not asked for",
        ),
    ],
)
def test_what_is_no_reply_is_told_by_its_kind_alone(content: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault) as caught:
        Prompt("Acme", 5).read(content)
    assert "Secret" not in str(caught.value)
