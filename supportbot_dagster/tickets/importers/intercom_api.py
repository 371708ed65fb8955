"""Intercom itself is asked for conversations.

What lives here: which requests are made, in which order, and how their pages become tickets. What
does not: the shape of a conversation (``intercom``) and how a request is tried again (``client``).

The cursor and all that was read are kept in memory alone, because raw conversations are never
written. A request that fails is tried again within the run; a run that is killed starts from the
beginning.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit

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
    Organization,
    Window,
    id_text,
    identity_of,
    objects,
    text_of,
    wants_comments,
)
from supportbot_dagster.tickets.importers.intercom import (
    admin_user,
    contact_user,
    read_conversation,
)

TOKEN = "INTERCOM_TOKEN"
VERSION = "2.14"
"""Version of the API whose shapes are read here."""

_CONVERSATIONS_A_PAGE = 150
_CONTACTS_A_REQUEST = 50


def load_intercom_api(
    tickets: Tickets,
    window: Window,
    progress: Progress = silent,
    patience: Patience | None = None,
) -> Export:
    """Ask Intercom for the conversations that changed since a window's start.

    Messages are asked for only where a conversation can count: closed, and created within the
    window.

    Args:
        tickets: ``api_url`` is the address of the workspace's region. The token is taken from the
            environment: ``INTERCOM_TOKEN``.
        window: its start is the earliest update that is asked for.
        progress: told the number of conversations listed and read.
        patience: how long a request is tried.

    Returns:
        The export. Of a conversation that comes more than once the latest state counts; a deleted
        or malformed one is in ``quarantined``.

    Raises:
        UserError: if the token is missing or refused, or if Intercom fails for long.
    """
    token = secret(TOKEN)
    if not token:
        raise UserError(f"Intercom wants a token. Set {TOKEN} in the environment.")
    collected = Collected()
    with Api(
        tickets.api_url or "",
        auth=Bearer(token),
        secrets=TOKEN,
        headers={"Intercom-Version": VERSION},
        patience=patience,
    ) as api:
        latest = _list(api, window, collected, progress)
        for done, raw in enumerate(latest, start=1):
            _read(api, raw, window, collected)
            progress("conversations read", done, len(latest))
        _ask_people(api, collected)
    return collected.export(f"{api.host} since {window.start:%Y-%m-%d}")


def _list(api: Api, window: Window, collected: Collected, progress: Progress) -> list[Json]:
    """Every conversation that changed since the window's start, once, in its latest state."""
    latest: dict[str, Json] = {}
    # by the documentation ">" takes an equal time in or not; a second earlier is right for both
    since = math.floor(window.start.timestamp()) - 1
    query = {"field": "updated_at", "operator": ">", "value": since}
    for number, page in enumerate(
        _pages(api, "/conversations/search", query, _CONVERSATIONS_A_PAGE), start=1
    ):
        listed = page.get("conversations")
        if not isinstance(listed, list):
            raise UserError(
                f"{api.host} gives no list of conversations. Set tickets.api_url to Intercom's "
                "address for your region, such as https://api.intercom.io."
            )
        for raw in listed:
            try:
                if not isinstance(raw, dict):
                    raise MalformedError(f"it is a {type(raw).__name__}, not an object")
                identity = identity_of(raw)
            except MalformedError as error:
                collected.set_aside(f"a conversation of page {number}", str(error))
                continue
            earlier = latest.get(identity)
            if earlier is None or _updated(raw) >= _updated(earlier):
                latest[identity] = raw
        progress("conversations listed", len(latest), None)
    return list(latest.values())


def _pages(api: Api, path: str, query: Json, size: int) -> Iterator[Json]:
    pagination: dict[str, Any] = {"per_page": size}
    seen: set[str] = set()
    while True:
        page = api.post(path, {"query": query, "pagination": pagination})
        if page is None:
            raise UserError(
                f"{api.host} knows no {path}. Set tickets.api_url to Intercom's address for your "
                "region, such as https://api.intercom.io."
            )
        yield page
        pages = page.get("pages")
        following = pages.get("next") if isinstance(pages, dict) else None
        if not following:
            return
        after = following.get("starting_after") if isinstance(following, dict) else None
        if not isinstance(after, str) or not after or after in seen:
            # what was read so far would pass for all there is
            raise UserError(f"{api.host} gives no way to its next page of {path}. Run it again.")
        seen.add(after)
        pagination = {"per_page": size, "starting_after": after}


def _updated(raw: Json) -> int:
    value = raw.get("updated_at")
    return value if isinstance(value, int) else 0


def _read(api: Api, raw: Json, window: Window, collected: Collected) -> None:
    identity = identity_of(raw)
    try:
        ticket = read_conversation(raw, Collected(), with_parts=False)
        if wants_comments(ticket, window):
            whole = api.get(f"/conversations/{quote(identity, safe='')}")
            if whole is None:
                collected.set_aside(identity, DELETED)
                return
            ticket = read_conversation(whole, collected)
            if ticket.id != identity:
                raise MalformedError("another conversation came in its place")
    except MalformedError as error:
        collected.set_aside(identity, str(error))
        return
    collected.add(ticket)


def _ask_people(api: Api, collected: Collected) -> None:
    """Adds names, addresses and companies: what is known of people is redacted for certain."""
    page = api.get("/admins")
    for admin in objects(page.get("admins") if page is not None else None):
        collected.add_user(admin_user(admin))
    contacts = [
        user.id.removeprefix("contact ")
        for user in collected.users.values()
        if user.id.startswith("contact ")
    ]
    companies: set[str] = set()
    for start in range(0, len(contacts), _CONTACTS_A_REQUEST):
        some = contacts[start : start + _CONTACTS_A_REQUEST]
        query = {"field": "id", "operator": "IN", "value": some}
        for page in _pages(api, "/contacts/search", query, _CONTACTS_A_REQUEST):
            for contact in objects(page.get("data")):
                listed = contact.get("companies")
                data = objects(listed.get("data") if isinstance(listed, dict) else None)
                belongs_to = next((id_text(item.get("id")) for item in data), "")
                collected.add_user(contact_user(contact, belongs_to))
                companies.add(belongs_to)
    for identity in sorted(companies - {""}):
        company = api.get(f"/companies/{quote(identity, safe='')}")
        if company is not None:
            host = urlsplit(text_of(company.get("website"))).hostname or ""
            name = text_of(company.get("name"))
            hosts = (host.removeprefix("www."),) if host else ()
            collected.organizations[identity] = Organization(identity, name, hosts)
