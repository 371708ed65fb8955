"""Rendering a chat template exactly as transformers and llama.cpp do.

What lives here: the Jinja environment and the Go template that is derived from it. What does not:
the templates themselves, which travel inside the model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NoReturn

from supportbot_dagster.errors import UserError

if TYPE_CHECKING:
    from jinja2 import Template

Message = Mapping[str, str]
GO_PROMPT, GO_RESPONSE = "{{ .Prompt }}", "{{ .Response }}"
_QUESTION, _ANSWER = "xQUESTIONx", "xANSWERx"


def render_prompt(
    template: str,
    messages: Sequence[Message],
    *,
    bos_token: str = "",
    eos_token: str = "",
    add_generation_prompt: bool = True,
) -> str:
    """The text that the model is given for a conversation.

    Args:
        template: Jinja chat template.
        messages: objects with ``role`` and ``content``.
        bos_token: text of the beginning-of-sequence token.
        eos_token: text of the end-of-sequence token.
        add_generation_prompt: end with the opening of the assistant's turn.

    Raises:
        UserError: if the template is broken or refuses the messages.
    """
    from jinja2 import TemplateError

    try:
        return _compiled(template).render(
            messages=[dict(message) for message in messages],
            bos_token=bos_token,
            eos_token=eos_token,
            add_generation_prompt=add_generation_prompt,
        )
    except TemplateError as error:
        raise UserError(
            f"The model's chat template cannot be rendered ({error}). "
            "Set a template for plain user and assistant turns."
        ) from None


@lru_cache(maxsize=16)
def _compiled(template: str) -> "Template":
    from jinja2 import TemplateError
    from jinja2.ext import loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def refuse(message: str) -> NoReturn:
        raise TemplateError(message)

    # As in transformers. strftime_now is left out on purpose: a prompt that holds today's date
    # is not the prompt that the model was trained on.
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols]
    )
    environment.globals["raise_exception"] = refuse
    return environment.from_string(template)


@dataclass(frozen=True)
class TurnFrame:
    """The fixed text around one question and its answer, without the leading BOS.

    Args:
        before: in front of the question.
        between: from the question to the answer; what the model continues.
        after: behind the answer.
    """

    before: str
    between: str
    after: str

    @property
    def go_template(self) -> str:
        """The same turn as an Ollama ``TEMPLATE``."""
        return f"{self.before}{GO_PROMPT}{self.between}{GO_RESPONSE}{self.after}"


def turn_frame(template: str, *, bos_token: str = "", eos_token: str = "") -> TurnFrame:
    """Take a Jinja chat template apart by rendering one question and one answer.

    Raises:
        UserError: if the template does not put the question and the answer in once each, or if
            the prompt for a new answer differs from the one in front of a given answer.
    """
    asked: Message = {"role": "user", "content": _QUESTION}
    prompt = render_prompt(template, [asked], bos_token=bos_token, eos_token=eos_token)
    whole = render_prompt(
        template,
        [asked, {"role": "assistant", "content": _ANSWER}],
        bos_token=bos_token,
        eos_token=eos_token,
        add_generation_prompt=False,
    )
    prompt, whole = prompt.removeprefix(bos_token), whole.removeprefix(bos_token)
    if whole.count(_QUESTION) != 1 or whole.count(_ANSWER) != 1:
        raise UserError(
            "The model's chat template does not put each message in exactly once. "
            "Set a template for plain user and assistant turns."
        )
    head, after = whole.split(_ANSWER)
    if head != prompt:
        raise UserError(
            "The model's chat template asks for an answer differently than it writes one "
            "(a thinking channel, for example). Set a template for plain user and assistant turns."
        )
    before, between = prompt.split(_QUESTION)
    if any("{{" in part or '"""' in part for part in (before, between, after)):
        raise UserError(
            "The model's chat template prints '{{' or three quotation marks, which a Modelfile "
            "cannot hold. Set a template for plain user and assistant turns."
        )
    return TurnFrame(before, between, after)
