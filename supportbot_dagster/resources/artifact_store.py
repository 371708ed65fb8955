"""The artifact store as Dagster resources: the store itself and its two IO managers.

What lives here: how rows (JSON Lines) and directory artifacts are saved and loaded by Dagster, on
a local root or ``s3://``. What does not: the format (:mod:`supportbot_dagster.artifacts`,
:mod:`supportbot_dagster.jsonl`).
"""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
from upath import UPath

from supportbot_dagster import artifacts
from supportbot_dagster.artifacts import Artifact, FileEntry, Manifest
from supportbot_dagster.errors import UserError
from supportbot_dagster.jsonl import Row, read_jsonl, write_jsonl
from supportbot_dagster.partitions import is_month


class ArtifactStore(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Where artifacts live.

    Args:
        root: local folder or ``s3://`` URL.
        scratch: local folder for staging, checkpoints and copies of remote artifacts.
    """

    root: str
    scratch: str

    @property
    def upath(self) -> UPath:
        """The root as a path of its own file system."""
        if "://" in self.root:
            # Other machines write there as well: a listing kept in memory would hide their work.
            return UPath(self.root, use_listings_cache=False)
        return UPath(self.root)

    def target(self, asset: str, month: str) -> UPath:
        """Where a directory artifact stands."""
        return artifacts.artifact_path(self.upath, asset, month)

    def rows_target(self, asset: str, month: str) -> UPath:
        """Where the rows of an asset stand."""
        return self.upath / asset / f"{month}.jsonl"

    @contextmanager
    def staging(self, asset: str) -> Iterator[Path]:
        """A fresh local folder to build an artifact in."""
        with artifacts.staging(Path(self.scratch), asset) as folder:
            yield folder

    def work_dir(self, asset: str, key: str) -> Path:
        """A local folder that outlives a run, for work that resumes; ``key`` names the inputs."""
        folder = Path(self.scratch) / "work" / asset / key
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def clear_work(self, asset: str, key: str) -> None:
        """Remove a work folder whose result is published."""
        shutil.rmtree(Path(self.scratch) / "work" / asset / key, ignore_errors=True)

    def describe(self, folder: Path) -> tuple[FileEntry, ...]:
        """Entries of the files of a staged folder."""
        return artifacts.list_files(folder)

    def publish(self, staged: Path, manifest: Manifest) -> Artifact:
        """Put a staged folder into the store and load it back, checked."""
        target = self.target(manifest.asset, manifest.month)
        artifacts.publish(staged, target, manifest)
        return self.load(manifest.asset, manifest.month)

    def load(self, asset: str, month: str) -> Artifact:
        """A valid artifact; raises UserError if there is none."""
        return artifacts.load(self.target(asset, month), Path(self.scratch) / "cache")

    def present(self, asset: str, month: str, *, rows: bool) -> bool:
        """Whether the asset's file or valid manifest is in the store."""
        if rows:
            return bool(self.rows_target(asset, month).exists())
        try:
            artifacts.load_manifest(self.target(asset, month))
        except UserError:
            return False
        return True

    def months(self, asset: str) -> list[str]:
        """Months for which the asset's rows or directory stand in the store, oldest first."""
        folder = self.upath / asset
        if not folder.exists():
            return []
        names = (path.name.removesuffix(".jsonl") for path in folder.iterdir())
        return sorted(name for name in names if is_month(name))

    def latest_rows(self, asset: str, month: str) -> list[Row] | None:
        """The rows of ``month``, or of the latest month before it, or None."""
        for candidate in reversed(self.months(asset)):
            if candidate <= month:
                return self.read_rows(asset, candidate)
        return None

    def promoted_months(self) -> list[str]:
        """Months whose release was promoted, oldest first; what cannot be read does not count."""
        found: list[str] = []
        for month in self.months("release"):
            try:
                decision = self.load("release", month).read_json("release.json")
            except UserError:
                continue
            if decision["promoted"]:
                found.append(month)
        return found

    def last_promoted(self, before: str) -> Artifact | None:
        """The bundle of the last promoted release before a month, or None."""
        for month in reversed(self.promoted_months()):
            if month < before:
                try:
                    return self.load("ollama_bundle", month)
                except UserError:
                    continue
        return None

    def held_out_questions(self, month: str) -> list[Row]:
        """The outcomes of a month's trust report, which names the questions behind their ids."""
        return read_jsonl(self.load("trust_report", month).file("outcomes.jsonl"))

    def is_latest_promoted(self, month: str) -> bool:
        """Whether no later month has been promoted."""
        return all(other <= month for other in self.promoted_months())

    def write_rows(self, asset: str, month: str, rows: list[Row]) -> None:
        """Write rows as :class:`RowsIOManager` does: whole or not at all."""
        write_jsonl(self.rows_target(asset, month), rows)

    def read_rows(self, asset: str, month: str) -> list[Row] | None:
        """The rows of an asset, or None when there are none yet."""
        path = self.rows_target(asset, month)
        return read_jsonl(path) if path.exists() else None


class RowsIOManager(dg.UPathIOManager):
    """Lists of JSON objects as ``<root>/<asset>/<month>.jsonl``."""

    extension = ".jsonl"

    def dump_to_path(self, context: dg.OutputContext, obj: list[Row], path: UPath) -> None:
        """Write atomically."""
        write_jsonl(path, obj)

    def load_from_path(self, context: dg.InputContext, path: UPath) -> list[Row]:
        """Read strictly; a missing file says which asset to materialize."""
        if not path.exists():
            raise UserError(
                f"{path} does not exist. Materialize {path.parent.name} for this month first."
            )
        return read_jsonl(path)


class ArtifactIOManager(dg.IOManager):
    """Directory artifacts. An asset publishes its own folder; loading checks every file."""

    def __init__(self, store: ArtifactStore) -> None:
        self._store = store

    def handle_output(self, context: dg.OutputContext, obj: Artifact) -> None:
        """Nothing is left to do: the asset has published the artifact that it returns."""
        context.add_output_metadata({"path": dg.MetadataValue.path(str(obj.path))})

    def load_input(self, context: dg.InputContext) -> Artifact:
        """The artifact of the same month, or the unpartitioned one."""
        month = (
            context.asset_partition_key if context.has_asset_partitions else artifacts.UNPARTITIONED
        )
        return self._store.load(context.asset_key.to_user_string(), month)


def io_managers(store: ArtifactStore) -> Mapping[str, Any]:
    """Both IO managers of a store, by their resource keys."""
    return {"rows_io": RowsIOManager(store.upath), "artifact_io": ArtifactIOManager(store)}
