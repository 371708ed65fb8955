"""The whole graph from the command line on a small product: killed, gone on with, asked.

One training in all: the first retrain is killed in the middle of it, the second goes on from the
last checkpoint and finishes, the third finds nothing to do. Personal data planted in the tickets
must be in no file that any of them wrote.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from supportbot_dagster.operate.instance import open_instance
from supportbot_dagster.operate.status import StatusReader

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

BEFORE_TRAINING = {
    "base_model",
    "docs_crawl",
    "ticket_export",
    "synthesized_pairs",
    "ticket_pairs",
    "followup_conversations",
    "refusal_rows",
    "merged_dataset",
    "training_plan",
}
AFTER = {"lora_adapter", "gguf", "probe_report", "trust_report", "ollama_bundle", "release"}
PLANTED = {
    "Wilhelmina Ostrander": "Hello, my name is {} and I run our boards.",
    "wilhelmina.ostrander@harrowgate-optics.example": "You can write to me at {} at any time.",
    "+1 202 555 0147": "Or call {} before noon.",
    "Harrowgate Optics": "I work for {} as an analyst.",
    "GB33BUKB20201555555555": "Our IBAN is {} for the refund.",
    "4111 1111 1111 1111": "The card was {} by the way.",
    "203.0.113.77": "The login came from {} this morning.",
    "4 Kingfisher Lane": "Post goes to {}, Bristol BS1 4DJ.",
    "tlk_live_9fQ2xV7mB4kZ8wR1": "The API key is {} if you need it.",
    "Tr0ub4dor-and-3": "My password is {} so you can look yourself.",
    "14 March 1987": "I was born on {}.",
    "00:1B:44:11:3A:B7": "The MAC of that laptop is {}.",
}
"""Invented personal data, and the sentence of a customer that holds it."""
PATIENCE = 600.0
"""Seconds until a step of a busy machine counts as stuck."""


@contextmanager
def started(world: Any, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """``supportbot ARGUMENTS`` running; what is left of it is killed at the end."""
    log = world.folder / "retrain.log"
    with log.open("w", encoding="utf-8") as stream:
        process = subprocess.Popen(
            world.command(*arguments),
            cwd=world.folder,
            env=world.environment,
            stdout=stream,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for(what: Callable[[], bool], process: subprocess.Popen[str], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while not what():
        assert process.poll() is None, log.read_text(encoding="utf-8")[-3000:]
        assert time.monotonic() < deadline, log.read_text(encoding="utf-8")[-3000:]
        time.sleep(0.05)


def states(world: Any) -> dict[str, dict[str, Any]]:
    done = world.run("status", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["month"] == world.month
    return {item["asset"]: item for item in found["assets"]}


def materialized(text: str) -> tuple[int, int]:
    found = re.search(r"(\d+) materialized, (\d+) fresh and skipped", " ".join(text.split()))
    assert found, text[-2000:]
    return int(found[1]), int(found[2])


def metadata(world: Any, asset: str) -> dict[str, Any]:
    from supportbot_dagster.definitions import build_definitions
    from supportbot_dagster.resources.artifact_store import ArtifactStore

    settings = world.settings
    store = ArtifactStore(root=settings.root, scratch=str(settings.home))
    with open_instance(settings) as instance:
        reader = StatusReader(build_definitions(settings, world.product), instance, store)
        return dict(reader.metadata(asset, world.month))


def plant(tickets: Path) -> None:
    """Put the planted sentences into customers' messages, one each, in turn."""
    export = json.loads(tickets.read_text(encoding="utf-8"))
    staff = {user["id"] for user in export["users"] if user["role"] != "end-user"}
    texts = [
        comment
        for ticket in export["tickets"]
        for comment in ticket["comments"]
        if comment["public"] and comment["author_id"] not in staff
    ]
    sentences = [sentence.format(value) for value, sentence in PLANTED.items()]
    assert len(texts) > len(sentences)
    for number, comment in enumerate(texts):
        comment["body"] += f"\n\n{sentences[number % len(sentences)]}"
    tickets.write_text(json.dumps(export), encoding="utf-8")


