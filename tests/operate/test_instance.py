"""One retrain of a month at a time, and the books of processes that were killed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from supportbot_dagster.errors import UserError
from supportbot_dagster.operate.instance import (
    HOST_TAG,
    PID_TAG,
    close_killed_runs,
    month_lock,
    open_instance,
    run_tags,
)
from supportbot_dagster.settings import Settings, load_settings

HOLD = """
import sys
from supportbot_dagster.operate.instance import month_lock
from supportbot_dagster.settings import load_settings
with month_lock(load_settings(root=sys.argv[1]), "2026-03"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def settings(tmp_path: Path, own_environment: None) -> Settings:
    return load_settings(root=str(tmp_path / "root"))


@pytest.fixture
def holder(settings: Settings) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the month 2026-03 until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", HOLD, settings.root],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_month_is_held_by_one_process(settings: Settings, holder: subprocess.Popen[str]) -> None:
    with (
        pytest.raises(UserError, match=rf"retrain of 2026-03 .* \(process {holder.pid}\)"),
        month_lock(settings, "2026-03"),
    ):
        pass
    with month_lock(settings, "2026-04"):
        pass
    other = load_settings(root=settings.root + "-other")
    with month_lock(other, "2026-03"):
        pass


def test_a_killed_holder_holds_nothing(settings: Settings, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()
    with month_lock(settings, "2026-03"):
        text = (settings.home / "locks" / "2026-03.lock").read_text(encoding="utf-8")
        assert text == str(os.getpid())


def test_the_instance_stands_in_the_installation(settings: Settings) -> None:
    with open_instance(settings) as instance:
        assert not instance.telemetry_enabled
        assert Path(instance.root_directory) == settings.dagster_home
    assert os.environ["DAGSTER_HOME"] == str(settings.dagster_home)
    config = settings.dagster_home / "dagster.yaml"
    config.write_text("telemetry:\n  enabled: false\n# mine\n", encoding="utf-8")
    open_instance(settings).dispose()
    assert "# mine" in config.read_text(encoding="utf-8"), "a person's settings are kept"


def test_a_home_that_cannot_be_made_is_one_clear_line(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "root").write_text("a file", encoding="utf-8")
    with pytest.raises(UserError, match="cannot be written"):
        open_instance(settings)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as opened:
        yield opened


def started(instance: dg.DagsterInstance, **tags: str) -> str:
    @dg.op
    def nothing() -> None: ...

    @dg.job
    def some() -> None:
        nothing()

    run = instance.create_run_for_job(some, tags={**run_tags(), **tags})
    instance.handle_new_event(
        dg.EventLogEntry(
            error_info=None,
            level=20,
            user_message="",
            run_id=run.run_id,
            timestamp=0.0,
            dagster_event=dg.DagsterEvent(dg.DagsterEventType.RUN_START.value, "some"),
        )
    )
    stored = instance.get_run_by_id(run.run_id)
    assert stored is not None
    assert stored.status == dg.DagsterRunStatus.STARTED
    return run.run_id


def test_runs_of_killed_processes_are_closed_and_no_other(instance: dg.DagsterInstance) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    dead = started(instance, **{PID_TAG: str(gone.pid)})
    kept = [
        started(instance),
        started(instance, **{PID_TAG: str(os.getppid())}),
        started(instance, **{PID_TAG: str(gone.pid), HOST_TAG: "another-machine"}),
        started(instance, **{PID_TAG: "?"}),
    ]
    assert close_killed_runs(instance) == 1
    assert close_killed_runs(instance) == 0

    def status(run_id: str) -> dg.DagsterRunStatus:
        run = instance.get_run_by_id(run_id)
        assert run is not None
        return run.status

    assert status(dead) == dg.DagsterRunStatus.FAILURE
    assert {status(run_id) for run_id in kept} == {dg.DagsterRunStatus.STARTED}


def holders(settings: Settings) -> set[str]:
    with open_instance(settings) as opened:
        info = opened.event_log_storage.get_concurrency_info("gpu")
        return {slot.run_id for slot in info.claimed_slots}


@pytest.mark.parametrize("living", [True, False])
def test_a_killed_run_gives_its_pool_slot_back(settings: Settings, living: bool) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    with open_instance(settings) as opened:
        run_id = started(opened, **({} if living else {PID_TAG: str(gone.pid)}))
        opened.event_log_storage.initialize_concurrency_limit_to_default("gpu")
        claim = opened.event_log_storage.claim_concurrency_slot("gpu", run_id, "lora_adapter")
        assert claim.is_claimed
    assert holders(settings) == {run_id}
    with open_instance(settings) as opened:
        close_killed_runs(opened)
    assert holders(settings) == ({run_id} if living else set())
