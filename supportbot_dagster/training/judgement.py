"""What the curve of a run says: whether to go on, and which checkpoint to take.

What lives here: the rules for divergence, for a flat validation loss and for the best checkpoint,
as plain functions of the logged figures, so that a resumed run judges as an unbroken one does. What
does not: measuring (:mod:`supportbot_dagster.training.trainer`).
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from supportbot_dagster.training.spec import Candidate

DIVERGED_LOGS = 5
"""Logged losses whose mean is compared; a run logs about sixty."""
DIVERGED_NATS = 1.0
DIVERGED_SHARE = 0.5
"""A run has diverged when that mean lies above the first logged loss by one nat per token, or by
half of it if that is more. A model that merely fails to learn stays near its first loss; after too
large a step it predicts tokens by their frequency at best, several nats worse."""
LOSS_TOLERANCE = 0.01
"""Checkpoints whose validation loss is at most 1 % above the lowest count as equally good."""

Log = Mapping[str, Any]


def trouble(history: Sequence[Log], *, ended: bool = False) -> str | None:
    """Why a run must stop as failed, or None.

    Args:
        history: logged entries in order.
        ended: whether no more will come; a short run is then judged by the losses that it has.
    """
    losses = [float(entry["loss"]) for entry in history if "loss" in entry]
    figures = losses + [float(entry["eval_loss"]) for entry in history if "eval_loss" in entry]
    if not all(math.isfinite(figure) for figure in figures):
        return "The loss is not a number."
    window = min(DIVERGED_LOGS, len(losses) - 1) if ended else DIVERGED_LOGS
    if window < 1 or len(losses) <= window:
        return None
    start, now = losses[0], sum(losses[-window:]) / window
    if now <= start + max(DIVERGED_NATS, DIVERGED_SHARE * start):
        return None
    return f"The loss diverges: it began at {start:.3g} and is now {now:.3g} nats per token."


def is_flat(history: Sequence[Log], patience: int, delta: float, updates: int = 0) -> bool:
    """Whether the validation loss has stopped falling.

    Args:
        history: logged entries in order.
        patience: evaluations in a row without a lower loss; 0 for never flat.
        delta: by how many nats a loss must be lower to count.
        updates: of the whole run. Evaluations in its first third do not tell: warm-up moves little.
    """
    lowest, stale = math.inf, 0
    for entry in history:
        if "eval_loss" in entry:
            lower = float(entry["eval_loss"]) < lowest - delta
            early = 3 * int(entry.get("step", 0)) <= updates
            stale = 0 if lower or early else stale + 1
            lowest = min(lowest, float(entry["eval_loss"]))
    return 0 < patience <= stale


def candidates(history: Sequence[Log]) -> list[Candidate]:
    """The evaluations of a run."""
    found: dict[int, Candidate] = {}
    for entry in history:
        if "eval_loss" in entry:
            counted = "eval_seen" in entry and entry["eval_seen"]
            step = int(entry["step"])
            found[step] = Candidate(
                step,
                float(entry["eval_loss"]),
                int(entry["eval_wrong_answered"]) if counted else None,
                int(entry["eval_wrong_refused"]) if counted else None,
                int(entry.get("eval_seen", 0)),
            )
    return [found[step] for step in sorted(found)]


def choose(found: Sequence[Candidate], updates: int = 0) -> tuple[Candidate, str] | None:
    """The checkpoint to take and why, or None if none was evaluated after an update.

    Of those whose validation loss is within 1 % of the lowest, the one with the fewest wrong
    answers; of several, the one with the lowest loss.

    Args:
        found: the evaluations of a run.
        updates: of the whole run. What the first third of them gave is hardly an adapter, and is
            taken only where nothing later has about the lowest loss.
    """
    trained = [candidate for candidate in found if candidate.step > 0]
    if not trained:
        return None
    lowest = min(candidate.eval_loss for candidate in trained)
    close = [one for one in trained if one.eval_loss <= lowest * (1 + LOSS_TOLERANCE)]
    close = [one for one in close if 3 * one.step > updates] or close
    best = min(close, key=lambda one: (one.wrong, one.eval_loss))
    if not best.seen:
        return best, "lowest validation loss; no held-out row tells answering from deflecting"
    why = f"fewest wrong answers ({best.wrong} of {best.seen} held-out rows) among {len(close)} "
    why += f"checkpoints within {LOSS_TOLERANCE:.0%} of the lowest validation loss"
    if best.eval_loss == lowest:
        why += ", and the lowest loss itself"
    return best, why
