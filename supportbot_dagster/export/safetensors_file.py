"""Copying a safetensors file with some of its tensors replaced, without loading it.

What lives here: the layout of the file, and a copy that goes through the kernel but for the tensors
that change. What does not: what they change to (:mod:`supportbot_dagster.export.merge`).

A tensor keeps its name, type and shape, so the header of the copy is that of the original, byte by
byte, and never more than one tensor is in memory.

Format: https://huggingface.co/docs/safetensors/index#format (eight bytes with the length of a JSON
header, little endian, the header, the data).
"""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

from supportbot_dagster.errors import UserError

INDEX = "model.safetensors.index.json"
_LENGTH_BYTES = 8
_LONGEST_HEADER = 100 << 20  # the limit of the safetensors library
_BLOCK = 16 << 20

TORCH_TYPES = {"BF16": "bfloat16", "F16": "float16", "F32": "float32"}
"""Types that weights are trained in, by their names in a header and in PyTorch."""

Change = Callable[[bytearray], bytes]
"""Takes the bytes of a tensor, gives those to write in their place: as many."""


@dataclass(frozen=True)
class StoredTensor:
    """Where a tensor lies in its file.

    Args:
        name: as in the header.
        dtype: as in the header: ``BF16``, ``F16``, ``F32`` and so on.
        shape: dimensions, the contiguous one last.
        start: offset of its first byte from the beginning of the file.
        stop: offset behind its last byte.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int


def weight_files(model_dir: Path) -> list[Path]:
    """The safetensors files of a model folder: those of its index, else all.

    Raises:
        UserError: if there are none, or the index is broken or names one that is missing.
    """
    index = model_dir / INDEX
    if not index.is_file():
        files = sorted(model_dir.glob("*.safetensors"))
        if not files:
            raise UserError(
                f"{model_dir} holds no *.safetensors weights. Download the model again."
            )
        return files
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{index} cannot be read ({error}). Download the model again.") from None
    for name in names:
        if not (model_dir / str(name)).is_file():
            raise UserError(
                f"{model_dir} lacks {name}, which {INDEX} names. Download the model again."
            )
    return [model_dir / str(name) for name in names]


def read_layout(path: Path) -> dict[str, StoredTensor]:
    """Every tensor of a file by its name, in the order of their data.

    Raises:
        UserError: if the header is damaged or the file ends before its last tensor.
    """
    size = path.stat().st_size
    try:
        with path.open("rb") as stream:
            length = int.from_bytes(_exactly(stream, _LENGTH_BYTES), "little")
            if length > min(size, _LONGEST_HEADER):
                raise ValueError("the header is longer than the file")
            header: dict[str, Any] = json.loads(_exactly(stream, length))
        begin = _LENGTH_BYTES + length
        found = [
            StoredTensor(
                name,
                str(entry["dtype"]),
                tuple(int(number) for number in entry["shape"]),
                begin + int(entry["data_offsets"][0]),
                begin + int(entry["data_offsets"][1]),
            )
            for name, entry in header.items()
            if name != "__metadata__"
        ]
        found.sort(key=lambda tensor: tensor.start)
        for tensor, after in pairwise(found):
            if not begin <= tensor.start <= tensor.stop <= after.start:
                raise ValueError(f"{tensor.name} and {after.name} overlap")
        if found and found[-1].stop > size:
            raise ValueError(f"it should hold {found[-1].stop} bytes and holds {size}")
    except (ValueError, KeyError, TypeError, AttributeError, EOFError, IndexError) as error:
        raise UserError(
            f"The weights in {path} are damaged ({error}). Download the model again."
        ) from None
    return {tensor.name: tensor for tensor in found}


def header_bytes(tensors: Mapping[str, tuple[str, tuple[int, ...], int]]) -> bytes:
    """The head of a file whose tensors follow one another in this order.

    Args:
        tensors: type, shape and bytes of each, by name.
    """
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    start = 0
    for name, (dtype, shape, size) in tensors.items():
        stop = start + size
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [start, stop]}
        start = stop
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _LENGTH_BYTES)
    return len(text).to_bytes(_LENGTH_BYTES, "little") + text


def copy_with_changes(source: Path, target: Path, changes: Mapping[str, Change]) -> None:
    """Copy a file; each tensor that ``changes`` names passes through its function.

    Args:
        source: file to copy.
        target: file to write.
        changes: by name of the tensor. They are called in the order of the file, one at a time.

    Raises:
        UserError: if the source is damaged.
        ValueError: if a change gives another number of bytes.
    """
    wanted = [tensor for name, tensor in read_layout(source).items() if name in changes]
    with source.open("rb") as reader, target.open("wb") as writer:
        place = 0
        for tensor in wanted:
            copy_range(reader, writer, place, tensor.start)
            before = bytearray(tensor.stop - tensor.start)
            reader.seek(tensor.start)
            if reader.readinto(before) != len(before):
                raise UserError(f"{source} was cut off while it was read. Download it again.")
            count = len(before)
            after = changes[tensor.name](before)
            if len(after) != count:
                raise ValueError(f"{tensor.name}: {len(after)} bytes for {count}")
            writer.write(after)
            place = tensor.stop
        copy_range(reader, writer, place, source.stat().st_size)


def copy_range(reader: BinaryIO, writer: BinaryIO, start: int, stop: int) -> None:
    """Append bytes ``start`` to ``stop`` of a file to another; within the kernel if it can."""
    writer.flush()
    place = start
    while place < stop and hasattr(os, "copy_file_range"):
        try:
            count = os.copy_file_range(reader.fileno(), writer.fileno(), stop - place, place)
        except OSError:
            break  # between some file systems it is not supported
        if count == 0:
            break
        place += count
    reader.seek(place)
    writer.seek(0, os.SEEK_END)
    while place < stop:
        block = reader.read(min(_BLOCK, stop - place))
        if not block:
            raise UserError(f"{reader.name} was cut off while it was read. Download it again.")
        writer.write(block)
        place += len(block)


def _exactly(stream: BinaryIO, count: int) -> bytes:
    data = stream.read(count)
    if len(data) != count:
        raise EOFError("it ends within its header")
    return data
