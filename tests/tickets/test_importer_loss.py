from __future__ import annotations

import json
from typing import Any

import dagster as dg
import pytest

from supportbot_dagster.assets import sources
from supportbot_dagster.assets.house import House
from supportbot_dagster.definitions import default_resources
from supportbot_dagster.errors import UserError
from supportbot_dagster.tickets.importers.loss import check_not_shrunk


@pytest.mark.parametrize(
    ("tickets", "before"), [(1, 0), (0, 0), (50, 50), (90, 50), (25, 50), (1, 2)]
)
def test_half_may_go(tickets: int, before: int) -> None:
    check_not_shrunk(tickets, before)


@pytest.mark.parametrize(("tickets", "before"), [(24, 50), (0, 1), (1, 3), (499, 1000)])
def test_more_than_half_is_a_broken_export(tickets: int, before: int) -> None:
    with pytest.raises(
        UserError, match=rf"gave {tickets} usable .* last one gave {before}: over 50%"
    ):
        check_not_shrunk(tickets, before)


def test_a_real_drop_can_be_accepted() -> None:
    with pytest.raises(UserError, match=r"raise tickets\.max_drop in product\.yaml \(now 0\.5"):
        check_not_shrunk(3, 10)
    check_not_shrunk(3, 10, max_drop=0.7)
    check_not_shrunk(71, 100, max_drop=0.29)
    check_not_shrunk(0, 10, max_drop=1.0)
    with pytest.raises(UserError, match=r"now 0,"):
        check_not_shrunk(9, 10, max_drop=0.0)


def materialize(world: Any) -> None:
    """``ticket_export`` of the running month, as a run does it."""
    (asset,) = (
        item
        for item in sources.build(House(world.product))
        if item.key.to_user_string() == "ticket_export"
    )
    resources = default_resources(world.settings, world.product)
    wanted = {key: resources[key] for key in ("ticket_source", "store", "rows_io")}
    dg.materialize([asset], partition_key=world.month, resources=wanted)


@pytest.mark.slow
def test_half_an_export_fails_the_asset_and_leaves_the_last_one(world: Any) -> None:
    materialize(world)
    rows = world.folder / "root" / "ticket_export" / f"{world.month}.jsonl"
    before = rows.read_text(encoding="utf-8")
    export = json.loads(world.tickets.read_text(encoding="utf-8"))
    export["tickets"] = export["tickets"][: len(export["tickets"]) // 3]
    world.tickets.write_text(json.dumps(export), encoding="utf-8")
    with pytest.raises(UserError, match=r"usable tickets where the last one gave"):
        materialize(world)
    assert rows.read_text(encoding="utf-8") == before
    world.change_product(tickets={"max_drop": 0.9})
    materialize(world)
    assert rows.read_text(encoding="utf-8").count("\n") < before.count("\n") / 2
