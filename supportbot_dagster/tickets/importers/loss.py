"""An export that lost tickets must not pass for a quiet month.

What lives here: the comparison with the export before. What does not: reading of any export.
"""

from __future__ import annotations

from supportbot_dagster.errors import UserError

MAX_DROP = 0.5
"""Share of the last export's usable tickets that may be missing."""


def check_not_shrunk(tickets: int, before: int, max_drop: float = MAX_DROP) -> None:
    """Refuse an export with far fewer usable tickets than the last one.

    Args:
        tickets: conversations that came of the export.
        before: conversations of the last materialization; 0 if there is none.
        max_drop: share of them that may be missing, 0 to 1; 1 accepts any export.

    Raises:
        UserError: if more than ``max_drop`` of ``before`` are missing.
    """
    if before - tickets > max_drop * before + 1e-6:  # exactly the share may go at any size
        raise UserError(
            f"The export gave {tickets} usable tickets where the last one gave {before}: over "
            f"{max_drop:.0%} are missing. Export all resolved tickets of the window again; if the "
            f"drop is real, raise tickets.max_drop in product.yaml (now {max_drop:g}, 1 accepts "
            "any) and materialize ticket_export again."
        )
