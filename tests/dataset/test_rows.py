from __future__ import annotations

from supportbot_dagster.dataset.rows import (
    QUESTION_PREFIX,
    Row,
    fold,
    make_row,
    normalized_question,
)


def row(**changes: str) -> Row:
    fields = {
        "question": "How do I archive?",
        "output": "Select them and click Archive.",
        "bucket": "docs",
        "source": "https://docs.example/a.html#archive",
        "source_hash": "h",
        "style": "correct",
    }
    return make_row(**{**fields, **changes})  # type: ignore[arg-type]


def test_the_contract() -> None:
    one = row(question="  How do\n I archive? ", output="Select\t them. ")
    assert one.instruction == "Customer question: How do I archive?"
    assert one.question == "How do I archive?"
    assert one.output == "Select them."
    assert list(one.to_dict()) == [
        "instruction", "output", "id", "bucket", "source", "source_hash", "style", "split",
        "evidence",
    ]  # fmt: skip
    assert Row.from_dict(one.to_dict()) == one
    assert one.split == ""
    held = one.in_split("test")
    assert (held.split, held.id, one.split) == ("test", one.id, "")


def test_the_id_is_of_bucket_source_and_question() -> None:
    assert len(row().id) == 16
    assert row(output="Another answer.").id == row().id
    for change in ({"bucket": "tickets"}, {"source": "other"}, {"question": "How?"}):
        assert row(**change).id != row().id


def test_a_question_that_opens_like_the_prefix_keeps_its_words() -> None:
    assert row(question=f"{QUESTION_PREFIX}what?").question == f"{QUESTION_PREFIX}what?"


def test_normalizing_drops_case_punctuation_and_space() -> None:
    assert normalized_question("  How do I *archive*, please?! ") == "how do i archive please"
    assert normalized_question("STRASSE") == normalized_question("straße")
    assert normalized_question("?!…") == ""
    assert normalized_question("ＵＲＬ　変更？") == "url 変更"
    assert normalized_question("cafe\u0301") == normalized_question("CAFÉ") == "café"
    assert normalized_question("Set\u00adtings\u200b") == "settings"
    assert normalized_question("कि") != normalized_question("का"), "a vowel sign is a letter"
    assert normalized_question("I ❤️ it") == "i it"
    assert fold(" a\u00a0 b\n") == "a b"
