from __future__ import annotations

from pathlib import Path
from pydoc_data.topics import topics

import pytest

from supportbot_dagster.errors import UserError
from supportbot_dagster.hashing import sha256_file
from supportbot_dagster.training.pocket_tokenizer import (
    CHAT_TEMPLATE,
    SPECIAL_TOKENS,
    train_tokenizer,
)

LINES = [line for name in sorted(topics) for line in topics[name].splitlines() if line][:1500]
FILES = ("tokenizer.model", "tokenizer.json", "tokenizer_config.json")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_tokenizer(LINES, 1024, tmp_path_factory.mktemp("tokenizer"))


def test_both_tokenizer_classes_and_sentencepiece_give_the_same_ids(folder: Path) -> None:
    import sentencepiece
    from transformers import AutoTokenizer, LlamaTokenizer

    reference = sentencepiece.SentencePieceProcessor(str(folder / "tokenizer.model"))
    texts = [*LINES[::20], "", " ", "  two  spaces ", "tab\there\n\nnew", "naïve 😀 — 1,000"]
    for tokenizer in (
        AutoTokenizer.from_pretrained(folder),
        LlamaTokenizer.from_pretrained(folder),
    ):
        for text in texts:
            expected = [1, *reference.encode(text)]
            assert tokenizer(text)["input_ids"] == expected, text
            assert tokenizer.decode(expected, skip_special_tokens=True) == text


def test_special_tokens_have_the_announced_ids_and_roles(folder: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.convert_tokens_to_ids(list(SPECIAL_TOKENS)) == [0, 1, 2, 3, 4, 5]
    assert (tokenizer.bos_token, tokenizer.eos_token) == ("<s>", "<|end|>")
    assert len(tokenizer) == 1024


def test_the_chat_template_ends_every_turn_and_holds_one_bos(folder: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.chat_template == CHAT_TEMPLATE
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes"}]
    text = tokenizer.apply_chat_template(turns, tokenize=False)
    assert text == "<s><|user|>hi<|end|><|assistant|>yes<|end|>"
    ids = tokenizer.apply_chat_template(turns[:1], add_generation_prompt=True)["input_ids"]
    assert ids.count(1) == 1
    assert ids[-1] == 5


def test_the_same_lines_give_the_same_bytes_and_others_do_not(folder: Path, tmp_path: Path) -> None:
    again = train_tokenizer(LINES, 1024, tmp_path / "again")
    other = train_tokenizer(LINES[:1000], 1024, tmp_path / "other")
    for name in FILES[:2]:
        assert sha256_file(folder / name) == sha256_file(again / name)
        assert sha256_file(folder / name) != sha256_file(other / name)


@pytest.mark.parametrize(
    ("lines", "size", "message"),
    [
        ([], 1024, "empty"),
        (["  ", ""], 1024, "empty"),
        (["a few words"], 4096, "Ask for fewer tokens"),
        (LINES, 200, "at least 512"),
    ],
)
def test_bad_input_is_refused_in_one_line(
    lines: list[str], size: int, message: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        train_tokenizer(lines, size, tmp_path / "out")
    assert not (tmp_path / "out").exists()
