"""One month's retrain from the command line: what is missing or stale, and nothing else.

What lives here: choosing what to run and running it in this process, on the same storage that the
UI shows. What does not: parsing arguments and printing tables (:mod:`supportbot_dagster.cli`).
"""

import logging
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg
from dagster import AssetKey

from supportbot_dagster.definitions import build_definitions
from supportbot_dagster.errors import UserError
from supportbot_dagster.jobs import RETRAIN
from supportbot_dagster.operate.instance import (
    close_killed_runs,
    month_lock,
    open_instance,
    run_tags,
)
from supportbot_dagster.operate.status import AssetStatus, StatusReader, reason, up_to
from supportbot_dagster.partitions import check_month, ticket_window
from supportbot_dagster.product import Product
from supportbot_dagster.resources.artifact_store import ArtifactStore
from supportbot_dagster.sensors import docs_version
from supportbot_dagster.settings import Settings

Say = Callable[[str], None]
LOGGER = "progress"
TAUGHT = "synthesized_pairs"
"""The asset that asks the teacher model."""


@dataclass(frozen=True)
class RetrainResult:
    """What a retrain did.

    Args:
        month: the partition.
        ran: assets that were materialized, with seconds.
        skipped: assets that were fresh.
        seconds: wall clock.
        peak_gib: largest resident set of this process or a child, in GiB.
    """

    month: str
    ran: dict[str, float]
    skipped: list[str]
    seconds: float
    peak_gib: float


class RetrainFailed(Exception):
    """An asset failed; ``user_error`` tells whether a person can mend it.

    Args:
        asset: which one.
        message: why.
        user_error: whether the cause is input or environment.
    """

    def __init__(self, asset: str, message: str, user_error: bool) -> None:
        super().__init__(f"{asset}: {message}")
        self.user_error = user_error


def retrain(
    settings: Settings,
    product: Product,
    month: str,
    *,
    everything: bool,
    say: Say,
    until: str | None = None,
) -> RetrainResult:
    """Materialize what the month lacks.

    Args:
        settings: where data is kept.
        product: what the bot is about.
        month: partition key; must not be in the future.
        everything: run every asset, fresh or not.
        say: told one line about each asset, and one about the teacher model that was asked.
        until: the asset to stop at: it and what is upstream of it are looked at, and nothing else.
            None for all assets.

    Raises:
        UserError: if the month is wrong, there is no such asset, or another retrain holds the
            month.
        RetrainFailed: if an asset fails; what was finished before it is kept.
    """
    started, began = time.monotonic(), time.time()
    check_month(month, product.retrain.first_month)
    defs = build_definitions(settings, product, loggers={LOGGER: console_logger(say)})
    wanted = None if until is None else up_to(defs, until)
    with month_lock(settings, month), open_instance(settings) as instance:
        closed = close_killed_runs(instance)
        if closed:
            say(f"closed {closed} run(s) of killed processes")
        store = ArtifactStore(root=settings.root, scratch=str(settings.home))
        reader = StatusReader(defs, instance, store)
        ran: dict[str, float] = {}
        skipped: list[str] = []
        waiting = wanted or reader.order
        changed = {}
        if not everything:
            changed = _outside_changes(reader, store, product, month, waiting, say)
        try:
            while waiting:
                states = {item.asset: item for item in reader.read(month, changed)}
                if everything or all(states[asset].own for asset in waiting):
                    batch, waiting = waiting, []
                else:
                    batch, waiting = [waiting[0]], waiting[1:]
                    if not _must_run(states[batch[0]]):
                        skipped.append(batch[0])
                        continue
                for asset in batch:
                    why = "; ".join(states[asset].why)
                    if len(batch) == 1:
                        say(f"{asset}: {why or 'asked for'}")
                ran |= _run(defs, instance, batch, month, say)
                for asset in batch:
                    changed.pop(asset, None)
        finally:
            # Also where something after the teacher failed: what was paid for is told.
            if reader.made_at(TAUGHT, month) >= began and (
                line := teacher_line(reader.metadata(TAUGHT, month))
            ):
                say(line)
        for asset in skipped:
            say(f"{asset}: fresh, skipped")
        return RetrainResult(month, ran, skipped, time.monotonic() - started, _peak_gib())


