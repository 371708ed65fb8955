"""Zendesk itself is asked for tickets.

What lives here: which requests are made, in which order, and how their pages become tickets. What
does not: the shape of a ticket (``zendesk``) and how a request is tried again (``client``).

The cursor and all that was read are kept in memory alone, because raw tickets are never written. A
request that fails is tried again within the run; a run that is killed starts from the beginning.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

import httpx

from supportbot_dagster.errors import UserError
from supportbot_dagster.product import Tickets
from supportbot_dagster.progress import Progress, silent
from supportbot_dagster.tickets.importers.client import Api, Bearer, Patience, secret
from supportbot_dagster.tickets.importers.export import (
    DELETED,
    Collected,
    Export,
    Json,
    MalformedError,
    Ticket,
    Window,
    identity_of,
    objects,
    text_of,
    wants_comments,
)
from supportbot_dagster.tickets.importers.zendesk import read_people, read_ticket

EMAIL, TOKEN, OAUTH_TOKEN = "ZENDESK_EMAIL", "ZENDESK_TOKEN", "ZENDESK_OAUTH_TOKEN"

_TICKETS = "/api/v2/incremental/tickets/cursor.json"
_SIDELOADS = "users,organizations"
_COMMENTS_A_PAGE = 100
_MOST_COMMENT_PAGES = 100
"""Zendesk allows 5,000 comments a ticket; more pages than that is a loop."""
_IDS_A_REQUEST = 100


def load_zendesk_api(
    tickets: Tickets,
    window: Window,
    progress: Progress = silent,
    patience: Patience | None = None,
) -> Export:
    """Ask Zendesk for the tickets that changed since a window's start.

    Comments are asked for only where a ticket can count: resolved, and created within the window.

    Args:
        tickets: ``api_url`` is the address, such as ``https://acme.zendesk.com``. The credentials
            are taken from the environment: ``ZENDESK_OAUTH_TOKEN``, or ``ZENDESK_EMAIL`` and
            ``ZENDESK_TOKEN``.
        window: its start is the earliest update that is asked for.
        progress: told the number of tickets listed and read.
        patience: how long a request is tried.

    Returns:
        The export. Of a ticket that comes more than once the latest state counts; a deleted or
        malformed one is in ``quarantined``.

    Raises:
        UserError: if credentials are missing or refused, or if Zendesk fails for long.
    """
    collected = Collected()
    auth, secrets = _credentials()
    with Api(tickets.api_url or "", auth=auth, secrets=secrets, patience=patience) as api:
        latest = _list(api, window, collected, progress)
        wanted: list[Ticket] = []
        for done, raw in enumerate(latest, start=1):
            ticket = _read(api, raw, window, collected)
            if ticket is not None and ticket.comments:
                wanted.append(ticket)
            progress("tickets read", done, len(latest))
        _ask_people(api, wanted, collected)
    return collected.export(f"{api.host} since {window.start:%Y-%m-%d}")


def _credentials() -> tuple[httpx.Auth, str]:
    oauth = secret(OAUTH_TOKEN)
    if oauth:
        return Bearer(oauth), OAUTH_TOKEN
    email, token = secret(EMAIL), secret(TOKEN)
    if not (email and token):
        raise UserError(
            f"Zendesk wants credentials. Set {EMAIL} and {TOKEN}, or {OAUTH_TOKEN}, in the "
            "environment."
        )
    return httpx.BasicAuth(f"{email}/token", token), f"{EMAIL} and {TOKEN}"


def _list(api: Api, window: Window, collected: Collected, progress: Progress) -> list[Json]:
    """Every ticket that changed since the window's start, once, in its latest state."""
    latest: dict[str, Json] = {}
    params = {"start_time": str(math.floor(window.start.timestamp())), "include": _SIDELOADS}
    seen: set[str] = set()
    while True:
        page = api.get(_TICKETS, params)
        listed = page.get("tickets") if page is not None else None
        if page is None or not isinstance(listed, list):
            raise UserError(
                f"{api.host} has no list of tickets at {_TICKETS}. Set tickets.api_url to your "
                "Zendesk, such as https://acme.zendesk.com."
            )
        read_people(page, collected)
        for raw in listed:
            try:
                if not isinstance(raw, dict):
                    raise MalformedError(f"it is a {type(raw).__name__}, not an object")
                identity = identity_of(raw)
            except MalformedError as error:
                place = f"page {len(seen) + 1}"
                collected.set_aside(f"a ticket of {place}", str(error))
                continue
            earlier = latest.get(identity)
            if earlier is None or _state(raw) >= _state(earlier):
                latest[identity] = raw
        progress("tickets listed", len(latest), None)
        if page.get("end_of_stream") is True:
            return list(latest.values())
        cursor = page.get("after_cursor")
        if not isinstance(cursor, str) or not cursor or cursor in seen:
            # what was read so far would pass for all there is
            raise UserError(
                f"{api.host} gives no further cursor before the end of the tickets. Run it again."
            )
        seen.add(cursor)
        params = {"cursor": cursor, "include": _SIDELOADS}


