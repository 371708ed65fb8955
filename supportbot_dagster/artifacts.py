"""Directory artifacts: models, reports and bundles with a manifest, written atomically.

What lives here: the manifest, staging, publishing and checked loading, on a local folder or any
store that fsspec reaches. What does not: JSON Lines of rows (:mod:`supportbot_dagster.jsonl`) and
Dagster's IO managers (:mod:`supportbot_dagster.resources.artifact_store`).

An artifact is the directory ``<root>/<asset>/<month>/``. Its ``manifest.json`` is what makes it
valid: on a local folder the whole directory appears by one rename, on an object store the manifest
is uploaded last. A reader refuses a directory whose manifest is missing or does not fit its files.
"""

import errno
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from upath import UPath

from supportbot_dagster.errors import UserError
from supportbot_dagster.hashing import sha256_file, sha256_json

MANIFEST = "manifest.json"
UNPARTITIONED = "_"
"""Stands for the month of an asset that has no partitions."""


@dataclass(frozen=True)
class FileEntry:
    """One file of an artifact: path relative to it, SHA-256 in hex, size in bytes."""

    path: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Manifest:
    """What an artifact was made of and what it holds.

    Args:
        asset: key of the asset.
        month: partition key, or :data:`UNPARTITIONED`.
        code_version: of the asset.
        inputs: asset key to data version of what was read.
        parameters: settings that decided the content.
        files: every file but the manifest, sorted by path.
    """

    asset: str
    month: str
    code_version: str
    inputs: dict[str, str]
    parameters: dict[str, Any]
    files: tuple[FileEntry, ...] = field(default=())

    @property
    def data_version(self) -> str:
        """Hash of inputs, parameters and code version: the same recipe is the same version."""
        return sha256_json([self.asset, self.code_version, self.inputs, self.parameters])[:32]

    def to_json(self) -> str:
        """The file's text."""
        return json.dumps({**asdict(self), "data_version": self.data_version}, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Manifest":
        """The inverse of :meth:`to_json`.

        Raises:
            ValueError: if the text does not fit, or its data version is not that of its fields.
        """
        value = json.loads(text)
        stated = value.pop("data_version")
        value["files"] = tuple(FileEntry(**entry) for entry in value["files"])
        manifest = cls(**value)
        if manifest.data_version != stated:
            raise ValueError("the data version does not fit the other fields")
        return manifest


@dataclass(frozen=True)
class Artifact:
    """A valid artifact on local disk."""

    path: Path
    manifest: Manifest

    def file(self, name: str) -> Path:
        """Path of one of its files.

        Raises:
            UserError: if the manifest does not list it.
        """
        if not any(entry.path == name for entry in self.manifest.files):
            raise UserError(
                f"{self.path} has no file {name}. Materialize {self.manifest.asset} again."
            )
        return self.path / name

    def read_json(self, name: str) -> Any:
        """One of its files as JSON."""
        return json.loads(self.file(name).read_text(encoding="utf-8"))


def list_files(folder: Path) -> tuple[FileEntry, ...]:
    """Entries of all files below ``folder`` but the manifest, sorted by path."""
    return tuple(
        FileEntry(path.relative_to(folder).as_posix(), sha256_file(path), path.stat().st_size)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).as_posix() != MANIFEST
    )


def artifact_path(root: UPath, asset: str, month: str) -> UPath:
    """Where an artifact stands under a root."""
    return root / asset / month


@contextmanager
def staging(scratch: Path, asset: str) -> Iterator[Path]:
    """A fresh folder to build an artifact in; removed on leaving, whatever happened.

    Leftovers of processes that were killed are removed as well.
    """
    folder = scratch / "staging"
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob(f"{asset}.*"):
        pid = old.name.split(".")[1]
        if not (pid.isdigit() and process_alive(int(pid))):
            shutil.rmtree(old, ignore_errors=True)
    place = folder / f"{asset}.{os.getpid()}.{uuid.uuid4().hex[:8]}"
    place.mkdir()
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def publish(staged: Path, target: UPath, manifest: Manifest) -> Manifest:
    """Make a staged folder the artifact at ``target``; returns the manifest with its files.

    The staged folder is moved (local) or uploaded with the manifest last (object store).
    """
    complete = Manifest(**{**_fields(manifest), "files": list_files(staged)})
    if _is_local(target):
        (staged / MANIFEST).write_text(complete.to_json(), encoding="utf-8")
        _swap(staged, Path(target.path))
        return complete
    (target / MANIFEST).unlink(missing_ok=True)
    for entry in complete.files:
        destination = target / entry.path
        destination.fs.put_file(str(staged / entry.path), destination.path)
    (target / MANIFEST).write_text(complete.to_json(), encoding="utf-8")
    return complete


