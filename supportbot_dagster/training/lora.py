"""LoRA fine-tuning with TRL's SFTTrainer and PEFT, on completions only.

What lives here: the training run itself, from a specification to an adapter folder, with
checkpoints that a later run resumes from. What does not: how the run is started
(``python -m supportbot_dagster.training``), the choice of settings
(:mod:`supportbot_dagster.training.catalogue`), the trainer
(:mod:`supportbot_dagster.training.trainer`), MLflow
(:mod:`supportbot_dagster.training.tracking`) and the estimate before it
(:mod:`supportbot_dagster.training.plan`).

A run that is killed loses at most what came after its last checkpoint, and ends with the same
losses and adapter as one that was not: the order of the rows follows from seed and epoch, optimizer
and random state come from the checkpoint, and what decides about stopping and choosing is the
logged history, which the checkpoint holds as well. Several processes, started by ``torchrun`` or
``accelerate launch``, share the rows of each update; only the first writes.
"""

import math
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from supportbot_dagster.errors import UserError
from supportbot_dagster.training.batches import Collator, EpochOrder, Share, filler, share_of
from supportbot_dagster.training.catalogue import LoraSettings
from supportbot_dagster.training.checkpoints import (
    curve_of,
    finished,
    last_checkpoint,
    logged,
    write_adapter,
    write_result,
)
from supportbot_dagster.training.device import (
    Device,
    choose_device,
    load_base,
    needs_checkpointing,
    round_frozen,
)
from supportbot_dagster.training.encode import Example
from supportbot_dagster.training.held_out import Openings
from supportbot_dagster.training.judgement import candidates, choose, is_flat
from supportbot_dagster.training.rows import held_out, read_rows
from supportbot_dagster.training.spec import Report, TrainingResult, TrainingSpec
from supportbot_dagster.training.tracking import track
from supportbot_dagster.training.trainer import (
    Evaluation,
    callbacks,
    candidate_dir,
    check,
    trainer_class,
)

__all__ = [
    "Report",
    "TrainingResult",
    "TrainingSpec",
    "last_checkpoint",
    "train_adapter",
]

CHECKPOINTS_PER_RUN = 6
"""How often a run saves; a kill costs at most a sixth of it."""
LOGS_PER_RUN = 60


def train_adapter(spec: TrainingSpec, report: Report) -> TrainingResult:
    """Train one adapter; resumes by itself from the last whole checkpoint in ``work_dir``.

    With ``followup_file`` a second stage goes on from the first one's adapter.

    Raises:
        UserError: if there are no rows, the template does not fit, the loss is not a number or
            diverges, or the settings do not fit the machine.
    """
    if not spec.followup_file:
        result = _train_stage(spec, report)
        if _is_main():
            result = _tracked(spec, result)
        return result
    work = Path(spec.work_dir)
    first = replace(spec, out_dir=str(work / "first_stage"), work_dir=str(work / "first_work"))
    result = finished(Path(first.out_dir)) or _train_stage(first, report)
    settings = replace(
        spec.settings,
        epochs=spec.settings.followup_epochs,
        learning_rate=spec.settings.learning_rate * spec.settings.followup_rate_share,
    )
    second = replace(
        spec,
        adapter_dir=first.out_dir,
        train_file=spec.followup_file,
        work_dir=str(work / "second_work"),
        settings=settings,
    )
    result = replace(result, followup=_train_stage(second, report, first))
    return _tracked(spec, result) if _is_main() else result


