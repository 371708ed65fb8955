"""TRL's SFTTrainer with our order of rows, our batches, our loss and our evaluation.

What lives here: the trainer class and its callbacks. What does not: what the figures mean
(:mod:`supportbot_dagster.training.judgement`), the loss
(:mod:`supportbot_dagster.training.answer_loss`) and the run around it
(:mod:`supportbot_dagster.training.lora`).

The classes need torch and TRL, so a function makes them.
"""

import functools
import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supportbot_dagster.errors import UserError
from supportbot_dagster.training.answer_loss import Head, head_of, logits_of
from supportbot_dagster.training.batches import Collator, EpochOrder
from supportbot_dagster.training.catalogue import LoraSettings
from supportbot_dagster.training.held_out import HeldOut, Openings, watches, wrong_rows
from supportbot_dagster.training.judgement import is_flat, trouble
from supportbot_dagster.training.spec import Report


@dataclass(frozen=True)
class Evaluation:
    """What a checkpoint is judged by.

    Args:
        rows: held-out rows.
        openings: of deflections.
        folder: gets the adapter of each evaluated step as ``step-N``.
        batch_size: rows put through the model at once.
    """

    rows: Sequence[HeldOut]
    openings: Openings
    folder: Path
    batch_size: int


def candidate_dir(folder: Path, step: int) -> Path:
    """Where the adapter of an evaluated step is kept."""
    return folder / f"step-{step}"


@functools.cache
def trainer_class() -> Any:
    """SFTTrainer that also takes ``order``, ``evaluation`` and ``collator``."""
    import torch
    from trl import SFTTrainer

    from supportbot_dagster.training.answer_loss import add_answer_head

    class AnswerTrainer(SFTTrainer):  # type: ignore[misc]
        def __init__(
            self, *, order: EpochOrder, evaluation: Evaluation, collator: Collator, **kwargs: Any
        ) -> None:
            self.control: Any
            super().__init__(data_collator=collator, **kwargs)
            self._order = order
            self._evaluation = evaluation
            self._underneath = self.model.get_base_model()
            add_answer_head(self._underneath)

        def _get_train_sampler(self, train_dataset: Any = None) -> Any:
            return self._order

        def compute_loss(
            self,
            model: Any,
            inputs: Any,
            return_outputs: bool = False,
            num_items_in_batch: Any = None,
        ) -> Any:
            out = model(**inputs, answers_only=True)
            tokens = num_items_in_batch
            if tokens is None:
                tokens = (inputs["labels"][..., 1:] != -100).sum()
            # The count is over all processes, and their gradients are averaged.
            loss = out["loss"] / torch.as_tensor(tokens).clamp(min=1) * self.args.world_size
            return (loss, out) if return_outputs else loss

        def evaluate(
            self,
            eval_dataset: Any = None,
            ignore_keys: Any = None,
            metric_key_prefix: str = "eval",
        ) -> dict[str, float]:
            metrics = self._measure()
            step = int(self.state.global_step)
            if step and self.args.should_save:
                self._keep(candidate_dir(self._evaluation.folder, step))
            self.log(dict(metrics))
            self.control = self.callback_handler.on_evaluate(
                self.args, self.state, self.control, metrics
            )
            return metrics

        def _measure(self) -> dict[str, float]:
            """Loss per answer token and wrong openings over the held-out rows, all processes."""
            rows = sorted(self._evaluation.rows, key=lambda row: len(row.example["input_ids"]))
            size = self._evaluation.batch_size
            batches = [rows[start : start + size] for start in range(0, len(rows), size)]
            sums = torch.zeros(5, dtype=torch.float64)
            training = self.model.training
            self.model.eval()
            own = slice(self.args.process_index, None, self.args.world_size)
            with torch.no_grad(), self.compute_loss_context_manager():
                for batch in batches[own]:
                    sums += torch.tensor(self._judge(batch), dtype=torch.float64)
            self.model.train(training)
            # Not every device has 64-bit numbers; counts of a few hundred rows need none.
            summed = self.accelerator.reduce(sums.float().to(self.args.device), "sum").tolist()
            loss, tokens, answered, refused, seen = summed
            return {
                "eval_loss": loss / max(tokens, 1),
                "eval_wrong_answered": answered,
                "eval_wrong_refused": refused,
                "eval_seen": seen,
            }

        def _judge(self, batch: Sequence[HeldOut]) -> tuple[float, ...]:
            plain = Collator(self.data_collator.pad_id, self.data_collator.multiple)
            inputs = self._prepare_inputs(plain([row.example for row in batch]))
            out = self.model(**inputs, answers_only=True, keep_hidden=True)
            tokens = int((inputs["labels"][:, 1:] != -100).sum())
            found = [
                watch
                for number, row in enumerate(batch)
                for watch in watches(self._evaluation.openings, number, row)
            ]
            if not found:
                return float(out["loss"]), tokens, 0, 0, 0
            head: Head = head_of(self._underneath)
            states = out["hidden"][
                [watch.row for watch in found], [watch.position for watch in found]
            ]
            deflects = [row.deflects for row in batch]
            probabilities = logits_of(states.to(head.weight.dtype), head).softmax(-1).cpu()
            wrong = wrong_rows(found, deflects, probabilities)
            answered = sum(bad for bad, refused in zip(wrong, deflects, strict=True) if refused)
            return float(out["loss"]), tokens, answered, sum(wrong) - answered, len(batch)

        def _keep(self, folder: Path) -> None:
            """Save the adapter as it is now; a killed process leaves no half of it."""
            temporary = folder.with_name(folder.name + ".tmp")
            shutil.rmtree(temporary, ignore_errors=True)
            self.model.save_pretrained(str(temporary), save_embedding_layers=False)
            shutil.rmtree(folder, ignore_errors=True)
            temporary.rename(folder)

    return AnswerTrainer


def callbacks(report: Report, settings: LoraSettings) -> list[Any]:
    """What watches a run: reports it, fails it when it diverges, stops it when it is flat."""
    from transformers import TrainerCallback

    class Watcher(TrainerCallback):  # type: ignore[misc]
        def on_log(
            self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any
        ) -> None:
            figures = {
                name.removeprefix("eval_") if name.startswith("eval_wrong") else name: float(value)
                for name, value in (logs or {}).items()
                if name in _REPORTED and math.isfinite(float(value))
            }
            if figures and state.is_world_process_zero:
                report(int(state.global_step), int(state.max_steps), figures)
            check(state.log_history)

        def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if is_flat(
                state.log_history,
                settings.early_stopping_patience,
                settings.early_stopping_delta,
                int(state.max_steps),
            ):
                control.should_training_stop = True
                control.should_save = True

    return [Watcher()]


def check(history: Sequence[Any], *, ended: bool = False) -> None:
    """Fail a run that went wrong.

    Raises:
        UserError: with the reason, if the loss is not a number or diverges.
    """
    reason = trouble(history, ended=ended)
    if reason:
        raise UserError(
            f"{reason} No adapter was written. Lower model.training.learning_rate in product.yaml."
        )


_REPORTED = ("loss", "eval_loss", "learning_rate", "eval_wrong_answered", "eval_wrong_refused")
