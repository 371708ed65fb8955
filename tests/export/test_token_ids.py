from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from supportbot_dagster.errors import UserError
from supportbot_dagster.export.convert import to_gguf
from supportbot_dagster.export.token_ids import TEXTS, check_token_ids
from supportbot_dagster.training.chat_template import write_template
from supportbot_dagster.training.pocket_tokenizer import CHAT_TEMPLATE


def test_a_faithful_file_has_the_same_ids(base: Path, f16: Path) -> None:
    report = check_token_ids(base, f16, ["one more text"])
    assert report.problems == []
    assert report.texts == len(set(TEXTS)) + 1
    assert report.identical
    assert report.bos_count == 1
    assert (report.end_of_turn, report.stops) == ("<|end|>", True)


def test_other_ids_are_a_problem(base: Path, f16: Path, tmp_path: Path) -> None:
    key = b"tokenizer.ggml.add_space_prefix"
    data = bytearray(f16.read_bytes())
    data[data.index(key) + len(key) + 4] = 1
    prefixed = tmp_path / "prefixed.gguf"
    prefixed.write_bytes(data)
    report = check_token_ids(base, prefixed)
    assert report.differing > len(TEXTS) / 2
    assert "How do I export" in report.first_difference
    assert "token ids differ" in report.problems[0]


def test_two_bos_are_a_problem(base: Path, f16: Path, tmp_path: Path) -> None:
    # The same length, so that the file stays sound: two BOS in front, a shorter name inside.
    doubled = CHAT_TEMPLATE.replace("{{ bos_token }}", "{{ bos_token * 2 }}").replace(
        "message in messages", "mess in messages"
    )
    doubled = doubled.replace("message['role']", "mess['role']").replace("message['c", "mess['c")
    doubled += "{#" + "-" * (len(CHAT_TEMPLATE) - len(doubled) - 4) + "#}"
    assert len(doubled) == len(CHAT_TEMPLATE)
    gguf = tmp_path / "doubled.gguf"
    gguf.write_bytes(f16.read_bytes().replace(CHAT_TEMPLATE.encode(), doubled.encode()))
    folder = tmp_path / "doubled"
    shutil.copytree(base, folder)
    write_template(folder, doubled)
    report = check_token_ids(folder, gguf)
    assert report.bos_count == 2
    assert any("2 beginning-of-sequence" in problem for problem in report.problems)


@pytest.mark.parametrize(
    ("end", "named"), [("<|user|>", "'<|user|>', which ends"), ("", "the end of the text")]
)
def test_an_answer_that_would_not_end_is_a_problem(
    base: Path, toolchain: Path, tmp_path: Path, end: str, named: str
) -> None:
    folder = tmp_path / "endless"
    shutil.copytree(base, folder)
    turn = "{{ message['content'] }}<|end|>"
    assert turn in CHAT_TEMPLATE
    write_template(folder, CHAT_TEMPLATE.replace(turn, turn.replace("<|end|>", end)))
    gguf = tmp_path / "endless.gguf"
    to_gguf(folder, gguf, toolchain=toolchain, vocab_only=True)
    report = check_token_ids(folder, gguf)
    assert not report.stops
    assert any(named in problem for problem in report.problems)


def test_a_folder_without_a_tokenizer_is_refused(f16: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="tokenizer"):
        check_token_ids(tmp_path, f16)
