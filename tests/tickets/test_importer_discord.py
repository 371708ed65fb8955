from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from supportbot_dagster.errors import UserError
from supportbot_dagster.tickets.importers.discord import load_discord

ROLES = ("Support",)


def author(identity: str, *roles: str, **changes: Any) -> dict[str, Any]:
    return {
        "id": identity,
        "name": f"user{identity}",
        "nickname": f"Nick {identity}",
        "isBot": False,
        "roles": [{"id": f"r-{role}", "name": role} for role in roles],
        **changes,
    }


AGENT = author("900", "Everyone", "Support")


def message(identity: int, who: dict[str, Any], content: str, to: int = 0, **more: Any) -> Any:
    made = {
        "id": str(identity),
        "type": "Reply" if to else "Default",
        "timestamp": f"2026-10-01T10:{identity % 60:02d}:00.123+02:00",
        "content": content,
        "author": who,
    }
    if to:
        made["reference"] = {"messageId": str(to), "channelId": "50", "guildId": "1"}
    return {**made, **more}


def channel(*messages: Any, identity: str = "50", kind: str = "GuildTextChat") -> dict[str, Any]:
    return {
        "guild": {"id": "1", "name": "Tracklight"},
        "channel": {"id": identity, "type": kind, "name": "help"},
        "exportedAt": "2026-11-01T00:00:00+00:00",
        "messages": list(messages),
        "messageCount": len(messages),
    }


def write(path: Path, value: Any) -> Path:
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return path


def public(export: Any, identity: str) -> list[str]:
    (ticket,) = (item for item in export.tickets if item.id == identity)
    return [item.body for item in ticket.comments if item.public]


def test_a_chain_of_replies_is_a_conversation(tmp_path: Path) -> None:
    dana, ravi = author("7"), author("8")
    export = load_discord(
        write(
            tmp_path / "help.json",
            channel(
                message(101, dana, "how do i change the url"),
                message(102, ravi, "where is the api"),
                message(103, AGENT, "Open Settings.", to=101),
                message(104, dana, "and the name?", to=103),
                message(105, AGENT, "Under API.", to=102),
                message(106, AGENT, "There as well.", to=104),
                message(107, author("9"), "unrelated"),
            ),
        ),
        ROLES,
    )
    assert public(export, "101") == [
        "how do i change the url",
        "Open Settings.",
        "and the name?",
        "There as well.",
    ]
    assert public(export, "102") == ["where is the api", "Under API."]
    assert public(export, "107") == ["unrelated"]
    first = export.tickets[0]
    assert first.status == "closed"
    assert first.created_at == datetime(2026, 10, 1, 8, 41, 0, 123000, tzinfo=UTC)
    assert (first.requester_id, first.assignee_id) == ("7", "900")
    assert export.users["900"].is_agent
    assert not export.users["7"].is_agent
    assert export.users["7"].name == "Nick 7 user7", "both of a person's names are redacted"


def test_a_thread_is_a_conversation_with_the_message_that_it_starts_from(tmp_path: Path) -> None:
    dana = author("7")
    folder = tmp_path / "export"
    (folder / "threads").mkdir(parents=True)
    write(
        folder / "a.json",
        channel(
            message(101, dana, "how"),
            message(109, dana, "quick please", to=101),
            message(120, dana, "else"),
        ),
    )
    write(
        folder / "threads" / "b.json",
        channel(
            message(110, dana, "", type="ThreadStarterMessage", reference={"messageId": "101"}),
            message(111, dana, "i mean the url"),
            message(112, AGENT, "Open Settings."),
            identity="101",
            kind="GuildPublicThread",
        ),
    )
    write(
        folder / "c.json",
        channel(
            message(200, author("8"), "a forum post"),
            message(201, AGENT, "An answer."),
            identity="200",
            kind="GuildPublicThread",
        ),
    )
    export = load_discord(folder, ROLES)
    assert sorted(item.id for item in export.tickets) == ["101", "120", "200"]
    assert public(export, "101") == [
        "how",
        "quick please",
        "i mean the url",
        "Open Settings.",
    ]
    assert public(export, "200") == ["a forum post", "An answer."]
    assert {item.id: item.subject for item in export.tickets} == {
        "101": "help",
        "120": "",
        "200": "help",
    }


