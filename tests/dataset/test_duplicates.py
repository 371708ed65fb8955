from __future__ import annotations

import random

import pytest
from rapidfuzz import fuzz

from supportbot_dagster.dataset.duplicates import Questions, prepare


def test_a_near_copy_is_found_in_any_order_of_its_words() -> None:
    index = Questions(92)
    index.add("a", "how do i change the workspace url")
    assert index.find("how do i change the workspace urls") == "a"
    assert index.find("the workspace url how do i change") == "a"
    assert index.find("how do i change the team name") is None
    assert len(index) == 1


def test_short_questions_are_compared_exactly() -> None:
    index = Questions(80)
    index.add("a", "change url")
    assert index.find("change url") == "a"
    assert index.find("change urls") is None


def test_the_first_key_stays_and_the_nearest_is_given() -> None:
    index = Questions(80)
    index.add("far", "where do i see the list of archived issues")
    index.add("near", "where do i see the list of archived projects")
    index.add("late", "where do i see the list of archived projects")
    assert index.find("where do i see the list of archived project") == "near"


@pytest.mark.parametrize("similarity", [85.0, 92.0])
def test_it_finds_what_comparing_all_with_all_finds(similarity: float) -> None:
    rng = random.Random(7)
    words = [
        f"{a}{b}" for a in ("ba", "de", "ki", "lo", "mu", "ra") for b in ("n", "st", "ver", "x")
    ]
    texts: list[str] = []
    for _ in range(400):
        words_of = rng.sample(words, rng.randint(4, 9))
        texts.append(" ".join(words_of))
        for _ in range(2):
            changed = list(words_of)
            place = rng.randrange(len(changed))
            changed[place] = rng.choice(
                [changed[place] + "s", changed[place][1:], rng.choice(words)]
            )
            rng.shuffle(changed)
            texts.append(" ".join(changed))
    index = Questions(similarity)
    kept: list[str] = []
    for text, hashed in zip(texts, prepare(texts), strict=True):
        found = index.find(text, hashed)
        wanted = any(fuzz.token_sort_ratio(text, other) >= similarity for other in kept)
        assert (found is not None) == wanted, text
        if found is None:
            index.add(text, text, hashed)
            kept.append(text)
    assert 100 < len(kept) < len(texts) - 100, "both cases were there"
