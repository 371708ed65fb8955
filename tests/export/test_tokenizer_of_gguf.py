"""The tokenizers of Gemma 4 and Llama 3 against the published ones and against llama.cpp."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from supportbot_dagster.errors import UserError
from supportbot_dagster.export.base_shapes import base_config
from supportbot_dagster.export.convert import check_convertible
from supportbot_dagster.export.llama import LlamaModel
from supportbot_dagster.export.prompt import render_prompt, turn_frame
from supportbot_dagster.export.token_ids import TEXTS, load_tokenizer
from supportbot_dagster.export.tokenizer_of_gguf import (
    write_gemma4_tokenizer,
    write_llama3_tokenizer,
)
from supportbot_dagster.export.toolchain import (
    GEMMA4_TEMPLATE,
    GEMMA4_VOCABULARY,
    LLAMA3_VOCABULARY,
)
from supportbot_dagster.training.chat_template import GEMMA4, LLAMA3, read_template

PIECES = (
    *(" ", "  ", "   ", "\n", "\n\n", "\n\n\n", "\t", "\t\t", "\r\n", "\r", "\x0b", "\x0c"),
    *("\u00a0", "\u2003", "\u200b", "\u200d", "\u2028", "\u3000", "\ufeff", "\u0085", "▁"),
    *("teh", "Recieve", "dont", "I'VE", "we'll", "O'Brien's", "10,000", "2026-11-27", "½", "x²"),
    *(
        "def f(x):",
        "{{x}}",
        "`a|b`",
        "\\n",
        "</div>",
        "$PATH",
        "C:\\tmp",
        "https://a.b/?c=d&e",
        "==",
    ),
    *("😀", "👩‍👩‍👧", "🇩🇪", "👍🏽", "→", "⌘K", "naïve", "e\u0301", "Straße", "İstanbul", "ﬁ"),
    *(
        "日本語",
        "カタカナ",
        "如何导出",
        "한국어",
        "Ελλάδα",
        "Привет",
        "עברית",
        "مرحبا",
        "ไทย",
        "हिन्दी",
    ),
    *("\U00010348", "\U0001f9ff", "\ue000", "aaaaaaaa", "........", "----", "!!!", "<", ">", "|"),
)
CONTROL = {
    "gemma4": ("<bos>", "<eos>", "<pad>", "<|turn>", "<turn|>", "<|channel>", "<|think|>", '<|"|>'),
    "llama3": (
        *("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>"),
        "<|eot_id|>",
    ),
}
TURNS = [
    {"role": "user", "content": " Where is the export? \n"},
    {"role": "assistant", "content": "In the menu.\n\nBelow."},
    {"role": "user", "content": "thx, und auf Deutsch?"},
]


@dataclass(frozen=True)
class Family:
    """A tokenizer that was written, and the vocabulary that it was made of."""

    name: str
    folder: Path
    vocabulary: Path
    tokenizer: Any
    llama: LlamaModel


def write_gemma4(toolchain: Path, folder: Path) -> None:
    write_gemma4_tokenizer(toolchain, folder)


def write_llama3(toolchain: Path, folder: Path) -> None:
    write_llama3_tokenizer(toolchain, folder, "3.2")


WRITERS: dict[str, tuple[str, Callable[[Path, Path], None], str]] = {
    "gemma4": (GEMMA4_VOCABULARY, write_gemma4, "gemma-4-e2b"),
    "llama3": (LLAMA3_VOCABULARY, write_llama3, "llama-3.2-3b"),
}


@pytest.fixture(scope="module", params=WRITERS)
def family(
    request: pytest.FixtureRequest, toolchain: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Family]:
    vocabulary, write, key = WRITERS[request.param]
    folder = tmp_path_factory.mktemp("tokenizer")
    write(toolchain, folder)
    (folder / "config.json").write_text(json.dumps(base_config(key, "small")))
    with LlamaModel(toolchain / vocabulary, vocab_only=True) as llama:
        yield Family(request.param, folder, toolchain / vocabulary, load_tokenizer(folder), llama)


def recorded(vocabulary: Path) -> list[tuple[str, list[int]]]:
    """Texts, and the ids that the tokenizer on the hub gave for them."""
    with Path(f"{vocabulary}.inp").open(encoding="utf-8", newline="") as stream:
        texts = stream.read().split("\n__ggml_vocab_test__\n")
    lines = Path(f"{vocabulary}.out").read_text().splitlines()
    if texts[-1] == "":
        texts.pop()  # one file ends with a separator, the other does not
    return [
        (text, [int(token) for token in line.split()])
        for text, line in zip(texts, lines, strict=True)
    ]


def varied_texts(control: tuple[str, ...], count: int = 400) -> list[str]:
    draw = random.Random(0)
    texts = ["", *TEXTS]
    while len(texts) < count:
        texts.append("".join(draw.choices([*PIECES, *control], k=draw.randint(1, 14))))
    return texts


def test_ids_are_those_that_the_published_tokenizer_gave(family: Family) -> None:
    pairs = recorded(family.vocabulary)
    assert len(pairs) >= 45
    for text, ids in pairs:
        assert family.tokenizer(text, add_special_tokens=False)["input_ids"] == ids, text


def test_ids_are_those_of_the_runtime(family: Family) -> None:
    texts = varied_texts(CONTROL[family.name])
    assert len(set(texts)) > 390
    for text in texts:
        ids = family.tokenizer(text)["input_ids"]
        assert ids == family.llama.tokenize(text, add_special=True), text
        assert ids[0] == family.llama.bos


def test_texts_come_back(family: Family) -> None:
    for text in TEXTS:
        if "▁" in text or "<" in text:
            continue  # the first is a space in Gemma's vocabulary, control tokens are left out
        ids = family.tokenizer(text)["input_ids"]
        back = family.tokenizer.decode(
            ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        assert back == text


def test_special_tokens_are_named(family: Family) -> None:
    tokenizer = family.tokenizer
    control = sorted(tokenizer.added_tokens_decoder)
    if family.name == "gemma4":
        assert len(tokenizer) == 262144
        assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (2, 1, 0)
        assert sorted(tokenizer.all_special_ids) == control
        assert len(control) == 24
        assert tokenizer.convert_tokens_to_ids(["<|turn>", "<turn|>"]) == [105, 106]
    else:
        assert len(tokenizer) == 128256
        assert (tokenizer.bos_token_id, tokenizer.eos_token_id) == (128000, 128009)
        assert control == list(range(128000, 128256))
        named = {128004: "<|finetune_right_pad_id|>", 128008: "<|eom_id|>"}
        named |= {128010: "<|python_tag|>", 128005: "<|reserved_special_token_2|>"}
        named |= {128011: "<|reserved_special_token_3|>", 128255: "<|reserved_special_token_247|>"}
        assert {index: tokenizer.convert_ids_to_tokens(index) for index in named} == named


def test_a_tokenizer_without_the_merges_of_one_word_is_noticed(
    family: Family, toolchain: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(family.folder, folder)
    path = folder / "tokenizer.json"
    whole = json.loads(path.read_text(encoding="utf-8"))
    model = whole["model"]
    word = {"gemma4": "▁there", "llama3": "Ġthere"}[family.name]
    kept = [pair for pair in model["merges"] if "".join(pair) != word]
    assert 0 < len(model["merges"]) - len(kept) < 10
    model["merges"] = kept
    model["ignore_merges"] = False  # else a word that is one piece needs no merges
    path.write_text(json.dumps(whole, ensure_ascii=False), encoding="utf-8")
    if family.name == "llama3":
        with pytest.raises(UserError, match="BPE pre-tokenizer was not recognized"):
            check_convertible(folder, toolchain=toolchain)
    tokenizer = Tokenizer.from_file(str(path))
    wrong = [
        text
        for text, ids in recorded(family.vocabulary)
        if tokenizer.encode(text, add_special_tokens=False).ids != ids
    ]
    assert any("there" in text for text in wrong)


def test_the_plain_template_writes_the_turns_of_the_published_one(
    family: Family, toolchain: Path
) -> None:
    published = read_template(family.folder)
    assert published is not None
    assert "tools" in published
    plain, bos = {"gemma4": (GEMMA4, "<bos>"), "llama3": (LLAMA3, "<|begin_of_text|>")}[family.name]
    for turns in (TURNS, TURNS[:2], TURNS[:1]):
        for asked in (True, False):
            ours, theirs = (
                render_prompt(template, turns, bos_token=bos, add_generation_prompt=asked)
                for template in (plain, published)
            )
            if family.name == "llama3":
                # Llama's also tells when its knowledge ends and what day it is; turns begin after.
                first, rest = theirs.removeprefix(bos).split("<|eot_id|>", 1)
                assert first.startswith("<|start_header_id|>system<|end_header_id|>\n\nCutting")
                theirs = bos + rest
            assert ours == theirs
    if family.name == "gemma4":
        assert turn_frame(plain) == turn_frame(published)
        # The 31B model is asked with an empty thought: E2B is not, and its template differs.
        with pytest.raises(UserError, match="thinking channel"):
            turn_frame((toolchain / GEMMA4_TEMPLATE).read_text(encoding="utf-8"))


def test_llama_3_1_has_a_template_of_its_own(toolchain: Path, tmp_path: Path) -> None:
    (tmp_path / "3.1").mkdir()
    (tmp_path / "3.2").mkdir()
    for version in ("3.1", "3.2"):
        write_llama3_tokenizer(toolchain, tmp_path / version, version)
    tokenizers = [
        (tmp_path / version / "tokenizer.json").read_bytes() for version in ("3.1", "3.2")
    ]
    assert tokenizers[0] == tokenizers[1]
    assert "builtin_tools" in str(read_template(tmp_path / "3.1"))
    assert "builtin_tools" not in str(read_template(tmp_path / "3.2"))


def test_a_toolchain_without_vocabularies_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is fetched again"):
        write_gemma4_tokenizer(tmp_path, tmp_path)
