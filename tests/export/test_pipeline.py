from __future__ import annotations

import json
import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from supportbot_dagster.errors import UserError
from supportbot_dagster.export import pipeline
from supportbot_dagster.export.gguf_file import read_header
from supportbot_dagster.export.pipeline import embed_plain_template, export_gguf
from supportbot_dagster.export.runtime import LlamaRuntime
from supportbot_dagster.hashing import sha256_file
from supportbot_dagster.training.chat_template import (
    GEMMA4,
    LLAMA3,
    POCKET,
    read_template,
    write_template,
)


def test_base_and_adapter_become_one_checked_file(
    base: Path, adapter: Path, toolchain: Path, tmp_path: Path
) -> None:
    out = tmp_path / "bot.gguf"
    told: set[str] = set()
    report = export_gguf(
        base,
        adapter,
        out,
        keep_f16=True,
        min_top_token_share=0.95,
        progress=lambda label, done, total: told.add(label),
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bot.F16.gguf", "bot.gguf"]
    assert report.sha256 == sha256_file(out)
    assert report.size_bytes == out.stat().st_size
    assert (report.architecture, report.quant) == ("llama", "Q4_K_M")
    assert report.quantization.k_quant_share > 0.99
    assert report.parity_f16 is not None
    assert report.parity_f16.same_top_token_share > 0.95
    assert report.parity is not None
    assert report.parity.mean_abs_logprob_diff > report.parity_f16.mean_abs_logprob_diff
    assert read_header(out).chat_template == POCKET
    assert json.loads(json.dumps(report.as_dict()))["quant"] == "Q4_K_M"
    assert {"merge the adapter", "convert tensors", "quantize to Q4_K_M"} <= told
    with LlamaRuntime(out) as runtime:
        assert runtime.generate("hello").tokens >= 0


def test_too_little_agreement_stops_the_export(
    base: Path, f16: Path, other_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong_weights(source: Path, out: Path, **rest: object) -> object:
        shutil.copyfile(f16, out)
        return read_header(out)

    monkeypatch.setattr(pipeline, "to_gguf", wrong_weights)
    out = tmp_path / "bot.gguf"
    with pytest.raises(UserError, match="top tokens"):
        export_gguf(other_base, None, out, quant="F16", min_top_token_share=0.99)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_reads_text_differently_stops_the_export(
    base: Path, f16: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = b"tokenizer.ggml.add_space_prefix"
    data = bytearray(f16.read_bytes())
    data[data.index(key) + len(key) + 4] = 1

    def prefixed(source: Path, out: Path, **rest: object) -> object:
        out.write_bytes(data)
        return read_header(out)

    monkeypatch.setattr(pipeline, "to_gguf", prefixed)
    with pytest.raises(UserError, match="token ids differ"):
        export_gguf(base, None, tmp_path / "bot.gguf", quant="F16")


def test_a_full_disk_is_seen_before_anything_is_written(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(pipeline.shutil, "disk_usage", lambda path: usage(10, 9, 1 << 20))
    with pytest.raises(UserError, match=r"needs about .* GiB"):
        export_gguf(base, None, tmp_path / "bot.gguf")
    assert list(tmp_path.iterdir()) == []


def test_bad_input_is_refused(base: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="'Q9'"):
        export_gguf(base, None, tmp_path / "bot.gguf", quant="Q9")
    with pytest.raises(UserError, match=r"config\.json is missing"):
        export_gguf(tmp_path, None, tmp_path / "bot.gguf")


TOOLS = "{% if tools %}{{ tools }}{% endif %}"


@pytest.mark.parametrize(
    ("template", "kept", "note"),
    [
        (POCKET, POCKET, "knows no tools"),
        (GEMMA4 + TOOLS, GEMMA4, "same turns without tools"),
        (LLAMA3 + TOOLS, LLAMA3, "same turns without tools"),
        ("Today " + LLAMA3 + TOOLS, "Today " + LLAMA3 + TOOLS, "differently"),
        ("{{ messages }}" + TOOLS, "{{ messages }}" + TOOLS, "unknown family"),
    ],
)
def test_a_tool_template_is_replaced_only_by_one_that_writes_the_same(
    tmp_path: Path, template: str, kept: str, note: str
) -> None:
    write_template(tmp_path, template)
    assert note in embed_plain_template(tmp_path)
    assert read_template(tmp_path) == kept
