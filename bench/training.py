"""Tokens a second of a LoRA training beside plain TRL: ``python bench/training.py``.

What lives here: both trainings of the same model on the same rows, one after the other in processes
of their own with the same environment, and the table. What does not: the training
(``supportbot_dagster.training``). A GPU is used if there is one.

Plain TRL is ``SFTTrainer`` with its defaults and the same LoRA, rows, epochs, batch size and
accumulation. Tokens are those of prompts and answers; padding is not counted. The clock runs while
the trainer's loop does: loading the model, tokenizing and judging checkpoints are in neither time,
saving is in both. On a machine that does other things as well, the ratio of processor seconds says
more than that of seconds.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from supportbot_dagster.synthesis.teacher import load_recordings
from supportbot_dagster.training.catalogue import LoraSettings, find_base
from supportbot_dagster.training.launch import training_environment
from supportbot_dagster.training.lora import TrainingSpec, train_adapter

PACKAGE = Path(__file__).parents[1] / "supportbot_dagster"
POCKET = PACKAGE / "training" / "pocket_base"
LAYERS = find_base("llama-3.2-1b").target_modules
SHAPES: dict[str, dict[str, int]] = {
    "llama-92m": {
        "vocab_size": 128_256,
        "hidden_size": 512,
        "intermediate_size": 1536,
        "num_hidden_layers": 8,
        "num_attention_heads": 8,
        "num_key_value_heads": 2,
    },
    "llama-1b": {
        "vocab_size": 128_256,
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "num_hidden_layers": 16,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
    },
}
"""Random models of these shapes; the second is Llama 3.2 1B's own."""


def write_rows(path: Path, count: int) -> None:
    """Questions and answers of the sample's recordings, in a fixed mixed order."""
    rows = [
        {"instruction": f"Customer question: {asked.question}", "output": reply.answer}
        for reply in load_recordings(PACKAGE / "sample" / "teacher").values()
        for asked in reply.questions
    ]
    step = max(1, len(rows) // count)
    with path.open("w", encoding="utf-8") as stream:
        for row in rows[::step][:count]:
            stream.write(json.dumps(row, ensure_ascii=False) + "\n")


def write_model(name: str, folder: Path) -> Path:
    """The embedded base, or a random Llama with the embedded base's tokenizer."""
    if name == "pocket":
        return POCKET
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    tokens = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 3}
    shape: dict[str, Any] = {**SHAPES[name], **tokens, "tie_word_embeddings": True}
    model = LlamaForCausalLM(LlamaConfig(max_position_embeddings=2048, **shape))
    model.to(torch.bfloat16).save_pretrained(folder)
    for file in POCKET.glob("token*"):
        shutil.copyfile(file, folder / file.name)
    return folder


def ours(model: Path, rows: Path, settings: LoraSettings, folder: Path) -> dict[str, float]:
    """This package's training."""
    nothing = folder / "none.jsonl"
    nothing.write_text("")
    spec = TrainingSpec(
        base_dir=str(model),
        train_file=str(rows),
        validation_file=str(nothing),
        target_modules=LAYERS,
        settings=settings,
        out_dir=str(folder / "out"),
        work_dir=str(folder / "work"),
    )
    result = train_adapter(spec, lambda step, steps, figures: None)
    return {"updates": result.steps, "loss": result.train_loss}


