"""Embeddings that are too tall for memory, converted and quantized a few rows at a time.

What lives here: taking the tall tensors out of a model folder or a GGUF, and putting them back in.
What does not: everything else that converter and quantizer do
(:mod:`supportbot_dagster.export.convert`).

Both tools hold a whole tensor in 32 bit, twice over. Gemma 4's per-layer embeddings are 2.3 billion
weights in one tensor, 9.4 GB in 32 bit. So the tools are given a model whose tall tensors have only
their first rows, and the rows of the real ones are converted and quantized here. Rows are
independent of one another in every type that is used, so the files are the same, weight by weight.
"""

import ctypes
import math
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from supportbot_dagster.export.gguf_file import (
    PLAIN_TYPES,
    TYPE_IDS,
    GgufHeader,
    Tensor,
    data_size,
    read_header,
)
from supportbot_dagster.export.llama import base_library
from supportbot_dagster.export.model_folder import link_or_copy
from supportbot_dagster.export.safetensors_file import (
    TORCH_TYPES,
    Change,
    StoredTensor,
    copy_range,
    header_bytes,
    read_layout,
    weight_files,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TALL_BYTES = 1 << 30
"""Size in 16 bit from which an embedding counts as tall; 4 GB of memory are then enough."""
ROWS = 256
"""Rows that stay for the tools."""
_BLOCK_WEIGHTS = 8 << 20
# Tensors whose rows are looked up one by one: name in a model folder, name in its GGUF.
_NAMES = {
    "embed_tokens.weight": "token_embd.weight",
    "embed_tokens_per_layer.weight": "per_layer_token_embd.weight",
}
_TOWERS = ("vision", "audio")


@dataclass(frozen=True)
class TallTensor:
    """A tall tensor of a model folder.

    Args:
        path: file that holds it.
        stored: where.
    """

    path: Path
    stored: StoredTensor

    def rows(self) -> Iterator["NDArray[np.float32]"]:
        """All rows in 32 bit, some at a time, shape ``(rows, width)``."""
        import torch

        height, width = self.stored.shape
        dtype = getattr(torch, TORCH_TYPES[self.stored.dtype])
        step = max(1, _BLOCK_WEIGHTS // width)
        bytes_a_row = (self.stored.stop - self.stored.start) // height
        with self.path.open("rb") as stream:
            stream.seek(self.stored.start)
            for first in range(0, height, step):
                count = min(step, height - first)
                block = bytearray(stream.read(count * bytes_a_row))
                yield torch.frombuffer(block, dtype=dtype).reshape(count, width).float().numpy()


def tall_tensors(model_dir: Path, least: int | None = None) -> dict[str, TallTensor]:
    """The tall tensors of a model folder, by their names in a GGUF.

    Args:
        model_dir: folder in the Hugging Face layout.
        least: bytes in 16 bit from which a tensor counts; :data:`TALL_BYTES` by default.
    """
    least = TALL_BYTES if least is None else least
    found: dict[str, TallTensor] = {}
    if not list(model_dir.glob("*.safetensors")):
        return found
    for path in weight_files(model_dir):
        for name, stored in read_layout(path).items():
            last = ".".join(name.split(".")[-2:])
            if (
                last in _NAMES
                and stored.dtype in TORCH_TYPES
                and len(stored.shape) == 2
                and stored.shape[0] > ROWS
                and 2 * stored.shape[0] * stored.shape[1] >= least
                and not any(tower in name for tower in _TOWERS)
            ):
                found[_NAMES[last]] = TallTensor(path, stored)
    return found


def slim_folder(model_dir: Path, tall: Mapping[str, TallTensor], out_dir: Path) -> None:
    """Write the same folder with only the first rows of its tall tensors."""
    out_dir.mkdir(parents=True)
    slim = {tensor.path for tensor in tall.values()}
    for file in sorted(model_dir.iterdir()):
        if file in slim:
            write_slim(file, tall, out_dir / file.name)
        elif file.is_file():
            link_or_copy(file, out_dir / file.name)


def write_slim(
    source: Path,
    tall: Mapping[str, TallTensor],
    target: Path,
    changes: Mapping[str, Change] | None = None,
) -> None:
    """Copy a safetensors file with only the first rows of its tall tensors.

    Args:
        source: file to copy.
        tall: what :func:`tall_tensors` gave; those of other files do not count.
        target: file to write.
        changes: of other tensors, by name, as in
            :func:`supportbot_dagster.export.safetensors_file.copy_with_changes`.
    """
    changes = changes or {}
    cut = [tensor.stored for tensor in tall.values() if tensor.path == source]
    kept: dict[str, tuple[str, tuple[int, ...], int]] = {}
    parts: list[tuple[str, int, int]] = []
    for name, tensor in read_layout(source).items():
        size, shape = tensor.stop - tensor.start, tensor.shape
        if tensor in cut:
            size, shape = size // shape[0] * ROWS, (ROWS, *shape[1:])
        kept[name] = (tensor.dtype, shape, size)
        parts.append((name, tensor.start, tensor.start + size))
    with source.open("rb") as reader, target.open("wb") as writer:
        writer.write(header_bytes(kept))
        for name, start, stop in parts:
            if name in changes:
                reader.seek(start)
                writer.write(changes[name](bytearray(reader.read(stop - start))))
            else:
                copy_range(reader, writer, start, stop)


def put_back(slim: Path, target: Path, tall: Mapping[str, TallTensor]) -> None:
    """Write a GGUF that was converted from a slim folder with its tall tensors whole.

    Args:
        slim: the converter's file; its types are kept.
        target: file to write.
        tall: what :func:`tall_tensors` gave.
    """
    header = read_header(slim)
    types = {tensor.name: tensor.type_name for tensor in header.tensors}
    new = {
        name: Replacement(
            (tensor.stored.shape[1], tensor.stored.shape[0]),
            lambda stream, name=name, tensor=tensor: _write_rows(  # type: ignore[misc]
                stream, tensor.rows(), types[name]
            ),
        )
        for name, tensor in tall.items()
        if name in types
    }
    replace_tensors(slim, header, target, new)


def tall_in_gguf(header: GgufHeader, least: int | None = None) -> list[Tensor]:
    """The tall tensors of an unquantized GGUF."""
    least = TALL_BYTES if least is None else least
    return [
        tensor
        for tensor in header.tensors
        if tensor.name in _NAMES.values()
        and tensor.type_name in PLAIN_TYPES
        and len(tensor.shape) == 2
        and tensor.shape[1] > ROWS
        and 2 * tensor.weights >= least
    ]


def slim_gguf(source: Path, header: GgufHeader, tall: list[Tensor], target: Path) -> None:
    """Write a GGUF with only the first rows of its tall tensors."""

    def first_rows(tensor: Tensor) -> Callable[[BinaryIO], None]:
        def write(stream: BinaryIO) -> None:
            with source.open("rb") as reader:
                size = tensor.size // tensor.shape[1] * ROWS
                copy_range(reader, stream, tensor.start, tensor.start + size)

        return write

    new = {tensor.name: Replacement((tensor.shape[0], ROWS), first_rows(tensor)) for tensor in tall}
    replace_tensors(source, header, target, new)


def put_back_quantized(
    slim: Path, source: Path, tall: list[Tensor], target: Path, threads: int
) -> None:
    """Write a quantized GGUF with its tall tensors whole, in the types that the quantizer chose.

    Args:
        slim: the quantizer's file.
        source: the unquantized file with all rows.
        tall: what :func:`tall_in_gguf` gave of ``source``.
        target: file to write.
        threads: of the processor.
    """
    header = read_header(slim)
    types = {tensor.name: tensor.type_name for tensor in header.tensors}

    def quantized(tensor: Tensor) -> Callable[[BinaryIO], None]:
        def write(stream: BinaryIO) -> None:
            _write_rows(stream, _rows_of_gguf(source, tensor), types[tensor.name], threads)

        return write

    new = {tensor.name: Replacement(tensor.shape, quantized(tensor)) for tensor in tall}
    replace_tensors(slim, header, target, new)


@dataclass(frozen=True)
class Replacement:
    """Other content for a tensor of the same type.

    Args:
        shape: dimensions as the header has them, the contiguous one first.
        write: writes its data.
    """

    shape: tuple[int, ...]
    write: Callable[[BinaryIO], None]


def replace_tensors(
    source: Path, header: GgufHeader, target: Path, new: Mapping[str, Replacement]
) -> None:
    """Copy a GGUF with other content for some of its tensors.

    Numbers in the header have fixed widths, so it keeps its length; only dimensions and offsets
    change.
    """
    with source.open("rb") as reader, target.open("wb") as writer:
        head = bytearray(reader.read(header.data_start))
        places: list[int] = []
        offset = 0
        for tensor in header.tensors:
            shape, size = tensor.shape, tensor.size
            if tensor.name in new:
                shape = new[tensor.name].shape
                size = data_size(tensor.type_name, shape[0] * shape[1])
                for number, dimension in enumerate(shape):
                    at = tensor.info + 8 * number
                    head[at : at + 8] = dimension.to_bytes(8, "little")
            offset = -(-offset // header.alignment) * header.alignment
            at = tensor.info + 8 * len(shape) + 4
            head[at : at + 8] = offset.to_bytes(8, "little")
            places.append(header.data_start + offset)
            offset += size
        writer.write(head)
        for tensor, place in zip(header.tensors, places, strict=True):
            writer.write(b"\0" * (place - writer.tell()))
            if tensor.name in new:
                new[tensor.name].write(writer)
            else:
                copy_range(reader, writer, tensor.start, tensor.start + tensor.size)
        end = -(-offset // header.alignment) * header.alignment
        writer.write(b"\0" * (header.data_start + end - writer.tell()))


def _rows_of_gguf(path: Path, tensor: Tensor) -> Iterator["NDArray[np.float32]"]:
    import numpy as np

    width, height = tensor.shape
    step = max(1, _BLOCK_WEIGHTS // width)
    with path.open("rb") as stream:
        stream.seek(tensor.start)
        for first in range(0, height, step):
            count = min(step, height - first)
            data = stream.read(count * (tensor.size // height))
            if tensor.type_name == "BF16":
                wide = np.frombuffer(data, np.uint16).astype(np.uint32) << 16
                rows = wide.view(np.float32)
            else:
                kind = np.float16 if tensor.type_name == "F16" else np.float32
                rows = np.frombuffer(data, kind).astype(np.float32)
            yield rows.reshape(count, width)


def _write_rows(
    stream: BinaryIO, rows: Iterator["NDArray[np.float32]"], type_name: str, threads: int = 1
) -> None:
    """Write 32-bit rows in a type of ggml."""
    with ThreadPoolExecutor(threads) as pool:
        waiting: list[Any] = []
        for block in rows:
            waiting.append(pool.submit(_encode, block, type_name))
            if len(waiting) > threads:
                stream.write(waiting.pop(0).result())
        for future in waiting:
            stream.write(future.result())


def _encode(rows: "NDArray[np.float32]", type_name: str) -> bytes:
    import numpy as np

    if type_name == "F32":
        return rows.tobytes()
    if type_name == "F16":
        with np.errstate(over="ignore"):
            return rows.astype(np.float16).tobytes()
    count, width = rows.shape
    rows = np.ascontiguousarray(rows)
    out = ctypes.create_string_buffer(data_size(type_name, rows.size))
    written = base_library().ggml_quantize_chunk(
        TYPE_IDS[type_name],
        rows.ctypes.data_as(ctypes.POINTER(ctypes.c_float)),
        out,
        0,
        count,
        width,
        None,
    )
    if written != len(out):
        raise RuntimeError(f"ggml wrote {written} bytes of {type_name} for {len(out)}")
    return out.raw


def whole_size_label(model_dir: Path) -> str:
    """Weights of the language model as converters write them, ``4.6B`` for example."""
    count = sum(
        math.prod(tensor.shape)
        for path in weight_files(model_dir)
        for name, tensor in read_layout(path).items()
        if not any(tower in name for tower in _TOWERS)
    )
    for least, suffix in ((1e12, "T"), (1e9, "B"), (1e6, "M")):
        if count > least:
            scaled = count / least
            return f"{scaled:.{max(2 - len(str(round(scaled))), 0)}f}{suffix}"
    return f"{count / 1e3:.0f}K"
