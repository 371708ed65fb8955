"""Models of the catalogue's true architectures with random weights.

What lives here: such a model in the Hugging Face layout, with the true tokenizer and chat template,
and an adapter that fits it. What does not: the tokenizers
(:mod:`supportbot_dagster.export.tokenizer_of_gguf`) and the embedded base, which is trained.

Weights of a real base may need a licence, a token and gigabytes. Everything about a base but its
knowledge can be tried without: whether it trains, merges, converts, quantizes, runs, in how much
memory and how long. Nothing is fetched but what the converter comes with.

Where the figures come from:

- Gemma 4 E2B, language model: the shape that quantizes to the published 3.2 GB, and the keys that
  the converter asks for (``conversion/gemma.py``); rotary embeddings, context and norms are the
  defaults of ``transformers.Gemma4TextConfig``; the soft cap of 30 is in the vocabulary that the
  toolchain holds. Towers: the defaults of ``Gemma4VisionConfig`` and ``Gemma4AudioConfig``, which
  name this checkpoint, with clipped linear layers in both. Layers that share keys have unused key
  and value weights in the published file, which ``Gemma4TextModel`` names as such; here too.
- Llama: Meta's model cards and ``config.json`` (layers, heads, feed-forward size, the ``llama3``
  scaling of rotary embeddings by 32 or 8 from 8,192 positions). The numbers of weights that come of
  it are those of the catalogue.
"""

import json
import re
import shutil
import uuid
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from math import prod, sqrt
from pathlib import Path
from typing import Any, BinaryIO, Literal

from supportbot_dagster.errors import UserError
from supportbot_dagster.export.adapter import CONFIG, WEIGHTS
from supportbot_dagster.export.model_folder import empty_model
from supportbot_dagster.export.safetensors_file import INDEX
from supportbot_dagster.export.tokenizer_of_gguf import (
    write_gemma4_tokenizer,
    write_llama3_tokenizer,
)
from supportbot_dagster.export.toolchain import converter
from supportbot_dagster.progress import Progress, silent

Size = Literal["small", "full"]
"""``full`` has the published shape; ``small`` the same traits in fewer and narrower layers."""

SHARD_BYTES = 5 << 30
_BLOCK = 1 << 22  # numbers drawn at a time
_SPREAD_OF_ONES = 0.1
_WORDS = ("embed_tokens.weight", "lm_head.weight")
# Words' rows differ in length, by a Pareto law of this exponent. With rows of equal length the two
# most probable of 262,144 words would be so close at every fiftieth position that the rounding of
# 16 bits decides which is first, and no form of the model would agree with another.
_TAIL = 6.0
_CLIP = 16.0
_SPARE_BYTES = 64 << 20

