"""The ticket source as a Dagster resource.

What lives here: which export is read, and re-dating of the embedded sample so that it never ages.
What does not: import and redaction (:mod:`supportbot_dagster.tickets`).
"""

from datetime import timedelta
from pathlib import Path

import dagster as dg

from supportbot_dagster.errors import UserError
from supportbot_dagster.hashing import sha256_file, sha256_json
from supportbot_dagster.partitions import TicketWindow
from supportbot_dagster.product import SAMPLE, Product
from supportbot_dagster.progress import Progress, silent
from supportbot_dagster.tickets.conversations import ConversationResult, build_conversations
from supportbot_dagster.tickets.importer import Export, load_export, shift_export
from supportbot_dagster.tickets.redaction import Redactor
from supportbot_dagster.tickets.vendor import Vendor


class TicketSource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The help desk's export.

    Args:
        source: path of the export, or ``sample``.
    """

    source: str

    @property
    def path(self) -> Path:
        """The export's file."""
        if self.source == SAMPLE:
            return Path(__file__).parent.parent / "sample" / "tickets.json"
        return Path(self.source)

    def version(self, window: TicketWindow) -> str:
        """Hash of the export's bytes and the window, to tell whether reading again is worth it.

        Raises:
            UserError: if the export is missing.
        """
        if not self.path.is_file():
            raise UserError(f"{self.path} does not exist. Mend tickets.source in product.yaml.")
        return sha256_json([sha256_file(self.path), f"{window.start}", f"{window.cut_off}"])[:16]

    def _load(self, window: TicketWindow) -> Export:
        if self.source != SAMPLE:
            return load_export(self.path)
        export = load_export(self.path)
        if export.exported_at is None:
            raise UserError("The sample export names no exported_at. Install the package again.")
        return shift_export(export, (window.cut_off - export.exported_at) // timedelta(days=1))

    def conversations(
        self, window: TicketWindow, product: Product, progress: Progress = silent
    ) -> ConversationResult:
        """Redacted conversations of the window; raw text stays in memory."""
        return build_conversations(
            self._load(window),
            window,
            language=product.tickets.language,
            account_tags=product.tickets.account_tags,
            redactor=Redactor(Vendor.of(product)),
            progress=progress,
        )
