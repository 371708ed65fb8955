"""A table of messages or of tickets becomes tickets.

What lives here: reading of CSV, JSON and JSON Lines whose columns the product file names, with one
message a row or one ticket a row. What does not: any help desk's own shape, and which tickets count
(:mod:`supportbot_dagster.tickets.conversations`).
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from supportbot_dagster.errors import UserError
from supportbot_dagster.product import Columns
from supportbot_dagster.tickets.importers.export import (
    Collected,
    Comment,
    Export,
    MalformedError,
    Organization,
    Ticket,
    User,
    time_or_seconds,
)
from supportbot_dagster.tickets.importers.files import json_document, json_lines, read_text

_AGENTS = frozenset({"agent", "admin"})
_CUSTOMERS = frozenset(
    "customer user end-user end_user enduser requester client contact lead visitor".split()
)
_MACHINES = frozenset({"bot", "system"})
_SOLVED = frozenset("solved closed resolved done completed complete".split())
_TRUE = frozenset("true yes y 1 public".split())
_FALSE = frozenset("false no n 0 private internal".split())
_SUFFIXES = (".csv", ".tsv", ".json", ".jsonl", ".ndjson")

Row = Mapping[str, Any]


@dataclass
class _Thread:
    """The rows of one conversation, so far."""

    messages: list[tuple[Comment, User]] = field(default_factory=list)
    status: str = ""
    subject: str = ""
    company: str = ""
    tags: dict[str, None] = field(default_factory=dict)
    fault: str = ""


def load_table(path: Path, columns: Columns, agent_roles: Collection[str] = ()) -> Export:
    """Read a table of messages or of tickets.

    Args:
        path: ``.csv`` (divided by commas, semicolons or tabs, columns named in the first row),
            ``.tsv``, ``.jsonl`` or ``.json`` (a list of objects).
        columns: which column holds what. With ``question`` and ``reply`` a row is a ticket, else a
            message, and rows with one conversation id belong together. Times are ISO 8601 or in
            seconds since 1970; without a status column all tickets count as solved.
        agent_roles: values of the author's role that mean an agent, everybody else but ``bot`` and
            ``system`` then being a customer; empty for ``agent`` and ``admin`` beside the usual
            words for a customer.

    Returns:
        The export. A conversation with a malformed row is in ``quarantined`` with the reason.

    Raises:
        UserError: if the file is missing, is no such table, lacks a column, or holds no tickets.
    """
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        raise UserError(f"{path} is none of {', '.join(_SUFFIXES)}. Name tickets.source so.")
    text = read_text(path)
    collected = Collected()
    threads: dict[str, _Thread] = {}
    roles = frozenset(role.casefold() for role in agent_roles)
    for place, row in _rows(path, suffix, text, columns, collected):
        _take(_Reader(row, columns, roles), place, threads, collected)
    for identity, thread in threads.items():
        if thread.fault:
            collected.set_aside(identity, thread.fault)
        else:
            collected.add(_ticket(identity, thread, collected))
    return collected.export(str(path))


def _rows(
    path: Path, suffix: str, text: str, columns: Columns, collected: Collected
) -> Iterator[tuple[str, Row]]:
    if suffix in {".csv", ".tsv"}:
        yield from _csv_rows(path, text, columns, collected)
        return
    document = json_document(path, text) if suffix == ".json" else None
    if suffix == ".json" and document is not None and not isinstance(document, list):
        raise UserError(f"{path} is not a list of rows. Export it as a list of objects.")
    found = (
        ((f"row {number}", row) for number, row in enumerate(document, start=1))
        if document is not None
        else json_lines(text, collected)
    )
    for place, row in found:
        if isinstance(row, dict):
            yield place, row
        else:
            collected.set_aside(place, f"it is a {type(row).__name__}, not an object")


def _csv_rows(
    path: Path, text: str, columns: Columns, collected: Collected
) -> Iterator[tuple[str, Row]]:
    first = text.lstrip().split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    # strict: after a stray quote nobody knows any more where a row ends
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = next(reader)
        for key, column in columns.named().items():
            if header.count(column) != 1:
                raise UserError(
                    f"{path} has {'no' if column not in header else 'more than one'} column "
                    f"'{column}' (tickets.columns.{key}). The first row must name the columns."
                )
        for row in reader:
            place = f"line {reader.line_num}"
            if not any(cell.strip() for cell in row):
                continue
            if len(row) != len(header):
                collected.set_aside(place, f"it has {len(row)} cells, the header {len(header)}")
                continue
            yield place, dict(zip(header, row, strict=True))
    except csv.Error as error:
        raise UserError(
            f"{path} line {reader.line_num} is not CSV ({error}); the file may be cut off. Put "
            "quotes around cells with quotes or line ends, and double the quotes in them."
        ) from None


class _Reader:
    """Typed cells of one row, by what they hold."""

    def __init__(self, row: Row, columns: Columns, agent_roles: frozenset[str]) -> None:
        self._row = row
        self._columns = columns.named()
        self._agent_roles = agent_roles

    def has(self, key: str) -> bool:
        return key in self._columns

    def value(self, key: str) -> Any:
        return self._row.get(self._columns[key]) if key in self._columns else None

    def text(self, key: str) -> str:
        value = self.value(key)
        if value is None:
            return ""
        if isinstance(value, bool | dict | list):
            raise MalformedError(f"'{key}' is not a text")
        return str(value).strip()

    def needed(self, key: str) -> str:
        text = self.text(key)
        if not text:
            raise MalformedError(f"'{key}' is empty")
        return text

    def time(self, key: str) -> datetime:
        return time_or_seconds({key: self.value(key)}, key)

    def public(self) -> bool:
        if not self.has("public"):
            return True
        value = self.value("public")
        word = str(value).strip().lower() if isinstance(value, str | int | bool) else ""
        if word not in _TRUE | _FALSE:
            # a note that is not clearly public must not leave
            raise MalformedError("'public' is neither true nor false")
        return word in _TRUE

    def tags(self) -> list[str]:
        value = self.value("tags")
        if isinstance(value, list):
            return [str(tag).strip() for tag in value]
        return [tag.strip() for tag in re.split(r"[,;|]", self.text("tags")) if tag.strip()]

    def role(self) -> str:
        """``agent``, ``end-user`` or ``bot``."""
        word = self.needed("author_role").casefold()
        if word in (self._agent_roles or _AGENTS):
            return "agent"
        if word in _MACHINES:
            return "bot"
        if self._agent_roles or word in _CUSTOMERS:
            return "end-user"
        raise MalformedError("'author_role' is neither an agent's (tickets.agent_roles) nor known")


def _take(reader: _Reader, place: str, threads: dict[str, _Thread], collected: Collected) -> None:
    try:
        identity = reader.needed("conversation")
    except MalformedError as error:
        collected.set_aside(place, str(error))
        return
    again = identity in threads
    thread = threads.setdefault(identity, _Thread())
    try:
        if reader.has("question"):
            if again:
                raise MalformedError("the conversation has more than one row")
            thread.messages += _question_and_reply(reader, identity)
        else:
            thread.messages.append(_message(reader, identity))
        thread.status = reader.text("status").lower() or thread.status
        thread.subject = thread.subject or reader.text("subject")
        thread.company = thread.company or reader.text("company")
        thread.tags |= dict.fromkeys(reader.tags())
        if reader.has("status") and not thread.status:
            raise MalformedError("'status' is empty")
    except MalformedError as error:
        thread.fault = thread.fault or f"{place}: {error}"


def _message(reader: _Reader, identity: str) -> tuple[Comment, User]:
    role = reader.role()
    author = _author(reader, identity, role)
    public = reader.public() and role != "bot"
    return Comment(author.id, public, reader.time("created_at"), reader.text("text")), author


def _question_and_reply(reader: _Reader, identity: str) -> list[tuple[Comment, User]]:
    created = reader.time("created_at")
    customer = _author(reader, identity, "end-user")
    agent = User("agent", role="agent")
    public = reader.public()
    messages = [(Comment(customer.id, public, created, reader.needed("question")), customer)]
    reply = reader.text("reply")
    if reply:
        messages.append((Comment(agent.id, public, created, reply), agent))
    return messages


def _author(reader: _Reader, identity: str, role: str) -> User:
    name, email = reader.text("author_name"), reader.text("author_email")
    # without a name, each conversation has a customer of its own
    known = email.lower() or name or (identity if role == "end-user" else "")
    return User(f"{role} {known}".strip(), name, email, role)


def _ticket(identity: str, thread: _Thread, collected: Collected) -> Ticket:
    if thread.company:
        collected.organizations[thread.company] = Organization(thread.company, thread.company)
    customers = []
    for _, author in thread.messages:
        company = thread.company if author.role == "end-user" else ""
        collected.add_user(User(author.id, author.name, author.email, author.role, company))
        if author.role == "end-user":
            customers.append(author.id)
    comments = [comment for comment, _ in thread.messages]
    comments.sort(key=lambda comment: comment.created_at)
    return Ticket(
        id=identity,
        status="solved" if not thread.status or thread.status in _SOLVED else thread.status,
        created_at=comments[0].created_at,
        updated_at=comments[-1].created_at,
        subject=thread.subject,
        tags=tuple(thread.tags),
        channel="",
        requester_id=customers[0] if customers else "",
        assignee_id="",
        organization_id=thread.company,
        comments=tuple(comments),
    )
