"""Pictures of figures that people compare: PNG bytes, drawn without a display.

What lives here: the plots of the asset pages and the card. What does not: the figures.
"""

import io
from collections.abc import Sequence
from typing import Any

from supportbot_dagster.evaluation.measure import Outcome, Summary

_BLUE, _RED, _GREY, _GREEN, _AMBER = "#3563e9", "#d64545", "#8a94a6", "#2f9e62", "#e0a030"


def _figure(width: float, height: float) -> tuple[Any, Any]:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(width, height), dpi=110)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _png(figure: Any) -> bytes:
    import matplotlib.pyplot as plt

    buffer = io.BytesIO()
    figure.tight_layout()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    plt.close(figure)
    return buffer.getvalue()


def loss_curve(curve: Sequence[dict[str, float]]) -> bytes:
    """Training and validation loss (nats per answer token) over the optimizer updates."""
    figure, axes = _figure(7, 3.4)
    for name, label, colour, marker in (
        ("loss", "training", _BLUE, ""),
        ("eval_loss", "validation", _RED, "o"),
    ):
        points = [(entry["step"], entry[name]) for entry in curve if name in entry]
        if points:
            axes.plot(*zip(*points, strict=True), color=colour, marker=marker, label=label)
    axes.set_xlabel("optimizer update")
    axes.set_ylabel("loss (nats per token)")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    return _png(figure)


def bucket_bars(buckets: Sequence[tuple[str, int, int]]) -> bytes:
    """Rows used beside rows wanted for each bucket; entries are (name, wanted, used)."""
    figure, axes = _figure(6, 2.6)
    names = [name for name, _, _ in buckets]
    places = range(len(names))
    wanted = axes.barh(
        [place + 0.2 for place in places],
        [entry[1] for entry in buckets],
        height=0.36,
        color="#d9dee8",
        label="wanted",
    )
    used = axes.barh(
        [place - 0.2 for place in places],
        [entry[2] for entry in buckets],
        height=0.36,
        color=_BLUE,
        label="used",
    )
    axes.bar_label(wanted, padding=3, fontsize=8, color=_GREY)
    axes.bar_label(used, padding=3, fontsize=8)
    axes.set_yticks(list(places), names)
    axes.invert_yaxis()
    axes.set_xlabel("rows")
    axes.legend(frameon=False)
    return _png(figure)


def cells_by_kind(summary: Summary) -> bytes:
    """What became of the questions of each kind, as stacked shares."""
    colours = {
        "answered right": _GREEN,
        "deflected rightly": _BLUE,
        "deflected needlessly": _AMBER,
        "answered wrong": _RED,
        "answered unanswerable": "#8c1f1f",
    }
    kinds = list(summary.by_kind)
    figure, axes = _figure(8, 1.2 + 0.36 * max(1, len(kinds)))
    left = [0.0] * len(kinds)
    for cell, colour in colours.items():
        shares = [
            summary.by_kind[kind].get(cell, 0) / sum(summary.by_kind[kind].values())
            for kind in kinds
        ]
        if any(shares):
            axes.barh(kinds, shares, left=left, color=colour, label=cell, height=0.7)
            left = [start + share for start, share in zip(left, shares, strict=True)]
    axes.set_yticks(
        range(len(kinds)),
        [f"{kind} ({sum(summary.by_kind[kind].values())})" for kind in kinds],
    )
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.set_xlabel("share of the held-out questions")
    axes.legend(frameon=False, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0), fontsize=8)
    return _png(figure)


def risk_coverage(outcomes: Sequence[Outcome], threshold: float) -> bytes:
    """Share of wrong answers among those given, over the share of questions answered.

    Every question counts, answerable or not; an unanswerable one that is answered is wrong. The
    dot is the shipped threshold.
    """
    figure, axes = _figure(5.4, 3.4)
    given = sorted((item for item in outcomes if not item.deflected), key=lambda item: -item.score)
    xs: list[float] = []
    ys: list[float] = []
    wrong = 0
    for count, item in enumerate(given, start=1):
        wrong += item.right is not True
        xs.append(count / len(outcomes))
        ys.append(wrong / count)
    axes.plot(xs, ys, color=_BLUE)
    kept = sum(item.score >= threshold for item in given)
    if kept:
        axes.plot([xs[kept - 1]], [ys[kept - 1]], "o", color=_RED, label="shipped threshold")
        axes.legend(frameon=False)
    axes.set_xlim(0, 1)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("share of all questions answered")
    axes.set_ylabel("wrong among the answers")
    return _png(figure)
