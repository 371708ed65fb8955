"""Jobs: what is materialized together.

What lives here: the two jobs' selections. What does not: when they run
(:mod:`supportbot_dagster.schedules`, :mod:`supportbot_dagster.sensors`).
"""

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from supportbot_dagster.assets.house import House

RETRAIN = "retrain"
REFRESH_DOCS = "refresh_docs"
DOCS_HALF = ("docs_crawl", "synthesized_pairs", "refusal_rows", "merged_dataset")
"""What a change of the docs makes stale up to the dataset."""


def build(house: House) -> list[UnresolvedAssetJobDefinition]:
    """The jobs of one product."""
    return [
        dg.define_asset_job(
            RETRAIN,
            selection=dg.AssetSelection.all(),
            partitions_def=house.partitions,
            description="Everything, for one month: sources to release.",
            tags={"product": house.product.slug},
        ),
        dg.define_asset_job(
            REFRESH_DOCS,
            selection=dg.AssetSelection.assets("merged_dataset").upstream(),
            partitions_def=house.partitions,
            description="The cheap half after a change of the docs: the crawl to the merged "
            "dataset. The model then shows as stale and waits for a person or the schedule.",
            tags={"product": house.product.slug},
        ),
    ]
