"""The tagger: its arithmetic, its training, and that it is not measured on what it was taught."""

import random
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from supportbot_dagster.errors import UserError
from supportbot_dagster.tickets import tagger_training as training
from supportbot_dagster.tickets.labelled import TAUGHT, Message, read_messages
from supportbot_dagster.tickets.redaction import Redactor
from supportbot_dagster.tickets.tagger import (
    LABELS,
    MASK,
    PLACES,
    WEIGHTS,
    Tagger,
    decode,
    place_features,
    split,
    tokens_of,
)

BENCH = Path(__file__).parents[2] / "bench" / "data" / "redaction"
TEXTS = [
    "Hi, Jana Nováková here.\nOrder GB-2210447 is late, call +44 20 7946 0123!",
    "How do I Mark as done in bulk?",
    "",
    "a_b " * 40 + MASK * 6,
]


@pytest.fixture(scope="module")
def taught() -> list[Message]:
    return [message for path in sorted(TAUGHT.glob("*.jsonl")) for message in read_messages(path)]


@pytest.fixture(scope="module")
def tagger() -> Tagger:
    return Tagger.load()


def test_tokens_cover_all_that_is_no_space() -> None:
    for text in TEXTS:
        covered = "".join(text[start:end] for start, end in tokens_of(text))
        assert covered == re.sub(r"[^\S\n]", "", text)


def test_texts_are_split_as_each_alone_by_the_pattern(taught: list[Message]) -> None:
    odd = [
        "",
        " ",
        "\n\n",
        MASK,
        f"a{MASK}{MASK}b",
        "a_b__c",
        "x\u2028y\x1cz",
        "12\u0663\u0664a\u00b2",
        "𝔘𝔫i 5",
    ]
    texts = [*odd, *(message.text for message in taught[::7]), "\ud800a b"]
    for group in (texts, texts[:1], odd[:8], texts[20:40]):
        assert split(group)[0] == [tokens_of(text) for text in group]


def test_different_places_have_different_features() -> None:
    texts = [*TEXTS, "Ab cd", "x", " Ωmega.\nÄb 𝔘x", "a:b"]
    together = split(texts)[1].tolist()
    alone = [key for one in texts for key in split([one])[1].tolist()]
    assert together == alone
    keys = set(together)
    assert all(0 <= key < PLACES for key in keys)
    assert len({tuple(place_features(key)) for key in keys}) == len(keys)
    first, second = split(["Ab cd"])[1]
    assert first != second


def test_texts_read_together_are_read_as_if_alone(tagger: Tagger) -> None:
    found = [("PHONE", 55, 71, 0.82)], [], [], []
    together = tagger.chances(TEXTS, found)
    for text, finds, (tokens, chances) in zip(TEXTS, found, together, strict=True):
        alone = tagger.chances([text], [finds])[0]
        assert alone[0] == tokens
        np.testing.assert_allclose(alone[1], chances, atol=1e-5)


def test_what_is_remembered_changes_nothing(tagger: Tagger) -> None:
    fresh = Tagger.load()
    for text in TEXTS * 2:
        np.testing.assert_array_equal(
            fresh.chances([text], [[]])[0][1], Tagger.load().chances([text], [[]])[0][1]
        )


def test_numpy_computes_what_torch_trained(tmp_path: Path, taught: list[Message]) -> None:
    lessons = training.prepare(taught[:24], 1, 0, 1)
    model = training.train(lessons, width=16, layers=3, epochs=2)
    tests = [copies[0] for copies in lessons]
    wanted = training.predict(model, tests)
    training.save(model, tmp_path / "small.npz", 0.3, 0.15, ["the", "Order"])
    small = Tagger.load(tmp_path / "small.npz")
    done = small.chances([one.text for one in tests], [one.finds for one in tests])
    for one, (_, chances), expected in zip(tests, done, wanted, strict=True):
        if all(np.count_nonzero(row) < training.SLOTS for row in one.rows):
            np.testing.assert_allclose(chances, expected, atol=0.02)
    assert (small.alone, small.found) == pytest.approx((0.3, 0.15))


def test_training_learns_and_gives_the_same_twice(taught: list[Message]) -> None:
    lessons = training.prepare(taught[::40], 1, 0, 1)
    losses: list[float] = []
    first = training.train(
        lessons, width=16, layers=2, epochs=4, report=lambda _, loss, __: losses.append(loss)
    )
    second = training.train(lessons, width=16, layers=2, epochs=4)
    assert losses[-1] < 0.7 * losses[0]
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert np.array_equal(one.detach().numpy(), other.detach().numpy())


def test_of_mixtures_the_teachers_word_counts_alone(taught: list[Message]) -> None:
    lessons = training.prepare(taught[::300], 1, 0, 1)
    mixtures = training.mix(taught[::300], len(lessons), 0, 1)
    teacher = training.network(8, 1)  # which says the same of everything
    with torch.no_grad():
        teacher.out.weight[:] = 0.0
        teacher.out.bias[:] = 0.0
        teacher.out.bias[3] = 9.0

    def chance(mixed: list[training.Lesson]) -> float:
        model = training.train(
            lessons, width=8, layers=1, epochs=120, teachers=[teacher], mixtures=mixed
        )
        return float(np.mean([said[:, 3].mean() for said in training.predict(model, mixtures)]))

    alone = chance([])
    assert chance(mixtures) > alone + 0.1


