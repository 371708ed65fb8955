from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from supportbot_dagster.errors import UserError
from supportbot_dagster.product import Columns
from supportbot_dagster.tickets.importers.table import load_table

MESSAGES = Columns(
    conversation="Ticket",
    status="State",
    created_at="Sent",
    author_role="From",
    author_name="Name",
    author_email="Mail",
    text="Body",
    public="Visible",
    tags="Labels",
    subject="Subject",
    company="Firm",
)
TICKETS = Columns(conversation="id", created_at="date", question="q", reply="a")
HEADER = "Ticket,State,Sent,From,Name,Mail,Body,Visible,Labels,Subject,Firm\n"


def row(ticket: Any = 1, **changes: Any) -> dict[str, Any]:
    made = {
        "Ticket": ticket,
        "State": "Resolved",
        "Sent": "2026-10-01T10:00:00Z",
        "From": "Customer",
        "Name": "Dana Whitfield",
        "Mail": "Dana@acme.example",
        "Body": "how do i",
        "Visible": "yes",
        "Labels": "howto, url",
        "Subject": "url??",
        "Firm": "Acme",
    }
    return {**made, **changes}


def reply(ticket: Any = 1, **changes: Any) -> dict[str, Any]:
    made = row(ticket, Sent="2026-10-01 12:00:00", From="agent", Name="Mia", Mail="", Body="Open.")
    return {**made, **changes}


def write(path: Path, value: Any) -> Path:
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return path


def test_a_csv_with_a_message_a_row(tmp_path: Path) -> None:
    path = tmp_path / "e.csv"
    path.write_bytes(
        b"\xef\xbb\xbf"
        + (
            HEADER
            + '7,Resolved,2026-10-01 12:00:00,Agent,Mia,,"Open ""Settings"".\nThen, save.",yes,,,\n'
            + "7,Resolved,1790848800,customer,Dana Whitfield,dana@acme.example,"
            + "how,1,howto;url,url??,Acme\n\n"
            + "7,Resolved,2026-10-01T13:00:00+02:00,agent,Mia,,between us,no,,,\n"
            + "8,open,2026-10-01T13:00:00Z,customer,,,what,true,,,\n"
        ).encode()
    )
    export = load_table(path, MESSAGES)
    first, second = export.tickets
    assert [(item.body, item.public) for item in first.comments] == [
        ("how", True),
        ("between us", False),
        ('Open "Settings".\nThen, save.', True),
    ]
    assert (first.id, first.status, first.subject, first.tags) == (
        "7",
        "solved",
        "url??",
        ("howto", "url"),
    )
    assert first.created_at == datetime(2026, 10, 1, 10, tzinfo=UTC)
    customer = export.users[first.requester_id]
    assert (customer.name, customer.email) == ("Dana Whitfield", "dana@acme.example")
    assert export.organizations[customer.organization_id].name == "Acme"
    agent = export.users[first.comments[-1].author_id]
    assert agent.is_agent
    assert agent.organization_id == ""
    assert second.status == "open"
    assert second.requester_id != first.requester_id
    assert export.quarantined == ()


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_every_delimiter(tmp_path: Path, delimiter: str) -> None:
    lines = ["id,date,q,a", "1,2026-10-01T10:00:00Z,how,so"]
    text = "\r\n".join(lines).replace(",", delimiter)
    export = load_table(write(tmp_path / "e.csv", text), TICKETS)
    assert [item.body for item in export.tickets[0].comments] == ["how", "so"]


@pytest.mark.parametrize("name", ["e.jsonl", "e.ndjson", "e.json"])
def test_json_with_a_message_a_row(tmp_path: Path, name: str) -> None:
    rows = [row(Visible=True, Labels=["howto"], Sent=1790848800), reply(Visible=1)]
    text = json.dumps(rows) if name == "e.json" else "\n".join(map(json.dumps, rows))
    (only,) = load_table(write(tmp_path / name, text), MESSAGES).tickets
    assert [item.body for item in only.comments] == ["how do i", "Open."]
    assert only.tags == ("howto", "url")


