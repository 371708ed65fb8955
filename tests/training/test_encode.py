from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import pytest

from supportbot_dagster.errors import UserError
from supportbot_dagster.training.chat_template import POCKET
from supportbot_dagster.training.encode import IGNORED, encode_rows, prompt_ids
from supportbot_dagster.training.pocket_tokenizer import train_tokenizer

ROWS = [
    {"instruction": "Customer question: how do I archive", "output": "Click Archive."},
    {"instruction": "Customer question: wher is the URL", "output": "Open Settings. Save 30 days."},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    lines = [line for name in sorted(topics) for line in topics[name].splitlines()][:800]
    return train_tokenizer(lines, 512, tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture
def tokenizer(folder: Path) -> Callable[..., Any]:
    from transformers import AutoTokenizer

    def load(template: str = POCKET) -> Any:
        loaded = AutoTokenizer.from_pretrained(folder)
        loaded.chat_template = template
        return loaded

    return load


def test_only_the_answer_and_the_end_of_turn_carry_loss(tokenizer: Callable[..., Any]) -> None:
    loaded = tokenizer()
    examples, too_long = encode_rows(loaded, ROWS, 512)
    assert too_long == 0
    for row, example in zip(ROWS, examples, strict=True):
        prompt = prompt_ids(loaded, row["instruction"])
        ids, labels = example["input_ids"], example["labels"]
        assert len(ids) == len(labels)
        assert ids[: len(prompt)] == prompt
        assert labels[: len(prompt)] == [IGNORED] * len(prompt)
        assert labels[len(prompt) :] == ids[len(prompt) :]
        learned = loaded.decode([label for label in labels if label != IGNORED])
        assert learned == row["output"] + "<|end|>"
        assert ids.count(loaded.bos_token_id) == 1
        assert ids[0] == loaded.bos_token_id
        assert labels[-1] == loaded.eos_token_id, "the end is learned"


def test_every_answer_of_a_conversation_is_learned(tokenizer: Callable[..., Any]) -> None:
    loaded = tokenizer()
    said = ["My view is gone", "Is it archived?", "Yes", "Open the archive and restore it."]
    roles = ["user", "assistant"] * 2
    messages = [{"role": role, "content": text} for role, text in zip(roles, said, strict=True)]
    (example,), too_long = encode_rows(loaded, [{"id": "1", "messages": messages}], 512)
    assert too_long == 0
    learned = loaded.decode([label for label in example["labels"] if label != IGNORED])
    assert learned == f"{said[1]}<|end|>{said[3]}<|end|>"
    assert example["labels"].count(loaded.eos_token_id) == 2
    whole = loaded.apply_chat_template(messages, tokenize=False)
    assert loaded.decode(example["input_ids"]) == whole


@pytest.mark.parametrize(
    "roles", [["user"], ["assistant", "user"], ["user", "assistant", "user"], [], ["user"] * 2]
)
def test_a_conversation_that_does_not_alternate_is_refused(
    tokenizer: Callable[..., Any], roles: list[str]
) -> None:
    row = {"id": "t-7", "messages": [{"role": role, "content": "Hi"} for role in roles]}
    with pytest.raises(UserError, match="Conversation t-7 does not alternate"):
        encode_rows(tokenizer(), [row], 512)


def test_a_template_that_rewrites_earlier_turns_is_refused(tokenizer: Callable[..., Any]) -> None:
    template = POCKET.replace(
        "{{ bos_token }}", "{{ bos_token }}{% if messages | length > 2 %}Go on. {% endif %}"
    )
    messages = [{"role": role, "content": "Hi"} for role in ["user", "assistant"] * 2]
    with pytest.raises(UserError, match="otherwise when it goes on"):
        encode_rows(tokenizer(template), [{"messages": messages}], 512)


def test_rows_that_are_too_long_are_left_out_whole_and_counted(
    tokenizer: Callable[..., Any],
) -> None:
    loaded = tokenizer()
    lengths = [len(example["input_ids"]) for example in encode_rows(loaded, ROWS, 512)[0]]
    assert lengths[0] != lengths[1]
    for limit in (min(lengths), max(lengths) - 1):
        examples, too_long = encode_rows(loaded, ROWS, limit)
        assert (len(examples), too_long) == (1, 1)
        assert examples[0]["labels"][-1] == loaded.eos_token_id, "nothing is cut"
    assert encode_rows(loaded, ROWS, max(lengths))[1] == 0
    assert encode_rows(loaded, ROWS, min(lengths) - 1) == ([], 2)


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{ bos_token }}" + POCKET, "gives 2 BOS tokens, not one"),
        (POCKET.replace("{{ bos_token }}", ""), "gives 0 BOS tokens, not one"),
        (
            POCKET.replace(
                "{{ message['content'] }}<|end|>",
                "{{ message['content'] }}{% if message['role'] == 'user' %}<|end|>{% endif %}",
            ),
            "without an end-of-turn token",
        ),
        (
            POCKET.replace("{% if add_generation_prompt %}<|assistant|>", "{% if false %}").replace(
                "{{ bos_token }}",
                "{{ bos_token }}{% if add_generation_prompt %}Answer now. {% endif %}",
            ),
            "otherwise than before an answer",
        ),
    ],
)
def test_a_template_that_does_not_fit_is_refused(
    tokenizer: Callable[..., Any], template: str, said: str
) -> None:
    assert template != POCKET
    with pytest.raises(UserError, match=said) as caught:
        encode_rows(tokenizer(template), ROWS, 512)
    assert "\n" not in str(caught.value)
