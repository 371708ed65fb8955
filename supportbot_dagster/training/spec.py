"""What a training run is told and what it gives back.

What lives here: the specification and the result as plain data, stored as JSON. What does not: the
run (:mod:`supportbot_dagster.training.lora`) and the settings that suit a base
(:mod:`supportbot_dagster.training.catalogue`).
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from supportbot_dagster.errors import UserError
from supportbot_dagster.training.catalogue import LoraSettings

Report = Callable[[int, int, dict[str, float]], None]
"""Called with the step, the number of steps and the latest figures."""


@dataclass(frozen=True)
class TrainingSpec:
    """What to train; stored as JSON beside the checkpoints.

    Args:
        base_dir: Hugging Face folder of the base.
        train_file: rows of the train split; single questions or conversations (``messages``).
        validation_file: rows of the validation split.
        target_modules: regular expression of the layers that get adapters.
        settings: LoRA and optimizer settings.
        out_dir: gets the adapter and ``training.json``.
        work_dir: gets the checkpoints; a later run with the same folder resumes from the last.
        mlflow_uri: tracking URI; empty for no tracking.
        experiment: MLflow experiment.
        run_name: MLflow run.
        tags: of the MLflow run.
        adapter_dir: adapter to go on from; empty for a new one.
        followup_file: conversations of a second stage, trained on top of the first; empty for
            none. Rows with a ``split`` other than ``train`` are not trained on.
        registered_model: name in MLflow's model registry that the adapter becomes a version of;
            empty for none.
        model_alias: alias that points to the new version; empty for none.
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
    adapter_dir: str = ""
    followup_file: str = ""
    registered_model: str = ""
    model_alias: str = "candidate"

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
class Candidate:
    """One evaluated checkpoint.

    Args:
        step: after how many updates.
        eval_loss: on held-out rows, nats per answer token.
        wrong_answered: held-out questions to refuse that it is about to answer; None if none
            could be counted.
        wrong_refused: held-out questions to answer that it is about to deflect; None likewise.
        seen: held-out rows that were counted.
    """

    step: int
    eval_loss: float
    wrong_answered: int | None = None
    wrong_refused: int | None = None
    seen: int = 0

    @property
    def wrong(self) -> int:
        """Both kinds of wrong answers together."""
        return (self.wrong_answered or 0) + (self.wrong_refused or 0)


@dataclass(frozen=True)
class TrainingResult:
    """What came out.

    Args:
        steps: optimizer updates.
        rows: training rows used.
        too_long: rows left out because they exceed ``max_length`` tokens.
        train_loss: mean cross-entropy per answer token over the last tenth of the updates, nats.
        validation_loss: of the chosen checkpoint, nats per answer token; None without validation
            rows.
        curve: ``{"step", "loss"}`` and ``{"step", "eval_loss"}`` entries in order.
        trainable_parameters: adapter weights.
        seconds: wall-clock time of this process's share of the training.
        resumed_from: step of the checkpoint that this process went on from; 0 for none.
        mlflow_run_id: empty without tracking.
        candidates: the evaluated checkpoints in order, the state before the first update included.
        chosen_step: updates after which the adapter was taken.
        chosen_because: why, in words.
        stopped_early: whether the validation loss had flattened before the last update.
        processes: that trained together.
        device: name of the GPU as CUDA gives it, or ``cpu``.
        precision: ``bf16``, ``fp16`` or ``fp32``.
        packed: whether the rows of a batch were laid end to end without padding.
        gradient_checkpointing: whether activations were computed twice to save memory.
        peak_memory_gib: largest memory of the GPU that PyTorch held; None on a CPU.
        registered_model: name in MLflow's registry; empty for none.
        model_version: the version there; empty for none.
        followup: result of the second stage; None without one. The adapter is then that stage's,
            and the other fields are the first stage's.
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
    candidates: list[Candidate]
    chosen_step: int
    chosen_because: str
    stopped_early: bool
    processes: int
    device: str
    precision: str
    packed: bool
    gradient_checkpointing: bool
    peak_memory_gib: float | None = None
    registered_model: str = ""
    model_version: str = ""
    followup: "TrainingResult | None" = None
