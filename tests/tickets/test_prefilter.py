"""Rules that cannot hit are skipped for speed, and that changes no result."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from supportbot_dagster.jsonl import read_jsonl
from supportbot_dagster.tickets import engine
from supportbot_dagster.tickets.labelled import TAUGHT, read_messages
from supportbot_dagster.tickets.rules import RULES
from supportbot_dagster.tickets.tagger import Find
from supportbot_dagster.tickets.vendor import Vendor

SAMPLE = Path(engine.__file__).parents[1] / "sample" / "tickets.json"


@pytest.fixture(scope="module")
def texts(data: Path) -> list[str]:
    """Messages with and without personal data, and the same ones in other letters."""
    labelled: list[dict[str, Any]] = read_jsonl(data / "labelled.jsonl")
    found = [row["text"] for row in labelled]
    found += (data / "look_alikes.txt").read_text(encoding="utf-8").splitlines()
    for name in ("tuned", "d", "k"):
        found += [message.text for message in read_messages(TAUGHT / f"{name}.jsonl")]
    sample = json.loads(SAMPLE.read_text(encoding="utf-8"))["tickets"]
    found += [comment["body"] for ticket in sample[::10] for comment in ticket["comments"]]
    odd = str.maketrans({" ": "\u00a0", "-": "\u2011", "'": "\u2019", '"': "\u201c", "@": "\uff20"})
    return [
        *found,
        *(text.upper() for text in found[::3]),
        *(text.lower() for text in found[1::3]),
        *(text.translate(odd) for text in found[2::3]),
        "\n".join(found[5:200:9]),
    ]


def finds(vendor: Vendor, texts: list[str], prefilter: bool) -> list[list[Find]]:
    rules = engine.rule_set()
    return [sorted(rules.finds(engine.make_scan(text, vendor, prefilter))) for text in texts]


@pytest.fixture(scope="module")
def unfiltered(vendor: Vendor, texts: list[str]) -> list[list[Find]]:
    return finds(vendor, texts, prefilter=False)


def test_the_prefilter_changes_nothing(
    vendor: Vendor, texts: list[str], unfiltered: list[list[Find]]
) -> None:
    assert len(set(texts)) > 1000
    filtered = finds(vendor, texts, prefilter=True)
    differing = [
        text for text, one, slow in zip(texts, filtered, unfiltered, strict=True) if one != slow
    ]
    assert differing == []


@pytest.mark.parametrize("recognizer", sorted(RULES))
def test_a_prefilter_that_skips_too_much_is_noticed(
    recognizer: str,
    vendor: Vendor,
    texts: list[str],
    unfiltered: list[list[Find]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shut = [dataclasses.replace(rule, gate=("\x00",)) for rule in RULES[recognizer]]
    monkeypatch.setattr(engine, "RULES", {**RULES, recognizer: shut})
    assert finds(vendor, texts, prefilter=True) != unfiltered


def test_words_of_docs_that_are_lacking_are_noticed(
    vendor: Vendor,
    texts: list[str],
    unfiltered: list[list[Find]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("supportbot_dagster.tickets.rule._DOCUMENTING", frozenset())
    assert finds(vendor, texts, prefilter=True) != unfiltered
