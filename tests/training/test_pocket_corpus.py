from __future__ import annotations

from pathlib import Path

import pytest

from supportbot_dagster.jsonl import read_jsonl, write_jsonl_atomic
from supportbot_dagster.refusals.families import CATEGORIES
from supportbot_dagster.refusals.markers import is_refusal
from supportbot_dagster.training import pocket_corpus
from supportbot_dagster.training.pocket_corpus import DEFLECTIONS, Corpus, sample_corpus


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return sample_corpus()


def test_the_corpus_holds_both_kinds_with_a_topic_each(corpus: Corpus) -> None:
    assert len(corpus.pairs) > 10_000
    assert len(corpus.deflections) > 5_000
    assert len(corpus.texts) > 300
    assert all(asked.answerable and not is_refusal(asked.answer) for asked in corpus.pairs)
    assert all(not asked.answerable and is_refusal(asked.answer) for asked in corpus.deflections)
    assert sorted(corpus.topics.values()) == list(range(len(corpus.topics)))
    unanswerable = {asked.topic for asked in corpus.deflections}
    assert {topic.removeprefix("unanswerable: ") for topic in unanswerable} == set(CATEGORIES)


def test_a_deflection_may_be_that_of_a_family(corpus: Corpus) -> None:
    named = {row["question"] for row in read_jsonl(DEFLECTIONS) if "family" in row}
    answers = {asked.answer for asked in corpus.deflections if asked.question in named}
    assert len(named) > 50
    assert len(answers) == 2
    assert all("Settings > API" in answer or "Settings > Import" in answer for answer in answers)


def test_what_is_watched_is_not_trained(corpus: Corpus) -> None:
    trained = {asked.question for asked in (*corpus.pairs, *corpus.deflections)}
    assert len(corpus.watched) > 500
    assert {asked.question for asked in corpus.watched}.isdisjoint(trained)


def test_a_copy_of_a_tested_question_is_left_out(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted = tmp_path / "deflections.jsonl"
    copies = [
        {"category": "pricing", "question": "how much does the business plan cost"},
        {"category": "out_of_scope", "question": "Write me a Jira to Tracklight migration script"},
    ]
    added = {"category": "off_topic", "question": "Who sells forty sacks of rye flour to my aunt?"}
    write_jsonl_atomic(planted, [added, *read_jsonl(DEFLECTIONS), *copies])
    monkeypatch.setattr(pocket_corpus, "DEFLECTIONS", planted)
    again = sample_corpus()
    assert again.copies == corpus.copies + len(copies)
    held = {asked.question for asked in corpus.watched}
    assert {asked.question for asked in again.watched} - {added["question"]} == held, "it stays so"
    questions = {asked.question for asked in (*again.deflections, *again.watched)}
    assert questions.isdisjoint(copy["question"] for copy in copies)


def test_no_deflection_is_written_twice() -> None:
    questions = [row["question"] for row in read_jsonl(DEFLECTIONS)]
    assert len(questions) == len(set(questions))
