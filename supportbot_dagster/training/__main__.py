"""``python -m supportbot_dagster.training SPEC.json``: one training run in a process of its own.

What lives here: the command that Dagster starts through Pipes, and that ``accelerate launch`` can
start as well. Without a Pipes session it prints its progress. What does not: the training itself.
"""

import sys
from dataclasses import asdict
from pathlib import Path

from dagster_pipes import open_dagster_pipes

from supportbot_dagster.errors import UserError
from supportbot_dagster.training.lora import TrainingSpec, train_adapter


def main(arguments: list[str]) -> int:
    """Run the specification named on the command line; exit code 2 on a user's error."""
    if len(arguments) != 1:
        print("usage: python -m supportbot_dagster.training SPEC.json", file=sys.stderr)
        return 2
    with open_dagster_pipes() as pipes:

        def report(step: int, steps: int, figures: dict[str, float]) -> None:
            shown = ", ".join(f"{name} {value:.4g}" for name, value in figures.items())
            pipes.log.info(f"training step {step} of {steps}: {shown}")
            print(f"  training: step {step} of {steps}: {shown}", file=sys.stderr, flush=True)

        try:
            result = train_adapter(TrainingSpec.from_file(Path(arguments[0])), report)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        summary = asdict(result)
        del summary["curve"]
        pipes.report_custom_message(summary)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
