"""The plan of a training run: steps, tokens, memory, time and cost, before any of it is spent.

What lives here: the estimate with its assumptions, and its comparison with what happened. What
does not: training (:mod:`supportbot_dagster.training.lora`), the list of devices
(``devices.yaml``), and whether the base can be trained at all
(:mod:`supportbot_dagster.training.preflight`).

Formulas. A weight that takes part costs 2 operations a token forward and 2 backward, through the
activations alone, for frozen weights need no gradient; gradient checkpointing, for a GPU without
room for the activations, adds a second forward pass. Embeddings are looked up, not multiplied, and
the head works at answer positions only. An evaluation costs the forward pass of its rows. Memory is
the weights, the adapter with its gradient and two AdamW moments in 32 bit, what a micro-batch keeps
for the backward pass, and the logits of its answers.
"""

import math
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from supportbot_dagster.errors import UserError
from supportbot_dagster.training.catalogue import Base, LoraSettings
from supportbot_dagster.training.encode import completion_tokens, encode_rows
from supportbot_dagster.training.lora import CHECKPOINTS_PER_RUN

THIS_CPU = "this CPU"
"""Name of the device whose speed is measured rather than looked up."""

CPU_SHARE = 0.33
"""How much of the speed of its own matrix products a LoRA step reaches on a CPU, the rest being
attention, norms and the optimizer. Measured with the embedded base, whose small layers are the
hardest to keep a processor busy with."""

OVERHEAD_GIB = 1.0
"""What is taken before any tensor, about: on a GPU by CUDA's context, kernels and workspaces, on a
CPU by Python and the training libraries (measured with the embedded base)."""

PADDING = {True: 8, False: 32}
"""Batches are padded to a multiple of so many tokens, on a GPU and on a CPU."""

_FITS = 0.9
_CALIBRATION_SECONDS = 0.15
_NF4_BYTES = 0.53
"""4 bits and a doubly quantized scale for each block of 64 weights."""


@dataclass(frozen=True)
class Device:
    """A place to train.

    Args:
        name: as shown.
        flops: sustained floating-point operations a second in LoRA training.
        memory_gib: device memory; 0 where the host's memory counts.
        usd_per_hour: typical on-demand price; 0 for one's own machine.
        instance: where the price is from; empty for one's own machine.
    """

    name: str
    flops: float
    memory_gib: int
    usd_per_hour: float
    instance: str = ""


@lru_cache(maxsize=1)
def gpu_devices() -> tuple[Device, ...]:
    """The GPUs of ``devices.yaml``."""
    text = (Path(__file__).parent / "devices.yaml").read_text(encoding="utf-8")
    return tuple(Device(**entry) for entry in yaml.safe_load(text))


@dataclass(frozen=True)
class ModelShape:
    """What of a base decides time and memory, from its configuration alone.

    Args:
        parameters: weights that are loaded.
        multiplied: weights of linear layers that every token passes, the head apart.
        head: weights of the language head.
        adapter_parameters: weights of the adapter.
        adapted_layers: linear layers that get adapters.
        layers: decoder layers.
        hidden: width of the residual stream.
        kept: values that a token leaves behind in all layers for the backward pass.
        kept_by_one: the same of the widest layer, for gradient checkpointing.
        vocabulary: number of tokens.
    """

    parameters: int
    multiplied: int
    head: int
    adapter_parameters: int
    adapted_layers: int
    layers: int
    hidden: int
    kept: int
    kept_by_one: int
    vocabulary: int


