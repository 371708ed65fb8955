from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from supportbot_dagster.errors import UserError
from supportbot_dagster.export.parity import check_parity
from supportbot_dagster.training.chat_template import write_template
from supportbot_dagster.training.pocket_tokenizer import CHAT_TEMPLATE


def test_f16_agrees_with_transformers(base: Path, f16: Path) -> None:
    report = check_parity(base, f16)
    assert report.problems == []
    assert report.token_ids_identical
    assert report.bos_count == 1
    assert report.positions > 150
    assert report.same_top_token_share > 0.98
    assert report.mean_abs_logprob_diff < 0.02


def test_q4_agrees_less_and_is_told_apart(base: Path, f16: Path, q4: Path) -> None:
    exact, rough = check_parity(base, f16), check_parity(base, q4)
    assert rough.mean_abs_logprob_diff > 3 * exact.mean_abs_logprob_diff
    assert rough.token_ids_identical


def test_other_weights_are_noticed(other_base: Path, f16: Path) -> None:
    report = check_parity(other_base, f16)
    assert report.token_ids_identical
    assert report.same_top_token_share < 0.5


def test_token_ids_that_differ_are_a_problem(base: Path, f16: Path, tmp_path: Path) -> None:
    key = b"tokenizer.ggml.add_space_prefix"
    data = bytearray(f16.read_bytes())
    data[data.index(key) + len(key) + 4] = 1
    prefixed = tmp_path / "prefixed.gguf"
    prefixed.write_bytes(data)
    report = check_parity(base, prefixed, ["hello there"])
    assert not report.token_ids_identical
    assert "hello there" in report.first_difference
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
    report = check_parity(folder, gguf, ["hello"])
    assert report.bos_count == 2
    assert any("2 beginning-of-sequence" in problem for problem in report.problems)


def test_no_text_and_no_tokenizer_are_refused(base: Path, f16: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no text"):
        check_parity(base, f16, [])
    with pytest.raises(UserError, match="tokenizer"):
        check_parity(tmp_path, f16)
