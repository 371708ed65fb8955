"""Tickets become redacted conversations.

What lives here: which tickets count, why the others do not, and the :class:`Conversation` that goes
into the artifact store. What does not: reading of the export
(:mod:`supportbot_dagster.tickets.importers`) and the training pairs made of the conversations. All
text passes the redactor here; private notes and raw ids do not pass at all.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal, Protocol
from urllib.parse import parse_qsl, unquote_plus, urlencode, urlsplit, urlunsplit

from supportbot_dagster.errors import UserError
from supportbot_dagster.hashing import sha256_json
from supportbot_dagster.progress import Progress, silent
from supportbot_dagster.tickets.importers import Comment, Export, Quarantined, Ticket, User
from supportbot_dagster.tickets.known import Known, KnownIndex
from supportbot_dagster.tickets.language import is_other_language
from supportbot_dagster.tickets.mail import clean_message, is_automatic, is_spam, is_thanks_only
from supportbot_dagster.tickets.redaction import Redactor

Role = Literal["customer", "agent"]


class Window(Protocol):
    """Creation times that count, such as :class:`supportbot_dagster.partitions.TicketWindow`."""

    def __contains__(self, moment: datetime, /) -> bool: ...


OUTSIDE_WINDOW = "outside window"
UNSOLVED = "unsolved"
MERGED = "merged into another ticket"
AUTO_REPLY = "auto-reply"
SPAM = "spam"
EMPTY = "empty"
NO_REPLY = "no public agent reply"
AGENT_FIRST = "started by an agent"
OTHER_LANGUAGE = "other language"


@dataclass(frozen=True)
class Turn:
    """All consecutive public comments of one side, redacted."""

    role: Role
    text: str


@dataclass(frozen=True)
class Conversation:
    """One redacted conversation.

    Args:
        id: hash of the ticket's id, so that a ticket keeps it (and its split) when a comment is
            added or redaction improves.
        created_month: ``YYYY-MM`` in UTC.
        turns: customer first, then alternating.
        links: docs URLs in the agent's replies, without tracking parameters.
        account_specific: the answer needed a look into the customer's account.
        single_turn: one question and one reply resolved it; a closing thanks was dropped.
        hints: why a person should review the redaction; see
            :meth:`supportbot_dagster.tickets.redaction.Redactor.doubts`.
    """

    id: str
    created_month: str
    turns: tuple[Turn, ...]
    links: tuple[str, ...]
    account_specific: bool
    single_turn: bool
    hints: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The conversation as one JSONL row."""
        row = asdict(self)
        return {
            key: list(value) if isinstance(value, tuple) else value for key, value in row.items()
        }

    @classmethod
    def from_dict(cls, row: dict[str, Any]) -> Conversation:
        """The conversation of a row written by :meth:`to_dict`.

        Raises:
            UserError: if a field is missing or of the wrong type.
        """
        try:
            turns = tuple(Turn(_role(turn["role"]), str(turn["text"])) for turn in row["turns"])
            return cls(
                str(row["id"]),
                str(row["created_month"]),
                turns,
                tuple(map(str, row["links"])),
                bool(row["account_specific"]),
                bool(row["single_turn"]),
                tuple(map(str, row.get("hints", ()))),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"a conversation row is malformed ({type(error).__name__}). Re-materialize "
                "ticket_export."
            ) from None


def _role(value: Any) -> Role:
    if value == "customer" or value == "agent":
        return value  # type: ignore[no-any-return]
    raise ValueError("unknown role")


@dataclass(frozen=True)
class ConversationResult:
    """What became of an export.

    Args:
        conversations: in the order of the export's tickets.
        left_out: number of tickets per reason.
        quarantined: malformed tickets with their reasons.
    """

    conversations: list[Conversation]
    left_out: dict[str, int]
    quarantined: list[Quarantined]


