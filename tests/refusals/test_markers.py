from __future__ import annotations

import json
import re
import shutil
import subprocess

import pytest

from supportbot_dagster.refusals.markers import REFUSAL_MARKERS, is_refusal

DEFLECTIONS = (
    "I do not have access to your invoices. An owner can see them in Settings > Billing.",
    "Sorry, I don't have access to that. Please ask an admin.",
    "I am here to help with Tracklight questions, so I do not have an answer to that one.",
    "You will need to contact the sales team for a quote.",
    "The fastest path is to email security@tracklight.example with the time.",
    "PRICING CHANGES AND I DO NOT HAVE ACCESS TO CURRENT PRICES.",
)
ANSWERS = (
    "I'm sorry to hear that. Open Settings > General and change the address there.",
    "I am sorry to hear that you lost the issue! You can restore it from the archive.",
    "Unfortunately the export takes a while: you get an email when it is ready.",
    "Members do not have access to a private team until an owner adds them.",
    "You need to be an Admin to change it.",
    "If you do not have access to the project, ask its lead.",
    "Contact support from the help menu at the bottom left.",
    "I am here to help.",
    "",
)


@pytest.mark.parametrize("text", DEFLECTIONS)
def test_deflections_are_recognized(text: str) -> None:
    assert is_refusal(text)


@pytest.mark.parametrize("text", ANSWERS)
def test_courtesy_and_answers_about_access_are_none(text: str) -> None:
    assert not is_refusal(text)


def test_every_marker_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    for marker in REFUSAL_MARKERS:
        others = [re.compile(other, re.I) for other in REFUSAL_MARKERS if other != marker]
        monkeypatch.setattr("supportbot_dagster.refusals.markers._PATTERNS", others)
        assert not all(is_refusal(text) for text in DEFLECTIONS), marker


def test_a_marker_for_mere_courtesy_would_be_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "supportbot_dagster.refusals.markers._PATTERNS", [re.compile("sorry to hear", re.I)]
    )
    assert any(is_refusal(text) for text in ANSWERS)


def test_javascript_reads_the_markers_alike() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node on this machine")
    script = (
        "const [markers, texts] = JSON.parse(process.argv[1]);"
        "const found = texts.map(t => markers.some(m => new RegExp(m, 'i').test(t)));"
        "console.log(JSON.stringify(found));"
    )
    argument = json.dumps([REFUSAL_MARKERS, [*DEFLECTIONS, *ANSWERS]])
    done = subprocess.run([node, "-e", script, argument], capture_output=True, text=True)
    assert json.loads(done.stdout) == [True] * len(DEFLECTIONS) + [False] * len(ANSWERS)
