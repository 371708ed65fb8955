"""Models of the catalogue's true architectures with random weights.

What lives here: such a model in the Hugging Face layout, with the true tokenizer and chat template,
and an adapter that fits it. What does not: the tokenizers
(:mod:`supportbot_dagster.export.tokenizer_of_gguf`) and the embedded base, which is trained.

Weights of a real base may need a licence, a token and gigabytes. Everything about a base but its
knowledge can be tried without: whether it trains, merges, converts, quantizes, runs, in how much
memory and how long. Nothing is fetched but what the converter comes with.

The shapes are those of :mod:`supportbot_dagster.export.base_shapes`. Layers of Gemma 4 that share
keys have unused key and value weights in the published file, which ``Gemma4TextModel`` of
transformers names as such; here too.
"""

import json
import re
import shutil
import uuid
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from math import prod, sqrt
from pathlib import Path
from typing import Any

from supportbot_dagster.errors import UserError
from supportbot_dagster.export.adapter import WEIGHTS
from supportbot_dagster.export.base_shapes import Size, base_config, generation_config
from supportbot_dagster.export.model_folder import empty_model
from supportbot_dagster.export.safetensors_file import INDEX, header_bytes
from supportbot_dagster.export.tokenizer_of_gguf import (
    write_gemma4_tokenizer,
    write_llama3_tokenizer,
)
from supportbot_dagster.export.toolchain import converter
from supportbot_dagster.progress import Progress, silent

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

_TOKENIZERS: Mapping[str, Callable[[Path, Path], None]] = {
    "gemma-4-e2b": write_gemma4_tokenizer,
    "llama-3.2-3b": partial(write_llama3_tokenizer, version="3.2"),
    "llama-3.2-1b": partial(write_llama3_tokenizer, version="3.2"),
    "llama-3.1-8b": partial(write_llama3_tokenizer, version="3.1"),
}


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
        key: one of :data:`supportbot_dagster.export.base_shapes.KEYS`.
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
    config, generation = base_config(key, size), generation_config(key)
    toolchain = toolchain or converter(progress=progress)
    scratch = out_dir.with_name(f".{out_dir.name}.{uuid.uuid4().hex}")
    scratch.mkdir(parents=True)
    try:
        _write_json(scratch / "config.json", config)
        _write_json(scratch / "generation_config.json", generation)
        _TOKENIZERS[key](toolchain, scratch)
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
    for layer in _key_sharing(model):
        # Published with keys and values of its own, which nothing reads.
        width = shapes[f"{layer}.q_norm.weight"]
        like = next(
            name.removesuffix(".k_norm.weight")
            for name, found in shapes.items()
            if name.endswith(".self_attn.k_norm.weight") and found == width
        )
        for part in ("k_proj", "v_proj", "k_norm"):
            shapes[f"{layer}.{part}.weight"] = shapes[f"{like}.{part}.weight"]
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
    return out_dir


def _key_sharing(model: Any) -> list[str]:
    """Attention of the layers of a Gemma 4 that take keys and values from another one."""
    return [
        name
        for name, module in model.named_modules()
        if getattr(module, "is_kv_shared_layer", False) and hasattr(module, "q_proj")
    ]


def _check_free_disk(place: Path, needed: int) -> None:
    free = shutil.disk_usage(place).free
    if free < needed + _SPARE_BYTES:
        raise UserError(
            f"The model needs {needed / 2**30:.1f} GiB in {place.parent} and "
            f"{free / 2**30:.1f} GiB are free. Free some disk or choose another folder."
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
            "model.safetensors" if count == 1 else f"model-{number:05d}-of-{count:05d}.safetensors"
        )
        with (folder / file).open("wb") as stream:
            stream.write(
                header_bytes(
                    {name: ("BF16", shape, 2 * prod(shape)) for name, shape in shard.items()}
                )
            )
            for name, shape in shard.items():
                for block in _blocks(name, shape, seed):
                    stream.write(block)
                place[name] = file
                progress("write random weights", len(place), len(shapes))
    if count > 1:
        total = 2 * sum(map(prod, shapes.values()))
        _write_json(folder / INDEX, {"metadata": {"total_size": total}, "weight_map": place})


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
