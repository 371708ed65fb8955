"""Merging a LoRA adapter into its base model, tensor by tensor.

What lives here: the merge and the checks that nothing of the adapter is lost. What does not:
training, the adapter's files (:mod:`supportbot_dagster.export.adapter`), and the conversion to
GGUF.

The base is never loaded. Its files are copied, and only the tensors that the adapter changes pass
through memory, one at a time: ``W + scale * B A`` in 32 bit, rounded once to the precision of W.
"""

import shutil
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supportbot_dagster.errors import UserError
from supportbot_dagster.export.adapter import Adapter, Pair, line_up, read_adapter
from supportbot_dagster.export.model_folder import link_or_copy, read_config
from supportbot_dagster.export.safetensors_file import (
    TORCH_TYPES,
    StoredTensor,
    copy_with_changes,
    read_layout,
    weight_files,
)
from supportbot_dagster.export.tall import tall_tensors, write_slim
from supportbot_dagster.progress import Progress, silent
from supportbot_dagster.training.chat_template import read_template, write_template


@dataclass(frozen=True)
class MergeReport:
    """What a merge did.

    Args:
        folder: the merged model.
        tensors: weights that the adapter changed; 0 without an adapter.
        least_changed: of these, the smallest share of numbers that differ from the base, 0 to 1.
        rounding: largest norm of what rounding to the base's precision took from an update, as a
            share of the update's own norm.
    """

    folder: Path
    tensors: int = 0
    least_changed: float = 0.0
    rounding: float = 0.0


def merge_adapter(
    base_dir: Path,
    adapter_dir: Path | None,
    out_dir: Path,
    progress: Progress = silent,
    *,
    slim: bool = False,
) -> MergeReport:
    """Write the base model with the adapter merged into its weights.

    Files keep their names, tensors their names, shapes and 16 or 32 bits. What the adapter does
    not touch is the same, byte by byte. A chat template beside the adapter wins.

    Args:
        base_dir: folder of the base model in the Hugging Face layout.
        adapter_dir: folder of a PEFT adapter; None copies the base (by hard link where possible).
        out_dir: folder to write; an existing one is replaced when the new one is complete.
        progress: told about each merged tensor.
        slim: write only the first rows of tall embeddings, for a converter that is given the whole
            ones by itself; see :mod:`supportbot_dagster.export.tall`.

    Raises:
        UserError: if a folder is no model or adapter, if the base is quantized, if the adapter
            does not fit the base, holds numbers that are not finite, or changes nothing somewhere.
    """
    config = read_config(base_dir)
    if "quantization_config" in config:
        raise UserError(
            f"{base_dir} is a quantized model; merging an adapter into it would lose precision "
            "twice. Use the 16-bit base that the adapter was trained on."
        )
    scratch = out_dir.with_name(f".{out_dir.name}.{uuid.uuid4().hex}")
    scratch.mkdir(parents=True)
    try:
        report = MergeReport(out_dir)
        if adapter_dir is None:
            for file in sorted(base_dir.iterdir()):
                if file.is_file():
                    link_or_copy(file, scratch / file.name)
        else:
            report = _merge(base_dir, adapter_dir, scratch, out_dir, progress, slim)
        if out_dir.exists():
            shutil.rmtree(out_dir)
        scratch.rename(out_dir)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return report


def _merge(
    base_dir: Path, adapter_dir: Path, out: Path, folder: Path, progress: Progress, slim: bool
) -> MergeReport:
    adapter = read_adapter(adapter_dir)
    layouts = {path: read_layout(path) for path in weight_files(base_dir)}
    tensors = {name: tensor for layout in layouts.values() for name, tensor in layout.items()}
    pairs = line_up(adapter, base_dir, tensors)
    changed: list[tuple[float, float]] = []

    def tell(share: float, rounding: float) -> None:
        changed.append((share, rounding))
        progress("merge the adapter", len(changed), len(pairs))

    changes = {
        name: _change(adapter, pair, tensors[name], base_dir, tell) for name, pair in pairs.items()
    }
    tall = tall_tensors(base_dir) if slim else {}
    for file in sorted(base_dir.iterdir()):
        here = {name: change for name, change in changes.items() if name in layouts.get(file, ())}
        if any(tensor.path == file for tensor in tall.values()):
            write_slim(file, tall, out / file.name, here)
        elif here:
            copy_with_changes(file, out / file.name, here)
        elif file.is_file():
            link_or_copy(file, out / file.name)
    template = read_template(adapter_dir)
    if template is not None and template != read_template(out):
        write_template(out, template)
    return MergeReport(
        folder,
        tensors=len(changed),
        least_changed=min(share for share, _ in changed),
        rounding=max(rounding for _, rounding in changed),
    )


def _change(
    adapter: Adapter,
    pair: Pair,
    tensor: StoredTensor,
    base_dir: Path,
    tell: Callable[[float, float], None],
) -> Callable[[bytearray], bytes]:
    """The function that puts one pair into the bytes of its weight."""
    if tensor.dtype not in TORCH_TYPES:
        raise UserError(
            f"{tensor.name} of {base_dir} is stored as {tensor.dtype}. "
            "Merge into a base of 16 or 32 bits."
        )

    def merged(before: bytearray) -> bytes:
        import torch
        from safetensors import safe_open

        with safe_open(str(adapter.weights), framework="pt") as matrices:
            a: Any = matrices.get_tensor(pair.a).float()
            b: Any = matrices.get_tensor(pair.b).float()
        dtype = getattr(torch, TORCH_TYPES[tensor.dtype])
        weight = torch.frombuffer(before, dtype=dtype).reshape(tensor.shape)
        update = (b @ a).mul_(pair.scale)
        after = (weight.float() + update).to(dtype)
        if not bool(torch.isfinite(after).all()):
            raise UserError(
                f"The adapter in {adapter.folder} makes {pair.module} not finite. "
                "Train again with a lower learning rate."
            )
        share = float((after != weight).float().mean())
        if share == 0:
            raise UserError(
                f"The adapter in {adapter.folder} changes nothing in {pair.module}, so it was not "
                "trained there, or its steps are below the base's precision. "
                "Train longer or with a higher learning rate."
            )
        norm = float(update.norm())
        lost = float((after.float() - weight.float() - update).norm())
        tell(share, lost / norm)
        return bytes(after.view(torch.uint8).numpy().tobytes())

    return merged