_SLIDING, _FULL = "sliding_attention", "full_attention"
_GEMMA4_E2B: dict[str, Any] = {
    "architectures": ["Gemma4ForConditionalGeneration"],
    "model_type": "gemma4",
    "dtype": "bfloat16",
    "tie_word_embeddings": True,
    "initializer_range": 0.02,
    "eos_token_id": [1, 106],
    "image_token_id": 258880,
    "boi_token_id": 255999,
    "eoi_token_id": 258882,
    "audio_token_id": 258881,
    "boa_token_id": 256000,
    "eoa_token_id": 258883,
    "eoa_token_index": 258883,
    "video_token_id": 258884,
    "vision_soft_tokens_per_image": 280,
    "text_config": {
        "model_type": "gemma4_text",
        "dtype": "bfloat16",
        "vocab_size": 262144,
        "vocab_size_per_layer_input": 262144,
        "hidden_size": 1536,
        "hidden_size_per_layer_input": 256,
        "intermediate_size": 6144,
        "use_double_wide_mlp": True,
        "num_hidden_layers": 35,
        "num_kv_shared_layers": 20,
        "layer_types": [*([_SLIDING] * 4), _FULL] * 7,
        "num_attention_heads": 8,
        "num_key_value_heads": 1,
        "num_global_key_value_heads": None,
        "head_dim": 256,
        "global_head_dim": 512,
        "attention_k_eq_v": False,
        "attention_bias": False,
        "attention_dropout": 0.0,
        "sliding_window": 512,
        "max_position_embeddings": 131072,
        "rope_parameters": {
            _SLIDING: {"rope_type": "default", "rope_theta": 10000.0},
            _FULL: {
                "rope_type": "proportional",
                "rope_theta": 1000000.0,
                "partial_rotary_factor": 0.25,
            },
        },
        "final_logit_softcapping": 30.0,
        "hidden_activation": "gelu_pytorch_tanh",
        "rms_norm_eps": 1e-06,
        "enable_moe_block": False,
        "num_experts": None,
        "top_k_experts": None,
        "moe_intermediate_size": None,
        "use_bidirectional_attention": None,
        "tie_word_embeddings": True,
        "initializer_range": 0.02,
        "use_cache": True,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "bos_token_id": 2,
    },
    "vision_config": {
        "model_type": "gemma4_vision",
        "dtype": "bfloat16",
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 16,
        "num_attention_heads": 12,
        "num_key_value_heads": 12,
        "head_dim": 64,
        "patch_size": 16,
        "pooling_kernel_size": 3,
        "position_embedding_size": 10240,
        "default_output_length": 280,
        "hidden_activation": "gelu_pytorch_tanh",
        "rms_norm_eps": 1e-06,
        "max_position_embeddings": 131072,
        "rope_parameters": {"rope_type": "default", "rope_theta": 100.0},
        "attention_bias": False,
        "attention_dropout": 0.0,
        "use_clipped_linears": True,
        "standardize": False,
        "initializer_range": 0.02,
    },
    "audio_config": {
        "model_type": "gemma4_audio",
        "dtype": "bfloat16",
        "hidden_size": 1024,
        "num_hidden_layers": 12,
        "num_attention_heads": 8,
        "subsampling_conv_channels": [128, 32],
        "conv_kernel_size": 5,
        "output_proj_dims": 1536,
        "attention_chunk_size": 12,
        "attention_context_left": 13,
        "attention_context_right": 0,
        "attention_invalid_logits_value": -1000000000.0,
        "attention_logit_cap": 50.0,
        "residual_weight": 0.5,
        "gradient_clipping": 10000000000.0,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-06,
        "use_clipped_linears": True,
        "initializer_range": 0.02,
    },
}
# The last layers that have keys of their own are one sliding and one full: the runtime wants both.
_GEMMA4_SMALL: dict[str, Any] = {
    "text_config": {
        "hidden_size": 256,
        "hidden_size_per_layer_input": 64,
        "intermediate_size": 512,
        "num_hidden_layers": 4,
        "num_kv_shared_layers": 2,
        "layer_types": [_SLIDING, _FULL] * 2,
        "num_attention_heads": 2,
    },
    "vision_config": {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "head_dim": 32,
        "position_embedding_size": 64,
    },
    "audio_config": {
        "hidden_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "subsampling_conv_channels": [8, 4],
        "output_proj_dims": 64,
    },
}
_LLAMA: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "torch_dtype": "bfloat16",
    "vocab_size": 128256,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "max_position_embeddings": 131072,
    "rope_theta": 500000.0,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-05,
    "attention_bias": False,
    "attention_dropout": 0.0,
    "mlp_bias": False,
    "pretraining_tp": 1,
    "initializer_range": 0.02,
    "use_cache": True,
    "bos_token_id": 128000,
    "eos_token_id": [128001, 128008, 128009],
}


def _llama_rope(factor: float) -> dict[str, Any]:
    return {
        "rope_type": "llama3",
        "factor": factor,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    }


_GEMMA4_GENERATION = {
    "bos_token_id": 2,
    "eos_token_id": [1, 106, 50],
    "pad_token_id": 0,
    "do_sample": True,
    "temperature": 1.0,
    "top_k": 64,
    "top_p": 0.95,
}
_LLAMA_GENERATION = {
    "bos_token_id": 128000,
    "eos_token_id": [128001, 128008, 128009],
    "do_sample": True,
    "temperature": 0.6,
    "top_p": 0.9,
}


@dataclass(frozen=True)
class _Shape:
    """One base: its published configuration and what is changed of it for a small model."""

    full: Mapping[str, Any]
    small: Mapping[str, Any]
    generation: Mapping[str, Any]
    write_tokenizer: Callable[[Path, Path], None]


