import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from supportbot_dagster.errors import UserError
from supportbot_dagster.jsonl import read_jsonl
from supportbot_dagster.partitions import TicketWindow
from supportbot_dagster.tickets import conversations as module
from supportbot_dagster.tickets.conversations import (
    Conversation,
    ConversationResult,
    build_conversations,
    docs_links,
    looked_at_account,
)
from supportbot_dagster.tickets.importers import load_export
from supportbot_dagster.tickets.redaction import Redactor
from supportbot_dagster.tickets.vendor import Vendor

WINDOW = TicketWindow(datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC))
Said = tuple[str, str]


def raw_ticket(number: int, *said: Said, **changes: Any) -> dict[str, Any]:
    """A ticket of (who, text): ``c`` customer, ``a`` agent, ``n`` the agent's private note."""
    authors = {"c": 1, "a": 2, "n": 2}
    made: dict[str, Any] = {
        "id": number,
        "status": "solved",
        "created_at": "2026-10-01T10:00:00Z",
        "subject": "question",
        "tags": [],
        "requester_id": 1,
        "assignee_id": 2,
        "organization_id": 7,
        "comments": [
            {
                "author_id": authors[who],
                "public": who != "n",
                "created_at": f"2026-10-01T10:{minute:02}:00Z",
                "body": text,
            }
            for minute, (who, text) in enumerate(said)
        ],
    }
    return made | changes


def build(path: Path, redactor: Redactor, *tickets: dict[str, Any]) -> ConversationResult:
    document = {
        "users": [
            {
                "id": 1,
                "name": "Dana Whitfield",
                "email": "dana.whitfield@northpeak.example",
                "role": "end-user",
                "organization_id": 7,
            },
            {"id": 2, "name": "Mia Sandoval", "email": "mia@tracklight.example", "role": "agent"},
            {"id": 3, "name": "Kofi Asare", "role": "end-user", "organization_id": 7},
        ],
        "organizations": [
            {"id": 7, "name": "Northpeak Labs", "domain_names": ["northpeak.example"]}
        ],
        "tickets": list(tickets),
    }
    file = path / "export.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    return build_conversations(
        load_export(file), WINDOW, account_tags=("account_lookup",), redactor=redactor
    )


QUESTION = "hey, how do i archive many issues at once"
REPLY = "Hi Dana,\n\nSelect them and press Archive in the toolbar.\n\nBest,\nMia"


def test_a_single_turn_ticket(tmp_path: Path, redactor: Redactor) -> None:
    result = build(tmp_path, redactor, raw_ticket(10231, ("c", QUESTION), ("a", REPLY)))
    (made,) = result.conversations
    assert made.single_turn
    assert not made.account_specific
    assert made.created_month == "2026-10"
    assert [(turn.role, turn.text) for turn in made.turns] == [
        ("customer", QUESTION),
        (
            "agent",
            "Hi <PERSON>,\n\nSelect them and press Archive in the toolbar.\n\nBest,\n<PERSON>",
        ),
    ]
    assert "10231" not in json.dumps(made.to_dict())
    assert Conversation.from_dict(json.loads(json.dumps(made.to_dict()))) == made


def test_a_ticket_keeps_its_id_whatever_is_added_to_it(tmp_path: Path, redactor: Redactor) -> None:
    same = [("c", QUESTION), ("a", REPLY)]
    one, two = build(tmp_path, redactor, raw_ticket(1, *same), raw_ticket(2, *same)).conversations
    assert one.id != two.id
    later = build(
        tmp_path, redactor, raw_ticket(1, *same, ("c", "And on the phone?"), ("a", REPLY))
    ).conversations[0]
    assert later.turns != one.turns
    assert later.id == one.id


def test_a_closing_thanks_is_dropped(tmp_path: Path, redactor: Redactor) -> None:
    result = build(
        tmp_path, redactor, raw_ticket(1, ("c", QUESTION), ("a", REPLY), ("c", "thx that worked!!"))
    )
    assert result.conversations[0].single_turn
    assert len(result.conversations[0].turns) == 2


def test_a_closing_question_is_kept(tmp_path: Path, redactor: Redactor) -> None:
    result = build(
        tmp_path, redactor, raw_ticket(1, ("c", QUESTION), ("a", REPLY), ("c", "thanks, and undo?"))
    )
    assert not result.conversations[0].single_turn
    assert len(result.conversations[0].turns) == 3


def test_comments_of_one_side_are_one_turn(tmp_path: Path, redactor: Redactor) -> None:
    result = build(
        tmp_path,
        redactor,
        raw_ticket(1, ("c", QUESTION), ("c", "sorry, 300 of them"), ("a", REPLY)),
    )
    (made,) = result.conversations
    assert made.single_turn
    assert made.turns[0].text == f"{QUESTION}\n\nsorry, 300 of them"