def test_bots_and_bystanders_are_heard_by_nobody(tmp_path: Path) -> None:
    bot = author("5", "Support", isBot=True)
    export = load_discord(
        write(
            tmp_path / "t.json",
            channel(
                message(1, bot, "Welcome!"),
                message(2, author("7"), "how"),
                message(3, author("8"), "try turning it off"),
                message(4, AGENT, "Open Settings."),
                message(5, author("7"), "joined", type="GuildMemberJoin"),
                kind="GuildPrivateThread",
            ),
        ),
        ROLES,
    )
    assert public(export, "50") == ["how", "Open Settings."]
    assert "5" not in export.users
    assert export.users["8"].name, "who is left out is still known by name"


def test_a_forwarded_message_is_no_reply(tmp_path: Path) -> None:
    forward = {"type": "Forward", "messageId": "1"}
    export = load_discord(
        write(
            tmp_path / "t.json",
            channel(
                message(1, author("7"), "how"), message(2, AGENT, "see this", reference=forward)
            ),
        ),
        ROLES,
    )
    assert [item.id for item in export.tickets] == ["1", "2"]


def test_a_role_counts_wherever_it_was_seen(tmp_path: Path) -> None:
    gone = author("900")  # left the server since
    for roles in (("support",), ("r-Support",), ("other", "SUPPORT")):
        export = load_discord(
            write(
                tmp_path / "t.json",
                channel(
                    message(1, author("7"), "how"),
                    message(2, AGENT, "so", to=1),
                    message(3, author("8"), "what"),
                    message(4, gone, "that", to=3),
                ),
            ),
            roles,
        )
        assert public(export, "3") == ["what", "that"]
        assert export.users["900"].is_agent


def test_parts_that_overlap_give_each_message_once(tmp_path: Path) -> None:
    one = channel(message(1, author("7"), "how"), message(2, AGENT, "so", to=1))
    two = channel(message(2, AGENT, "so", to=1), message(3, author("7"), "thanks", to=2))
    write(tmp_path / "a [part 1].json", one)
    write(tmp_path / "a [part 2].json", two)
    three = channel(message(8, author("7"), "what"), identity="60", kind="GuildPublicThread")
    write(tmp_path / "b [part 1].json", three)
    write(tmp_path / "b [part 2].json", three | {"exportedAt": "2026-11-02T00:00:00+00:00"})
    export = load_discord(tmp_path, ROLES)
    assert public(export, "1") == ["how", "so", "thanks"]
    assert public(export, "60") == ["what"]
    assert export.quarantined == ()


@pytest.mark.parametrize(
    ("changes", "name", "reason"),
    [
        ({"id": ""}, "channel 50 message 4", "'id' is missing"),
        ({"timestamp": "soon"}, "3", "message 2: 'timestamp' is not a time"),
        ({"timestamp": None}, "3", "message 2: 'timestamp' is missing"),
        ({"content": None}, "3", "message 2 has no text in 'content'"),
        ({"author": None}, "3", "message 2 has no author"),
        ({"author": {"id": ""}}, "3", "message 2 has no author"),
    ],
)
def test_a_malformed_message_costs_its_conversation_alone(
    tmp_path: Path, changes: Any, name: str, reason: str
) -> None:
    export = load_discord(
        write(
            tmp_path / "t.json",
            channel(
                message(1, author("7"), "how"),
                message(2, AGENT, "so", to=1),
                message(3, author("8"), "what"),
                message(4, AGENT, "that", to=3) | changes,
            ),
        ),
        ROLES,
    )
    assert public(export, "1") == ["how", "so"]
    assert [item.id for item in export.quarantined] == [name]
    assert reason in export.quarantined[0].reason


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("[]", "has no 'channel' with a list 'messages'"),
        ('{"messages": []}', "has no 'channel'"),
        ('{"channel": {"id": "1"}, "messages": []}', "holds no tickets"),
        ('{"channel": {"id"', "may be cut off"),
    ],
)
def test_a_file_that_is_no_channel_is_one_clear_line(
    tmp_path: Path, content: str, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        load_discord(write(tmp_path / "t.json", content), ROLES)


def test_nobody_with_the_role_and_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no JSON file"):
        load_discord(tmp_path, ROLES)
    with pytest.raises(UserError, match="does not exist"):
        load_discord(tmp_path / "none.json", ROLES)
    write(tmp_path / "t.json", channel(message(1, author("7", "Fans"), "how")))
    with pytest.raises(UserError, match=r"no author has one of tickets\.agent_roles"):
        load_discord(tmp_path, ROLES)
