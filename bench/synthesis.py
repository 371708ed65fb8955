"""What synthesis costs and how the merge grows: ``python bench/synthesis.py``.

What lives here: the counts and the tables. What does not: the teacher's server, which is the one
of the tests (``tests/synthesis/chat_server.py``): it speaks the API over real HTTP on loopback,
and here it answers with the sample's recorded replies.
"""

from __future__ import annotations

import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from upath import UPath

sys.path.insert(0, str(Path(__file__).parents[1]))

from supportbot_dagster.crawl import crawl
from supportbot_dagster.dataset.duplicates import NEAR_COPY, Questions, prepare
from supportbot_dagster.dataset.merge import merge
from supportbot_dagster.dataset.rows import Row, make_row, normalized_question
from supportbot_dagster.hashing import sha256_json
from supportbot_dagster.product import Dataset
from supportbot_dagster.sample.server import PUBLIC_BASE, serve_sample_site
from supportbot_dagster.synthesis.model_teacher import Endpoint, ModelTeacher, ReplyStore
from supportbot_dagster.synthesis.pairs import Synthesis, synthesize
from supportbot_dagster.synthesis.prompt import Prompt
from supportbot_dagster.synthesis.section import sections_of
from supportbot_dagster.synthesis.teacher import load_recordings
from tests.synthesis.chat_server import ChatServer, chat_server, section_of

RECORDINGS = Path(__file__).parents[1] / "supportbot_dagster" / "sample" / "teacher"
PHRASINGS = 5
SECONDS = 0.05
"""How long the server takes for a reply; a real teacher takes some seconds."""


def answers_from_recordings(server: ChatServer, pages: Sequence[Mapping[str, Any]]) -> None:
    """Let the server answer with the recorded reply of the section that it is asked about."""
    recordings = load_recordings(RECORDINGS)
    of_text = {
        f"{' > '.join(one.heading_path)}\n\n{one.markdown}".strip(): recordings[one.content_hash]
        for one in sections_of(pages)
        if one.content_hash in recordings
    }

    def reply(body: dict[str, Any]) -> str:
        recorded = of_text.get(section_of(body))
        if recorded is None:
            return json.dumps({"answer": "", "evidence": "", "questions": []})
        questions = [one.model_dump() for one in recorded.questions[:PHRASINGS]]
        return json.dumps(
            {"answer": recorded.answer, "evidence": recorded.evidence, "questions": questions}
        )

    server.reply = reply


def run(
    server: ChatServer, folder: Path, pages: Sequence[Mapping[str, Any]]
) -> tuple[Synthesis, int, int, float]:
    """One synthesis: result, calls, kept replies, seconds."""
    endpoint = Endpoint(server.url, "bench", "none")
    teacher = ModelTeacher(endpoint, Prompt("Tracklight", PHRASINGS), ReplyStore(UPath(folder)))
    started = time.monotonic()
    result = synthesize(pages, teacher, own=frozenset({"tracklight"}))
    return result, teacher.usage.calls, teacher.usage.cached, time.monotonic() - started


def edited(pages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The pages with one sentence more in one section."""
    copied: list[dict[str, Any]] = json.loads(json.dumps(pages))
    section = copied[10]["sections"][1]
    section["markdown"] += "\n\nThis was added."
    section["content_hash"] = sha256_json([section["heading_path"], section["markdown"]])
    return copied


def near_copies(rows: Sequence[Row]) -> int:
    """Rows that nearly copy one before."""
    index = Questions(NEAR_COPY)
    texts = [normalized_question(row.question) for row in rows]
    found = 0
    for number, (text, hashed) in enumerate(zip(texts, prepare(texts), strict=True)):
        if index.find(text, hashed) is not None:
            found += 1
        else:
            index.add(str(number), text, hashed)
    return found


def teacher_table() -> None:
    """Calls of a cold run, a rerun and a run after an edit."""
    with serve_sample_site() as url:
        pages = [page.to_dict() for page in crawl(url, public_base=PUBLIC_BASE).pages]
    print("| run | sections | calls | replies kept | rows | rows/s |")
    print("| --- | --: | --: | --: | --: | --: |")
    with tempfile.TemporaryDirectory() as name, chat_server() as server:
        server.seconds = SECONDS
        answers_from_recordings(server, pages)
        rows: list[Row] = []
        for title, these in (
            ("cold", pages),
            ("again", pages),
            ("one section edited", edited(pages)),
        ):
            result, calls, kept, seconds = run(server, Path(name), these)
            rows = rows or result.rows
            count = len(sections_of(these))
            speed = len(result.rows) / seconds
            print(f"| {title} | {count} | {calls} | {kept} | {len(result.rows)} | {speed:.0f} |")
    copies = near_copies(rows)
    print(f"\nNear copies among the {len(rows)} rows: {copies} ({copies / len(rows):.2%}).\n")


_WORDS = [
    start + end
    for start in "bal ber bis bor bun dar del dil dom dur kam kel kin kop kur lan les lit".split()
    for end in "a e i o u an er ing ot us al en is or um".split()
]


def merge_once(tickets: int) -> None:
    """Merge so many tickets and three docs questions for each ten; prints seconds and memory."""
    rng = random.Random(1)

    def question() -> str:
        return " ".join(rng.choice(_WORDS) for _ in range(rng.randint(5, 30)))

    kinds: list[tuple[Any, int, str]] = [
        ("docs", tickets * 3 // 10, "https://d.example/{}.html#a"),
        ("tickets", tickets, "thread-{}"),
        ("refusals", 3000, "pricing/family-{}"),
    ]
    rows = [
        make_row(
            question=question(),
            output="word " * 60,
            bucket=bucket,
            source=source.format(number // (1 if bucket == "tickets" else 5)),
            source_hash="h" * 64,
            style="correct",
        )
        for bucket, count, source in kinds
        for number in range(count)
    ]
    started = time.process_time()
    merged = merge(rows, Dataset(), ["how do i archive many issues"] * 10)
    seconds = time.process_time() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{len(rows)} {len(merged.rows)} {seconds:.2f} {peak:.2f}")


def merge_table() -> None:
    """Processor time and memory of merges of growing size, each in a process of its own."""
    print("| tickets | rows in | rows used | seconds of processor | GiB | seconds, ratio |")
    print("| --: | --: | --: | --: | --: | --: |")
    last = 0.0
    for tickets in (12_500, 25_000, 50_000, 100_000):
        done = subprocess.run(
            [sys.executable, __file__, str(tickets)], capture_output=True, text=True, check=True
        )
        into, used, seconds, peak = done.stdout.split()
        ratio = f"{float(seconds) / last:.2f}" if last else ""
        last = float(seconds)
        print(f"| {tickets} | {into} | {used} | {seconds} | {peak} | {ratio} |")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        merge_once(int(sys.argv[1]))
    else:
        teacher_table()
        merge_table()
