"""Which source the resource reads, and when it says that reading again is worth it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from supportbot_dagster.errors import UserError
from supportbot_dagster.partitions import TicketWindow
from supportbot_dagster.product import SAMPLE, Product, Tickets, load_product, sample_product_file
from supportbot_dagster.resources.ticket_source import TicketSource

WINDOW = TicketWindow(datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC))
LATER = TicketWindow(datetime(2026, 6, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))


def product(**tickets: Any) -> Product:
    section = Tickets.model_validate(tickets)
    return load_product(sample_product_file()).model_copy(update={"tickets": section})


def test_the_version_follows_the_content_of_a_file_and_of_a_folder(tmp_path: Path) -> None:
    file = tmp_path / "export" / "a.json"
    file.parent.mkdir()
    file.write_text("one", encoding="utf-8")
    for source in (file, file.parent):
        held = TicketSource(source=str(source))
        file.write_text("one", encoding="utf-8")
        first = held.version(WINDOW)
        assert held.version(LATER) != first
        file.write_text("two", encoding="utf-8")
        assert held.version(WINDOW) != first
        file.write_text("one", encoding="utf-8")
        assert held.version(WINDOW) == first
    with pytest.raises(UserError, match="does not exist"):
        TicketSource(source=str(tmp_path / "none.json")).version(WINDOW)


def test_a_live_help_desk_is_not_asked_for_its_version() -> None:
    held = TicketSource(source="http://127.0.0.1:9")
    assert held.version(WINDOW) == held.version(WINDOW) != held.version(LATER)
    assert held.version(WINDOW) != TicketSource(source="https://b.example").version(WINDOW)
    assert not TicketSource(source=SAMPLE).live


def test_the_format_of_the_product_is_read_and_redacted(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    rows = [
        {
            "id": number,
            "date": "2026-10-01T10:00:00Z",
            "who": "Dana Whitfield",
            "q": "Dana Whitfield (dana@acme.example) here. How can I change the workspace URL?",
            "a": "Hi Dana, open Settings > General and change the URL there.",
        }
        for number in (1, 2)
    ]
    rows.append({"id": 3, "date": "never", "q": "x", "a": "y"})
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    columns = {"conversation": "id", "created_at": "date", "question": "q", "reply": "a"}
    columns["author_name"] = "who"
    wanted = product(format="table", source=str(path), columns=columns)
    result = TicketSource(source=str(path)).conversations(WINDOW, wanted)
    assert [len(item.turns) for item in result.conversations] == [2, 2]
    said = " ".join(turn.text for item in result.conversations for turn in item.turns)
    assert "Dana" not in said
    assert "acme" not in said
    assert "Settings > General" in said
    assert [item.id for item in result.quarantined] == ["3"]