def build_conversations(
    export: Export,
    window: Window,
    *,
    language: str = "en",
    account_tags: Iterable[str] = (),
    redactor: Redactor,
    progress: Progress = silent,
) -> ConversationResult:
    """Turn the resolved tickets of a window into redacted conversations.

    Args:
        export: what :func:`supportbot_dagster.tickets.importers.load_export` gave.
        window: creation times that count.
        language: ISO 639-1 code; tickets clearly in another language are left out.
        account_tags: tags of tickets that needed the customer's account.
        redactor: replaces personal data; its vendor decides which links count as docs.
        progress: told the number of tickets done.

    Returns:
        Every ticket is in exactly one of the three: a conversation, a count per reason, or the
        quarantine (of which a duplicated id may have a conversation as well).
    """
    tags = frozenset(account_tags)
    people = _People(export, redactor)
    left_out: Counter[str] = Counter()
    conversations: list[Conversation] = []
    total = len(export.tickets)
    for done, ticket in enumerate(export.tickets, start=1):
        made = _conversation(ticket, window, language, tags, redactor, people)
        if isinstance(made, str):
            left_out[made] += 1
        else:
            conversations.append(made)
        progress("tickets", done, total)
    return ConversationResult(
        conversations, dict(sorted(left_out.items())), list(export.quarantined)
    )


class _People:
    """Who is known to belong to which ticket."""

    def __init__(self, export: Export, redactor: Redactor) -> None:
        self._export = export
        self._redactor = redactor
        self._agents = [user for user in export.users.values() if user.is_agent]
        self._of_organization: dict[str, list[User]] = {}
        for user in export.users.values():
            if user.organization_id:
                self._of_organization.setdefault(user.organization_id, []).append(user)
        self._prepared: dict[tuple[str, frozenset[str]], KnownIndex | None] = {}

    def user(self, identity: str) -> User | None:
        return self._export.users.get(identity)

    def is_agent(self, ticket: Ticket, comment: Comment) -> bool:
        author = self.user(comment.author_id)
        if comment.author_id and comment.author_id == ticket.requester_id:
            return False
        if author is not None:
            return author.is_agent
        return bool(comment.author_id) and comment.author_id == ticket.assignee_id

    def known(self, ticket: Ticket) -> KnownIndex | None:
        identities = {ticket.requester_id, ticket.assignee_id}
        identities |= {comment.author_id for comment in ticket.comments}
        present = frozenset(identity for identity in identities if identity in self._export.users)
        organizations = {ticket.organization_id}
        organizations |= {self._export.users[identity].organization_id for identity in present}
        key = ("|".join(sorted(organizations)), present)
        if key not in self._prepared:
            users = {user.id: user for user in self._agents}
            users |= {identity: self._export.users[identity] for identity in present}
            for organization in organizations:
                users |= {user.id: user for user in self._of_organization.get(organization, ())}
            companies = [
                self._export.organizations[item]
                for item in sorted(organizations)
                if item in self._export.organizations
            ]
            self._prepared[key] = self._redactor.prepare(
                Known(
                    names=tuple(user.name for user in users.values() if user.name),
                    companies=tuple(company.name for company in companies if company.name),
                    emails=tuple(user.email for user in users.values() if user.email),
                    domains=tuple(
                        domain for company in companies for domain in company.domain_names
                    ),
                )
            )
        return self._prepared[key]


