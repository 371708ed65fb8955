"""``python -m supportbot_dagster.training SPEC.json``: one training run in a process of its own.

What lives here: the command that Dagster starts through Pipes. Without a Pipes session it prints
its progress. Several processes, GPUs or nodes train together when a launcher of torch.distributed
starts it::

    accelerate launch --multi_gpu --num_processes 2 -m supportbot_dagster.training SPEC.json
    torchrun --nproc_per_node 2 -m supportbot_dagster.training SPEC.json

They share the rows of each update; only the first one writes and reports. ``accelerate launch
--cpu`` starts a single process unless MPI is there, so on CPUs use ``torchrun``. What does not: the
training itself.
"""

import os
import signal
import sys
from dataclasses import asdict
from pathlib import Path

from dagster_pipes import DAGSTER_PIPES_CONTEXT_ENV_VAR, open_dagster_pipes

from supportbot_dagster.errors import UserError
from supportbot_dagster.training.lora import TrainingSpec, train_adapter


def _die_with_parent() -> None:
    """Ask Linux to end this process when its parent dies.

    A training that outlived a killed run would write the same checkpoints as its successor.
    """
    if sys.platform == "linux":
        import ctypes

        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def main(arguments: list[str]) -> int:
    """Run the specification named on the command line; exit code 2 on a user's error."""
    if len(arguments) != 1:
        print("usage: python -m supportbot_dagster.training SPEC.json", file=sys.stderr)
        return 2
    _die_with_parent()
    if "WORLD_SIZE" not in os.environ:
        # A process uses one GPU; unless told which, the first one.
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "0")
    if os.environ.get("RANK", "0") != "0":
        return _train_silently(Path(arguments[0]))
    under_dagster = DAGSTER_PIPES_CONTEXT_ENV_VAR in os.environ
    with open_dagster_pipes() as pipes:

        def report(step: int, steps: int, figures: dict[str, float]) -> None:
            shown = ", ".join(f"{name} {value:.4g}" for name, value in figures.items())
            line = f"training step {step} of {steps}: {shown}"
            if under_dagster:
                pipes.log.info(line)
            else:
                print(line, file=sys.stderr, flush=True)

        try:
            result = train_adapter(TrainingSpec.from_file(Path(arguments[0])), report)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        summary = asdict(result)
        for stage in (summary, summary["followup"]):
            if stage:
                del stage["curve"], stage["candidates"]
        pipes.report_custom_message(summary)
    return 0


def _train_silently(spec_file: Path) -> int:
    """What every process but the first does: its share of the work, without a word."""
    try:
        train_adapter(TrainingSpec.from_file(spec_file), lambda step, steps, figures: None)
    except UserError:
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
