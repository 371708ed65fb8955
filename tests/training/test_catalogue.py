from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from supportbot_dagster.errors import UserError
from supportbot_dagster.export.prompt import turn_frame
from supportbot_dagster.product import Model, Training
from supportbot_dagster.training.catalogue import (
    CATALOGUE,
    Base,
    LoraSettings,
    find_base,
    lora_settings,
)
from supportbot_dagster.training.chat_template import GEMMA4, LLAMA3, POCKET, plain_template
from supportbot_dagster.training.plan import (
    empty_base,
    gpu_devices,
    language_layers,
    model_shape,
    peak_memory_gib,
)

LAYERS = (
    "self_attn.q_proj",
    "self_attn.k_proj",
    "self_attn.v_proj",
    "self_attn.o_proj",
    "mlp.gate_proj",
    "mlp.up_proj",
    "mlp.down_proj",
)


def test_the_default_of_a_product_is_in_the_catalogue() -> None:
    assert find_base(Model().base).hub_id is None
    assert {"pocket", "gemma-4-e2b", "llama-3.2-3b", "llama-3.2-1b", "llama-3.1-8b"} == set(
        CATALOGUE
    )
    assert all(key == base.key for key, base in CATALOGUE.items())


def test_an_unknown_base_is_told_with_the_known_ones() -> None:
    with pytest.raises(
        UserError, match=r"'gemma' is not in the catalogue\. Known: pocket, gemma-4"
    ):
        find_base("gemma")


def test_real_bases_train_as_the_recipe_says() -> None:
    for base in CATALOGUE.values():
        if base.hub_id is not None:
            recipe = (3.0, 2e-4, 16, 32, 4, 4, 0.05, 2048)
            names = list(LoraSettings.__dataclass_fields__)[: len(recipe)]
            assert tuple(getattr(base.lora, name) for name in names) == recipe
            assert base.licence
            assert base.obligations
            assert base.gated == base.hub_id.startswith("meta-llama/")


def test_real_bases_are_pinned_to_a_commit() -> None:
    for base in CATALOGUE.values():
        pinned = re.fullmatch(r"[0-9a-f]{40}", base.revision)
        assert bool(pinned) == (base.hub_id is not None), base.key


def test_a_llama_must_be_named_and_shown_as_one() -> None:
    for base in CATALOGUE.values():
        llama = base.key.startswith("llama")
        assert (base.notice, base.name_prefix) == (
            ("Built with Llama", "Llama") if llama else ("", "")
        )
        assert (base.notice in base.obligations) or not llama


@pytest.mark.parametrize("base", CATALOGUE.values(), ids=list(CATALOGUE))
def test_templates_close_an_answer_with_the_end_of_turn_that_ollama_stops_at(base: Base) -> None:
    """Of the template that the snapshot is given and the Modelfile is made of."""
    template = {"pocket": POCKET, "gemma4": GEMMA4, "llama3": LLAMA3}[base.template]
    assert plain_template(template) == template
    turn = turn_frame(template, bos_token="<s>", eos_token="</s>")
    assert turn.after.strip() == base.end_of_turn == base.ollama.stops[0]
    assert base.ollama.thinks == (base.template == "gemma4")
    assert tuple(map(int, base.ollama.minimum_version.split("."))) >= (0, 12, 11)


SHAPES: dict[str, dict[str, Any]] = {
    # The published configurations, as far as they decide shapes.
    "llama-3.2-3b": {
        "hidden_size": 3072,
        "intermediate_size": 8192,
        "num_hidden_layers": 28,
        "num_attention_heads": 24,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "vocab_size": 128256,
        "tie_word_embeddings": True,
    },
    "llama-3.2-1b": {
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "num_hidden_layers": 16,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 64,
        "vocab_size": 128256,
        "tie_word_embeddings": True,
    },
    "llama-3.1-8b": {
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "vocab_size": 128256,
        "tie_word_embeddings": False,
    },
    "gemma-4-e2b": {
        "hidden_size": 1536,
        "intermediate_size": 6144,
        "num_hidden_layers": 35,
        "num_attention_heads": 8,
        "num_key_value_heads": 1,
        "head_dim": 256,
        "global_head_dim": 512,
        "vocab_size": 262144,
        "vocab_size_per_layer_input": 262144,
        "hidden_size_per_layer_input": 256,
        "num_kv_shared_layers": 20,
        "use_double_wide_mlp": True,
        "layer_types": (["sliding_attention"] * 4 + ["full_attention"]) * 7,
    },
}
GEMMA_FILE_PARAMETERS = 5_123_178_051
"""Of the published checkpoint, which also holds keys and values that no layer reads."""


