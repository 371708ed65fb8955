from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from supportbot_dagster.hashing import sha256_file
from supportbot_dagster.training import pocket
from supportbot_dagster.training.pocket import Steps, train_base
from supportbot_dagster.training.pocket_corpus import Asked, Corpus

WORDS = (
    "amber basil cedar delta ember fjord grove heron ivory jade krill lotus maple nylon opal prism "
    "quartz raven sable tulip umber velvet willow xenon yarrow zephyr anchor bridge candle dolphin"
).split()


def small_corpus() -> Corpus:
    """Three topics that a word each gives away, and deflections that another gives away."""
    rng = random.Random(0)

    def asked(word: str, answer: str, topic: str) -> list[Asked]:
        return [
            Asked(f"how is the {word} of {' '.join(rng.sample(WORDS, 3))}", answer, topic)
            for _ in range(40)
        ]

    pairs = [
        *asked("export", "Choose Export in the toolbar and save the file.", "a#export"),
        *asked("import", "Open Settings and choose the importer that you want.", "a#import"),
        *asked("label", "Labels are made in the team's settings by an admin.", "b#label"),
    ]
    deflections = asked("price", "I do not have access to prices.", "unanswerable: pricing")
    texts = [f"Page {number} > {word}\nAll about {word}." for number, word in enumerate(WORDS)]
    return Corpus(texts, pairs[1:], deflections[1:], [pairs[0], deflections[0]], 0)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "VOCABULARY": 512,
        "BAG_STEPS": 30,
        "READING_BATCH": 32,
        "READING_CHUNK": 16,
        "ANSWERING_BATCH": 2,
        "WARM_UP": 2,
    }.items():
        monkeypatch.setattr(pocket, name, value)


def trained(out: Path, seed: int = 0) -> Path:
    train_base(small_corpus(), out, steps=Steps(12, 2, 2), seed=seed, compiled=False)
    return out


def test_the_stages_teach_reading_and_give_a_whole_snapshot(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from supportbot_dagster.training.base import check_base_dir

    folder = trained(tmp_path / "base")
    check_base_dir(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.config.hidden_size % 256 == model.config.intermediate_size % 256 == 0
    assert len(AutoTokenizer.from_pretrained(folder)) == model.config.vocab_size == 512
    told = capsys.readouterr().err
    assert "bag of words" not in told or "loss" in told
    reading = next(line for line in told.splitlines() if "reading: step 12" in line)
    assert "section right 100.0 %" in reading, reading
    assert "unanswerable told 100.0 %" in reading, reading


def test_the_same_seed_gives_the_same_base_and_another_does_not(tmp_path: Path) -> None:
    weights = [
        sha256_file(trained(tmp_path / name, seed) / "model.safetensors")
        for name, seed in (("one", 0), ("two", 0), ("three", 1))
    ]
    assert weights[0] == weights[1] != weights[2]


def test_prompts_are_padded_to_a_known_length_and_cut_in_front() -> None:
    short, long = [1, 4, 7, 8, 2, 5], [1, 4, *range(10, 200), 2, 5]
    ids, last = pocket._padded([short, long], pad=3)
    assert ids.shape == (2, pocket.READING_LENGTHS[-1])
    assert ids[0].tolist()[:7] == [*short, 3]
    assert last.tolist() == [5, pocket.READING_LENGTHS[-1] - 1]
    assert ids[1].tolist()[:2] == [1, 4]
    assert ids[1].tolist()[-3:] == [199, 2, 5]


def test_packed_documents_see_only_themselves_and_predict_their_own_next_token() -> None:
    import torch

    documents = torch.zeros(1, pocket.WINDOW, dtype=torch.long)
    documents[0, :3], documents[0, 3:5] = 1, 2
    mask = pocket._mask(documents)[0, 0]
    assert (mask[4] == 0).nonzero().flatten().tolist() == [3, 4]
    assert (mask[2] == 0).nonzero().flatten().tolist() == [0, 1, 2]


class Letters:
    """A tokenizer with one token a letter, and the special tokens of the pocket base."""

    bos_token_id, eos_token_id, pad_token_id = 1, 2, 3

    def apply_chat_template(self, messages: Any, **_: Any) -> str:
        return f"({messages[0]['content']})"

    def __call__(self, text: str, **_: Any) -> dict[str, list[int]]:
        return {"input_ids": [ord(letter) for letter in text]}


def test_labels_of_a_batch_are_the_next_tokens_and_the_topic_stands_before_the_answer() -> None:
    corpus = small_corpus()
    ids, labels, weights, classes, documents, _ = next(
        pocket._batches(corpus, Letters(), random.Random(0))
    )
    assert ids.shape == labels.shape == weights.shape == (2, pocket.WINDOW)
    learned = labels != pocket.IGNORED
    same = documents[:, 1:] == documents[:, :-1]
    assert bool((labels[:, :-1][learned[:, :-1]] == ids[:, 1:][learned[:, :-1]]).all())
    assert bool(same[learned[:, :-1]].all()), "no label crosses into the next document"
    assert bool((weights[~learned] == 0).all())
    told = (classes != pocket.IGNORED).nonzero()
    assert len(told) > 0
    assert all(int(ids[row, column]) == ord(")") for row, column in told.tolist())
