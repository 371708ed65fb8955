"""The Modelfile, and the proof that its TEMPLATE writes what the model was trained on.

What lives here: rendering, reading and comparing Modelfiles. What does not: the other files of a
bundle (:mod:`supportbot_dagster.bundle.build`).
"""

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from supportbot_dagster.errors import UserError
from supportbot_dagster.export.gguf_file import GgufHeader
from supportbot_dagster.export.prompt import (
    GO_PROMPT,
    GO_RESPONSE,
    render_prompt,
    turn_frame,
)
from supportbot_dagster.export.runtime import TOP_K
from supportbot_dagster.product import Serving

if TYPE_CHECKING:
    from jinja2 import Environment

NUM_CTX = 1024
"""Context of the shipped bot in tokens; question and answer are short."""

PARITY_MESSAGES = (
    "Customer question: how do I export everything?",
    "cant log in!!",
    'Customer question: what does "$1 {{ x }}" mean\nin line 2 — naïve 😀?',
)
_TEMPLATES = Path(__file__).parent / "templates"
_ACTION = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_BLOCK = re.compile(r'^(\w+) """(.*?)"""$', re.DOTALL | re.MULTILINE)
_CONTROL = re.compile(r"<[^<>\s]+>")


def render_modelfile(
    header: GgufHeader, gguf_name: str, serving: Serving, licence_text: str
) -> str:
    """The Modelfile of a GGUF.

    Args:
        header: of the file; it must carry a chat template.
        gguf_name: file name beside the Modelfile.
        serving: sampling settings to write as parameters.
        licence_text: shown by ``ollama show --license``.

    Raises:
        UserError: if the chat template has no equivalent in Ollama's Go templates.
    """
    frame = turn_frame(_template(header), bos_token=_bos(header), eos_token=_eos(header))
    return render_file(
        "Modelfile",
        gguf_name=gguf_name,
        go_template=frame.go_template,
        stops=stop_texts(header),
        serving=serving,
        top_k=TOP_K,
        num_ctx=NUM_CTX,
        licence_text=licence_text.replace('"""', '"'),
    )


def stop_texts(header: GgufHeader) -> list[str]:
    """Texts that end an answer: the control token behind it, and the end of sequence."""
    frame = turn_frame(_template(header), bos_token=_bos(header), eos_token=_eos(header))
    after = _CONTROL.match(frame.after.strip())
    found = [after.group(0)] if after else []
    if _eos(header) and _eos(header) not in found:
        found.append(_eos(header))
    if not found:
        raise UserError(
            "The model has neither an end-of-turn token nor an end-of-sequence token, so its "
            "answers would not end. Train it with a chat template that closes turns."
        )
    return found


def read_template(modelfile: str) -> str:
    """The TEMPLATE of a Modelfile.

    Raises:
        UserError: if there is not exactly one.
    """
    found = [text for name, text in _BLOCK.findall(modelfile) if name == "TEMPLATE"]
    if len(found) != 1:
        raise UserError(
            f"The Modelfile holds {len(found)} TEMPLATE blocks instead of one. Build it again."
        )
    return str(found[0])


def render_go(template: str, prompt: str) -> str:
    """What Ollama sends to the model for one prompt: everything in front of the response.

    Only ``{{ .Prompt }}`` and ``{{ .Response }}`` are understood, which is all that a bundle uses.

    Raises:
        UserError: if the template holds another action.
    """
    unknown = set(_ACTION.findall(template)) - {GO_PROMPT, GO_RESPONSE}
    if unknown:
        raise UserError(
            f"The Modelfile's TEMPLATE holds {sorted(unknown)[0]}, which cannot be checked. "
            "Build it again."
        )
    return template.split(GO_RESPONSE)[0].replace(GO_PROMPT, prompt)


def template_problems(
    modelfile: str, header: GgufHeader, messages: Sequence[str] = PARITY_MESSAGES
) -> list[str]:
    """Where the Modelfile's TEMPLATE and the embedded chat template part; empty if nowhere.

    Ollama adds the beginning-of-sequence token itself, so the comparison is without it.
    """
    try:
        go = read_template(modelfile)
        jinja = _template(header)
        problems: list[str] = []
        if go.startswith(_bos(header)) and _bos(header):
            problems.append("TEMPLATE begins with the beginning-of-sequence token: it would be two")
        if re.search(r"\btools\b|\benable_thinking\b", jinja):
            problems.append(
                "the embedded chat template knows tools or thinking, so Ollama would ignore "
                "TEMPLATE"
            )
        problems += _bos_problems(header, jinja)
        for message in messages:
            expected = render_prompt(
                jinja,
                [{"role": "user", "content": message}],
                bos_token=_bos(header),
                eos_token=_eos(header),
            ).removeprefix(_bos(header))
            found = render_go(go, message)
            if found != expected:
                problems.append(
                    f"TEMPLATE writes {found!r} where the chat template writes {expected!r}"
                )
                break
    except UserError as error:
        return [str(error)]
    return problems


def _bos_problems(header: GgufHeader, jinja: str) -> list[str]:
    """Whether Ollama, which goes by the file's setting, adds the BOS that the template prints."""
    bos = _bos(header)
    added = header.metadata.get("tokenizer.ggml.add_bos_token")
    if not bos or added is None:
        return []
    messages = [{"role": "user", "content": "x"}]
    printed = render_prompt(jinja, messages, bos_token=bos, eos_token=_eos(header)).startswith(bos)
    if printed == added:
        return []
    return [
        f"the chat template {'prints' if printed else 'does not print'} the beginning-of-sequence "
        f"token and the file tells the runtime {'' if added else 'not '}to add it"
    ]


def render_file(name: str, **values: Any) -> str:
    """One of the files in ``templates/``, rendered."""
    return _environment().get_template(f"{name}.j2").render(**values)


@lru_cache(maxsize=1)
def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
        autoescape=False,
    )
    environment.filters["tojson_text"] = _json_text
    return environment


def _json_text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _template(header: GgufHeader) -> str:
    if header.chat_template is None:
        raise UserError("The GGUF carries no chat template. Export it from a folder that has one.")
    return header.chat_template


def _bos(header: GgufHeader) -> str:
    return header.token("bos") or ""


def _eos(header: GgufHeader) -> str:
    return header.token("eos") or ""
