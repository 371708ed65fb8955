"""``supportbot redact``: the rows, and the doubts about them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from supportbot_dagster import cli
from supportbot_dagster.jsonl import read_jsonl
from supportbot_dagster.tickets.redaction import Redactor

Redact = Callable[..., str]


def doubts(redactor: Redactor, redacted: str) -> list[str]:
    """Doubts that do not depend on what the tagger has learnt."""
    reasons = ["at sign"] if "odder" in redacted else []
    return [*reasons, "long number"] if "odd" in redacted else []


ROWS = [
    {"id": "a", "text": "How do I archive many issues at once?"},
    {"id": 7, "text": "it is odd", "known_names": ["Dana Whitfield"]},
    {"id": "c", "text": "it is odder"},
    {"id": "d", "text": "dana here, dana@acme.example", "known_names": ["Dana Whitfield"]},
]


@pytest.fixture
def redact(
    tmp_path: Path,
    own_environment: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Redact:
    """Runs ``supportbot redact``; gives the last line on standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Redactor, "doubts", doubts)

    def run(*arguments: str) -> str:
        command = ["supportbot", "redact", "--in", "in.jsonl", "--out", "out.jsonl", *arguments]
        monkeypatch.setattr(sys, "argv", command)
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        assert not ended.value.code, said.err
        assert "lines -> out.jsonl" in said.out
        lines = [line for line in said.err.splitlines() if not line.startswith("  ")]  # no progress
        assert len(lines) <= 1
        return "".join(lines)

    return run


def write(rows: list[dict[str, object]]) -> None:
    Path("in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def test_doubtful_lines_are_counted_and_named_without_text(redact: Redact) -> None:
    write(ROWS)
    line = redact("--doubts", "doubts.jsonl")
    doubtful = read_jsonl(Path("doubts.jsonl"))
    assert doubtful == [
        {"id": 7, "reasons": ["long number"]},
        {"id": "c", "reasons": ["at sign", "long number"]},
    ]
    assert line == "2 of 4 lines are doubtful -> doubts.jsonl: at sign 1, long number 2"


def test_rows_are_as_without_doubts(redact: Redact) -> None:
    write(ROWS)
    assert redact() == ""
    plain = Path("out.jsonl").read_text(encoding="utf-8")
    assert redact("--doubts", "doubts.jsonl")
    assert Path("out.jsonl").read_text(encoding="utf-8") == plain
    rows = read_jsonl(Path("out.jsonl"))
    assert [set(row) for row in rows] == [{"id", "text"}] * 4
    assert rows[3] == {"id": "d", "text": "<PERSON> here, <EMAIL>"}


def test_nothing_doubtful_is_said_as_well(redact: Redact) -> None:
    write(ROWS[:1])
    assert redact("--doubts", "doubts.jsonl") == "0 of 1 lines are doubtful -> doubts.jsonl"
    assert Path("doubts.jsonl").read_text(encoding="utf-8") == ""
