"""Merging a LoRA adapter into its base model.

What lives here: the merge and the checks that nothing of the adapter is lost. What does not:
training, and the conversion to GGUF.
"""

import importlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from supportbot_dagster.errors import UserError
from supportbot_dagster.training.chat_template import read_template, write_template

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
_PROCESSOR_FILES = ("preprocessor_config.json", "processor_config.json", "generation_config.json")


def merge_adapter(base_dir: Path, adapter_dir: Path | None, out_dir: Path) -> Path:
    """Write the base model with the adapter merged into its weights.

    The base is loaded in the 16 or 32 bit that it is stored in. Tokenizer and chat template are
    copied file by file from the base; a chat template beside the adapter wins.

    Args:
        base_dir: folder of the base model in the Hugging Face layout.
        adapter_dir: folder of a PEFT adapter; None copies the base (by hard link where possible).
        out_dir: folder to write; an existing one is replaced when the new one is complete.

    Raises:
        UserError: if a folder is no model or adapter, if the base is quantized, or if the adapter
            does not fit the base.
    """
    config = read_config(base_dir)
    if "quantization_config" in config:
        raise UserError(
            f"{base_dir} is a quantized model; merging an adapter into it would lose precision "
            "twice. Use the 16-bit base that the adapter was trained on."
        )
    scratch = out_dir.with_name(f".{out_dir.name}.{uuid.uuid4().hex}")
    scratch.mkdir(parents=True)
    try:
        if adapter_dir is None:
            for file in sorted(base_dir.iterdir()):
                if file.is_file():
                    link_or_copy(file, scratch / file.name)
        else:
            _merge(base_dir, adapter_dir, config, scratch)
        if out_dir.exists():
            shutil.rmtree(out_dir)
        scratch.rename(out_dir)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return out_dir


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
    import transformers

    names = read_config(model_dir).get("architectures") or []
    kind = getattr(transformers, str(names[0]), None) if names else None
    if kind is None:
        raise UserError(
            f"{model_dir / 'config.json'} names the architecture "
            f"{names[0] if names else 'none'}, which transformers "
            f"{transformers.__version__} does not know. Choose a base of the catalogue."
        )
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


def _merge(base_dir: Path, adapter_dir: Path, config: dict[str, Any], out: Path) -> None:
    from peft import PeftModel, get_peft_model_state_dict
    from safetensors import safe_open

    weights = adapter_dir / "adapter_model.safetensors"
    if not (adapter_dir / "adapter_config.json").is_file() or not weights.is_file():
        raise UserError(
            f"{adapter_dir} is no PEFT adapter: adapter_config.json or adapter_model.safetensors "
            "is missing. Point to the folder that training wrote."
        )
    base = load_model(base_dir)
    try:
        adapted = PeftModel.from_pretrained(base, str(adapter_dir), local_files_only=True)
    except (ValueError, RuntimeError, KeyError) as error:
        first = str(error).strip().splitlines()[0]
        raise UserError(
            f"The adapter in {adapter_dir} does not fit {base_dir} ({first}). "
            "Use the base that it was trained on."
        ) from None
    with safe_open(str(weights), framework="np") as file:
        stored = set(file.keys())
    # PEFT only warns when names do not match, and would then merge nothing.
    expected = set(get_peft_model_state_dict(adapted))
    if stored != expected or not stored:
        raise UserError(
            f"The adapter in {adapter_dir} does not fit {base_dir}: "
            f"{len(stored - expected)} of its {len(stored)} tensors have no place and "
            f"{len(expected - stored)} are missing. Use the base that it was trained on."
        )
    try:
        merged = adapted.merge_and_unload(safe_merge=True)
    except ValueError as error:
        raise UserError(
            f"The adapter in {adapter_dir} holds numbers that are not finite ({error}). "
            "Train again with a lower learning rate."
        ) from None
    with quiet_transformers():
        merged.save_pretrained(out)
    for name in (*TOKENIZER_FILES, *_PROCESSOR_FILES):
        if (base_dir / name).is_file() and not (out / name).is_file():
            link_or_copy(base_dir / name, out / name)
    template = read_template(adapter_dir)
    if template is not None and template != read_template(out):
        write_template(out, template)
