"""Small trainings of the embedded base, for the tests of training."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import supportbot_dagster
from supportbot_dagster.synthesis.teacher import load_recordings
from supportbot_dagster.training.base import embedded_base_dir
from supportbot_dagster.training.catalogue import LoraSettings, find_base
from supportbot_dagster.training.launch import training_command, training_environment
from supportbot_dagster.training.spec import TrainingSpec

THINGS = ("cycle", "view", "label", "team", "project", "webhook", "filter")
SETTINGS = LoraSettings(
    epochs=2.0,
    learning_rate=1e-3,
    lora_rank=4,
    batch_size=2,
    gradient_accumulation=2,
    max_length=256,
    precision="fp32",
    early_stopping_patience=0,
)


def rows(count: int) -> list[dict[str, str]]:
    """Questions with answers of different lengths; every third is deflected."""
    found = []
    for number in range(count):
        thing = THINGS[number % len(THINGS)]
        answer = f"Open Settings > {thing.title()}s and pick {number}. " + "Then save. " * (
            number % 4
        )
        if number % 3 == 2:
            answer = f"I do not have access to your {thing}. Please email support@example.com."
        question = f"Customer question: how do I change {thing} number {number}?"
        found.append({"instruction": question, "output": answer.strip()})
    return found


def known_rows(count: int) -> list[dict[str, str]]:
    """Questions of the sample's recordings, whose answers the embedded base knows."""
    recordings = load_recordings(Path(supportbot_dagster.__file__).parent / "sample" / "teacher")
    return [
        {"instruction": f"Customer question: {reply.questions[0].question}", "output": reply.answer}
        for reply in list(recordings.values())[:count]
    ]


def conversations(count: int, split: str = "train") -> list[dict[str, Any]]:
    """Conversations of two turns each."""
    found = []
    for number in range(count):
        thing = THINGS[number % len(THINGS)]
        said = [
            ("user", f"Customer question: my {thing} is gone"),
            ("assistant", f"Is the {thing} archived?"),
            ("user", "Yes."),
            ("assistant", f"Then open the archive and restore {thing} {number}."),
        ]
        messages = [{"role": role, "content": text} for role, text in said]
        found.append({"id": f"{split}-{number}", "messages": messages, "split": split})
    return found


def write_rows(path: Path, found: Sequence[Mapping[str, Any]]) -> str:
    """As JSON Lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in found), encoding="utf-8")
    return str(path)


def make_spec(
    folder: Path, count: int = 10, settings: LoraSettings = SETTINGS, held_out: int = 4, **more: Any
) -> TrainingSpec:
    """A specification whose files lie in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    every = rows(count + held_out)
    spec = TrainingSpec(
        base_dir=str(embedded_base_dir()),
        train_file=write_rows(folder / "train.jsonl", every[:count]),
        validation_file=write_rows(folder / "validation.jsonl", every[count:]),
        target_modules=find_base("pocket").target_modules,
        settings=settings,
        out_dir=str(folder / "out"),
        work_dir=str(folder / "work"),
    )
    return replace(spec, **more)


def adapter_bytes(spec: TrainingSpec) -> bytes:
    """The weights that came out."""
    return (Path(spec.out_dir) / "adapter_model.safetensors").read_bytes()


def result_of(spec: TrainingSpec) -> dict[str, Any]:
    """``training.json``."""
    value: dict[str, Any] = json.loads((Path(spec.out_dir) / "training.json").read_text())
    return value


def start(spec: TrainingSpec, processes: int = 1) -> subprocess.Popen[str]:
    """The public command in processes of its own; what it says comes through its ``stderr``."""
    work = Path(spec.work_dir)
    work.mkdir(parents=True, exist_ok=True)
    spec_file = work / "spec.json"
    spec_file.write_text(json.dumps(spec.to_dict()), encoding="utf-8")
    environment = training_environment() | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    return subprocess.Popen(
        training_command(spec_file, processes),
        env=environment,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
