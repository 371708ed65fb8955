from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from supportbot_dagster.evaluation.measure import Outcome, summarize
from supportbot_dagster.evaluation.plots import (
    bucket_bars,
    cells_by_kind,
    loss_curve,
    risk_coverage,
)

ONE = Outcome("x", "test", "tickets", "q", "r", "s", "a", -0.2, 0.1, False, True, "")
MIXED = [
    ONE,
    replace(ONE, right=False, score=-0.9),
    replace(ONE, right=None, kind="pricing", deflected=True),
    replace(ONE, right=None, kind="pricing", score=-0.5),
]


def size(png: bytes) -> tuple[int, int]:
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert png.endswith(b"IEND\xaeB`\x82")
    width, height = struct.unpack(">II", png[16:24])
    return width, height


@pytest.mark.filterwarnings("error::UserWarning")
def test_pictures_are_whole_png_files() -> None:
    curve = [{"step": 1, "loss": 3.0}, {"step": 2, "loss": 2.0, "eval_loss": 2.5}]
    for picture in (
        loss_curve(curve),
        bucket_bars([("docs", 100, 80), ("tickets", 50, 50)]),
        cells_by_kind(summarize(MIXED, -1.0)),
        risk_coverage(MIXED, -1.0),
    ):
        width, height = size(picture)
        assert width > 300
        assert height > 150


def test_other_figures_give_another_picture_and_the_same_the_same() -> None:
    assert risk_coverage(MIXED, -1.0) == risk_coverage(MIXED, -1.0)
    assert risk_coverage(MIXED, -1.0) != risk_coverage(MIXED, -0.3)
    assert cells_by_kind(summarize(MIXED, -1.0)) != cells_by_kind(summarize(MIXED, -0.3))


@pytest.mark.filterwarnings("ignore:No artists with labels")
def test_nothing_to_draw_is_drawn_too() -> None:
    for picture in (
        loss_curve([]),
        bucket_bars([]),
        cells_by_kind(summarize([], -1.0)),
        risk_coverage([], -1.0),
        risk_coverage([replace(ONE, deflected=True)], -1.0),
    ):
        size(picture)