def test_private_notes_never_leave(tmp_path: Path, redactor: Redactor) -> None:
    result = build(
        tmp_path,
        redactor,
        raw_ticket(1, ("c", QUESTION), ("n", "customer is grumpy today"), ("a", REPLY)),
    )
    assert "grumpy" not in json.dumps([made.to_dict() for made in result.conversations])
    assert result.conversations[0].single_turn


def test_a_colleague_who_answers_is_a_customer(tmp_path: Path, redactor: Redactor) -> None:
    ticket = raw_ticket(1, ("c", QUESTION), ("a", REPLY))
    ticket["comments"].insert(
        1,
        {
            "author_id": 3,
            "public": True,
            "created_at": "2026-10-01T10:00:30Z",
            "body": "kofi here, same for me",
        },
    )
    (made,) = build(tmp_path, redactor, ticket).conversations
    assert [turn.role for turn in made.turns] == ["customer", "agent"]
    assert made.turns[0].text.endswith("<PERSON> here, same for me")


def test_a_question_in_the_subject_alone(tmp_path: Path, redactor: Redactor) -> None:
    ticket = raw_ticket(1, ("c", " "), ("a", REPLY), subject="how do i archive 300 issues")
    (made,) = build(tmp_path, redactor, ticket).conversations
    assert made.turns[0].text == "how do i archive 300 issues"


@pytest.mark.parametrize(
    ("said", "changes", "reason"),
    [
        ((("c", QUESTION), ("a", REPLY)), {"created_at": "2026-11-01T00:00:00Z"}, "outside window"),
        ((("c", QUESTION), ("a", REPLY)), {"created_at": "2026-04-30T23:59:59Z"}, "outside window"),
        ((("c", QUESTION), ("a", REPLY)), {"status": "pending"}, "unsolved"),
        (
            (("c", QUESTION), ("a", REPLY)),
            {"tags": ["closed_by_merge"]},
            "merged into another ticket",
        ),
        (
            (("c", "I'm away."), ("a", REPLY)),
            {"subject": "Automatic reply: your ticket"},
            "auto-reply",
        ),
        ((("c", "I am currently out of the office until May."),), {}, "auto-reply"),
        ((("c", "We sell backlinks and SEO services."), ("a", "No.")), {}, "spam"),
        ((("c", QUESTION), ("a", REPLY)), {"tags": ["spam"]}, "spam"),
        ((("c", "  "),), {"subject": ""}, "empty"),
        ((("c", QUESTION),), {}, "no public agent reply"),
        ((("c", QUESTION), ("n", REPLY)), {}, "no public agent reply"),
        ((("a", "We changed our terms."), ("c", "ok")), {}, "started by an agent"),
        (
            (("c", "Hallo, wie kann ich meine URL ändern?"), ("a", "Hallo, das geht nicht.")),
            {},
            "other language",
        ),
    ],
)
def test_what_does_not_count_is_counted(
    tmp_path: Path,
    redactor: Redactor,
    said: tuple[Said, ...],
    changes: dict[str, Any],
    reason: str,
) -> None:
    result = build(
        tmp_path,
        redactor,
        raw_ticket(1, *said, **changes),
        raw_ticket(2, ("c", QUESTION), ("a", REPLY)),
    )
    assert result.left_out == {reason: 1}
    assert len(result.conversations) == 1


def test_every_ticket_is_accounted_for(tmp_path: Path, redactor: Redactor) -> None:
    tickets = [
        raw_ticket(1, ("c", QUESTION), ("a", REPLY)),
        raw_ticket(2, ("c", QUESTION)),
        raw_ticket(3, ("c", QUESTION), ("a", REPLY), created_at="never"),
    ]
    result = build(tmp_path, redactor, *tickets)
    total = len(result.conversations) + sum(result.left_out.values()) + len(result.quarantined)
    assert total == 3
    assert [(item.id, item.reason[:12]) for item in result.quarantined] == [("3", "'created_at'")]


def test_a_vacation_notice_within_a_ticket_is_skipped(tmp_path: Path, redactor: Redactor) -> None:
    away = "I am currently out of the office until Monday."
    result = build(tmp_path, redactor, raw_ticket(1, ("c", QUESTION), ("a", REPLY), ("c", away)))
    assert result.conversations[0].single_turn


def test_account_specific_by_tag_or_by_reply(tmp_path: Path, redactor: Redactor) -> None:
    looked = "I had a look at your workspace and your colleague deleted it on Monday."
    result = build(
        tmp_path,
        redactor,
        raw_ticket(1, ("c", QUESTION), ("a", REPLY), tags=["account_lookup"]),
        raw_ticket(2, ("c", "who deleted our team"), ("a", looked)),
        raw_ticket(3, ("c", QUESTION), ("a", REPLY)),
    )
    assert [made.account_specific for made in result.conversations] == [True, True, False]


