from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from supportbot_dagster.dataset.rows import SPLITS
from supportbot_dagster.dataset.ticket_rows import FollowUps, follow_up_rows, ticket_rows
from supportbot_dagster.product import Product, Splits, load_product, sample_product_file
from supportbot_dagster.refusals.markers import is_refusal

QUESTION = "hi there, cant figur out wher to chang my workspace url"
ANSWER = "You can change it in Settings > General. The old address redirects for 30 days."
LINK = "https://docs.tracklight.example/help/workspace/general-settings.html#change-workspace-url"


def conversation(*texts: str, **changes: Any) -> dict[str, Any]:
    said = texts or (QUESTION, ANSWER)
    roles = ("customer", "agent")
    return {
        "id": "c1",
        "turns": [{"role": roles[n % 2], "text": text} for n, text in enumerate(said)],
        "single_turn": len(said) == 2,
        "account_specific": False,
        "links": [LINK],
        "hints": [],
        **changes,
    }


@pytest.fixture(scope="module")
def product() -> Product:
    return load_product(sample_product_file())


def test_typos_stay_and_the_link_becomes_the_evidence(product: Product) -> None:
    (row,) = ticket_rows([conversation()], product).rows
    assert "cant figur out wher to chang my workspace url" in row.question
    assert row.output == ANSWER
    assert (row.bucket, row.style, row.evidence, row.source) == ("tickets", "ticket", LINK, "c1")
    (unlinked,) = ticket_rows([conversation(links=[])], product).rows
    assert unlinked.evidence == ""


def test_the_hash_follows_the_turns(product: Product) -> None:
    (one,) = ticket_rows([conversation()], product).rows
    (other,) = ticket_rows([conversation(QUESTION, ANSWER + " Done.")], product).rows
    assert one.source_hash != other.source_hash


@pytest.mark.parametrize(
    ("question", "category"),
    [
        ("why was I charged twice on my last invoice", "billing"),
        ("how many seats does our workspace use right now", "account_state"),
    ],
)
def test_an_account_question_becomes_a_deflection(
    product: Product, question: str, category: str
) -> None:
    told = "I looked into your account: it says 12 and the next one is on 3 March."
    (row,) = ticket_rows([conversation(question, told, account_specific=True)], product).rows
    assert row.bucket == "refusals"
    assert row.style == "ticket"
    assert is_refusal(row.output)
    assert "12" not in row.output, "the agent's knowledge of the account is not taught"
    assert ("invoices" in row.output) == (category == "billing")


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (conversation(hints=["a name?"]), "redaction is doubtful"),
        (conversation(QUESTION, ANSWER, "thx", "Bye"), "more than one turn"),
        (conversation("help", ANSWER), "question is too short or too long"),
        (conversation("word " * 200, ANSWER), "question is too short or too long"),
        (conversation(QUESTION, "Click Archive."), "reply is too short or too long"),
        (conversation(QUESTION, "word " * 200), "reply is too short or too long"),
        (
            conversation(QUESTION, "I do not have access to your account, please ask an owner."),
            "the agent handed the customer on",
        ),
    ],
)
def test_what_is_left_out_is_counted(
    product: Product, changed: dict[str, Any], reason: str
) -> None:
    result = ticket_rows([changed, conversation()], product)
    assert len(result.rows) == 1
    assert result.left_out == {reason: 1}


def test_sympathy_is_no_reason_to_leave_a_reply_out(product: Product) -> None:
    kind = "I'm sorry to hear that you could not find it! " + ANSWER
    result = ticket_rows([conversation(QUESTION, kind)], product)
    assert len(result.rows) == 1


FOUR = (QUESTION, ANSWER, "and can I undo that later on?", "Yes, within 30 days in the same place.")


def follow_ups(conversations: list[dict[str, Any]]) -> FollowUps:
    return follow_up_rows(conversations, Splits(), 0)


def test_follow_ups_have_splits_of_their_own() -> None:
    many = [conversation(*FOUR) | {"id": f"c{number}"} for number in range(200)]
    rows = follow_ups(many).rows
    held = Counter(row["split"] for row in rows)
    assert set(held) == set(SPLITS)
    assert 100 < held["train"] < 140
    assert follow_ups(many[::2]).rows == rows[::2], "whatever else comes or goes"


def test_follow_ups_alternate_and_end_with_the_agent() -> None:
    (row,) = follow_ups([conversation(*FOUR, "thanks a lot, that worked")]).rows
    assert [message["role"] for message in row["messages"]] == ["user", "assistant"] * 2
    assert row["messages"][0]["content"].startswith("Customer question: ")
    assert not row["messages"][2]["content"].startswith("Customer question: ")
    assert row["evidence"] == LINK


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (conversation(), "single turn"),
        (conversation(*FOUR, hints=["a name?"]), "redaction is doubtful"),
        (conversation(*FOUR, account_specific=True), "needs account access"),
        (
            conversation(*FOUR)
            | {"turns": [{"role": "agent", "text": ANSWER}, *conversation(*FOUR)["turns"]]},
            "turns do not alternate from customer to agent",
        ),
        (conversation(QUESTION, ANSWER, "ok", single_turn=False), "turns do not alternate from"),
        (conversation(*FOUR[:-1], f"{FOUR[-1]} <|im_end|>"), "a turn holds control characters or"),
        (conversation(*FOUR[:-1], f"{FOUR[-1]} \u202e"), "a turn holds control characters or"),
    ],
)
def test_follow_ups_left_out_are_counted(changed: dict[str, Any], reason: str) -> None:
    result = follow_ups([changed, conversation(*FOUR)])
    assert len(result.rows) == 1
    ((said, count),) = result.left_out.items()
    assert said.startswith(reason)
    assert count == 1
