"""The evaluation group: what the shipped file does.

What lives here: two assets that ask the shipped file. What does not: the measures
(:mod:`supportbot_dagster.evaluation`).
"""

import dagster as dg

from supportbot_dagster.artifacts import Artifact
from supportbot_dagster.assets.house import (
    House,
    artifact_output,
    log_progress,
    manifest,
    picture,
    table,
)
from supportbot_dagster.assets.model import shipped_file
from supportbot_dagster.dataset.card import read_split
from supportbot_dagster.dataset.rows import SPLITS
from supportbot_dagster.evaluation.probes import load_probes
from supportbot_dagster.evaluation.report import (
    NO_THRESHOLD,
    run_held_out,
    run_probes,
    write_probe_report,
    write_trust_report,
)
from supportbot_dagster.resources.artifact_store import ArtifactStore
from supportbot_dagster.resources.model_runtime import ModelRuntime


def build(house: House) -> list[dg.AssetsDefinition]:
    """The assets of this group for one product."""
    product = house.product
    model_file = shipped_file(product)
    serving = product.serving.model_dump(mode="json")

    @dg.asset(
        description="The probe questions asked of the shipped file: pass or fail, with the reason.",
        **house.common(
            group="evaluation",
            kinds={"gguf"},
            version="1",
            settings=[
                house.content(product.probes.file, "probes.yaml"),
                product.serving,
                str(product.gates.probes_passed),
            ],
        ),
    )
    def probe_report(
        context: dg.AssetExecutionContext,
        gguf: Artifact,
        runtime: ModelRuntime,
        store: ArtifactStore,
    ) -> dg.Output[Artifact]:
        probes = load_probes(product)
        with runtime.open(gguf.file(model_file), product.serving) as model:
            report = run_probes(probes, model.ask, product)
        with store.staging("probe_report") as folder:
            write_probe_report(report, folder)
            artifact = store.publish(
                folder,
                manifest(
                    context,
                    inputs={"gguf": gguf},
                    parameters={
                        "probes": [probe.model_dump(mode="json") for probe in probes],
                        "serving": serving,
                    },
                ),
            )
        return artifact_output(
            artifact,
            {
                "passed": report.gate.measured or 0.0,
                "of": len(report.results),
                "probes": table(
                    [
                        {
                            "probe": result.probe.question,
                            "passed": result.passed,
                            "reason": result.reason,
                            "answer": result.answer,
                        }
                        for result in report.results
                    ],
                    limit=50,
                ),
            },
        )

    @dg.asset(
        description="The held-out questions asked of the shipped file: right, wrong, deflected, by "
        "kind; the hand-off threshold; the leak audit; the judge, measured.",
        **house.common(
            group="evaluation",
            kinds={"gguf", "scikitlearn"},
            version="6",
            settings=[product.serving, product.gates],
        ),
    )
    def trust_report(
        context: dg.AssetExecutionContext,
        gguf: Artifact,
        merged_dataset: Artifact,
        runtime: ModelRuntime,
        store: ArtifactStore,
    ) -> dg.Output[Artifact]:
        rows = {split: read_split(merged_dataset.path, split) for split in SPLITS}
        deflections = [row.output for row in rows["train"] if row.bucket == "refusals"]
        with runtime.open(gguf.file(model_file), product.serving, deflections) as model:
            report = run_held_out(rows, model.ask, product, log_progress(context))
        with store.staging("trust_report") as folder:
            write_trust_report(
                report,
                folder,
                serving,
                openings=model.openings,
            )
            artifact = store.publish(
                folder,
                manifest(
                    context,
                    inputs={"gguf": gguf, "merged_dataset": merged_dataset},
                    parameters={
                        "serving": serving,
                        "gates": product.gates.model_dump(mode="json"),
                    },
                ),
            )
        wrong = [item for item in report.outcomes if item.split == "test" and item.reason]
        return artifact_output(
            artifact,
            {
                "gates": table(
                    [
                        {
                            "gate": gate.name,
                            "measured": gate.measured,
                            "limit": gate.limit,
                            "passed": gate.passed,
                            "how": gate.how,
                        }
                        for gate in report.gates
                    ]
                ),
                "cells": picture(
                    (artifact.path / "cells.png").read_bytes(), "outcomes by kind of question"
                ),
                "risk_coverage": picture(
                    (artifact.path / "risk_coverage.png").read_bytes(),
                    "wrong answers over coverage",
                ),
                "threshold": "none: too few right answers to choose one on"
                if report.threshold == NO_THRESHOLD
                else report.threshold,
                "test_questions": sum(report.summary.cells.values()),
                "withheld_sections": f"of {report.summary.withheld_deflected.of} questions about "
                "docs sections that training was not shown "
                f"{report.summary.withheld_deflected.count} were handed off and "
                f"{report.summary.withheld_wrong.count} answered wrong",
                "judge_right_on_references": f"{report.judge.references_right} of "
                f"{report.judge.references}",
                "judge_wrong_on_strangers": f"{report.judge.strangers_wrong} of "
                f"{report.judge.strangers}",
                "longest_ticket_overlap_words": report.leaks.longest_overlap_words,
                "not_right": table(
                    [
                        {
                            "question": item.question,
                            "answer": item.answer,
                            "reference": item.reference,
                            "reason": item.reason,
                        }
                        for item in wrong
                    ],
                    limit=40,
                ),
            },
        )

    return [probe_report, trust_report]
