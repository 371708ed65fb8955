from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from upath import UPath

from supportbot_dagster.errors import UserError
from supportbot_dagster.jsonl import Row, dumps, read_jsonl, write_jsonl_atomic


def test_round_trip_keeps_every_character(tmp_path: Path) -> None:
    rows: list[Row] = [
        {"b": "two\nlines\r\n", "a": "\u2028 and \u0085"},
        {"text": "naïve ✓ 🌻", "n": 1.5, "none": None},
    ]
    path = tmp_path / "new" / "folder" / "rows.jsonl"
    assert write_jsonl_atomic(path, rows) == 2
    assert read_jsonl(path) == rows
    assert read_jsonl(UPath(str(path))) == rows
    assert path.read_bytes().count(b"\n") == 2
    assert "✓" in path.read_text(encoding="utf-8"), "readable, not escaped"
    assert list(rows[0]) == list(read_jsonl(path)[0]), "keys keep their order"


def test_blank_lines_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"a": 1}\r\n\r\n{"a": 2}')
    assert read_jsonl(path) == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"a": 1}\n{"a": \n', r"line 2 is not JSON"),
        (b'{"a": 1}\n\n[1]\n', r"line 3 is a list, not an object"),
        (b'{"a": "\xff"}\n', r"is not UTF-8"),
    ],
)
def test_a_broken_file_is_told_in_one_line(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content)
    with pytest.raises(UserError, match=said) as caught:
        read_jsonl(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"id": 1}\n')
    assert read_jsonl(path) == [{"id": 1}]


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        read_jsonl(tmp_path / "none.jsonl")


def test_a_writer_that_fails_leaves_the_old_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    write_jsonl_atomic(path, [{"a": "old"}])

    def rows() -> Iterator[Row]:
        yield {"a": "new"}
        assert read_jsonl(path) == [{"a": "old"}], "nobody sees the half"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_jsonl_atomic(path, rows())
    assert read_jsonl(path) == [{"a": "old"}]
    assert [item.name for item in tmp_path.iterdir()] == ["rows.jsonl"]
    write_jsonl_atomic(path, [{"a": "new"}])
    assert read_jsonl(path) == [{"a": "new"}]


def test_one_row_is_one_line() -> None:
    assert dumps({"b": "x\ny", "a": "é"}) == '{"b": "x\\ny", "a": "é"}'
