"""Intercom's conversations become tickets.

What lives here: reading of conversations as Intercom's API returns them one by one, from a file of
JSON or JSON Lines. What does not: asking Intercom itself (``intercom_api``), and which tickets
count (:mod:`supportbot_dagster.tickets.conversations`).

Messages of bots are kept as private: no person wrote them, and nothing is to be learned from them.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from supportbot_dagster.errors import UserError
from supportbot_dagster.tickets.importers.export import (
    Collected,
    Comment,
    Export,
    Json,
    MalformedError,
    Ticket,
    User,
    id_text,
    identity_of,
    objects,
    text_of,
    time_or_seconds,
)
from supportbot_dagster.tickets.importers.files import json_document, json_lines, read_text
from supportbot_dagster.tickets.importers.plain import plain_text

_PUBLIC_PARTS = frozenset({"comment", "quick_reply", "open", "close"})
"""Parts whose body the customer saw: a reply that reopens or closes is one. Of the others (notes,
assignments, events) that is not certain, and what is not clearly public must not leave."""
_CUSTOMERS = frozenset({"user", "lead", "contact", "visitor"})
_AGENTS = frozenset({"admin", "team"})


def load_intercom(path: Path) -> Export:
    """Read a file of Intercom conversations.

    Args:
        path: a JSON list of conversations, an object with the list ``conversations``, or JSON Lines
            with one conversation a line; each as ``GET /conversations/{id}`` returns it, with its
            ``conversation_parts``.

    Returns:
        The export. A malformed conversation is in ``quarantined`` with the reason.

    Raises:
        UserError: if the file is missing, is no UTF-8 JSON, is cut off, or holds no conversations.
    """
    text = read_text(path)
    collected = Collected()
    document = json_document(path, text)
    if isinstance(document, dict) and "conversations" in document:
        document = document["conversations"]
        if not isinstance(document, list):
            raise UserError(f"{path}: 'conversations' is not a list. Export them as a list.")
    if isinstance(document, list):
        for number, raw in enumerate(document, start=1):
            _take(raw, f"conversation {number}", collected)
    else:
        for place, raw in json_lines(text, collected):
            _take(raw, place, collected)
    return collected.export(str(path))


def read_conversation(raw: Json, collected: Collected, *, with_parts: bool = True) -> Ticket:
    """One conversation; its people are added to ``collected``.

    Args:
        raw: the conversation.
        collected: gets the authors and contacts.
        with_parts: False for an entry of a list, which has no messages.

    Raises:
        MalformedError: if a field that is needed is missing or of the wrong type.
    """
    identity = identity_of(raw)
    state = raw.get("state")
    if not isinstance(state, str):
        raise MalformedError("'state' is missing or not a string")
    created = time_or_seconds(raw, "created_at")
    updated = time_or_seconds(raw, "updated_at") if raw.get("updated_at") else created
    source = raw.get("source")
    source = source if isinstance(source, dict) else {}
    people: list[User] = []
    comments = _comments(raw, source, created, people) if with_parts else []
    contacts = raw.get("contacts")
    references = list(objects(contacts.get("contacts") if isinstance(contacts, dict) else contacts))
    people += [contact_user(reference) for reference in references if id_text(reference.get("id"))]
    for person in people:
        collected.add_user(person)
    customers = [person.id for person in people if not person.is_agent]
    tags = raw.get("tags")
    return Ticket(
        id=identity,
        status=state.strip().lower(),
        created_at=created,
        updated_at=updated,
        subject=plain_text(text_of(source.get("subject")) or text_of(raw.get("title"))),
        tags=tuple(
            text_of(tag.get("name"))
            for tag in objects(tags.get("tags") if isinstance(tags, dict) else tags)
        ),
        channel=text_of(source.get("type")),
        requester_id=customers[0] if customers else "",
        assignee_id=_agent_id(raw.get("admin_assignee_id")),
        organization_id="",
        comments=tuple(comments),
    )


def contact_user(raw: Json, organization_id: str = "") -> User:
    """The person of a contact, or of a reference to one."""
    name, email = text_of(raw.get("name")), text_of(raw.get("email"))
    return User(f"contact {id_text(raw.get('id'))}", name, email, organization_id=organization_id)


def admin_user(raw: Json) -> User:
    """The person of a teammate."""
    name, email = text_of(raw.get("name")), text_of(raw.get("email"))
    return User(_agent_id(raw.get("id")), name, email, "agent")


def _take(raw: Any, place: str, collected: Collected) -> None:
    name = place
    try:
        if not isinstance(raw, dict):
            raise MalformedError(f"it is a {type(raw).__name__}, not an object")
        name = identity_of(raw)
        collected.add(read_conversation(raw, collected))
    except MalformedError as error:
        collected.set_aside(name, str(error))


def _comments(raw: Json, source: Json, created: datetime, people: list[User]) -> list[Comment]:
    listed = raw.get("conversation_parts")
    parts = listed.get("conversation_parts") if isinstance(listed, dict) else listed
    if not isinstance(parts, list):
        raise MalformedError(
            "'conversation_parts' is missing; export each conversation by its own, not the list"
        )
    total = listed.get("total_count") if isinstance(listed, dict) else None
    if isinstance(total, int) and total > len(parts):
        raise MalformedError(f"it has {total} parts, of which only {len(parts)} are given")
    comments = []
    if text_of(source.get("body")).strip():
        comments.append(_comment(source, created, people, public=True, place="the first message"))
    for number, part in enumerate(parts, start=1):
        place = f"part {number}"
        if not isinstance(part, dict):
            raise MalformedError(f"{place} is not an object")
        body = part.get("body")
        if body is None or body == "":  # an event, or removed by the help desk
            continue
        if not isinstance(body, str):
            raise MalformedError(f"{place}: 'body' is not a text")
        try:
            moment = time_or_seconds(part, "created_at")
        except MalformedError as error:
            raise MalformedError(f"{place}: {error}") from None
        public = text_of(part.get("part_type")) in _PUBLIC_PARTS
        comments.append(_comment(part, moment, people, public=public, place=place))
    comments.sort(key=lambda comment: comment.created_at)
    return comments


def _comment(
    raw: Json, moment: datetime, people: list[User], *, public: bool, place: str
) -> Comment:
    author = raw.get("author")
    author = author if isinstance(author, dict) else {}
    kind = text_of(author.get("type"))
    if author.get("from_ai_agent") is True:
        kind = "bot"
    if kind in _CUSTOMERS:
        person = contact_user(author)
    elif kind in _AGENTS:
        person = admin_user(author)
    elif kind == "bot":
        return Comment("bot", False, moment, plain_text(text_of(raw.get("body"))), "bot")
    elif public:
        raise MalformedError(f"{place} has no author who is a contact, a teammate or a bot")
    else:
        person = User("")
    if person.id:
        people.append(person)
    return Comment(person.id, public, moment, plain_text(text_of(raw.get("body"))))


def _agent_id(value: Any) -> str:
    identity = id_text(value)
    return f"admin {identity}" if identity and identity != "0" else ""
