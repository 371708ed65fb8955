"""Checks on the release group.

What lives here: what must hold of a bundle as files. What does not: the release's decision.
"""

import dagster as dg

from supportbot_dagster.artifacts import Artifact
from supportbot_dagster.assets.house import House
from supportbot_dagster.bundle.verify import verify_bundle
from supportbot_dagster.checks.common import outcome


def build(house: House) -> list[dg.AssetChecksDefinition]:
    """The checks of this group for one product."""

    @dg.asset_check(
        asset="ollama_bundle",
        partitions_def=house.partitions,
        description="Checksums, manifest, settings and template parity of the bundle hold.",
    )
    def bundle_verifies(ollama_bundle: Artifact) -> dg.AssetCheckResult:
        problems = verify_bundle(ollama_bundle.path)
        return outcome(
            not problems,
            f"{len(problems)} problems",
            problems=[f"{problem.check}: {problem.message}" for problem in problems],
        )

    @dg.asset_check(
        asset="release",
        partitions_def=house.partitions,
        description="The bundle was promoted.",
    )
    def promoted(release: Artifact) -> dg.AssetCheckResult:
        decision = release.read_json("release.json")
        return outcome(
            decision["promoted"],
            "promoted" if decision["promoted"] else "held back: " + "; ".join(decision["reasons"]),
        )

    return [bundle_verifies, promoted]
