from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from supportbot_dagster.errors import UserError
from supportbot_dagster.review.candidates import from_records, highlight, to_records
from supportbot_dagster.review.reviewed import COUNTS, Reviewed, apply_verdicts
from supportbot_dagster.review.verdicts import Reviewer, VerdictStore, verdict_on
from supportbot_dagster.synthesis.candidate import Candidate
from supportbot_dagster.synthesis.section import SectionText
from supportbot_dagster.synthesis.teacher import Pair

ANN, BEN = Reviewer("ann", "a" * 32), Reviewer("ben", "b" * 32)
SECTION = SectionText("https://d.example/a.html#x", "h1", ("Guide", "Rename"), "Open **Settings**.")


def candidate(number: int, reason: str = "", section: SectionText = SECTION) -> Candidate:
    pair = Pair(f"Question {number}?", f"Answer {number}.", "Open Settings.", "correct")
    return Candidate(section, pair, reason)


def reviewed(
    candidates: list[Candidate],
    store: VerdictStore,
    *,
    required: bool = False,
    sections: Sequence[SectionText] = (SECTION,),
) -> Reviewed:
    return apply_verdicts(candidates, store.current(), sections, required=required)


def counted(**found: int) -> dict[str, int]:
    return dict.fromkeys(COUNTS, 0) | found


@pytest.fixture
def store(tmp_path: Path) -> VerdictStore:
    return VerdictStore(tmp_path / "deep" / "review.sqlite")


def test_candidates_come_back_as_they_were() -> None:
    other = SectionText("https://d.example/b.html", "h2", ("Other",), "Text.")
    candidates = [candidate(1), candidate(2, "voice"), candidate(3, section=other)]
    assert from_records(to_records(candidates)) == candidates


def test_the_key_is_the_content_and_not_the_address() -> None:
    moved = replace(SECTION, key="https://docs.example/new/a.html#y")
    assert candidate(1).key == candidate(1, "voice", moved).key
    assert candidate(1).key != candidate(2).key
    assert candidate(1).key != candidate(1, section=replace(SECTION, content_hash="h2")).key
    assert len(candidate(1).key) == 32


@pytest.mark.parametrize(
    ("markdown", "evidence", "marked"),
    [
        ("Open **Settings > General** now.", "open settings general", "Open **Settings > General"),
        (
            "See [the page](https://x.example/a) first.",
            "the page first",
            "the page](https://x.example/a) first",
        ),
        ("Nothing here.", "Something else", None),
        ("Nothing here.", "", None),
    ],
)
def test_evidence_is_found_through_markup(markdown: str, evidence: str, marked: str | None) -> None:
    pieces = highlight(markdown, evidence)
    assert "".join(text for text, _ in pieces) == markdown
    assert [text for text, quoted in pieces if quoted] == ([marked] if marked else [])


def test_verdicts_decide_over_filters(store: VerdictStore) -> None:
    candidates = [candidate(1), candidate(2), candidate(3, "voice"), candidate(4)]
    store.give([verdict_on(candidates[0], "keep", ANN), verdict_on(candidates[1], "reject", ANN)])
    store.give([verdict_on(candidates[2], "edit", BEN, "Better?", "Better answer.")])
    done = reviewed(candidates, store)
    assert [one.reason for one in done.candidates] == ["", "rejected by hand", "", ""]
    assert done.candidates[2].pair.question == "Better?"
    assert done.candidates[2].pair.answer == "Better answer."
    assert done.counts == counted(kept=1, edited=1, rejected=1, waiting=1)
    assert done.kept_share == pytest.approx(2 / 3)
    required = reviewed(candidates, store, required=True)
    assert required.candidates[3].reason == "not reviewed yet"


def test_a_verdict_on_a_section_that_changed_is_orphaned(store: VerdictStore) -> None:
    store.give([verdict_on(candidate(1), "keep", ANN)])
    changed = replace(SECTION, content_hash="h2")
    done = reviewed([candidate(1, section=changed)], store, required=True, sections=[changed])
    assert done.counts == counted(orphaned=1, waiting=1)
    assert done.candidates[0].reason == "not reviewed yet"
    assert done.kept_share is None


def test_verdicts_outlive_another_address_of_the_docs(store: VerdictStore) -> None:
    store.give([verdict_on(candidate(1), "keep", ANN), verdict_on(candidate(2), "reject", ANN)])
    moved = replace(SECTION, key="https://new.example/a.html#x")
    found = [candidate(1, section=moved), candidate(2, section=moved)]
    done = reviewed(found, store, required=True, sections=[moved])
    assert [(one.section.key, one.reason) for one in done.candidates] == [
        (moved.key, ""),
        (moved.key, "rejected by hand"),
    ]
    assert done.counts == counted(kept=1, rejected=1)


