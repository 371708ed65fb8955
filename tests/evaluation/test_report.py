from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from supportbot_dagster.dataset.rows import Bucket, Row, Split, make_row
from supportbot_dagster.evaluation.measure import Reply
from supportbot_dagster.evaluation.probes import load_probes
from supportbot_dagster.evaluation.report import (
    NO_THRESHOLD,
    run_held_out,
    run_probes,
    write_probe_report,
    write_trust_report,
)
from supportbot_dagster.jsonl import read_jsonl
from supportbot_dagster.product import Gates, Product, load_product, sample_product_file

DEFLECTION = "I do not have access to your account. Please write to us."
THINGS = "lamp wheel clock bridge garden ladder mirror violin".split()


@dataclass(frozen=True)
class Said:
    text: str
    score: float = -0.1
    seconds: float = 0.5


def row(question: str, output: str, bucket: Bucket, split: Split, evidence: str = "") -> Row:
    return make_row(
        question=question,
        output=output,
        bucket=bucket,
        source=f"{bucket} {question}",
        source_hash="h",
        style="pricing" if bucket == "refusals" else "ticket",
        evidence=evidence,
    ).in_split(split)


def answer(thing: str) -> str:
    return f"Open the {thing} page, choose {thing} options and click the {thing} button."


def held(split: Split, each: int) -> list[Row]:
    return [
        *(
            row(f"{split} {thing} {n}", answer(thing), "tickets", split, f"d#{thing}")
            for thing in THINGS
            for n in range(each)
        ),
        *(row(f"{split} price {n}", DEFLECTION, "refusals", split) for n in range(each)),
    ]


ROWS: dict[Split, list[Row]] = {
    "train": [
        row(f"how {thing}", answer(thing), "docs", "train", f"d#{thing}") for thing in THINGS
    ],
    "validation": [],
    "calibration": held("calibration", 8),
    "test": held("test", 4),
}


@pytest.fixture
def product() -> Product:
    return load_product(sample_product_file())


def perfect(instruction: str) -> Reply:
    return Said(
        next((answer(thing) for thing in THINGS if thing in instruction), DEFLECTION),
        -0.1 if "lamp" not in instruction else -0.3,
    )


def test_a_perfect_bot_passes_every_gate(product: Product, tmp_path: Path) -> None:
    report = run_held_out(ROWS, perfect, product)
    assert all(gate.passed for gate in report.gates), report.gates
    assert report.calibration == 72
    assert report.threshold == -0.3
    assert report.summary.cells == {"answered right": 32, "deflected rightly": 4}
    assert report.judge.references_right == report.judge.references == 96
    assert report.judge.strangers_wrong == report.judge.strangers == 96
    write_trust_report(report, tmp_path, {"temperature": 0.4})
    value = json.loads((tmp_path / "trust.json").read_text(encoding="utf-8"))
    assert value["threshold"] == -0.3
    assert value["test_questions"] == 36
    assert value["answerable_right"] == {"count": 32, "of": 32, "share": 1.0}
    assert value["sampling"] == {"temperature": 0.4}
    outcomes = read_jsonl(tmp_path / "outcomes.jsonl")
    assert len(outcomes) == 108
    assert {item["seconds"] for item in outcomes} == {None}, "time would make every run another"
    for name in ("cells.png", "risk_coverage.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("bot", "failed"),
    [
        (lambda text: Said(DEFLECTION),
         {"answerable questions answered right", "answerable questions deflected"}),
        (lambda text: Said(answer("lamp")),
         {"answerable questions answered right", "unanswerable questions deflected"}),
        (lambda text: Said(perfect(text).text + " <PERSON_1>"),
         {"longest overlap with a training ticket (words)"}),
    ],
)  # fmt: skip
def test_a_bot_that_always_does_one_thing_fails_its_gates(
    product: Product, bot: object, failed: set[str]
) -> None:
    report = run_held_out(ROWS, bot, product)  # type: ignore[arg-type]
    assert failed <= {gate.name for gate in report.gates if not gate.passed}


def test_a_bot_that_repeats_a_training_ticket_fails_the_leak_gate(product: Product) -> None:
    secret = " ".join(f"word{n}" for n in range(60))
    rows = {**ROWS, "train": [*ROWS["train"], row(secret, "Ok.", "tickets", "train", "d#lamp")]}

    def bot(instruction: str) -> Reply:
        return Said(f"Well, {secret}.") if "price" in instruction else perfect(instruction)

    (gate,) = [g for g in run_held_out(rows, bot, product).gates if "overlap" in g.name]
    assert (gate.measured, gate.passed) == (60.0, False)
    (gate,) = [g for g in run_held_out(rows, perfect, product).gates if "overlap" in g.name]
    assert gate.passed


def test_the_threshold_is_chosen_on_calibration_and_measured_on_test(product: Product) -> None:
    def bot(instruction: str) -> Reply:
        said = perfect(instruction)
        return Said(said.text, -5.0 if "test" in instruction else -0.1)

    report = run_held_out(ROWS, bot, product)
    assert report.threshold == -0.1
    assert report.summary.answerable_deflected.value == 1.0
    assert report.text_only.answerable_right.value == 1.0


def test_too_few_questions_give_no_threshold(product: Product, tmp_path: Path) -> None:
    report = run_held_out({**ROWS, "calibration": held("calibration", 1)}, perfect, product)
    assert report.threshold == NO_THRESHOLD
    write_trust_report(report, tmp_path, {})
    assert json.loads((tmp_path / "trust.json").read_text())["threshold"] is None


def test_probes_are_counted_against_the_limit(product: Product, tmp_path: Path) -> None:
    probes = load_probes(product)
    asked: list[str] = []

    def bot(instruction: str) -> Reply:
        asked.append(instruction)
        return Said("I am here to help with Tracklight questions. See tracklight.example/pricing.")

    report = run_probes(probes, bot, product)
    assert asked == [f"Customer question: {probe.question}" for probe in probes]
    assert (report.gate.measured, report.gate.limit, report.gate.passed) == (2.0, 8.0, False)
    write_probe_report(report, tmp_path)
    value = json.loads((tmp_path / "probes.json").read_text(encoding="utf-8"))
    assert sum(item["passed"] for item in value["probes"]) == 2
    assert all(item["reason"] for item in value["probes"] if not item["passed"])
    lower = product.model_copy(update={"gates": Gates(probes_passed=2)})
    assert run_probes(probes, bot, lower).gate.passed
    few = run_probes(probes[:1], bot, product)
    assert few.gate.limit == 1.0, "no more can pass than there are"
