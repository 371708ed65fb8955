"""How a training process is started.

What lives here: the command, and settings that must be in place before the process starts. What
does not: the process (``python -m supportbot_dagster.training``).
"""

import os
import sys
from pathlib import Path


def training_command(
    spec_file: Path, processes: int = 1, python: str = sys.executable
) -> list[str]:
    """The command of a training.

    Args:
        spec_file: specification as JSON.
        processes: on this machine, one for each GPU; several share the rows of each update. Over
            several machines start the same module with ``torchrun`` or ``accelerate launch`` there.
        python: interpreter; that of this process by default.
    """
    alone = [python, "-m", "supportbot_dagster.training", str(spec_file)]
    if processes == 1:
        return alone
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    return [python, *launcher, *alone[1:]]


def training_environment() -> dict[str, str]:
    """The current environment with what speeds up and quiets a training process.

    glibc returns large blocks to the system after every step and asks for them again; keeping them
    saves a part of every 16-bit step on a CPU. Tokenizers must not fork, and no telemetry is sent.
    """
    environment = dict(os.environ)
    defaults = {"TOKENIZERS_PARALLELISM": "false", "HF_HUB_DISABLE_TELEMETRY": "1",
                "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "1"}  # fmt: skip
    if sys.platform == "linux":
        defaults |= {
            "MALLOC_MMAP_THRESHOLD_": str(4 << 30),
            "MALLOC_TRIM_THRESHOLD_": str(8 << 30),
            "MALLOC_TOP_PAD_": str(256 << 20),
        }
    return defaults | environment
