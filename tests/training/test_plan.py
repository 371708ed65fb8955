from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import pytest

from supportbot_dagster.errors import UserError
from supportbot_dagster.training import plan as plan_module
from supportbot_dagster.training.catalogue import LoraSettings, find_base
from supportbot_dagster.training.encode import encode_rows
from supportbot_dagster.training.plan import (
    CPU_SHARE,
    THIS_CPU,
    ModelShape,
    TrainingPlan,
    compare,
    empty_base,
    gpu_devices,
    language_layers,
    make_plan,
    measure_cpu,
    model_shape,
    peak_memory_gib,
)
from supportbot_dagster.training.pocket_tokenizer import train_tokenizer

POCKET, GEMMA, LLAMA = find_base("pocket"), find_base("gemma-4-e2b"), find_base("llama-3.1-8b")
ROWS = [
    {
        "instruction": f"Customer question: how do I archive number {n}",
        "output": "Click Archive." + " And then click Save." * (n % 4),
    }
    for n in range(70)
]
SETTINGS = LoraSettings(epochs=3.0, batch_size=4, gradient_accumulation=4, max_length=512)
HIDDEN, FEED, VOCAB = 16, 48, 512
LLAMA_SHAPE = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": VOCAB,
    "hidden_size": HIDDEN,
    "intermediate_size": FEED,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "tie_word_embeddings": False,
}
GEMMA_TEXT = {
    "vocab_size": VOCAB,
    "vocab_size_per_layer_input": VOCAB,
    "hidden_size": HIDDEN,
    "hidden_size_per_layer_input": 8,
    "intermediate_size": FEED,
    "num_hidden_layers": 6,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "global_head_dim": 16,
    "num_kv_shared_layers": 3,
    "use_double_wide_mlp": True,
    "layer_types": ["sliding_attention", "sliding_attention", "full_attention"] * 2,
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base's tokenizer and configuration; the plan needs no weights."""
    folder = train_tokenizer(
        [line for name in sorted(topics) for line in topics[name].splitlines()][:800],
        VOCAB,
        tmp_path_factory.mktemp("base"),
    )
    (folder / "config.json").write_text(json.dumps(LLAMA_SHAPE))
    return folder


@pytest.fixture(scope="module")
def plan(model: Path) -> TrainingPlan:
    return make_plan(POCKET, model, ROWS, SETTINGS)


def write_gemma(folder: Path) -> Path:
    """A multimodal configuration with towers of the published size."""
    from transformers import Gemma4Config

    Gemma4Config(text_config=GEMMA_TEXT, vision_config={}, audio_config={}).save_pretrained(folder)
    return folder


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


def test_parameters_are_counted_from_the_configuration(plan: TrainingPlan, model: Path) -> None:
    attention = HIDDEN * HIDDEN * 2 + HIDDEN * (HIDDEN // 2) * 2
    linear = 2 * (attention + 3 * HIDDEN * FEED)
    norms = 2 * 2 * HIDDEN + HIDDEN
    assert plan.parameters == linear + norms + 2 * VOCAB * HIDDEN
    shape = model_shape(model, POCKET.target_modules, SETTINGS)
    assert (shape.multiplied, shape.head, shape.layers) == (linear, VOCAB * HIDDEN, 2)
    double = make_plan(POCKET, model, ROWS, replace(SETTINGS, lora_rank=32))
    assert double.adapter_parameters == 2 * plan.adapter_parameters
    assert double.peak_memory_gib >= plan.peak_memory_gib


@pytest.mark.parametrize("kind", ["llama", "gemma"])
def test_the_adapter_is_counted_as_peft_makes_it(kind: str, model: Path, tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    folder = model if kind == "llama" else write_gemma(tmp_path)
    shape = model_shape(folder, GEMMA.target_modules, SETTINGS)
    peft = get_peft_model(
        empty_base(folder),
        LoraConfig(r=SETTINGS.lora_rank, target_modules=GEMMA.target_modules),
        low_cpu_mem_usage=True,
    )
    trained = [weight for weight in peft.parameters() if weight.requires_grad]
    assert shape.adapter_parameters == sum(weight.numel() for weight in trained)
    assert shape.adapted_layers == len(trained) // 2 == (14 if kind == "llama" else 36)


def test_layers_without_keys_of_their_own_and_towers_count_for_no_adapter(tmp_path: Path) -> None:
    layers = language_layers(empty_base(write_gemma(tmp_path)))
    assert "model.language_model.layers.2.self_attn.k_proj" in layers
    assert "model.language_model.layers.3.self_attn.k_proj" not in layers
    assert "model.language_model.layers.3.self_attn.q_proj" in layers
    assert not [name for name in layers if "tower" in name or "per_layer" in name]


def test_embeddings_are_looked_up_and_the_head_works_on_answers_alone(
    plan: TrainingPlan, model: Path
) -> None:
    shape = model_shape(model, POCKET.target_modules, SETTINGS)
    expected = shape.multiplied * plan.tokens_per_epoch + shape.head * plan.answer_tokens_per_epoch
    assert plan.operations == pytest.approx(4.0 * 3 * expected)


def test_every_device_is_estimated_and_costs_follow_the_hours(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan_module, "measure_cpu", lambda *_: 1e3)
    plan = make_plan(POCKET, model, ROWS, SETTINGS)
    assert [item.device for item in plan.estimates] == [
        THIS_CPU,
        *(device.name for device in gpu_devices()),
    ]
    cpu = plan.estimates[0]
    assert cpu.usd == 0.0
    assert cpu.fits
    assert not cpu.fits_in_4_bit
    padded = plan.operations / 1e3 / CPU_SHARE / 3600
    assert padded < cpu.hours < 2 * padded, "padded to a multiple of 32 tokens"
    assert all(item.fits and item.fits_in_4_bit for item in plan.estimates[1:]), "it has no size"
    hours = [item.hours for item in plan.estimates]
    assert hours == sorted(hours, reverse=True)


def test_evaluations_take_time_as_well(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_module, "measure_cpu", lambda *_: 1e3)

    def hours(validation_rows: int, eval_rows: int = 256) -> float:
        settings = replace(SETTINGS, eval_rows=eval_rows)
        plan = make_plan(POCKET, model, ROWS, settings, validation_rows=validation_rows)
        return plan.estimates[0].hours

    alone = hours(0)
    # Three epochs forward and backward are six passes; seven evaluations of half as many rows.
    assert hours(35) / alone == pytest.approx(1 + 7 * 0.5 / 6)
    assert hours(7000, eval_rows=35) == hours(35)
    assert hours(70, eval_rows=0) / alone == pytest.approx(1 + 7 / 6)


def test_prices_are_data_with_their_source() -> None:
    for device in gpu_devices():
        assert device.usd_per_hour > 0
        assert device.instance
        assert f"{device.memory_gib} GB" in device.name
    names = {device.name for device in gpu_devices()}
    assert {base.gpu for base in (GEMMA, LLAMA, find_base("llama-3.2-3b"))} <= names


EIGHT_BILLION = ModelShape(
    parameters=8_030_261_248,
    multiplied=6_979_321_856,
    head=525_336_576,
    adapter_parameters=41_943_040,
    adapted_layers=224,
    layers=32,
    hidden=4096,
    kept=2_490_368,
    kept_by_one=77_824,
    vocabulary=128_256,
)


def test_a_model_that_is_too_large_fits_only_in_4_bit(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan_module, "model_shape", lambda *_: EIGHT_BILLION)
    monkeypatch.setattr(plan_module, "measure_cpu", lambda *_: 1e11)
    large = make_plan(LLAMA, model, ROWS, SETTINGS)
    fits = {item.device: (item.fits, item.fits_in_4_bit) for item in large.estimates}
    assert fits["T4 16 GB"] == (False, True)
    assert fits["A10G 24 GB"] == (True, True)
    assert large.peak_memory_gib == large.estimates[2].memory_gib > 16, "of the smallest that fits"
    small = make_plan(LLAMA, model, ROWS, replace(SETTINGS, load_in_4bit=True))
    assert small.peak_memory_gib == small.estimates[1].memory_gib_4_bit < 14.4
    device, estimate = gpu_devices()[-1], large.estimates[-1]
    assert estimate.hours == pytest.approx(large.operations / device.flops / 3600, rel=0.3)
    assert estimate.usd == pytest.approx(estimate.hours * device.usd_per_hour, abs=0.01)


def test_activations_are_computed_twice_where_they_do_not_fit(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan_module, "model_shape", lambda *_: EIGHT_BILLION)
    monkeypatch.setattr(plan_module, "measure_cpu", lambda *_: 1e11)
    wide = replace(SETTINGS, batch_size=32)

    def twice(checkpointing: str) -> dict[str, bool]:
        settings = replace(wide, gradient_checkpointing=checkpointing)
        found = make_plan(LLAMA, model, ROWS, settings).estimates
        return {item.device: item.gradient_checkpointing for item in found}

    auto = twice("auto")
    assert (auto[THIS_CPU], auto["A10G 24 GB"], auto["H100 80 GB"]) == (False, True, False)
    assert set(twice("on").values()) == {True}
    assert set(twice("off").values()) == {False}
    kept = make_plan(LLAMA, model, ROWS, replace(wide, gradient_checkpointing="off")).estimates
    again = make_plan(LLAMA, model, ROWS, replace(wide, gradient_checkpointing="on")).estimates
    for off, on in zip(kept, again, strict=True):
        assert on.hours == pytest.approx(1.5 * off.hours, abs=2e-4)
        assert on.memory_gib < off.memory_gib


def test_memory_follows_its_parts() -> None:
    def peak(**changes: Any) -> float:
        sizes = {"tokens": 2048, "answer_tokens": 400, "on_gpu": True, **changes}
        return peak_memory_gib(EIGHT_BILLION, **sizes)

    weights = EIGHT_BILLION.parameters * 2 / 2**30
    assert peak(tokens=0, answer_tokens=0) == pytest.approx(
        weights + EIGHT_BILLION.adapter_parameters * 16 / 2**30 + plan_module.OVERHEAD_GIB
    )
    assert peak(answer_tokens=800) - peak() == pytest.approx(400 * 128_256 * 12 / 2**30)
    assert peak(in_4_bit=True) < peak() - 0.7 * EIGHT_BILLION.multiplied * 2 / 2**30
    kept = [peak(on_gpu=on_gpu) - peak(on_gpu=on_gpu, tokens=0) for on_gpu in (True, False)]
    assert kept[1] == pytest.approx(2048 * EIGHT_BILLION.kept * 4 / 2**30)
    assert kept[0] == pytest.approx(kept[1] / 2)
    assert peak(checkpointing=True) - peak(tokens=0) < kept[0] / 5


def test_the_kept_values_are_those_that_autograd_keeps(tmp_path: Path) -> None:
    """Counted by PyTorch's own hook, of a real step without checkpointing."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(**{**LLAMA_SHAPE, "hidden_size": 128, "intermediate_size": 512})
    config.save_pretrained(tmp_path)
    shape = model_shape(tmp_path, POCKET.target_modules, SETTINGS)
    model = get_peft_model(
        LlamaForCausalLM._from_config(config, attn_implementation="sdpa"),
        LoraConfig(r=2, target_modules=POCKET.target_modules),
    )
    own = {weight.data_ptr() for weight in model.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: Any) -> Any:
        if tensor.is_floating_point() and tensor.data_ptr() not in own:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes() // 4
        return tensor

    tokens = 64
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        out = model.model.model(input_ids=torch.ones(1, tokens, dtype=torch.long), use_cache=False)
    assert out.last_hidden_state.requires_grad
    assert sum(kept.values()) / (tokens * shape.kept) == pytest.approx(1.0, abs=0.35)


def test_the_speed_of_this_machine_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a clock of the test's own: ten products a second."""
    ticks = iter(range(10_000))
    monkeypatch.setattr(plan_module.time, "perf_counter", lambda: next(ticks) / 10)
    small = replace(EIGHT_BILLION, hidden=64, multiplied=64 * 256 * 32 * 4)
    speed = measure_cpu(small, tokens=32, seconds=1.0)
    assert speed == pytest.approx(10 * 4 * 32 * 64 * 256, rel=0.15)


def test_rows_that_are_too_long_are_told_before_training(model: Path, plan: TrainingPlan) -> None:
    short = make_plan(POCKET, model, ROWS, replace(SETTINGS, max_length=plan.longest_tokens - 1))
    assert short.too_long > 0
    assert short.rows + short.too_long == 70
    none: Any = make_plan(POCKET, model, [], SETTINGS).to_dict()
    assert (none["rows"], none["updates"], none["longest_tokens"]) == (0, 0, 0)
    assert json.loads(json.dumps(none))["settings"]["epochs"] == 3.0


def test_a_configuration_of_no_model_is_told(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "unheard-of"}))
    with pytest.raises(UserError, match="describes no model that can be trained") as caught:
        empty_base(tmp_path)
    assert "\n" not in str(caught.value)


# --- what happened ---


def done(plan: TrainingPlan, **changes: Any) -> dict[str, Any]:
    """A training.json that went as planned, but for the changes."""
    return {
        "steps": plan.updates,
        "rows": plan.rows,
        "too_long": plan.too_long,
        "trainable_parameters": plan.adapter_parameters,
        "seconds": 100.0,
        "resumed_from": 0,
        **changes,
    }


def test_the_estimate_is_compared_with_what_happened(plan: TrainingPlan) -> None:
    estimates = (replace(plan.estimates[0], hours=0.02, memory_gib=1.0), *plan.estimates[1:])
    stored = json.loads(json.dumps(replace(plan, estimates=estimates).to_dict()))
    known = done(plan, device="cpu", peak_memory_gib=1.5)
    rows = {row["figure"]: row for row in compare(stored, known)}
    assert rows["updates"]["ratio"] == rows["adapter parameters"]["ratio"] == 1.0
    assert rows[f"seconds on {THIS_CPU}"]["estimate"] == 72.0
    assert rows[f"seconds on {THIS_CPU}"]["ratio"] == pytest.approx(1.389)
    assert rows["peak memory, GiB"]["ratio"] == 1.5
    assert rows["rows too long"]["ratio"] is None
    early = {row["figure"]: row for row in compare(stored, done(plan, steps=5))}
    assert early["updates"]["ratio"] == pytest.approx(5 / 15, abs=1e-3)
    assert "peak memory, GiB" not in early


@pytest.mark.parametrize(
    ("changes", "share"),
    [
        ({"resumed_from": 10}, 1 / 3),
        ({"steps": 5}, 1 / 3),
        ({"steps": 10, "resumed_from": 5}, 1 / 3),
        ({"processes": 2}, 1 / 2),
    ],
)
def test_time_is_compared_for_the_updates_that_were_done(
    plan: TrainingPlan, changes: dict[str, Any], share: float
) -> None:
    estimates = (replace(plan.estimates[0], hours=0.1), *plan.estimates[1:])
    stored = replace(plan, estimates=estimates).to_dict()
    row = compare(stored, done(plan, **changes))[-1]
    assert row["estimate"] == pytest.approx(360 * share)


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        ("", THIS_CPU),
        ("cpu", THIS_CPU),
        ("Tesla T4", "T4 16 GB"),
        ("NVIDIA A10G", "A10G 24 GB"),
        ("NVIDIA L4", "L4 24 GB"),
        ("NVIDIA A100-SXM4-80GB", "A100 80 GB"),
        ("NVIDIA H100 80GB HBM3", "H100 80 GB"),
    ],
)
def test_the_device_is_found_by_the_name_that_cuda_gives(
    plan: TrainingPlan, device: str, expected: str
) -> None:
    stored = replace(plan, settings=replace(SETTINGS, load_in_4bit=True)).to_dict()
    rows = compare(stored, done(plan, device=device, peak_memory_gib=1 if device else None))
    times = [row["figure"] for row in rows if row["figure"].startswith("seconds")]
    assert times == [f"seconds on {expected}"]
    item = next(item for item in plan.estimates if item.device == expected)
    if device:
        assert rows[-1]["estimate"] == item.memory_gib_4_bit


def test_a_gpu_that_the_plan_does_not_know_has_no_estimate(plan: TrainingPlan) -> None:
    rows = compare(plan.to_dict(), done(plan, device="NVIDIA L40S", peak_memory_gib=1))
    assert rows[-2]["figure"] == "seconds on NVIDIA L40S"
    assert (rows[-2]["estimate"], rows[-2]["ratio"], rows[-1]["estimate"]) == (None, None, None)
    unnamed = compare(plan.to_dict(), done(plan, peak_memory_gib=1))
    assert unnamed[-2]["figure"] == "seconds on a GPU"
