"""Rows become token ids with a completion mask, by the base's own chat template.

What lives here: the one place that decides what a training example is in tokens, and the checks
that it is right: exactly one BOS, an end-of-turn token that is learned, a prompt that is a prefix
of the whole. What does not: batching and the loss (TRL's trainer).
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


def prompt_ids(tokenizer: Any, question: str) -> list[int]:
    """Token ids of a rendered single-turn prompt, ready for the answer's first token."""
    rendered: str = tokenizer.apply_chat_template(
        [{"role": "user", "content": question}], tokenize=False, add_generation_prompt=True
    )
    return list(tokenizer(rendered, add_special_tokens=False)["input_ids"])


def encode_rows(
    tokenizer: Any, rows: Sequence[Mapping[str, Any]], max_length: int
) -> tuple[list[Example], int]:
    """Encode ``instruction`` / ``output`` rows.

    Args:
        tokenizer: a transformers tokenizer with a chat template.
        rows: rows of the contract.
        max_length: examples with more tokens are left out, because a cut answer teaches the model
            to stop in mid-sentence.

    Returns:
        The examples, and how many rows were too long.

    Raises:
        UserError: if the template does not fit: a prompt that is no prefix of the whole, not
            exactly one BOS, or no end-of-turn token after the answer.
    """
    examples: list[Example] = []
    too_long = 0
    for row in rows:
        prompt = prompt_ids(tokenizer, row["instruction"])
        rendered: str = tokenizer.apply_chat_template(
            [
                {"role": "user", "content": row["instruction"]},
                {"role": "assistant", "content": row["output"]},
            ],
            tokenize=False,
        )
        ids = list(tokenizer(rendered, add_special_tokens=False)["input_ids"])
        _check(tokenizer, prompt, ids)
        if len(ids) > max_length:
            too_long += 1
            continue
        examples.append(Example(input_ids=ids, labels=[IGNORED] * len(prompt) + ids[len(prompt) :]))
    return examples, too_long


def _check(tokenizer: Any, prompt: list[int], ids: list[int]) -> None:
    name = getattr(tokenizer, "name_or_path", "the base")
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