def _train_stage(
    spec: TrainingSpec, report: Report, before: TrainingSpec | None = None
) -> TrainingResult:
    """One stage, without tracking; see :func:`train_adapter`.

    A stage after another is also judged by what the first one learned: held-out conversations join
    its validation rows, and the openings of deflections are those of its training rows.
    """
    from transformers import AutoTokenizer, PrinterCallback, set_seed

    settings = spec.settings
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    share = share_of(settings.batch_size, settings.gradient_accumulation, processes)
    device = choose_device(settings, Path(spec.base_dir))
    set_seed(settings.seed)
    tokenizer = AutoTokenizer.from_pretrained(spec.base_dir)
    train = read_rows(tokenizer, spec.train_file, settings.max_length, "train")
    validation = read_rows(tokenizer, spec.validation_file, settings.max_length)
    taught = train
    if before is not None:
        taught = read_rows(tokenizer, before.train_file, settings.max_length)
        validation += read_rows(tokenizer, spec.train_file, settings.max_length, "validation")
    if not train.examples:
        raise UserError(
            f"{spec.train_file} holds no row of at most {settings.max_length} tokens. "
            "Check merged_dataset, or raise model.training.max_length."
        )
    model = _with_adapter(load_base(Path(spec.base_dir), device), spec)
    round_frozen(model.get_base_model(), device)
    rows_per_update = settings.batch_size * settings.gradient_accumulation
    per_epoch = math.ceil(len(train.examples) / rows_per_update)
    updates = math.ceil(per_epoch * settings.epochs)
    longest = max((example["input_ids"] for example in train.examples), key=len)
    if device.on_gpu and not device.four_bit:
        model.to(f"cuda:{os.environ.get('LOCAL_RANK', '0')}")
    checkpointing = needs_checkpointing(model, settings, device, longest, share.batch_size)
    held = held_out(validation, settings.eval_rows)
    checkpoint = last_checkpoint(Path(spec.work_dir), processes)
    history = logged(checkpoint)
    resumed = int(checkpoint.name.rpartition("-")[2]) if checkpoint else 0
    arguments = _arguments(
        spec, device, share, updates, checkpointing, judged=bool(held), fresh=checkpoint is None
    )
    evaluation = Evaluation(
        held,
        Openings.of(taught.examples, taught.deflects),
        Path(spec.work_dir) / "candidates",
        settings.batch_size,
    )
    trainer = _trainer(
        model, tokenizer, arguments, train.examples, evaluation, share, device, per_epoch, settings
    )
    trainer.remove_callback(PrinterCallback)
    for callback in callbacks(report, settings):
        trainer.add_callback(callback)
    check(history)
    patience, delta = settings.early_stopping_patience, settings.early_stopping_delta
    seconds = 0.0
    if resumed < updates and not is_flat(history, patience, delta, updates):
        outcome = trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        seconds = float(outcome.metrics["train_runtime"])
        history = list(trainer.state.log_history)
        steps = int(trainer.state.global_step)
    else:
        steps = resumed
    check(history, ended=True)
    trainer.accelerator.wait_for_everyone()
    chosen = choose(candidates(history), updates)
    curve = curve_of(history)
    losses = [entry["loss"] for entry in curve if "loss" in entry]
    tail = losses[-max(1, len(losses) // 10) :]
    result = TrainingResult(
        steps=steps,
        rows=len(train.examples),
        too_long=train.too_long,
        train_loss=sum(tail) / len(tail),
        validation_loss=chosen[0].eval_loss if chosen else None,
        curve=curve,
        trainable_parameters=sum(
            weight.numel() for weight in trainer.model.parameters() if weight.requires_grad
        ),
        seconds=seconds,
        resumed_from=resumed,
        mlflow_run_id="",
        candidates=candidates(history),
        chosen_step=chosen[0].step if chosen else steps,
        chosen_because=chosen[1] if chosen else "the last one; there are no held-out rows",
        stopped_early=steps < updates,
        processes=processes,
        device=device.name,
        precision=device.precision,
        packed=device.packing,
        gradient_checkpointing=checkpointing,
        peak_memory_gib=_peak_memory() if device.on_gpu else None,
    )
    if trainer.args.should_save:
        source = (
            candidate_dir(evaluation.folder, result.chosen_step)
            if chosen
            else last_checkpoint(Path(spec.work_dir), processes)
        )
        assert source is not None
        write_adapter(Path(spec.out_dir), source, result)
    trainer.accelerator.wait_for_everyone()
    return result


def _arguments(
    spec: TrainingSpec,
    device: Device,
    share: Share,
    updates: int,
    checkpointing: bool,
    *,
    judged: bool,
    fresh: bool,
) -> Any:
    """What the trainer is told; ``judged`` with held-out rows, ``fresh`` from the first update."""
    from trl import SFTConfig

    settings = spec.settings
    logging = max(1, updates // LOGS_PER_RUN)
    # A checkpoint between two logs would resume with half an average.
    every = max(1, updates // CHECKPOINTS_PER_RUN // logging) * logging
    return SFTConfig(
        output_dir=spec.work_dir,
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=share.batch_size,
        gradient_accumulation_steps=share.accumulation,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=settings.warmup_share,
        weight_decay=settings.weight_decay,
        max_length=None,
        bf16=device.precision == "bf16",
        fp16=device.precision == "fp16",
        use_cpu=not device.on_gpu,
        gradient_checkpointing=checkpointing,
        logging_steps=logging,
        logging_nan_inf_filter=False,
        eval_strategy="steps" if judged else "no",
        eval_steps=every,
        eval_on_start=judged and fresh,
        save_strategy="steps",
        save_steps=every,
        save_total_limit=2,
        report_to=[],
        disable_tqdm=True,
        seed=settings.seed,
        data_seed=settings.seed,
        dataloader_pin_memory=device.on_gpu,
        ddp_find_unused_parameters=False,
    )


def _is_main() -> bool:
    return int(os.environ.get("RANK", "0")) == 0


def _with_adapter(model: Any, spec: TrainingSpec) -> Any:
    """The base with a new adapter, or with the one to go on from."""
    from peft import LoraConfig, PeftModel, get_peft_model

    settings = spec.settings
    if spec.adapter_dir:
        if not (Path(spec.adapter_dir) / "adapter_config.json").is_file():
            raise UserError(
                f"{spec.adapter_dir} holds no adapter_config.json, so there is no adapter to go on "
                "from. Name the folder of a trained adapter."
            )
        return PeftModel.from_pretrained(model, spec.adapter_dir, is_trainable=True)
    return get_peft_model(
        model,
        LoraConfig(
            r=settings.lora_rank,
            lora_alpha=settings.lora_alpha,
            lora_dropout=settings.dropout,
            target_modules=spec.target_modules,
            task_type="CAUSAL_LM",
        ),
    )


def _trainer(
    model: Any,
    tokenizer: Any,
    arguments: Any,
    examples: Sequence[Example],
    evaluation: Evaluation,
    share: Share,
    device: Device,
    per_epoch: int,
    settings: LoraSettings,
) -> Any:
    import datasets

    processes = int(os.environ.get("WORLD_SIZE", "1"))
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    order = EpochOrder(
        [len(example["input_ids"]) for example in examples],
        group=settings.batch_size * settings.gradient_accumulation,
        seed=settings.seed,
        epoch=lambda: int(trainer.state.global_step) // per_epoch,
        multiple=share.batch_size * processes if processes > 1 else 1,
        filler=len(examples),
    )
    rows = [
        dict(example) for example in (*examples, filler(pad))[: len(examples) + (processes > 1)]
    ]
    trainer = trainer_class()(
        model=model,
        args=arguments,
        train_dataset=datasets.Dataset.from_list(rows),
        eval_dataset=datasets.Dataset.from_list([dict(one.example) for one in evaluation.rows])
        if evaluation.rows
        else None,
        processing_class=tokenizer,
        order=order,
        evaluation=evaluation,
        collator=Collator(pad, device.multiple, device.packing, device.kernel_lengths),
    )
    return trainer


def _tracked(spec: TrainingSpec, result: TrainingResult) -> TrainingResult:
    """The result with what MLflow calls it, on disk as well."""
    out_dir = Path(spec.out_dir)
    write_result(out_dir, result)
    tracked = track(spec, result)
    result = replace(
        result,
        mlflow_run_id=tracked.run_id,
        registered_model=tracked.registered_model,
        model_version=tracked.model_version,
    )
    write_result(out_dir, result)
    return result


def _peak_memory() -> float:
    import torch

    return round(float(torch.cuda.max_memory_allocated()) / 2**30, 2)
