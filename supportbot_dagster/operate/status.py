"""What is fresh, stale, missing or failed, all the way up.

What lives here: the comparison of recorded input versions, for one month. What does not: showing
it (:mod:`supportbot_dagster.cli`).

Dagster's own staleness looks one level up and never at a partitioned asset that is asked about
without its partition. Here an asset is stale when its code or settings changed, when an input has
another data version than the one it was made from, or when an input is itself stale.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import dagster as dg
from dagster import AssetKey

from supportbot_dagster.artifacts import UNPARTITIONED
from supportbot_dagster.errors import UserError
from supportbot_dagster.hashing import sha256_text
from supportbot_dagster.resources.artifact_store import ArtifactStore

State = Literal["fresh", "stale", "missing", "failed"]

_DATA_VERSION = "dagster/data_version"
_CODE_VERSION = "dagster/code_version"
_INPUT_VERSION = "dagster/input_data_version/"
RECENT_RUNS = 25
"""Failed runs of a month that are looked at for the reason of a failure."""


@dataclass(frozen=True)
class AssetStatus:
    """One asset of one month.

    Args:
        asset: its key.
        group: its group.
        state: ``failed`` means that the latest attempt failed; what was there before is kept.
        why: the causes, in words; empty when fresh.
        since: ISO 8601 time of the last materialization, or empty.
        own: whether the asset must run whatever its inputs do: missing, failed, or its own code
            or settings changed.
    """

    asset: str
    group: str
    state: State
    why: tuple[str, ...]
    since: str
    own: bool

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


@dataclass(frozen=True)
class _Made:
    data_version: str
    code_version: str
    inputs: Mapping[str, str]
    timestamp: float


class StatusReader:
    """Reads the status of a month from the instance and the store.

    Args:
        defs: the code location.
        instance: Dagster's instance.
        store: the artifact store; a materialization whose artifact is gone counts as missing.
    """

    def __init__(
        self, defs: dg.Definitions, instance: dg.DagsterInstance, store: ArtifactStore
    ) -> None:
        self._graph = defs.resolve_asset_graph()
        self._asset_of_step = {asset: asset for asset in self.order} | {
            definition.op.name: key.asset_key.to_user_string()
            for definition in defs.asset_checks or ()
            for key in definition.check_keys
        }
        self._instance = instance
        self._store = store

    @property
    def order(self) -> list[str]:
        """All assets, inputs before what reads them."""
        return _ordered(self._graph)

    def made_at(self, asset: str, month: str) -> float:
        """Time of the latest materialization in seconds since 1970; 0 without one."""
        event = self._event(asset, month)
        return event.timestamp if event else 0.0

    def read(self, month: str, changed: Mapping[str, str] | None = None) -> list[AssetStatus]:
        """The status of every asset in the order of the graph.

        Args:
            month: partition key.
            changed: asset to reason, for sources that are known to have changed outside.
        """
        made = {asset: self._made(asset, month) for asset in self.order}
        failures = self._failures(month)
        found: dict[str, AssetStatus] = {}
        for asset in self.order:
            node = self._graph.get(AssetKey(asset))
            now = made[asset]
            why: list[str] = []
            own = False
            if now is None or not self._present(asset, month):
                why.append("never materialized" if now is None else "its artifact is gone")
                own = True
            else:
                if node.code_version != now.code_version:
                    why.append("its code or settings changed")
                    own = True
                if changed and asset in changed:
                    why.append(changed[asset])
                    own = True
                for parent in sorted(key.to_user_string() for key in node.parent_keys):
                    above = made[parent]
                    if above is None:
                        why.append(f"{parent} is missing")
                    elif now.inputs.get(parent) not in _as_input(above.data_version):
                        why.append(f"{parent} changed")
                    elif found[parent].state != "fresh":
                        why.append(f"{parent} is {found[parent].state}")
            failed = failures.get(asset)
            since = now.timestamp if now else 0.0
            state: State = "fresh"
            if now is None or "its artifact is gone" in why:
                state = "missing"
            elif why:
                state = "stale"
            if failed is not None and failed[0] > since:
                state, own = "failed", True
                why.insert(0, failed[1])
            found[asset] = AssetStatus(
                asset, node.group_name or "", state, tuple(why), _iso(since), own
            )
        return [found[asset] for asset in self.order]

    def data_version(self, asset: str, month: str) -> str | None:
        """Data version of the latest materialization, or None."""
        made = self._made(asset, month)
        return made.data_version if made else None

    def metadata(self, asset: str, month: str) -> Mapping[str, Any]:
        """Metadata values of the latest materialization; empty without one."""
        event = self._event(asset, month)
        if event is None or event.asset_materialization is None:
            return {}
        return {
            name: getattr(value, "value", value)
            for name, value in event.asset_materialization.metadata.items()
        }

    def _event(self, asset: str, month: str) -> dg.EventLogEntry | None:
        key = AssetKey(asset)
        if self._graph.get(key).partitions_def is not None:
            records = self._instance.fetch_materializations(
                dg.AssetRecordsFilter(asset_key=key, asset_partitions=[month]), limit=1
            ).records
        else:
            records = self._instance.fetch_materializations(key, limit=1).records
        return records[0].event_log_entry if records else None

    def _made(self, asset: str, month: str) -> _Made | None:
        event = self._event(asset, month)
        if event is None or event.asset_materialization is None:
            return None
        tags = event.asset_materialization.tags or {}
        return _Made(
            data_version=tags.get(_DATA_VERSION, ""),
            code_version=tags.get(_CODE_VERSION, ""),
            inputs={
                name.removeprefix(_INPUT_VERSION): value
                for name, value in tags.items()
                if name.startswith(_INPUT_VERSION)
            },
            timestamp=event.timestamp,
        )

    def _present(self, asset: str, month: str) -> bool:
        node = self._graph.get(AssetKey(asset))
        place = month if node.partitions_def is not None else UNPARTITIONED
        rows = self._graph.assets_def_for_key(AssetKey(asset)).get_io_manager_key_for_asset_key(
            AssetKey(asset)
        )
        return self._store.present(asset, place, rows=rows == "rows_io")

    def _failures(self, month: str) -> dict[str, tuple[float, str]]:
        """Asset to (time, reason) of its latest failed step in the month's recent runs."""
        found: dict[str, tuple[float, str]] = {}
        runs = self._instance.get_runs(
            dg.RunsFilter(
                statuses=[dg.DagsterRunStatus.FAILURE], tags={"dagster/partition": month}
            ),
            limit=RECENT_RUNS,
        )
        for run in runs:
            connection = self._instance.get_records_for_run(
                run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE
            )
            for record in connection.records:
                entry = record.event_log_entry
                # A check that fails counts against its asset: a blocking one blocks only within its
                # own run, and the next run would pass it by.
                asset = self._asset_of_step.get(entry.step_key or "", "")
                if asset and entry.timestamp > found.get(asset, (0.0, ""))[0]:
                    found[asset] = (entry.timestamp, "the last attempt failed: " + reason(entry))
        return found