def test_approved_words_train_though_another_teacher_says_others(store: VerdictStore) -> None:
    other = replace(SECTION, key="https://d.example/b.html", content_hash="h9")
    store.give([verdict_on(candidate(1), "keep", ANN)])
    store.give([verdict_on(candidate(2), "edit", ANN, "How is it renamed?", "By Settings.")])
    store.give([verdict_on(candidate(3), "reject", ANN)])
    made = [candidate(7, section=other), candidate(8)]
    done = reviewed(made, store, required=True, sections=[SECTION, other])
    trained = [one for one in done.candidates if not one.reason]
    assert [(one.pair.question, one.pair.answer, one.pair.style) for one in trained] == [
        ("Question 1?", "Answer 1.", "correct"),
        ("How is it renamed?", "By Settings.", "correct"),
    ]
    assert {one.section for one in trained} == {SECTION}
    assert done.candidates[-1].section == other, "in the order of the sections"
    assert done.counts == counted(kept=1, edited=1, from_stored_words=2, waiting=2, unused=1)
    assert done.restored == [candidate(1), candidate(2)], "the page shows them"
    again = reviewed([*made, *done.restored], store, sections=[SECTION, other])
    assert again.counts["from_stored_words"] == 0


def test_the_teachers_pair_gives_way_to_an_approved_one_that_asks_the_same(
    store: VerdictStore,
) -> None:
    store.give([verdict_on(candidate(1), "keep", ANN)])
    copied = Pair("question 1", "Another answer.", "Open Settings.", "casual")
    done = reviewed([Candidate(SECTION, copied)], store)
    assert [one.reason for one in done.candidates] == ["near copy of an approved question", ""]
    assert done.counts == counted(kept=1, from_stored_words=1)


def test_a_section_at_two_addresses_trains_once(store: VerdictStore) -> None:
    twin = replace(SECTION, key="https://d.example/twin.html#x")
    store.give([verdict_on(candidate(1, section=twin), "keep", ANN)])
    made = [candidate(1), candidate(1, "near copy of another section's question", twin)]
    done = reviewed(made, store, sections=[SECTION, twin])
    assert [not one.reason for one in done.candidates] == [True, False]
    assert done.counts == counted(kept=1)


# A file of the first format ----------------------------------------------------------------------

FIRST_FORMAT = """
CREATE TABLE verdicts (
    id INTEGER PRIMARY KEY AUTOINCREMENT, step TEXT NOT NULL, candidate TEXT NOT NULL,
    section TEXT NOT NULL, section_hash TEXT NOT NULL,
    decision TEXT NOT NULL CHECK (decision IN ('keep', 'edit', 'reject')),
    question TEXT NOT NULL, answer TEXT NOT NULL, reviewer TEXT NOT NULL, given_at TEXT NOT NULL,
    undone INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX of_candidate ON verdicts (candidate, undone);
CREATE INDEX of_reviewer ON verdicts (reviewer, undone);
"""


def given_before(path: Path, *verdicts: tuple[Candidate, str, str, str]) -> VerdictStore:
    """A file as the first format was written: candidate, decision, question and answer."""
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path)
    connection.executescript(FIRST_FORMAT)
    for one, decision, question, answer in verdicts:
        connection.execute(
            "INSERT INTO verdicts (step, candidate, section, section_hash, decision, question, "
            "answer, reviewer, given_at) VALUES ('s', ?, ?, ?, ?, ?, ?, 'ann', '2026-01-01')",
            (
                one.former_key,
                one.section.key,
                one.section.content_hash,
                decision,
                question,
                answer,
            ),
        )
    connection.commit()
    connection.close()
    return VerdictStore(path)


def test_a_file_of_the_first_format_is_read_and_brought_on(tmp_path: Path) -> None:
    path = tmp_path / "review.sqlite"
    words = [(f"Question {n}?", f"Answer {n}.") for n in range(4)]
    store = given_before(
        path,
        (candidate(1), "keep", *words[1]),
        (candidate(2), "reject", *words[2]),
        (candidate(3), "keep", *words[3]),
        (candidate(3), "edit", "Better?", "Better answer."),
    )
    found = [candidate(n) for n in (1, 2, 3)]
    for _ in ("as it was", "after it was written to"):
        done = reviewed(found, store, required=True)
        assert [one.reason for one in done.candidates] == ["", "rejected by hand", ""]
        assert done.candidates[2].pair.answer == "Better answer."
        assert done.counts == counted(kept=1, edited=1, rejected=1)
        store.check_writable()
    assert store.undo("", {one.key for one in found}) == [], "nobody knows whose they are"
    moved = replace(SECTION, key="https://new.example/a.html#x")
    made = [candidate(n, section=moved) for n in (1, 2, 3)]
    there = reviewed(made, store, sections=[moved])
    assert there.counts["rejected"] == 1
    assert [one.pair.answer for one in there.candidates if one.pair.style == "by hand"] == [
        "Better answer."
    ]
    changed = [candidate(3, section=replace(SECTION, content_hash="h2"))]
    assert reviewed(changed, store, sections=[changed[0].section]).counts["orphaned"] == 3
    store.give([verdict_on(candidate(3), "reject", BEN), verdict_on(candidate(1), "reject", BEN)])
    assert reviewed(found, store).counts == counted(rejected=3)
    store.undo(BEN.id, {candidate(3).key})
    assert reviewed(found, store).counts == counted(kept=1, edited=1, rejected=1)


