"""LoRA fine-tuning with TRL's SFTTrainer and PEFT, on completions only.

What lives here: the training run itself, from a specification file to an adapter folder, with
checkpoints, curves and an MLflow run. What does not: how the run is started
(``python -m supportbot_dagster.training``), the choice of settings
(:mod:`supportbot_dagster.training.catalogue`) and the estimate before it
(:mod:`supportbot_dagster.training.plan`).
"""

import json
import math
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from supportbot_dagster.errors import UserError
from supportbot_dagster.jsonl import read_jsonl
from supportbot_dagster.training.catalogue import LoraSettings
from supportbot_dagster.training.encode import IGNORED, encode_rows

CHECKPOINTS_PER_RUN = 6
"""How often a run saves; a kill costs at most a sixth of it."""

Report = Callable[[int, int, dict[str, float]], None]
"""Called with the step, the number of steps and the latest figures."""


@dataclass(frozen=True)
class TrainingSpec:
    """What to train; stored as JSON beside the checkpoints.

    Args:
        base_dir: Hugging Face folder of the base.
        train_file: rows of the train split.
        validation_file: rows of the validation split.
        target_modules: regular expression of the layers that get adapters.
        settings: LoRA and optimizer settings.
        out_dir: gets the adapter and ``training.json``.
        work_dir: gets the checkpoints; a later run with the same folder resumes from the last.
        mlflow_uri: tracking URI; empty for no tracking.
        experiment: MLflow experiment.
        run_name: MLflow run.
        tags: of the MLflow run.
    """

    base_dir: str
    train_file: str
    validation_file: str
    target_modules: str
    settings: LoraSettings
    out_dir: str
    work_dir: str
    mlflow_uri: str = ""
    experiment: str = ""
    run_name: str = ""
    tags: tuple[tuple[str, str], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    @classmethod
    def from_file(cls, path: Path) -> "TrainingSpec":
        """Read a specification.

        Raises:
            UserError: if the file is missing or does not fit.
        """
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
            value["settings"] = LoraSettings(**value["settings"])
            value["tags"] = tuple((name, text) for name, text in value.get("tags", ()))
            return cls(**value)
        except FileNotFoundError:
            raise UserError(f"{path} does not exist. Name a training specification.") from None
        except (json.JSONDecodeError, TypeError, KeyError, ValueError) as error:
            raise UserError(f"{path} is no training specification: {error}.") from None


@dataclass(frozen=True)
class TrainingResult:
    """What came out.

    Args:
        steps: optimizer updates.
        rows: training rows used.
        too_long: rows left out because they exceed ``max_length`` tokens.
        train_loss: mean cross-entropy per answer token over the last tenth of the updates, nats.
        validation_loss: after the last update, nats per token; None without validation rows.
        curve: ``{"step", "loss"}`` and ``{"step", "eval_loss"}`` entries in order.
        trainable_parameters: adapter weights.
        seconds: wall-clock time of this process's share of the training.
        resumed_from: step of the checkpoint that this process went on from; 0 for none.
        mlflow_run_id: empty without tracking.
    """

    steps: int
    rows: int
    too_long: int
    train_loss: float
    validation_loss: float | None
    curve: list[dict[str, float]]
    trainable_parameters: int
    seconds: float
    resumed_from: int
    mlflow_run_id: str


def train_adapter(spec: TrainingSpec, report: Report) -> TrainingResult:
    """Train one adapter; resumes by itself from the last whole checkpoint in ``work_dir``.

    Raises:
        UserError: if there are no rows, the template does not fit, or the loss is not a number.
    """
    import datasets
    import torch
    from peft import LoraConfig
    from transformers import (
        AutoModelForCausalLM,
        AutoTokenizer,
        PrinterCallback,
        set_seed,
    )
    from trl import SFTConfig, SFTTrainer

    settings = spec.settings
    set_seed(settings.seed)
    tokenizer = AutoTokenizer.from_pretrained(spec.base_dir)
    train, too_long = encode_rows(tokenizer, read_jsonl(Path(spec.train_file)), settings.max_length)
    validation, _ = encode_rows(
        tokenizer, read_jsonl(Path(spec.validation_file)), settings.max_length
    )
    if not train:
        raise UserError(
            f"{spec.train_file} holds no row of at most {settings.max_length} tokens. "
            "Check merged_dataset, or raise model.training.max_length."
        )
    on_gpu = torch.cuda.is_available()
    # On a CPU with variable lengths, few distinct shapes keep the kernels' caches warm.
    multiple = 8 if on_gpu else 32
    model = AutoModelForCausalLM.from_pretrained(
        spec.base_dir,
        dtype=torch.bfloat16 if on_gpu else torch.float32,
        attn_implementation="sdpa" if on_gpu else "eager",
    )
    per_update = settings.batch_size * settings.gradient_accumulation
    updates = math.ceil(math.ceil(len(train) / per_update) * settings.epochs)
    every = max(1, updates // CHECKPOINTS_PER_RUN)
    arguments = SFTConfig(
        output_dir=spec.work_dir,
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=settings.batch_size,
        per_device_eval_batch_size=settings.batch_size,
        gradient_accumulation_steps=settings.gradient_accumulation,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=settings.warmup_share,
        weight_decay=settings.weight_decay,
        max_length=None,
        completion_only_loss=True,
        packing=False,
        pad_to_multiple_of=multiple,
        train_sampling_strategy="group_by_length",
        bf16=on_gpu or _fast_bf16(),
        use_cpu=not on_gpu,
        gradient_checkpointing=on_gpu,
        logging_steps=max(1, updates // 60),
        eval_strategy="steps" if validation else "no",
        eval_steps=every,
        eval_on_start=bool(validation),
        save_strategy="steps",
        save_steps=every,
        save_total_limit=2,
        report_to=[],
        disable_tqdm=True,
        seed=settings.seed,
        data_seed=settings.seed,
        dataloader_pin_memory=on_gpu,
    )
    callback = _reporter(report)
    trainer = SFTTrainer(
        model=model,
        args=arguments,
        train_dataset=datasets.Dataset.from_list([dict(example) for example in train]),
        eval_dataset=datasets.Dataset.from_list([dict(example) for example in validation])
        if validation
        else None,
        processing_class=tokenizer,
        peft_config=LoraConfig(
            r=settings.lora_rank,
            lora_alpha=settings.lora_alpha,
            lora_dropout=settings.dropout,
            target_modules=spec.target_modules,
            task_type="CAUSAL_LM",
        ),
        callbacks=[callback],
    )
    trainer.remove_callback(PrinterCallback)
    checkpoint = last_checkpoint(Path(spec.work_dir))
    resumed = int(checkpoint.name.rpartition("-")[2]) if checkpoint else 0
    outcome = trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    curve = _curve(trainer.state.log_history)
    if not math.isfinite(outcome.training_loss):
        raise UserError(
            "The training loss is not a number. Lower model.training.learning_rate in product.yaml."
        )
    validation_loss = float(trainer.evaluate()["eval_loss"]) if validation else None
    out_dir = Path(spec.out_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    trainer.save_model(str(out_dir))
    _keep_only_adapter(out_dir)
    losses = [entry["loss"] for entry in curve if "loss" in entry]
    tail = losses[-max(1, len(losses) // 10) :]
    result = TrainingResult(
        steps=int(trainer.state.global_step),
        rows=len(train),
        too_long=too_long,
        train_loss=sum(tail) / len(tail) if tail else float(outcome.training_loss),
        validation_loss=validation_loss,
        curve=curve,
        trainable_parameters=sum(
            weight.numel() for weight in trainer.model.parameters() if weight.requires_grad
        ),
        seconds=float(outcome.metrics["train_runtime"]),
        resumed_from=resumed,
        mlflow_run_id=_track(spec, curve, len(train), validation_loss) if spec.mlflow_uri else "",
    )
    (out_dir / "training.json").write_text(
        json.dumps(asdict(result), indent=2) + "\n", encoding="utf-8"
    )
    return result


def last_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint of a work folder, or None.

    A checkpoint counts as whole when the trainer's state, which is written last, can be read.
    """
    found: list[tuple[int, Path]] = []
    for path in folder.glob("checkpoint-*"):
        number = path.name.rpartition("-")[2]
        try:
            json.loads((path / "trainer_state.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if number.isdigit() and (path / "optimizer.pt").is_file():
            found.append((int(number), path))
    return max(found)[1] if found else None


def completion_tokens(labels: list[int]) -> int:
    """How many tokens of an example carry loss."""
    return sum(label != IGNORED for label in labels)


def _fast_bf16() -> bool:
    """Whether the CPU multiplies bfloat16 natively; without that autocast only costs time."""
    import torch

    capability = torch.backends.cpu.get_cpu_capability()
    if not capability.startswith("AVX512"):
        return False
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def _reporter(report: Report) -> Any:
    from transformers import TrainerCallback

    class Reporter(TrainerCallback):  # type: ignore[misc]
        def on_log(
            self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any
        ) -> None:
            figures = {
                name: float(value)
                for name, value in (logs or {}).items()
                if name in ("loss", "eval_loss", "learning_rate") and math.isfinite(float(value))
            }
            if figures:
                report(int(state.global_step), int(state.max_steps), figures)
            loss = (logs or {}).get("loss")
            if loss is not None and not math.isfinite(float(loss)):
                control.should_training_stop = True

    return Reporter()


def _curve(history: list[dict[str, Any]]) -> list[dict[str, float]]:
    curve: list[dict[str, float]] = []
    for entry in history:
        for name in ("loss", "eval_loss"):
            if name in entry:
                curve.append({"step": float(entry["step"]), name: float(entry[name])})
    return curve


def _keep_only_adapter(folder: Path) -> None:
    """The adapter and its configuration; what else the trainer saves belongs to the base."""
    for path in folder.iterdir():
        if path.is_file() and path.name not in ("adapter_model.safetensors", "adapter_config.json"):
            path.unlink()


def _track(
    spec: TrainingSpec, curve: list[dict[str, float]], rows: int, validation_loss: float | None
) -> str:
    """Log the finished run to MLflow; returns the run id."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    import mlflow
    from mlflow.entities import Metric, Param

    mlflow.set_tracking_uri(spec.mlflow_uri)
    database = spec.mlflow_uri.removeprefix("sqlite:///")
    if database != spec.mlflow_uri and mlflow.get_experiment_by_name(spec.experiment) is None:
        # Left to itself MLflow keeps artifacts in the current folder.
        beside = Path(database).resolve().parent / "mlruns"
        mlflow.create_experiment(spec.experiment, artifact_location=beside.as_uri())
    mlflow.set_experiment(spec.experiment)
    with mlflow.start_run(run_name=spec.run_name, tags=dict(spec.tags)) as run:
        client = mlflow.MlflowClient()
        now = int(run.info.start_time)
        metrics = [
            Metric(name, value, now, int(entry["step"]))
            for entry in curve
            for name, value in entry.items()
            if name != "step"
        ]
        if validation_loss is not None:
            metrics.append(Metric("validation_loss", validation_loss, now, 0))
        params = [Param(name, str(value)) for name, value in asdict(spec.settings).items()]
        client.log_batch(
            run.info.run_id, metrics=metrics, params=[*params, Param("rows", str(rows))]
        )
        mlflow.log_artifacts(spec.out_dir, artifact_path="adapter")
        return str(run.info.run_id)