def plain(model: Path, rows: Path, settings: LoraSettings, folder: Path) -> dict[str, float]:
    """TRL's trainer with its defaults."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer

    told = [json.loads(line) for line in rows.read_text(encoding="utf-8").splitlines()]
    trainer = SFTTrainer(
        str(model),
        args=SFTConfig(
            output_dir=str(folder),
            num_train_epochs=settings.epochs,
            per_device_train_batch_size=settings.batch_size,
            gradient_accumulation_steps=settings.gradient_accumulation,
            learning_rate=settings.learning_rate,
            report_to="none",
            use_cpu=not torch.cuda.is_available(),
            disable_tqdm=True,
        ),
        train_dataset=Dataset.from_list(
            [
                {
                    "prompt": [{"role": "user", "content": row["instruction"]}],
                    "completion": [{"role": "assistant", "content": row["output"]}],
                }
                for row in told
            ]
        ),
        peft_config=LoraConfig(
            r=settings.lora_rank,
            lora_alpha=settings.lora_alpha,
            lora_dropout=settings.dropout,
            target_modules=LAYERS,
            task_type="CAUSAL_LM",
        ),
    )
    outcome = trainer.train()
    return {"updates": outcome.global_step, "loss": outcome.training_loss}


def count_tokens(model: Path, rows: Path) -> int:
    """Tokens of all rows once."""
    from transformers import AutoTokenizer

    from supportbot_dagster.jsonl import read_jsonl
    from supportbot_dagster.training.encode import encode_rows

    tokenizer = AutoTokenizer.from_pretrained(model)
    examples, _ = encode_rows(tokenizer, read_jsonl(rows), 1 << 30)
    return sum(len(example["input_ids"]) for example in examples)


def clock_the_loop() -> dict[str, float]:
    """Let every trainer of this process note how long its loop took."""
    from transformers import Trainer

    taken: dict[str, float] = {}
    loop = Trainer._inner_training_loop

    def timed(self: Any, *args: Any, **kwargs: Any) -> Any:
        seconds, processor = time.monotonic(), time.process_time()
        outcome = loop(self, *args, **kwargs)
        taken["seconds"] = time.monotonic() - seconds
        taken["processor"] = time.process_time() - processor
        return outcome

    Trainer._inner_training_loop = timed
    return taken


def one(arguments: argparse.Namespace) -> None:
    """One training in this process; its figures as JSON on the last line."""
    import resource

    import torch

    taken = clock_the_loop()
    settings = LoraSettings(
        epochs=arguments.epochs,
        batch_size=arguments.batch,
        gradient_accumulation=arguments.accumulation,
    )
    how = {"ours": ours, "trl": plain}[arguments.one]
    with tempfile.TemporaryDirectory() as name:
        figures = how(Path(arguments.model_dir), Path(arguments.rows_file), settings, Path(name))
    gpu = torch.cuda.is_available()
    held = (
        torch.cuda.max_memory_allocated() / 2**30
        if gpu
        else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    )
    print(json.dumps(figures | taken | {"gib": held}))


def run(which: str, model: Path, rows: Path, arguments: argparse.Namespace) -> dict[str, float]:
    """One training in a process of its own."""
    command = [sys.executable, __file__, "--one", which, "--model-dir", str(model)]
    command += ["--rows-file", str(rows), "--epochs", str(arguments.epochs)]
    command += ["--batch", str(arguments.batch), "--accumulation", str(arguments.accumulation)]
    finished = subprocess.run(command, env=training_environment(), capture_output=True, text=True)
    if finished.returncode:
        sys.exit(f"{which} ended with {finished.returncode}: {finished.stderr[-3000:]}")
    figures: dict[str, float] = json.loads(finished.stdout.splitlines()[-1])
    return figures


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=["pocket", "llama-92m"])
    parser.add_argument("--rows", type=int, default=192)
    parser.add_argument("--epochs", type=float, default=1.0)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--accumulation", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=1, help="the fastest of each counts")
    parser.add_argument("--one", choices=("ours", "trl"), help=argparse.SUPPRESS)
    parser.add_argument("--model-dir", help=argparse.SUPPRESS)
    parser.add_argument("--rows-file", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        one(arguments)
        return
    import torch

    gpu = torch.cuda.is_available()
    print(torch.cuda.get_device_name() if gpu else f"CPU: {processor()}", end=", ")
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}\n")
    print("| model | rows | tokens | updates | TRL tokens/s | tokens/s | ratio | wanted", end=" ")
    print("| of processor seconds | TRL GiB | GiB | TRL loss | loss |")
    print("| --- " + "| --: " * 12 + "|")
    for name in arguments.models:
        with tempfile.TemporaryDirectory() as folder:
            rows = Path(folder) / "rows.jsonl"
            write_rows(rows, arguments.rows)
            model = write_model(name, Path(folder) / "model")
            tokens = count_tokens(model, rows) * arguments.epochs
            taken: dict[str, list[dict[str, float]]] = {"trl": [], "ours": []}
            for _ in range(arguments.rounds):
                for which, figures in taken.items():
                    figures.append(run(which, model, rows, arguments))
        trl, own = (min(taken[which], key=lambda one: one["seconds"]) for which in taken)
        if trl["updates"] != own["updates"]:
            sys.exit(f"{name}: {trl['updates']} updates by TRL, {own['updates']} here.")
        speed, mine = tokens / trl["seconds"], tokens / own["seconds"]
        print(
            f"| {name} | {arguments.rows} | {tokens:,.0f} | {own['updates']:.0f} | {speed:,.0f} "
            f"| {mine:,.0f} | {mine / speed:.2f} | 1.5 "
            f"| {trl['processor'] / own['processor']:.2f} | {trl['gib']:.1f} | {own['gib']:.1f} "
            f"| {trl['loss']:.3f} | {own['loss']:.3f} |",
            flush=True,
        )


def processor() -> str:
    """The CPU's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if "model name" in line), "?")


if __name__ == "__main__":
    main()
