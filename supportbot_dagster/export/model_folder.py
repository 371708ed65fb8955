"""A model folder in the Hugging Face layout: its configuration, its class, its files.

What lives here: opening such a folder, with weights or without. What does not: merging an adapter
into one (:mod:`supportbot_dagster.export.merge`) and conversion
(:mod:`supportbot_dagster.export.convert`).
"""

import importlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from supportbot_dagster.errors import UserError

TOKENIZER_FILES = (
    "tokenizer.model",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
)
PROCESSOR_FILES = ("preprocessor_config.json", "processor_config.json", "generation_config.json")


def read_config(model_dir: Path) -> dict[str, Any]:
    """``config.json`` of a model folder.

    Raises:
        UserError: if it is missing or broken.
    """
    path = model_dir / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"{model_dir} is no model folder: config.json is missing. "
            "Point to a folder in the Hugging Face layout."
        ) from None
    except ValueError as error:
        raise UserError(f"{path} is not JSON ({error}). Download the model again.") from None
    if not isinstance(config, dict):
        raise UserError(f"{path} is not a JSON object. Download the model again.")
    return config


def load_model(model_dir: Path, dtype: str = "auto") -> Any:
    """A model in the class that its ``config.json`` names, so that its weights keep their names.

    Args:
        model_dir: folder in the Hugging Face layout.
        dtype: ``auto`` for the stored precision, or a name such as ``float32``.
    """
    kind = _model_class(model_dir)
    try:
        with quiet_transformers():
            return kind.from_pretrained(model_dir, dtype=dtype, local_files_only=True)
    except (OSError, ValueError, RuntimeError) as error:
        first = str(error).strip().splitlines()[0]
        raise UserError(
            f"{model_dir} cannot be loaded ({first}). Download or build the model again."
        ) from None
    except Exception as error:
        # safetensors raises an exception class of its own that derives from Exception.
        if type(error).__name__ != "SafetensorError":
            raise
        raise UserError(
            f"The weights in {model_dir} are damaged ({error}). Download the model again."
        ) from None


def compute_in_float32(model: Any) -> None:
    """Let a model that is held in 16 bit compute in 32, one layer at a time.

    Each layer's weights become 32-bit numbers while it works and 16-bit ones again behind it, which
    loses nothing and needs the memory of one layer. What an embedding looks up is widened alone.
    """
    from torch import nn

    def widen(module: Any, inputs: Any) -> None:
        module.stored_dtypes = [weight.dtype for weight in module.parameters(recurse=False)]
        module.float()

    def narrow(module: Any, inputs: Any, output: Any) -> None:
        weights = module.parameters(recurse=False)
        for weight, dtype in zip(weights, module.stored_dtypes, strict=True):
            weight.data = weight.data.to(dtype)

    def widen_output(module: Any, inputs: Any, output: Any) -> Any:
        return output.float()

    for module in model.modules():
        if isinstance(module, nn.Embedding):
            module.register_forward_hook(widen_output)
        elif not list(module.children()):
            module.register_forward_pre_hook(widen)
            module.register_forward_hook(narrow)


def empty_model(model_dir: Path) -> Any:
    """The same model without weights: layers and shapes, on PyTorch's ``meta`` device."""
    import torch
    import transformers

    kind = _model_class(model_dir)
    try:
        config = transformers.AutoConfig.from_pretrained(model_dir, local_files_only=True)
        with torch.device("meta"):
            return kind(config)
    except (OSError, ValueError, KeyError, TypeError) as error:
        first = str(error).strip().splitlines()[0]
        raise UserError(
            f"{model_dir / 'config.json'} describes no model ({first}). Download the model again."
        ) from None


def _model_class(model_dir: Path) -> Any:
    import transformers

    names = read_config(model_dir).get("architectures") or []
    kind = getattr(transformers, str(names[0]), None) if names else None
    if kind is None:
        raise UserError(
            f"{model_dir / 'config.json'} names the architecture "
            f"{names[0] if names else 'none'}, which transformers "
            f"{transformers.__version__} does not know. Choose a base of the catalogue."
        )
    return kind


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep the progress bars of transformers out of the terminal inside the block."""
    logging: Any = importlib.import_module("transformers.utils.logging")
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def link_or_copy(source: Path, target: Path) -> None:
    """Hard-link a file, or copy it where the file systems differ."""
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)