def _state(raw: Json) -> tuple[int, str]:
    """What tells a later state of a ticket from an earlier one."""
    generated = raw.get("generated_timestamp")
    updated = raw.get("updated_at")
    return generated if isinstance(generated, int) else 0, text_of(updated)


def _read(api: Api, raw: Json, window: Window, collected: Collected) -> Ticket | None:
    identity = identity_of(raw)
    if raw.get("status") == "deleted":
        collected.set_aside(identity, DELETED)
        return None
    try:
        ticket = read_ticket({**raw, "comments": []})
        if wants_comments(ticket, window):
            comments = _comments(api, identity)
            if comments is None:
                collected.set_aside(identity, DELETED)
                return None
            ticket = read_ticket({**raw, "comments": comments})
    except MalformedError as error:
        collected.set_aside(identity, str(error))
        return None
    collected.add(ticket)
    return ticket


def _comments(api: Api, identity: str) -> list[Any] | None:
    """All comments of a ticket, or None if it is gone."""
    found: list[Any] = []
    page = api.get(
        f"/api/v2/tickets/{quote(identity, safe='')}/comments.json",
        {"page[size]": str(_COMMENTS_A_PAGE)},
    )
    for _ in range(_MOST_COMMENT_PAGES):
        if page is None:
            return None
        listed = page.get("comments")
        if not isinstance(listed, list):
            raise MalformedError("its comments are no list")
        found += listed
        meta, links = page.get("meta"), page.get("links")
        if not (isinstance(meta, dict) and meta.get("has_more") is True):
            return found
        page = api.follow(links.get("next") if isinstance(links, dict) else None)
    raise MalformedError("its comments have no end")


def _ask_people(api: Api, tickets: list[Ticket], collected: Collected) -> None:
    """Adds the people and companies of the tickets that did not come with them."""
    people = {ticket.requester_id for ticket in tickets}
    people |= {ticket.assignee_id for ticket in tickets}
    people |= {comment.author_id for ticket in tickets for comment in ticket.comments}
    _show_many(api, "users", people - collected.users.keys(), collected)
    companies = {ticket.organization_id for ticket in tickets}
    companies |= {
        collected.users[identity].organization_id for identity in people & collected.users.keys()
    }
    _show_many(api, "organizations", companies - collected.organizations.keys(), collected)


def _show_many(api: Api, kind: str, identities: Iterable[str], collected: Collected) -> None:
    # the system itself comments as -1
    wanted = sorted(identity for identity in identities if identity.isdecimal())
    for start in range(0, len(wanted), _IDS_A_REQUEST):
        ids = ",".join(wanted[start : start + _IDS_A_REQUEST])
        page = api.get(f"/api/v2/{kind}/show_many.json", {"ids": ids})
        if page is not None:
            read_people({kind: list(objects(page.get(kind)))}, collected)
