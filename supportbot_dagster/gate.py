"""A figure against its limit.

What lives here: the one form in which every measured figure that can hold a bot back is stored,
shown and read again. What does not: measuring (:mod:`supportbot_dagster.export`,
:mod:`supportbot_dagster.evaluation`) and the limits (:class:`supportbot_dagster.product.Gates`).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from supportbot_dagster.errors import UserError

Unit = Literal["share", "count", "ratio", "nats"]


@dataclass(frozen=True)
class Gate:
    """One figure against its limit.

    Args:
        name: what was measured.
        measured: the figure; None without a sample.
        limit: what it must reach, or must not exceed.
        passed: whether it does; a figure without a sample never passes.
        how: how it was measured, in a line.
        unit: of the figure: a share of 1, a count, a ratio, or nats.
    """

    name: str
    measured: float | None
    limit: float
    passed: bool
    how: str
    unit: Unit = "share"

    @classmethod
    def at_least(
        cls, name: str, measured: float | None, limit: float, how: str, unit: Unit = "share"
    ) -> "Gate":
        """A figure that must reach its limit."""
        return cls(name, measured, limit, measured is not None and measured >= limit, how, unit)

    @classmethod
    def at_most(
        cls, name: str, measured: float | None, limit: float, how: str, unit: Unit = "share"
    ) -> "Gate":
        """A figure that must not exceed its limit."""
        return cls(name, measured, limit, measured is not None and measured <= limit, how, unit)

    def text(self, value: float | None) -> str:
        """The figure or its limit in the gate's unit."""
        if value is None:
            return "no sample"
        shown = {
            "share": f"{value:.1%}",
            "count": f"{value:.0f}",
            "ratio": f"{value:.3f}",
            "nats": f"{value:.1e}" if 0 < value < 0.001 else f"{value:.3f}",
        }
        return shown[self.unit]

    @property
    def problem(self) -> str:
        """What is wrong, in a line; empty if it passed."""
        if self.passed:
            return ""
        return f"gate {self.name}: {self.text(self.measured)}, limit {self.text(self.limit)}"


def gates_of(report: Mapping[str, Any]) -> list[Gate]:
    """The gates that a stored report holds, under ``gates`` or, a single one, under ``gate``.

    Raises:
        KeyError: if it holds neither.
        TypeError: if they have other fields.
    """
    entries = report["gates"] if "gates" in report else [report["gate"]]
    return [Gate(**entry) for entry in entries]


def read_gates(*reports: Path) -> list[Gate]:
    """All gates of some reports.

    Raises:
        UserError: if a report cannot be read.
    """
    found: list[Gate] = []
    for path in reports:
        try:
            found += gates_of(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"The report {path} cannot be read ({type(error).__name__}). "
                "Materialize the asset that wrote it again."
            ) from None
    return found