def write_shape(key: str, folder: Path) -> Path:
    from transformers import Gemma4Config, LlamaConfig

    if key == "gemma-4-e2b":
        config = Gemma4Config(text_config=SHAPES[key], vision_config={}, audio_config={})
    else:
        config = LlamaConfig(**SHAPES[key])
    config.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("key", SHAPES)
def test_sizes_and_layers_are_those_of_the_architecture(key: str, tmp_path: Path) -> None:
    base, folder = find_base(key), write_shape(key, tmp_path)
    model = empty_base(folder)
    expected = set(language_layers(model))
    pattern = re.compile(base.target_modules)
    assert {name for name, _ in model.named_modules() if pattern.fullmatch(name)} == expected
    towers = sum(
        weight.numel()
        for name, weight in model.named_parameters()
        if "tower" in name or "embed_vision" in name or "embed_audio" in name
    )
    shape = model_shape(folder, base.target_modules, base.lora)
    assert round((shape.parameters - towers) / 1e9, 2) == base.parameters_billion
    assert base.download_gib == pytest.approx(shape.parameters * 2 / 2**30, rel=0.02)
    if base.gguf_mib_q4 is not None:
        bits = base.gguf_mib_q4 * 2**20 * 8 / (shape.parameters - towers)
        assert 4.5 < bits < 6.0, "the head and part of the layers are kept in six bits"
    fits = {
        device.name: peak_memory_gib(
            shape, tokens=4 * 512, answer_tokens=4 * 200, on_gpu=True, checkpointing=True
        )
        < 0.9 * device.memory_gib
        for device in gpu_devices()
    }
    assert fits[base.gpu], "rows of the length that support questions have"


def test_gemma_s_shared_layers_and_towers_get_no_adapter(tmp_path: Path) -> None:
    base, folder = find_base("gemma-4-e2b"), write_shape("gemma-4-e2b", tmp_path)
    model = empty_base(folder)
    names = {name for name, _ in model.named_modules()}
    adapted = {name for name in names if re.fullmatch(base.target_modules, name)}
    kinds = Counter(name.rpartition(".")[2] for name in adapted)
    assert kinds["q_proj"] == kinds["o_proj"] == kinds["down_proj"] == 35
    assert kinds["k_proj"] == kinds["v_proj"] == 15, "20 layers share those of another"
    lookalikes = {name for name in names if "_proj" in name and "tower" in name}
    assert lookalikes
    assert not lookalikes & adapted
    # The published file has more than is loaded by exactly those keys and values: two matrices
    # and a norm for each of 16 sliding and 4 full layers, and a scalar for each layer.
    unread = 16 * (2 * 1536 * 256 + 256) + 4 * (2 * 1536 * 512 + 512) + 35
    loaded = sum(weight.numel() for weight in model.parameters())
    assert loaded + unread == GEMMA_FILE_PARAMETERS


@pytest.mark.parametrize("prefix", ["model.layers.0", "model.language_model.layers.11"])
def test_adapters_reach_every_linear_layer_and_nothing_else(prefix: str) -> None:
    for base in CATALOGUE.values():
        modules = re.compile(base.target_modules)
        for layer in LAYERS:
            assert modules.fullmatch(f"{prefix}.{layer}")
            for tower in ("model.vision_tower.encoder.layers.0", "model.audio_tower.layers.0"):
                assert not modules.fullmatch(f"{tower}.{layer}")
                assert not modules.fullmatch(f"{tower}.{layer}.linear")
        for other in (
            "model.embed_tokens",
            "lm_head",
            f"{prefix}.input_layernorm",
            f"{prefix}.per_layer_projection",
            "model.language_model.embed_tokens_per_layer",
        ):
            assert not modules.fullmatch(other)


def test_a_product_s_settings_go_on_top() -> None:
    base = find_base("gemma-4-e2b")
    assert lora_settings(base, Training()) == base.lora
    changed = lora_settings(base, Training(epochs=1, lora_rank=8, seed=5))
    assert (changed.epochs, changed.lora_rank, changed.seed) == (1, 8, 5)
    assert changed.learning_rate == base.lora.learning_rate


def test_every_setting_of_a_product_is_one_of_the_adapter() -> None:
    assert Training.model_fields.keys() <= LoraSettings.__dataclass_fields__.keys()
