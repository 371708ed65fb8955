"""Getting a base model: the embedded one, a local folder, or a pinned download.

What lives here: turning a catalogue entry into a local snapshot folder, checked. What does not:
the catalogue (:mod:`supportbot_dagster.training.catalogue`) and how the embedded base was made
(:mod:`supportbot_dagster.training.pocket`).
"""

import json
import os
import shutil
from pathlib import Path

from supportbot_dagster.errors import UserError
from supportbot_dagster.hashing import sha256_path
from supportbot_dagster.training.catalogue import Base

BASE_DIR_VARIABLE = "SUPPORTBOT_BASE_DIR"
"""Names a local folder that holds the base, for machines without a model hub."""

_NEEDED = ("config.json", "tokenizer.json", "tokenizer_config.json")


def embedded_base_dir() -> Path:
    """The folder of the embedded ``pocket`` base inside the package."""
    return Path(__file__).parent / "pocket_base"


def base_version(base: Base) -> str:
    """What tells one state of a base from another: its revision, or the embedded one's content."""
    return base.revision if base.hub_id is not None else sha256_path(embedded_base_dir())


def fetch_base(base: Base, out_dir: Path) -> str:
    """Put a snapshot of the base into ``out_dir``; returns where it came from.

    Raises:
        UserError: if a file is missing, the base is gated and no token is set, or the hub does
            not answer.
    """
    local = os.environ.get(BASE_DIR_VARIABLE)
    if base.hub_id is None:
        source = embedded_base_dir()
        _copy(source, out_dir)
        origin = "embedded in the package"
    elif local:
        source = Path(local)
        _copy(source, out_dir)
        origin = f"local folder {source}"
    else:
        origin = _download(base, out_dir)
    check_base_dir(out_dir)
    return origin


def check_base_dir(folder: Path) -> None:
    """Refuse a folder that is no whole model.

    Raises:
        UserError: naming the missing file.
    """
    for name in _NEEDED:
        if not (folder / name).is_file():
            raise UserError(
                f"{folder} holds no {name}, so it is no whole base model. "
                f"Download it again, or mend {BASE_DIR_VARIABLE}."
            )
    if not list(folder.glob("*.safetensors")):
        raise UserError(f"{folder} holds no *.safetensors weights. Download them again.")
    try:
        json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except ValueError:
        raise UserError(f"{folder / 'config.json'} is not JSON. Download it again.") from None


def _copy(source: Path, out_dir: Path) -> None:
    if not source.is_dir():
        raise UserError(
            f"{source} is no folder, so the base cannot be read from it. "
            f"Mend {BASE_DIR_VARIABLE}, or install the package again."
        )
    shutil.copytree(source, out_dir, dirs_exist_ok=True)


def _download(base: Base, out_dir: Path) -> str:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

    assert base.hub_id is not None
    try:
        snapshot_download(
            base.hub_id,
            revision=base.revision,
            local_dir=out_dir,
            allow_patterns=["*.json", "*.safetensors", "*.model", "*.jinja", "LICENSE*", "*.txt"],
        )
    except (GatedRepoError, RepositoryNotFoundError):
        raise UserError(
            f"{base.title} ({base.hub_id}) is gated or does not exist for you. Accept its licence "
            "on the hub and set HF_TOKEN in the environment."
        ) from None
    except (HfHubHTTPError, OSError) as error:
        raise UserError(
            f"{base.hub_id} at {base.revision} cannot be downloaded ({type(error).__name__}). "
            f"Check the network, or set {BASE_DIR_VARIABLE} to a folder that holds it."
        ) from None
    shutil.rmtree(out_dir / ".cache", ignore_errors=True)
    return f"{base.hub_id} at {base.revision}"
