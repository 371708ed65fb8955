from __future__ import annotations

import random

import pytest

from supportbot_dagster.training.noise import fillers, noisy

QUESTION = "How do I change the address of our workspace, please?"


def drawn(question: str, count: int = 2000) -> list[str]:
    rng = random.Random(0)
    return [noisy(question, rng) for _ in range(count)]


def test_the_same_seed_gives_the_same_noise() -> None:
    assert drawn(QUESTION, 50) == drawn(QUESTION, 50)
    rng = random.Random(1)
    assert [noisy(QUESTION, rng) for _ in range(50)] != drawn(QUESTION, 50)


def test_about_one_in_six_stays_and_the_rest_differ() -> None:
    forms = drawn(QUESTION)
    assert 0.13 < sum(form == QUESTION for form in forms) / len(forms) < 0.25
    assert len(set(forms)) > len(forms) / 2


def test_every_kind_of_noise_occurs() -> None:
    forms = drawn(QUESTION)
    assert any(form.isupper() for form in forms)
    assert any(form == form.lower() for form in forms)
    assert any(form.lower().startswith(("hi", "hey", "hello")) for form in forms)
    assert any(form.lower().endswith(("thanks", "thx", "cheers")) for form in forms)
    assert any("wrokspace" in form.lower() or "workspce" in form.lower() for form in forms)
    assert any(" link " in form.lower() or " url " in form.lower() for form in forms)
    assert any("?" not in form and "," not in form for form in forms)


def test_a_share_of_the_forms_is_told_with_something_around_it() -> None:
    forms = drawn(QUESTION)
    around = [any(filler in form for filler in fillers()) for form in forms]
    assert 0.15 < sum(around) / len(around) < 0.25
    assert len(fillers()) == len(set(fillers())) > 300
    assert all(filler == filler.strip() != "" for filler in fillers())


@pytest.mark.parametrize(
    "question", ["", "?", "x", "hi", "   ", "a b", "ünïcödé wörds ärè fíne", "?!?"]
)
def test_no_question_is_lost_or_broken(question: str) -> None:
    for form in drawn(question, 300):
        assert form.strip() or not question.strip()
        assert "\n" not in form


def test_most_of_the_words_survive() -> None:
    wanted = set(QUESTION.lower().split())
    kept = [len(wanted & set(form.lower().split())) / len(wanted) for form in drawn(QUESTION)]
    assert sum(kept) / len(kept) > 0.6