def test_mixtures_are_texts_that_nobody_wrote(taught: list[Message]) -> None:
    mixtures = training.mix(taught, 100, 0, 2)
    assert len(mixtures) == 100
    written = {message.text for message in taught}
    texts = [lesson.text for lesson in mixtures]
    assert len(set(texts)) > 95
    assert sum(text in written for text in texts) < 5
    words = {word for message in taught for word in re.findall(r"[^\W\d_]+", message.text)}
    known = [word in words for text in texts for word in re.findall(r"[^\W\d_]{4,}", text)]
    assert sum(known) > 0.7 * len(known)  # the rest are slips and other names
    for lesson in mixtures:
        assert set(lesson.labels.tolist()) <= {training.UNKNOWN}


def test_changed_copies_keep_their_marks(taught: list[Message]) -> None:
    changes = training.Changes(taught, 0)
    changed = 0
    for message in taught[::20]:
        text, spans = changes.copy(message)
        changed += text != message.text
        marks = [mark for _, _, mark in message.spans]
        assert [mark for _, _, mark in spans] == marks or MASK in text
        for start, end, _ in spans:
            assert 0 <= start < end <= len(text)
            assert text[start:end] == text[start:end].strip()
    assert changed > len(taught[::20]) // 2


def test_a_name_becomes_the_same_one_throughout_a_copy() -> None:
    message = Message(
        "x", "ticket", "Ann Lee, that is Ann", (), ((0, 7, "PERSON"), (17, 20, "PERSON"))
    )
    changes = training.Changes([message], 3)
    for _ in range(20):
        text, spans = changes._revalued(message)
        if len(spans) == 2:
            first, second = (text[start:end] for start, end, _ in spans)
            assert first.split()[0] == second


def test_decoding_joins_what_touches() -> None:
    text = "ref AB-77x, ok"
    tokens = tokens_of(text)
    chances = np.zeros((len(tokens), len(LABELS)), dtype=np.float32)
    label = LABELS.index("REFERENCE")
    chances[:, 0] = 1.0
    for index, (start, end) in enumerate(tokens):
        if text[start:end] in {"AB", "77"}:
            chances[index, 0], chances[index, label] = 0.1, 0.9
    runs = decode(text, tokens, chances, [], 0.5, 0.5)
    assert [(run.entity, text[run.start : run.end]) for run in runs] == [("REFERENCE", "AB-77x")]
    assert decode(text, tokens, chances, [], 0.95, 0.95) == []
    assert decode(text, tokens, chances, [("REFERENCE", 4, 10, 0.8)], 0.95, 0.5)


def test_what_it_was_taught_is_not_what_it_is_measured_on(taught: list[Message]) -> None:
    def skeleton(text: str) -> str:
        return re.sub(r"[\W\d_]+", " ", text.casefold()).strip()

    known = {skeleton(message.text) for message in taught}
    measured = [message for path in BENCH.glob("*.jsonl") for message in read_messages(path)]
    assert len(measured) > 1000
    assert not [message.id for message in measured if skeleton(message.text) in known]


def test_a_malformed_message_is_named(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text('{"id": "a", "kind": "ticket", "text": "{{NAME|Jo}}"}\n', encoding="utf-8")
    with pytest.raises(UserError, match=r"bad\.jsonl, line 1: not a labelled message"):
        read_messages(path)


def test_messages_of_many_kinds_are_redacted_well(taught: list[Message]) -> None:
    """A floor far below what is measured, so that a broken file of weights is noticed."""
    measured = [m for path in sorted(BENCH.glob("*.jsonl")) for m in read_messages(path)]
    sample = random.Random(1).sample(measured, 200)
    redactor = Redactor()
    kept = total = altered = 0
    for message in sample:
        redacted = redactor.redact_text(message.text, message.known_names)
        for start, end, _ in message.spans:
            total += 1
            kept += message.text[start:end] in redacted
        altered += message.kind == "look_alike" and redacted != message.text
    assert kept / total < 0.15
    assert altered < 0.4 * sum(message.kind == "look_alike" for message in sample)


@pytest.mark.parametrize("fault", ["missing", "empty", "cut", "nan", "labels"])
def test_damaged_weights_are_told_in_one_line(tmp_path: Path, fault: str) -> None:
    path = tmp_path / "tagger.npz"
    if fault == "empty":
        path.touch()
    elif fault == "cut":
        path.write_bytes(WEIGHTS.read_bytes()[:10_000])
    elif fault != "missing":
        with np.load(WEIGHTS) as arrays:
            weights = {name: arrays[name] for name in arrays.files}
        if fault == "nan":
            weights["bias"] = weights["bias"] * np.nan
        else:
            weights["out"] = weights["out"][:, :5]
        np.savez(path, **weights)
    with pytest.raises(UserError, match="missing or damaged"):
        Tagger.load(path)


def test_threads_share_a_tagger(taught: list[Message]) -> None:
    texts = [message.text for message in taught[::60]]
    wanted = [chances for _, chances in Tagger.load().chances(texts, [[]] * len(texts))]
    shared = Tagger.load()
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda text: shared.chances([text], [[]])[0][1], texts * 3))
    for one, other in zip(done, wanted * 3, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)
