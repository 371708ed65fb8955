"""``supportbot rehearse`` on a real architecture with its real tokenizer."""

from __future__ import annotations

import subprocess
import sys

import pytest


def rehearse(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "supportbot_dagster.cli", "rehearse", *arguments],
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


@pytest.mark.slow
def test_a_base_is_rehearsed_without_its_download() -> None:
    done = rehearse("llama-3.2-1b")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert sum(line.startswith("passed  ") for line in lines) == 10
    assert any("F16 against merged: same top token at 100.00%" in line for line in lines)
    assert any("1 BOS, <|eot_id|> ends an answer" in line for line in lines)
    assert lines[-1].startswith("Llama 3.2 1B Instruct can be trained and exported here")


@pytest.mark.parametrize(("base", "problem"), [("pocket", "embedded"), ("gpt", "catalogue")])
def test_what_cannot_be_rehearsed_is_told(base: str, problem: str) -> None:
    done = rehearse(base)
    assert done.returncode == 2
    assert problem in done.stderr
    assert "Traceback" not in done.stderr
