from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from supportbot_dagster.bundle.release import (
    POINTER,
    decide,
    read_pointer,
    regressed,
    write_pointer,
)
from supportbot_dagster.errors import UserError
from supportbot_dagster.gate import Gate, Unit

Build = Callable[..., Path]


def gate(
    name: str, measured: float | None, limit: float, passed: bool, unit: Unit = "share"
) -> dict[str, Any]:
    return asdict(Gate(name, measured, limit, passed, "so", unit))


def reports(
    *,
    right: float | None = 0.9,
    deflected: float | None = 0.97,
    cells: tuple[str, ...] = ("answered right", "deflected rightly"),
    gates: tuple[dict[str, Any], ...] = (
        gate("answerable questions answered right", 0.9, 0.8, True),
    ),
    probes: dict[str, Any] | None = None,
    export: dict[str, Any] | None = None,
) -> dict[str, Any]:
    return {
        "trust": {
            "gates": list(gates),
            "answerable_right": {"count": 9, "of": 10, "share": right},
            "unanswerable_deflected": {"count": 9, "of": 10, "share": deflected},
        },
        "probes": {"gate": probes or gate("probes passed", 9.0, 8.0, True, "count")},
        "export": {"gates": [export or gate("perplexity of Q4_K_M to F16", 1.01, 1.05, True)]},
        "outcomes": [{"id": f"q{n}", "cell": cell} for n, cell in enumerate(cells)],
    }


def test_a_sound_bundle_that_passes_is_promoted(build: Build) -> None:
    decision = decide(build(reports=reports()), None, "2025-12")
    assert decision.promoted
    assert decision.to_dict() == {
        "promoted": True,
        "reasons": [],
        "regressions": [],
        "compared_with": "",
    }


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"gates": (gate("answerable questions answered right", 0.7, 0.8, False),)},
            "gate answerable questions answered right: 70.0%, limit 80.0%",
        ),
        (
            {"gates": (gate("answerable questions deflected", None, 0.05, False),)},
            "gate answerable questions deflected: no sample, limit 5.0%",
        ),
        (
            {"probes": gate("probes passed", 5.0, 8.0, False, "count")},
            "gate probes passed: 5, limit 8",
        ),
        (
            {"export": gate("refusals that became answers in Q4_K_M", 1.0, 0.0, False, "count")},
            "gate refusals that became answers in Q4_K_M: 1, limit 0",
        ),
    ],
)
def test_a_failed_gate_holds_it_back(build: Build, changes: dict[str, Any], reason: str) -> None:
    decision = decide(build(reports=reports(**changes)), None)
    assert not decision.promoted
    assert decision.reasons == [reason]


def test_a_bundle_that_was_tampered_with_is_held_back_though_its_report_is_good(
    build: Build,
) -> None:
    bundle = build(reports=reports(gates=(gate("answered right", 0.7, 0.8, False),)))
    path = bundle / "reports" / "trust.json"
    path.write_text(json.dumps(reports()["trust"]), encoding="utf-8")
    decision = decide(bundle, None)
    assert not decision.promoted
    assert any("reports/trust.json" in reason for reason in decision.reasons)


@pytest.mark.parametrize(
    ("now", "reasons"),
    [
        ({"right": 0.9}, []),
        ({"right": 0.885}, []),
        ({"right": 0.87}, ["answerable_right fell from 90.0% to 87.0%"]),
        ({"deflected": 0.94}, ["unanswerable_deflected fell from 97.0% to 94.0%"]),
        ({"right": None}, ["answerable_right fell from 90.0% to 0.0%"]),
        ({"right": 1.0, "deflected": 1.0}, []),
    ],
)
def test_a_bot_that_got_worse_is_held_back(
    build: Build, now: dict[str, Any], reasons: list[str]
) -> None:
    before = build("before", reports=reports())
    decision = decide(build("now", reports=reports(**now)), before, "2026-01")
    assert decision.reasons == reasons
    assert decision.promoted == (not reasons)
    assert decision.compared_with == "2026-01"


def test_regressions_are_listed_by_id(build: Build) -> None:
    before = build("before", reports=reports())
    worse = reports(cells=("answered wrong", "deflected rightly"))
    decision = decide(build("now", reports=worse), before, "2026-01")
    assert decision.regressions == ["q0"]
    assert decision.promoted, "the shares did not fall"


def test_a_question_counts_only_when_it_went_well_before_and_does_not_now() -> None:
    def item(name: str, cell: str) -> dict[str, str]:
        return {"id": name, "cell": cell}

    before = [
        item("a", "answered right"),
        item("b", "answered wrong"),
        item("c", "deflected rightly"),
        item("gone", "answered right"),
    ]
    now = [
        item("a", "deflected needlessly"),
        item("b", "answered wrong"),
        item("c", "answered unanswerable"),
        item("new", "answered wrong"),
    ]
    assert regressed(before, now) == ["a", "c"]
    assert regressed(now, before) == []


@pytest.mark.parametrize("name", ["trust", "probes", "outcomes"])
def test_a_report_that_cannot_be_read_is_told(build: Build, name: str) -> None:
    before = build("before", reports=reports())
    bundle = build("now", reports=reports())
    (bundle / "reports" / f"{name}.json").unlink()
    with pytest.raises(UserError, match=rf"{name}\.json cannot be read"):
        decide(bundle, before)


@pytest.mark.parametrize("text", ["{}", "[]", "null", '{"gates": [{}], "gate": {}}'])
def test_a_report_with_other_content_is_told(build: Build, text: str) -> None:
    bundle = build(reports=reports())
    (bundle / "reports" / "trust.json").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"report of .* does not fit"):
        decide(bundle, None)


def test_the_pointer_moves_atomically(tmp_path: Path) -> None:
    folder = tmp_path / "release"
    assert read_pointer(folder) is None
    write_pointer(folder, "2026-01", "bundles/2026-01", "v1")
    write_pointer(folder, "2026-02", "bundles/2026-02", "v2")
    assert read_pointer(folder) == {
        "month": "2026-02",
        "bundle": "bundles/2026-02",
        "data_version": "v2",
    }
    assert [path.name for path in folder.iterdir()] == [POINTER]
    (folder / POINTER).write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match=r"is not JSON\. Materialize release again"):
        read_pointer(folder)
