"""``supportbot review`` in a real browser: two people judge, and verdicts decide what trains."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from supportbot_dagster.definitions import build_definitions
from supportbot_dagster.operate.instance import open_instance
from supportbot_dagster.partitions import current_month
from supportbot_dagster.review.verdicts import VerdictStore

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

HOSTILE = "Rename it <script>document.title = 'taken over'</script> & <b>now</b>."


def synthesize(world: Any) -> list[dict[str, Any]]:
    """Make the pairs of the running month; returns its rows."""
    defs = build_definitions(world.settings, world.product)
    with open_instance(world.settings) as instance:
        done = defs.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=instance,
            partition_key=current_month(),
            asset_selection=[dg.AssetKey("docs_crawl"), dg.AssetKey("synthesized_pairs")],
        )
        assert done.success
        rows: list[dict[str, Any]] = done.output_for_node("synthesized_pairs")
        return rows


@pytest.fixture
def made(world: Any) -> tuple[Any, list[dict[str, Any]]]:
    """A world whose pairs are there."""
    return world, synthesize(world)


@contextmanager
def serving(world: Any, port: str = "0") -> Iterator[str]:
    """``supportbot review`` on a free port; gives its address."""
    process = subprocess.Popen(
        world.command("review", "--port", port),
        cwd=world.folder,
        env=world.environment,
        stdout=subprocess.PIPE,
        stderr=sys.stderr,
        text=True,
    )
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+", said)
        assert found is not None, said
        yield found[0]
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)


@pytest.fixture
def address(made: tuple[Any, list[dict[str, Any]]]) -> Iterator[str]:
    """The page of the world's pairs."""
    with serving(made[0]) as found:
        yield found


def question(page: Any) -> str:
    return str(page.locator("textarea[name=question]").input_value())


def shows(page: Any, message: str) -> None:
    """Wait until the page says so."""
    page.locator(".message", has_text=message).wait_for()


def test_two_people_judge_by_keys_and_the_rows_follow(
    made: tuple[Any, list[dict[str, Any]]], address: str, browser: Any, pictures: Path
) -> None:
    world, before = made
    ann, bob = (
        browser.new_context(viewport={"width": 1500, "height": 900}).new_page() for _ in "ab"
    )
    ann.goto(address)
    bob.goto(address)
    kept, bobs = question(ann), question(bob)
    assert kept != bobs, "two people are not given the same candidate"
    assert ann.locator("mark").count() == 1, "the evidence is marked in the section"
    ann.screenshot(path=pictures / "review.png")

    ann.keyboard.press("k")
    shows(ann, f"Kept: {kept}")
    edited = question(ann)
    ann.keyboard.press("e")
    ann.keyboard.press("Control+a")
    ann.keyboard.insert_text(HOSTILE)
    ann.keyboard.press("Control+Enter")
    shows(ann, "The edit is not saved yet: the filters would stop it.")
    assert ann.locator("textarea[name=answer]").input_value() == HOSTILE, "nothing typed is lost"
    assert ann.locator(".against li", has_text="code not in the section").count() == 1
    ann.screenshot(path=pictures / "review_against.png")
    ann.keyboard.press("o")
    shows(ann, f"Edited: {edited}")
    rejected = question(ann)
    ann.keyboard.press("r")
    shows(ann, f"Rejected: {rejected}")
    undone = question(ann)
    ann.keyboard.press("r")
    shows(ann, f"Rejected: {undone}")
    ann.keyboard.press("u")
    shows(ann, "Undone: 1 verdict.")
    assert question(ann) == undone

    bob.keyboard.press("r")
    shows(bob, f"Rejected: {bobs}")
    assert "4 of" in bob.locator(".progress").inner_text()

    bob.goto(f"{address}/?state=edited&reason=")
    assert bob.locator("textarea[name=answer]").input_value() == HOSTILE
    assert bob.title() != "taken over"
    assert "in spite of" in bob.locator(".marks").inner_text()

    # The browser's own event loop runs in this thread, the crawler's needs another.
    with ThreadPoolExecutor(1) as other:
        rows = other.submit(synthesize, world).result()
    by_question = {row["instruction"].removeprefix("Customer question: "): row for row in rows}
    assert kept in by_question
    assert undone in by_question
    assert rejected not in by_question
    assert bobs not in by_question
    assert by_question[edited]["output"] == HOSTILE
    assert len(rows) == len(before) - 2
    verdicts = VerdictStore(world.settings.verdicts).current()
    assert len(verdicts) == 4
    assert len({verdict.reviewer_id for verdict in verdicts.values()}) == 2


def test_many_at_once_by_style_and_back(address: str, page: Any) -> None:
    page.goto(address)
    style = page.locator("select[name=style] option").nth(1).get_attribute("value")
    page.select_option("select[name=style]", style)
    page.get_by_role("button", name="Show").click()
    shown = int(page.locator(".listed").inner_text().split()[0])
    assert shown > 1
    page.get_by_role("link", name="reject").click()
    page.get_by_role("button", name=f"Reject all {shown}").click()
    shows(page, f"Rejected: {shown} candidates.")
    assert f"{shown} rejected" in page.locator(".progress").inner_text()
    page.keyboard.press("u")
    shows(page, f"Undone: {shown} verdicts.")


def test_a_restart_loses_neither_words_nor_undo(
    made: tuple[Any, list[dict[str, Any]]], page: Any
) -> None:
    world, _ = made
    with serving(world) as address:
        page.goto(address)
        page.keyboard.press("k")
        shows(page, "Kept: ")
        typed = "How long does it take until this counts?"
        page.locator("textarea[name=question]").fill(typed)
        port = address.rsplit(":", 1)[1]
    with serving(world, port) as address:
        page.keyboard.press("Escape")
        page.keyboard.press("k")
        shows(page, "What you typed is kept.")
        assert question(page) == typed
        page.keyboard.press("u")
        shows(page, "Undone: 1 verdict.")
    assert VerdictStore(world.settings.verdicts).current() == {}


def test_another_site_can_neither_read_nor_judge(address: str, page: Any) -> None:
    page.goto(address)
    shown = question(page)
    page.goto("about:blank")
    page.set_content(
        f'<form method="post" action="{address}/undo"><button>Win</button></form>'
        f'<iframe src="{address}"></iframe>'
    )
    page.get_by_role("button", name="Win").click()
    page.wait_for_url("**/undo")
    assert "Forbidden" in page.inner_text("body")
    page.goto(address)
    assert question(page) == shown
