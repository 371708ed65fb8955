"""The release group: the bundle, and the decision about it.

What lives here: two assets. What does not: building, verifying and deciding
(:mod:`supportbot_dagster.bundle`).
"""

import json
from pathlib import Path

import dagster as dg

from supportbot_dagster.artifacts import Artifact
from supportbot_dagster.assets.house import House, artifact_output, manifest, table
from supportbot_dagster.assets.model import shipped_file
from supportbot_dagster.bundle.build import build_bundle
from supportbot_dagster.bundle.release import decide, write_pointer
from supportbot_dagster.gate import read_gates
from supportbot_dagster.jsonl import read_jsonl
from supportbot_dagster.resources.artifact_store import ArtifactStore
from supportbot_dagster.training.catalogue import find_base


def build(house: House) -> list[dg.AssetsDefinition]:
    """The assets of this group for one product."""
    product = house.product
    base = find_base(product.model.base)

    @dg.asset(
        description="What is shipped: GGUF, Modelfile, installers, client, card, reports, "
        "checksums. It is built even when a gate fails, and says so; the release holds it back.",
        **house.common(
            group="release",
            kinds={"ollama", "gguf", "typescript"},
            version="2",
            settings=[
                product.name,
                product.slug,
                product.facts,
                product.serving,
                product.model.base,
            ],
        ),
    )
    def ollama_bundle(
        context: dg.AssetExecutionContext,
        gguf: Artifact,
        probe_report: Artifact,
        trust_report: Artifact,
        store: ArtifactStore,
    ) -> dg.Output[Artifact]:
        trust = trust_report.read_json("trust.json")
        outcomes = read_jsonl(trust_report.file("outcomes.jsonl"))
        export = gguf.read_json("export.json")
        gates = read_gates(
            gguf.file("export.json"),
            trust_report.file("trust.json"),
            probe_report.file("probes.json"),
        )
        description = manifest(
            context,
            inputs={"gguf": gguf, "probe_report": probe_report, "trust_report": trust_report},
            parameters={
                "serving": product.serving.model_dump(mode="json"),
                "facts": product.facts.model_dump(mode="json"),
                "base": base.key,
            },
        )
        with store.staging("ollama_bundle") as scratch:
            folder = scratch / "bundle"
            build_bundle(
                gguf.file(shipped_file(product)),
                product,
                base,
                folder,
                reports={
                    "trust": trust,
                    "probes": probe_report.read_json("probes.json"),
                    "export": export,
                    "outcomes": [
                        {key: item[key] for key in ("id", "cell")}
                        for item in outcomes
                        if item["split"] == "test"
                    ],
                },
                gates=gates,
                threshold=trust["threshold"],
                openings=trust["openings"],
                month=context.partition_key,
                manifest=description,
                allow_failed_gates=True,
            )
            artifact = store.publish(folder, description)
        card = artifact.file("MODEL_CARD.md").read_text(encoding="utf-8")
        return artifact_output(
            artifact,
            {
                "model": product.model_name,
                "gates_failed": sum(not gate.passed for gate in gates),
                "files": table(
                    [
                        {"file": entry.path, "bytes": entry.size}
                        for entry in artifact.manifest.files
                    ],
                    limit=40,
                ),
                "card": dg.MetadataValue.md(card),
            },
        )

    @dg.asset(
        description="The bundle, verified again and compared with the last release: promoted, or "
        "held back with the reasons and the questions that got worse.",
        **house.common(group="release", kinds={"json"}, version="1", settings=[product.gates]),
    )
    def release(
        context: dg.AssetExecutionContext, ollama_bundle: Artifact, store: ArtifactStore
    ) -> dg.Output[Artifact]:
        month = context.partition_key
        last = store.last_promoted(month)
        questions = {item["id"]: item["question"] for item in store.held_out_questions(month)}
        decision = decide(ollama_bundle.path, last.path if last else None, last_month(last))
        with store.staging("release") as folder:
            (folder / "release.json").write_text(
                json.dumps(decision.to_dict(), indent=2, ensure_ascii=False) + "\n"
            )
            artifact = store.publish(
                folder,
                manifest(
                    context,
                    inputs={"ollama_bundle": ollama_bundle},
                    parameters={
                        "gates": product.gates.model_dump(mode="json"),
                        "decision": decision.to_dict(),
                    },
                ),
            )
        if decision.promoted and store.is_latest_promoted(month):
            write_pointer(
                Path(store.scratch),
                month,
                str(store.target("ollama_bundle", month)),
                ollama_bundle.manifest.data_version,
            )
        return artifact_output(
            artifact,
            {
                "decision": "promoted" if decision.promoted else "held back",
                "reasons": table([{"reason": reason} for reason in decision.reasons], limit=30),
                "regressions": table(
                    [
                        {"id": name, "question": questions.get(name, "")}
                        for name in decision.regressions
                    ],
                    limit=60,
                ),
                "compared_with": decision.compared_with or "nothing: the first release",
            },
        )

    return [ollama_bundle, release]


def last_month(bundle: Artifact | None) -> str:
    """Month of a bundle; empty for none."""
    return bundle.manifest.month if bundle else ""
