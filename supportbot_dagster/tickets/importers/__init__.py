"""Importers: each turns one kind of source into an :class:`Export`.

What lives here: the choice of the importer by the product file's ``tickets.format``. What does not:
any source's own shape, one module each, or which tickets count
(:mod:`supportbot_dagster.tickets.conversations`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from supportbot_dagster.product import TicketFormat, Tickets
from supportbot_dagster.progress import Progress, silent
from supportbot_dagster.tickets.importers.discord import load_discord
from supportbot_dagster.tickets.importers.export import (
    Comment,
    Export,
    Organization,
    Quarantined,
    Ticket,
    User,
    Window,
    shift_export,
)
from supportbot_dagster.tickets.importers.intercom import load_intercom
from supportbot_dagster.tickets.importers.intercom_api import load_intercom_api
from supportbot_dagster.tickets.importers.table import load_table
from supportbot_dagster.tickets.importers.zendesk import load_export
from supportbot_dagster.tickets.importers.zendesk_api import load_zendesk_api

__all__ = [
    "IMPORTERS",
    "Comment",
    "Export",
    "Importer",
    "Organization",
    "Quarantined",
    "Ticket",
    "User",
    "Window",
    "load_export",
    "load_tickets",
    "shift_export",
]

Importer = Callable[[Tickets, Window, Progress], Export]
"""Reads what the product file's section names. A live source is asked for what changed since the
window's start; a file is read whole, because which tickets count is decided later."""

IMPORTERS: Mapping[TicketFormat, Importer] = {
    "zendesk": lambda tickets, window, progress: load_export(Path(tickets.source)),
    "intercom": lambda tickets, window, progress: load_intercom(Path(tickets.source)),
    "discord": lambda tickets, window, progress: load_discord(
        Path(tickets.source), tickets.agent_roles
    ),
    "table": lambda tickets, window, progress: load_table(
        Path(tickets.source), tickets.columns, tickets.agent_roles
    ),
    "zendesk_api": load_zendesk_api,
    "intercom_api": load_intercom_api,
}


def load_tickets(tickets: Tickets, window: Window, progress: Progress = silent) -> Export:
    """Read the tickets that a product file names.

    Args:
        tickets: the product file's section.
        window: creation times that will count.
        progress: told how far a live source is read.

    Raises:
        UserError: if the source is missing, unreachable, empty or of another format.
    """
    return IMPORTERS[tickets.format](tickets, window, progress)
