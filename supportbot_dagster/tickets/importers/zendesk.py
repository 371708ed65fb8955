"""A Zendesk-like export file becomes tickets.

What lives here: reading of tickets, users and organizations in Zendesk's shape, from one JSON
object or from JSON Lines, with every malformed ticket set aside and counted. What does not: asking
Zendesk itself (``zendesk_api``), and which tickets count
(:mod:`supportbot_dagster.tickets.conversations`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from supportbot_dagster.errors import UserError
from supportbot_dagster.tickets.importers.export import (
    Collected,
    Comment,
    Export,
    Json,
    MalformedError,
    Organization,
    Ticket,
    User,
    id_text,
    identity_of,
    objects,
    text_of,
    time_of,
)
from supportbot_dagster.tickets.importers.files import json_document, json_lines, read_text


def load_export(path: Path) -> Export:
    """Read an export file in Zendesk's shape.

    Args:
        path: a JSON object with ``tickets``, ``users`` and ``organizations``, or JSON Lines with
            one ticket a line that carries its people inline (``users``, ``requester``,
            ``assignee``, ``organization``). A byte order mark is ignored.

    Returns:
        The export. A malformed ticket is in ``quarantined`` with the reason; of two tickets with
        one id the later updated counts.

    Raises:
        UserError: if the file is missing, is no UTF-8 JSON, is cut off, or holds no tickets.
    """
    text = read_text(path)
    collected = Collected()
    document = json_document(path, text)
    if document is None or (
        isinstance(document, dict) and "tickets" not in document and "comments" in document
    ):
        for place, raw in json_lines(text, collected):
            if isinstance(raw, dict):
                read_people(raw, collected)
            _read_ticket(raw, place, collected)
        return collected.export(str(path))
    if isinstance(document, list):
        document = {"tickets": document}
    if not isinstance(document, dict):
        raise UserError(f"{path} is a {type(document).__name__}, not an export. Export as JSON.")
    tickets = document.get("tickets")
    if not isinstance(tickets, list):
        raise UserError(f"{path} has no list 'tickets'. Export the tickets with their comments.")
    read_people(document, collected)
    for number, raw in enumerate(tickets, start=1):
        _read_ticket(raw, f"ticket {number}", collected)
    try:
        exported_at = time_of(document, "exported_at") if document.get("exported_at") else None
    except MalformedError as error:
        raise UserError(f"{path}: {error}. Write times as 2026-11-01T00:00:00Z.") from None
    return collected.export(str(path), exported_at)


def read_people(raw: Json, collected: Collected) -> None:
    """Users and organizations; one that is malformed only lacks what is malformed."""
    people = list(objects(raw.get("users")))
    people += [raw[key] for key in ("requester", "assignee") if isinstance(raw.get(key), dict)]
    for person in people:
        if "id" not in person:
            continue
        user = User(
            id_text(person["id"]),
            text_of(person.get("name")),
            text_of(person.get("email")),
            text_of(person.get("role")) or "end-user",
            id_text(person.get("organization_id")),
        )
        collected.users[user.id] = user
    companies = list(objects(raw.get("organizations")))
    companies += list(objects([raw.get("organization")]))
    for company in companies:
        if "id" not in company:
            continue
        domains = company.get("domain_names")
        names = (
            tuple(item for item in domains if isinstance(item, str))
            if isinstance(domains, list)
            else ()
        )
        organization = Organization(id_text(company["id"]), text_of(company.get("name")), names)
        collected.organizations[organization.id] = organization


def read_ticket(raw: Json) -> Ticket:
    """One ticket with its ``comments``.

    Raises:
        MalformedError: if a field that is needed is missing or of the wrong type.
    """
    identity = identity_of(raw)
    status = raw.get("status")
    if not isinstance(status, str):
        raise MalformedError("'status' is missing or not a string")
    comments = raw.get("comments")
    if not isinstance(comments, list):
        raise MalformedError("'comments' is missing or not a list")
    created = time_of(raw, "created_at")
    tags = raw.get("tags") or []
    if not isinstance(tags, list):
        raise MalformedError("'tags' is not a list")
    parsed = [_comment(comment, number) for number, comment in enumerate(comments, start=1)]
    parsed.sort(key=lambda comment: comment.created_at)
    requester = raw.get("requester_id")
    if requester is None and isinstance(raw.get("requester"), dict):
        requester = raw["requester"].get("id")
    organization = raw.get("organization_id")
    if organization is None and isinstance(raw.get("organization"), dict):
        organization = raw["organization"].get("id")
    return Ticket(
        id=identity,
        status=status.strip().lower(),
        created_at=created,
        updated_at=time_of(raw, "updated_at") if raw.get("updated_at") else created,
        subject=text_of(raw.get("subject")),
        tags=tuple(str(tag) for tag in tags),
        channel=_channel(raw.get("via"))[0],
        requester_id=id_text(requester),
        assignee_id=id_text(raw.get("assignee_id")),
        organization_id=id_text(organization),
        comments=tuple(parsed),
    )


def _read_ticket(raw: Any, place: str, collected: Collected) -> None:
    name = place
    try:
        if not isinstance(raw, dict):
            raise MalformedError(f"it is a {type(raw).__name__}, not an object")
        name = identity_of(raw)
        collected.add(read_ticket(raw))
    except MalformedError as error:
        collected.set_aside(name, str(error))


def _comment(raw: Any, number: int) -> Comment:
    if not isinstance(raw, dict):
        raise MalformedError(f"comment {number} is not an object")
    body = raw.get("body", raw.get("plain_body"))
    if not isinstance(body, str):
        raise MalformedError(f"comment {number} has no text in 'body'")
    public = raw.get("public", True)
    if not isinstance(public, bool):
        # a note that is not clearly public must not leave
        raise MalformedError(f"comment {number}: 'public' is neither true nor false")
    try:
        created = time_of(raw, "created_at")
    except MalformedError as error:
        raise MalformedError(f"comment {number}: {error}") from None
    channel, source = _channel(raw.get("via"))
    return Comment(id_text(raw.get("author_id")), public, created, body, channel, source)


def _channel(via: Any) -> tuple[str, str]:
    if isinstance(via, str):
        return via, ""
    if not isinstance(via, dict):
        return "", ""
    source = via.get("source")
    sender = source.get("from") if isinstance(source, dict) else None
    address = (
        " ".join(text_of(sender.get(key)) for key in ("address", "name"))
        if isinstance(sender, dict)
        else ""
    )
    return text_of(via.get("channel")), address.strip()
