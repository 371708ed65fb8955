"""What the hardware allows: precision, attention, memory, and loading the base accordingly.

What lives here: the choices that depend on the machine. What does not: the settings that ask for
them (:class:`supportbot_dagster.training.catalogue.LoraSettings`).
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supportbot_dagster.errors import UserError
from supportbot_dagster.training.catalogue import LoraSettings

_CHOICES = {
    "packing": ("auto", "on", "off"),
    "gradient_checkpointing": ("auto", "on", "off"),
    "precision": ("auto", "bf16", "fp16", "fp32"),
}
_FLASH_HEAD_SIZE = 256
"""Largest head that FlashAttention 2 has kernels for."""
_MEMORY_SHARE = 0.8
"""Of the free memory that activations may take before they are computed twice instead."""


@dataclass(frozen=True)
class Device:
    """Where and how a model is trained.

    Args:
        on_gpu: whether on a GPU.
        precision: of the matrix products: ``bf16``, ``fp16`` or ``fp32``.
        attention: transformers' name of the attention kernel.
        packing: whether the rows of a batch are laid end to end.
        multiple: padded lengths are a multiple of this.
        four_bit: whether the base is held in 4 bits.
    """

    on_gpu: bool
    precision: str
    attention: str
    packing: bool
    multiple: int
    four_bit: bool

    @property
    def name(self) -> str:
        """As CUDA gives it, or ``cpu``."""
        if not self.on_gpu:
            return "cpu"
        import torch

        return str(torch.cuda.get_device_name())

    @property
    def kernel_lengths(self) -> bool:
        """Whether the attention kernel takes sequences of different lengths end to end."""
        return self.attention.startswith("flash")


def choose_device(settings: LoraSettings, base_dir: Path) -> Device:
    """What to train on.

    Raises:
        UserError: if a setting is unknown, one process is given several GPUs, or 4 bits are asked
            for where they cannot be had.
    """
    import torch

    for name, known in _CHOICES.items():
        if getattr(settings, name) not in known:
            raise UserError(
                f"model.training.{name} is {getattr(settings, name)!r}. Known: {', '.join(known)}."
            )
    told_cpu = os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true", "yes")
    on_gpu = torch.cuda.is_available() and not told_cpu
    if on_gpu:
        _check_one_gpu(torch.cuda.device_count(), int(os.environ.get("WORLD_SIZE", "1")))
    if settings.load_in_4bit:
        _check_four_bit(on_gpu)
    precision = settings.precision
    if precision == "auto":
        if on_gpu:
            native = torch.cuda.is_bf16_supported(including_emulation=False)
            precision = "bf16" if native else "fp16"
        else:
            precision = "bf16" if _fast_bf16() else "fp32"
    flash = on_gpu and precision != "fp32" and _has_flash(base_dir)
    packing = settings.packing == "on" or (settings.packing == "auto" and flash)
    attention = "flash_attention_2" if packing and flash else "sdpa" if on_gpu else "eager"
    # On a CPU with variable lengths, few distinct shapes keep the kernels' caches warm.
    return Device(on_gpu, precision, attention, packing, 8 if on_gpu else 32, settings.load_in_4bit)


def load_base(base_dir: Path, device: Device) -> Any:
    """The base as a causal language model, on the device of this process."""
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    half = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}[device.precision]
    wanted: dict[str, Any] = {
        "dtype": half if device.on_gpu else torch.float32,
        "attn_implementation": device.attention,
    }
    if device.four_bit:
        wanted |= {
            "quantization_config": BitsAndBytesConfig(
                load_in_4bit=True,
                bnb_4bit_quant_type="nf4",
                bnb_4bit_use_double_quant=True,
                bnb_4bit_compute_dtype=half,
            ),
            "device_map": {"": int(os.environ.get("LOCAL_RANK", "0"))},
        }
    return AutoModelForCausalLM.from_pretrained(base_dir, **wanted)


def round_frozen(model: Any, device: Device) -> None:
    """Round the frozen layers of a model on a CPU to 16 bit once instead of in every step.

    Autocast would round them the same way each time, so the results stay the same. A matrix that
    is also the embedding is left alone, for embeddings are not rounded.
    """
    import torch

    if device.on_gpu or device.precision != "bf16":
        return
    embedding = model.get_input_embeddings().weight
    for name, module in model.named_modules():
        frozen = isinstance(module, torch.nn.Linear) and not module.weight.requires_grad
        if frozen and "lora_" not in name and module.weight is not embedding:
            module.to(torch.bfloat16)


def activation_bytes(model: Any, ids: Sequence[int]) -> float:
    """Bytes that a token's activations take until the backward pass, measured on one row.

    Args:
        model: with its adapter.
        ids: tokens of the row.
    """
    import torch

    own = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    held: dict[int, int] = {}

    def keep(tensor: Any) -> Any:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            held[storage.data_ptr()] = storage.nbytes()
        alive.append(tensor)
        return tensor

    alive: list[Any] = []
    device = next(model.parameters()).device
    row = torch.tensor([list(ids)], device=device)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model.get_base_model().base_model(
            input_ids=row, attention_mask=torch.ones_like(row), use_cache=False
        )
    return sum(held.values()) / len(ids)


def needs_checkpointing(
    model: Any, settings: LoraSettings, device: Device, longest: Sequence[int], rows: int
) -> bool:
    """Whether activations must be computed again in the backward pass.

    Args:
        model: with its adapter, on its device.
        settings: ask for it, forbid it or leave it open.
        device: on a CPU it is never needed: memory can be swapped, time cannot.
        longest: tokens of the longest row.
        rows: of a batch.
    """
    import torch

    if settings.gradient_checkpointing != "auto":
        return settings.gradient_checkpointing == "on"
    if not device.on_gpu:
        return False
    half = torch.float16 if device.precision == "fp16" else torch.bfloat16
    with torch.autocast("cuda", half, enabled=device.precision != "fp32"):
        needed = activation_bytes(model, longest) * len(longest) * rows
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info()
    return bool(needed > _MEMORY_SHARE * free)


def _check_one_gpu(gpus: int, processes: int) -> None:
    if gpus > 1 and processes == 1:
        raise UserError(
            f"One training process sees {gpus} GPUs and can use one. Set CUDA_VISIBLE_DEVICES=0, "
            f"or start a process for each with `torchrun --nproc_per_node {gpus}`."
        )


def _check_four_bit(on_gpu: bool) -> None:
    from importlib.util import find_spec

    if not on_gpu:
        raise UserError(
            "model.training.load_in_4bit needs an NVIDIA GPU, and PyTorch sees none. "
            "Set it to false, or run the training where the GPU is."
        )
    if find_spec("bitsandbytes") is None:
        raise UserError(
            "model.training.load_in_4bit needs the package bitsandbytes. "
            "Install it with `pip install bitsandbytes`, or set load_in_4bit to false."
        )


def _has_flash(base_dir: Path) -> bool:
    """Whether FlashAttention 2 is installed and has kernels for the base's heads."""
    from transformers import AutoConfig
    from transformers.utils import is_flash_attn_2_available

    if not is_flash_attn_2_available():
        return False
    config = AutoConfig.from_pretrained(base_dir).get_text_config()
    sizes = [getattr(config, name, None) or 0 for name in ("head_dim", "global_head_dim")]
    return bool(max(sizes) <= _FLASH_HEAD_SIZE)


def _fast_bf16() -> bool:
    """Whether the CPU multiplies bfloat16 natively; without that autocast only costs time."""
    import torch

    capability = torch.backends.cpu.get_cpu_capability()
    if not capability.startswith("AVX512"):
        return False
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags
