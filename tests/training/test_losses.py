"""The check of the adapter, on curves that fall and that do not."""

from __future__ import annotations

import pytest

from supportbot_dagster.checks.model import first_and_last_loss


def curve(**losses: list[float]) -> list[dict[str, float]]:
    return [
        {"step": float(step), name: value}
        for name, values in losses.items()
        for step, value in enumerate(values)
    ]


@pytest.mark.parametrize(
    ("told", "passed"),
    [
        (curve(eval_loss=[1.4, 1.3, 1.2], loss=[0.1] * 10 + [0.3] * 10), True),
        (curve(eval_loss=[1.2, 1.3, 1.4], loss=[0.3] * 10 + [0.1] * 10), False),
        (curve(loss=[0.3] * 10 + [0.1] * 10), True),
        (curve(loss=[0.1] * 10 + [0.3] * 10), False),
    ],
)
def test_what_training_did_is_told_from_held_out_rows_if_there_are_any(
    told: list[dict[str, float]], passed: bool
) -> None:
    first, last = first_and_last_loss(told)
    assert (last < first) is passed
