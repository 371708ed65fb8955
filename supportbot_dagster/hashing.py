"""SHA-256 of texts, JSON values and files.

What lives here: the only hash functions of the project, so that equal content has equal hashes
everywhere. What does not: which fields enter a hash; the owner of a record decides that.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def sha256_text(text: str) -> str:
    """Hex SHA-256 of the UTF-8 bytes of ``text``."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def sha256_json(value: Any) -> str:
    """Hex SHA-256 of ``value`` as canonical JSON (sorted keys, no spaces).

    Raises:
        TypeError: if ``value`` holds something that JSON cannot express.
    """
    return sha256_text(_CANONICAL.encode(value))


def sha256_path(path: Path) -> str:
    """Hex SHA-256 of a file, or of a folder's file names and contents; ``missing`` for neither."""
    if path.is_file():
        return sha256_file(path)
    if path.is_dir():
        return sha256_json(
            {
                entry.relative_to(path).as_posix(): sha256_file(entry)
                for entry in sorted(path.rglob("*"))
                if entry.is_file()
            }
        )
    return "missing"


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file's bytes, read in 1 MiB blocks."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
