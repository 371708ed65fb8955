from __future__ import annotations

import random
from itertools import islice

import pytest

from supportbot_dagster.training.pocket_crossings import cross, read_crossings
from supportbot_dagster.training.pocket_examples import VIEWS, Asked, Corpus

ANSWERED = [
    "how do I export the list of all open issues as a file",
    "how do I export the board of all teams to a file",
    "where can I export the list of all closed issues",
]
DEFLECTED = [
    "who can see the list of all unpaid invoices of ours",
    "please send me the list of all unpaid invoices",
    "how do I pay the rest of all unpaid invoices",
]


def written() -> list[Asked]:
    return [
        *(Asked(question, "Choose Export.", "a#export") for question in ANSWERED),
        *(Asked(question, "I do not have access.", "unanswerable: x") for question in DEFLECTED),
        Asked("where is the button that deletes my account", "Choose Delete.", "b#delete"),
    ]


def corpus() -> Corpus:
    asked = written() * 4
    deflections = [item for item in asked if not item.answerable]
    return Corpus([], [item for item in asked if item.answerable], deflections, written()[::3], 0)


def test_a_crossing_begins_as_one_question_and_ends_as_another_of_another_topic() -> None:
    questions = {item.question: item.topic for item in written()}
    found = set(islice(cross(written(), random.Random(0)), 200))
    assert len(found) > 10
    for crossing in found - questions.keys():
        words = crossing.split()
        joins = [
            (first, second)
            for first in questions
            for second in questions
            for place in range(1, len(words))
            if first.startswith(" ".join(words[:place]) + " ")
            and second.endswith(" " + " ".join(words[place:]))
            and questions[first] != questions[second]
        ]
        assert joins, crossing


def test_the_stream_is_the_same_for_a_seed() -> None:
    one, two, other = (
        list(islice(cross(written(), random.Random(seed)), 30)) for seed in (0, 0, 1)
    )
    assert one == two != other


def test_views_name_topics_with_chances() -> None:
    said: list[str] = []
    found = read_crossings(corpus(), 40, say=said.append)
    assert len(found) == 40
    for crossing in found:
        assert 1 <= len(crossing.topics) == len(crossing.chances) <= VIEWS
        assert set(crossing.topics) <= {0, 1, 2}
        assert sum(crossing.chances) == pytest.approx(1, abs=1e-3)
    assert any("reads 100.0% of the watched questions right" in line for line in said)
    unsure = [max(crossing.chances) for crossing in found]
    assert min(unsure) < 0.9, "a crossing lies between two topics"
