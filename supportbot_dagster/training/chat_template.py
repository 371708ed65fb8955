"""Chat templates without tools, one for each family of the catalogue.

What lives here: the templates, and reading or setting the template of a model folder. What does
not: rendering (:mod:`supportbot_dagster.export.prompt`) and the pocket tokenizer that carries its
own (:mod:`supportbot_dagster.training.pocket_tokenizer`).

Why the published templates are replaced: they also know tools, a thinking channel and today's
date. Ollama ignores a Modelfile's TEMPLATE when the embedded one can do more, and a date makes
every day's prompt a new one. Training and serving must see the same plain turns, so set the plain
template before training.
"""

import json
from pathlib import Path
from typing import Any

from supportbot_dagster.errors import UserError
from supportbot_dagster.training.pocket_tokenizer import CHAT_TEMPLATE as POCKET

GEMMA4 = (
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{{ '<|turn>' + ('model' if message['role'] == 'assistant' else 'user') + '\\n' }}"
    "{{ message['content'] | trim }}{{ '<turn|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|turn>model\\n' }}{% endif %}"
)
LLAMA3 = (
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' }}"
    "{{ message['content'] | trim }}{{ '<|eot_id|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}"
    "{% endif %}"
)

# A token that only templates of the family print -> the family's plain template.
_BY_TOKEN = {"<|turn>": GEMMA4, "<|start_header_id|>": LLAMA3}
_OTHER_PLACES = ("chat_template.jinja", "chat_template.json")


def plain_template(template: str) -> str | None:
    """The template without tools of the family that a published template belongs to.

    Returns:
        None if the family is unknown.
    """
    if template == POCKET:
        return POCKET
    return next((plain for token, plain in _BY_TOKEN.items() if token in template), None)


def read_template(model_dir: Path) -> str | None:
    """The chat template of a model folder, from wherever transformers would take it."""
    jinja = model_dir / "chat_template.jinja"
    if jinja.is_file():
        return jinja.read_text(encoding="utf-8")
    for name in ("tokenizer_config.json", "chat_template.json"):
        template = _read_json(model_dir / name).get("chat_template")
        if isinstance(template, str):
            return template
        if isinstance(template, list):
            named = {item.get("name"): item.get("template") for item in template}
            default = named.get("default")
            return default if isinstance(default, str) else None
    return None


def write_template(model_dir: Path, template: str) -> None:
    """Set the chat template of a model folder, in the one place that every reader agrees on.

    transformers prefers ``chat_template.jinja`` and the GGUF converter ``tokenizer_config.json``:
    the template goes into the second, and the other places are removed.
    """
    path = model_dir / "tokenizer_config.json"
    config = _read_json(path)
    config["chat_template"] = template
    temporary = path.with_suffix(".json.tmp")
    temporary.write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    temporary.replace(path)
    for name in _OTHER_PLACES:
        (model_dir / name).unlink(missing_ok=True)


def use_plain_template(model_dir: Path) -> str:
    """Replace a model folder's chat template by its family's plain one; returns that.

    Raises:
        UserError: if the folder has no chat template or one of an unknown family.
    """
    template = read_template(model_dir)
    plain = plain_template(template) if template else None
    if plain is None:
        raise UserError(
            f"{model_dir} has no chat template of a known family (Gemma 4, Llama 3, pocket). "
            "Choose an instruction-tuned base of the catalogue."
        )
    write_template(model_dir, plain)
    return plain


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise UserError(f"{path} is not JSON ({error}). Download the model again.") from None
    return value if isinstance(value, dict) else {}
