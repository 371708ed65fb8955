"""``retrain`` on the cheap half of the real graph: what runs, what is skipped, what is said.

The whole graph is retrained in ``tests/e2e/test_whole_graph.py``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import dagster as dg
import pytest

from supportbot_dagster import assets, checks, jobs
from supportbot_dagster.assets.house import House
from supportbot_dagster.definitions import default_resources
from supportbot_dagster.errors import UserError
from supportbot_dagster.operate import retrain as module
from supportbot_dagster.operate.instance import month_lock, open_instance
from supportbot_dagster.operate.retrain import (
    RetrainFailed,
    RetrainResult,
    retrain,
    teacher_line,
)
from supportbot_dagster.operate.status import StatusReader
from supportbot_dagster.product import Product
from supportbot_dagster.resources.artifact_store import ArtifactStore
from supportbot_dagster.review.candidates import FOLDER, from_records
from supportbot_dagster.review.verdicts import Reviewer, VerdictStore, verdict_on
from supportbot_dagster.settings import Settings
from tests.conftest import write_tickets
from tests.synthesis.chat_server import chat_server

SOURCES = {"docs_crawl", "ticket_export"}
DOCS = {"docs_crawl", "synthesized_pairs", "refusal_rows", "merged_dataset"}
TICKETS = {"ticket_export", "ticket_pairs", "followup_conversations", "merged_dataset"}
ALL = DOCS | TICKETS


def cheap_half(
    settings: Settings, product: Product, loggers: Mapping[str, dg.LoggerDefinition] | None = None
) -> dg.Definitions:
    """The definitions up to the merged dataset."""
    house = House(product, VerdictStore(settings.verdicts))
    groups = ("sources", "rows", "dataset")
    return dg.Definitions(
        assets=[a for group in groups for a in getattr(assets, group).build(house)],
        asset_checks=[c for group in groups for c in getattr(checks, group).build(house)],
        jobs=[
            dg.define_asset_job(
                jobs.RETRAIN, dg.AssetSelection.all(), partitions_def=house.partitions
            )
        ],
        resources=default_resources(settings, product),
        loggers=loggers,
    )


class Operator:
    """A person who retrains again and again."""

    def __init__(self, world: Any) -> None:
        self.world = world
        self.said: list[str] = []

    def retrain(
        self,
        *,
        everything: bool = False,
        month: str | None = None,
        until: str | None = None,
    ) -> RetrainResult:
        self.said = []
        return retrain(
            self.world.settings,
            self.world.product,
            month or self.world.month,
            everything=everything,
            say=self.said.append,
            until=until,
        )

    def ran(self) -> set[str]:
        result = self.retrain()
        assert set(result.ran) | set(result.skipped) == ALL
        return set(result.ran)

    def states(self) -> dict[str, str]:
        settings, product = self.world.settings, self.world.product
        store = ArtifactStore(root=settings.root, scratch=str(settings.home))
        with open_instance(settings) as instance:
            reader = StatusReader(cheap_half(settings, product), instance, store)
            return {item.asset: item.state for item in reader.read(self.world.month)}


@pytest.fixture
def operator(world: Any, monkeypatch: pytest.MonkeyPatch) -> Operator:
    monkeypatch.setattr(module, "build_definitions", cheap_half)
    return Operator(world)


@pytest.mark.slow
def test_a_retrain_runs_what_changed_and_nothing_else(operator: Operator) -> None:
    world = operator.world

    result = operator.retrain()
    assert set(result.ran) == ALL
    assert result.skipped == []
    assert result.month == world.month
    assert result.peak_gib > 0.05
    assert not any("dagster" in line or "STEP_" in line for line in operator.said)
    assert set(operator.states().values()) == {"fresh"}

    assert operator.ran() == set(), "nothing is new"
    assert "merged_dataset: fresh, skipped" in operator.said

    path, before = world.edit_article()
    assert operator.ran() == DOCS
    assert "docs_crawl: the docs changed" in operator.said
    path.write_text(before, encoding="utf-8")
    assert operator.ran() == DOCS, "reverted is changed as well"

    export = json.loads(world.tickets.read_text(encoding="utf-8"))
    removed = export["tickets"].pop()
    world.tickets.write_text(json.dumps(export), encoding="utf-8")
    ran = operator.ran()
    assert "ticket_export: the ticket export changed" in operator.said
    assert "ticket_export" in ran
    assert ran <= TICKETS
    assert removed["id"]

    world.change_product(dataset={"target_rows": 200})
    assert operator.ran() == {"merged_dataset"}
    assert "merged_dataset: its code or settings changed" in operator.said

    store = ArtifactStore(root=world.settings.root, scratch=str(world.settings.home))
    store.rows_target("refusal_rows", world.month).unlink()
    assert operator.states()["refusal_rows"] == "missing"
    assert operator.ran() == {"refusal_rows"}, "it came out as it was, so its reader is fresh"

    world.tickets.write_text("", encoding="utf-8")
    with pytest.raises(RetrainFailed, match=r"ticket_export: .* is empty\. Export") as failure:
        operator.retrain()
    assert failure.value.user_error
    states = operator.states()
    assert states["ticket_export"] == "failed"
    assert states["ticket_pairs"] == "stale"
    assert states["docs_crawl"] == "fresh"
    world.tickets.write_text(json.dumps(export), encoding="utf-8")
    assert operator.ran() == {"ticket_export"}
    assert set(operator.states().values()) == {"fresh"}

    assert set(operator.retrain(everything=True).ran) == ALL


@pytest.mark.slow
def test_a_month_is_made_beside_another(operator: Operator) -> None:
    earlier = operator.world.month_before(1)
    assert set(operator.retrain(month=earlier).ran) == ALL
    assert set(operator.states().values()) == {"missing"}
    assert set(operator.retrain().ran) == ALL
    assert operator.retrain(month=earlier).ran == {}


def test_a_month_that_cannot_be_is_refused_before_anything_is_made(operator: Operator) -> None:
    for month, said in (
        ("2026-13", "is not a month"),
        ("9999-01", "is in the future"),
        ("2001-01", "is before the first retrain month"),
    ):
        with pytest.raises(UserError, match=said):
            operator.retrain(month=month)
    assert not (operator.world.folder / "root").exists()


def test_a_month_that_is_held_is_refused(operator: Operator) -> None:
    with (
        month_lock(operator.world.settings, operator.world.month),
        pytest.raises(UserError, match="Another retrain"),
    ):
        operator.retrain()


@pytest.mark.slow
def test_a_product_that_must_be_reviewed_stops_at_the_pairs_and_goes_on(
    operator: Operator,
) -> None:
    world = operator.world
    world.change_product(review="required")
    world.tickets.unlink()  # nothing beside the docs is looked at

    result = operator.retrain(until="synthesized_pairs")
    assert set(result.ran) == {"docs_crawl", "synthesized_pairs"}
    states = operator.states()
    assert states["synthesized_pairs"] == "fresh"
    assert states["refusal_rows"] == states["ticket_export"] == "missing"
    assert operator.retrain(until="synthesized_pairs").ran == {}
    write_tickets(world.tickets)
    with pytest.raises(RetrainFailed, match="retrain --until synthesized_pairs, then supportbot r"):
        operator.retrain()

    store = ArtifactStore(root=world.settings.root, scratch=str(world.settings.home))
    made = from_records(store.read_rows(FOLDER, world.month) or [])
    kept = [one for one in made if not one.reason][:20]
    VerdictStore(world.settings.verdicts).give(
        [verdict_on(one, "keep", Reviewer("ann", "a" * 32)) for one in kept]
    )
    assert set(operator.retrain(until="merged_dataset").ran) == {
        "synthesized_pairs",
        "merged_dataset",
    }
    rows = store.read_rows("synthesized_pairs", world.month) or []
    assert len(rows) == len(kept)

    # The docs move to another address, and another teacher phrases them: approved words stay.
    world.change_product(
        docs={"public_url": "https://moved.example/"}, teacher={"recordings": None}
    )
    operator.retrain(until="synthesized_pairs")
    moved = store.read_rows("synthesized_pairs", world.month) or []
    assert {(row["instruction"], row["output"]) for row in moved} == {
        (row["instruction"], row["output"]) for row in rows
    }
    assert all(row["source"].startswith("https://moved.example/") for row in moved)


def test_an_asset_that_is_none_is_refused_with_the_choices_before_anything_is_made(
    operator: Operator,
) -> None:
    with pytest.raises(
        UserError, match=r"no asset 'pairs'. Name one of docs_crawl, .*refusal_rows"
    ):
        operator.retrain(until="pairs")
    assert not (operator.world.folder / "root").exists()


def test_what_the_teacher_model_cost_and_failed_at_is_told_at_the_end(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator.world.change_product(
        teacher={"recordings": None, "concurrency": 1, "input_price": 1.0, "output_price": 2.0}
    )
    with chat_server() as server:
        server.script.extend(["refused"] * 3)
        monkeypatch.setenv("SUPPORTBOT_TEACHER_MODEL", "m1")
        monkeypatch.setenv("SUPPORTBOT_TEACHER_BASE_URL", server.url)
        operator.retrain(until="synthesized_pairs")
        calls = len(server.requests)
        assert operator.said[-1] == (
            f"teacher model: {calls} calls, 0 replies kept from before, 1 sections failed "
            f"(1 x the model refused), cost {calls * 600 / 1e6:.4f}"
        )
        operator.retrain(until="synthesized_pairs")
        assert not any(line.startswith("teacher model") for line in operator.said), "none was asked"


def test_no_line_is_said_of_a_teacher_that_is_no_model() -> None:
    assert teacher_line({"teacher_calls": 0, "teacher_replies_kept": 0, "teacher_failed": {}}) == ""
    assert teacher_line({}) == ""
    assert "7 replies kept" in teacher_line({"teacher_replies_kept": 7})
