import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from supportbot_dagster.errors import UserError
from supportbot_dagster.tickets.importers import load_export, shift_export


def ticket(**changes: Any) -> dict[str, Any]:
    made = {
        "id": 10231,
        "status": "solved",
        "created_at": "2026-10-01T10:00:00Z",
        "updated_at": "2026-10-02T10:00:00Z",
        "subject": "url??",
        "tags": ["howto"],
        "via": {"channel": "email", "source": {"from": {"address": "dana@acme.example"}}},
        "requester_id": 1,
        "assignee_id": 2,
        "organization_id": 7,
        "comments": [
            {
                "author_id": 2,
                "public": True,
                "created_at": "2026-10-01T12:00:00Z",
                "body": "Open it.",
            },
            {"author_id": 1, "public": True, "created_at": "2026-10-01T10:00:00Z", "body": "how"},
        ],
    }
    made.update(changes)
    return {key: value for key, value in made.items() if value is not Ellipsis}


def document(*tickets: Any) -> dict[str, Any]:
    return {
        "exported_at": "2026-11-01T00:00:00Z",
        "users": [
            {"id": 1, "name": "Dana Whitfield", "email": "dana@acme.example", "role": "end-user"},
            {"id": 2, "name": "Mia", "role": "agent"},
            {"name": "without id"},
            "not a user",
        ],
        "organizations": [{"id": 7, "name": "Acme", "domain_names": ["acme.example", 3]}],
        "tickets": list(tickets),
    }


def write(path: Path, value: Any) -> Path:
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return path


def test_a_whole_export(tmp_path: Path) -> None:
    export = load_export(write(tmp_path / "e.json", document(ticket())))
    (only,) = export.tickets
    assert only.id == "10231"
    assert [comment.body for comment in only.comments] == ["how", "Open it."]  # in order of time
    assert only.created_at == datetime(2026, 10, 1, 10, tzinfo=UTC)
    assert only.channel == "email"
    assert export.users["2"].is_agent
    assert not export.users["1"].is_agent
    assert export.organizations["7"].domain_names == ("acme.example",)
    assert export.exported_at == datetime(2026, 11, 1, tzinfo=UTC)
    assert export.quarantined == ()


def test_a_byte_order_mark_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "e.json"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(document(ticket())).encode())
    assert len(load_export(path).tickets) == 1


def test_json_lines_with_people_inline(tmp_path: Path) -> None:
    first = ticket(
        requester={"id": 1, "name": "Dana Whitfield", "organization_id": 7},
        users=[{"id": 2, "name": "Mia", "role": "agent"}],
        organization={"id": 7, "name": "Acme"},
        requester_id=...,
        organization_id=...,
    )
    lines = [json.dumps(first), "", json.dumps(ticket(id=2)), "{cut", json.dumps([1])]
    export = load_export(write(tmp_path / "e.jsonl", "\n".join(lines)))
    assert [item.id for item in export.tickets] == ["10231", "2"]
    assert export.tickets[0].requester_id == "1"
    assert export.tickets[0].organization_id == "7"
    assert export.users["2"].is_agent
    assert [(item.id, item.reason) for item in export.quarantined] == [
        ("line 4", "the line is not JSON (Expecting property name enclosed in double quotes)"),
        ("line 5", "it is a list, not an object"),
    ]


