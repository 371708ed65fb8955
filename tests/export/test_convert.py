from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from supportbot_dagster.errors import UserError
from supportbot_dagster.export.convert import (
    check_convertible,
    converter_reason,
    quantize,
    to_gguf,
)
from supportbot_dagster.hashing import sha256_file


def test_q4_k_m_stores_k_quants_and_says_so(f16: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    out = tmp_path / "q4.gguf"
    report = quantize(
        f16, out, threads=1, progress=lambda label, done, total: told.append((done, total))
    )
    assert report.k_quant_share > 0.99
    assert report.fallback_types == ()
    assert {"Q4_K", "Q6_K"} <= set(report.weights_by_type)
    assert out.stat().st_size < 0.4 * f16.stat().st_size
    assert told
    assert told[-1][0] == told[-1][1]


def test_quantizing_twice_gives_the_same_bytes(f16: Path, q4: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.gguf"
    quantize(f16, again, "Q4_K_M", threads=2)
    assert sha256_file(again) == sha256_file(q4)


def test_q8_is_no_k_quant_and_needs_none(f16: Path, tmp_path: Path) -> None:
    report = quantize(f16, tmp_path / "q8.gguf", "Q8_0", threads=1)
    assert report.k_quant_share == 0
    assert "Q8_0" in report.weights_by_type


def test_a_quantized_source_an_unknown_name_and_a_cut_file_are_refused(
    f16: Path, q4: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.gguf"
    with pytest.raises(UserError, match="already quantized"):
        quantize(q4, out)
    with pytest.raises(UserError, match=r"'Q9'.*Q4_K_M"):
        quantize(f16, out, "Q9")
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(f16.read_bytes()[:-100])
    with pytest.raises(UserError, match="not a sound GGUF"):
        quantize(cut, out)
    assert [path.name for path in tmp_path.iterdir()] == ["cut.gguf"]


def test_rows_that_k_quants_cannot_take_are_refused_for_q4_k_m(
    base: Path, toolchain: Path, tmp_path: Path
) -> None:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path / "narrow"
    shutil.copytree(base, folder)
    config = LlamaConfig.from_pretrained(folder)
    config.hidden_size, config.intermediate_size, config.head_dim = 192, 384, 48
    torch.manual_seed(0)
    LlamaForCausalLM(config).save_pretrained(folder)
    narrow = tmp_path / "narrow.gguf"
    to_gguf(folder, narrow, toolchain=toolchain)
    with pytest.raises(UserError, match="multiple of 256"):
        quantize(narrow, tmp_path / "out.gguf", "Q4_K_M", threads=1)
    assert not (tmp_path / "out.gguf").exists()


def test_the_converters_own_reason_is_passed_on(
    base: Path, toolchain: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "unknown"
    shutil.copytree(base, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "architectures": ["NoSuchModel"]}))
    with pytest.raises(UserError, match="NoSuchModel") as error:
        check_convertible(folder, toolchain=toolchain)
    assert "\n" not in str(error.value)


def test_the_tokenizer_alone_tells_whether_a_folder_converts(
    base: Path, toolchain: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "no-weights"
    shutil.copytree(base, folder)
    next(folder.glob("*.safetensors")).unlink()
    check_convertible(folder, toolchain=toolchain)


def test_bad_arguments_are_refused_before_the_converter_starts(base: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="'q9'"):
        to_gguf(base, tmp_path / "x.gguf", "q9", toolchain=tmp_path)
    with pytest.raises(UserError, match=r"config\.json is missing"):
        to_gguf(tmp_path, tmp_path / "x.gguf", toolchain=tmp_path)


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        (["INFO:a", "ERROR:hf-to-gguf:Model X is not supported"], "Model X is not supported"),
        (["Traceback:", '  File "x"', "ValueError: Can not map tensor 'a'"], "Can not map tensor"),
        (["Traceback", "NotImplementedError: BPE pre-tokenizer was not recognized"], "BPE"),
        (["INFO:only"], "gave no reason"),
    ],
)
def test_the_line_that_says_why_is_found(log: list[str], reason: str) -> None:
    assert reason in converter_reason(log)
