"""The check of the adapter, on curves that fall and that do not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from supportbot_dagster.assets.house import House
from supportbot_dagster.checks import model
from supportbot_dagster.product import load_product, sample_product_file


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
    check, _ = model.build(House(load_product(sample_product_file())))
    artifact: Any = SimpleNamespace(read_json=lambda name: {"curve": told})
    assert check(artifact).passed is passed
