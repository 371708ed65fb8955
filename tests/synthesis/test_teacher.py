from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from supportbot_dagster.errors import UserError
from supportbot_dagster.synthesis.filters import Checked, reject_reasons
from supportbot_dagster.synthesis.section import SectionText
from supportbot_dagster.synthesis.teacher import RecordedTeacher, RuleTeacher, load_recordings

MARKDOWN = (
    "### Steps\n\nOpen **Settings > General** and type the [new name](https://x.example/a). "
    "The old address redirects for 30 days.\n\n1. Click Save.\n2. Tell your team.\n\n"
    "```\ncode 99\n```\n\n| a | b |\n"
)


def section(*headings: str, markdown: str = MARKDOWN, content_hash: str = "h") -> SectionText:
    return SectionText("https://d.example/a.html#x", content_hash, headings, markdown)


def line(content_hash: str = "h", **changes: Any) -> dict[str, Any]:
    reply = {
        "answer": "Recorded answer.",
        "evidence": "Open Settings",
        "questions": [
            {"question": "How?", "style": "correct"},
            {"question": "hw", "style": "typo"},
        ],
        **changes,
    }
    message = {"role": "assistant", "content": json.dumps(reply)}
    return {
        "section_hash": content_hash,
        "section": "x",
        "completion": {"choices": [{"message": message}]},
    }


def record(folder: Path, *lines: dict[str, Any]) -> Path:
    (folder / "one.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("headings", "questions"),
    [
        (("Workspace", "Change the URL"), ["How do I change the URL?", "how to change the url"]),
        (("Workspace", "Why did it change?"), ["Why did it change?", "why did it change"]),
        (
            ("Workspace", "Custom domains"),
            ["What should I know about custom domains?", "workspace custom domains"],
        ),
        (("API",), ["What should I know about API?"]),
    ],
)
def test_rules_phrase_what_the_heading_gives(
    headings: tuple[str, ...], questions: list[str]
) -> None:
    pairs = RuleTeacher().pairs(section(*headings))
    assert [pair.question for pair in pairs] == questions


def test_the_rules_answer_is_the_section_s_own_and_passes_the_filters() -> None:
    where = section("Workspace", "Change the URL")
    pairs = RuleTeacher().pairs(where)
    for pair in pairs:
        assert pair.answer.startswith("Open Settings > General and type the new name.")
        assert "code 99" not in pair.answer
        assert "|" not in pair.answer
        assert reject_reasons([pair], Checked(where)) == [None]
    short = RuleTeacher(max_words=20).pairs(where)
    assert len(short[0].answer.split()) <= 20


@pytest.mark.parametrize(
    "where",
    [
        section("Change it", markdown=""),
        section("Change it", markdown="Click Save."),
        section("Change it", markdown="```\none two three four five six seven eight nine\n```"),
        section("Change it", markdown="word " * 100 + "."),
        section(),
    ],
)
def test_rules_are_silent_where_there_is_nothing_honest_to_say(where: SectionText) -> None:
    assert list(RuleTeacher().pairs(where)) == []


def test_a_recording_is_replayed_and_the_rest_goes_to_the_fallback(tmp_path: Path) -> None:
    recordings = load_recordings(record(tmp_path, line("known")))
    teacher = RecordedTeacher(recordings, RuleTeacher(), "v1")
    edited, known = section("Change it", content_hash="edited since"), section(content_hash="known")
    phrased = list(teacher.phrase([edited, known]))
    assert [item.section for item in phrased] == [edited, known]
    fallen, replayed = phrased[0].pairs, phrased[1].pairs
    assert [(pair.question, pair.style) for pair in replayed] == [
        ("How?", "correct"),
        ("hw", "typo"),
    ]
    assert {pair.answer for pair in replayed} == {"Recorded answer."}
    assert [pair.question for pair in fallen] == ["How do I change it?", "how to change it"]


def test_the_version_follows_recordings_and_fallback() -> None:
    teacher = RecordedTeacher({}, RuleTeacher(), "v1")
    assert teacher.version == "recorded-v1+rules-1"
    assert RecordedTeacher({}, RuleTeacher(), "v2").version != teacher.version


@pytest.mark.parametrize(
    "broken",
    [
        {"section_hash": "h"},
        {"section_hash": "h", "completion": {"choices": []}},
        {"completion": line()["completion"]},
        {"section_hash": "h", "completion": {"choices": [{"message": {"content": "Sure! {"}}]}},
        line(tone="kind"),
        line(questions="How?"),
        {"section_hash": ["h"], "completion": line()["completion"]},
    ],
)
def test_a_line_that_is_no_recording_is_named(tmp_path: Path, broken: dict[str, Any]) -> None:
    record(tmp_path, line("fine"), broken)
    with pytest.raises(UserError, match=r"one\.jsonl line 2 is no recorded completion") as caught:
        load_recordings(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_folder_without_recordings_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no recordings"):
        load_recordings(tmp_path / "none")
