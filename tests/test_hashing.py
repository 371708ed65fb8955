from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from supportbot_dagster.hashing import sha256_file, sha256_json, sha256_text


def test_text_and_file_agree_with_the_standard(tmp_path: Path) -> None:
    text = "naïve → ✓"
    wanted = hashlib.sha256(text.encode()).hexdigest()
    path = tmp_path / "a"
    path.write_text(text, encoding="utf-8")
    assert sha256_text(text) == sha256_file(path) == wanted
    assert sha256_text("") == hashlib.sha256(b"").hexdigest()


def test_a_file_longer_than_a_block(tmp_path: Path) -> None:
    data = bytes(range(256)) * 5000
    path = tmp_path / "long"
    path.write_bytes(data)
    assert sha256_file(path) == hashlib.sha256(data).hexdigest()
    path.write_bytes(data[:-1] + b"\0")
    assert sha256_file(path) != hashlib.sha256(data).hexdigest(), "the last byte counts"


def test_json_does_not_depend_on_the_order_of_keys() -> None:
    assert sha256_json({"a": 1, "b": [1, 2]}) == sha256_json({"b": [1, 2], "a": 1})
    assert sha256_json({"a": [1, 2]}) != sha256_json({"a": [2, 1]}), "the order of a list counts"
    assert sha256_json(["ab", "c"]) != sha256_json(["a", "bc"])
    assert sha256_json(1) != sha256_json("1")


def test_what_json_cannot_express_is_refused() -> None:
    with pytest.raises(TypeError):
        sha256_json({"a": {1, 2}})
