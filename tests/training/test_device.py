"""What the hardware allows, as far as a CPU can show it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from supportbot_dagster.errors import UserError
from supportbot_dagster.training import device as module
from supportbot_dagster.training.base import embedded_base_dir
from supportbot_dagster.training.catalogue import LoraSettings, find_base
from supportbot_dagster.training.device import (
    Device,
    activation_bytes,
    choose_device,
    needs_checkpointing,
    round_frozen,
)

CPU_BF16 = Device(False, "bf16", "eager", False, 32, False)


def with_adapter(layers: int = 2) -> Any:
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=50,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=layers,
        num_attention_heads=2,
        attn_implementation="sdpa",
    )
    modules = find_base("llama-3.2-1b").target_modules
    return get_peft_model(LlamaForCausalLM(config), LoraConfig(r=2, target_modules=modules))


def test_this_machine_is_recognized() -> None:
    found = choose_device(LoraSettings(), embedded_base_dir())
    assert found.on_gpu is torch.cuda.is_available()
    assert found.precision in ("bf16", "fp16", "fp32")
    assert choose_device(replace(LoraSettings(), packing="on"), embedded_base_dir()).packing


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_without_a_kernel_for_it_rows_are_padded() -> None:
    found = choose_device(LoraSettings(), embedded_base_dir())
    assert (found.packing, found.kernel_lengths, found.attention) == (False, False, "eager")


def test_four_bits_without_the_package_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="needs an NVIDIA GPU"):
        module._check_four_bit(on_gpu=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install bitsandbytes") as caught:
        module._check_four_bit(on_gpu=True)
    assert "\n" not in str(caught.value)


def test_one_process_with_several_gpus_is_told() -> None:
    with pytest.raises(UserError, match=r"sees 4 GPUs.*nproc_per_node 4") as caught:
        module._check_one_gpu(4, 1)
    assert "\n" not in str(caught.value)
    module._check_one_gpu(4, 4)
    module._check_one_gpu(1, 1)


def test_rounding_the_frozen_layers_once_changes_no_bit() -> None:
    model = with_adapter()
    ids = torch.arange(1, 30)[None]
    with torch.autocast("cpu", torch.bfloat16):
        before = model(input_ids=ids).logits
        round_frozen(model.get_base_model(), CPU_BF16)
        after = model(input_ids=ids).logits
    assert torch.equal(before, after)
    kinds = {name: weight.dtype for name, weight in model.named_parameters()}
    assert {dtype for name, dtype in kinds.items() if "lora_" in name} == {torch.float32}
    rounded = {name for name, dtype in kinds.items() if dtype is torch.bfloat16}
    assert len(rounded) == 2 * 7 + 1, "seven layers in each of two, and the head"
    untouched = with_adapter()
    round_frozen(untouched.get_base_model(), replace(CPU_BF16, precision="fp32"))
    assert {weight.dtype for weight in untouched.parameters()} == {torch.float32}


def test_activations_grow_with_the_layers_and_count_no_weights() -> None:
    row = list(range(1, 41))
    two, four = (activation_bytes(with_adapter(layers), row) for layers in (2, 4))
    # At the least each layer keeps what enters its seven matrices, in 32 bits.
    assert two > 2 * 4 * (4 * 32 + 2 * 32 + 64)
    assert 1.7 < four / two < 2.1
    weights = sum(weight.numel() * 4 for weight in with_adapter(2).parameters())
    assert two * len(row) < 20 * weights


def test_checkpointing_is_asked_for_forbidden_or_left_open() -> None:
    model = with_adapter()
    for choice, wanted in (("on", True), ("off", False), ("auto", False)):
        settings = replace(LoraSettings(), gradient_checkpointing=choice)
        assert needs_checkpointing(model, settings, CPU_BF16, [1, 2, 3], 4) is wanted