def up_to(defs: dg.Definitions, asset: str) -> list[str]:
    """An asset and everything upstream of it, inputs before what reads them.

    Raises:
        UserError: if there is no such asset.
    """
    graph = defs.resolve_asset_graph()
    order = _ordered(graph)
    if asset not in order:
        raise UserError(f"there is no asset {asset!r}. Name one of {', '.join(order)}.")
    wanted: set[AssetKey] = set()
    new = {AssetKey(asset)}
    while new:
        wanted |= new
        new = {above for key in new for above in graph.get(key).parent_keys} - wanted
    return [name for name in order if AssetKey(name) in wanted]


def _ordered(graph: Any) -> list[str]:
    return [
        key.to_user_string()
        for level in graph.toposorted_asset_keys_by_level
        for key in sorted(level)
        if graph.get(key).is_materializable
    ]


def _as_input(data_version: str) -> tuple[str, str]:
    """What a reader records of an input: its data version, or of a partition the hash of it."""
    return data_version, sha256_text(data_version)


def reason(entry: dg.EventLogEntry) -> str:
    """The innermost message of a step's failure, in one line."""
    event = entry.dagster_event
    error = event.step_failure_data.error if event else None
    while error is not None and error.cause is not None:
        error = error.cause
    if error is None:
        return "no reason recorded"
    message = " ".join(error.message.split())
    _, _, tail = message.partition("UserError: ")
    return tail or message


def _iso(timestamp: float) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(timestamp, UTC).isoformat(timespec="seconds") if timestamp else ""
