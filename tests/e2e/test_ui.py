"""``supportbot ui`` in a real browser: the graph, and one month of one asset made by clicks."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import pytest

from supportbot_dagster.definitions import build_definitions
from supportbot_dagster.jobs import REFRESH_DOCS
from supportbot_dagster.operate.instance import open_instance

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

PATIENCE = 180.0
ASSET = "refusal_rows"
ASSETS = (
    "docs_crawl",
    "ticket_export",
    "synthesized_pairs",
    "ticket_pairs",
    "followup_conversations",
    "refusal_rows",
    "merged_dataset",
    "base_model",
    "training_plan",
    "lora_adapter",
    "gguf",
    "probe_report",
    "trust_report",
    "ollama_bundle",
    "release",
)


@pytest.fixture
def made(world: Any) -> Any:
    """Two months whose cheap assets are there."""
    defs = build_definitions(world.settings, world.product)
    job = defs.resolve_job_def(REFRESH_DOCS)
    selection = [dg.AssetKey("docs_crawl"), dg.AssetKey(ASSET)]
    with open_instance(world.settings) as instance:
        for month in (world.month_before(1), world.month):
            done = job.execute_in_process(
                instance=instance, partition_key=month, asset_selection=selection
            )
            assert done.success
    return world


@pytest.fixture
def ui(made: Any, page: Any) -> Iterator[str]:
    """``supportbot ui`` on a free port; its whole process group ends with the test."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = made.folder / "ui.log"
    with log.open("w", encoding="utf-8") as stream:
        process = subprocess.Popen(
            made.command("ui", "--port", str(port)),
            cwd=made.folder,
            env=made.environment,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + PATIENCE
        while True:
            assert process.poll() is None, log.read_text(encoding="utf-8")[-3000:]
            assert time.monotonic() < deadline, log.read_text(encoding="utf-8")[-3000:]
            try:
                if httpx.get(f"{address}/server_info", timeout=2.0).status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.5)
        yield address
    finally:
        for sign, seconds in ((signal.SIGINT, 20.0), (signal.SIGKILL, 5.0)):
            try:
                os.killpg(process.pid, sign)
            except ProcessLookupError:
                break
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                continue
        shutil.copy(log, made.folder.parent / "ui.log")


def materializations(world: Any, asset: str) -> dict[str, int]:
    """How often each month of an asset was made."""
    with open_instance(world.settings) as instance:
        records = instance.fetch_materializations(dg.AssetKey(asset), limit=100).records
    counted: dict[str, int] = {}
    for record in records:
        counted[str(record.partition_key)] = counted.get(str(record.partition_key), 0) + 1
    return counted


def test_the_graph_is_shown_and_one_month_of_one_asset_is_made_again(
    made: Any, ui: str, page: Any, pictures: Path
) -> None:
    chosen, other = made.month_before(1), made.month
    assert materializations(made, ASSET) == {chosen: 1, other: 1}
    before = {asset: materializations(made, asset) for asset in ASSETS}

    page.goto(f"{ui}/asset-groups", wait_until="domcontentloaded")
    page.get_by_text("sources", exact=True).last.wait_for()
    page.screenshot(path=str(pictures / "groups.png"))
    page.mouse.click(1100, 950, button="right")
    page.get_by_role("menuitem", name="Expand all groups").click()
    for asset in ASSETS:
        # The graph leaves out the middle of a long name.
        short = rf"{asset[:3]}\w*…\w*{asset[-8:]}"
        page.get_by_text(re.compile(rf"^({asset}|{short})$")).first.wait_for()
    page.wait_for_timeout(2000)  # the graph glides to its place
    page.screenshot(path=str(pictures / "graph.png"))

    page.goto(f"{ui}/assets/{ASSET}?view=partitions", wait_until="domcontentloaded")
    page.get_by_role("button", name="Materialize…").first.click()
    field = page.get_by_placeholder(re.compile("^ex: "))
    field.fill(chosen)
    field.press("Enter")
    page.get_by_text("1 partition", exact=True).wait_for()
    page.screenshot(path=str(pictures / "dialog.png"))
    page.get_by_role("button", name=re.compile(r"^Launch")).last.click()

    deadline = time.monotonic() + PATIENCE
    while materializations(made, ASSET) != {chosen: 2, other: 1}:
        assert time.monotonic() < deadline, materializations(made, ASSET)
        time.sleep(1.0)
    page.goto(f"{ui}/assets/{ASSET}?view=partitions&partition={chosen}")
    page.get_by_text("Latest materialization", exact=True).first.wait_for()
    page.get_by_text("row_count").first.wait_for()
    page.screenshot(path=str(pictures / "materialized.png"))
    after = {asset: materializations(made, asset) for asset in ASSETS}
    assert {asset for asset in ASSETS if after[asset] != before[asset]} == {ASSET}
