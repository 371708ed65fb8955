from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from supportbot_dagster.errors import UserError
from supportbot_dagster.export.merge import merge_adapter
from supportbot_dagster.export.model_folder import load_model
from supportbot_dagster.export.safetensors_file import StoredTensor, read_layout
from supportbot_dagster.hashing import sha256_file
from supportbot_dagster.training.chat_template import read_template, write_template

IDS = [1, 4, 300, 301, 302, 2, 5]


def logits(model: Any) -> Any:
    import torch

    model.eval()
    with torch.inference_mode():
        return model(input_ids=torch.tensor([IDS])).logits


def test_the_merged_model_computes_what_the_adapted_one_does(
    base: Path, adapter: Path, tmp_path: Path
) -> None:
    import torch
    from peft import PeftModel

    before = {file.name: sha256_file(file) for file in base.iterdir()}
    out = merge_adapter(base, adapter, tmp_path / "merged").folder
    adapted = logits(PeftModel.from_pretrained(load_model(base), adapter))
    merged = logits(load_model(out))
    assert torch.allclose(adapted, merged, atol=1e-4)
    assert not torch.allclose(logits(load_model(base)), merged, atol=1e-1)
    assert {file.name: sha256_file(file) for file in base.iterdir()} == before
    for name in ("tokenizer.model", "tokenizer.json", "tokenizer_config.json"):
        assert (out / name).read_bytes() == (base / name).read_bytes()
    assert list(out.glob("*.safetensors"))


def test_the_template_beside_the_adapter_wins_and_the_base_keeps_its_own(
    base: Path, adapter: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "adapter"
    shutil.copytree(adapter, folder)
    write_template(folder, "{{ messages[0].content }}!")
    before = read_template(base)
    out = merge_adapter(base, folder, tmp_path / "merged").folder
    assert read_template(out) == "{{ messages[0].content }}!"
    assert read_template(base) == before


def test_without_an_adapter_the_base_is_copied(base: Path, tmp_path: Path) -> None:
    out = merge_adapter(base, None, tmp_path / "copy").folder
    assert {f.name for f in out.iterdir()} == {f.name for f in base.iterdir()}


def test_an_existing_result_is_replaced(base: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "stale.bin").write_text("x")
    merge_adapter(base, None, out)
    assert not (out / "stale.bin").exists()


def test_a_quantized_base_is_refused(base: Path, adapter: Path, tmp_path: Path) -> None:
    folder = tmp_path / "quantized"
    shutil.copytree(base, folder)
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="quantized model"):
        merge_adapter(folder, adapter, tmp_path / "merged")


def rename_tensors(folder: Path, old: str, new: str) -> None:
    from safetensors.torch import load_file, save_file

    path = folder / "adapter_model.safetensors"
    tensors = {name.replace(old, new): value for name, value in load_file(path).items()}
    save_file(tensors, path)


@pytest.mark.parametrize("new", ["k_proj", "elsewhere"])
def test_an_adapter_whose_tensors_have_no_place_is_refused(
    base: Path, adapter: Path, tmp_path: Path, new: str
) -> None:
    folder = tmp_path / "adapter"
    shutil.copytree(adapter, folder)
    rename_tensors(folder, "q_proj", new)
    with pytest.raises(UserError, match="does not fit"):
        merge_adapter(base, folder, tmp_path / "merged")
    assert [path.name for path in tmp_path.iterdir()] == ["adapter"], "nothing half-done is left"


def test_an_adapter_of_another_shape_is_refused(base: Path, adapter: Path, tmp_path: Path) -> None:
    folder = tmp_path / "adapter"
    shutil.copytree(adapter, folder)
    config = json.loads((folder / "adapter_config.json").read_text())
    config["r"] = 8
    (folder / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="does not fit"):
        merge_adapter(base, folder, tmp_path / "merged")


