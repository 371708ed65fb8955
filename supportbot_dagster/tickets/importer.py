"""A help desk's export file becomes tickets.

What lives here: reading of a Zendesk-like export, as one JSON object or as JSON Lines, with every
malformed ticket set aside and counted. What does not: which tickets count
(:mod:`supportbot_dagster.tickets.conversations`). What is read here is raw personal data: it stays
in memory and never enters a message, a log or a file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from supportbot_dagster.errors import UserError

Json = Mapping[str, Any]


@dataclass(frozen=True)
class User:
    """A person of the help desk: a customer (``end-user``), an ``agent`` or an ``admin``."""

    id: str
    name: str = ""
    email: str = ""
    role: str = "end-user"
    organization_id: str = ""

    @property
    def is_agent(self) -> bool:
        """Whether the person answers for the vendor."""
        return self.role in {"agent", "admin"}


@dataclass(frozen=True)
class Organization:
    """A customer's company."""

    id: str
    name: str = ""
    domain_names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Comment:
    """One message of a ticket.

    Args:
        public: whether the customer saw it; private notes never leave the import.
        channel: how it came in (``email``, ``web``, ...), empty if unknown.
        source: address or name that the channel recorded as the sender, empty if unknown.
    """

    author_id: str
    public: bool
    created_at: datetime
    body: str
    channel: str = ""
    source: str = ""


@dataclass(frozen=True)
class Ticket:
    """One ticket with its comments in order of time."""

    id: str
    status: str
    created_at: datetime
    updated_at: datetime
    subject: str
    tags: tuple[str, ...]
    channel: str
    requester_id: str
    assignee_id: str
    organization_id: str
    comments: tuple[Comment, ...]


@dataclass(frozen=True)
class Quarantined:
    """A ticket that could not be used.

    Args:
        id: its id, or ``line 12`` / ``ticket 3`` where it has none.
        reason: what is wrong, without any of its content.
    """

    id: str
    reason: str


@dataclass(frozen=True)
class Export:
    """All that an export file holds."""

    tickets: tuple[Ticket, ...]
    users: Mapping[str, User]
    organizations: Mapping[str, Organization]
    exported_at: datetime | None = None
    quarantined: tuple[Quarantined, ...] = ()


class _MalformedError(Exception):
    """What is wrong with one ticket, in words that quote nothing of it."""


@dataclass
class _Collected:
    tickets: dict[str, Ticket] = field(default_factory=dict)
    users: dict[str, User] = field(default_factory=dict)
    organizations: dict[str, Organization] = field(default_factory=dict)
    quarantined: list[Quarantined] = field(default_factory=list)


