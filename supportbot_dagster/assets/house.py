"""What all assets of a product share.

What lives here: the definition settings that every asset gets (partitions, owners, tags, code
version, storage), and small helpers that turn results into metadata. What does not: any asset, and
any logic of a stage.
"""

import base64
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import BaseModel

from supportbot_dagster.artifacts import Artifact, Manifest
from supportbot_dagster.hashing import sha256_json, sha256_path
from supportbot_dagster.partitions import monthly_partitions
from supportbot_dagster.product import SAMPLE, Product, sample_product_file
from supportbot_dagster.progress import Progress
from supportbot_dagster.review.verdicts import VerdictStore

Rows = list[dict[str, Any]]
"""What a rows asset returns and its readers get."""

NETWORK_RETRY = dg.RetryPolicy(max_retries=2, delay=5, backoff=dg.Backoff.EXPONENTIAL)
"""Only for assets that talk to a network: anything else fails the same way again."""


@dataclass(frozen=True)
class House:
    """One product's house: where its assets get their common settings from.

    Args:
        product: the product.
        verdicts: store of the hand review's verdicts; None for none.
    """

    product: Product
    verdicts: VerdictStore | None = None

    @property
    def partitions(self) -> dg.MonthlyPartitionsDefinition:
        """The retrain months."""
        return monthly_partitions(self.product.retrain.first_month)

    def code_version(self, version: str, settings: Sequence[BaseModel | str | None] = ()) -> str:
        """Version of an asset's code together with a hash of the settings that it reads.

        A changed setting so shows as a changed code version, and Dagster calls the asset stale.
        """
        if not settings:
            return version
        values = [
            item.model_dump(mode="json") if isinstance(item, BaseModel) else item
            for item in settings
        ]
        return f"{version}-{sha256_json(values)[:8]}"

    def content(self, source: str | None, sample: str = "") -> str:
        """Version of a file or folder that the product names: its content, not its path.

        Args:
            source: absolute path, ``sample``, or None.
            sample: where the embedded sample has it, relative to the sample's folder.
        """
        if source is None:
            return "none"
        if source == SAMPLE:
            return sha256_path(sample_product_file().parent / sample)
        return sha256_path(Path(source))

    def common(
        self,
        *,
        group: str,
        kinds: set[str],
        version: str,
        settings: Sequence[BaseModel | str | None] = (),
        rows: bool = False,
        partitioned: bool = True,
    ) -> dict[str, Any]:
        """Keyword arguments of ``dg.asset`` for an asset of this house."""
        return {
            "group_name": group,
            "kinds": kinds,
            "owners": list(self.product.owners),
            "tags": {"product": self.product.slug, "stage": group},
            "code_version": self.code_version(version, settings),
            "io_manager_key": "rows_io" if rows else "artifact_io",
            "partitions_def": self.partitions if partitioned else None,
        }


def rows_version(rows: Sequence[Mapping[str, Any]], leave_out: Sequence[str] = ()) -> str:
    """Data version of rows: a hash of their content, without volatile fields."""
    return sha256_json([{key: row[key] for key in row if key not in leave_out} for row in rows])[
        :32
    ]


def rows_output(
    rows: Rows, metadata: Mapping[str, Any], *, leave_out: Sequence[str] = ()
) -> dg.Output[Rows]:
    """The output of a rows asset with its data version and row count."""
    return dg.Output(
        rows,
        metadata={"dagster/row_count": len(rows), **metadata},
        data_version=dg.DataVersion(rows_version(rows, leave_out)),
    )


def artifact_output(artifact: Artifact, metadata: Mapping[str, Any]) -> dg.Output[Artifact]:
    """The output of a directory asset with its data version and size."""
    size = sum(entry.size for entry in artifact.manifest.files)
    return dg.Output(
        artifact,
        metadata={"size_mib": round(size / 2**20, 2), **metadata},
        data_version=dg.DataVersion(artifact.manifest.data_version),
    )


def manifest(
    context: dg.AssetExecutionContext,
    *,
    inputs: Mapping[str, str | Artifact],
    parameters: Mapping[str, Any],
) -> Manifest:
    """The manifest of the asset that runs, before its files are listed."""
    month = context.partition_key if context.has_partition_key else "_"
    definition = context.assets_def
    return Manifest(
        asset=context.asset_key.to_user_string(),
        month=month if definition.partitions_def is not None else "_",
        code_version=definition.code_versions_by_key[context.asset_key] or "",
        inputs={
            name: item.manifest.data_version if isinstance(item, Artifact) else item
            for name, item in sorted(inputs.items())
        },
        parameters=dict(parameters),
    )


def table(rows: Sequence[Mapping[str, Any]], *, limit: int = 12) -> dg.TableMetadataValue:
    """A table of the first ``limit`` rows; long texts are cut, None stays empty."""
    records = [
        dg.TableRecord({key: _cell(value) for key, value in row.items()}) for row in rows[:limit]
    ]
    if not records:
        columns = [dg.TableColumn("empty", "string")]
        return dg.MetadataValue.table(records=[], schema=dg.TableSchema(columns))
    return dg.MetadataValue.table(records=records)


def counts(values: Mapping[str, int], name: str = "reason") -> dg.TableMetadataValue:
    """A table of counts by reason."""
    return table([{name: key, "count": value} for key, value in values.items()], limit=60)


def picture(png: bytes, alt: str) -> dg.MarkdownMetadataValue:
    """A PNG inside the metadata itself, so that it shows without a file server."""
    return dg.MetadataValue.md(
        f"![{alt}](data:image/png;base64,{base64.b64encode(png).decode('ascii')})"
    )


def log_progress(context: dg.AssetExecutionContext, every_seconds: float = 5.0) -> Progress:
    """A progress callback that writes to the run's log."""
    last = time.monotonic()

    def report(label: str, done: int, total: int | None) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= every_seconds:
            last = now
            of = f" of {total}" if total is not None else ""
            context.log.info(f"{label}: {done}{of}")

    return report


def _cell(value: Any) -> str | int | float | bool | None:
    if value is None or isinstance(value, bool | int | float):
        return value
    text = str(value)
    return text if len(text) <= 240 else text[:237] + "..."
