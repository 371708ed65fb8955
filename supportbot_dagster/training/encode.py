"""Rows become token ids with a completion mask, by the base's own chat template.

What lives here: the one place that decides what a training example is in tokens, and the checks
that it is right: exactly one BOS, an end-of-turn token that is learned, a prompt that is a prefix
of the whole. What does not: batching (:mod:`supportbot_dagster.training.batches`) and the
loss (:mod:`supportbot_dagster.training.answer_loss`).
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from supportbot_dagster.errors import UserError

IGNORED = -100
"""Label that the cross-entropy of PyTorch leaves out."""


class Example(TypedDict):
    """One training example; both lists have the same length."""

    input_ids: list[int]
    labels: list[int]


def completion_tokens(labels: Sequence[int]) -> int:
    """How many tokens of an example carry loss."""
    return sum(label != IGNORED for label in labels)


def prompt_ids(tokenizer: Any, question: str) -> list[int]:
    """Token ids of a rendered single-turn prompt, ready for the answer's first token."""
    return _render(tokenizer, [{"role": "user", "content": question}], answer_next=True)


def encode_rows(
    tokenizer: Any, rows: Sequence[Mapping[str, Any]], max_length: int
) -> tuple[list[Example], int]:
    """Encode rows: ``instruction`` / ``output``, or conversations with ``messages``.

    Of a conversation every assistant turn carries loss, each with its end-of-turn token; what the
    customer says never does.

    Args:
        tokenizer: a transformers tokenizer with a chat template.
        rows: rows of the contract.
        max_length: examples with more tokens are left out, because a cut answer teaches the model
            to stop in mid-sentence.

    Returns:
        The examples, and how many rows were too long.

    Raises:
        UserError: if the template does not fit: a prompt that is no prefix of the whole, not
            exactly one BOS, or no end-of-turn token after an answer; or if a conversation does not
            alternate between user and assistant up to an answer.
    """
    encoded = [encode_row(tokenizer, row) for row in rows]
    examples = [example for example in encoded if len(example["input_ids"]) <= max_length]
    return examples, len(encoded) - len(examples)


def encode_row(tokenizer: Any, row: Mapping[str, Any]) -> Example:
    """Encode one row, however long; see :func:`encode_rows`."""
    messages = _messages(row)
    ids = _render(tokenizer, messages)
    labels = [IGNORED] * len(ids)
    for turn in range(1, len(messages), 2):
        prompt = _render(tokenizer, messages[:turn], answer_next=True)
        last = turn + 1 == len(messages)
        whole = ids if last else _render(tokenizer, messages[: turn + 1])
        if ids[: len(whole)] != whole:
            raise UserError(
                f"The chat template of {_name(tokenizer)} renders a conversation otherwise when "
                "it goes on, so the loss cannot be limited to the answers. Mend the template."
            )
        _check(tokenizer, prompt, whole)
        labels[len(prompt) : len(whole)] = whole[len(prompt) :]
    return Example(input_ids=ids, labels=labels)


def _messages(row: Mapping[str, Any]) -> list[dict[str, str]]:
    if "messages" not in row:
        return [
            {"role": "user", "content": row["instruction"]},
            {"role": "assistant", "content": row["output"]},
        ]
    messages = [{"role": said["role"], "content": said["content"]} for said in row["messages"]]
    expected = ["user", "assistant"] * (len(messages) // 2)
    if not messages or [said["role"] for said in messages] != expected:
        raise UserError(
            f"Conversation {row.get('id', '?')} does not alternate between user and assistant, "
            "beginning with the user and ending with an answer. Mend the row."
        )
    return messages


def _render(
    tokenizer: Any, messages: list[dict[str, str]], *, answer_next: bool = False
) -> list[int]:
    rendered: str = tokenizer.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=answer_next
    )
    return list(tokenizer(rendered, add_special_tokens=False)["input_ids"])


def _name(tokenizer: Any) -> str:
    return str(getattr(tokenizer, "name_or_path", "the base"))


def _check(tokenizer: Any, prompt: list[int], ids: list[int]) -> None:
    name = _name(tokenizer)
    if ids[: len(prompt)] != prompt:
        raise UserError(
            f"The chat template of {name} renders a prompt alone otherwise than before an answer, "
            "so the loss cannot be limited to the answer. Mend the template."
        )
    if tokenizer.bos_token_id is not None and ids.count(tokenizer.bos_token_id) != 1:
        raise UserError(
            f"The chat template of {name} gives {ids.count(tokenizer.bos_token_id)} BOS tokens, "
            "not one. Mend the template."
        )
    special = set(tokenizer.all_special_ids) | set(getattr(tokenizer, "added_tokens_decoder", {}))
    if not any(token in special for token in ids[len(prompt) :][-2:]):
        raise UserError(
            f"The chat template of {name} ends an answer without an end-of-turn token, so the bot "
            "would never stop. Mend the template."
        )