# Small models keep the size of a head, and heads that share a key; rows are a multiple of 256.
_SHAPES: dict[str, _Shape] = {
    "gemma-4-e2b": _Shape(
        full=_GEMMA4_E2B,
        small=_GEMMA4_SMALL,
        generation=_GEMMA4_GENERATION,
        write_tokenizer=write_gemma4_tokenizer,
    ),
    "llama-3.2-3b": _Shape(
        full={
            **_LLAMA,
            "hidden_size": 3072,
            "intermediate_size": 8192,
            "num_hidden_layers": 28,
            "num_attention_heads": 24,
            "rope_scaling": _llama_rope(32.0),
            "tie_word_embeddings": True,
        },
        small={
            "hidden_size": 256,
            "intermediate_size": 512,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
        },
        generation=_LLAMA_GENERATION,
        write_tokenizer=partial(write_llama3_tokenizer, version="3.2"),
    ),
    "llama-3.2-1b": _Shape(
        full={
            **_LLAMA,
            "hidden_size": 2048,
            "intermediate_size": 8192,
            "num_hidden_layers": 16,
            "num_attention_heads": 32,
            "head_dim": 64,
            "rope_scaling": _llama_rope(32.0),
            "tie_word_embeddings": True,
        },
        small={
            "hidden_size": 256,
            "intermediate_size": 512,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 1,
        },
        generation=_LLAMA_GENERATION,
        write_tokenizer=partial(write_llama3_tokenizer, version="3.2"),
    ),
    "llama-3.1-8b": _Shape(
        full={
            **{key: value for key, value in _LLAMA.items() if key != "head_dim"},
            "hidden_size": 4096,
            "intermediate_size": 14336,
            "num_hidden_layers": 32,
            "num_attention_heads": 32,
            "rope_scaling": _llama_rope(8.0),
            "tie_word_embeddings": False,
        },
        small={
            "hidden_size": 256,
            "intermediate_size": 512,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
        },
        generation=_LLAMA_GENERATION,
        write_tokenizer=partial(write_llama3_tokenizer, version="3.1"),
    ),
}
KEYS = tuple(_SHAPES)
"""Bases of the catalogue that :func:`build_random_model` knows."""


def random_model_config(key: str, size: Size = "small") -> dict[str, Any]:
    """``config.json`` of a base, as published or narrowed.

    Args:
        key: one of :data:`KEYS`.
        size: ``full`` or ``small``.

    Raises:
        UserError: if the key is unknown.
    """
    shape = _shape(key)
    config: dict[str, Any] = json.loads(json.dumps(shape.full))
    if size == "small":
        for name, value in shape.small.items():
            if isinstance(value, Mapping):
                config[name].update(value)
            else:
                config[name] = value
    return config


def build_random_model(
    key: str,
    out_dir: Path,
    size: Size = "small",
    seed: int = 0,
    *,
    toolchain: Path | None = None,
    shard_bytes: int = SHARD_BYTES,
    progress: Progress = silent,
) -> Path:
    """Write a model of a base's architecture with random weights, its tokenizer and its template.

    Weights are drawn and written block by block, so that the size of the model does not matter to
    the memory. The same key, size and seed give the same bytes.

    Args:
        key: one of :data:`KEYS`.
        out_dir: folder to write; an existing one is replaced when the new one is complete.
        size: ``small`` for some megabytes beside the vocabulary's embeddings; ``full`` for the
            published shape (10 GB for Gemma 4 E2B, 16 GB for Llama 3.1 8B).
        seed: of the weights.
        toolchain: the folder that :func:`supportbot_dagster.export.toolchain.converter` gave; it is
            asked by default.
        shard_bytes: a new file of weights begins before this many bytes; a tensor is never parted.
        progress: told about each tensor.

    Returns:
        ``out_dir``.

    Raises:
        UserError: if the key is unknown, the toolchain cannot be had, or the disk is too full.
    """
    shape = _shape(key)
    toolchain = toolchain or converter(progress=progress)
    scratch = out_dir.with_name(f".{out_dir.name}.{uuid.uuid4().hex}")
    scratch.mkdir(parents=True)
    try:
        _write_json(scratch / "config.json", random_model_config(key, size))
        _write_json(scratch / "generation_config.json", dict(shape.generation))
        shape.write_tokenizer(toolchain, scratch)
        shapes = tensor_shapes(scratch)
        _check_free_disk(scratch, 2 * sum(map(prod, shapes.values())))
        _write_weights(scratch, shapes, seed, shard_bytes, progress)
        if out_dir.exists():
            shutil.rmtree(out_dir)
        scratch.rename(out_dir)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return out_dir


