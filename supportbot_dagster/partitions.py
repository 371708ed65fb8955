"""Retrain months: the partition key ``YYYY-MM``, its cut-off and its ticket window.

What lives here: the calendar. A key is an as-of month: the retrain of 2026-11 learns from tickets
resolved before its cut-off, the first instant of November in UTC, so that running it on the 1st
or on the 23rd gives the same tickets. What does not: anything that knows of Dagster's definitions
apart from the partitions object, which is made by :func:`monthly_partitions`.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from supportbot_dagster.errors import UserError

if TYPE_CHECKING:
    import dagster as dg

_MONTH = re.compile(r"([1-9][0-9]{3})-(0[1-9]|1[0-2])")


@dataclass(frozen=True)
class TicketWindow:
    """Half-open interval ``[start, cut_off)`` of ticket creation times, in UTC."""

    start: datetime
    cut_off: datetime

    def __contains__(self, moment: datetime) -> bool:
        return self.start <= moment < self.cut_off


def current_month(now: datetime | None = None) -> str:
    """The running month's key in UTC."""
    return (now or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m")


def is_month(text: str) -> bool:
    """Whether a text is a month's key."""
    return _MONTH.fullmatch(text) is not None


def month_start(month: str) -> datetime:
    """First instant of a month.

    Raises:
        UserError: if ``month`` is not ``YYYY-MM``.
    """
    match = _MONTH.fullmatch(month)
    if match is None:
        raise UserError(f"'{month}' is not a month. Write it as YYYY-MM, for example 2026-11.")
    return datetime(int(match[1]), int(match[2]), 1, tzinfo=UTC)


def ticket_window(month: str, window_months: int) -> TicketWindow:
    """The ``window_months`` whole months before the cut-off of ``month``."""
    cut_off = month_start(month)
    index = cut_off.year * 12 + cut_off.month - 1 - window_months
    return TicketWindow(datetime(index // 12, index % 12 + 1, 1, tzinfo=UTC), cut_off)


def check_month(month: str, first_month: str, now: datetime | None = None) -> str:
    """Return ``month`` if it is one that can be retrained.

    Raises:
        UserError: if it is malformed, before the first month, or in the future.
    """
    month_start(month)
    running = current_month(now)
    if month > running:
        raise UserError(
            f"{month} is in the future. The latest retrain month is {running}, the running one."
        )
    if month < first_month:
        raise UserError(
            f"{month} is before the first retrain month {first_month}. Set retrain.first_month in "
            "product.yaml to an earlier one if it was meant."
        )
    return month


def monthly_partitions(first_month: str) -> "dg.MonthlyPartitionsDefinition":
    """Dagster's partitions from ``first_month`` up to and including the running month."""
    import dagster as dg

    return dg.MonthlyPartitionsDefinition(start_date=first_month, fmt="%Y-%m", end_offset=1)
