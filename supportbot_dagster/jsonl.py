"""JSON Lines on disk, read strictly and written atomically.

What lives here: reading and writing of ``.jsonl`` files on a local path or any UPath. What does
not: the schema of the rows.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from supportbot_dagster.errors import UserError

if TYPE_CHECKING:
    from upath import UPath

Row = dict[str, Any]


def dumps(row: Mapping[str, Any]) -> str:
    """One row as one JSON line without the newline; keys keep their order."""
    return json.dumps(row, ensure_ascii=False)


def read_jsonl(path: Path | UPath) -> list[Row]:
    """All rows of a JSON Lines file.

    Raises:
        UserError: if the file is missing, is not UTF-8, or a line is not a JSON object; the
            message names the line.
    """
    rows: list[Row] = []
    try:
        # Some editors open a UTF-8 file with a byte order mark.
        with path.open("r", encoding="utf-8-sig") as stream:
            for number, line in enumerate(stream, start=1):
                if not line.strip():
                    continue
                try:
                    row = json.loads(line)
                except json.JSONDecodeError as error:
                    raise UserError(
                        f"{path} line {number} is not JSON ({error.msg}). "
                        "Write one JSON object a line."
                    ) from None
                if not isinstance(row, dict):
                    raise UserError(
                        f"{path} line {number} is a {type(row).__name__}, not an object. "
                        "Write one JSON object a line."
                    )
                rows.append(row)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist. Check the path.") from None
    except IsADirectoryError:
        raise UserError(f"{path} is a folder. Name a file in it.") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 ({error.reason}). Save it as UTF-8.") from None
    return rows


def write_jsonl_atomic(path: Path, rows: Iterable[Mapping[str, Any]]) -> int:
    """Write rows to ``path`` through a temporary file and a rename; returns their number.

    A reader sees the old file or the whole new one, never a part. Parent folders are made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    count = 0
    try:
        with temporary.open("w", encoding="utf-8", newline="\n") as stream:
            for row in rows:
                stream.write(dumps(row) + "\n")
                count += 1
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return count


def write_jsonl(path: UPath, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows to a local path or one of an object store; they are there whole or not at all.

    An object store makes a single upload visible at once by itself.
    """
    if getattr(path, "protocol", "") in ("", "file", "local"):
        write_jsonl_atomic(Path(path.path), rows)
    else:
        path.write_text("".join(dumps(row) + "\n" for row in rows), encoding="utf-8")
