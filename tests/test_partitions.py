from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from supportbot_dagster.errors import UserError
from supportbot_dagster.partitions import (
    check_month,
    current_month,
    is_month,
    month_start,
    monthly_partitions,
    ticket_window,
)

NOW = datetime(2026, 11, 23, 7, 0, tzinfo=UTC)


def test_the_window_ends_before_the_month() -> None:
    window = ticket_window("2026-03", 6)
    assert window.start == datetime(2025, 9, 1, tzinfo=UTC)
    assert window.cut_off == datetime(2026, 3, 1, tzinfo=UTC)
    assert window.start in window
    assert window.cut_off not in window, "the month itself is not learned from"
    assert window.cut_off - timedelta(microseconds=1) in window
    assert ticket_window("2026-01", 12).start == datetime(2025, 1, 1, tzinfo=UTC)


def test_the_running_month_is_that_of_utc() -> None:
    before_midnight = datetime(2026, 11, 30, 22, 0, tzinfo=timezone(timedelta(hours=-5)))
    assert current_month(before_midnight) == "2026-12"
    assert current_month(NOW) == "2026-11"


@pytest.mark.parametrize("month", ["2026-01", "2026-12", "9999-12"])
def test_months(month: str) -> None:
    assert is_month(month)
    assert month_start(month).day == 1


@pytest.mark.parametrize(
    "text",
    ["2026-13", "2026-00", "2026-1", "26-01", "2026-01-01", "2026-01\n", "0000-05", "", "٢٠٢٦-٠١"],
)
def test_what_is_no_month(text: str) -> None:
    assert not is_month(text)
    with pytest.raises(UserError, match=r"is not a month\. Write it as YYYY-MM"):
        check_month(text, "2026-01", NOW)


def test_a_month_in_the_future_is_refused() -> None:
    with pytest.raises(UserError, match=r"2026-12 is in the future.*2026-11"):
        check_month("2026-12", "2026-01", NOW)
    assert check_month("2026-11", "2026-01", NOW) == "2026-11", "the running month is allowed"


def test_a_month_before_the_first_is_refused() -> None:
    with pytest.raises(UserError, match=r"2025-12 is before .* 2026-01.*retrain\.first_month"):
        check_month("2025-12", "2026-01", NOW)


def test_the_partitions_end_with_the_running_month() -> None:
    keys = monthly_partitions("2026-01").get_partition_keys(NOW)
    assert keys[0] == "2026-01"
    assert keys[-1] == "2026-11"
    assert all(is_month(key) for key in keys)
