"""Tall embeddings go through in pieces, and the files are the same to the last byte."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from supportbot_dagster.export import tall
from supportbot_dagster.export.convert import quantize, to_gguf
from supportbot_dagster.export.gguf_file import read_header
from supportbot_dagster.export.model_folder import load_model


@pytest.fixture
def everything_is_tall(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tall, "TALL_BYTES", 1)
    monkeypatch.setattr(tall, "_BLOCK_WEIGHTS", 256 * 100)


def tensors(path: Path) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    data = path.read_bytes()
    return {
        one.name: (one.type_name, one.shape, data[one.start : one.start + one.size])
        for one in read_header(path).tensors
    }


def metadata(path: Path) -> dict[str, object]:
    return {key: value for key, value in read_header(path).metadata.items() if "tokens" not in key}


@pytest.mark.usefixtures("everything_is_tall")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("outtype", ["f16", "bf16", "f32"])
def test_a_converted_file_is_the_same(
    base: Path, toolchain: Path, tmp_path: Path, dtype: str, outtype: str
) -> None:
    if (dtype, outtype) in (("float16", "bf16"), ("float16", "f32"), ("bfloat16", "f32")):
        pytest.skip("nobody converts so, and each conversion takes seconds")
    folder = tmp_path / "model"
    load_model(base, dtype=dtype).save_pretrained(folder)
    for file in base.glob("token*"):
        (folder / file.name).write_bytes(file.read_bytes())
    found = tall.tall_tensors(folder)
    assert list(found) == ["token_embd.weight"]
    whole = tmp_path / "whole.gguf"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tall, "TALL_BYTES", 1 << 40)
        to_gguf(folder, whole, outtype, toolchain=toolchain)
    pieces = tmp_path / "pieces.gguf"
    to_gguf(folder, pieces, outtype, toolchain=toolchain)
    assert tensors(pieces) == tensors(whole)
    assert metadata(pieces) == metadata(whole)
    assert pieces.read_bytes() == whole.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "model",
        "pieces.gguf",
        "whole.gguf",
    ]


@pytest.mark.usefixtures("everything_is_tall")
@pytest.mark.parametrize("quant", ["Q3_K_M", "Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0"])
def test_a_quantized_file_is_the_same(f16: Path, tmp_path: Path, quant: str) -> None:
    assert [one.name for one in tall.tall_in_gguf(read_header(f16))] == ["token_embd.weight"]
    whole = tmp_path / "whole.gguf"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tall, "TALL_BYTES", 1 << 40)
        quantize(f16, whole, quant, threads=1)
    pieces = tmp_path / "pieces.gguf"
    report = quantize(f16, pieces, quant, threads=2)
    assert pieces.read_bytes() == whole.read_bytes()
    assert sum(report.weights_by_type.values()) == sum(
        one.weights for one in read_header(f16).tensors
    )


def test_small_embeddings_and_those_of_towers_are_left_alone(base: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    assert tall.tall_tensors(base) == {}
    weights = load_file(base / "model.safetensors")
    named = {
        "model.vision_tower.embed_tokens.weight": weights["model.embed_tokens.weight"].clone(),
        "model.language_model.embed_tokens.weight": weights["model.embed_tokens.weight"],
    }
    save_file(named, tmp_path / "model.safetensors")
    (found,) = tall.tall_tensors(tmp_path, least=1).values()
    assert found.stored.name == "model.language_model.embed_tokens.weight"


def test_a_slim_folder_is_a_model_folder(base: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    found = tall.tall_tensors(base, least=1)
    tall.slim_folder(base, found, tmp_path / "slim")
    before = load_file(base / "model.safetensors")
    after = load_file(tmp_path / "slim" / "model.safetensors")
    name = "model.embed_tokens.weight"
    assert after[name].equal(before[name][: tall.ROWS])
    assert all(after[key].equal(before[key]) for key in before if key != name)
    config = json.loads((tmp_path / "slim" / "config.json").read_text())
    assert config == json.loads((base / "config.json").read_text())


@pytest.mark.usefixtures("everything_is_tall")
def test_an_export_without_a_comparison_never_copies_them_and_is_the_same(
    base: Path, adapter: Path, tmp_path: Path
) -> None:
    from supportbot_dagster.export.pipeline import export_gguf

    export_gguf(base, adapter, tmp_path / "pieces.gguf", keep_f16=True, parity=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tall, "TALL_BYTES", 1 << 40)
        export_gguf(base, adapter, tmp_path / "whole.gguf", keep_f16=True, parity=False)
    for kind in ("gguf", "F16.gguf"):
        pieces, whole = tmp_path / f"pieces.{kind}", tmp_path / f"whole.{kind}"
        assert pieces.read_bytes() == whole.read_bytes()