def load_export(path: Path) -> Export:
    """Read an export file.

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
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UserError(
            f"{path} does not exist. Set tickets.source in the product file to the export."
        ) from None
    except IsADirectoryError:
        raise UserError(f"{path} is a folder. Name the export file itself.") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 ({error.reason}). Export it as UTF-8 JSON.") from None
    if not text.strip():
        raise UserError(f"{path} is empty. Export the tickets again.")
    collected = _Collected()
    exported_at = _read_any(path, text, collected)
    if not collected.tickets and not collected.quarantined:
        raise UserError(
            f"{path} holds no tickets. Export resolved tickets with their comments; an empty "
            "export is refused so that it cannot stand for 'all tickets deleted'."
        )
    if not collected.tickets:
        first = collected.quarantined[0]
        raise UserError(
            f"{path} holds no usable tickets: all {len(collected.quarantined)} are malformed, the "
            f"first ({first.id}) because {first.reason}. Check the export's format."
        )
    return Export(
        tuple(collected.tickets.values()),
        collected.users,
        collected.organizations,
        exported_at,
        tuple(collected.quarantined),
    )


def shift_export(export: Export, days: int) -> Export:
    """The export with all times moved by ``days`` (later if positive)."""
    by = timedelta(days=days)
    tickets = tuple(
        replace(
            ticket,
            created_at=ticket.created_at + by,
            updated_at=ticket.updated_at + by,
            comments=tuple(
                replace(comment, created_at=comment.created_at + by) for comment in ticket.comments
            ),
        )
        for ticket in export.tickets
    )
    moved = export.exported_at + by if export.exported_at else None
    return replace(export, tickets=tickets, exported_at=moved)


def _read_any(path: Path, text: str, collected: _Collected) -> datetime | None:
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        first = text.lstrip().split("\n", 1)[0]
        if not _is_object(first):
            raise UserError(
                f"{path} line {error.lineno} is not JSON ({error.msg}); the file may be cut off. "
                "Export the tickets again."
            ) from None
        _read_lines(text, collected)
        return None
    except RecursionError:
        raise UserError(f"{path} is nested too deeply. Export the tickets again.") from None
    if isinstance(document, list):
        document = {"tickets": document}
    if not isinstance(document, dict):
        raise UserError(f"{path} is a {type(document).__name__}, not an export. Export as JSON.")
    if "tickets" not in document and "comments" in document:
        _read_lines(text, collected)
        return None
    tickets = document.get("tickets")
    if not isinstance(tickets, list):
        raise UserError(f"{path} has no list 'tickets'. Export the tickets with their comments.")
    _read_people(document, collected)
    for number, raw in enumerate(tickets, start=1):
        _read_ticket(raw, f"ticket {number}", collected)
    try:
        return _time(document, "exported_at") if document.get("exported_at") else None
    except _MalformedError as error:
        raise UserError(f"{path}: {error}. Write times as 2026-11-01T00:00:00Z.") from None


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except json.JSONDecodeError:
        return False


def _read_lines(text: str, collected: _Collected) -> None:
    # split on newlines alone: a JSON string may hold other line separators
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            raw = json.loads(line)
        except json.JSONDecodeError as error:
            collected.quarantined.append(
                Quarantined(f"line {number}", f"the line is not JSON ({error.msg})")
            )
            continue
        if isinstance(raw, dict):
            _read_people(raw, collected)
        _read_ticket(raw, f"line {number}", collected)


def _read_people(raw: Json, collected: _Collected) -> None:
    """Users and organizations; one that is malformed only lacks what is malformed."""
    people = list(_objects(raw.get("users")))
    people += [raw[key] for key in ("requester", "assignee") if isinstance(raw.get(key), dict)]
    for person in people:
        if "id" not in person:
            continue
        user = User(
            _id(person["id"]),
            _text(person.get("name")),
            _text(person.get("email")),
            _text(person.get("role")) or "end-user",
            _id(person.get("organization_id")),
        )
        collected.users[user.id] = user
    companies = list(_objects(raw.get("organizations")))
    companies += list(_objects([raw.get("organization")]))
    for company in companies:
        if "id" not in company:
            continue
        domains = company.get("domain_names")
        names = (
            tuple(item for item in domains if isinstance(item, str))
            if isinstance(domains, list)
            else ()
        )
        organization = Organization(_id(company["id"]), _text(company.get("name")), names)
        collected.organizations[organization.id] = organization


def _objects(value: Any) -> Iterator[Json]:
    if isinstance(value, list):
        yield from (item for item in value if isinstance(item, dict))


def _read_ticket(raw: Any, place: str, collected: _Collected) -> None:
    name = place
    try:
        if not isinstance(raw, dict):
            raise _MalformedError(f"it is a {type(raw).__name__}, not an object")
        if isinstance(raw.get("id"), int | str) and not isinstance(raw.get("id"), bool):
            name = str(raw["id"])
        ticket = _ticket(raw)
    except _MalformedError as error:
        collected.quarantined.append(Quarantined(name, str(error)))
        return
    earlier = collected.tickets.get(ticket.id)
    if earlier is not None:
        collected.quarantined.append(
            Quarantined(ticket.id, "its id occurs more than once; the latest update counts")
        )
        if earlier.updated_at >= ticket.updated_at:
            return
    collected.tickets[ticket.id] = ticket


def _ticket(raw: Json) -> Ticket:
    identity = raw.get("id")
    if isinstance(identity, bool) or not isinstance(identity, int | str) or identity == "":
        raise _MalformedError("'id' is missing or neither a number nor a string")
    status = raw.get("status")
    if not isinstance(status, str):
        raise _MalformedError("'status' is missing or not a string")
    comments = raw.get("comments")
    if not isinstance(comments, list):
        raise _MalformedError("'comments' is missing or not a list")
    created = _time(raw, "created_at")
    tags = raw.get("tags") or []
    if not isinstance(tags, list):
        raise _MalformedError("'tags' is not a list")
    parsed = [_comment(comment, number) for number, comment in enumerate(comments, start=1)]
    parsed.sort(key=lambda comment: comment.created_at)
    requester = raw.get("requester_id")
    if requester is None and isinstance(raw.get("requester"), dict):
        requester = raw["requester"].get("id")
    organization = raw.get("organization_id")
    if organization is None and isinstance(raw.get("organization"), dict):
        organization = raw["organization"].get("id")
    return Ticket(
        id=str(identity),
        status=status.strip().lower(),
        created_at=created,
        updated_at=_time(raw, "updated_at") if raw.get("updated_at") else created,
        subject=_text(raw.get("subject")),
        tags=tuple(str(tag) for tag in tags),
        channel=_channel(raw.get("via"))[0],
        requester_id=_id(requester),
        assignee_id=_id(raw.get("assignee_id")),
        organization_id=_id(organization),
        comments=tuple(parsed),
    )


def _comment(raw: Any, number: int) -> Comment:
    if not isinstance(raw, dict):
        raise _MalformedError(f"comment {number} is not an object")
    body = raw.get("body", raw.get("plain_body"))
    if not isinstance(body, str):
        raise _MalformedError(f"comment {number} has no text in 'body'")
    public = raw.get("public", True)
    if not isinstance(public, bool):
        # a note that is not clearly public must not leave
        raise _MalformedError(f"comment {number}: 'public' is neither true nor false")
    try:
        created = _time(raw, "created_at")
    except _MalformedError as error:
        raise _MalformedError(f"comment {number}: {error}") from None
    channel, source = _channel(raw.get("via"))
    return Comment(_id(raw.get("author_id")), public, created, body, channel, source)


def _channel(via: Any) -> tuple[str, str]:
    if isinstance(via, str):
        return via, ""
    if not isinstance(via, dict):
        return "", ""
    source = via.get("source")
    sender = source.get("from") if isinstance(source, dict) else None
    address = (
        " ".join(_text(sender.get(key)) for key in ("address", "name"))
        if isinstance(sender, dict)
        else ""
    )
    return _text(via.get("channel")), address.strip()


def _time(raw: Json, key: str) -> datetime:
    value = raw.get(key)
    if not isinstance(value, str):
        raise _MalformedError(f"'{key}' is missing or not a time")
    try:
        moment = datetime.fromisoformat(value.strip().replace("Z", "+00:00"))
    except ValueError:
        raise _MalformedError(f"'{key}' is not a time of the form 2026-11-01T00:00:00Z") from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _id(value: Any) -> str:
    return "" if value is None or isinstance(value, bool | dict | list) else str(value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
