"""When a run fails, when it stops, and which checkpoint it takes."""

from __future__ import annotations

from typing import Any

import pytest

from supportbot_dagster.training.judgement import candidates, choose, is_flat, trouble


def losses(*values: float) -> list[dict[str, Any]]:
    return [{"step": float(step), "loss": value} for step, value in enumerate(values, start=1)]


def evaluations(*found: tuple[int, float, int, int]) -> list[dict[str, Any]]:
    return [
        {
            "step": step,
            "eval_loss": loss,
            "eval_wrong_answered": float(answered),
            "eval_wrong_refused": float(refused),
            "eval_seen": 50.0,
        }
        for step, loss, answered, refused in found
    ]


@pytest.mark.parametrize(
    ("history", "said"),
    [
        (losses(2.0, float("nan")), "not a number"),
        (losses(2.0, float("inf")), "not a number"),
        ([{"step": 1, "eval_loss": float("nan")}], "not a number"),
        (losses(0.2, 4, 4, 4, 4, 4), "diverges: it began at 0.2 and is now 4"),
        (losses(4.0, 7, 7, 7, 7, 7), "diverges"),
        (losses(0.2, 0.3, 0.1, 0.4, 0.3, 0.2, 0.4), None),
        (losses(4.0, 5.5, 5.5, 5.5, 5.5, 5.5), None),
        (losses(0.2, 9, 0.2, 0.2, 0.2, 0.2, 0.2), "diverges"),
        (losses(0.2, 3, 0.2, 0.2, 0.2, 0.2, 0.2), None),
        (losses(0.2, 9, 9), None),
        ([], None),
    ],
)
def test_a_run_that_goes_wrong_is_told_with_the_reason(
    history: list[dict[str, Any]], said: str | None
) -> None:
    found = [trouble(history[: end + 1]) for end in range(len(history))]
    told = next((reason for reason in found if reason), None)
    assert (told is None) if said is None else (told is not None and said in told)


def test_a_short_run_is_judged_at_its_end() -> None:
    assert trouble(losses(0.2, 9, 9)) is None
    assert "diverges" in str(trouble(losses(0.2, 9, 9), ended=True))
    assert trouble(losses(0.2, 0.3), ended=True) is None
    assert trouble(losses(0.2), ended=True) is None


def test_the_validation_loss_is_flat_after_as_many_evaluations_as_patience() -> None:
    falling = evaluations((0, 1.0, 0, 0), (10, 0.9, 0, 0), (20, 0.8, 0, 0))
    assert not is_flat(falling, 2, 0.001)
    stale = [*falling, *evaluations((30, 0.7995, 0, 0))]
    assert not is_flat(stale, 2, 0.001)
    stale += evaluations((40, 0.81, 0, 0))
    assert is_flat(stale, 2, 0.001)
    assert not is_flat(stale, 3, 0.001)
    last = max(int(entry["step"]) for entry in stale if "eval_loss" in entry)
    assert not is_flat(stale, 2, 0.001, updates=3 * last), "a run in its warm-up is not flat"
    assert is_flat(stale, 1, 0.001, updates=3 * last - 1)
    assert not is_flat(stale, 0, 0.001)
    assert not is_flat([*stale, *evaluations((50, 0.7, 0, 0))], 2, 0.001)


def test_wrong_answers_decide_among_like_losses() -> None:
    found = candidates(
        evaluations((0, 0.5, 0, 0), (10, 0.9, 0, 0), (20, 0.803, 2, 1), (30, 0.8, 3, 2))
    )
    chosen = choose(found)
    assert chosen is not None
    assert chosen[0].step == 20, "step 0 is no adapter, and step 10 is too far above"
    assert "3 of 50" in chosen[1]


def test_the_lower_loss_decides_among_like_wrong_answers() -> None:
    chosen = choose(candidates(evaluations((10, 0.803, 2, 1), (20, 0.8, 1, 2), (30, 0.802, 3, 0))))
    assert chosen is not None
    assert chosen[0].step == 20
    assert "the lowest loss itself" in chosen[1]


def test_without_counts_the_loss_decides_alone() -> None:
    chosen = choose(candidates([{"step": 5, "eval_loss": 0.5}, {"step": 9, "eval_loss": 0.6}]))
    assert chosen is not None
    assert chosen[0].step == 5
    assert "lowest validation loss" in chosen[1]
    assert choose(candidates([{"step": 0, "eval_loss": 0.5}])) is None


def test_an_evaluation_that_was_repeated_counts_once() -> None:
    assert len(candidates(evaluations((10, 0.8, 1, 1), (10, 0.8, 1, 1)))) == 1


def test_the_beginning_of_a_run_is_chosen_only_where_there_is_nothing_else() -> None:
    found = candidates(evaluations((0, 0.7, 0, 0), (1, 0.6, 0, 0), (5, 0.604, 0, 0)))
    assert choose(found)[0].step == 1  # type: ignore[index]
    assert choose(found, updates=9)[0].step == 5  # type: ignore[index]
    assert choose(found[:2], updates=9)[0].step == 1  # type: ignore[index]
    worse = candidates(evaluations((0, 0.7, 0, 0), (1, 0.6, 0, 0), (5, 0.9, 0, 0)))
    assert choose(worse, updates=9)[0].step == 1  # type: ignore[index]