def files_that_hold(folder: Path, values: set[str], *, apart_from: Path) -> dict[str, list[str]]:
    """Files under a folder with the values that stand in their bytes."""
    found: dict[str, list[str]] = {}
    for path in folder.rglob("*"):
        if path.is_file() and path != apart_from:
            content = path.read_bytes().lower()
            held = [value for value in sorted(values) if value.lower().encode() in content]
            if held:
                found[str(path.relative_to(folder))] = held
    return found


def test_a_retrain_is_killed_gone_on_with_and_asked(world: Any) -> None:
    plant(world.tickets)
    inputs = world.tickets
    held = files_that_hold(world.folder, set(PLANTED), apart_from=world.folder)
    assert held == {str(inputs.relative_to(world.folder)): sorted(PLANTED)}
    world.change_product(model={"base": "pocket", "training": {"epochs": 0.6}})
    log = world.folder / "retrain.log"
    work = world.folder / "root" / "work" / "lora_adapter"

    with started(world, "retrain") as first:
        wait_for(lambda: bool(list(work.glob("*/spec.json"))), first, log)

        second = world.run("retrain")
        assert second.returncode == 2
        (line,) = second.stderr.strip().splitlines()
        assert line.startswith(f"error: Another retrain of {world.month} is under way")
        assert f"process {first.pid}" in line

        wait_for(lambda: len(list(work.glob("*/checkpoint-*/trainer_state.json"))) >= 2, first, log)
        first.kill()
        first.wait()
    found = states(world)
    assert {name for name, item in found.items() if item["state"] == "fresh"} == BEFORE_TRAINING
    assert {found[name]["state"] for name in AFTER} == {"missing"}

    again = world.run("retrain", timeout=PATIENCE)
    assert again.returncode == 0, again.stderr[-3000:]
    assert "closed 1 run(s) of killed processes" in again.stderr
    assert materialized(again.stdout) == (len(AFTER), len(BEFORE_TRAINING))
    assert "Traceback" not in again.stderr
    tracked = list((world.folder / "root").rglob("mlruns/**/adapter_model.safetensors"))
    assert len(tracked) == 1, "MLflow's artifacts lie beside its database"
    assert not (world.folder / "mlruns").exists(), "and not in the current folder"
    facts = metadata(world, "lora_adapter")
    assert facts["resumed_from_step"] >= 2
    assert facts["updates"] > facts["resumed_from_step"]
    assert not list(work.glob("*/checkpoint-*")), "what is published needs no checkpoints"

    found = states(world)
    assert set(found) == BEFORE_TRAINING | AFTER
    assert {item["state"] for item in found.values()} == {"fresh"}

    clock = time.monotonic()
    third = world.run("retrain")
    seconds = time.monotonic() - clock
    assert third.returncode == 0, third.stderr[-3000:]
    assert materialized(third.stdout) == (0, 15)
    assert seconds < 30

    asked = world.run("ask", "how do i invite a teammate?", "--json")
    assert asked.returncode == 0, asked.stderr[-3000:]
    reply = json.loads(asked.stdout)
    assert set(reply) == {"answer", "route", "reason", "score", "seconds"}
    assert reply["route"] in ("answer", "handoff")
    assert bool(reply["reason"]) == (reply["route"] == "handoff")
    assert reply["score"] <= 0

    rows = (world.folder / "root" / "ticket_export" / f"{world.month}.jsonl").read_text("utf-8")
    for placeholder in ("<PERSON>", "<EMAIL>", "<PHONE>", "<IBAN>", "<CARD>", "<IP>", "<SECRET>"):
        assert placeholder in rows, "what was planted came this far"
    assert files_that_hold(world.folder, set(PLANTED), apart_from=inputs) == {}

    bundle = world.folder / "root" / "ollama_bundle" / world.month
    assert world.run("verify", str(bundle)).returncode == 0
    (bundle / "Modelfile").write_text("FROM other\n", encoding="utf-8")
    assert world.run("verify", str(bundle)).returncode == 2