def test_a_file_of_a_later_format_is_refused(store: VerdictStore) -> None:
    store.give([verdict_on(candidate(1), "keep", ANN)])
    connection = sqlite3.connect(store._path)
    connection.execute("PRAGMA user_version = 3")
    connection.close()
    for act in (store.current, store.check_writable):
        with pytest.raises(UserError, match=r"are of format 3, and this version reads up to 2"):
            act()


def test_what_was_typed_of_a_rejected_pair_is_kept_and_changes_nothing(
    store: VerdictStore,
) -> None:
    store.give([verdict_on(candidate(1), "reject", ANN)])
    before = store.version()
    store.give([verdict_on(candidate(1), "reject", ANN, "A note", "of mine.")])
    assert store.version() == before
    (verdict,) = store.current().values()
    assert (verdict.question, verdict.answer) == ("A note", "of mine.")
    (done,) = reviewed([candidate(1)], store).candidates
    assert done.pair == candidate(1).pair


def test_undo_takes_back_ones_own_last_step_alone(store: VerdictStore) -> None:
    one, two = candidate(1), candidate(2)
    store.give([verdict_on(one, "keep", ANN)])
    store.give([verdict_on(one, "reject", BEN)])
    store.give([verdict_on(one, "reject", ANN), verdict_on(two, "reject", ANN)])
    shown = {one.key, two.key}
    assert store.undo(ANN.id, {"another month's"}) == []
    assert store.undo(ANN.id, shown) == [one.key, two.key]
    assert store.current()[one.key].reviewer == "ben"
    assert two.key not in store.current()
    assert store.undo(BEN.id, shown) == [one.key]
    assert store.current()[one.key].decision == "keep"
    assert store.undo(BEN.id, shown) == []


def test_the_version_follows_what_counts(store: VerdictStore) -> None:
    assert store.version() == "none"
    store.give([verdict_on(candidate(1), "keep", ANN)])
    first = store.version()
    store.give([verdict_on(candidate(2), "reject", ANN)])
    assert store.version() not in {"none", first}
    store.undo(ANN.id, {candidate(2).key})
    assert store.version() == first


def test_reviewers_at_once_lose_nothing(store: VerdictStore) -> None:
    def review(name: str, numbers: range) -> None:
        for number in numbers:
            store.give([verdict_on(candidate(number), "keep", Reviewer(name, name))])

    threads = [
        threading.Thread(target=review, args=(f"r{n}", range(n * 15, n * 15 + 15)))
        for n in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(store.current()) == {candidate(number).key for number in range(90)}


def test_a_file_without_its_table_holds_no_verdict_and_a_broken_one_is_told(
    tmp_path: Path,
) -> None:
    born = tmp_path / "review.sqlite"
    born.touch()
    assert VerdictStore(born).current() == {}
    born.write_bytes(b"no database at all " * 99)
    with pytest.raises(UserError, match=r"review\.sqlite cannot be read") as caught:
        VerdictStore(born).current()
    assert "\n" not in str(caught.value)


def test_a_place_that_cannot_be_written_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    (tmp_path / "folder").mkdir()
    broken = tmp_path / "broken.sqlite"
    broken.write_bytes(b"no database at all " * 99)
    for path in (tmp_path / "file" / "review.sqlite", tmp_path / "folder", broken):
        store = VerdictStore(path)
        for act in (
            store.check_writable,
            lambda store=store: store.give([verdict_on(candidate(1), "keep", ANN)]),
            lambda store=store: store.undo(ANN.id, set()),
        ):
            with pytest.raises(UserError, match=r"cannot be written \(.*Mend the perm") as caught:
                act()
            assert str(path) in str(caught.value)
            assert "\n" not in str(caught.value)


def test_a_file_that_may_only_be_read_is_told_in_one_line(store: VerdictStore) -> None:
    store.give([verdict_on(candidate(1), "keep", ANN)])
    connect = sqlite3.connect

    def read_only(path: Path, **options: Any) -> sqlite3.Connection:
        return connect(f"file:{path}?mode=ro", uri=True, **options)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sqlite3, "connect", read_only)
        assert len(store.current()) == 1
        with pytest.raises(UserError, match=r"cannot be written .*readonly database"):
            store.give([verdict_on(candidate(2), "keep", ANN)])
    assert len(store.current()) == 1


def test_opening_the_page_makes_the_file_and_no_verdict(store: VerdictStore) -> None:
    store.check_writable()
    assert store.current() == {}
    assert store.version() == "none"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"markdown": None}, "line 1 of the candidates is damaged (TypeError in 'markdown')"),
        ({"heading_path": 7}, "TypeError"),
        ({"pairs": [{"question": "x"}]}, "KeyError 'answer'"),
        ({"pairs": ["x"]}, "TypeError"),
    ],
)
def test_candidates_that_are_damaged_are_told_with_their_line(
    changes: dict[str, Any], said: str
) -> None:
    (record,) = to_records([candidate(1)])
    with pytest.raises(UserError) as caught:
        from_records([{**record, **changes}])
    assert said in str(caught.value)
    assert "Materialize synthesized_pairs for that month again." in str(caught.value)
