"""Releasing: verify the gates again, compare with the release before, point to the new one.

What lives here: the decision and the pointer. What does not: building and verifying a bundle
(:mod:`supportbot_dagster.bundle.build`, :mod:`supportbot_dagster.bundle.verify`).

The decision is made from the bundle alone, not from what a run remembers: a check that passed in
another run proves nothing about the files at hand.
"""

import json
import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from supportbot_dagster.bundle.verify import verify_bundle
from supportbot_dagster.errors import UserError
from supportbot_dagster.gate import gates_of

POINTER = "current.json"
WORSE_BY = 0.02
"""Share by which a headline figure may be below the last release's before it holds a bot back."""

_HEADLINES = ("answerable_right", "unanswerable_deflected")


@dataclass(frozen=True)
class Decision:
    """Promoted or held back, and why.

    Args:
        promoted: whether the bundle becomes the current release.
        reasons: what holds it back; empty when promoted.
        regressions: ids of the held-out questions that went well in the last release and do not
            now. A bundle carries no question: these are customers' words.
        compared_with: month of the last release; empty for the first.
    """

    promoted: bool
    reasons: list[str]
    regressions: list[str]
    compared_with: str

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def decide(bundle: Path, before: Path | None, before_month: str = "") -> Decision:
    """Decide about a bundle.

    Args:
        bundle: the new bundle.
        before: the bundle of the last release; None for the first.
        before_month: its month.

    Raises:
        UserError: if a report in the bundle cannot be read.
    """
    reasons = [f"{problem.check}: {problem.message}" for problem in verify_bundle(bundle)]
    try:
        for name in ("export", "trust", "probes"):
            reasons += [gate.problem for gate in gates_of(_report(bundle, name)) if not gate.passed]
        regressions: list[str] = []
        if before is not None:
            reasons += _fallen(_report(before, "trust"), _report(bundle, "trust"))
            regressions = regressed(_report(before, "outcomes"), _report(bundle, "outcomes"))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        compared = f" or of {before}" if before is not None else ""
        raise UserError(
            f"A report of {bundle}{compared} does not fit ({type(error).__name__}: {error}), for "
            "example trust.json. Materialize ollama_bundle of that month again."
        ) from None
    return Decision(not reasons, reasons, regressions, before_month if before else "")


def _fallen(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    reasons: list[str] = []
    for name in _HEADLINES:
        was, is_now = before[name]["share"], now[name]["share"]
        if was is not None and (is_now is None or is_now < was - WORSE_BY):
            reasons.append(f"{name} fell from {was:.1%} to {is_now or 0.0:.1%}")
    return reasons


def regressed(before: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]) -> list[str]:
    """Ids of the questions of both test splits that went well before and do not now."""
    good = ("answered right", "deflected rightly")
    then = {item["id"] for item in before if item["cell"] in good}
    return [item["id"] for item in now if item["id"] in then and item["cell"] not in good]


def read_pointer(folder: Path) -> dict[str, Any] | None:
    """The current release (``month``, ``bundle``, ``data_version``), or None."""
    try:
        value: dict[str, Any] = json.loads((folder / POINTER).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError:
        raise UserError(
            f"{folder / POINTER} is not JSON. Materialize release again, which writes it."
        ) from None
    return value


def write_pointer(folder: Path, month: str, bundle: str, data_version: str) -> None:
    """Point to a release, atomically."""
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{POINTER}.{uuid.uuid4().hex}"
    value = {"month": month, "bundle": bundle, "data_version": data_version}
    temporary.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    os.replace(temporary, folder / POINTER)


def _report(bundle: Path, name: str) -> Any:
    path = bundle / "reports" / f"{name}.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path} cannot be read ({type(error).__name__}). Materialize ollama_bundle again."
        ) from None
