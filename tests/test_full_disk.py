"""A disk that is really full: old data stays whole and nothing half-written remains."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from upath import UPath

from supportbot_dagster.artifacts import Manifest, load, publish, staging
from supportbot_dagster.jsonl import read_jsonl, write_jsonl_atomic


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one MiB."""
    place = tmp_path / "small-disk"
    place.mkdir()
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    command = [mount, "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("this machine does not allow mounting")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=False, capture_output=True)


def manifest(version: str) -> Manifest:
    return Manifest("gguf", "2026-01", version, {}, {})


def names(folder: Path) -> list[str]:
    return sorted(item.name for item in folder.iterdir())


def test_rows_on_a_full_disk(small_disk: Path) -> None:
    path = small_disk / "rows.jsonl"
    write_jsonl_atomic(path, [{"a": "old"}])
    with pytest.raises(OSError, match="No space left") as caught:
        write_jsonl_atomic(path, ({"a": "x" * 1000} for _ in range(2000)))
    assert caught.value.errno == errno.ENOSPC
    assert read_jsonl(path) == [{"a": "old"}]
    assert names(small_disk) == ["rows.jsonl"]
    write_jsonl_atomic(path, [{"a": "x" * 1000} for _ in range(500)])
    assert len(read_jsonl(path)) == 500, "the space is free again"


def test_staging_on_a_full_disk(small_disk: Path) -> None:
    with pytest.raises(OSError, match="No space left"), staging(small_disk, "gguf") as folder:
        (folder / "model.gguf").write_bytes(b"x" * (2 << 20))
    assert names(small_disk / "staging") == []
    (small_disk / "after").write_bytes(b"x" * (1 << 19))


def test_an_artifact_on_a_full_disk_leaves_the_one_before(small_disk: Path, tmp_path: Path) -> None:
    """The scratch folder lies on another disk, so publishing copies."""
    target = UPath(str(small_disk)) / "gguf" / "2026-01"
    with staging(tmp_path / "scratch", "gguf") as folder:
        (folder / "model.gguf").write_bytes(b"old")
        publish(folder, target, manifest("1"))
    with staging(tmp_path / "scratch", "gguf") as folder:
        (folder / "model.gguf").write_bytes(b"x" * (2 << 20))
        # copytree gathers what went wrong; shutil.Error is an OSError
        with pytest.raises(OSError, match="No space left"):
            publish(folder, target, manifest("2"))
    assert load(target, tmp_path / "cache").manifest.code_version == "1"
    assert names(small_disk / "gguf") == ["2026-01"]


def test_publishing_reaches_from_one_disk_to_another(small_disk: Path, tmp_path: Path) -> None:
    target = UPath(str(small_disk)) / "gguf" / "2026-01"
    for version in ("1", "2"):
        with staging(tmp_path / "scratch", "gguf") as folder:
            (folder / "sub").mkdir()
            (folder / "sub" / "model.gguf").write_bytes(version.encode())
            publish(folder, target, manifest(version))
        artifact = load(target, tmp_path / "cache")
        assert artifact.file("sub/model.gguf").read_bytes() == version.encode()
    assert names(small_disk / "gguf") == ["2026-01"]
