"""What a machine lacks for each profile, and the fix.

What lives here: looking at the machine. What does not: installing anything.
"""

import importlib.util
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from supportbot_dagster.settings import load_settings
from supportbot_dagster.training.base import BASE_DIR_VARIABLE, embedded_base_dir

MIN_FREE_GIB = {"embedded": 2, "workstation": 40}


@dataclass(frozen=True)
class Finding:
    """One need of a profile on this machine."""

    profile: str
    needs: str
    ok: bool
    state: str
    fix: str


def examine() -> list[Finding]:
    """Look at Python, packages, disk, base models, the GPU and Ollama."""
    found = [
        _finding(
            "embedded",
            "Python 3.11 to 3.13",
            (3, 11) <= sys.version_info[:2] <= (3, 13),
            sys.version.split()[0],
            "Make the environment with one of these versions.",
        ),
        _package("embedded", "torch", "train"),
        _package("embedded", "trl", "train"),
        _package("embedded", "mlflow", "train"),
        _package("embedded", "llama_cpp", "runtime"),
        _package("embedded", "sklearn", "runtime"),
        _package("embedded", "dagster_webserver", "ui"),
        _finding(
            "embedded",
            "the pocket base",
            (embedded_base_dir() / "model.safetensors").is_file(),
            str(embedded_base_dir()),
            "Install the package again, or run make pocket.",
        ),
        _disk("embedded"),
        _disk("workstation"),
        _gpu(),
    ]
    local = os.environ.get(BASE_DIR_VARIABLE)
    token = os.environ.get("HF_TOKEN")
    found.append(
        _finding(
            "workstation",
            "a way to the base model",
            bool(token) or bool(local and Path(local).is_dir()),
            "HF_TOKEN is set" if token else local or "neither a token nor a folder",
            f"Set HF_TOKEN, or {BASE_DIR_VARIABLE} to a folder that holds the base.",
        )
    )
    ollama = shutil.which("ollama")
    found.append(
        _finding(
            "workstation",
            "Ollama, to try the bundle as customers will",
            ollama is not None,
            ollama or "not found",
            "Install Ollama, or use supportbot ask.",
        )
    )
    return found


def _finding(profile: str, needs: str, ok: bool, state: str, fix: str) -> Finding:
    return Finding(profile, needs, ok, state, "" if ok else fix)


def _package(profile: str, module: str, extra: str) -> Finding:
    ok = importlib.util.find_spec(module) is not None
    return _finding(
        profile,
        f"package {module}",
        ok,
        "installed" if ok else "missing",
        f"pip install 'supportbot_dagster[{extra}]'",
    )


def _disk(profile: str) -> Finding:
    settings = load_settings()
    place = settings.home if "://" in settings.root else Path(settings.root)
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free / 2**30
    need = MIN_FREE_GIB[profile]
    return _finding(
        profile,
        f"{need} GiB of free disk",
        free >= need,
        f"{free:.0f} GiB free at {place}",
        "Free space, or set SUPPORTBOT_ROOT to a larger disk.",
    )


def _gpu() -> Finding:
    tool = shutil.which("nvidia-smi")
    return _finding(
        "workstation",
        "an NVIDIA GPU of 16 GB or more",
        tool is not None,
        "nvidia-smi found" if tool else "none found",
        "Run the model group on a machine with a GPU; see the training plan for which.",
    )
