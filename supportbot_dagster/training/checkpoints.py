"""What a run leaves on disk.

What lives here: finding the checkpoint to resume from, and writing the adapter and its result so
that a kill leaves no half of either. What does not: writing checkpoints, which transformers does.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from supportbot_dagster.training.spec import Candidate, TrainingResult

ADAPTER_FILES = ("adapter_model.safetensors", "adapter_config.json")
RESULT = "training.json"


def last_checkpoint(folder: Path, processes: int = 1) -> Path | None:
    """The newest whole checkpoint of a work folder, or None.

    A checkpoint counts as whole when the trainer's state, which is written last, can be read, and
    when each of several processes has left its random state.
    """
    found: list[tuple[int, Path]] = []
    for path in folder.glob("checkpoint-*"):
        number = path.name.rpartition("-")[2]
        try:
            json.loads((path / "trainer_state.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        whole = (path / "optimizer.pt").is_file()
        if processes > 1:
            whole &= all((path / f"rng_state_{rank}.pth").is_file() for rank in range(processes))
        if number.isdigit() and whole:
            found.append((int(number), path))
    return max(found)[1] if found else None


def logged(checkpoint: Path | None) -> list[dict[str, Any]]:
    """What a run had logged at a checkpoint."""
    if checkpoint is None:
        return []
    state = json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    return list(state.get("log_history", []))


def curve_of(history: Sequence[Any]) -> list[dict[str, float]]:
    """The losses of a history, in order."""
    return [
        {"step": float(entry["step"]), name: float(entry[name])}
        for entry in history
        for name in ("loss", "eval_loss")
        if name in entry
    ]


def write_adapter(out_dir: Path, source: Path, result: TrainingResult) -> None:
    """The adapter, its configuration and the result, which is written last."""
    out_dir.mkdir(parents=True, exist_ok=True)
    for name in ADAPTER_FILES:
        shutil.copyfile(source / name, out_dir / name)
    write_result(out_dir, result)


def write_result(out_dir: Path, result: TrainingResult) -> None:
    """The result as ``training.json``."""
    temporary = out_dir / f"{RESULT}.tmp"
    temporary.write_text(json.dumps(asdict(result), indent=2) + "\n", encoding="utf-8")
    temporary.replace(out_dir / RESULT)


def finished(out_dir: Path) -> TrainingResult | None:
    """The result of a stage that an earlier process finished."""
    try:
        value = json.loads((out_dir / RESULT).read_text(encoding="utf-8"))
        value["candidates"] = [Candidate(**one) for one in value["candidates"]]
        return TrainingResult(**value)
    except (OSError, ValueError, TypeError, KeyError):
        return None
