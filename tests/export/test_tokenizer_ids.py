"""transformers and llama.cpp must read every text to the same token ids."""

from __future__ import annotations

import random
from pathlib import Path

from supportbot_dagster.export.llama import LlamaModel

PARTS = (
    *("<|user|>", "<|end|>", "<|assistant|>", "<s>", "<pad>", "<unk>", "</s>", "<0x0A>"),
    *(" ", "  ", "\n", "\n\n", "\t", "\r\n", "\u00a0", "\u200b", "▁"),
    *("Hello", "workspace url", "10,000", "3.5", "----", "====", "aaaa", "...", "{{x}}", "`a|b`"),
    *("naïve", "Straße", "日本語", "Ελλάδα", "😀", "👩‍👩‍👧", "→", "é", "e\u0301", "\\n"),
)


def varied_texts(lines: list[str], count: int = 400) -> list[str]:
    draw = random.Random(0)
    texts = ["", " ", "a", " leading", "trailing ", "<|user|> hi<|end|><|assistant|> Yes\n"]
    while len(texts) < count:
        if draw.random() < 0.5:
            texts.append("".join(draw.choices(PARTS, k=draw.randint(1, 12))))
        else:
            characters = list(draw.choice(lines))
            for _ in range(draw.randint(0, 5)):
                at = draw.randrange(len(characters) + 1)
                characters.insert(at, draw.choice([*PARTS, "x", "e", "7"]))
            texts.append("".join(characters))
    return texts


def differing(folder: Path, gguf: Path, texts: list[str]) -> list[str]:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    with LlamaModel(gguf, vocab_only=True) as model:
        return [
            text
            for text in texts
            if tokenizer(text)["input_ids"] != model.tokenize(text, add_special=True)
        ]


def test_ids_agree_on_varied_texts(base: Path, f16: Path, lines: list[str]) -> None:
    texts = varied_texts(lines)
    assert len(set(texts)) >= 300
    assert differing(base, f16, texts) == []


def test_a_space_prefix_in_the_file_would_be_noticed(
    base: Path, f16: Path, lines: list[str], tmp_path: Path
) -> None:
    key = b"tokenizer.ggml.add_space_prefix"
    data = bytearray(f16.read_bytes())
    value = data.index(key) + len(key) + 4
    assert data[value] == 0
    data[value] = 1
    gguf = tmp_path / "prefixed.gguf"
    gguf.write_bytes(data)
    texts = varied_texts(lines, 50)
    assert len(differing(base, gguf, texts)) > 25