def tensor_shapes(model_dir: Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors that the published files of an architecture hold.

    Args:
        model_dir: folder with a ``config.json``; its weights are not read.
    """
    model = empty_model(model_dir)
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    if model.config.tie_word_embeddings:
        shapes.pop("lm_head.weight", None)
    for layer in _sharing_layers(model):
        # Published with keys and values of its own, which nothing reads.
        name = layer.removesuffix("q_proj.weight")
        kind = shapes[f"{name}q_norm.weight"]
        like = next(
            other.removesuffix("k_norm.weight")
            for other, found in shapes.items()
            if other.endswith("self_attn.k_norm.weight") and found == kind
        )
        for part in ("k_proj", "v_proj", "k_norm"):
            shapes[f"{name}{part}.weight"] = shapes[f"{like}{part}.weight"]
    return shapes


def random_adapter(
    base_dir: Path,
    target_modules: str,
    out_dir: Path,
    rank: int = 16,
    alpha: float = 32,
    seed: int = 0,
    *,
    update: float = 0.05,
) -> Path:
    """Write a LoRA adapter with random matrices for every targeted layer of a base.

    Args:
        base_dir: folder of the base; its weights are not read.
        target_modules: regular expression of the layers, as a whole match on the module's name, as
            in :class:`supportbot_dagster.training.catalogue.Base`.
        out_dir: folder to write; an existing one is replaced.
        rank: of each pair.
        alpha: the update is ``alpha / rank`` times the product of the pair.
        seed: of the matrices.
        update: size of an update beside that of a weight of :func:`build_random_model`; 0.05 moves
            most numbers of a 16-bit weight by more than its rounding.

    Returns:
        ``out_dir``.

    Raises:
        UserError: if no layer of the base matches.
    """
    import numpy as np
    from peft import LoraConfig
    from safetensors.numpy import save_file
    from torch import nn

    layers = {
        name: module
        for name, module in empty_model(base_dir).named_modules()
        if isinstance(module, nn.Linear) and re.fullmatch(target_modules, name)
    }
    if not layers:
        raise UserError(
            f"No layer of {base_dir} matches {target_modules!r}. Use the base's own expression."
        )
    tensors: dict[str, Any] = {}
    for name, module in layers.items():
        draw = _generator(seed, name)
        width, height = module.in_features, module.out_features
        a = draw.standard_normal((rank, width), dtype=np.float32) / np.float32(sqrt(width))
        b = draw.standard_normal((height, rank), dtype=np.float32)
        tensors[f"base_model.model.{name}.lora_A.weight"] = a
        tensors[f"base_model.model.{name}.lora_B.weight"] = b * np.float32(
            update * sqrt(rank) / alpha
        )
    if out_dir.exists():
        shutil.rmtree(out_dir)
    out_dir.mkdir(parents=True)
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,  # type: ignore[arg-type]
        target_modules=target_modules,
        task_type="CAUSAL_LM",
        inference_mode=True,
    )
    config.save_pretrained(str(out_dir))
    save_file(tensors, out_dir / WEIGHTS, metadata={"format": "pt"})
    assert (out_dir / CONFIG).is_file()
    return out_dir


def _shape(key: str) -> _Shape:
    try:
        return _SHAPES[key]
    except KeyError:
        raise UserError(
            f"There is no random model of {key!r}. Known: {', '.join(KEYS)}."
        ) from None


def _sharing_layers(model: Any) -> list[str]:
    """Query weights of the layers of a Gemma 4 that take keys and values from another one."""
    return [
        f"{name}.q_proj.weight"
        for name, module in model.named_modules()
        if getattr(module, "is_kv_shared_layer", False) and hasattr(module, "q_proj")
    ]


def _check_free_disk(place: Path, needed: int) -> None:
    free = shutil.disk_usage(place).free
    if free < needed + _SPARE_BYTES:
        raise UserError(
            f"The model needs {needed / 2**30:.1f} GiB in {place.parent} and {free / 2**30:.1f} GiB "
            "are free. Free some disk or choose another folder."
        )


def _write_weights(
    folder: Path,
    shapes: Mapping[str, tuple[int, ...]],
    seed: int,
    shard_bytes: int,
    progress: Progress,
) -> None:
    shards: list[dict[str, tuple[int, ...]]] = [{}]
    used = 0
    for name, shape in shapes.items():
        size = 2 * prod(shape)
        if shards[-1] and used + size > shard_bytes:
            shards.append({})
            used = 0
        shards[-1][name] = shape
        used += size
    count = len(shards)
    place: dict[str, str] = {}
    for number, shard in enumerate(shards, 1):
        file = (
            "model.safetensors"
            if count == 1
            else f"model-{number:05d}-of-{count:05d}.safetensors"
        )
        with (folder / file).open("wb") as stream:
            _write_header(stream, shard)
            for name, shape in shard.items():
                for block in _blocks(name, shape, seed):
                    stream.write(block)
                place[name] = file
                progress("write random weights", len(place), len(shapes))
    if count > 1:
        total = 2 * sum(map(prod, shapes.values()))
        _write_json(folder / INDEX, {"metadata": {"total_size": total}, "weight_map": place})


def _write_header(stream: BinaryIO, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """The head of a safetensors file, see :mod:`supportbot_dagster.export.safetensors_file`."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    start = 0
    for name, shape in shapes.items():
        stop = start + 2 * prod(shape)
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [start, stop]}
        start = stop
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    stream.write(len(text).to_bytes(8, "little"))
    stream.write(text)


