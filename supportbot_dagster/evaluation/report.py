"""The two reports on disk: what the probes and the held-out questions showed.

What lives here: running an evaluation from a GGUF's answers to the files of a report, and reading
them back. What does not: the measures (:mod:`supportbot_dagster.evaluation.measure`), and Dagster.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from supportbot_dagster.dataset.rows import QUESTION_PREFIX, Row, Split
from supportbot_dagster.evaluation.judge import Judge, JudgeCheck, check_judge
from supportbot_dagster.evaluation.measure import (
    WITHHELD,
    Ask,
    LeakAudit,
    Outcome,
    Summary,
    ask_held_out,
    audit_leaks,
    choose_threshold,
    gates,
    references,
    summarize,
    taught_answers,
)
from supportbot_dagster.evaluation.plots import cells_by_kind, risk_coverage
from supportbot_dagster.evaluation.probes import Probe, ProbeResult, judge_probe
from supportbot_dagster.gate import Gate
from supportbot_dagster.jsonl import write_jsonl_atomic
from supportbot_dagster.product import Product
from supportbot_dagster.progress import Progress, silent

NO_THRESHOLD = -1e9
"""Stands for "no score is too low": the calibration split could not support a threshold."""


@dataclass(frozen=True)
class ProbeReport:
    """The probes of one file; ``gate`` is their count against the product's limit."""

    results: list[ProbeResult]
    gate: Gate

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "gate": asdict(self.gate),
            "probes": [
                {
                    "id": result.probe.id,
                    "question": result.probe.question,
                    "expect": result.probe.expect,
                    "criterion": result.probe.why,
                    "answer": result.answer,
                    "passed": result.passed,
                    "reason": result.reason,
                }
                for result in self.results
            ],
        }


@dataclass(frozen=True)
class TrustReport:
    """What the held-out questions showed.

    Args:
        summary: cells of the test split at the threshold.
        text_only: the same without the threshold, so that its share of the work shows.
        threshold: hand-off threshold on the score; :data:`NO_THRESHOLD` without one.
        calibration: number of questions that the threshold was chosen on.
        outcomes: of all held-out splits.
        gates: on the test split, with the leak limit.
        leaks: the leak audit.
        judge: the judge, measured.
        left_out: held-out rows that could not be judged, by reason.
    """

    summary: Summary
    text_only: Summary
    threshold: float
    calibration: int
    outcomes: list[Outcome]
    gates: list[Gate]
    leaks: LeakAudit
    judge: JudgeCheck
    left_out: dict[str, int]


def run_probes(probes: Sequence[Probe], ask: Ask, product: Product) -> ProbeReport:
    """Ask every probe and count."""
    results = [judge_probe(probe, ask(QUESTION_PREFIX + probe.question).text) for probe in probes]
    passed = sum(result.passed for result in results)
    limit = min(product.gates.probes_passed, len(results))
    return ProbeReport(
        results,
        Gate(
            "probes passed",
            float(passed),
            float(limit),
            passed >= limit,
            f"each probe's own patterns; {len(results)} probes",
            "count",
        ),
    )


def run_held_out(
    rows: Mapping[Split, Sequence[Row]], ask: Ask, product: Product, progress: Progress = silent
) -> TrustReport:
    """Ask what is held out; choose the threshold without the test split and measure on that.

    Args:
        rows: split name to rows; ``train`` tells what was taught.
        ask: the shipped file, asked with the shipped settings.
        product: its gates.
        progress: called after each question.
    """
    judge = Judge(taught_answers(rows["train"]))
    held = [*rows["validation"], *rows["calibration"], *rows["test"]]
    outcomes, left_out = ask_held_out(held, judge, ask, progress)
    calibration = [outcome for outcome in outcomes if outcome.split != "test"]
    test = [outcome for outcome in outcomes if outcome.split == "test"]
    chosen = choose_threshold(calibration, product.gates)
    threshold = NO_THRESHOLD if chosen is None else chosen
    summary = summarize(test, threshold)
    leaks = audit_leaks(outcomes, rows["train"])
    limit = product.gates.longest_ticket_overlap_words
    return TrustReport(
        summary=summary,
        text_only=summarize(test, NO_THRESHOLD),
        threshold=threshold,
        calibration=len(calibration),
        outcomes=outcomes,
        gates=[
            *gates(summary, product.gates),
            Gate(
                "longest overlap with a training ticket (words)",
                float(leaks.longest_overlap_words),
                float(limit),
                leaks.longest_overlap_words <= limit and leaks.placeholders == 0,
                "longest run of a customer's words in any answer; no redaction placeholder",
                "count",
            ),
        ],
        leaks=leaks,
        judge=check_judge(judge, list(references(held, judge).values())),
        left_out=left_out,
    )


def write_probe_report(report: ProbeReport, folder: Path) -> None:
    """``probes.json``."""
    _write(folder / "probes.json", report.to_dict())


def write_trust_report(
    report: TrustReport,
    folder: Path,
    serving: Mapping[str, Any],
    openings: Sequence[Sequence[str]] = (),
) -> None:
    """``trust.json``, ``outcomes.jsonl`` and the two pictures.

    Args:
        report: what was measured.
        folder: gets the files.
        serving: sampling settings of the answers.
        openings: first tokens of the deflections as text, which the scores counted.
    """
    _write(
        folder / "trust.json",
        {
            "gates": [asdict(gate) for gate in report.gates],
            "threshold": None if report.threshold == NO_THRESHOLD else report.threshold,
            "score": "natural log of the chance not to deflect, plus the mean log-probability of "
            "the answer's tokens",
            "openings": [list(opening) for opening in openings],
            "calibration_questions": report.calibration,
            "test_questions": sum(report.summary.cells.values()),
            "answerable_right": report.summary.answerable_right.to_dict(),
            "answerable_deflected": report.summary.answerable_deflected.to_dict(),
            "answered_wrong": report.summary.answered_wrong.to_dict(),
            "unanswerable_deflected": report.summary.unanswerable_deflected.to_dict(),
            "withheld_deflected": report.summary.withheld_deflected.to_dict(),
            "withheld_wrong": report.summary.withheld_wrong.to_dict(),
            "cells": report.summary.cells,
            "by_kind": report.summary.by_kind,
            "without_threshold": {
                "answerable_right": report.text_only.answerable_right.to_dict(),
                "answerable_deflected": report.text_only.answerable_deflected.to_dict(),
                "unanswerable_deflected": report.text_only.unanswerable_deflected.to_dict(),
            },
            "judge": asdict(report.judge),
            "leaks": asdict(report.leaks),
            "left_out": report.left_out,
            "sampling": dict(serving),
        },
    )
    write_jsonl_atomic(
        folder / "outcomes.jsonl",
        (
            {**outcome.to_dict(), "seconds": None, "cell": outcome.cell(report.threshold)}
            for outcome in report.outcomes
        ),
    )
    (folder / "cells.png").write_bytes(cells_by_kind(report.summary))
    test = [
        outcome
        for outcome in report.outcomes
        if outcome.split == "test" and outcome.kind != WITHHELD
    ]
    (folder / "risk_coverage.png").write_bytes(risk_coverage(test, report.threshold))


def _write(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