def _conversation(
    ticket: Ticket,
    window: Window,
    language: str,
    account_tags: frozenset[str],
    redactor: Redactor,
    people: _People,
) -> Conversation | str:
    """The conversation of a ticket, or the reason why it is left out."""
    if ticket.created_at not in window:
        return OUTSIDE_WINDOW
    if ticket.status not in {"solved", "closed"}:
        return UNSOLVED
    if any(tag.startswith("closed_by_merge") for tag in ticket.tags):
        return MERGED
    sides = _sides(ticket, people)
    if isinstance(sides, str):
        return sides
    if is_spam(ticket.tags, ticket.subject, sides[0][1]):
        return SPAM
    if not any(role == "agent" for role, _ in sides):
        return NO_REPLY
    if sides[0][0] == "agent":
        return AGENT_FIRST
    for side in ("customer", "agent"):
        said = "\n".join(text for role, text in sides if role == side)
        if is_other_language(said, language):
            return OTHER_LANGUAGE
    if len(sides) > 2 and sides[-1][0] == "customer" and is_thanks_only(sides[-1][1]):
        sides = sides[:-1]
    known = people.known(ticket)
    redacted = redactor.redact_all([text for _, text in sides], known)
    turns = tuple(Turn(role, text) for (role, _), text in zip(sides, redacted, strict=True))
    replies = "\n".join(text for role, text in sides if role == "agent")
    hints = sorted({doubt for turn in turns for doubt in redactor.doubts(turn.text)})
    return Conversation(
        id=sha256_json(["ticket", ticket.id]),
        created_month=ticket.created_at.strftime("%Y-%m"),
        turns=turns,
        links=docs_links(replies, redactor, known),
        account_specific=bool(account_tags & set(ticket.tags))
        or looked_at_account("\n".join(turn.text for turn in turns if turn.role == "agent")),
        single_turn=[turn.role for turn in turns] == ["customer", "agent"],
        hints=tuple(hints),
    )


def _sides(ticket: Ticket, people: _People) -> list[tuple[Role, str]] | str:
    """Cleaned text of each side in turn, or why nothing is left."""
    sides: list[tuple[Role, str]] = []
    automatic = 0
    public = [comment for comment in ticket.comments if comment.public]
    for number, comment in enumerate(public):
        role: Role = "agent" if people.is_agent(ticket, comment) else "customer"
        text = clean_message(comment.body)
        if role == "customer":
            author = people.user(comment.author_id)
            sender = f"{comment.source} {author.email if author else ''}"
            if is_automatic(ticket.subject if number == 0 else "", comment.body, sender):
                automatic += 1
                continue
            if not sides and not re.search(r"\w", text):
                text = ticket.subject.strip()  # some people write it all into the subject
        if not re.search(r"\w", text) and not (sides and text):
            continue
        if sides and sides[-1][0] == role:
            sides[-1] = (role, f"{sides[-1][1]}\n\n{text}")
        else:
            sides.append((role, text))
    if not any(role == "customer" for role, _ in sides):
        return AUTO_REPLY if automatic else (AGENT_FIRST if sides else EMPTY)
    if automatic and public and is_automatic(ticket.subject, "", ""):
        return AUTO_REPLY
    return sides


_LINK = re.compile(r"https?://[^\s<>\"'|]{4,2000}")
_TRACKING = re.compile(
    r"^(?:utm_\w+|gclid|fbclid|msclkid|mc_\w+|ref|source|campaign|_hs\w+|hsa_\w+|igshid|s?id|"
    r"vero_\w+|mkt_tok)$",
    re.I,
)


def docs_links(text: str, redactor: Redactor, known: KnownIndex | None = None) -> tuple[str, ...]:
    """The docs' URLs in a text, each once, without tracking parameters and personal data."""
    found: dict[str, None] = {}
    for match in _LINK.finditer(text):
        url = match[0].rstrip(".,;:!?)]}*_")
        try:
            if not redactor.vendor.is_docs_link(url):
                continue
            parts = urlsplit(url)
        except ValueError:  # no URL after all; the message would quote it
            continue
        query = [(key, value) for key, value in parse_qsl(parts.query) if not _TRACKING.match(key)]
        plain = urlunsplit(parts._replace(query=urlencode(query)))
        if all(redactor.is_clean_link(form, known) for form in (plain, unquote_plus(plain))):
            found[plain] = None
    return tuple(found)