@dataclass(frozen=True)
class Estimate:
    """What a device would need.

    Args:
        device: its name.
        hours: wall clock of the training with its evaluations.
        usd: price of those hours.
        memory_gib: peak of the device's memory with the base in 16 bit (32 on a CPU).
        fits: whether nine tenths of the device hold it.
        memory_gib_4_bit: peak with the linear layers of the base in 4 bit.
        fits_in_4_bit: the same for 4 bit; False on a CPU, which has no kernels for it.
        gradient_checkpointing: whether activations are computed twice for want of memory, with the
            settings of the plan.
    """

    device: str
    hours: float
    usd: float
    memory_gib: float
    fits: bool
    memory_gib_4_bit: float
    fits_in_4_bit: bool
    gradient_checkpointing: bool


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
        adapted_layers: linear layers that get adapters.
        operations: floating-point operations of the whole training, without padding and
            recomputation.
        cpu_flops: measured speed of this machine's matrix products, operations a second.
        peak_memory_gib: estimate for the smallest GPU that the base fits in, with the settings, or
            else the largest; for the CPU where the base is embedded.
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
    adapted_layers: int
    operations: float
    cpu_flops: float
    peak_memory_gib: float
    settings: LoraSettings
    estimates: tuple[Estimate, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def make_plan(
    base: Base,
    base_dir: Path,
    rows: Sequence[Mapping[str, Any]],
    settings: LoraSettings,
    *,
    validation_rows: int = 0,
) -> TrainingPlan:
    """Count tokens with the base's own tokenizer and estimate the rest.

    Args:
        base: the catalogue's entry.
        base_dir: its snapshot; the weights are not read.
        rows: of the train split.
        settings: of the adapter.
        validation_rows: number of rows of the validation split, which take time as well.

    Raises:
        UserError: if the base's chat template does not fit (see
            :func:`supportbot_dagster.training.encode.encode_rows`), or its configuration
            describes no model.
    """
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base_dir)
    examples, too_long = encode_rows(tokenizer, rows, settings.max_length)
    lengths = [len(example["input_ids"]) for example in examples]
    answers = [completion_tokens(example["labels"]) for example in examples]
    shape = model_shape(base_dir, base.target_modules, settings)
    longest, longest_answer = max(lengths, default=0), max(answers, default=0)
    tokens, answer_tokens = sum(lengths), sum(answers)
    updates = math.ceil(
        math.ceil(len(examples) / (settings.batch_size * settings.gradient_accumulation))
        * settings.epochs
    )
    needed = 2.0 * settings.epochs * (shape.multiplied * tokens + shape.head * answer_tokens)
    # Evaluations, the one at the start included, as passes over the train split.
    looked_at = min(validation_rows, settings.eval_rows or validation_rows)
    looks = (CHECKPOINTS_PER_RUN + 1) * looked_at / max(1, len(examples))
    batch_tokens = settings.batch_size * sum(lengths) / max(1, len(lengths))
    speed = measure_cpu(shape, max(32, min(512, round(batch_tokens))))
    devices = (Device(THIS_CPU, speed * CPU_SHARE, 0, 0.0), *gpu_devices())

    def peak(device: Device, *, in_4_bit: bool, checkpointing: bool) -> float:
        return peak_memory_gib(
            shape,
            tokens=settings.batch_size * math.ceil(longest / 32) * 32,
            answer_tokens=settings.batch_size * longest_answer,
            on_gpu=device.memory_gib > 0,
            in_4_bit=in_4_bit,
            checkpointing=checkpointing,
        )

    def memory(device: Device, *, in_4_bit: bool) -> tuple[float, bool]:
        """Peak, and whether activations are computed twice, as the training decides it."""
        wanted = settings.gradient_checkpointing
        if wanted == "auto":
            room = _FITS * device.memory_gib
            keep = peak(device, in_4_bit=in_4_bit, checkpointing=False)
            if not device.memory_gib or keep < room:
                return keep, False
        checkpointing = wanted != "off"
        return peak(device, in_4_bit=in_4_bit, checkpointing=checkpointing), checkpointing

    def estimate(device: Device) -> Estimate:
        on_gpu = device.memory_gib > 0
        # Rows of like length share a batch, so that padding is hardly more than the rounding.
        padded = sum(math.ceil(length / PADDING[on_gpu]) * PADDING[on_gpu] for length in lengths)
        forward = 2.0 * settings.epochs * (shape.multiplied * padded + shape.head * answer_tokens)
        looking = 2.0 * looks * (shape.multiplied * padded + shape.head * answer_tokens)
        full, again = memory(device, in_4_bit=False)
        small, small_again = memory(device, in_4_bit=True)
        if settings.load_in_4bit:
            again = small_again
        # Forward, backward through the activations, and with checkpointing forward again.
        hours = (forward * (3 if again else 2) + looking) / device.flops / 3600
        return Estimate(
            device=device.name,
            hours=round(hours, 4),
            usd=round(hours * device.usd_per_hour, 2),
            memory_gib=round(full, 2),
            fits=not on_gpu or full < _FITS * device.memory_gib,
            memory_gib_4_bit=round(small, 2),
            fits_in_4_bit=on_gpu and small < _FITS * device.memory_gib,
            gradient_checkpointing=again,
        )

    estimates = tuple(estimate(device) for device in devices)
    return TrainingPlan(
        rows=len(examples),
        too_long=too_long,
        updates=updates,
        tokens_per_epoch=tokens,
        answer_tokens_per_epoch=answer_tokens,
        longest_tokens=longest,
        parameters=shape.parameters,
        adapter_parameters=shape.adapter_parameters,
        adapted_layers=shape.adapted_layers,
        operations=2 * needed,
        cpu_flops=speed,
        peak_memory_gib=_peak_of_smallest(base, settings, estimates),
        settings=settings,
        estimates=estimates,
    )


