"""The embedded sample holds what the project promises of it."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from rapidfuzz import fuzz

import supportbot_dagster
from supportbot_dagster.crawl import crawl
from supportbot_dagster.dataset.merge import PROBE_SIMILARITY
from supportbot_dagster.dataset.rows import normalized_question
from supportbot_dagster.evaluation.probes import load_probes
from supportbot_dagster.product import load_product, sample_product_file
from supportbot_dagster.refusals.rows import build_refusal_rows
from supportbot_dagster.sample.server import PUBLIC_BASE, serve_sample_site
from supportbot_dagster.synthesis.pairs import Synthesis, synthesize
from supportbot_dagster.synthesis.prompt import TeacherReply
from supportbot_dagster.synthesis.section import sections_of
from supportbot_dagster.synthesis.teacher import RecordedTeacher, RuleTeacher, load_recordings

SAMPLE = Path(supportbot_dagster.__file__).parent / "sample"
PRODUCT = load_product(sample_product_file())
RESERVED = re.compile(r"(?:^|\.)(?:example|test|invalid|localhost|example\.(?:com|net|org))$")
EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)*\.\w+", re.UNICODE)


@pytest.fixture(scope="module")
def pages() -> list[dict[str, Any]]:
    """The sample's site, crawled over real HTTP."""
    with serve_sample_site() as url:
        return [page.to_dict() for page in crawl(url, public_base=PUBLIC_BASE).pages]


@pytest.fixture(scope="module")
def recordings() -> dict[str, TeacherReply]:
    return load_recordings(SAMPLE / "teacher")


@pytest.fixture(scope="module")
def synthesis(
    pages: Sequence[Mapping[str, Any]], recordings: Mapping[str, TeacherReply]
) -> Synthesis:
    return synthesize(pages, RecordedTeacher(recordings, RuleTeacher(), "sample"))


@pytest.fixture(scope="module")
def export() -> dict[str, Any]:
    value: dict[str, Any] = json.loads((SAMPLE / "tickets.json").read_text(encoding="utf-8"))
    return value


def customers_messages(export: Mapping[str, Any]) -> Iterator[str]:
    for ticket in export["tickets"]:
        yield ticket["subject"]
        for comment in ticket["comments"]:
            if comment["author_id"] == ticket["requester_id"]:
                yield comment["body"]


def test_the_site_has_pages_and_sections(pages: Sequence[Mapping[str, Any]]) -> None:
    assert len(pages) >= 45
    assert len({page["url"] for page in pages}) == len(pages)
    assert all(page["url"].startswith(PUBLIC_BASE) for page in pages)
    assert sum(len(page["sections"]) for page in pages) >= 200


def test_there_are_enough_tickets_of_every_kind(export: Mapping[str, Any]) -> None:
    tickets = export["tickets"]
    assert len(tickets) >= 400
    assert len({ticket["id"] for ticket in tickets}) == len(tickets)
    resolved = [ticket for ticket in tickets if ticket["status"] in ("solved", "closed")]
    assert len(resolved) >= 400
    assert any(len(ticket["comments"]) > 3 for ticket in resolved)
    tags = Counter(tag for ticket in tickets for tag in ticket["tags"])
    assert all(tags[tag] >= 10 for tag in PRODUCT.tickets.account_tags), tags
    people = {person["id"] for person in export["users"]}
    assert all(ticket["requester_id"] in people for ticket in tickets)


def test_every_recording_belongs_to_a_section_that_the_crawl_finds(
    pages: Sequence[Mapping[str, Any]], recordings: Mapping[str, TeacherReply]
) -> None:
    hashes = {section.content_hash for section in sections_of(pages)}
    stale = sorted(set(recordings) - hashes)
    assert stale == [], "record these sections again: their text has changed"
    assert sum(len(reply.questions) for reply in recordings.values()) >= 500


def test_a_changed_article_would_make_its_recording_stale(
    pages: Sequence[Mapping[str, Any]], recordings: Mapping[str, TeacherReply], tmp_path: Path
) -> None:
    place = tmp_path / "help" / "issues" / "labels.html"
    place.parent.mkdir(parents=True)
    original = (SAMPLE / "site" / "help" / "issues" / "labels.html").read_text(encoding="utf-8")

    def hashes(text: str) -> set[str]:
        place.write_text(text, encoding="utf-8")
        with serve_sample_site(site_dir=tmp_path) as url:
            crawled = crawl(url, public_base=PUBLIC_BASE).pages
        return {section.content_hash for page in crawled for section in page.sections}

    known = hashes(original) & set(recordings)
    assert known, "the sections of one article are recorded"
    changed = original.replace("label", "tag").replace("Label", "Tag")
    assert not known <= hashes(changed)