_YOUR = (
    r"your (?:[\w\-]+ ){0,3}(?:account|workspace|invoices?|subscription|billing|plan|payment|"
    r"card|logs?|team|project|issue|user|profile|trial|import|export|webhook|integration|settings|"
    r"seats?|organi[sz]ation|domain|setup|history|audit log|api key|key)"
)
_LOOKED = re.compile(
    r"\bi(?:'ve| have)? ?(?:just |now )*(?:had a (?:quick |close )?look|took a (?:quick |close "
    r")?look|looked|checked)(?: (?:at|in|into|on|up|through))? "
    r"(?:(?:order|invoice|ticket|case|import|refund) |<[A-Z_]+>|the (?:\w+ )?(?:job|case|"
    r"records?|refund|activity|order|payment|charge|request|application|import|session)\b|"
    r"with (?:our )?(?:billing|finance|payments?)|for you\b|and your\b)|"
    r"\bi(?:'ve| have)? ?looked up (?:the|your)\b|"
    r"\bi(?:'ve| have)? ?(?:just |now |also |quickly )*(?:had a (?:quick |close |closer )?look|"
    r"took a (?:quick |close |closer )?look|looked|checked|pulled up|went (?:into|through)|been "
    r"through|dug (?:into|through)|reviewed|investigated|examined|opened)"
    r"(?: (?:at|in|into|on|up|through|inside|over))* (?:"
    + _YOUR
    + r"|the (?:audit log|logs?|account|invoice|workspace|billing|payment|charge|import)|our "
    r"(?:logs?|system|records|billing|side|database)|it (?:up|on our)|on our (?:side|end))|"
    r"\b(?:looking|having looked|after (?:looking|checking)|from what i (?:can )?see|as far as i "
    r"(?:can )?see)(?: \w+){0,2} (?:at|in|into|on|up) " + _YOUR + r"|"
    r"\bi (?:can|could) (?:also |now |only )?see (?:that |in |on |from )?(?:"
    + _YOUR
    + r"|you(?:'re| are|'ve| have|r last)|the (?:charge|payment|invoice|import|deletion|change)|"
    r"<|an? (?:failed|declined|pending|duplicate|open|second)|two|three|one)|"
    r"\b(?:i|we)(?:'ve| have)? (?:just |now |also |gone ahead and |already )*(?:refunded|"
    r"credited|re-?sent|reset|extended|cancelled|canceled|upgraded|downgraded|restored|"
    r"re-?activated|unlocked|reopened|removed the|voided|issued|applied|corrected|transferred|"
    r"deleted your|merged your|enabled|re-?ran|restarted|raised|bumped|updated your|changed your|"
    r"added your|escalated your)\b|"
    r"\b(?:on|from|according to|per|in) (?:"
    + _YOUR
    + r" (?:shows?|says?|it (?:shows?|looks)|i (?:can )?see|there (?:is|are|was|were))|(?:the|"
    r"your) audit log\b[^.]{0,40}(?:shows?|,))|"
    r"\byour (?:last|latest|most recent|next|current|previous) (?:invoice|charge|payment|renewal|"
    r"import|export) (?:was|is|failed|went|did|of|for|from|shows)|"
    r"\byour (?:workspace|account|team) (?:is|was) (?:currently |still |now |already )*(?:on "
    r"(?:the|a) \w+ (?:plan|trial)|suspended|locked|read-only|deactivated|limited|overdue|past "
    r"due|scheduled)|"
    r"\byour (?:trial|plan|subscription|renewal|grace period) (?:ends|ended|expires|expired|"
    r"renews|renewed|started|runs out|lapsed) (?:on|at|in|yesterday|today|tomorrow|last|next)|"
    r"\byou (?:currently |now |still )?(?:have|had) \d+ (?:paid |active |billed |used "
    r")?(?:seats?|members?|users?|guests?|issues)\b|"
    r"\b(?:was|were) (?:deleted|removed|changed|suspended|archived|revoked|downgraded|charged|"
    r"refunded|declined) (?:by|on) (?:<|\d|monday|tuesday|wednesday|thursday|friday|saturday|"
    r"sunday|january|february|march|april|may|june|july|august|september|october|november|"
    r"december|one of your|an? (?:owner|admin)|your (?:bank|card))|"
    r"\bhad a (?:quick |close )?look at " + _YOUR,
    re.IGNORECASE,
)


def looked_at_account(reply: str) -> bool:
    """Whether an agent's reply says that they looked into the customer's account."""
    return _LOOKED.search(reply) is not None