def test_one_line_is_one_ticket(tmp_path: Path) -> None:
    assert len(load_export(write(tmp_path / "e.jsonl", ticket())).tickets) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("  \n", "is empty"),
        ('{"tickets": [{"id": 1,', "line 1 is not JSON .* may be cut off"),
        ('{\n"tickets": [\n{"id": 1,', "line 3 is not JSON .* may be cut off"),
        ("not json", "is not JSON"),
        ("[]", "holds no tickets"),
        ('{"tickets": []}', "holds no tickets"),
        ('{"tickets": {}}', "has no list 'tickets'"),
        ('{"users": []}', "has no list 'tickets'"),
        ("3", "is a int, not an export"),
        ('{"tickets": [{"id": 1}]}', "holds no usable tickets: all 1 are malformed"),
        ("[" * 100_000, "nested too deeply|is not JSON"),
    ],
)
def test_a_malformed_file_is_one_clear_line(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        load_export(write(tmp_path / "e.json", content))
    assert "\n" not in str(caught.value)
    assert "e.json" in str(caught.value)


def test_a_missing_file_a_folder_and_another_encoding(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        load_export(tmp_path / "none.json")
    with pytest.raises(UserError, match="is a folder"):
        load_export(tmp_path)
    (tmp_path / "e.json").write_bytes('{"tickets": "ü"}'.encode("latin-1"))
    with pytest.raises(UserError, match="not UTF-8"):
        load_export(tmp_path / "e.json")


@pytest.mark.parametrize(
    ("bad", "name", "reason"),
    [
        (ticket(id=...), "ticket 2", "'id' is missing"),
        (ticket(id=True), "ticket 2", "'id' is missing"),
        (ticket(id=[1]), "ticket 2", "'id' is missing"),
        (ticket(id=9, status=...), "9", "'status' is missing"),
        (ticket(id=9, created_at="yesterday"), "9", "'created_at' is not a time"),
        (ticket(id=9, created_at=1700000000), "9", "'created_at' is missing or not a time"),
        (ticket(id=9, comments=None), "9", "'comments' is missing"),
        (ticket(id=9, comments=["hi"]), "9", "comment 1 is not an object"),
        (ticket(id=9, comments=[{"body": 3}]), "9", "comment 1 has no text"),
        (
            ticket(id=9, comments=[{"body": "x", "public": "no"}]),
            "9",
            "comment 1: 'public' is neither true nor false",
        ),
        (ticket(id=9, comments=[{"body": "x"}]), "9", "comment 1: 'created_at' is missing"),
        (ticket(id=9, tags="spam"), "9", "'tags' is not a list"),
        ("a ticket", "ticket 2", "it is a str, not an object"),
        (None, "ticket 2", "it is a NoneType, not an object"),
    ],
)
def test_a_malformed_ticket_is_set_aside(tmp_path: Path, bad: Any, name: str, reason: str) -> None:
    export = load_export(write(tmp_path / "e.json", document(ticket(id=1), bad)))
    assert [item.id for item in export.tickets] == ["1"]
    (item,) = export.quarantined
    assert item.id == name
    assert reason in item.reason


def test_of_a_doubled_id_the_later_update_counts(tmp_path: Path) -> None:
    old = ticket(subject="old")
    new = ticket(subject="new", updated_at="2026-10-05T00:00:00+02:00")
    for pair in ((old, new), (new, old)):
        export = load_export(write(tmp_path / "e.json", document(*pair)))
        assert [item.subject for item in export.tickets] == ["new"]
        assert [item.id for item in export.quarantined] == ["10231"]
        assert "more than once" in export.quarantined[0].reason


def test_a_time_without_zone_is_utc(tmp_path: Path) -> None:
    export = load_export(
        write(tmp_path / "e.json", document(ticket(created_at="2026-10-01T10:00:00")))
    )
    assert export.tickets[0].created_at == datetime(2026, 10, 1, 10, tzinfo=UTC)


def test_shifting_moves_every_time_alike(tmp_path: Path) -> None:
    export = load_export(write(tmp_path / "e.json", document(ticket())))
    moved = shift_export(export, 31)
    assert moved.exported_at == datetime(2026, 12, 2, tzinfo=UTC)
    assert moved.tickets[0].created_at == datetime(2026, 11, 1, 10, tzinfo=UTC)
    assert moved.tickets[0].updated_at == datetime(2026, 11, 2, 10, tzinfo=UTC)
    assert moved.tickets[0].comments[0].created_at == datetime(2026, 11, 1, 10, tzinfo=UTC)
    assert shift_export(moved, -31) == export
