from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from supportbot_dagster.errors import UserError
from supportbot_dagster.export import safetensors_file
from supportbot_dagster.export.safetensors_file import (
    copy_with_changes,
    read_layout,
    weight_files,
)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    draw = np.random.default_rng(0)
    shapes = {"a": (3, 5), "b": (700, 600), "c": (), "empty": (0, 4), "d": (64,)}
    save_file(
        {name: draw.standard_normal(shape).astype("float32") for name, shape in shapes.items()},
        path,
        metadata={"format": "pt"},
    )
    return path


def doubled(before: bytearray) -> bytes:
    return (np.frombuffer(before, "float32") * 2).tobytes()


@pytest.mark.parametrize("within_the_kernel", [True, False])
def test_only_the_named_tensors_change(
    weights: Path, tmp_path: Path, within_the_kernel: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not within_the_kernel:

        def refuse(*arguments: object) -> int:
            raise OSError("not between these file systems")

        monkeypatch.setattr(os, "copy_file_range", refuse, raising=False)
        monkeypatch.setattr(safetensors_file, "_BLOCK", 1000)
    out = tmp_path / "out.safetensors"
    copy_with_changes(weights, out, {"b": doubled, "c": doubled})
    before, after = load_file(weights), load_file(out)
    assert out.stat().st_size == weights.stat().st_size
    assert read_layout(out) == read_layout(weights)
    for name, value in before.items():
        expected = value * 2 if name in ("b", "c") else value
        assert np.array_equal(after[name], expected), name


def test_without_a_change_it_is_a_copy(weights: Path, tmp_path: Path) -> None:
    copy_with_changes(weights, tmp_path / "out", {})
    assert (tmp_path / "out").read_bytes() == weights.read_bytes()


def test_a_change_of_another_size_is_refused(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a: 1 bytes for 60"):
        copy_with_changes(weights, tmp_path / "out", {"a": lambda before: b"x"})


@pytest.mark.parametrize("keep", [4, 30, -1])
def test_a_file_that_was_cut_off_is_refused(weights: Path, keep: int) -> None:
    weights.write_bytes(weights.read_bytes()[:keep])
    with pytest.raises(UserError, match=r"model\.safetensors are damaged"):
        read_layout(weights)


def test_tensors_that_overlap_are_refused(weights: Path) -> None:
    data = weights.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header["a"]["data_offsets"] = header["b"]["data_offsets"]
    changed = json.dumps(header).encode()
    weights.write_bytes(len(changed).to_bytes(8, "little") + changed + data[8 + length :])
    with pytest.raises(UserError, match="overlap"):
        read_layout(weights)


def test_files_are_those_of_the_index(weights: Path, tmp_path: Path) -> None:
    assert weight_files(tmp_path) == [weights]
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "one.safetensors"}}))
    with pytest.raises(UserError, match=r"lacks one\.safetensors"):
        weight_files(tmp_path)
    index.write_text("[]")
    with pytest.raises(UserError, match="cannot be read"):
        weight_files(tmp_path)
    with pytest.raises(UserError, match=r"holds no \*\.safetensors"):
        weight_files(tmp_path / "nowhere")
