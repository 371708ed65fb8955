"""What the product file may say of its tickets, and the importer that this chooses."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from supportbot_dagster.errors import UserError
from supportbot_dagster.partitions import TicketWindow
from supportbot_dagster.product import (
    SAMPLE,
    TicketFormat,
    Tickets,
    load_product,
    sample_product_file,
)
from supportbot_dagster.tickets.importers import IMPORTERS, load_tickets

WINDOW = TicketWindow(datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC))
TABLE = {"conversation": "id", "created_at": "date", "question": "q", "reply": "a"}


def read(folder: Path, tickets: dict[str, Any]) -> Tickets:
    raw = yaml.safe_load(sample_product_file().read_text(encoding="utf-8"))
    raw["tickets"] = tickets
    path = folder / "product.yaml"
    path.write_text(yaml.safe_dump(raw), encoding="utf-8")
    return load_product(path).tickets


def test_the_default_is_zendesk_and_the_sample(tmp_path: Path) -> None:
    tickets = read(tmp_path, {})
    assert (tickets.format, tickets.source, tickets.api_url) == ("zendesk", SAMPLE, None)
    assert tickets.max_drop == 0.5


def test_every_format_has_an_importer() -> None:
    assert set(IMPORTERS) == set(get_args(TicketFormat))


def test_what_fits(tmp_path: Path) -> None:
    for given in (
        {"format": "intercom", "source": "e.json"},
        {"format": "discord", "source": "export", "agent_roles": ["Support"]},
        {"format": "table", "source": "e.csv", "columns": TABLE},
        {"format": "table", "source": "e.csv", "columns": TABLE, "agent_roles": ["staff"]},
    ):
        assert read(tmp_path, given).source == str(tmp_path / str(given["source"]))
    live = read(tmp_path, {"format": "zendesk_api", "api_url": "https://acme.zendesk.com/"})
    assert live.source == live.api_url == "https://acme.zendesk.com/"
    assert read(tmp_path, {"format": "intercom_api"}).source == "https://api.intercom.io"
    europe = {"format": "intercom_api", "api_url": "https://api.eu.intercom.io"}
    assert read(tmp_path, europe).source == "https://api.eu.intercom.io"
    assert Tickets.model_validate(live.model_dump()) == live


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"format": "freshdesk"}, "tickets.format: Input should be 'zendesk', 'intercom'"),
        ({"format": ["zendesk"]}, "tickets.format"),
        ({"token": "x"}, "unknown key tickets.token (known here: account_tags, agent_roles,"),
        ({"columns": {"foo": "x"}}, "unknown key tickets.columns.foo (known here: author_email,"),
        ({"format": "intercom"}, "intercom needs source"),
        ({"format": "discord", "source": "e.json"}, "discord needs agent_roles"),
        (
            {"format": "table", "source": "e.csv"},
            "table needs columns for conversation, created_at",
        ),
        (
            {"format": "table", "source": "e.csv", "columns": {**TABLE, "reply": None}},
            "table needs columns for reply",
        ),
        (
            {"format": "table", "source": "e.csv", "columns": {"conversation": "a", "text": "b"}},
            "table needs columns for created_at, author_role",
        ),
        ({"columns": TABLE}, "columns are for table, not for zendesk"),
        ({"agent_roles": ["x"]}, "agent_roles are for discord and table, not for zendesk"),
        ({"api_url": "https://acme.zendesk.com"}, "api_url is for zendesk_api and intercom_api"),
        ({"format": "zendesk_api"}, "zendesk_api needs api_url"),
        (
            {"format": "zendesk_api", "api_url": "https://acme.zendesk.com", "source": "e.json"},
            "source is for files; zendesk_api takes api_url alone",
        ),
        ({"format": "zendesk_api", "api_url": "http://acme.zendesk.com"}, "start with https://"),
        ({"format": "zendesk_api", "api_url": "acme.zendesk.com"}, "start with https://"),
        ({"format": "zendesk_api", "api_url": "https://a.example/api"}, "scheme and host alone"),
        ({"format": "zendesk_api", "api_url": "https://"}, "scheme and host alone"),
        ({"format": "zendesk_api", "api_url": 3}, "tickets.api_url"),
        ({"max_drop": 1.5}, "tickets.max_drop"),
    ],
)
def test_what_does_not_fit_is_one_clear_line(
    tmp_path: Path, given: dict[str, Any], said: str
) -> None:
    with pytest.raises(UserError) as caught:
        read(tmp_path, given)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_format_chooses_the_importer(tmp_path: Path) -> None:
    rows = [{"id": 1, "date": "2026-10-01", "q": "how", "a": "so"}]
    (tmp_path / "e.json").write_text(json.dumps(rows), encoding="utf-8")
    tickets = read(tmp_path, {"format": "table", "source": "e.json", "columns": TABLE})
    assert [item.id for item in load_tickets(tickets, WINDOW).tickets] == ["1"]
    with pytest.raises(UserError, match=r"holds no usable tickets"):
        load_tickets(read(tmp_path, {"source": "e.json"}), WINDOW)
