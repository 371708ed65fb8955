from __future__ import annotations

import random
from pathlib import Path

import pytest

from supportbot_dagster.errors import UserError
from supportbot_dagster.export.gguf_file import read_header


def test_the_header_tells_architecture_template_and_types(f16: Path, q4: Path) -> None:
    header = read_header(f16)
    assert header.architecture == "llama"
    assert header.chat_template is not None
    assert "<|assistant|>" in header.chat_template
    assert (header.token("bos"), header.token("eos")) == ("<s>", "<|end|>")
    assert header.token("mask") is None
    assert header.metadata["tokenizer.ggml.add_space_prefix"] is False
    assert header.metadata["llama.embedding_length"] == 256
    assert set(header.weights_by_type()) == {"F16", "F32"}
    assert {"Q4_K", "Q6_K"} <= set(read_header(q4).weights_by_type())


@pytest.mark.parametrize("keep", [0, 3, 20, 500, 20_000, -1])
def test_a_truncated_file_is_refused(f16: Path, tmp_path: Path, keep: int) -> None:
    data = f16.read_bytes()
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(data[:keep])
    with pytest.raises(UserError, match="not a sound GGUF"):
        read_header(cut)


def test_other_files_and_missing_ones_are_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.gguf"
    other.write_bytes(b"PK\x03\x04" + b"x" * 100)
    with pytest.raises(UserError, match="letters GGUF"):
        read_header(other)
    with pytest.raises(UserError, match="does not exist"):
        read_header(tmp_path / "none.gguf")


def test_damaged_headers_never_raise_anything_but_a_clear_error(f16: Path, tmp_path: Path) -> None:
    data = f16.read_bytes()
    draw = random.Random(0)
    target = tmp_path / "damaged.gguf"
    refused = 0
    for _ in range(200):
        damaged = bytearray(data[:40_000])
        for _ in range(20):
            damaged[draw.randrange(4, 3000)] = draw.randrange(256)
        target.write_bytes(bytes(damaged) + data[40_000:])
        try:
            read_header(target)
        except UserError:
            refused += 1
    assert refused > 100
