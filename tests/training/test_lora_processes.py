"""Trainings in processes of their own: killed ones, and several that share a run."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from supportbot_dagster.errors import UserError
from supportbot_dagster.training.catalogue import LoraSettings
from supportbot_dagster.training.lora import TrainingSpec, last_checkpoint, train_adapter
from tests.training.lora_runs import SETTINGS, adapter_bytes, make_spec, result_of, start

pytestmark = pytest.mark.slow

EPOCHS = replace(SETTINGS, epochs=3.0, dropout=0.1)
"""Dropout, so that a random state that is not restored shows."""


def finish(spec: TrainingSpec, processes: int = 1) -> str:
    process = start(spec, processes)
    said = process.communicate()[1]
    assert process.returncode == 0, said
    return said


def kill_after(spec: TrainingSpec, beginning: str) -> int:
    """Kill a training with SIGKILL at the first line of that beginning; its last step so far."""
    process = start(spec)
    assert process.stderr is not None
    seen = ""
    for line in process.stderr:
        seen += line
        if line.startswith(beginning):
            break
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL, seen
    checkpoint = last_checkpoint(Path(spec.work_dir))
    return int(checkpoint.name.rpartition("-")[2]) if checkpoint else 0


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As in the processes: sums in another order would round otherwise."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def train_here(folder: Path, settings: LoraSettings) -> TrainingSpec:
    spec = make_spec(folder, settings=settings)
    train_adapter(spec, lambda step, steps, figures: None)
    return spec


@pytest.mark.usefixtures("one_thread")
def test_a_killed_training_ends_as_an_unbroken_one(tmp_path: Path) -> None:
    unbroken = train_here(tmp_path / "unbroken", EPOCHS)
    spec = make_spec(tmp_path / "broken", settings=EPOCHS)
    reached = kill_after(spec, "training step 5 of 9: loss")
    assert 3 < reached < 6, "the kill fell into the second of three epochs"
    newest = last_checkpoint(Path(spec.work_dir))
    assert newest is not None
    # As if the kill had come while the next checkpoint was being written.
    torn = newest.with_name(f"checkpoint-{reached + 1}")
    shutil.copytree(newest, torn)
    state = (torn / "trainer_state.json").read_bytes()
    (torn / "trainer_state.json").write_bytes(state[: len(state) // 2])
    finish(spec)
    found, wanted = result_of(spec), result_of(unbroken)
    assert found["resumed_from"] == reached
    for name in ("curve", "candidates", "chosen_step", "train_loss", "validation_loss", "steps"):
        assert found[name] == wanted[name], name
    assert adapter_bytes(spec) == adapter_bytes(unbroken)


def test_two_processes_train_as_one_does(tmp_path: Path) -> None:
    whole = replace(SETTINGS, epochs=3.0)
    alone = train_here(tmp_path / "alone", whole)
    both = make_spec(tmp_path / "both", settings=whole)
    said = finish(both, processes=2)
    found, wanted = result_of(both), result_of(alone)
    assert (found["processes"], wanted["processes"]) == (2, 1)
    assert found["steps"] == wanted["steps"] == 9
    assert len(found["curve"]) == len(wanted["curve"])
    for one, other in zip(found["curve"], wanted["curve"], strict=True):
        assert one == pytest.approx(other, rel=1e-3)
    assert [one["seen"] for one in found["candidates"]] == [4] * 10
    lines = [line for line in said.splitlines() if line.startswith("training step")]
    assert len(lines) == len(set(lines)) == len(found["curve"]), "only the first process speaks"
    other = result_of(train_here(tmp_path / "other", replace(whole, seed=1)))["curve"]
    assert any(
        one["loss"] != pytest.approx(another["loss"], rel=1e-2)
        for one, another in zip(found["curve"], other, strict=True)
        if "loss" in one
    ), "the tolerance tells runs apart"


def test_processes_that_cannot_share_an_update_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_spec(tmp_path, settings=replace(SETTINGS, batch_size=3, gradient_accumulation=1))
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="2 processes cannot share the 3 rows of an update"):
        train_adapter(spec, lambda step, steps, figures: None)
    assert not Path(spec.work_dir).exists()