def teacher_line(metadata: Mapping[str, Any]) -> str:
    """What asking the teacher model came to, from the metadata of the pairs; empty if none was.

    Args:
        metadata: values by name, as :meth:`StatusReader.metadata` gives them.
    """
    calls, kept = metadata.get("teacher_calls", 0), metadata.get("teacher_replies_kept", 0)
    failed: Mapping[str, int] = metadata.get("teacher_failed", {})
    if not (calls or kept or failed):
        return ""
    reasons = "; ".join(f"{count} x {reason}" for reason, count in sorted(failed.items()))
    return (
        f"teacher model: {calls} calls, {kept} replies kept from before, {sum(failed.values())} "
        f"sections failed{f' ({reasons})' if reasons else ''}, "
        f"cost {metadata.get('teacher_cost', 'not known')}"
    )


def _must_run(status: AssetStatus) -> bool:
    return status.state != "fresh"


def _run(
    defs: dg.Definitions,
    instance: dg.DagsterInstance,
    assets: list[str],
    month: str,
    say: Say,
) -> dict[str, float]:
    # What an asset fails with is told by RetrainFailed; Dagster's own log of it would double it.
    logging.getLogger("dagster").setLevel(logging.CRITICAL + 1)
    job = defs.resolve_job_def(RETRAIN)
    result = job.execute_in_process(
        instance=instance,
        partition_key=month,
        asset_selection=[AssetKey(asset) for asset in assets],
        raise_on_error=False,
        tags=run_tags(),
        # Dagster uses a logger only if the run's configuration names it.
        run_config={"loggers": {LOGGER: {}}},
    )
    if result.success:
        return _seconds(result, assets)
    for entry in instance.all_logs(
        result.run_id,
        of_type={dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.RUN_FAILURE},
    ):
        event = entry.dagster_event
        if entry.step_key and event is not None:
            text = str(event.step_failure_data.error)
            if "InterruptedError" in text:
                raise KeyboardInterrupt
            raise RetrainFailed(
                entry.step_key,
                reason(entry),
                "UserError" in text or "No space left on device" in text,
            )
    raise RetrainFailed(RETRAIN, f"run {result.run_id} failed; see it in the UI", False)


def _seconds(result: dg.ExecuteInProcessResult, assets: list[str]) -> dict[str, float]:
    return {
        event.step_key: event.step_success_data.duration_ms / 1000
        for event in result.all_events
        if event.event_type == dg.DagsterEventType.STEP_SUCCESS and event.step_key in assets
    }


def _outside_changes(
    reader: StatusReader,
    store: ArtifactStore,
    product: Product,
    month: str,
    wanted: Sequence[str],
    say: Say,
) -> dict[str, str]:
    """Sources among the wanted assets that differ from what was last read, with the reason."""
    from supportbot_dagster.definitions import source_resources

    docs_site, ticket_source = source_resources(product)
    changed: dict[str, str] = {}
    if "docs_crawl" in wanted and reader.data_version("docs_crawl", month) is not None:
        try:
            now, stored = docs_version(docs_site, store, month)
        except UserError as error:
            say(f"docs_crawl: kept as it is, the docs cannot be probed: {error}")
        else:
            if now != stored:
                changed["docs_crawl"] = "the docs changed"
    recorded = reader.metadata("ticket_export", month).get("source_version")
    if "ticket_export" in wanted and recorded is not None:
        window = ticket_window(month, product.tickets.window_months)
        if ticket_source.version(window) != recorded:
            changed["ticket_export"] = "the ticket export changed"
    return changed


def console_logger(say: Say) -> dg.LoggerDefinition:
    """A Dagster logger that passes on what assets say about their progress, and nothing else."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            meta: dict[str, Any] = getattr(record, "dagster_meta", {}) or {}
            # Errors are told by RetrainFailed; what Dagster logs beside them names every step that
            # did not run because of them.
            if meta.get("dagster_event") is None and logging.INFO <= record.levelno < logging.ERROR:
                step = meta.get("step_key") or ""
                say(f"  {step}: {meta.get('orig_message', record.getMessage())}")
                return
            event = meta.get("dagster_event")
            if event is not None and event.event_type == dg.DagsterEventType.STEP_START:
                say(f"{event.step_key} ...")

    @dg.logger(config_schema={})
    def progress_logger(context: dg.InitLoggerContext) -> logging.Logger:
        logger = logging.Logger("supportbot")
        logger.addHandler(Handler())
        return logger

    return progress_logger


def _peak_gib() -> float:
    """Peak resident set of this process or of its largest child; Linux counts in KiB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return (
        max(
            resource.getrusage(who).ru_maxrss * unit
            for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        )
        / 2**30
    )