def _blocks(name: str, shape: tuple[int, ...], seed: int) -> Iterator[bytes]:
    """The bytes of a tensor in bfloat16, some rows at a time."""
    import numpy as np

    mean, spread = _mean_and_spread(name, shape)
    draw = _generator(seed, name)
    width = prod(shape[1:])
    left = shape[0] if shape else 1
    while left:
        rows = min(left, max(1, _BLOCK // width))
        left -= rows
        numbers = draw.standard_normal((rows, width), dtype=np.float32)
        numbers *= np.float32(spread)
        if name.endswith(_WORDS):
            numbers *= (1 - draw.random((rows, 1), dtype=np.float32)) ** np.float32(-1 / _TAIL)
        numbers += np.float32(mean)
        bits = numbers.view(np.uint32)
        # Round to the nearest of the numbers whose lower 16 bits are zero.
        bits += np.uint32(0x8000)
        bits >>= np.uint32(16)
        yield bits.astype("<u2").tobytes()


def _mean_and_spread(name: str, shape: tuple[int, ...]) -> tuple[float, float]:
    """Of the numbers of a tensor, so that what passes through a layer keeps its size."""
    last = name.rsplit(".", 1)[-1]
    if last.endswith(("_min", "_max")):
        # Bounds of a clipped layer: finite as in the published file, wide as seldom reached.
        return (-_CLIP if last.endswith("_min") else _CLIP), 0.0
    if last in ("bias", "per_dim_scale"):
        return 0.0, 0.0
    if name.endswith(("q_norm.weight", "k_norm.weight")):
        # Attention without a scale of its own: the norms hold it.
        mean = shape[0] ** -0.25
        return mean, mean * _SPREAD_OF_ONES
    if len(shape) < 2:
        return 1.0, _SPREAD_OF_ONES
    if name.endswith(_WORDS):
        return 0.0, 0.02
    if "embed_tokens" in name or last == "position_embedding_table":
        return 0.0, 0.05
    return 0.0, 1 / sqrt(prod(shape[1:]))


def _generator(seed: int, name: str) -> Any:
    """Random numbers of one tensor, whatever is drawn for the others."""
    import numpy as np

    return np.random.Generator(np.random.SFC64([seed, zlib.crc32(name.encode())]))


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
