from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from supportbot_dagster.errors import UserError
from supportbot_dagster.gate import Gate, read_gates


def test_a_figure_passes_on_its_limit_and_never_without_a_sample() -> None:
    assert Gate.at_least("a", 0.8, 0.8, "").passed
    assert not Gate.at_least("a", 0.79, 0.8, "").passed
    assert not Gate.at_least("a", None, 0.0, "").passed
    assert Gate.at_most("a", 0.0, 0.0, "").passed
    assert not Gate.at_most("a", 0.01, 0.0, "").passed
    assert not Gate.at_most("a", None, 1.0, "").passed


@pytest.mark.parametrize(
    ("gate", "problem"),
    [
        (Gate.at_least("right", 0.7, 0.8, ""), "gate right: 70.0%, limit 80.0%"),
        (Gate.at_most("lost", 3, 0, "", "count"), "gate lost: 3, limit 0"),
        (Gate.at_most("ratio", 1.25, 1.05, "", "ratio"), "gate ratio: 1.250, limit 1.050"),
        (Gate.at_most("drift", 0.5, 0.0001, "", "nats"), "gate drift: 0.500, limit 1.0e-04"),
        (Gate.at_least("right", None, 0.8, ""), "gate right: no sample, limit 80.0%"),
        (Gate.at_least("right", 0.9, 0.8, ""), ""),
    ],
)
def test_a_problem_is_told_in_the_units_of_the_figure(gate: Gate, problem: str) -> None:
    assert gate.problem == problem


def test_gates_are_read_back_from_reports(tmp_path: Path) -> None:
    one, two = Gate.at_least("a", 0.9, 0.8, "x"), Gate.at_most("b", 3, 2, "y", "count")
    files = tmp_path / "many.json", tmp_path / "one.json"
    files[0].write_text(json.dumps({"gates": [asdict(one), asdict(two)]}))
    files[1].write_text(json.dumps({"gate": asdict(two)}))
    assert read_gates(*files) == [one, two, two]
    for broken in ("{}", "[", '{"gate": {"name": "x"}}', "[]"):
        files[1].write_text(broken)
        with pytest.raises(UserError, match=r"one\.json cannot be read .* Materialize"):
            read_gates(*files)
    files[1].unlink()
    with pytest.raises(UserError, match="cannot be read"):
        read_gates(*files)


def test_a_report_of_before_units_is_read(tmp_path: Path) -> None:
    path = tmp_path / "probes.json"
    old = {"name": "a", "measured": 0.9, "limit": 0.8, "passed": True, "how": "x"}
    path.write_text(json.dumps({"gate": old}))
    assert read_gates(path) == [Gate.at_least("a", 0.9, 0.8, "x")]
