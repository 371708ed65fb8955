"""Checks on the evaluation group.

What lives here: the gates as checks, so that they show beside the assets. What does not: the
decision, which the release makes from the bundle's own reports.
"""

import dagster as dg

from supportbot_dagster.artifacts import Artifact
from supportbot_dagster.assets.house import House
from supportbot_dagster.checks.common import outcome

MIN_JUDGE = 0.95
"""Share of the known cases on which the judge itself must be right."""


def build(house: House) -> list[dg.AssetChecksDefinition]:
    """The checks of this group for one product."""

    @dg.asset_check(
        asset="probe_report",
        partitions_def=house.partitions,
        description="Enough of the probes pass.",
    )
    def probes_pass(probe_report: Artifact) -> dg.AssetCheckResult:
        gate = probe_report.read_json("probes.json")["gate"]
        return outcome(gate["passed"], f"{gate['measured']:.0f} passed, {gate['limit']:.0f} needed")

    @dg.asset_check(
        asset="trust_report",
        partitions_def=house.partitions,
        description="Every gate on the held-out questions passes.",
    )
    def gates_pass(trust_report: Artifact) -> dg.AssetCheckResult:
        gates = trust_report.read_json("trust.json")["gates"]
        failed = [gate["name"] for gate in gates if not gate["passed"]]
        return outcome(
            not failed, f"{len(gates) - len(failed)} of {len(gates)} gates pass", failed=failed
        )

    @dg.asset_check(
        asset="trust_report",
        partitions_def=house.partitions,
        description="The judge is right on reference answers and on answers of other sections.",
    )
    def judge_is_sound(trust_report: Artifact) -> dg.AssetCheckResult:
        judge = trust_report.read_json("trust.json")["judge"]
        known = judge["references"] + judge["strangers"]
        right = judge["references_right"] + judge["strangers_wrong"]
        return outcome(
            known > 0 and right >= MIN_JUDGE * known, f"right on {right} of {known} known cases"
        )

    return [probes_pass, gates_pass, judge_is_sound]
