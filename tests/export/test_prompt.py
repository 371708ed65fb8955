from __future__ import annotations

import pytest

from supportbot_dagster.errors import UserError
from supportbot_dagster.export.prompt import render_prompt, turn_frame
from supportbot_dagster.training.chat_template import GEMMA4, LLAMA3, POCKET

ASK = [{"role": "user", "content": "hi"}]


@pytest.mark.parametrize(
    ("template", "go"),
    [
        (POCKET, "<|user|>{{ .Prompt }}<|end|><|assistant|>{{ .Response }}<|end|>"),
        (
            GEMMA4,
            "<|turn>user\n{{ .Prompt }}<turn|>\n<|turn>model\n{{ .Response }}<turn|>\n",
        ),
        (
            LLAMA3,
            "<|start_header_id|>user<|end_header_id|>\n\n{{ .Prompt }}<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\n{{ .Response }}<|eot_id|>",
        ),
    ],
)
def test_the_go_template_is_derived_without_bos(template: str, go: str) -> None:
    assert turn_frame(template, bos_token="<s>").go_template == go


def test_the_environment_is_that_of_transformers() -> None:
    block = (
        "{% for m in messages %}\n  {% if m.role %}\n{{ m.content }}\n  {% endif %}\n{% endfor %}"
    )
    assert render_prompt(block, ASK) == "hi\n"
    assert render_prompt("{% for m in messages %}{% break %}{% endfor %}ok", ASK) == "ok"


@pytest.mark.parametrize(
    "template",
    [
        "{% if %}",
        "{{ raise_exception('only system turns') }}",
        "{{ strftime_now('%d') }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    ],
)
def test_broken_refusing_and_hostile_templates_give_one_clear_error(template: str) -> None:
    with pytest.raises(UserError, match="cannot be rendered"):
        render_prompt(template, ASK)


THINKING = (
    "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}[assistant]<think></think>{% endif %}"
)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (THINKING, "differently"),
        ("constant", "exactly once"),
        ("{{ '{{' }}{% for m in messages %}{{ m.content }}{% endfor %}", "Modelfile"),
    ],
)
def test_templates_that_no_go_template_can_follow_are_refused(template: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        turn_frame(template)
