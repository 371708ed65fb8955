from __future__ import annotations

import json
from pathlib import Path

import pytest

from supportbot_dagster.errors import UserError
from supportbot_dagster.export.prompt import render_prompt
from supportbot_dagster.training.chat_template import (
    GEMMA4,
    LLAMA3,
    POCKET,
    plain_template,
    read_template,
    use_plain_template,
    write_template,
)

PUBLISHED_GEMMA = (
    "{{ bos_token }}{% if tools %}<|tool>{% endif %}"
    "{% for m in messages %}{{ '<|turn>' }}{% endfor %}"
)
PUBLISHED_LLAMA = "{% if tools %}x{% endif %}<|start_header_id|>{{ date_string }}"
PHI = "{% for m in messages %}<|user|>\n{{ m.content }}<|end|>\n<|assistant|>\n{% endfor %}"


@pytest.mark.parametrize(
    ("published", "plain"),
    [(PUBLISHED_GEMMA, GEMMA4), (PUBLISHED_LLAMA, LLAMA3), (POCKET, POCKET), (PHI, None)],
)
def test_a_published_template_is_mapped_to_its_family(published: str, plain: str | None) -> None:
    assert plain_template(published) == plain


@pytest.mark.parametrize(
    ("template", "prompt"),
    [
        (GEMMA4, "<bos><|turn>user\nhi<turn|>\n<|turn>model\n"),
        (
            LLAMA3,
            "<bos><|start_header_id|>user<|end_header_id|>\n\nhi<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\n",
        ),
        (POCKET, "<bos><|user|>hi<|end|><|assistant|>"),
    ],
)
def test_the_plain_templates_write_the_turns_of_their_family(template: str, prompt: str) -> None:
    messages = [{"role": "user", "content": "hi"}]
    assert render_prompt(template, messages, bos_token="<bos>") == prompt


def test_setting_a_template_leaves_one_place_to_read_it_from(tmp_path: Path) -> None:
    (tmp_path / "tokenizer_config.json").write_text('{"eos_token": "x", "chat_template": "old"}')
    (tmp_path / "chat_template.jinja").write_text(PUBLISHED_GEMMA)
    assert read_template(tmp_path) == PUBLISHED_GEMMA
    assert use_plain_template(tmp_path) == GEMMA4
    assert read_template(tmp_path) == GEMMA4
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    assert config == {"eos_token": "x", "chat_template": GEMMA4}
    assert not (tmp_path / "chat_template.jinja").exists()


def test_a_hard_linked_original_is_not_changed(tmp_path: Path) -> None:
    original = tmp_path / "base" / "tokenizer_config.json"
    original.parent.mkdir()
    original.write_text('{"chat_template": "old"}')
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / original.name).hardlink_to(original)
    write_template(copy, "new")
    assert read_template(tmp_path / "base") == "old"


def test_an_unknown_family_or_no_template_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="known family"):
        use_plain_template(tmp_path)
    write_template(tmp_path, PHI)
    with pytest.raises(UserError, match="known family"):
        use_plain_template(tmp_path)


def test_named_templates_are_read_by_their_default(tmp_path: Path) -> None:
    named = [{"name": "tool_use", "template": "t"}, {"name": "default", "template": "d"}]
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": named}))
    assert read_template(tmp_path) == "d"
