"""The ticket source as a Dagster resource.

What lives here: which source is read, and re-dating of the embedded sample so that it never ages.
What does not: import and redaction (:mod:`supportbot_dagster.tickets`).
"""

from datetime import timedelta
from pathlib import Path

import dagster as dg

from supportbot_dagster.errors import UserError
from supportbot_dagster.hashing import sha256_file, sha256_json, sha256_path
from supportbot_dagster.partitions import TicketWindow
from supportbot_dagster.product import SAMPLE, Product, Tickets
from supportbot_dagster.progress import Progress, silent
from supportbot_dagster.tickets.conversations import ConversationResult, build_conversations
from supportbot_dagster.tickets.importers import Export, load_export, load_tickets, shift_export
from supportbot_dagster.tickets.redaction import Redactor
from supportbot_dagster.tickets.vendor import Vendor


class TicketSource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The help desk, or its export.

    Args:
        source: path of the export, ``sample``, or the address of a help desk that is asked itself.
    """

    source: str

    @property
    def path(self) -> Path:
        """The export's file or folder."""
        if self.source == SAMPLE:
            return Path(__file__).parent.parent / "sample" / "tickets.json"
        return Path(self.source)

    @property
    def live(self) -> bool:
        """Whether the help desk itself is asked."""
        return "://" in self.source

    def version(self, window: TicketWindow) -> str:
        """Hash of the export's bytes and the window, to tell whether reading again is worth it.

        A help desk that is asked itself has the version of its address: only reading it all would
        tell whether it changed.

        Raises:
            UserError: if the export is missing.
        """
        if self.live:
            content = self.source
        elif self.path.is_file():
            content = sha256_file(self.path)
        elif self.path.is_dir():
            content = sha256_path(self.path)
        else:
            raise UserError(f"{self.path} does not exist. Mend tickets.source in product.yaml.")
        return sha256_json([content, f"{window.start}", f"{window.cut_off}"])[:16]

    def _load(self, window: TicketWindow, tickets: Tickets, progress: Progress) -> Export:
        if self.source != SAMPLE:
            return load_tickets(
                tickets.model_copy(update={"source": self.source}), window, progress
            )
        export = load_export(self.path)
        if export.exported_at is None:
            raise UserError("The sample export names no exported_at. Install the package again.")
        return shift_export(export, (window.cut_off - export.exported_at) // timedelta(days=1))

    def conversations(
        self, window: TicketWindow, product: Product, progress: Progress = silent
    ) -> ConversationResult:
        """Redacted conversations of the window; raw text stays in memory."""
        return build_conversations(
            self._load(window, product.tickets, progress),
            window,
            language=product.tickets.language,
            account_tags=product.tickets.account_tags,
            redactor=Redactor(Vendor.of(product), ner_model=product.tickets.ner_model),
            progress=progress,
        )
