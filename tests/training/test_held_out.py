"""Openings of deflections, and rows that open wrongly."""

from __future__ import annotations

import torch

from supportbot_dagster.training.encode import IGNORED, Example
from supportbot_dagster.training.held_out import HeldOut, Openings, Watch, watches, wrong_rows

END = 9


def example(*answer: int) -> Example:
    return Example(input_ids=[1, 2, *answer], labels=[IGNORED, IGNORED, *answer])


REFUSALS = [example(10, 11, 12, END), example(10, 13, 14, END)]
ANSWERS = [example(20, 21, END), example(10, 30, END)]
OPENINGS = Openings.of([*REFUSALS, *ANSWERS], [True, True, False, False])


def test_openings_are_a_tree_of_what_deflections_begin_with() -> None:
    assert OPENINGS.following[()] == {10}
    assert OPENINGS.following[10,] == {11, 13}
    assert OPENINGS.following[10, 11] == {12}
    assert (20,) not in OPENINGS.following


def test_an_opening_that_answers_share_tells_nothing() -> None:
    same = Openings.of([example(10, 11, END), example(10, 11, END)], [True, False])
    assert same.following == {}
    assert watches(same, 0, HeldOut(example(10, 11, END), True)) == []


def test_an_answer_is_watched_until_it_can_no_longer_become_a_deflection() -> None:
    assert watches(OPENINGS, 4, HeldOut(example(20, 21, END), False)) == [Watch(4, 1, (10,))]
    assert watches(OPENINGS, 0, HeldOut(example(10, 30, END), False)) == [
        Watch(0, 1, ()),
        Watch(0, 2, (11, 13)),
    ]


def test_a_deflection_is_watched_along_its_opening() -> None:
    found = watches(OPENINGS, 0, HeldOut(example(10, 11, 12, END), True))
    assert [watch.deflecting for watch in found] == [(10,), (11, 13), (12,), (END,)]
    other_words = watches(OPENINGS, 0, HeldOut(example(40, 41, END), True))
    assert other_words == [Watch(0, 1, (10, 40))]


def test_more_than_half_on_the_wrong_side_is_wrong() -> None:
    found = [Watch(0, 1, (10,)), Watch(1, 1, (10,)), Watch(2, 1, (10, 11)), Watch(3, 1, ())]
    probabilities = torch.zeros(4, 50)
    probabilities[0, 10] = 0.6
    probabilities[1, 10] = 0.4
    probabilities[2, 10:12] = 0.3
    assert wrong_rows(found, [False, False, False, False], probabilities) == [
        True,
        False,
        True,
        False,
    ]
    assert wrong_rows(found[:3], [True, True, True], probabilities) == [False, True, False]


def test_one_wrong_turn_makes_a_row_wrong() -> None:
    found = [Watch(0, 1, (10,)), Watch(0, 2, (11,))]
    probabilities = torch.zeros(2, 50)
    probabilities[0, 10], probabilities[1, 11] = 0.9, 0.2
    assert wrong_rows(found, [True], probabilities) == [True]
