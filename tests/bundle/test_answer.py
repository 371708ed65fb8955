from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from supportbot_dagster.bundle import answer
from supportbot_dagster.bundle.answer import MAX_QUESTION_CHARACTERS, ask_bundle
from supportbot_dagster.errors import UserError
from supportbot_dagster.product import Serving


@dataclass
class Said:
    text: str
    score: float
    seconds: float = 0.25


class Runtime:
    """Stands for the model: says what it is told and remembers what it was asked."""

    says = Said("Click Archive.", -0.2)
    asked: list[tuple[Path, str, Serving, int]]
    told: list[list[str]]

    def __init__(self, gguf: Path, *, deflections: list[str]) -> None:
        self._gguf = gguf
        self.told.append(deflections)

    def __enter__(self) -> Runtime:
        return self

    def __exit__(self, *error: object) -> None: ...

    def generate(self, message: str, serving: Serving, *, seed: int) -> Said:
        self.asked.append((self._gguf, message, serving, seed))
        return self.says


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> type[Runtime]:
    class Fresh(Runtime):
        asked: list[Any] = []  # noqa: RUF012 - one list for each test
        told: list[Any] = []  # noqa: RUF012

    Fresh.asked, Fresh.told = [], []
    monkeypatch.setattr(answer, "LlamaRuntime", Fresh)
    return Fresh


@pytest.mark.parametrize(
    ("text", "score", "route", "reason"),
    [
        ("Click Archive.", -0.2, "answer", ""),
        ("Click Archive.", -0.9, "answer", ""),
        ("Click Archive.", -0.91, "handoff", "the bot is not certain enough"),
        ("I'm sorry to hear that. Click Archive.", -0.2, "answer", ""),
        ("I do not have access to your account.", -0.1, "handoff", "the bot deflected"),
        ("i DON'T have access to that", -5.0, "handoff", "the bot deflected"),
        ("", -0.1, "handoff", "the bot said nothing"),
    ],
)
def test_the_route(
    bundle: Path, runtime: type[Runtime], text: str, score: float, route: str, reason: str
) -> None:
    runtime.says = Said(text, score)
    reply = ask_bundle(bundle, "How do I archive?")
    assert reply.to_dict() == {
        "answer": text,
        "route": route,
        "reason": reason,
        "score": score,
        "seconds": 0.25,
    }


def test_the_score_counts_how_deflections_open(
    build: Callable[..., Path], runtime: type[Runtime]
) -> None:
    ask_bundle(build("open", openings=[["I", " do", " not"], ["Please"]]), "How?")
    assert runtime.told == [["I do not", "Please"]]


def test_without_a_threshold_no_score_is_too_low(
    build: Callable[..., Path], runtime: type[Runtime]
) -> None:
    runtime.says = Said("Click Archive.", -50.0)
    assert ask_bundle(build(threshold=None), "How?").route == "answer"
    assert ask_bundle(build("other", threshold=-49.0), "How?").route == "handoff"


def test_the_bundle_s_own_file_prefix_and_settings_are_used(
    bundle: Path, runtime: type[Runtime]
) -> None:
    ask_bundle(bundle, "  How do\n I\tarchive\x00\x1b[31m?\u202e ", seed=7)
    ((gguf, message, serving, seed),) = runtime.asked
    assert gguf == bundle / "tracklight-support-helper.gguf"
    assert message == "Customer question: How do I archive [31m?"
    assert (serving.temperature, serving.top_p, serving.num_predict) == (0.4, 0.9, 200)
    assert seed == 7


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("", "is empty"),
        (" \n\t\x00", "is empty"),
        ("x" * (MAX_QUESTION_CHARACTERS + 1), "4001 characters; 4000 are allowed"),
    ],
)
def test_a_question_that_is_none(
    bundle: Path, runtime: type[Runtime], question: str, said: str
) -> None:
    with pytest.raises(UserError, match=said):
        ask_bundle(bundle, question)
    assert runtime.asked == []


def test_a_folder_that_is_no_bundle(tmp_path: Path, runtime: type[Runtime]) -> None:
    with pytest.raises(UserError, match="is no bundle"):
        ask_bundle(tmp_path, "How?")
    assert runtime.asked == []
