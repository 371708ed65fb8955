"""Checks on the dataset group.

What lives here: what must hold of the merged dataset. What does not: the asset.
"""

import dagster as dg

from supportbot_dagster.artifacts import Artifact
from supportbot_dagster.assets.house import House
from supportbot_dagster.checks.common import outcome
from supportbot_dagster.dataset.audit import audit_dataset
from supportbot_dagster.dataset.card import read_split
from supportbot_dagster.dataset.rows import SPLITS
from supportbot_dagster.evaluation.probes import load_probes


def build(house: House) -> list[dg.AssetChecksDefinition]:
    """The checks of this group for one product."""

    @dg.asset_check(
        asset="merged_dataset",
        partitions_def=house.partitions,
        blocking=True,
        description="No page, thread or family stands in two splits, no probe stands in any, no "
        "held-out question is copied in training.",
    )
    def splits_do_not_leak(merged_dataset: Artifact) -> dg.AssetCheckResult:
        rows = [row for split in SPLITS for row in read_split(merged_dataset.path, split)]
        problems = audit_dataset(rows, [probe.question for probe in load_probes(house.product)])
        return outcome(not problems, f"{len(problems)} problems", problems=problems[:20])

    @dg.asset_check(
        asset="merged_dataset",
        partitions_def=house.partitions,
        description="The dataset has its target size; a shortfall is a warning.",
    )
    def target_size_is_reached(merged_dataset: Artifact) -> dg.AssetCheckResult:
        count = len(read_split(merged_dataset.path, "train"))
        wanted = house.product.dataset.target_rows
        return outcome(count >= wanted, f"{count} of {wanted} rows to train on", warn=True)

    return [splits_do_not_leak, target_size_is_reached]
