"""Reading the header of a GGUF file: metadata, tensor names, shapes and types.

What lives here: a reader in plain Python that needs no runtime and finds a truncated or damaged
file before llama.cpp opens it. What does not: the weights themselves, and writing.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (version 3, little endian).
"""

import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

from supportbot_dagster.errors import UserError

# ggml type id -> (name, weights per block, bytes per block); ggml/src/ggml-common.h
_TYPES: dict[int, tuple[str, int, int]] = {
    0: ("F32", 1, 4),
    1: ("F16", 1, 2),
    2: ("Q4_0", 32, 18),
    3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24),
    8: ("Q8_0", 32, 34),
    10: ("Q2_K", 256, 84),
    11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210),
    20: ("IQ4_NL", 32, 18),
    23: ("IQ4_XS", 256, 136),
    24: ("I8", 1, 1),
    25: ("I16", 1, 2),
    26: ("I32", 1, 4),
    27: ("I64", 1, 8),
    28: ("F64", 1, 8),
    30: ("BF16", 1, 2),
}
TYPE_IDS = {name: number for number, (name, _, _) in _TYPES.items()}
K_QUANTS = frozenset({"Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"})
PLAIN_TYPES = frozenset({"F32", "F16", "BF16"})

# metadata value type id -> struct code; 8 is a string, 9 an array
_SCALARS = {
    0: "<B",
    1: "<b",
    2: "<H",
    3: "<h",
    4: "<I",
    5: "<i",
    6: "<f",
    7: "<?",
    10: "<Q",
    11: "<q",
    12: "<d",
}
_STRING, _ARRAY = 8, 9
_MAX_COUNT = 1 << 32


@dataclass(frozen=True)
class Tensor:
    """One tensor of the file.

    Args:
        name: the name in the file, ``blk.0.attn_q.weight`` for example.
        shape: dimensions, the contiguous one first.
        type_name: ``F16``, ``Q4_K`` and so on.
        size: bytes of its data.
        start: offset of its data from the beginning of the file.
        info: offset of its dimensions in the header; type and offset of the data follow them.
    """

    name: str
    shape: tuple[int, ...]
    type_name: str
    size: int
    start: int = 0
    info: int = 0

    @property
    def weights(self) -> int:
        """Number of elements."""
        return prod(self.shape)


@dataclass(frozen=True)
class GgufHeader:
    """What a GGUF file says about itself."""

    metadata: Mapping[str, Any]
    tensors: tuple[Tensor, ...]
    data_start: int = 0
    alignment: int = 32

    @property
    def architecture(self) -> str:
        """``general.architecture``, for example ``llama``."""
        return str(self.metadata.get("general.architecture", ""))

    @property
    def chat_template(self) -> str | None:
        """The embedded Jinja chat template."""
        template = self.metadata.get("tokenizer.chat_template")
        return template if isinstance(template, str) else None

    def token(self, kind: str) -> str | None:
        """Text of a special token, by kind: ``bos``, ``eos``, ``eot``; None where there is none."""
        index = self.metadata.get(f"tokenizer.ggml.{kind}_token_id")
        tokens = self.metadata.get("tokenizer.ggml.tokens")
        if index is None or not isinstance(tokens, list) or index >= len(tokens):
            return None
        return str(tokens[index])

    def weights_by_type(self) -> dict[str, int]:
        """Number of weights stored in each type, the most frequent first."""
        counts: Counter[str] = Counter()
        for tensor in self.tensors:
            counts[tensor.type_name] += tensor.weights
        return dict(counts.most_common())


def data_size(type_name: str, weights: int) -> int:
    """Bytes of so many weights in a type."""
    _, block, block_bytes = _TYPES[TYPE_IDS[type_name]]
    return weights // block * block_bytes


def read_header(path: Path) -> GgufHeader:
    """Read the header and check that the file holds every byte that it announces.

    Raises:
        UserError: if the file is missing, is no GGUF, is damaged, or ends too early.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            return _read(path, stream, size)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist. Check the path of the GGUF file.") from None
    except (struct.error, UnicodeDecodeError, MemoryError, OverflowError, EOFError):
        raise _damaged(path, "its header is cut off or unreadable") from None


def _damaged(path: Path, what: str) -> UserError:
    return UserError(f"{path} is not a sound GGUF file: {what}. Export or copy it again.")


def _read(path: Path, stream: BinaryIO, file_size: int) -> GgufHeader:
    if stream.read(4) != b"GGUF":
        raise _damaged(path, "it does not begin with the letters GGUF")
    (version,) = struct.unpack("<I", stream.read(4))
    if version not in (2, 3):
        raise _damaged(path, f"version {version} is unknown, 2 and 3 are known")
    tensor_count, entry_count = struct.unpack("<QQ", stream.read(16))
    if max(tensor_count, entry_count) > _MAX_COUNT:
        raise _damaged(path, "it announces impossible counts")
    metadata: dict[str, Any] = {}
    for _ in range(entry_count):
        key = _string(stream, file_size)
        (kind,) = struct.unpack("<I", stream.read(4))
        metadata[key] = _value(path, stream, kind, file_size)
    tensors: list[Tensor] = []
    end = 0
    for _ in range(tensor_count):
        name = _string(stream, file_size)
        (dimensions,) = struct.unpack("<I", stream.read(4))
        if dimensions > 8:
            raise _damaged(path, f"tensor {name} has {dimensions} dimensions")
        info = stream.tell()
        shape = struct.unpack(f"<{dimensions}Q", stream.read(8 * dimensions))
        type_id, offset = struct.unpack("<IQ", stream.read(12))
        if type_id not in _TYPES:
            raise _damaged(path, f"tensor {name} is of the unknown type {type_id}")
        type_name, block, block_bytes = _TYPES[type_id]
        size = prod(shape) // block * block_bytes
        tensors.append(Tensor(name, shape, type_name, size, offset, info))
        end = max(end, offset + size)
    alignment = int(metadata.get("general.alignment", 32)) or 32
    data_start = -(-stream.tell() // alignment) * alignment
    if tensors and file_size < data_start + end:
        raise _damaged(path, f"{data_start + end} bytes are announced and {file_size} are there")
    placed = (replace(tensor, start=data_start + tensor.start) for tensor in tensors)
    return GgufHeader(metadata, tuple(placed), data_start, alignment)


def _exactly(stream: BinaryIO, count: int, file_size: int) -> bytes:
    # A damaged length must not make the reader ask for exabytes.
    if count > file_size:
        raise EOFError
    data = stream.read(count)
    if len(data) != count:
        raise EOFError
    return data


def _string(stream: BinaryIO, file_size: int) -> str:
    (length,) = struct.unpack("<Q", stream.read(8))
    return _exactly(stream, length, file_size).decode("utf-8", errors="surrogateescape")


def _value(path: Path, stream: BinaryIO, kind: int, file_size: int) -> Any:
    if kind == _STRING:
        return _string(stream, file_size)
    if kind == _ARRAY:
        item_kind, count = struct.unpack("<IQ", stream.read(12))
        if count > file_size:
            raise EOFError
        if item_kind in _SCALARS:
            code = _SCALARS[item_kind][1]
            width = struct.calcsize(f"<{code}")
            return list(
                struct.unpack(f"<{count}{code}", _exactly(stream, count * width, file_size))
            )
        return [_value(path, stream, item_kind, file_size) for _ in range(count)]
    if kind not in _SCALARS:
        raise _damaged(path, f"metadata value type {kind} is unknown")
    code = _SCALARS[kind]
    return struct.unpack(code, stream.read(struct.calcsize(code)))[0]
