from __future__ import annotations

import json
import shutil
from collections import namedtuple
from pathlib import Path
from typing import get_args

import pytest

from supportbot_dagster.errors import UserError
from supportbot_dagster.export import pipeline
from supportbot_dagster.export.convert import QUANTS, quantize, to_gguf
from supportbot_dagster.export.facts import Facts
from supportbot_dagster.export.gguf_file import read_header
from supportbot_dagster.export.pipeline import HeldOut, embed_plain_template, export_gguf
from supportbot_dagster.export.runtime import LlamaRuntime
from supportbot_dagster.hashing import sha256_file
from supportbot_dagster.product import Gates, Quant, Serving
from supportbot_dagster.training.chat_template import (
    GEMMA4,
    LLAMA3,
    POCKET,
    read_template,
    write_template,
)


def held_out(question: str, answer: str) -> HeldOut:
    return HeldOut(
        [("hello there", "Open the list.")],
        [(question, answer)],
        lambda text: text.startswith("Open the list"),
        Serving(num_predict=24),
    )


def test_base_and_adapter_become_one_checked_file(
    base: Path, small_adapter: Path, question: str, answer: str, toolchain: Path, tmp_path: Path
) -> None:
    out = tmp_path / "bot.gguf"
    told: set[str] = set()
    report = export_gguf(
        base,
        small_adapter,
        out,
        more_quants=["Q8_0"],
        keep_f16=True,
        held_out=held_out(question, answer),
        facts=Facts(
            name="bot",
            month="2026-11",
            licence="Apache-2.0",
            base="Pocket",
            base_repository="a/b",
            dataset="rows",
            dataset_version="0123",
            temperature=0.4,
            top_p=0.9,
        ),
        progress=lambda label, done, total: told.add(label),
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "bot.F16.gguf",
        "bot.Q8_0.gguf",
        "bot.gguf",
    ]
    assert [file.quant for file in report.files] == ["Q4_K_M", "Q8_0", "F16"]
    assert report.main.sha256 == sha256_file(out)
    assert report.main.size_bytes == out.stat().st_size
    assert report.architecture == "llama"
    assert report.main.quantization.k_quant_share > 0.99
    assert report.merge.tensors == 6
    assert report.token_ids is not None
    assert report.token_ids.identical
    assert report.fidelity is not None
    assert [step.after for step in report.fidelity.steps] == ["merged", "F16", "Q4_K_M"]
    assert report.flips is not None
    assert report.flips.refused_before == report.flips.refused_after == 1
    assert [gate.passed for gate in report.gates] == [True] * 4
    header = read_header(out)
    assert header.chat_template == POCKET
    assert {key: header.metadata[key] for key in FACTS} == FACTS
    assert header.metadata["general.sampling.temp"] == pytest.approx(0.4)
    stored = json.loads(json.dumps(report.as_dict()))
    assert [file["path"] for file in stored["files"]] == [
        "bot.gguf",
        "bot.Q8_0.gguf",
        "bot.F16.gguf",
    ]
    assert {
        "merge the adapter",
        "convert tensors",
        "quantize to Q4_K_M",
        "compare adapter",
        "perplexity of Q4_K_M",
        "refusals of model.F16.gguf",
    } <= told
    with LlamaRuntime(out) as runtime:
        assert runtime.generate("hello").tokens >= 0


FACTS = {
    "general.name": "bot",
    "general.version": "2026-11",
    "general.license": "Apache-2.0",
    "general.base_model.0.name": "Pocket",
    "general.base_model.0.repo_url": "https://huggingface.co/a/b",
    "general.dataset.0.name": "rows",
    "general.dataset.0.version": "0123",
}


@pytest.fixture(scope="module")
def small_adapter(adapter: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``adapter`` at a scale that leaves the answer by heart as it is."""
    folder = tmp_path_factory.mktemp("small") / "adapter"
    shutil.copytree(adapter, folder)
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**config, "lora_alpha": 0.2}))
    return folder


def test_the_base_keeps_its_own_card(base: Path, tmp_path: Path) -> None:
    folder = tmp_path / "base"
    shutil.copytree(base, folder)
    (folder / "README.md").write_text("---\nlicense: mit\n---\nThe base.\n")
    out = tmp_path / "bot.gguf"
    export_gguf(
        folder, None, out, quant="F16", parity=False, facts=Facts(licence="Llama 3.2: of\nMeta")
    )
    assert read_header(out).metadata["general.license"] == "Llama 3.2: of\nMeta"
    assert "license: mit" in (folder / "README.md").read_text()


def test_a_quantization_that_costs_too_much_fails_its_gates_and_only_those(
    base: Path, question: str, answer: str, tmp_path: Path
) -> None:
    report = export_gguf(
        base,
        None,
        tmp_path / "bot.gguf",
        quant="Q3_K_M",
        held_out=held_out(question, answer),
        limits=Gates(perplexity_ratio=1.00001),
    )
    assert [(gate.name, gate.passed) for gate in report.gates] == [
        ("F16 file against transformers, same top token", True),
        ("F16 file against transformers, divergence", True),
        ("perplexity of Q3_K_M to F16", False),
        ("refusals that became answers in Q3_K_M", True),
    ]


def test_a_refusal_that_quantizing_lost_fails_its_gate(
    base: Path,
    other_base: Path,
    toolchain: Path,
    question: str,
    answer: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def forgetful(source: Path, out: Path, quant: str, **rest: object) -> object:
        blank = out.with_name("blank.gguf")
        to_gguf(other_base, blank, toolchain=toolchain)
        return quantize(blank, out, quant)

    monkeypatch.setattr(pipeline, "quantize", forgetful)
    report = export_gguf(base, None, tmp_path / "bot.gguf", held_out=held_out(question, answer))
    assert report.flips is not None
    assert report.flips.became_answers == (question,)
    failed = {gate.name: gate.measured for gate in report.gates if not gate.passed}
    assert failed["refusals that became answers in Q4_K_M"] == 1
    assert failed["perplexity of Q4_K_M to F16"] > 2


def test_a_conversion_that_changes_the_weights_stops_the_export(
    base: Path, f16: Path, other_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong_weights(source: Path, out: Path, **rest: object) -> object:
        shutil.copyfile(f16, out)
        return read_header(out)

    monkeypatch.setattr(pipeline, "to_gguf", wrong_weights)
    out = tmp_path / "bot.gguf"
    with pytest.raises(UserError, match=r"same top token: .*, limit 99\.0%"):
        export_gguf(other_base, None, out, quant="F16")
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


def test_a_product_may_ask_for_every_quantization() -> None:
    assert set(get_args(Quant)) == set(QUANTS)


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
