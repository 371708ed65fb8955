"""Checks on the model group.

What lives here: what must hold of the adapter and the GGUF. What does not: the assets.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import dagster as dg

from supportbot_dagster.artifacts import Artifact
from supportbot_dagster.assets.house import House, table
from supportbot_dagster.checks.common import outcome
from supportbot_dagster.gate import gates_of
from supportbot_dagster.training.preflight import REPORT, PreflightReport


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

    @dg.asset_check(
        asset="training_plan",
        partitions_def=house.partitions,
        blocking=True,
        description="Before any paid minute: converter and template, one BOS, the completion mask, "
        "the end of turn, adapters and their gradients, the cache, and one row learned by heart.",
    )
    def preflight(training_plan: Artifact) -> dg.AssetCheckResult:
        report = PreflightReport.from_dict(training_plan.read_json(REPORT))
        return outcome(
            report.passed,
            report.failures or f"all {len(report.results)} results on {report.device}",
            results=table([asdict(result) for result in report.results]),
            seconds=report.seconds,
            peak_memory_gib=report.peak_memory_gib,
        )

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
        description="The F16 file agrees with transformers, quantizing cost no more than the "
        "limits allow, token ids are identical, and the prompt holds exactly one BOS.",
    )
    def export_is_faithful(gguf: Artifact) -> dg.AssetCheckResult:
        report = gguf.read_json("export.json")
        tokens = report["token_ids"]
        problems = [gate.problem for gate in gates_of(report) if not gate.passed]
        if tokens["differing"] or tokens["bos_count"] != 1 or not tokens["stops"]:
            problems.append("the file does not read text as transformers does")
        step = report["fidelity"]["steps"][-1]
        return outcome(
            not problems,
            "; ".join(problems)
            or f"{step['after']} against {step['before']}: same top token at "
            f"{step['same_top_token_share']:.2%} of {step['positions']} positions",
        )

    return [preflight, loss_fell, export_is_faithful]