def test_the_recorded_pairs_pass_the_filters(
    synthesis: Synthesis,
    pages: Sequence[Mapping[str, Any]],
    recordings: Mapping[str, TeacherReply],
) -> None:
    recorded = {one.key for one in sections_of(pages) if one.content_hash in recordings}
    assert sum(row.evidence in recorded for row in synthesis.rows) >= 500
    rejected = Counter(item.reason for item in synthesis.rejected if item.section in recorded)
    # Two sections or two wordings may happen to ask the same, and a customer may have words that
    # no section has; no answer may be faulty.
    assert set(rejected) <= {
        "near copy of another phrasing",
        "near copy of another section's question",
        "question not answered here",
    }
    assert rejected["question not answered here"] < 0.001 * len(synthesis.rows)
    assert rejected.total() < 0.01 * len(synthesis.rows)
    assert {"correct", "casual", "typo", "search"} <= {row.style for row in synthesis.rows}


def test_links_in_agents_replies_lead_to_sections_of_the_docs(
    pages: Sequence[Mapping[str, Any]], export: Mapping[str, Any]
) -> None:
    known = {section.key for section in sections_of(pages)} | {page["url"] for page in pages}
    link = re.compile(rf"{re.escape(PUBLIC_BASE)}[^\s)>\]\"']*")
    found = {
        text.rstrip(".,;:!?")
        for ticket in export["tickets"]
        for comment in ticket["comments"]
        if comment["public"] and comment["author_id"] != ticket["requester_id"]
        for text in link.findall(comment["body"])
    }
    assert len(found) >= 50
    assert sorted(found - known) == []


def test_probes_point_to_sections_and_are_in_no_teacher_ticket_or_refusal_question(
    pages: Sequence[Mapping[str, Any]],
    recordings: Mapping[str, TeacherReply],
    export: Mapping[str, Any],
) -> None:
    probes = load_probes(PRODUCT)
    keys = {section.key for section in sections_of(pages)}
    for probe in probes:
        page, _, anchor = probe.section.partition("#")
        assert not page or f"{PUBLIC_BASE}{page}.html#{anchor}" in keys, probe.id
    questions = [
        *(item.question for reply in recordings.values() for item in reply.questions),
        *customers_messages(export),
        *(row.question for row in build_refusal_rows(PRODUCT, sections_of(pages)).rows),
    ]
    assert len(questions) > 2000
    assert copies([probe.question for probe in probes], questions) == []


def copies(probes: Sequence[str], questions: Sequence[str]) -> list[tuple[str, str]]:
    texts = [(question, normalized_question(question)) for question in questions]
    return [
        (probe, question)
        for probe in probes
        for question, text in texts
        if fuzz.token_sort_ratio(normalized_question(probe), text, score_cutoff=PROBE_SIMILARITY)
    ]


def test_a_planted_probe_would_be_found() -> None:
    asked = "How do I bulk-archive issues?"
    assert copies([asked], ["how do i bulk archive isues", "How do I bulk-delete issues?"]) == [
        (asked, "how do i bulk archive isues")
    ]


def test_no_refusal_is_a_heading_of_the_docs(pages: Sequence[Mapping[str, Any]]) -> None:
    left_out = build_refusal_rows(PRODUCT, sections_of(pages)).left_out
    assert "the docs have this very heading" not in left_out


def test_every_e_mail_address_is_on_a_reserved_domain() -> None:
    found: dict[str, set[str]] = {}
    for path in SAMPLE.rglob("*"):
        if path.is_file() and path.suffix in (".json", ".jsonl", ".yaml", ".html", ".j2"):
            found[path.name] = foreign(path.read_text(encoding="utf-8"))
    assert len(found) > 50
    assert {name: addresses for name, addresses in found.items() if addresses} == {}


def foreign(text: str) -> set[str]:
    # In JSON a new line is the two characters \n, which would stick to an address.
    plain = re.sub(r"\\[nrt]", " ", text)
    return {
        address
        for address in EMAIL.findall(plain)
        if not RESERVED.search(address.rpartition("@")[2].lower().rstrip("."))
    }


def test_a_real_domain_would_be_found() -> None:
    assert foreign(r'{"body": "write to a@b.example\nme@gmail.com or x@example.org"}') == {
        "me@gmail.com"
    }
    assert foreign("a@myexample.com") == {"a@myexample.com"}
