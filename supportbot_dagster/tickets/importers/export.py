"""What every importer gives: tickets, people and companies, and what was set aside.

What lives here: the records of an :class:`Export`, collecting them with one record a ticket, and
the small readings of fields that importers share. What does not: any source's own shape (one module
each beside this one). What is read is raw personal data: it stays in memory and never enters a
message, a log or a file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from supportbot_dagster.errors import UserError

Json = Mapping[str, Any]

DELETED = "it was deleted in the help desk"
DOUBLED = "its id occurs more than once; the latest update counts"
RESOLVED = frozenset({"solved", "closed"})
"""Status of a ticket that counts; importers map their source's own words to these."""


class Window(Protocol):
    """Creation times that count, such as :class:`supportbot_dagster.partitions.TicketWindow`."""

    @property
    def start(self) -> datetime: ...

    def __contains__(self, moment: datetime, /) -> bool: ...


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
    """All that a source holds."""

    tickets: tuple[Ticket, ...]
    users: Mapping[str, User]
    organizations: Mapping[str, Organization]
    exported_at: datetime | None = None
    quarantined: tuple[Quarantined, ...] = ()


class MalformedError(Exception):
    """What is wrong with one ticket, in words that quote nothing of it."""


@dataclass
class Collected:
    """What an importer has read so far."""

    tickets: dict[str, Ticket] = field(default_factory=dict)
    users: dict[str, User] = field(default_factory=dict)
    organizations: dict[str, Organization] = field(default_factory=dict)
    quarantined: list[Quarantined] = field(default_factory=list)

    def add(self, ticket: Ticket) -> None:
        """Take a ticket in; of two with one id the later updated counts, and that is noted."""
        earlier = self.tickets.get(ticket.id)
        if earlier is not None:
            self.set_aside(ticket.id, DOUBLED)
            if earlier.updated_at >= ticket.updated_at:
                return
        self.tickets[ticket.id] = ticket

    def add_user(self, user: User) -> None:
        """Take a person in; what is known already and missing in ``user`` stays."""
        known = self.users.get(user.id)
        if known is not None:
            user = replace(
                user,
                name=user.name or known.name,
                email=user.email or known.email,
                role=known.role if known.is_agent else user.role,
                organization_id=user.organization_id or known.organization_id,
            )
        self.users[user.id] = user

    def set_aside(self, identity: str, reason: str) -> None:
        """Note a ticket that cannot be used."""
        self.quarantined.append(Quarantined(identity, reason))

    def export(self, where: str, exported_at: datetime | None = None) -> Export:
        """All that was read.

        Args:
            where: the file or address that was read, for messages.
            exported_at: when the export was made, if it says so.

        Raises:
            UserError: if there is no ticket at all, or no usable one.
        """
        if not self.tickets and not self.quarantined:
            raise UserError(
                f"{where} holds no tickets. Export resolved tickets with their comments; an empty "
                "export is refused so that it cannot stand for 'all tickets deleted'."
            )
        if not self.tickets:
            first = self.quarantined[0]
            raise UserError(
                f"{where} holds no usable tickets: all {len(self.quarantined)} are malformed, the "
                f"first ({first.id}) because {first.reason}. Check the export's format."
            )
        return Export(
            tuple(self.tickets.values()),
            self.users,
            self.organizations,
            exported_at,
            tuple(self.quarantined),
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


def wants_comments(ticket: Ticket, window: Window) -> bool:
    """Whether a ticket can count, so that its comments are worth a request."""
    return ticket.status in RESOLVED and ticket.created_at in window


def objects(value: Any) -> Iterator[Json]:
    """The objects of a list; nothing if it is no list."""
    if isinstance(value, list):
        yield from (item for item in value if isinstance(item, dict))


def identity_of(raw: Json) -> str:
    """The record's id.

    Raises:
        MalformedError: if it is missing.
    """
    identity = raw.get("id")
    if isinstance(identity, bool) or not isinstance(identity, int | str) or identity == "":
        raise MalformedError("'id' is missing or neither a number nor a string")
    return str(identity)


def time_of(raw: Json, key: str) -> datetime:
    """A time written as ISO 8601; without a zone it is UTC.

    Raises:
        MalformedError: if it is missing or not a time.
    """
    value = raw.get(key)
    if not isinstance(value, str):
        raise MalformedError(f"'{key}' is missing or not a time")
    try:
        moment = datetime.fromisoformat(value.strip().replace("Z", "+00:00"))
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise MalformedError(f"'{key}' is not a time of the form 2026-11-01T00:00:00Z") from None


def time_or_seconds(raw: Json, key: str) -> datetime:
    """A time written as ISO 8601 or in seconds since 1970.

    Raises:
        MalformedError: if it is missing or neither.
    """
    value = raw.get(key)
    if isinstance(value, str) and re.fullmatch(r"\s*[0-9]{9,12}\s*", value):
        value = int(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return datetime.fromtimestamp(value, UTC)
        except (ValueError, OverflowError, OSError):
            raise MalformedError(f"'{key}' is not a time in seconds since 1970") from None
    return time_of(raw, key)


def id_text(value: Any) -> str:
    """An id as text; empty where there is none."""
    return "" if value is None or isinstance(value, bool | dict | list) else str(value)


def text_of(value: Any) -> str:
    """A string; empty where it is none."""
    return value if isinstance(value, str) else ""
