"""The ticket source as a Dagster resource.

What lives here: which export is read, and re-dating of the embedded sample so that it never ages.
What does not: import and redaction (:mod:`supportbot_dagster.tickets`).
"""

from datetime import timedelta
from pathlib import Path

import dagster as dg

from supportbot_dagster.partitions import TicketWindow
from supportbot_dagster.product import SAMPLE, Product
from supportbot_dagster.progress import Progress, silent
from supportbot_dagster.tickets.conversations import ConversationResult, build_conversations
from supportbot_dagster.tickets.importer import Export, load_export, shift_export


class TicketSource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The help desk's export.

    Args:
        source: path of the export, or ``sample``.
    """

    source: str

    def _load(self, window: TicketWindow) -> Export:
        if self.source != SAMPLE:
            return load_export(Path(self.source))
        export = load_export(Path(__file__).parent.parent / "sample" / "tickets.json")
        return shift_export(export, (window.cut_off - export.exported_at) // timedelta(days=1))

    def conversations(
        self, window: TicketWindow, product: Product, progress: Progress = silent
    ) -> ConversationResult:
        """Redacted conversations of the window; raw text stays in memory."""
        return build_conversations(
            self._load(window), window, product=product, progress=progress
        )
