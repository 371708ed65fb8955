"""The dataset group: the merged dataset.

What lives here: one asset. What does not: merging (:mod:`supportbot_dagster.dataset.merge`).
"""

import dagster as dg

from supportbot_dagster.artifacts import Artifact
from supportbot_dagster.assets.house import (
    House,
    Rows,
    artifact_output,
    counts,
    manifest,
    picture,
    rows_version,
    table,
)
from supportbot_dagster.dataset.card import card, write_dataset
from supportbot_dagster.dataset.merge import merge
from supportbot_dagster.dataset.rows import SPLITS, Row
from supportbot_dagster.evaluation.plots import bucket_bars
from supportbot_dagster.evaluation.probes import load_probes
from supportbot_dagster.resources.artifact_store import ArtifactStore


def build(house: House) -> list[dg.AssetsDefinition]:
    """The assets of this group for one product."""
    product = house.product

    @dg.asset(
        description="The three kinds of rows in the wanted shares, split by page, thread and "
        "family, without the probes: train, validation, calibration and test JSONL, their schema "
        "and a card.",
        **house.common(
            group="dataset",
            kinds={"jsonl", "huggingface"},
            version="6",
            settings=[
                product.dataset,
                house.content(product.probes.file, "probes.yaml"),
            ],
        ),
    )
    def merged_dataset(
        context: dg.AssetExecutionContext,
        synthesized_pairs: Rows,
        ticket_pairs: Rows,
        refusal_rows: Rows,
        store: ArtifactStore,
    ) -> dg.Output[Artifact]:
        inputs = {
            "synthesized_pairs": synthesized_pairs,
            "ticket_pairs": ticket_pairs,
            "refusal_rows": refusal_rows,
        }
        merged = merge(
            (Row.from_dict(row) for rows in inputs.values() for row in rows),
            product.dataset,
            [probe.question for probe in load_probes(product)],
        )
        versions = {name: rows_version(rows) for name, rows in inputs.items()}
        with store.staging("merged_dataset") as folder:
            write_dataset(merged, folder, product, context.partition_key, versions)
            artifact = store.publish(
                folder,
                manifest(
                    context,
                    inputs=versions,
                    parameters=product.dataset.model_dump(mode="json"),
                ),
            )
        shares = merged.shares
        return artifact_output(
            artifact,
            {
                "dagster/row_count": len(merged.rows),
                "buckets": table(
                    [
                        {
                            "bucket": name,
                            "wanted": count.wanted,
                            "available": count.available,
                            "used": count.used,
                            "share": round(shares[name], 3),
                            "short_by": count.shortfall,
                            "held_out": count.held_out,
                        }
                        for name, count in merged.buckets.items()
                    ]
                ),
                "splits": counts({split: len(merged.of(split)) for split in SPLITS}, "split"),
                "left_out": counts(merged.left_out),
                "refusals_that_the_docs_answer": table([vars(one) for one in merged.answered]),
                "withheld_sections": list(merged.withheld),
                "plot": picture(
                    bucket_bars(
                        [(name, item.wanted, item.used) for name, item in merged.buckets.items()]
                    ),
                    "rows wanted and used by bucket",
                ),
                "card": dg.MetadataValue.md(card(merged, product, context.partition_key, versions)),
            },
        )

    return [merged_dataset]
