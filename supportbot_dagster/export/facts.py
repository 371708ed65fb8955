"""What a GGUF says about its origin: name, month, licence, base, dataset, sampling.

What lives here: the metadata that a file carries beside the model. What does not: the tokenizer and
the architecture, which the converter writes.

The keys are those of https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, so that any program
that shows a model's facts shows these.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True)
class Facts:
    """Where a file comes from; empty fields are left out.

    Args:
        name: of the model, as it is shipped.
        month: retrain month, as the version.
        licence: of the weights: an SPDX id, or a name.
        base: title of the base model.
        base_repository: its repository on the hub.
        base_revision: its pinned revision.
        dataset: name of the training rows.
        dataset_version: their hash.
        temperature: sampling temperature that the file was evaluated with; None leaves it out.
        top_p: nucleus that it was evaluated with.
    """

    name: str = ""
    month: str = ""
    licence: str = ""
    base: str = ""
    base_repository: str = ""
    base_revision: str = ""
    dataset: str = ""
    dataset_version: str = ""
    temperature: float | None = None
    top_p: float | None = None

    def metadata(self) -> dict[str, Any]:
        """As the converter's metadata file."""
        base = {
            "name": self.base,
            "version": self.base_revision,
            "repo_url": f"https://huggingface.co/{self.base_repository}"
            if self.base_repository
            else "",
        }
        dataset = {"name": self.dataset, "version": self.dataset_version}
        found = {
            "general.name": self.name,
            "general.version": self.month,
            "general.base_models": [_filled(base)] if self.base else None,
            "general.datasets": [_filled(dataset)] if self.dataset else None,
            "general.sampling.temp": self.temperature,
            "general.sampling.top_p": self.top_p,
        }
        return {key: value for key, value in found.items() if value not in (None, "")}


def write_licence(model_dir: Path, licence: str) -> None:
    """State a licence in the front matter of a model folder's card, where the converter reads it.

    Whatever the card said before is replaced: in a folder that is merged and then converted, it is
    no longer true.
    """
    if licence:
        card = model_dir / "README.md"
        card.unlink(missing_ok=True)  # it may be a hard link to the base's
        front = yaml.safe_dump({"license": licence})
        card.write_text(f"---\n{front}---\n", encoding="utf-8")


def _filled(entry: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in entry.items() if value}