@pytest.mark.parametrize(
    "reply",
    [
        "I've checked your account: the trial ends on 4 May.",
        "I can see that your last payment failed.",
        "We have refunded the second charge.",
        "Looking at your account, you have 14 paid seats.",
        "I checked with our billing team: it was sent yesterday.",
        "Your workspace is currently on the Business plan.",
        "It was deleted by <PERSON> on Friday.",
    ],
)
def test_replies_that_looked_into_the_account(reply: str) -> None:
    assert looked_at_account(reply)


@pytest.mark.parametrize(
    "reply",
    [
        "You can see your invoices in Settings > Billing > Invoices.",
        "Check your plan in Settings > Billing.",
        "Your workspace is deleted after 30 days.",
        "Look at your audit log to see who did it.",
        "I checked, and the shortcut is Cmd+K.",
        "Your trial ends after 14 days and your workspace goes back to its plan.",
        "Ask an Owner to look at your role.",
    ],
)
def test_replies_for_everybody(reply: str) -> None:
    assert not looked_at_account(reply)


def test_links_lose_tracking_and_keep_their_anchor(redactor: Redactor) -> None:
    text = (
        "See https://docs.tracklight.example/help/a.html?utm_source=mail&lang=en&ref=x#bulk, "
        "(https://docs.tracklight.example/help/b.html) and "
        "https://docs.tracklight.example/help/b.html. Not https://github.com/acme/x or "
        "https://app.tracklight.example/northpeak."
    )
    assert docs_links(text, redactor) == (
        "https://docs.tracklight.example/help/a.html?lang=en#bulk",
        "https://docs.tracklight.example/help/b.html",
    )


def test_a_malformed_row_is_refused() -> None:
    for row in ({}, {"id": 1, "turns": 3}, {"id": 1, "turns": [{"role": "robot", "text": ""}]}):
        with pytest.raises(UserError, match="conversation row is malformed"):
            Conversation.from_dict({"created_month": "2026-10", "links": [], **row})


def labelled_export(data: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """Every labelled message as a ticket, and the values that must not come out."""
    rows = read_jsonl(data / "labelled.jsonl")
    tickets = [
        raw_ticket(number, ("c", f"Please help with this:\n\n{row['text']}"), ("a", REPLY))
        for number, row in enumerate(rows, start=1)
        if not row["known_names"]
    ]
    values = [value for row in rows if not row["known_names"] for value in row["gone"]]
    return tickets, [value for value in values if len(value) > 4]


def test_no_raw_value_leaves(tmp_path: Path, redactor: Redactor, data: Path) -> None:
    tickets, values = labelled_export(data)
    result = build(tmp_path, redactor, *tickets)
    assert len(result.conversations) >= 0.95 * len(tickets)
    sure = [made.to_dict() for made in result.conversations if not made.hints]
    out = json.dumps(sure, ensure_ascii=False)
    assert len([value for value in values if value in out]) <= 0.01 * len(values)
    out = json.dumps([made.to_dict() for made in result.conversations], ensure_ascii=False)
    assert len([value for value in values if value in out]) <= 0.05 * len(values)


def test_the_check_above_can_fail(tmp_path: Path, vendor: Vendor, data: Path) -> None:
    tickets, values = labelled_export(data)
    result = build(tmp_path, Redactor(vendor, without=frozenset({"phone"})), *tickets)
    out = json.dumps([made.to_dict() for made in result.conversations], ensure_ascii=False)
    assert [value for value in values if value in out]


def test_progress_is_told(tmp_path: Path, redactor: Redactor) -> None:
    file = tmp_path / "e.json"
    file.write_text(json.dumps({"tickets": [raw_ticket(1, ("c", "x"), ("a", "y"))]}))
    told: list[tuple[str, int, int | None]] = []
    build_conversations(
        load_export(file), WINDOW, redactor=redactor, progress=lambda *step: told.append(step)
    )
    assert told == [("tickets", 1, 1)]


def test_the_reasons_are_those_documented() -> None:
    names = {value for name, value in vars(module).items() if name.isupper() and " " in str(value)}
    assert "other language" in names


def test_links_that_are_none_and_foreign_hosts_are_no_links_to_the_docs(redactor: Redactor) -> None:
    docs = "https://docs.tracklight.example"
    for tail in ("\u2100john@acme.io/x", "[john/x", ".evil.com/abc", "s/abc"):
        assert docs_links(f"see {docs}{tail}", redactor) == ()
    assert docs_links(f"see {docs}/x?email=john%40acme.io&name=Jo", redactor) == ()
    assert docs_links(f"see {docs}/help/x.html#a", redactor) == (f"{docs}/help/x.html#a",)
