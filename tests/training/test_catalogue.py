from __future__ import annotations

import re

import pytest

from supportbot_dagster.errors import UserError
from supportbot_dagster.product import Model, Training
from supportbot_dagster.training.catalogue import CATALOGUE, LoraSettings, find_base, lora_settings

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
            assert base.lora == LoraSettings(3.0, 2e-4, 16, 32, 4, 4, 0.05, 2048)
            assert base.licence
            assert base.obligations
            assert base.gated == base.hub_id.startswith("meta-llama/")


@pytest.mark.parametrize("key", ["pocket", "llama-3.2-3b", "llama-3.2-1b", "llama-3.1-8b"])
def test_adapters_reach_every_linear_layer_of_a_llama(key: str) -> None:
    modules = re.compile(find_base(key).target_modules)
    for layer in LAYERS:
        assert modules.fullmatch(f"model.layers.0.{layer}")
    for other in ("model.embed_tokens", "lm_head", "model.layers.0.input_layernorm"):
        assert not modules.fullmatch(other)


def test_adapters_reach_only_the_language_layers_of_the_multimodal_base() -> None:
    modules = re.compile(find_base("gemma-4-e2b").target_modules)
    for layer in LAYERS:
        assert modules.fullmatch(f"model.language_model.layers.3.{layer}")
        for tower in ("model.vision_tower.encoder.layers.0", "model.audio_tower.layers.0"):
            assert not modules.fullmatch(f"{tower}.{layer}")
    assert not modules.fullmatch("model.language_model.embed_tokens_per_layer")


def test_a_product_s_settings_go_on_top() -> None:
    base = find_base("gemma-4-e2b")
    assert lora_settings(base, Training()) == base.lora
    changed = lora_settings(base, Training(epochs=1, lora_rank=8, seed=5))
    assert (changed.epochs, changed.lora_rank, changed.seed) == (1, 8, 5)
    assert changed.learning_rate == base.lora.learning_rate


def test_every_setting_of_a_product_is_one_of_the_adapter() -> None:
    assert Training.model_fields.keys() <= LoraSettings.__dataclass_fields__.keys()
