from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from upath import UPath

from supportbot_dagster import artifacts
from supportbot_dagster.artifacts import (
    MANIFEST,
    Artifact,
    Manifest,
    artifact_path,
    load,
    load_manifest,
    publish,
    staging,
)
from supportbot_dagster.errors import UserError

FILES = {"model.bin": b"\x00\x01weights", "sub/card.md": b"# Card\n"}


def manifest(**changes: Any) -> Manifest:
    fields: dict[str, Any] = {
        "asset": "gguf",
        "month": "2026-01",
        "code_version": "1",
        "inputs": {"lora_adapter": "abc"},
        "parameters": {"quant": "Q4_K_M"},
    }
    return Manifest(**{**fields, **changes})


def put(root: Path, files: dict[str, bytes] | None = None, **changes: Any) -> UPath:
    description = manifest(**changes)
    target = artifact_path(UPath(str(root)), description.asset, description.month)
    with staging(root / "scratch", description.asset) as folder:
        for name, content in (FILES if files is None else files).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        publish(folder, target, description)
    return target


def take(target: UPath) -> Artifact:
    return load(target, Path(str(target)).parent / "cache")


def refusal(target: UPath) -> str:
    with pytest.raises(UserError) as caught:
        take(target)
    text = str(caught.value)
    assert "\n" not in text
    assert "Materialize gguf again." in text
    return text


def test_round_trip(tmp_path: Path) -> None:
    target = put(tmp_path)
    artifact = take(target)
    assert {entry.path for entry in artifact.manifest.files} == set(FILES)
    for name, content in FILES.items():
        assert artifact.file(name).read_bytes() == content
    assert artifact.manifest.data_version == manifest().data_version
    with pytest.raises(UserError, match=r"has no file other\.txt"):
        artifact.file("other.txt")
    Path(str(target), "stray.txt").write_text("x")
    with pytest.raises(UserError, match=r"has no file stray\.txt"):
        take(target).file("stray.txt")


def test_the_data_version_follows_the_recipe_alone() -> None:
    version = manifest().data_version
    assert manifest(files=(artifacts.FileEntry("a", "b", 1),)).data_version == version
    for change in (
        {"code_version": "2"},
        {"inputs": {"lora_adapter": "abd"}},
        {"parameters": {"quant": "F16"}},
        {"asset": "other"},
    ):
        assert manifest(**change).data_version != version


@pytest.mark.parametrize("kept", [[], ["model.bin"], ["model.bin", "sub/card.md"]])
def test_a_folder_without_its_manifest_is_refused(tmp_path: Path, kept: list[str]) -> None:
    """What a kill leaves when files are written in place, the manifest last."""
    target = artifact_path(UPath(str(tmp_path)), "gguf", "2026-01")
    for name in kept:
        path = Path(str(target), name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(FILES[name])
    assert "no whole artifact" in refusal(target)


def test_a_missing_a_cut_and_a_tampered_file_are_refused(tmp_path: Path) -> None:
    target = put(tmp_path)
    path = Path(str(target), "model.bin")
    original = path.read_bytes()
    path.write_bytes(original[:-1])
    assert "model.bin has 8 bytes, not 9" in refusal(target)
    path.write_bytes(original[:-1] + b"S")
    assert "model.bin has changed since it was written" in refusal(target)
    path.unlink()
    assert "model.bin is missing" in refusal(target)
    path.write_bytes(original)
    assert take(target).manifest.asset == "gguf", "whole again"


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '"x"', "{}", '{"data_version": "x", "files": [{"a": 1}]}']
)
def test_a_broken_manifest_is_refused(tmp_path: Path, text: str) -> None:
    target = put(tmp_path)
    (target / MANIFEST).write_text(text)
    assert "is not valid" in refusal(target)


def test_a_manifest_with_another_recipe_is_refused(tmp_path: Path) -> None:
    target = put(tmp_path)
    value = json.loads((target / MANIFEST).read_text())
    value["inputs"]["lora_adapter"] = "of another month"
    (target / MANIFEST).write_text(json.dumps(value))
    assert "data version does not fit" in refusal(target)


def test_a_new_one_takes_the_place_of_the_old_whole(tmp_path: Path) -> None:
    target = put(tmp_path)
    put(tmp_path, {"model.bin": b"new"}, code_version="2")
    artifact = take(target)
    assert artifact.file("model.bin").read_bytes() == b"new"
    assert not Path(str(target), "sub").exists(), "nothing of the old one is left in it"
    assert [item.name for item in (tmp_path / "gguf").iterdir()] == ["2026-01"]


