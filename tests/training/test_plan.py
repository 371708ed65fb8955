from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import pytest

from supportbot_dagster.training.catalogue import LoraSettings, find_base
from supportbot_dagster.training.encode import encode_rows
from supportbot_dagster.training.plan import DEVICES, TrainingPlan, make_plan
from supportbot_dagster.training.pocket_tokenizer import train_tokenizer

POCKET = find_base("pocket")
ROWS = [
    {
        "instruction": f"Customer question: how do I archive number {n}",
        "output": "Click Archive." + " And then click Save." * (n % 4),
    }
    for n in range(70)
]
SETTINGS = LoraSettings(epochs=3.0, batch_size=4, gradient_accumulation=4, max_length=512)
HIDDEN, FEED, VOCAB = 16, 48, 512


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base of the right shape with random weights of no size."""
    import numpy as np
    from safetensors.numpy import save_file

    folder = train_tokenizer(
        [line for name in sorted(topics) for line in topics[name].splitlines()][:800],
        VOCAB,
        tmp_path_factory.mktemp("base"),
    )
    shapes = {
        "model.embed_tokens.weight": (VOCAB, HIDDEN),
        "model.norm.weight": (HIDDEN,),
        "model.layers.0.self_attn.q_proj.weight": (HIDDEN, HIDDEN),
        "model.layers.0.self_attn.k_proj.weight": (HIDDEN // 2, HIDDEN),
        "model.layers.0.mlp.down_proj.weight": (HIDDEN, FEED),
    }
    save_file(
        {name: np.zeros(shape, dtype=np.float16) for name, shape in shapes.items()},
        folder / "model.safetensors",
    )
    (folder / "config.json").write_text(
        json.dumps(
            {
                "model_type": "llama",
                "vocab_size": VOCAB,
                "hidden_size": HIDDEN,
                "num_attention_heads": 2,
            }
        )
    )
    return folder


@pytest.fixture(scope="module")
def plan(model: Path) -> TrainingPlan:
    return make_plan(POCKET, model, ROWS, SETTINGS)


def test_tokens_are_those_of_the_base_s_own_tokenizer(plan: TrainingPlan, model: Path) -> None:
    from transformers import AutoTokenizer

    examples, _ = encode_rows(AutoTokenizer.from_pretrained(model), ROWS, 512)
    assert plan.tokens_per_epoch == sum(len(example["input_ids"]) for example in examples)
    assert plan.longest_tokens == max(len(example["input_ids"]) for example in examples)
    assert 0 < plan.answer_tokens_per_epoch < plan.tokens_per_epoch
    assert (plan.rows, plan.too_long) == (70, 0)


def test_updates_are_counted_as_the_trainer_counts_them(plan: TrainingPlan, model: Path) -> None:
    assert plan.updates == 3 * math.ceil(70 / 16) == 15
    half = make_plan(POCKET, model, ROWS, replace(SETTINGS, epochs=0.5))
    assert half.updates == math.ceil(math.ceil(70 / 16) * 0.5) == 3


def test_parameters_and_adapter_are_counted_from_the_shapes(
    plan: TrainingPlan, model: Path
) -> None:
    q, k, down = HIDDEN * HIDDEN, HIDDEN // 2 * HIDDEN, HIDDEN * FEED
    assert plan.parameters == VOCAB * HIDDEN + HIDDEN + q + k + down
    sizes = (HIDDEN + HIDDEN) + (HIDDEN // 2 + HIDDEN) + (HIDDEN + FEED)
    assert plan.adapter_parameters == 16 * sizes
    double = make_plan(POCKET, model, ROWS, replace(SETTINGS, lora_rank=32))
    assert double.adapter_parameters == 2 * plan.adapter_parameters
    assert double.peak_memory_gib >= plan.peak_memory_gib


def test_the_multimodal_base_counts_no_layer_outside_its_language_model(model: Path) -> None:
    assert make_plan(find_base("gemma-4-e2b"), model, ROWS, SETTINGS).adapter_parameters == 0


def test_every_device_is_estimated_and_costs_follow_the_hours(plan: TrainingPlan) -> None:
    assert [item.device for item in plan.estimates] == [device.name for device in DEVICES]
    assert plan.estimates[0].usd == 0.0
    assert all(item.fits for item in plan.estimates), "a model of no size fits anywhere"
    hours = [item.hours for item in plan.estimates]
    assert hours == sorted(hours, reverse=True)


def test_a_model_that_is_too_large_does_not_fit(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    billions = 40 * 10**9
    monkeypatch.setattr(
        "supportbot_dagster.training.plan._count", lambda *_: (billions, 10**8, VOCAB)
    )
    large = make_plan(find_base("llama-3.1-8b"), model, ROWS, SETTINGS)
    assert large.peak_memory_gib > 74
    fits: dict[str, bool] = {item.device: item.fits for item in large.estimates}
    assert fits == {device.name: device.memory_gib == 0 for device in DEVICES}
    operations = 4.0 * billions * large.tokens_per_epoch * 3
    device, estimate = DEVICES[-1], large.estimates[-1]
    assert estimate.hours == pytest.approx(operations / device.flops / 3600, abs=1e-3)
    assert estimate.usd == pytest.approx(estimate.hours * device.usd_per_hour, abs=0.01)


def test_rows_that_are_too_long_are_told_before_training(model: Path, plan: TrainingPlan) -> None:
    short = make_plan(POCKET, model, ROWS, replace(SETTINGS, max_length=plan.longest_tokens - 1))
    assert short.too_long > 0
    assert short.rows + short.too_long == 70
    none: Any = make_plan(POCKET, model, [], SETTINGS).to_dict()
    assert (none["rows"], none["updates"], none["longest_tokens"]) == (0, 0, 0)
    assert json.loads(json.dumps(none))["settings"]["epochs"] == 3.0
