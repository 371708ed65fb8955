"""Dagster's instance of an installation, and one retrain at a time.

What lives here: opening the instance that ``dagster dev`` shows, closing the books of killed
processes, and the lock of a month. What does not: configuration of a server deployment
(``deploy/``).
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from supportbot_dagster.artifacts import process_alive
from supportbot_dagster.errors import UserError
from supportbot_dagster.settings import Settings

PID_TAG = "supportbot/pid"
HOST_TAG = "supportbot/host"
_CONFIG = """\
# Dagster's instance of a laptop: everything in SQLite in this folder, nothing sent anywhere.
telemetry:
  enabled: false
nux:
  enabled: false
concurrency:
  pools:
    default_limit: 1
"""


def open_instance(settings: Settings) -> dg.DagsterInstance:
    """The instance in the installation's Dagster home, made on first use.

    Raises:
        UserError: if the folder cannot be written.
    """
    home = settings.dagster_home
    try:
        home.mkdir(parents=True, exist_ok=True)
        config = home / "dagster.yaml"
        if not config.exists():
            config.write_text(_CONFIG, encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"{home} cannot be written ({error.strerror}). Set SUPPORTBOT_ROOT to a folder that "
            "can, or free space."
        ) from None
    os.environ["DAGSTER_HOME"] = str(home)
    return dg.DagsterInstance.from_config(str(home))


def run_tags() -> dict[str, str]:
    """Tags by which a later process tells whether the process of a run still lives."""
    return {PID_TAG: str(os.getpid()), HOST_TAG: os.uname().nodename}


def close_killed_runs(instance: dg.DagsterInstance) -> int:
    """Mark runs of this host whose process is gone as failed; returns their number.

    The pool slots that they held are freed: Dagster leaves that to a daemon, without which the next
    run would wait for ever.
    """
    closed = 0
    unfinished = [
        dg.DagsterRunStatus.STARTED,
        dg.DagsterRunStatus.STARTING,
        dg.DagsterRunStatus.NOT_STARTED,
    ]
    runs = instance.get_runs(
        dg.RunsFilter(statuses=unfinished, tags={HOST_TAG: os.uname().nodename})
    )
    for run in runs:
        pid = run.tags.get(PID_TAG, "")
        if pid.isdigit() and int(pid) != os.getpid() and not process_alive(int(pid)):
            instance.report_run_failed(run, "The process of this run was killed.")
            closed += 1
    _free_slots(instance)
    return closed


def _free_slots(instance: dg.DagsterInstance) -> None:
    """Free the pool slots of runs that have ended, however they did."""
    storage = instance.event_log_storage
    for pool in storage.get_concurrency_keys():
        info = storage.get_concurrency_info(pool)
        holders = {slot.run_id for slot in info.claimed_slots}
        holders |= {step.run_id for step in info.pending_steps}
        for run_id in sorted(holders):
            run = instance.get_run_by_id(run_id)
            if run is None or run.is_finished:
                storage.free_concurrency_slots_for_run(run_id)


@contextmanager
def month_lock(settings: Settings, month: str) -> Iterator[None]:
    """Hold the month: two retrains of one month would overwrite each other's work.

    Raises:
        UserError: if another process holds it.
    """
    import fcntl

    folder = settings.home / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    path: Path = folder / f"{month}.lock"
    with path.open("a+", encoding="utf-8") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            stream.seek(0)
            holder = stream.read().strip() or "unknown"
            raise UserError(
                f"Another retrain of {month} is under way (process {holder}). Wait for it, or "
                "stop it first."
            ) from None
        stream.truncate(0)
        stream.write(str(os.getpid()))
        stream.flush()
        yield