@pytest.mark.parametrize("broken_at", [0, 1, 2])
def test_a_rename_that_fails_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken_at: int
) -> None:
    target = put(tmp_path)
    rename = Path.rename
    calls: list[Path] = []

    def failing(self: Path, new: Path) -> Path:
        calls.append(self)
        if len(calls) == broken_at + 1:
            raise PermissionError(13, "Permission denied")
        return rename(self, new)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(PermissionError):
        put(tmp_path, {"model.bin": b"new"}, code_version="2")
    monkeypatch.undo()
    assert len(calls) > broken_at, "the failure was met"
    assert take(target).file("model.bin").read_bytes() == FILES["model.bin"]
    assert [item.name for item in (tmp_path / "gguf").iterdir()] == ["2026-01"]


KILLED = """
import os, signal, sys
from pathlib import Path
from upath import UPath
from supportbot_dagster import artifacts
root = Path(sys.argv[1])
with artifacts.staging(root / "scratch", "gguf") as folder:
    (folder / "model.bin").write_bytes(b"half")
    if sys.argv[2] == "renaming":
        rename = Path.rename
        def once(self, new):
            rename(self, new)
            if str(new).endswith(".old"):
                os.kill(os.getpid(), signal.SIGKILL)
        Path.rename = once
        artifacts.publish(
            folder, UPath(str(root)) / "gguf" / "2026-01",
            artifacts.Manifest("gguf", "2026-01", "2", {}, {}),
        )
    os.kill(os.getpid(), signal.SIGKILL)
"""


def killed(root: Path, where: str) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(root), where], capture_output=True)
    assert done.returncode == -9, done.stderr


def test_what_a_killed_build_leaves_is_cleaned_and_never_read(tmp_path: Path) -> None:
    killed(tmp_path, "building")
    assert len(list((tmp_path / "scratch" / "staging").iterdir())) == 1, "the kill left something"
    assert "no whole artifact" in refusal(artifact_path(UPath(str(tmp_path)), "gguf", "2026-01"))
    put(tmp_path)
    assert list((tmp_path / "scratch" / "staging").iterdir()) == []


def test_a_kill_between_the_renames_is_mended_by_the_next_run(tmp_path: Path) -> None:
    target = put(tmp_path)
    killed(tmp_path, "renaming")
    litter = [item.name for item in (tmp_path / "gguf").iterdir()]
    assert len(litter) == 2, "old and new stand aside"
    assert "no whole artifact" in refusal(target)
    put(tmp_path, {"model.bin": b"new"}, code_version="2")
    assert take(target).file("model.bin").read_bytes() == b"new"
    assert [item.name for item in (tmp_path / "gguf").iterdir()] == ["2026-01"]


def test_cleaning_spares_processes_that_live_and_other_assets(tmp_path: Path) -> None:
    folder = tmp_path / "staging"
    living = folder / f"gguf.{os.getppid()}.aaaa"
    other = folder / "gguf_report.999999999.bbbb"
    dead = folder / "gguf.999999999.cccc"
    for place in (living, other, dead):
        place.mkdir(parents=True)
    with staging(tmp_path, "gguf") as mine:
        assert sorted(folder.iterdir()) == sorted([living, other, mine])
    assert sorted(folder.iterdir()) == sorted([living, other])


def test_a_failed_build_is_removed_and_nothing_is_published(tmp_path: Path) -> None:
    def build() -> None:
        with staging(tmp_path, "gguf") as folder:
            (folder / "model.bin").write_bytes(b"x")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        build()
    assert list((tmp_path / "staging").iterdir()) == []


def test_a_store_that_is_no_folder(tmp_path: Path) -> None:
    """Objects in memory: files first, the manifest last, read through the cache."""
    root = UPath(f"memory://{tmp_path.name}")
    target = artifact_path(root, "gguf", "2026-01")
    for version, content in (("1", b"one"), ("2", b"two")):
        with staging(tmp_path, "gguf") as folder:
            (folder / "sub").mkdir()
            (folder / "sub" / "model.bin").write_bytes(content)
            publish(folder, target, manifest(code_version=version))
        artifact = load(target, tmp_path / "cache")
        assert artifact.path.is_relative_to(tmp_path / "cache")
        assert artifact.file("sub/model.bin").read_bytes() == content
    (target / "sub" / "model.bin").write_bytes(b"six")
    with pytest.raises(UserError, match="has changed since"):
        load(target, tmp_path / "another-cache")
    (target / MANIFEST).unlink()
    with pytest.raises(UserError, match="no whole artifact"):
        load_manifest(target)