def test_a_row_a_ticket(tmp_path: Path) -> None:
    rows = [
        {"id": 1, "date": "2026-10-01", "q": "how", "a": "so"},
        {"id": 2, "date": "2026-10-01", "q": "what", "a": None},
        {"id": 2, "date": "2026-10-01", "q": "what", "a": "that"},
        {"id": 3, "date": "2026-10-01", "q": "", "a": "so"},
    ]
    export = load_table(write(tmp_path / "e.json", rows), TICKETS)
    (only,) = export.tickets
    assert [item.body for item in only.comments] == ["how", "so"]
    assert only.status == "solved", "without a status column all count as solved"
    assert export.users[only.comments[1].author_id].is_agent
    assert [(item.id, item.reason) for item in export.quarantined] == [
        ("2", "row 3: the conversation has more than one row"),
        ("3", "row 4: 'question' is empty"),
    ]


@pytest.mark.parametrize(
    ("bad", "name", "reason"),
    [
        (reply(9, Ticket=""), "row 3", "'conversation' is empty"),
        (reply(9, Ticket=None), "row 3", "'conversation' is empty"),
        (reply(9, Ticket=[1]), "row 3", "'conversation' is not a text"),
        (reply(9, Sent="soon"), "9", "row 3: 'created_at' is not a time"),
        (reply(9, Sent=""), "9", "row 3: 'created_at' is not a time"),
        (reply(9, From=""), "9", "row 3: 'author_role' is empty"),
        (reply(9, From="Martian"), "9", "row 3: 'author_role' is neither"),
        (reply(9, Visible=""), "9", "row 3: 'public' is neither true nor false"),
        (reply(9, Visible="maybe"), "9", "row 3: 'public' is neither true nor false"),
        (reply(9, Visible=None), "9", "row 3: 'public' is neither true nor false"),
        (reply(9, Body={"a": 1}), "9", "row 3: 'text' is not a text"),
        (reply(9, State=""), "9", "row 3: 'status' is empty"),
        ("text", "row 3", "it is a str, not an object"),
    ],
)
def test_a_malformed_row_sets_its_conversation_aside(
    tmp_path: Path, bad: Any, name: str, reason: str
) -> None:
    rows = [row(), reply(), bad, row(9) if name == "9" else row()]
    export = load_table(write(tmp_path / "e.json", rows), MESSAGES)
    assert [item.id for item in export.tickets] == ["1"]
    (item,) = export.quarantined
    assert item.id == name
    assert reason in item.reason
    assert "Martian" not in item.reason


def test_roles_of_ones_own(tmp_path: Path) -> None:
    rows = [row(From="Kunde"), reply(From="Kundendienst"), reply(From="bot", Body="beep")]
    export = load_table(write(tmp_path / "e.json", rows), MESSAGES, ["kundendienst"])
    (only,) = export.tickets
    assert [export.users[item.author_id].is_agent for item in only.comments[:2]] == [False, True]
    assert [item.body for item in only.comments if item.public] == ["how do i", "Open."]


def test_rows_of_a_wrong_length_are_set_aside(tmp_path: Path) -> None:
    text = "id,date,q,a\n1,2026-10-01,how,so\n2,2026-10-01,how\n3,2026-10-01,how,so,more\n"
    export = load_table(write(tmp_path / "e.csv", text), TICKETS)
    assert [item.id for item in export.tickets] == ["1"]
    assert [(item.id, item.reason) for item in export.quarantined] == [
        ("line 3", "it has 3 cells, the header 4"),
        ("line 4", "it has 5 cells, the header 4"),
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("e.csv", "", "is empty"),
        ("e.csv", "id,date,q\n1,2,3\n", r"has no column 'a' \(tickets\.columns\.reply\)"),
        ("e.csv", "id,date,q,a,a\n", "has more than one column 'a'"),
        ("e.csv", "id,date,q,a\n", "holds no tickets"),
        ("e.csv", 'id,date,q,a\n1,2026-10-01,"cut off', "line 2 is not CSV .* may be cut off"),
        ("e.csv", 'id,date,q,a\n1,2026-10-01,"a" b,c\n', "line 2 is not CSV"),
        ("e.csv", f"id,date,q,a\n1,2026-10-01,{'x' * 200_000},c\n", "line 2 is not CSV"),
        ("e.json", '{"a": 1}', "is not a list of rows"),
        ("e.json", '[{"a": 1', "may be cut off"),
        ("e.jsonl", '{"a": 1', "holds no usable tickets"),
        ("e.xlsx", "x", r"is none of \.csv"),
    ],
)
def test_a_file_that_is_no_table_is_one_clear_line(
    tmp_path: Path, name: str, content: str, message: str
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        load_table(write(tmp_path / name, content), TICKETS)
    assert "\n" not in str(caught.value)