def _peak_of_smallest(base: Base, settings: LoraSettings, estimates: Sequence[Estimate]) -> float:
    if base.hub_id is None:
        return estimates[0].memory_gib
    small = settings.load_in_4bit
    fitting = [item for item in estimates[1:] if (item.fits_in_4_bit if small else item.fits)]
    chosen = (fitting or [estimates[-1]])[0]
    return chosen.memory_gib_4_bit if small else chosen.memory_gib


def empty_base(base_dir: Path) -> Any:
    """The base as it is trained, in the class that training loads, without weights.

    Raises:
        UserError: if ``config.json`` describes no model that transformers knows.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        config = AutoConfig.from_pretrained(base_dir, local_files_only=True)
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(config)
    except (OSError, ValueError, KeyError, TypeError) as error:
        first = str(error).strip().splitlines()[0]
        raise UserError(
            f"{base_dir / 'config.json'} describes no model that can be trained ({first}). "
            "Choose a base of the catalogue."
        ) from None


def language_layers(model: Any) -> dict[str, Any]:
    """The linear layers of attention and feed-forward in the language model, by module name.

    The language model is what stands beside the token embedding, so that the towers of a
    multimodal model, whose layers have the same names, do not count.
    """
    import torch

    embedding = model.get_input_embeddings()
    prefix = next(name for name, module in model.named_modules() if module is embedding)
    layers = prefix.rpartition(".")[0] + ".layers."
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear)
        and name.startswith(layers)
        and ".per_layer_" not in name
    }


def model_shape(base_dir: Path, target_modules: str, settings: LoraSettings) -> ModelShape:
    """Sizes of a base and its adapter, from the configuration alone.

    Not from the weight files: Gemma 4's hold keys and values of layers that share those of
    another, which nothing loads and no adapter is made for.
    """
    import torch

    model = empty_base(base_dir)
    pattern = re.compile(target_modules)
    adapted = [
        module
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and pattern.fullmatch(name)
    ]
    config = model.config.get_text_config()
    hidden = int(config.hidden_size)
    by_layer: dict[str, int] = {}
    linear = language_layers(model)
    for name, module in linear.items():
        # Each linear layer keeps what goes in, for its adapter, and what comes out, for the
        # non-linear function behind it. The inputs of query, key and value are one and the same,
        # as are those of gate and up.
        shared = name.endswith(("k_proj", "v_proj", "up_proj"))
        layer = name.rpartition(".layers.")[2].partition(".")[0]
        kept = module.out_features + (0 if shared else module.in_features)
        by_layer[layer] = by_layer.get(layer, 2 * hidden) + kept
    head = model.get_output_embeddings()
    head_weights = int(head.weight.numel()) if head is not None else 0
    prefix = next(iter(linear), "").partition(".layers.")[0] + "."
    multiplied = sum(
        module.weight.numel()
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and name.startswith(prefix)
    )
    return ModelShape(
        parameters=sum(weight.numel() for weight in model.parameters()),
        multiplied=int(multiplied),
        head=head_weights,
        adapter_parameters=sum(
            settings.lora_rank * (module.in_features + module.out_features) for module in adapted
        ),
        adapted_layers=len(adapted),
        layers=len(by_layer),
        hidden=hidden,
        kept=sum(by_layer.values()),
        kept_by_one=max(by_layer.values(), default=0),
        vocabulary=int(config.vocab_size),
    )


def peak_memory_gib(
    shape: ModelShape,
    *,
    tokens: int,
    answer_tokens: int,
    on_gpu: bool,
    in_4_bit: bool = False,
    checkpointing: bool = False,
) -> float:
    """Peak memory of a training step in GiB.

    Args:
        shape: of the base.
        tokens: of a micro-batch, padding counted.
        answer_tokens: of those, the ones at which the head works.
        on_gpu: 16-bit weights; else 32-bit weights.
        in_4_bit: the linear layers of the base in 4 bit.
        checkpointing: activations are computed again layer by layer instead of kept.
    """
    width = 2 if on_gpu else 4
    if in_4_bit:
        weights = shape.multiplied * _NF4_BYTES + (shape.parameters - shape.multiplied) * width
    else:
        weights = float(shape.parameters * width)
    if checkpointing:
        kept = tokens * (shape.layers * shape.hidden + 2 * shape.kept_by_one) * width
    else:
        kept = tokens * shape.kept * width
    # Logits in 32 bit, their softmax and the gradient.
    logits = answer_tokens * shape.vocabulary * 4 * 3
    adapter = shape.adapter_parameters * 4 * 4
    return (weights + adapter + kept + logits) / 2**30 + OVERHEAD_GIB


def measure_cpu(shape: ModelShape, tokens: int, seconds: float = _CALIBRATION_SECONDS) -> float:
    """Speed of this machine's matrix products in the base's own shapes, operations a second.

    Args:
        shape: of the base; its width is used, and a feed-forward of the mean size.
        tokens: rows of the product, as many as a micro-batch has tokens.
        seconds: how long to measure each of 32 and 16 bit; the faster counts, as in training.
    """
    import torch

    wide = max(shape.hidden, shape.multiplied // max(1, 4 * shape.layers * shape.hidden))
    best = 0.0
    for kind in (torch.float32, torch.bfloat16):
        weight = torch.randn(shape.hidden, wide).to(kind)
        rows = torch.randn(tokens, shape.hidden).to(kind)
        with torch.no_grad():
            (rows @ weight) @ weight.T
            done, start = 0, time.perf_counter()
            while (spent := time.perf_counter() - start) < seconds:
                (rows @ weight) @ weight.T
                done += 1
        best = max(best, 4.0 * done * tokens * shape.hidden * wide / spent)
    return best


def compare(plan: Mapping[str, Any], training: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The estimate beside what happened.

    Args:
        plan: ``plan.json`` of ``training_plan``.
        training: ``training.json`` of ``lora_adapter``. ``device`` names the GPU; without it, and
            without ``peak_memory_gib``, the CPU is taken.

    Returns:
        One row for each figure: ``figure``, ``estimate``, ``actual``, ``ratio`` (actual to
        estimate, None where there is no estimate or it is 0). Time is compared for the updates
        that this process did: a training may have been resumed, or stopped early.
    """
    memory = training.get("peak_memory_gib")
    name = str(training.get("device") or ("a GPU" if memory else ""))
    estimate = _estimate_of(plan, name)
    share = (training["steps"] - training.get("resumed_from", 0)) / max(1, plan["updates"])
    share /= training.get("processes") or 1
    figures: list[tuple[str, float | None, float]] = [
        ("rows", plan["rows"], training["rows"]),
        ("rows too long", plan["too_long"], training["too_long"]),
        ("updates", plan["updates"], training["steps"]),
        ("adapter parameters", plan["adapter_parameters"], training["trainable_parameters"]),
        (
            f"seconds on {estimate['device']}",
            round(estimate["hours"] * 3600 * share, 1) if "hours" in estimate else None,
            round(float(training["seconds"]), 1),
        ),
    ]
    if memory:
        in_4_bit = plan["settings"].get("load_in_4bit")
        expected = estimate.get("memory_gib_4_bit" if in_4_bit else "memory_gib")
        figures.append(("peak memory, GiB", expected, round(float(memory), 2)))
    return [
        {
            "figure": figure,
            "estimate": expected,
            "actual": actual,
            "ratio": round(actual / expected, 3) if expected else None,
        }
        for figure, expected, actual in figures
    ]


def _estimate_of(plan: Mapping[str, Any], device: str) -> Mapping[str, Any]:
    """The plan's estimate for a device as CUDA names it, such as ``NVIDIA A100-SXM4-80GB``."""
    estimates: Sequence[Mapping[str, Any]] = plan["estimates"]
    if device.lower() in ("", "cpu"):
        return estimates[0]
    words = set(re.findall(r"\b[A-Z]+\d+[A-Z]*\b", device.upper()))
    for item in estimates[1:]:
        if words & set(str(item["device"]).upper().split()):
            return item
    return {"device": device}
