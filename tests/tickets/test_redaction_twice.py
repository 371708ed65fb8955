"""To redact what is redacted changes nothing, and one redactor serves several threads."""

from __future__ import annotations

import dataclasses
import json
import random
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from supportbot_dagster.errors import UserError
from supportbot_dagster.jsonl import read_jsonl
from supportbot_dagster.tickets import engine, redaction
from supportbot_dagster.tickets.engine import Engine, Read
from supportbot_dagster.tickets.known import Known, KnownIndex
from supportbot_dagster.tickets.labelled import TAUGHT, read_messages
from supportbot_dagster.tickets.redaction import Redactor
from supportbot_dagster.tickets.vendor import Vendor

SAMPLE = Path(redaction.__file__).parents[1] / "sample" / "tickets.json"
Conversation = tuple[Sequence[str], KnownIndex | None]


@pytest.fixture(scope="module")
def sample(redactor: Redactor) -> list[Conversation]:
    """The sample's tickets, every third one, with who is known to write in them."""
    export = json.loads(SAMPLE.read_text(encoding="utf-8"))
    users = {user["id"]: user for user in export["users"]}
    companies = {company["id"]: company for company in export["organizations"]}
    made: list[Conversation] = []
    for ticket in export["tickets"][::3]:
        people = {comment["author_id"] for comment in ticket["comments"]} & set(users)
        company = companies.get(ticket.get("organization_id"), {})
        known = Known(
            names=tuple(users[person]["name"] for person in sorted(people)),
            companies=tuple(filter(None, [company.get("name")])),
            emails=tuple(filter(None, (users[person].get("email") for person in sorted(people)))),
            domains=tuple(company.get("domain_names", ())),
        )
        texts = [comment["body"] for comment in ticket["comments"]]
        made.append((texts, redactor.prepare(known)))
    return made


@pytest.fixture(scope="module")
def compositions(data: Path, redactor: Redactor) -> list[Conversation]:
    """Parts of messages with much personal data, put together as no person would."""
    rng = random.Random(7)
    rows: list[dict[str, Any]] = read_jsonl(data / "labelled.jsonl")
    taught = [message for path in sorted(TAUGHT.glob("*.jsonl")) for message in read_messages(path)]
    texts = [row["text"] for row in rows]
    texts += [message.text for message in rng.sample(taught, 600)]
    names = sorted({name for row in rows for name in row["known_names"]})
    made: list[Conversation] = []
    for _ in range(400):
        parts = rng.sample(texts, rng.randint(1, 3))
        if rng.random() < 0.5:  # parts of lines, so that contexts are torn
            parts = [part[rng.randrange(len(part) + 1) :] for part in parts]
        known = Known(names=tuple(rng.sample(names, 2))) if rng.random() < 0.5 else Known()
        glue = rng.choice(["\n", " ", ", ", "\n\n"])
        turns = [glue.join(parts), *rng.sample(texts, rng.randint(0, 2))]
        made.append((turns, redactor.prepare(known)))
    return made


def changed_by_a_second_time(
    redactor: Redactor, conversations: Sequence[Conversation]
) -> list[tuple[str, str]]:
    once = redactor.redact_many(conversations)
    again = [(texts, known) for texts, (_, known) in zip(once, conversations, strict=True)]
    twice = redactor.redact_many(again)
    return [
        (one, two)
        for ones, twos in zip(once, twice, strict=True)
        for one, two in zip(ones, twos, strict=True)
        if one != two
    ]


def test_the_sample_s_tickets_redacted_twice(
    redactor: Redactor, sample: list[Conversation]
) -> None:
    assert len(sample) > 150
    assert changed_by_a_second_time(redactor, sample) == []


def test_compositions_redacted_twice(redactor: Redactor, compositions: list[Conversation]) -> None:
    assert changed_by_a_second_time(redactor, compositions) == []


