from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from supportbot_dagster.bundle.modelfile import (
    read_template,
    render_go,
    render_modelfile,
    template_problems,
)
from supportbot_dagster.errors import UserError
from supportbot_dagster.export.gguf_file import read_header
from supportbot_dagster.product import Serving
from supportbot_dagster.training.chat_template import GEMMA4, LLAMA3, POCKET

MakeGguf = Callable[[str | None], Path]


@pytest.mark.parametrize(
    ("template", "stop"),
    [(POCKET, "<|end|>"), (GEMMA4, "<turn|>"), (LLAMA3, "<|eot_id|>")],
)
def test_every_familys_modelfile_writes_what_its_chat_template_does(
    make_gguf: MakeGguf, template: str, stop: str
) -> None:
    header = read_header(make_gguf(template))
    text = render_modelfile(header, "m.gguf", Serving(), "a licence")
    assert template_problems(text, header) == []
    assert text.startswith("FROM ./m.gguf\n")
    assert f'PARAMETER stop "{stop}"\n' in text
    for line in ("temperature 0.4", "top_p 0.9", "num_predict 200", "repeat_penalty 1"):
        assert f"PARAMETER {line}\n" in text
    assert "<s>" not in read_template(text)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("<|user|>{{ .Prompt }}", "<|user|> {{ .Prompt }}", "writes"),
        ("<|user|>{{ .Prompt }}", "<s><|user|>{{ .Prompt }}", "would be two"),
        ("<|assistant|>", "", "writes"),
        ("{{ .Prompt }}", "{{ .System }}{{ .Prompt }}", "cannot be checked"),
        ("TEMPLATE", "template", "0 TEMPLATE blocks"),
    ],
)
def test_a_changed_template_is_noticed(gguf: Path, old: str, new: str, message: str) -> None:
    header = read_header(gguf)
    text = render_modelfile(header, "m.gguf", Serving(), "a licence")
    assert old in text
    problems = template_problems(text.replace(old, new), header)
    assert problems
    assert message in problems[0]


def test_a_customers_braces_are_text_and_not_template() -> None:
    template = "<u>{{ .Prompt }}<a>{{ .Response }}</a>"
    assert render_go(template, "{{ .Response }} {{ x }}") == "<u>{{ .Response }} {{ x }}<a>"


def test_a_model_that_never_ends_its_answers_is_refused(make_gguf: MakeGguf) -> None:
    path = make_gguf("{% for m in messages %}{{ m.content }}{% endfor %}")
    path.write_bytes(path.read_bytes().replace(b"eos_token_id", b"xxx_token_id"))
    with pytest.raises(UserError, match="would not end"):
        render_modelfile(read_header(path), "m.gguf", Serving(), "a licence")


@pytest.mark.parametrize(
    ("added", "template", "fits"),
    [
        (True, POCKET, True),
        (False, POCKET, False),
        (True, POCKET.replace("{{ bos_token }}", ""), False),
        (False, POCKET.replace("{{ bos_token }}", ""), True),
    ],
)
def test_the_files_bos_setting_must_fit_its_template(
    make_gguf: Callable[..., Path], added: bool, template: str, fits: bool
) -> None:
    header = read_header(make_gguf(template, add_bos=added))
    text = render_modelfile(header, "m.gguf", Serving(), "a licence")
    problems = template_problems(text, header)
    assert (problems == []) is fits
    assert fits or "beginning-of-sequence" in problems[0]
