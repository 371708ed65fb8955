"""The model group: base, plan, adapter, GGUF.

What lives here: the four assets that make a model file. What does not: training
(:mod:`supportbot_dagster.training`) and export (:mod:`supportbot_dagster.export`). Training runs in
a process of its own, started through Dagster Pipes, so that neither this process nor its memory is
touched by it.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import ValidationError

from supportbot_dagster.artifacts import Artifact
from supportbot_dagster.assets.house import (
    House,
    artifact_output,
    log_progress,
    manifest,
    picture,
    rows_version,
    table,
)
from supportbot_dagster.dataset.card import read_split
from supportbot_dagster.errors import UserError
from supportbot_dagster.evaluation.plots import loss_curve
from supportbot_dagster.export.facts import Facts
from supportbot_dagster.export.pipeline import HeldOut, export_gguf
from supportbot_dagster.export.toolchain import converter
from supportbot_dagster.export.vocabulary import stop_tokens
from supportbot_dagster.jsonl import write_jsonl_atomic
from supportbot_dagster.product import Product, Training
from supportbot_dagster.refusals.markers import is_refusal
from supportbot_dagster.resources.artifact_store import ArtifactStore
from supportbot_dagster.resources.experiment_tracker import ExperimentTracker
from supportbot_dagster.resources.trainer import Trainer
from supportbot_dagster.training.base import base_version, fetch_base
from supportbot_dagster.training.catalogue import find_base, lora_settings
from supportbot_dagster.training.lora import TrainingSpec
from supportbot_dagster.training.plan import compare, make_plan
from supportbot_dagster.training.preflight import (
    REPORT,
    preflight_apart,
    require_passed,
    write_report,
)


class TrainingConfig(dg.Config):
    """Settings of one training, over those of the product file; for the launchpad.

    What each means stands at :class:`supportbot_dagster.training.catalogue.LoraSettings`.
    """

    epochs: float | None = None
    learning_rate: float | None = None
    lora_rank: int | None = None
    lora_alpha: int | None = None
    batch_size: int | None = None
    gradient_accumulation: int | None = None
    warmup_share: float | None = None
    max_length: int | None = None
    seed: int | None = None

    def given(self) -> dict[str, Any]:
        """Those that were set, checked as in a product file.

        Raises:
            UserError: if one is out of its range.
        """
        given = {name: value for name, value in self.model_dump().items() if value is not None}
        try:
            Training(**given)
        except ValidationError as error:
            wrong = error.errors()[0]
            raise UserError(
                f"The run's config sets {wrong['loc'][0]} to {wrong['input']}: {wrong['msg']}. "
                "Mend it in the launchpad."
            ) from None
        return given


def shipped_file(product: Product) -> str:
    """The file of ``gguf`` that is evaluated and shipped."""
    return f"model.{product.model.quant}.gguf"


def held_out_rows(merged_dataset: Artifact, product: Product) -> HeldOut:
    """The validation split: training has not seen it, and nothing is promised about it."""
    rows = read_split(merged_dataset.path, "validation")
    refusals = {row.id for row in rows if is_refusal(row.output)}
    return HeldOut(
        [(row.instruction, row.output) for row in rows if row.id not in refusals],
        [(row.instruction, row.output) for row in rows if row.id in refusals],
        is_refusal,
        product.serving,
    )


def build(house: House) -> list[dg.AssetsDefinition]:
    """The assets of this group for one product."""
    product = house.product
    base = find_base(product.model.base)
    settings = lora_settings(base, product.model.training)

    @dg.asset(
        description="A pinned local snapshot of the base model.",
        **house.common(
            group="model",
            kinds={"huggingface", "pytorch"},
            version="1",
            settings=[base.key, base_version(base)],
            partitioned=False,
        ),
    )
    def base_model(context: dg.AssetExecutionContext, store: ArtifactStore) -> dg.Output[Artifact]:
        with store.staging("base_model") as folder:
            snapshot = fetch_base(
                base,
                folder,
                work_dir=store.work_dir("base_model", base.revision),
                progress=log_progress(context),
            )
            artifact = store.publish(
                folder,
                manifest(
                    context,
                    inputs={},
                    parameters={
                        "base": base.key,
                        "revision": snapshot.commit or base.revision,
                        "files": {entry.path: entry.sha256 for entry in store.describe(folder)},
                    },
                ),
            )
        store.clear_work("base_model", base.revision)
        return artifact_output(
            artifact,
            {
                "base": base.title,
                "origin": snapshot.origin,
                "licence": base.licence,
                "obligations": base.obligations,
            },
        )

    @dg.asset(
        description="Steps, tokens, memory, hours and cost of the training, before any of it is "
        "spent, and a preflight on the real base and a few rows.",
        pool="gpu",
        **house.common(
            group="model",
            kinds={"json"},
            version="2",
            settings=[base.key, product.model.training],
        ),
    )
    def training_plan(
        context: dg.AssetExecutionContext,
        merged_dataset: Artifact,
        base_model: Artifact,
        store: ArtifactStore,
    ) -> dg.Output[Artifact]:
        rows = [row.to_dict() for row in read_split(merged_dataset.path, "train")]
        held_out = len(read_split(merged_dataset.path, "validation"))
        plan = make_plan(base, base_model.path, rows, settings, validation_rows=held_out)
        progress = log_progress(context)
        report = preflight_apart(
            base,
            base_model.path,
            merged_dataset.file("train.jsonl"),
            settings,
            runtime=lambda folder: stop_tokens(folder, toolchain=converter(progress=progress)),
            progress=progress,
        )
        with store.staging("training_plan") as folder:
            (folder / "plan.json").write_text(json.dumps(plan.to_dict(), indent=2) + "\n")
            write_report(report, folder)
            artifact = store.publish(
                folder,
                manifest(
                    context,
                    inputs={"merged_dataset": merged_dataset, "base_model": base_model},
                    parameters=asdict(settings),
                ),
            )
        return artifact_output(
            artifact,
            {
                "updates": plan.updates,
                "tokens_per_epoch": plan.tokens_per_epoch,
                "rows_too_long": plan.too_long,
                "adapter_parameters": plan.adapter_parameters,
                "peak_memory_gib": plan.peak_memory_gib,
                "estimates": table([asdict(estimate) for estimate in plan.estimates]),
                "preflight": table([asdict(result) for result in report.results]),
            },
        )

    @dg.asset(
        description="The LoRA adapter, trained on completions only, with its curve and its MLflow "
        "run. A killed run goes on from its last checkpoint.",
        pool="gpu",
        **house.common(
            group="model",
            kinds={"pytorch", "mlflow"},
            version="3",
            settings=[base.key, product.model.training, str(product.model.second_stage)],
        ),
        deps=["followup_conversations"] if product.model.second_stage else [],
    )
    def lora_adapter(
        context: dg.AssetExecutionContext,
        config: TrainingConfig,
        merged_dataset: Artifact,
        base_model: Artifact,
        training_plan: Artifact,
        store: ArtifactStore,
        tracker: ExperimentTracker,
        trainer: Trainer,
    ) -> dg.Output[Artifact]:
        require_passed(training_plan.read_json(REPORT))
        chosen = replace(settings, **config.given())
        if chosen != settings:
            context.log.warning(
                "The run's config changes settings, so training_plan is of another training."
            )
        follow_ups = (
            store.read_rows("followup_conversations", context.partition_key) or []
            if product.model.second_stage
            else []
        )
        description = manifest(
            context,
            inputs={
                "merged_dataset": merged_dataset,
                "base_model": base_model,
                "training_plan": training_plan,
                **({"followup_conversations": rows_version(follow_ups)} if follow_ups else {}),
            },
            parameters=asdict(chosen),
        )
        work = store.work_dir("lora_adapter", description.data_version)
        followup_file = work / "followups.jsonl"
        if follow_ups:
            write_jsonl_atomic(followup_file, follow_ups)
        with store.staging("lora_adapter") as folder:
            spec = TrainingSpec(
                base_dir=str(base_model.path),
                train_file=str(merged_dataset.file("train.jsonl")),
                validation_file=str(merged_dataset.file("validation.jsonl")),
                target_modules=base.target_modules,
                settings=chosen,
                out_dir=str(folder),
                work_dir=str(work),
                mlflow_uri=tracker.uri,
                experiment=tracker.experiment,
                run_name=f"{product.slug} {context.partition_key}",
                tags=(
                    ("month", context.partition_key),
                    ("dataset", merged_dataset.manifest.data_version),
                    ("dagster_run", context.run_id),
                ),
                followup_file=str(followup_file) if follow_ups else "",
                registered_model=product.model_name,
            )
            spec_file = work / "spec.json"
            spec_file.write_text(json.dumps(spec.to_dict(), indent=2), encoding="utf-8")
            summary = trainer.run(context, spec_file)
            result = json.loads((folder / "training.json").read_text(encoding="utf-8"))
            artifact = store.publish(folder, description)
        store.clear_work("lora_adapter", description.data_version)
        return artifact_output(
            artifact,
            {
                "curve": picture(loss_curve(result["curve"]), "training and validation loss"),
                "train_loss": summary["train_loss"],
                "validation_loss": summary["validation_loss"],
                "updates": summary["steps"],
                "rows": summary["rows"],
                "trainable_parameters": summary["trainable_parameters"],
                "seconds": round(summary["seconds"], 1),
                "resumed_from_step": summary["resumed_from"],
                "mlflow_run": tracker.link(summary["mlflow_run_id"]),
                "model_version": summary["model_version"],
                "checkpoints": table(result["candidates"]),
                "chosen_because": result["chosen_because"],
                "stopped_early": result["stopped_early"],
                "where": f"{result['processes']} x {result['device']}, {result['precision']}",
                "second_stage": dg.MetadataValue.json(_stage(summary["followup"])),
                "planned_and_actual": table(compare(training_plan.read_json("plan.json"), result)),
                "settings": dg.MetadataValue.json(asdict(chosen)),
            },
        )

    @dg.asset(
        description="The adapter merged into 16-bit weights, converted with the runtime's own "
        "converter to F16 and quantized, with what merging, converting and quantizing changed on "
        "held-out rows.",
        **house.common(
            group="model",
            kinds={"gguf"},
            version="2",
            settings=[
                product.name,
                product.model.quant,
                *product.model.more_quants,
                str(product.model.keep_f16),
                product.serving,
                product.gates,
            ],
        ),
    )
    def gguf(
        context: dg.AssetExecutionContext,
        lora_adapter: Artifact,
        base_model: Artifact,
        merged_dataset: Artifact,
        store: ArtifactStore,
    ) -> dg.Output[Artifact]:
        model = product.model
        facts = Facts(
            name=product.model_name,
            month=context.partition_key,
            licence=base.licence,
            base=base.title,
            base_repository=base.hub_id or "",
            base_revision=base.revision,
            dataset=f"{product.slug} support rows",
            dataset_version=merged_dataset.manifest.data_version,
            temperature=product.serving.temperature,
            top_p=product.serving.top_p,
        )
        with store.staging("gguf") as folder:
            report = export_gguf(
                base_model.path,
                lora_adapter.path,
                folder / shipped_file(product),
                quant=model.quant,
                more_quants=model.more_quants,
                work_dir=folder,
                keep_f16=model.keep_f16,
                held_out=held_out_rows(merged_dataset, product),
                limits=product.gates,
                facts=facts,
                progress=log_progress(context),
            )
            (folder / "export.json").write_text(
                json.dumps(report.as_dict(), indent=2, ensure_ascii=False) + "\n",
                encoding="utf-8",
            )
            artifact = store.publish(
                folder,
                manifest(
                    context,
                    inputs={
                        "lora_adapter": lora_adapter,
                        "base_model": base_model,
                        "merged_dataset": merged_dataset,
                    },
                    parameters={
                        "quant": model.quant,
                        "more_quants": model.more_quants,
                        "keep_f16": model.keep_f16,
                        "gates": product.gates.model_dump(mode="json"),
                        "facts": asdict(facts),
                    },
                ),
            )
        assert report.fidelity is not None
        assert report.token_ids is not None
        return artifact_output(
            artifact,
            {
                "architecture": report.architecture,
                "weights": report.weights,
                "size_mib": round(report.main.size_bytes / 2**20, 2),
                "files": table(
                    [
                        {"file": Path(file.path).name, "bytes": file.size_bytes}
                        for file in report.files
                    ]
                ),
                "gates": table([asdict(gate) for gate in report.gates]),
                "forms": table([asdict(step) for step in report.fidelity.steps]),
                "perplexity": table([asdict(found) for found in report.fidelity.perplexities]),
                "merged_tensors": report.merge.tensors,
                "token_ids_identical": report.token_ids.identical,
                "texts_compared": report.token_ids.texts,
                "bos_tokens": report.token_ids.bos_count,
                "flips": dg.MetadataValue.json(asdict(report.flips) if report.flips else {}),
                "quantization": dg.MetadataValue.json(asdict(report.main.quantization)),
            },
        )

    return [base_model, training_plan, lora_adapter, gguf]


def _stage(result: Mapping[str, Any] | None) -> dict[str, Any]:
    """The figures of a second stage; empty without one."""
    names = ("rows", "steps", "train_loss", "validation_loss", "chosen_because")
    return {name: result[name] for name in names} if result else {}
