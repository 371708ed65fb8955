from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from supportbot_dagster.errors import UserError
from supportbot_dagster.tickets.importers.intercom import load_intercom
from supportbot_dagster.tickets.importers.plain import plain_text

START = int(datetime(2026, 10, 1, 10, tzinfo=UTC).timestamp())


def part(kind: str, minute: int, body: Any, author: Any = "admin", **changes: Any) -> Any:
    who = {
        "admin": {"type": "admin", "id": "5", "name": "Mia", "email": "mia@vendor.example"},
        "user": {"type": "user", "id": "u1", "name": "Dana Whitfield", "email": "d@acme.example"},
        "bot": {"type": "bot", "id": "9", "name": "Operator"},
        "ai": {"type": "admin", "id": "8", "name": "Fin", "from_ai_agent": True},
    }
    made = {"part_type": kind, "created_at": START + 60 * minute, "body": body}
    return {**made, "author": who.get(author, author) if isinstance(author, str) else author} | (
        changes
    )


def conversation(*parts: Any, **changes: Any) -> dict[str, Any]:
    made = {
        "id": "77",
        "state": "closed",
        "created_at": START,
        "updated_at": START + 9000,
        "title": "Workspace address",
        "source": {
            "type": "email",
            "subject": "<p>url &amp; name</p>",
            "body": "<p>how do i change it</p>",
            "author": part("", 0, "", "user")["author"],
        },
        "contacts": {"contacts": [{"type": "contact", "id": "u1"}]},
        "tags": {"tags": [{"name": "howto"}, {"name": "billing_case"}]},
        "admin_assignee_id": 5,
        "conversation_parts": {"conversation_parts": list(parts), "total_count": len(parts)},
    }
    made.update(changes)
    return made


def write(path: Path, value: Any) -> Path:
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return path


def test_a_conversation_becomes_a_ticket(tmp_path: Path) -> None:
    raw = conversation(
        part("assignment", 1, None),
        part("comment", 2, "<p>Open <b>Settings</b>.</p>"),
        part("open", 3, "<p>that worked?</p>", "user"),
        part("close", 4, "<p>Yes.</p>"),
    )
    export = load_intercom(write(tmp_path / "e.json", [raw]))
    (only,) = export.tickets
    assert (only.id, only.status, only.subject, only.channel) == (
        "77",
        "closed",
        "url & name",
        "email",
    )
    assert only.created_at == datetime(2026, 10, 1, 10, tzinfo=UTC)
    assert only.tags == ("howto", "billing_case")
    assert [(item.body, item.public) for item in only.comments] == [
        ("how do i change it", True),
        ("Open Settings.", True),
        ("that worked?", True),
        ("Yes.", True),
    ]
    customer, agent = export.users[only.requester_id], export.users[only.assignee_id]
    assert (customer.name, customer.email, customer.is_agent) == (
        "Dana Whitfield",
        "d@acme.example",
        False,
    )
    assert (agent.name, agent.is_agent) == ("Mia", True)
    assert {item.author_id for item in only.comments} == {customer.id, agent.id}


def test_what_is_not_clearly_public_stays_private(tmp_path: Path) -> None:
    kinds = ["note", "assignment", "note_and_reopen", "assign_and_reopen", "something new", None]
    raw = conversation(*(part(str(kind), 1, "<p>between us</p>") for kind in kinds))
    (only,) = load_intercom(write(tmp_path / "e.json", [raw])).tickets
    assert [item.body for item in only.comments if item.public] == ["how do i change it"]


def test_bots_are_heard_by_nobody(tmp_path: Path) -> None:
    raw = conversation(
        part("comment", 1, "<p>You'll get a reply soon</p>", "bot"),
        part("comment", 2, "<p>An answer of a machine</p>", "ai"),
        part("comment", 3, "<p>Of a person</p>"),
    )
    (only,) = load_intercom(write(tmp_path / "e.json", [raw])).tickets
    assert [item.body for item in only.comments if item.public] == [
        "how do i change it",
        "Of a person",
    ]


def test_every_shape_of_a_file(tmp_path: Path) -> None:
    one, two = conversation(), conversation(id=78, created_at="2026-10-01T10:00:00Z")
    for value in (
        [one, two],
        {"type": "conversation.list", "conversations": [one, two]},
        f"{json.dumps(one)}\n\n{json.dumps(two)}\n",
    ):
        export = load_intercom(write(tmp_path / "e.json", value))
        assert [item.id for item in export.tickets] == ["77", "78"]
    assert len(load_intercom(write(tmp_path / "e.json", one)).tickets) == 1
    lines = load_intercom(write(tmp_path / "e.jsonl", f"{json.dumps(one)}\n{{cut"))
    assert [item.id for item in lines.quarantined] == ["line 2"]


