from __future__ import annotations

import random

import pytest
from rapidfuzz import fuzz

from supportbot_dagster.dataset.duplicates import (
    LEAST_OVERLAP,
    NEAR_COPY,
    Questions,
    copies,
    in_order,
    prepare,
)
from supportbot_dagster.dataset.rows import normalized_question


def test_a_near_copy_is_found_in_any_order_of_its_words() -> None:
    index = Questions(NEAR_COPY)
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


@pytest.mark.parametrize("similarity", [85.0, NEAR_COPY])
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


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("如何把已归档的问题批量恢复到原来的团队里", "如何把已归档的问题批量恢复到原来的团队中"),
        (
            "アーカイブした課題をまとめて元のチームに戻す方法を教えてください",
            "アーカイブした課題をまとめて元のチームに戻す方法を教えて下さい",
        ),
        (
            "ฉันจะเปลี่ยนที่อยู่ของพื้นที่ทำงานได้อย่างไร",
            "ฉันจะเปลี่ยนที่อยู่ของพื้นที่ทำงานได้อย่างไรคะ",
        ),
        ("où changer l’adresse de l’équipe", "ou\u0300 changer l’adresse de l’e\u0301quipe"),
        ("ｈｏｗ ｄｏ ｉ ｅｘｐｏｒｔ ａｌｌ", "How do I export all?"),
        ("how do i ex\u00adport all of my issues", "how do i export all of my is\u200dsues"),
    ],
)
def test_near_copies_of_any_script_and_spelling_are_found(one: str, other: str) -> None:
    texts = [normalized_question(text) for text in (one, other)]
    index = Questions(NEAR_COPY)
    index.add("a", texts[0])
    assert index.find(texts[1]) == "a"
    assert copies(*texts, NEAR_COPY)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("如何批量归档问题", "如何批量恢复问题"),
        ("कैसे हटाएं", "कैसे हटाओ"),
        ("課題", "課長"),
    ],
)
def test_other_questions_of_such_scripts_are_none(one: str, other: str) -> None:
    texts = [normalized_question(text) for text in (one, other)]
    index = Questions(NEAR_COPY)
    index.add("a", texts[0])
    assert index.find(texts[1]) is None
    assert not copies(*texts, NEAR_COPY)


def damaged(letters: str, gone: int, rng: random.Random) -> str:
    """A text without some of its letters, all far from one another."""
    step = len(letters) / gone
    first = rng.uniform(0, step)
    places = {int(first + number * step) for number in range(gone)}
    return "".join(letter for place, letter in enumerate(letters) if place not in places)


def test_near_copies_that_share_the_fewest_shingles_are_found() -> None:
    rng = random.Random(3)
    overlaps: list[float] = []
    found = 0
    while len(overlaps) < 2000:
        # One long word of random letters, so that no shingle is shared by chance.
        word = "".join(rng.choices("abcdefghijklmnopqrstuvwxy", k=rng.randint(40, 120)))
        text = f"{word} z z"
        copy = f"{damaged(word, int(len(text) * (1 - 0.92 / 1.08)), rng)} z z"
        if fuzz.ratio(in_order(text), in_order(copy)) < NEAR_COPY:
            continue
        one, other = prepare([text, copy])
        overlaps.append(one.jaccard(other))
        index = Questions(NEAR_COPY)
        index.add("a", text, one)
        found += index.find(copy, other) == "a"
    assert sum(overlaps) / len(overlaps) == pytest.approx(LEAST_OVERLAP, abs=0.04)
    assert found >= 0.998 * len(overlaps)


def test_all_near_ones_are_given_the_nearest_first() -> None:
    index = Questions(NEAR_COPY)
    index.add("b", "where do i see the list of archived projects")
    index.add("a", "where do i see the list of archived project")
    index.add("short", "change url")
    assert index.near("where do i see the list of archived project") == ["a", "b"]
    assert index.near("change url") == ["short"]
    assert index.near("change urls") == []