def load_manifest(target: UPath) -> Manifest:
    """The manifest of an artifact.

    Raises:
        UserError: if it is missing or invalid.
    """
    try:
        return Manifest.from_json((target / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"{target} is no whole artifact: it has no {MANIFEST}. "
            f"Materialize {target.parent.name} again."
        ) from None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(
            f"{target / MANIFEST} is not valid ({error}). Materialize {target.parent.name} again."
        ) from None


def load(target: UPath, cache: Path) -> Artifact:
    """Load and check an artifact: every file is there with its size and hash.

    An artifact on an object store is copied into ``cache``; files that are there already and fit
    are not fetched again.

    Raises:
        UserError: naming the first file that does not fit.
    """
    manifest = load_manifest(target)
    local = _is_local(target)
    if local:
        folder = Path(target.path)
    else:
        folder = cache / manifest.asset / manifest.month / manifest.data_version
    for entry in manifest.files:
        problem = check_file(folder, entry)
        if problem is not None and not local:
            # Not copied yet, damaged, or the copy of an earlier run of the same recipe.
            problem = _fetch(target, entry, folder) or check_file(folder, entry)
        if problem is not None:
            raise UserError(f"{target}: {problem}. Materialize {manifest.asset} again.")
    return Artifact(folder, manifest)


def check_file(folder: Path, entry: FileEntry) -> str | None:
    """What is wrong with a file, or None."""
    path = folder / entry.path
    if not path.is_file():
        return f"{entry.path} is missing"
    if path.stat().st_size != entry.size:
        return f"{entry.path} has {path.stat().st_size} bytes, not {entry.size}"
    if sha256_file(path) != entry.sha256:
        return f"{entry.path} has changed since it was written (its SHA-256 differs)"
    return None


def _fields(manifest: Manifest) -> Mapping[str, Any]:
    return {name: getattr(manifest, name) for name in Manifest.__dataclass_fields__}


def _is_local(path: UPath) -> bool:
    return getattr(path, "protocol", "") in ("", "file", "local")


def _fetch(target: UPath, entry: FileEntry, folder: Path) -> str | None:
    """Copy one file of an artifact to ``folder``; returns what is wrong, or None."""
    source = target / entry.path
    copy = folder / entry.path
    copy.parent.mkdir(parents=True, exist_ok=True)
    temporary = copy.with_name(f".{copy.name}.{uuid.uuid4().hex}")
    try:
        source.fs.get_file(source.path, str(temporary))
        temporary.replace(copy)
    except FileNotFoundError:
        return f"{entry.path} is missing"
    finally:
        temporary.unlink(missing_ok=True)
    return None


def _swap(staged: Path, target: Path) -> None:
    """Put ``staged`` in the place of ``target``; a reader sees the old one, the new one or none.

    If a rename fails, the old one stands as before.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = f".{target.name}.{uuid.uuid4().hex}"
    new, old = target.with_name(f"{aside}.new"), target.with_name(f"{aside}.old")
    try:
        _bring(staged, new)
        if target.exists():
            target.rename(old)
        new.rename(target)
    except BaseException:
        if old.exists() and not target.exists():
            old.rename(target)
        shutil.rmtree(new, ignore_errors=True)
        raise
    # What a killed process left half-way goes as well.
    for ending in ("old", "new"):
        for leftover in target.parent.glob(f".{target.name}.*.{ending}"):
            shutil.rmtree(leftover, ignore_errors=True)


def _bring(staged: Path, new: Path) -> None:
    """Move a folder beside its target; a copy where a rename would cross file systems."""
    try:
        staged.rename(new)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        shutil.copytree(staged, new)


def process_alive(pid: int) -> bool:
    """Whether a process of this host lives, whoever owns it."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