def test_labelled_messages_redacted_twice(redactor: Redactor, data: Path) -> None:
    rows = read_jsonl(data / "labelled.jsonl")
    rows_known = [
        ([row["text"]], redactor.prepare(Known(names=tuple(row["known_names"])))) for row in rows
    ]
    assert changed_by_a_second_time(redactor, rows_known) == []


def test_read_once_and_as_if_for_the_first_time_some_would_change(
    redactor: Redactor, compositions: list[Conversation], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The compositions are odd enough for the tests above to mean something."""
    monkeypatch.setattr(redaction, "_READINGS", 1)
    monkeypatch.setattr(engine, "_AGAIN", 0.0)
    assert changed_by_a_second_time(redactor, compositions)


@pytest.mark.parametrize("without", [frozenset(), frozenset({"tagger"})])
def test_what_stands_as_a_name_once_others_are_gone_goes_at_once(
    vendor: Vendor, without: frozenset[str]
) -> None:
    """A line of capitals says nothing of a word in it, until most of them are placeholders."""
    redactor = Redactor(vendor, without=without)
    names = ["Dana Whitfield", "Oskar Brandt", "Page"]
    once = redactor.redact_text("then Dana Whitfield Oskar Brandt opened Page today", names)
    assert once == "then <PERSON> opened <PERSON> today"
    assert redactor.redact_text(once, names) == once


def test_a_name_found_at_the_second_reading_counts_in_texts_read_once(
    redactor: Redactor, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["mail dana@acme.example, i am Zebediah", "zebediah wrote", "ask <PERSON>"]
    ready = redactor._ready
    read_all = type(ready).read_all

    def late(self: Engine, texts: Sequence[str], vendor: Vendor) -> list[Read]:
        """Zebediah is found only where the mailbox is a placeholder."""
        reads = []
        for read in read_all(self, texts, vendor):
            finds = [find for find in read.finds if "ebediah" not in read.text[find[1] : find[2]]]
            if "<EMAIL>" in read.text and "Zebediah" in read.text:
                start = read.text.index("Zebediah")
                finds.append(("PERSON", start, start + 8, 0.75))
            calm = "dana" not in read.text
            reads.append(dataclasses.replace(read, finds=tuple(finds), calm=calm))
        return reads

    monkeypatch.setattr(type(ready), "read_all", late)
    assert redactor.redact_all(texts) == [
        "mail <EMAIL>, i am <PERSON>",
        "<PERSON> wrote",
        "ask <PERSON>",
    ]


def test_words_beside_placeholders_stay(redactor: Redactor) -> None:
    """They look like names more often than they are, so that a second reading is a surer one."""
    for text in (
        "Mark all as read. Will it work? I asked <PERSON> and <PERSON>.",
        "you can mail me at <EMAIL> if its easier",
    ):
        assert redactor.redact_text(text) == text


def test_two_first_calls_build_one_engine(
    vendor: Vendor, redactor: Redactor, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = redactor._ready
    builds: list[int] = []
    threads = 8
    together = threading.Barrier(threads)
    late = threading.Event()

    def build(*args: object) -> Engine:
        builds.append(1)
        late.wait(0.2)  # so that the others come while it is being built
        return ready

    monkeypatch.setattr(redaction, "build_engine", build)
    shared = Redactor(vendor)

    def call(number: int) -> str:
        together.wait(10)
        return shared.redact_text(f"mail d{number}@acme.example")

    with ThreadPoolExecutor(threads) as pool:
        done = list(pool.map(call, range(threads)))
    assert done == ["mail <EMAIL>"] * threads
    assert len(builds) == 1


def test_a_failed_build_is_tried_again(
    vendor: Vendor, redactor: Redactor, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = redactor._ready
    answers: list[Engine] = []

    def build(*args: object) -> Engine:
        if answers:
            return answers[0]
        answers.append(ready)
        raise UserError("the spaCy pipeline cannot be loaded")

    monkeypatch.setattr(redaction, "build_engine", build)
    fresh = Redactor(vendor)
    with pytest.raises(UserError):
        fresh.redact_text("x@acme.example")
    assert fresh.redact_text("x@acme.example") == "<EMAIL>"
