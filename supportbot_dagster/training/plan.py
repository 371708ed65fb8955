"""The plan of a training run: steps, tokens, memory, time and cost, before any of it is spent.

What lives here: the estimate and its assumptions. What does not: training
(:mod:`supportbot_dagster.training.lora`).

Formulas: a LoRA step costs about ``4 * N`` floating-point operations a token (forward ``2 N`` and
the backward pass through activations ``2 N``; the frozen weights need no gradient), with N the
parameters that take part in a token. Memory is the weights, the adapter with its gradient and two
AdamW moments in 32 bit, and the activations of a micro-batch with the logits in 32 bit.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from supportbot_dagster.training.catalogue import Base, LoraSettings
from supportbot_dagster.training.encode import encode_rows


@dataclass(frozen=True)
class Device:
    """A place to train.

    Args:
        name: as shown.
        flops: sustained floating-point operations a second in LoRA training; about 35 % of the
            vendor's dense 16-bit figure for a GPU.
        memory_gib: device memory; 0 where the host's memory counts.
        usd_per_hour: typical on-demand price; 0 for one's own machine.
    """

    name: str
    flops: float
    memory_gib: int
    usd_per_hour: float


DEVICES = (
    Device("this CPU (2 cores)", 1.2e11, 0, 0.0),
    Device("T4 16 GB", 2.3e13, 16, 0.53),
    Device("A10G 24 GB", 4.4e13, 24, 1.01),
    Device("A100 80 GB", 1.1e14, 80, 3.67),
    Device("H100 80 GB", 3.5e14, 80, 6.88),
)
"""Prices are list prices of a large cloud and change; the plan says so beside them."""


@dataclass(frozen=True)
class Estimate:
    """What a device would need."""

    device: str
    hours: float
    usd: float
    fits: bool


@dataclass(frozen=True)
class TrainingPlan:
    """The plan.

    Args:
        rows: training rows that fit ``max_length``.
        too_long: rows that do not, and are left out.
        updates: optimizer updates in all epochs.
        tokens_per_epoch: prompt and answer tokens.
        answer_tokens_per_epoch: tokens that carry loss.
        longest_tokens: of one row.
        parameters: weights of the base.
        adapter_parameters: weights of the adapter.
        peak_memory_gib: estimate for one device.
        settings: LoRA settings.
        estimates: per device.
    """

    rows: int
    too_long: int
    updates: int
    tokens_per_epoch: int
    answer_tokens_per_epoch: int
    longest_tokens: int
    parameters: int
    adapter_parameters: int
    peak_memory_gib: float
    settings: LoraSettings
    estimates: tuple[Estimate, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def make_plan(
    base: Base, base_dir: Path, rows: Sequence[Mapping[str, Any]], settings: LoraSettings
) -> TrainingPlan:
    """Count tokens with the base's own tokenizer and estimate the rest.

    Raises:
        UserError: if the base's chat template does not fit (see
            :func:`supportbot_dagster.training.encode.encode_rows`).
    """
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base_dir)
    examples, too_long = encode_rows(tokenizer, rows, settings.max_length)
    lengths = [len(example["input_ids"]) for example in examples]
    answers = sum(sum(label >= 0 for label in example["labels"]) for example in examples)
    parameters, adapter, vocabulary = _count(base, base_dir, settings)
    tokens = sum(lengths)
    updates = math.ceil(
        math.ceil(len(examples) / (settings.batch_size * settings.gradient_accumulation))
        * settings.epochs
    )
    longest = max(lengths, default=0)
    weights = parameters * (4 if base.hub_id is None else 2)
    activations = settings.batch_size * longest * (vocabulary * 4 + 34 * 2 * 4096)
    peak = (weights + adapter * 16 + activations) / 2**30
    operations = 4.0 * parameters * tokens * settings.epochs
    return TrainingPlan(
        rows=len(examples),
        too_long=too_long,
        updates=updates,
        tokens_per_epoch=tokens,
        answer_tokens_per_epoch=answers,
        longest_tokens=longest,
        parameters=parameters,
        adapter_parameters=adapter,
        peak_memory_gib=round(peak, 2),
        settings=settings,
        estimates=tuple(
            Estimate(
                device.name,
                round(operations / device.flops / 3600, 3),
                round(operations / device.flops / 3600 * device.usd_per_hour, 2),
                device.memory_gib == 0 or peak < 0.9 * device.memory_gib,
            )
            for device in DEVICES
        ),
    )


def _count(base: Base, base_dir: Path, settings: LoraSettings) -> tuple[int, int, int]:
    """Weights of the base and of the adapter, and the vocabulary's size, from tensor shapes."""
    import re

    from safetensors import safe_open

    pattern = re.compile(base.target_modules)
    total = adapter = 0
    for path in sorted(base_dir.glob("*.safetensors")):
        with safe_open(path, framework="np") as tensors:
            for name in tensors.keys():  # noqa: SIM118 - not a mapping
                shape = tensors.get_slice(name).get_shape()
                total += math.prod(shape)
                module = name.removesuffix(".weight")
                if len(shape) == 2 and pattern.fullmatch(module):
                    adapter += settings.lora_rank * (shape[0] + shape[1])
    config = json.loads((base_dir / "config.json").read_text(encoding="utf-8"))
    text = config.get("text_config", config)
    return total, adapter, int(text.get("vocab_size", 0))
