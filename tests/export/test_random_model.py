from __future__ import annotations

import json
import tracemalloc
from collections import namedtuple
from math import prod
from pathlib import Path

import pytest

from supportbot_dagster.errors import UserError
from supportbot_dagster.export import random_model
from supportbot_dagster.export.adapter import read_adapter
from supportbot_dagster.export.base_shapes import KEYS, base_config, generation_config
from supportbot_dagster.export.merge import merge_adapter
from supportbot_dagster.export.random_model import (
    build_random_model,
    random_adapter,
    tensor_shapes,
)
from supportbot_dagster.export.safetensors_file import INDEX, read_layout, weight_files
from supportbot_dagster.training.catalogue import CATALOGUE

LLAMA = "llama-3.2-1b"
TOWERS = ("vision_tower", "audio_tower", "embed_vision", "embed_audio")


def written_config(folder: Path, key: str, size: random_model.Size) -> Path:
    (folder / "config.json").write_text(json.dumps(base_config(key, size)))
    return folder


@pytest.fixture(scope="module")
def llama(toolchain: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_random_model(LLAMA, tmp_path_factory.mktemp("models") / LLAMA, toolchain=toolchain)


def stored(folder: Path) -> dict[str, bytes]:
    """The bytes of every tensor."""
    found = {}
    for path in weight_files(folder):
        data = path.read_bytes()
        found |= {name: data[one.start : one.stop] for name, one in read_layout(path).items()}
    return found


def test_every_real_base_of_the_catalogue_has_a_shape() -> None:
    assert set(KEYS) == {key for key, base in CATALOGUE.items() if base.hub_id is not None}
    for key in KEYS:
        assert generation_config(key)["do_sample"]
    with pytest.raises(UserError, match=r"'gpt-5'.*gemma-4-e2b"):
        base_config("gpt-5")


@pytest.mark.parametrize("key", KEYS)
def test_full_shapes_have_the_weights_that_the_catalogue_says(key: str, tmp_path: Path) -> None:
    shapes = tensor_shapes(written_config(tmp_path, key, "full"))
    language = {
        name: shape for name, shape in shapes.items() if not any(tower in name for tower in TOWERS)
    }
    read = set(language) - unused(key)
    weights = sum(prod(language[name]) for name in read)
    assert round(weights / 1e9, 2) == CATALOGUE[key].parameters_billion
    files = 2 * sum(map(prod, shapes.values())) / 2**30
    assert files == pytest.approx(CATALOGUE[key].download_gib, abs=0.1)


def unused(key: str) -> set[str]:
    """Tensors of the published file that no layer reads."""
    if key != "gemma-4-e2b":
        return set()
    return {
        f"model.language_model.layers.{layer}.self_attn.{part}.weight"
        for layer in range(15, 35)
        for part in ("k_proj", "v_proj", "k_norm")
    }


def test_gemma_4_has_all_its_traits(tmp_path: Path) -> None:
    shapes = tensor_shapes(written_config(tmp_path, "gemma-4-e2b", "full"))
    assert unused("gemma-4-e2b") <= set(shapes)
    assert {tower for tower in TOWERS if any(tower in name for name in shapes)} == set(TOWERS)
    layers = "model.language_model.layers"
    # Layers 13 and 14 are the last with keys of their own: one sliding, one full.
    assert shapes[f"{layers}.13.self_attn.k_proj.weight"] == (256, 1536)
    assert shapes[f"{layers}.14.self_attn.k_proj.weight"] == (512, 1536)
    assert shapes[f"{layers}.14.mlp.up_proj.weight"] == (6144, 1536)
    assert shapes[f"{layers}.15.mlp.up_proj.weight"] == (12288, 1536)
    assert shapes["model.language_model.embed_tokens_per_layer.weight"] == (262144, 35 * 256)
    assert shapes[f"{layers}.0.layer_scalar"] == (1,)
    assert not any(name.startswith("lm_head") for name in shapes)


def test_figures_of_gemma_4_are_the_defaults_of_transformers() -> None:
    from transformers import Gemma4AudioConfig, Gemma4Config, Gemma4TextConfig, Gemma4VisionConfig

    config = base_config("gemma-4-e2b")
    for kind, name, ours in (
        (Gemma4AudioConfig, "audio_config", set()),
        # Its own: the base is one of the two that were trained with bounds.
        (Gemma4VisionConfig, "vision_config", {"use_clipped_linears", "rope_parameters"}),
    ):
        default = kind().to_dict()
        known = {key: value for key, value in config[name].items() if key in default}
        differing = {key for key, value in known.items() if value != default[key]}
        assert differing - {"dtype"} <= ours
    text = Gemma4TextConfig()
    for key in ("rope_parameters", "rms_norm_eps", "max_position_embeddings", "sliding_window"):
        assert config["text_config"][key] == getattr(text, key)
    whole = Gemma4Config(**config)
    for key in ("image_token_id", "boi_token_id", "eoi_token_id", "audio_token_id", "boa_token_id"):
        assert getattr(whole, key) == getattr(Gemma4Config(), key)
    assert whole.text_config.kv_sharing_modes[12:16] == [None, "store", "store", "reuse"]


def test_the_same_seed_gives_the_same_weights_in_any_number_of_files(
    llama: Path, toolchain: Path, tmp_path: Path
) -> None:
    assert not (llama / INDEX).exists()
    whole = stored(llama)
    parted = build_random_model(
        LLAMA, tmp_path / "parted", toolchain=toolchain, shard_bytes=2 << 20
    )
    files = weight_files(parted)
    assert len(files) > 2
    index = json.loads((parted / INDEX).read_text())
    assert index["metadata"]["total_size"] == sum(map(len, whole.values()))
    assert stored(parted) == whole
    (parted / "left over").touch()
    other = stored(build_random_model(LLAMA, parted, toolchain=toolchain, seed=1))
    assert not (parted / "left over").exists()
    assert whole.keys() == other.keys()
    assert all(other[name] != value for name, value in whole.items())


def test_a_large_tensor_is_never_in_memory_as_a_whole() -> None:
    shape = (1 << 15, 1 << 10)
    tracemalloc.start()
    try:
        written = sum(len(block) for block in random_model._blocks("a.weight", shape, 0))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert written == 2 * prod(shape)
    assert peak < 0.75 * written


def test_a_full_disk_is_seen_before_weights_are_written(
    toolchain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(random_model.shutil, "disk_usage", lambda path: usage(10, 9, 1 << 20))
    with pytest.raises(UserError, match=r"needs 0\.1 GiB"):
        build_random_model(LLAMA, tmp_path / "model", toolchain=toolchain)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("key", KEYS)
def test_an_adapter_has_a_pair_for_every_layer_that_learns(key: str, tmp_path: Path) -> None:
    base = written_config(tmp_path, key, "full")
    folder = random_adapter(base, CATALOGUE[key].target_modules, tmp_path / "adapter", rank=1)
    layers = base_config(key).get("text_config", base_config(key))["num_hidden_layers"]
    shared = 20 if key == "gemma-4-e2b" else 0
    adapter = read_adapter(folder)
    assert len(adapter.pairs) == 7 * layers - 2 * shared
    assert not any(tower in name for name in adapter.pairs for tower in TOWERS)


def test_a_random_adapter_changes_every_target(llama: Path, tmp_path: Path) -> None:
    folder = random_adapter(llama, CATALOGUE[LLAMA].target_modules, tmp_path / "adapter", rank=4)
    report = merge_adapter(llama, folder, tmp_path / "merged")
    assert report.tensors == 14
    assert report.least_changed > 0.8
    assert report.rounding < 0.1
    # An update far below the rounding leaves most numbers as they are.
    faint = random_adapter(
        llama, CATALOGUE[LLAMA].target_modules, tmp_path / "faint", rank=4, update=1e-4
    )
    assert merge_adapter(llama, faint, tmp_path / "merged").least_changed < 0.2


def test_an_expression_that_matches_nothing_is_refused(llama: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"No layer of .* matches 'c_attn'"):
        random_adapter(llama, "c_attn", tmp_path / "adapter")
