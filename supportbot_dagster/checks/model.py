"""Checks on the model group.

What lives here: what must hold of the adapter and the GGUF. What does not: the assets.
"""

from collections.abc import Mapping, Sequence

import dagster as dg

from supportbot_dagster.artifacts import Artifact
from supportbot_dagster.assets.house import House
from supportbot_dagster.checks.common import outcome


def first_and_last_loss(curve: Sequence[Mapping[str, float]]) -> tuple[float, float]:
    """Losses at both ends of a training, in nats a token.

    Of the validation split if it was measured: a base may know some training rows by heart, and
    batches differ, but held-out rows are always the same. Else the means of the first and the last
    tenth of the updates.
    """
    held_out = [entry["eval_loss"] for entry in curve if "eval_loss" in entry]
    losses = held_out or [entry["loss"] for entry in curve if "loss" in entry]
    tenth = 1 if held_out else max(1, len(losses) // 10)
    return sum(losses[:tenth]) / tenth, sum(losses[-tenth:]) / tenth


def build(house: House) -> list[dg.AssetChecksDefinition]:
    """The checks of this group for one product."""
    limit = house.product.gates.top_token_agreement

    @dg.asset_check(
        asset="lora_adapter",
        partitions_def=house.partitions,
        description="The loss on the validation split is lower after training than before; without "
        "one, that of the last tenth of the updates is below that of the first.",
    )
    def loss_fell(lora_adapter: Artifact) -> dg.AssetCheckResult:
        first, last = first_and_last_loss(lora_adapter.read_json("training.json")["curve"])
        return outcome(last < first, f"from {first:.3f} to {last:.3f} nats a token")

    @dg.asset_check(
        asset="gguf",
        partitions_def=house.partitions,
        blocking=True,
        description="The F16 file agrees with transformers, token ids are identical, and the "
        "prompt holds exactly one BOS.",
    )
    def export_is_faithful(gguf: Artifact) -> dg.AssetCheckResult:
        parity = gguf.read_json("export.json")["parity_f16"]
        share = parity["same_top_token_share"]
        return outcome(
            share >= limit and parity["token_ids_identical"] and parity["bos_count"] == 1,
            f"same top token at {share:.2%} of {parity['positions']} positions, "
            f"{parity['bos_count']} BOS",
        )

    return [loss_fell, export_is_faithful]