@pytest.mark.parametrize(
    ("bad", "name", "reason"),
    [
        (conversation(id=None), "conversation 2", "'id' is missing"),
        (conversation(id=9, state=None), "9", "'state' is missing"),
        (conversation(id=9, created_at="soon"), "9", "'created_at' is not a time"),
        (conversation(id=9, created_at=10**400), "9", "'created_at' is not a time in seconds"),
        (conversation(id=9, conversation_parts=None), "9", "'conversation_parts' is missing"),
        (
            conversation(id=9, conversation_parts={"conversation_parts": [], "total_count": 700}),
            "9",
            "it has 700 parts, of which only 0 are given",
        ),
        (conversation("x", id=9), "9", "part 1 is not an object"),
        (conversation(part("comment", 1, 3), id=9), "9", "part 1: 'body' is not a text"),
        (
            conversation(part("comment", 1, "x", created_at=None), id=9),
            "9",
            "part 1: 'created_at' is missing",
        ),
        (conversation(part("comment", 1, "x", {"type": []}), id=9), "9", "part 1 has no author"),
        (conversation(part("comment", 1, "x", []), id=9), "9", "part 1 has no author"),
        ("text", "conversation 2", "it is a str, not an object"),
    ],
)
def test_a_malformed_conversation_is_set_aside(
    tmp_path: Path, bad: Any, name: str, reason: str
) -> None:
    export = load_intercom(write(tmp_path / "e.json", [conversation(), bad]))
    assert [item.id for item in export.tickets] == ["77"]
    (item,) = export.quarantined
    assert item.id == name
    assert reason in item.reason


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("[]", "holds no tickets"),
        ('{"conversations": {}}', "'conversations' is not a list"),
        ('[{"id": 1', "may be cut off"),
        ("3", "holds no usable tickets"),
        ("[" + "9" * 5000 + "]", "number that is too long"),
    ],
)
def test_a_malformed_file_is_one_clear_line(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        load_intercom(write(tmp_path / "e.json", content))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>one</p><p>two</p>", "one\n\ntwo"),
        ("<div>one</div><div>two<br>three</div>", "one\ntwo\nthree"),
        ("<p>a &lt; b &amp;&amp; c</p>", "a < b && c"),
        ("a &lt; b", "a < b"),
        ("a < b and c > d", "a < b and c > d"),
        ("<ul><li>one</li><li><p>two</p></li></ul>", "- one\n- two"),
        ("<p>Do:</p><ol><li>one</li><li>two</li></ol>", "Do:\n\n1. one\n2. two"),
        (
            'see <a href="https://docs.example/x">the docs</a>.',
            "see the docs (https://docs.example/x).",
        ),
        ('<a href="https://docs.example/">docs.example</a>', "https://docs.example/"),
        ('<a href="mailto:a@b.example">a@b.example</a>', "a@b.example"),
        ('<p>look <img src="https://x.example/1.png"></p>', "look"),
        ("<style>p {}</style><p>one</p><script>x()</script><!-- no -->", "one"),
        ("<blockquote><p>he</p><p>wrote</p></blockquote><p>yes</p>", "> he\n>\n> wrote\n\nyes"),
        ("<div><pre>if x:\n    go()\n</pre></div><p>ok</p>", "if x:\n    go()\n\nok"),
        ("<p>one\n   two</p>", "one two"),
        ("<p>one<br></p>\n<p>two<br><br>three</p>", "one\n\ntwo\n\nthree"),
        ("<ul>\n<li>one<ul><li>in it</li></ul></li>\n<li></li></ul>", "- one\n  - in it"),
        ("<p>a\u00a0b</p>", "a b"),
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a b\nc"),
        ("<p></p>", ""),
        ("", ""),
        ("https://docs.example/x", "https://docs.example/x"),
    ],
)
def test_html_becomes_what_its_reader_saw(html: str, text: str) -> None:
    assert plain_text(html) == text


def test_html_that_no_person_wrote_costs_little() -> None:
    assert plain_text("<div>" * 3000 + "deep" + "</div>" * 3000) == "deep"
    assert plain_text("<p>x</p>" * 3000).count("x") == 3000
    assert plain_text("<p>x" + "<br> " * 20_000 + "y</p>") == "x\n\ny"
    assert plain_text("<" * 50_000) == "<" * 50_000
