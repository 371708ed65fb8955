"""From redacted conversations to rows: single-turn pairs, account questions, follow-ups.

What lives here: which conversation becomes which row, the link from a ticket to the docs section
that answers it, and the reasons for leaving one out. What does not: import, redaction and the
trimming of greetings (:mod:`supportbot_dagster.tickets`).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from supportbot_dagster.dataset.rows import QUESTION_PREFIX, TICKET_STYLE, Row, fold, make_row
from supportbot_dagster.dataset.splits import split_of
from supportbot_dagster.dataset.unseen import has_controls, template_token
from supportbot_dagster.hashing import sha256_json
from supportbot_dagster.product import Product, Splits
from supportbot_dagster.progress import Progress, silent
from supportbot_dagster.refusals.families import deflection
from supportbot_dagster.refusals.markers import is_refusal
from supportbot_dagster.tickets.single_turn import customer_question, light_edit

_BILLING = re.compile(
    r"\b(invoices?|charged?|charges|billed|billing|refund\w*|payments?|paid|receipts?|vat)\b",
    re.IGNORECASE,
)
MIN_QUESTION_WORDS = 2
MAX_QUESTION_WORDS = 120
MIN_ANSWER_WORDS = 6
MAX_ANSWER_WORDS = 150


@dataclass(frozen=True)
class TicketRows:
    """Rows of the ``tickets`` bucket (and account questions) with what was left out, by reason."""

    rows: list[Row]
    left_out: dict[str, int]


@dataclass(frozen=True)
class FollowUps:
    """Multi-turn conversations in the ``messages`` schema, and what was left out, by reason."""

    rows: list[dict[str, Any]]
    left_out: dict[str, int]


def ticket_rows(
    conversations: Sequence[Mapping[str, Any]], product: Product, progress: Progress = silent
) -> TicketRows:
    """Single-turn conversations as rows; typos stay, names and greetings go.

    A conversation that only account access could answer becomes a ``refusals`` row: the customer's
    own words with the deflection of its category. Which docs section answers an ordinary one is
    read from the link in the agent's reply.
    """
    rows: list[Row] = []
    left_out: dict[str, int] = {}
    for done, conversation in enumerate(conversations, start=1):
        row, reason = _row(conversation, product)
        if row is not None:
            rows.append(row)
        else:
            left_out[reason] = left_out.get(reason, 0) + 1
        progress("conversations read", done, len(conversations))
    return TicketRows(rows, dict(sorted(left_out.items())))


def _row(conversation: Mapping[str, Any], product: Product) -> tuple[Row | None, str]:
    if conversation["hints"]:
        return None, "redaction is doubtful"
    if not conversation["single_turn"]:
        return None, "more than one turn"
    question = fold(customer_question(conversation["turns"][0]["text"]))
    answer = fold(light_edit(conversation["turns"][1]["text"]))
    words = len(question.split())
    if not MIN_QUESTION_WORDS <= words <= MAX_QUESTION_WORDS:
        return None, "question is too short or too long"
    source_hash = sha256_json(conversation["turns"])
    if conversation["account_specific"]:
        category = "billing" if _BILLING.search(question) else "account_state"
        return (
            make_row(
                question=question,
                output=deflection(category, product, int(source_hash[:8], 16)),
                bucket="refusals",
                source=conversation["id"],
                source_hash=source_hash,
                style=TICKET_STYLE,
            ),
            "",
        )
    if not MIN_ANSWER_WORDS <= len(answer.split()) <= MAX_ANSWER_WORDS:
        return None, "reply is too short or too long"
    if is_refusal(answer):
        return None, "the agent handed the customer on"
    return (
        make_row(
            question=question,
            output=answer,
            bucket="tickets",
            source=conversation["id"],
            source_hash=source_hash,
            style=TICKET_STYLE,
            evidence=conversation["links"][0] if conversation["links"] else "",
        ),
        "",
    )


def follow_up_rows(
    conversations: Sequence[Mapping[str, Any]], splits: Splits, seed: int
) -> FollowUps:
    """Multi-turn conversations as ``{"id", "messages", "source_hash", "evidence", "split"}``.

    The customer's first message carries the instruction prefix; roles are ``user`` and
    ``assistant`` in turn, ending with the assistant.

    Args:
        conversations: records of ``ticket_export``.
        splits: share of the conversations that each held-out split gets.
        seed: of the hash that assigns a conversation, whole, to a split.
    """
    rows: list[dict[str, Any]] = []
    left_out: dict[str, int] = {}

    def leave_out(reason: str) -> None:
        left_out[reason] = left_out.get(reason, 0) + 1

    for conversation in conversations:
        if conversation["single_turn"]:
            leave_out("single turn")
            continue
        if conversation["hints"]:
            leave_out("redaction is doubtful")
            continue
        if conversation["account_specific"]:
            leave_out("needs account access")
            continue
        messages: list[dict[str, str]] = []
        for turn in conversation["turns"]:
            if turn["role"] == "customer":
                text = fold(customer_question(turn["text"]))
                text = text if messages else QUESTION_PREFIX + text
                messages.append({"role": "user", "content": text})
            else:
                text = fold(light_edit(turn["text"]))
                messages.append({"role": "assistant", "content": text})
        while messages and messages[-1]["role"] == "user":
            messages.pop()
        roles = [message["role"] for message in messages]
        if roles != ["user", "assistant"] * (len(roles) // 2) or len(roles) < 4:
            leave_out("turns do not alternate from customer to agent")
            continue
        if any(not message["content"] for message in messages):
            leave_out("a turn is empty after trimming")
            continue
        if any(has_controls(one["content"]) or template_token(one["content"]) for one in messages):
            leave_out("a turn holds control characters or a chat template's token")
            continue
        rows.append(
            {
                "id": conversation["id"],
                "messages": messages,
                "source_hash": sha256_json(conversation["turns"]),
                "evidence": conversation["links"][0] if conversation["links"] else "",
                "split": split_of(conversation["id"], splits, seed),
            }
        )
    return FollowUps(rows, dict(sorted(left_out.items())))
