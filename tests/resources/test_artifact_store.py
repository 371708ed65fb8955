"""Rows and directory artifacts on a folder and on S3 over HTTP."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from supportbot_dagster.artifacts import MANIFEST, Manifest
from supportbot_dagster.errors import UserError
from supportbot_dagster.resources.artifact_store import (
    ArtifactStore,
    RowsIOManager,
    io_managers,
)

MONTH = "2026-03"
MONTHS = dg.StaticPartitionsDefinition(["2026-01", "2026-02", "2026-03"])
ROWS = [{"id": "a", "text": "naïve ✓"}, {"id": "b", "text": "line\nbreak\u2028"}]


def manifest(asset: str = "gguf", month: str = MONTH, **parameters: object) -> Manifest:
    return Manifest(asset, month, "1", {"base_model": "v1"}, parameters)


def publish(store: ArtifactStore, text: str = "weights", **changes: Any) -> Manifest:
    description = manifest(**changes)
    with store.staging(description.asset) as folder:
        (folder / "nested").mkdir()
        (folder / "model.bin").write_bytes(text.encode() * 100)
        (folder / "nested" / "facts.json").write_text('{"x": 1}')
        return store.publish(folder, description).manifest


# Directory artifacts ------------------------------------------------------------------------------


def test_an_artifact_comes_back_as_it_was_published(store: ArtifactStore) -> None:
    published = publish(store)
    assert [entry.path for entry in published.files] == ["model.bin", "nested/facts.json"]
    artifact = store.load("gguf", MONTH)
    assert artifact.manifest == published
    assert artifact.file("model.bin").read_bytes() == b"weights" * 100
    assert artifact.read_json("nested/facts.json") == {"x": 1}
    assert store.present("gguf", MONTH, rows=False)
    assert store.months("gguf") == [MONTH]
    assert not store.present("gguf", "2026-02", rows=False)
    assert list((Path(store.scratch) / "staging").iterdir()) == []


def test_an_artifact_is_replaced_as_a_whole(store: ArtifactStore) -> None:
    publish(store, "first", run=1)
    publish(store, "second", run=2)
    artifact = store.load("gguf", MONTH)
    assert artifact.manifest.parameters == {"run": 2}
    assert artifact.file("model.bin").read_bytes() == b"second" * 100


def test_the_same_recipe_with_another_outcome_is_read_anew(store: ArtifactStore) -> None:
    # Training on other hardware gives other bytes of the same size under the same data version.
    first = publish(store, "weights")
    store.load("gguf", MONTH)
    second = publish(store, "WEIGHTS")
    assert first.data_version == second.data_version
    assert store.load("gguf", MONTH).file("model.bin").read_bytes() == b"WEIGHTS" * 100


def test_what_has_no_manifest_is_refused(store: ArtifactStore) -> None:
    publish(store)
    (store.target("gguf", MONTH) / MANIFEST).unlink()
    with pytest.raises(UserError, match=r"has no manifest\.json.*Materialize gguf again"):
        store.load("gguf", MONTH)
    assert not store.present("gguf", MONTH, rows=False)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"asset": "gguf"}', '{"data_version": "0", "files": []}']
)
def test_what_has_a_broken_manifest_is_refused(store: ArtifactStore, text: str) -> None:
    publish(store)
    (store.target("gguf", MONTH) / MANIFEST).write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"is not valid.*Materialize gguf again"):
        store.load("gguf", MONTH)
    assert not store.present("gguf", MONTH, rows=False)


def test_a_manifest_of_other_inputs_is_refused(store: ArtifactStore) -> None:
    publish(store)
    place = store.target("gguf", MONTH) / MANIFEST
    text = place.read_text(encoding="utf-8")
    assert '"v1"' in text
    place.write_text(text.replace('"v1"', '"v2"'), encoding="utf-8")
    with pytest.raises(UserError, match="data version does not fit"):
        store.load("gguf", MONTH)


@pytest.mark.parametrize(
    ("data", "said"),
    [(b"short", "has 5 bytes, not 700"), (b"WEIGHTS" * 100, "has changed"), (None, "is missing")],
)
def test_a_file_that_does_not_fit_is_refused(
    store: ArtifactStore, data: bytes | None, said: str
) -> None:
    publish(store)
    place = store.target("gguf", MONTH) / "model.bin"
    place.unlink()
    if data is not None:
        place.write_bytes(data)
    shutil.rmtree(Path(store.scratch) / "cache", ignore_errors=True)
    with pytest.raises(UserError, match=said):
        store.load("gguf", MONTH)


def test_an_upload_that_breaks_leaves_nothing_to_read(
    s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ArtifactStore(root="s3://bots/broken", scratch=str(tmp_path / "scratch"))
    publish(store, run=1)
    system = store.upath.fs
    put = system.put_file
    uploads = 0

    def breaks_at_the_second(*arguments: Any, **options: Any) -> None:
        nonlocal uploads
        uploads += 1
        if uploads == 2:
            raise OSError("the connection broke")
        put(*arguments, **options)

    with monkeypatch.context() as broken:
        broken.setattr(system, "put_file", breaks_at_the_second)
        with pytest.raises(OSError, match="the connection broke"):
            publish(store, "second", run=2)
    names = {item["Key"] for item in s3.list_objects_v2(Bucket="bots")["Contents"]}
    assert "broken/gguf/2026-03/model.bin" in names, "the new file is there, and yet"
    with pytest.raises(UserError, match=MANIFEST):
        store.load("gguf", MONTH)
    publish(store, "third", run=3)
    assert store.load("gguf", MONTH).file("model.bin").read_bytes() == b"third" * 100


def test_root_and_scratch_may_stand_on_two_file_systems(tmp_path: Path) -> None:
    other = Path("/dev/shm")
    if not other.is_dir() or other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system here")
    with tempfile.TemporaryDirectory(dir=other) as scratch:
        store = ArtifactStore(root=str(tmp_path / "root"), scratch=scratch)
        publish(store, "first", run=1)
        publish(store, "second", run=2)
        assert store.load("gguf", MONTH).file("model.bin").read_bytes() == b"second" * 100
        assert [path.name for path in (tmp_path / "root" / "gguf").iterdir()] == [MONTH]
        assert list((Path(scratch) / "staging").iterdir()) == []


def test_a_damaged_copy_is_fetched_again(s3: Any, tmp_path: Path) -> None:
    store = ArtifactStore(root="s3://bots/copies", scratch=str(tmp_path / "scratch"))
    publish(store)
    copy = store.load("gguf", MONTH).file("model.bin")
    assert Path(store.scratch) in copy.parents
    copy.write_bytes(b"x" * copy.stat().st_size)
    assert store.load("gguf", MONTH).file("model.bin").read_bytes() == b"weights" * 100


def test_two_machines_see_each_other_s_work(s3: Any, tmp_path: Path) -> None:
    """A long-lived process must not answer from a listing of the bucket that has aged."""
    here = ArtifactStore(root="s3://bots/shared", scratch=str(tmp_path / "here"))
    publish(here, month="2026-01")
    assert here.months("gguf") == ["2026-01"]
    assert not here.present("docs_crawl", MONTH, rows=True)
    there = (
        "from pathlib import Path; import sys\n"
        "from supportbot_dagster.resources.artifact_store import ArtifactStore\n"
        "from supportbot_dagster.artifacts import Manifest\n"
        "store = ArtifactStore(root='s3://bots/shared', scratch=sys.argv[1])\n"
        "with store.staging('gguf') as folder:\n"
        "    (folder / 'model.bin').write_bytes(b'other')\n"
        "    store.publish(folder, Manifest('gguf', '2026-03', '1', {}, {}))\n"
        "store.rows_target('docs_crawl', '2026-03').write_text('{}\\n', encoding='utf-8')\n"
    )
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", there, str(tmp_path / "there")],
        check=True,
        env=dict(os.environ),
        timeout=120,
    )
    assert here.months("gguf") == ["2026-01", "2026-03"]
    assert here.load("gguf", MONTH).file("model.bin").read_bytes() == b"other"
    assert here.present("docs_crawl", MONTH, rows=True)
    assert here.read_rows("docs_crawl", MONTH) == [{}]


# Rows ---------------------------------------------------------------------------------------------


def run_rows(store: ArtifactStore, month: str, rows: list[dict[str, Any]]) -> Any:
    """Two assets through Dagster: one writes the rows, the other reads them."""

    @dg.asset(partitions_def=MONTHS, io_manager_key="rows_io")
    def written() -> list[dict[str, Any]]:
        return rows

    @dg.asset(partitions_def=MONTHS, io_manager_key="rows_io")
    def read(written: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return written

    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            [written, read],
            resources=dict(io_managers(store)),
            partition_key=month,
            instance=instance,
        )
        return result.output_for_node("read")


def test_rows_come_back_as_they_were_written(store: ArtifactStore) -> None:
    assert run_rows(store, MONTH, ROWS) == ROWS
    assert store.rows_target("read", MONTH).exists(), "<root>/<asset>/<month>.jsonl"
    assert store.read_rows("read", MONTH) == ROWS
    assert store.present("read", MONTH, rows=True)
    assert store.months("read") == [MONTH]
    lines = store.rows_target("read", MONTH).read_text(encoding="utf-8").split("\n")
    assert len(lines) == 3, "one row a line, whatever separators stand in it"


def test_no_rows_are_rows_too(store: ArtifactStore) -> None:
    assert run_rows(store, MONTH, []) == []
    assert store.present("read", MONTH, rows=True)
    assert store.read_rows("read", "2026-01") is None


def test_the_latest_rows_are_those_of_the_month_or_before(store: ArtifactStore) -> None:
    for month in ("2026-01", "2026-03"):
        run_rows(store, month, [{"month": month}])
    assert store.months("read") == ["2026-01", "2026-03"]
    assert store.latest_rows("read", "2026-03") == [{"month": "2026-03"}]
    assert store.latest_rows("read", "2026-02") == [{"month": "2026-01"}]
    assert store.latest_rows("read", "2025-12") is None
    assert store.latest_rows("nothing", "2026-03") is None


def load_rows(store: ArtifactStore) -> Any:
    manager = RowsIOManager(store.upath)
    context = dg.build_input_context(
        asset_key=dg.AssetKey("read"),
        partition_key=MONTH,
        asset_partitions_def=MONTHS,
        asset_partition_key_range=dg.PartitionKeyRange(MONTH, MONTH),
    )
    return manager.load_input(context)


def test_rows_that_are_not_there_say_which_asset_to_run(store: ArtifactStore) -> None:
    with pytest.raises(UserError, match="Materialize read for this month first"):
        load_rows(store)


def test_rows_that_are_cut_off_are_refused(store: ArtifactStore) -> None:
    run_rows(store, MONTH, ROWS)
    assert load_rows(store) == ROWS
    place = store.rows_target("read", MONTH)
    text = place.read_text(encoding="utf-8")
    place.write_text(text[: len(text) - 12], encoding="utf-8")
    with pytest.raises(UserError, match="line 2 is not JSON"):
        load_rows(store)


class _Bad:
    """Something that JSON cannot express."""


def test_rows_that_fail_half_way_leave_the_old_ones(store: ArtifactStore) -> None:
    run_rows(store, MONTH, ROWS)
    manager = RowsIOManager(store.upath)
    context = dg.build_output_context(
        asset_key=dg.AssetKey("read"), partition_key=MONTH, asset_partitions_def=MONTHS
    )
    broken: list[dict[str, Any]] = [{"id": "new"}, {"id": _Bad()}]
    with pytest.raises(TypeError):
        manager.handle_output(context, broken)
    assert load_rows(store) == ROWS
    names = [path.name for path in (store.upath / "read").iterdir()]
    assert names == [f"{MONTH}.jsonl"], "no temporary file is left"


def test_an_artifact_travels_between_assets(store: ArtifactStore) -> None:
    """The IO manager loads the same month's artifact, checked."""

    @dg.asset(partitions_def=MONTHS, io_manager_key="artifact_io")
    def gguf() -> dg.Output[Any]:
        publish(store, month="2026-02")
        return dg.Output(store.load("gguf", "2026-02"))

    @dg.asset(partitions_def=MONTHS, io_manager_key="rows_io")
    def size(gguf: Any) -> list[dict[str, Any]]:
        return [{"bytes": len(gguf.file("model.bin").read_bytes())}]

    resources = dict(io_managers(store))
    with dg.DagsterInstance.ephemeral() as instance:
        dg.materialize(
            [gguf, size], resources=resources, partition_key="2026-02", instance=instance
        )
        assert store.read_rows("size", "2026-02") == [{"bytes": 700}]
        (store.target("gguf", "2026-02") / MANIFEST).unlink()
        again = dg.materialize(
            [gguf, size],
            resources=resources,
            partition_key="2026-02",
            selection=[size],
            instance=instance,
            raise_on_error=False,
        )
        assert not again.success
