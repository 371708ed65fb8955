"""A support channel on Discord becomes tickets.

What lives here: reading of channels as the well-known channel exporter writes them to JSON, and
finding the conversations in them. What does not: asking Discord itself, and which tickets count
(:mod:`supportbot_dagster.tickets.conversations`).

A thread (or a forum post) is a conversation; elsewhere a message with all replies to it is one.
There is no status: each counts as closed, and one without an agent's reply is left out later. Of
people who are neither the one who asked nor an agent, and of bots, nothing is taken.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

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
    objects,
    text_of,
    time_of,
)
from supportbot_dagster.tickets.importers.files import json_document, read_text

_WRITTEN = frozenset({"Default", "Reply"})
"""Kinds of messages that a person wrote; the others tell of joins, pins and new threads."""


@dataclass(frozen=True)
class _Message:
    """A message with the channel that it stands in."""

    raw: Json
    channel: Json

    @property
    def id(self) -> str:
        return id_text(self.raw.get("id"))

    @property
    def author(self) -> Json:
        author = self.raw.get("author")
        return author if isinstance(author, dict) else {}

    @property
    def in_thread(self) -> bool:
        return "Thread" in text_of(self.channel.get("type"))

    @property
    def replies_to(self) -> str:
        reference = self.raw.get("reference")
        if not isinstance(reference, dict) or reference.get("type") == "Forward":
            return ""
        return id_text(reference.get("messageId"))


def load_discord(path: Path, agent_roles: Collection[str]) -> Export:
    """Read one exported channel, or a folder of them.

    Args:
        path: a JSON file with ``guild``, ``channel`` and ``messages``, or a folder of such files.
            Threads are files of their own; one that starts from a message of a channel gets that
            message, if the channel is in the folder as well.
        agent_roles: names or ids of the roles whose members answer for the vendor.

    Returns:
        The export. A conversation with a malformed message is in ``quarantined`` with the reason.

    Raises:
        UserError: if a file cannot be read or is no such export, if there are no messages, or if no
            author has one of the roles.
    """
    files = sorted(path.rglob("*.json")) if path.is_dir() else [path]
    if not files:
        raise UserError(f"{path} holds no JSON file. Export the channels as JSON into it.")
    collected = Collected()
    messages: dict[str, _Message] = {}
    threads: dict[str, list[str]] = {}
    for file in files:
        _read_channel(file, messages, threads, collected)
    agents = _people(messages.values(), agent_roles, collected)
    if messages and not agents:
        raise UserError(
            f"{path}: no author has one of tickets.agent_roles. Name the roles of those who answer "
            "for you, as they are written in the export."
        )
    for identity, members in _conversations(messages, threads).items():
        try:
            ticket = _ticket(identity, [messages[member] for member in members], agents)
        except MalformedError as error:
            collected.set_aside(identity, str(error))
        else:
            if ticket is not None:
                collected.add(ticket)
    return collected.export(str(path))


def _read_channel(
    file: Path,
    messages: dict[str, _Message],
    threads: dict[str, list[str]],
    collected: Collected,
) -> None:
    document = json_document(file, read_text(file))
    raw = document.get("messages") if isinstance(document, dict) else None
    channel = document.get("channel") if isinstance(document, dict) else None
    if not isinstance(raw, list) or not isinstance(channel, dict) or "id" not in channel:
        raise UserError(
            f"{file} has no 'channel' with a list 'messages'. Export the channel as JSON."
        )
    for number, item in enumerate(raw, start=1):
        if not isinstance(item, dict) or not id_text(item.get("id")):
            reason = "it is not an object" if not isinstance(item, dict) else "'id' is missing"
            collected.set_aside(f"channel {id_text(channel['id'])} message {number}", reason)
            continue
        message = _Message(item, channel)
        if message.id in messages:  # exported twice, or in parts that overlap
            continue
        messages[message.id] = message
        if message.in_thread:
            threads.setdefault(id_text(channel["id"]), []).append(message.id)


def _people(
    messages: Iterable[_Message], agent_roles: Collection[str], collected: Collected
) -> set[str]:
    """Adds all authors; gives the ids of those who were seen with an agent's role."""
    wanted = {role.casefold() for role in agent_roles}
    agents: set[str] = set()
    for message in messages:
        identity = id_text(message.author.get("id"))
        if not identity or message.author.get("isBot") is True:
            continue
        for role in objects(message.author.get("roles")):
            if {text_of(role.get("name")).casefold(), id_text(role.get("id")).casefold()} & wanted:
                agents.add(identity)
        names = (text_of(message.author.get(key)).strip() for key in ("nickname", "name"))
        name = " ".join(dict.fromkeys(filter(None, names)))
        kind = "agent" if identity in agents else "end-user"
        collected.add_user(User(identity, name, role=kind))
    return agents


def _conversations(
    messages: dict[str, _Message], threads: dict[str, list[str]]
) -> dict[str, list[str]]:
    """Ids of the messages of each conversation, by the thread's or the first message's id."""
    # a thread that starts from a message of a channel has that message's id: they meet here
    found = {thread: list(members) for thread, members in threads.items()}
    taken = {member for members in threads.values() for member in members}
    roots: dict[str, str] = {}
    # an answer is younger than what it answers, and ids grow with time
    for identity in sorted(messages, key=lambda item: (len(item), item)):
        if identity in taken:
            continue
        above = messages[identity].replies_to
        roots[identity] = roots.get(above, identity)
        found.setdefault(roots[identity], []).append(identity)
    return found


def _ticket(identity: str, messages: list[_Message], agents: set[str]) -> Ticket | None:
    """One conversation, or None where nobody wrote anything."""
    comments: list[Comment] = []
    requester = assignee = ""
    for message in messages:
        if text_of(message.raw.get("type", "Default")) not in _WRITTEN:
            continue
        number = len(comments) + 1
        content = message.raw.get("content")
        author = id_text(message.author.get("id"))
        if not isinstance(content, str):
            raise MalformedError(f"message {number} has no text in 'content'")
        if not author:
            raise MalformedError(f"message {number} has no author with an 'id'")
        try:
            moment = time_of(message.raw, "timestamp")
        except MalformedError as error:
            raise MalformedError(f"message {number}: {error}") from None
        comments.append(Comment(author, message.author.get("isBot") is not True, moment, content))
    if not comments:
        return None
    comments.sort(key=lambda comment: comment.created_at)
    for comment in comments:
        if not comment.public:
            continue
        if comment.author_id in agents:
            assignee = assignee or comment.author_id
        else:
            requester = requester or comment.author_id
    sides = agents | {requester}
    return Ticket(
        id=identity,
        status="closed",
        created_at=comments[0].created_at,
        updated_at=comments[-1].created_at,
        subject=next(
            (text_of(item.channel.get("name")) for item in messages if item.in_thread), ""
        ),
        tags=(),
        channel="discord",
        requester_id=requester,
        assignee_id=assignee,
        organization_id="",
        comments=tuple(
            comment
            if comment.author_id in sides
            else Comment(comment.author_id, False, comment.created_at, comment.body)
            for comment in comments
        ),
    )