def test_weights_that_are_not_finite_are_refused(base: Path, adapter: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "adapter"
    shutil.copytree(adapter, folder)
    path = folder / "adapter_model.safetensors"
    tensors = load_file(path)
    next(iter(tensors.values()))[0, 0] = float("nan")
    save_file(tensors, path)
    with pytest.raises(UserError, match="not finite"):
        merge_adapter(base, folder, tmp_path / "merged")


def test_folders_that_are_no_model_or_adapter_are_refused(base: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(UserError, match=r"config\.json is missing"):
        merge_adapter(empty, None, tmp_path / "out")
    with pytest.raises(UserError, match="no PEFT adapter"):
        merge_adapter(base, empty, tmp_path / "out")


def test_unknown_architectures_and_damaged_weights_are_refused(base: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(base, folder)
    weights = next(folder.glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(UserError, match="model again"):
        load_model(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "architectures": ["NoSuchModel"]}))
    with pytest.raises(UserError, match="NoSuchModel"):
        load_model(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(UserError, match="not JSON"):
        load_model(folder)


def test_what_the_adapter_does_not_touch_stays_as_it_is(
    base: Path, adapter: Path, tmp_path: Path
) -> None:
    report = merge_adapter(base, adapter, tmp_path / "merged")
    before = read_layout(base / "model.safetensors")
    after = read_layout(report.folder / "model.safetensors")
    assert before == after
    touched = {
        name
        for name, tensor in before.items()
        if stored(base, tensor) != stored(report.folder, tensor)
    }
    assert len(touched) == report.tensors == 6
    assert all(name.split(".")[-2] in ("q_proj", "v_proj", "down_proj") for name in touched)
    assert report.least_changed > 0.99


def stored(folder: Path, tensor: StoredTensor) -> bytes:
    return (folder / "model.safetensors").read_bytes()[tensor.start : tensor.stop]


def test_an_adapter_that_was_not_trained_is_refused(
    base: Path, adapter: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "adapter"
    shutil.copytree(adapter, folder)
    path = folder / "adapter_model.safetensors"
    tensors = load_file(path)
    name = next(name for name in tensors if "lora_B" in name)
    tensors[name].zero_()
    save_file(tensors, path)
    with pytest.raises(UserError, match=r"changes nothing in model\.layers"):
        merge_adapter(base, folder, tmp_path / "merged")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("use_dora", True),
        ("bias", "all"),
        ("modules_to_save", ["lm_head"]),
        ("fan_in_fan_out", True),
        ("trainable_token_indices", [1]),
    ],
)
def test_an_adapter_that_does_more_than_a_merge_can_is_refused(
    base: Path, adapter: Path, tmp_path: Path, key: str, value: object
) -> None:
    folder = tmp_path / "adapter"
    shutil.copytree(adapter, folder)
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**config, key: value}))
    with pytest.raises(UserError, match=key):
        merge_adapter(base, folder, tmp_path / "merged")


@pytest.mark.parametrize("options", [{"use_rslora": True}, {"alpha_pattern": {"v_proj": 3}}])
def test_scales_are_those_of_peft(
    base: Path, adapter: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    import torch
    from peft import PeftModel

    folder = tmp_path / "adapter"
    shutil.copytree(adapter, folder)
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**config, **options}))
    merged = merge_adapter(base, folder, tmp_path / "merged").folder
    adapted = logits(PeftModel.from_pretrained(load_model(base), folder))
    assert torch.allclose(adapted, logits(load_model(merged)), atol=1e-4)


def test_a_model_in_16_bit_and_several_files_stays_so(
    base: Path, adapter: Path, tmp_path: Path
) -> None:
    import torch

    sharded = tmp_path / "sharded"
    model = load_model(base, dtype="bfloat16")
    model.save_pretrained(sharded, max_shard_size="600KB")
    assert len(list(sharded.glob("*.safetensors"))) > 1
    report = merge_adapter(sharded, adapter, tmp_path / "merged")
    assert {file.name for file in report.folder.iterdir()} == {f.name for f in sharded.iterdir()}
    merged = load_model(report.folder)
    assert {weight.dtype for weight in merged.parameters()} == {torch.bfloat16}
    exact = load_model(merge_adapter(base, adapter, tmp_path / "exact").folder)
    assert torch.allclose(logits(merged.float()), logits(exact), atol=0.1)
    assert 0 < report.rounding < 0.2
