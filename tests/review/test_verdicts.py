from __future__ import annotations

import sqlite3
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from supportbot_dagster.errors import UserError
from supportbot_dagster.review.candidates import from_records, highlight, to_records
from supportbot_dagster.review.verdicts import VerdictStore, apply_verdicts, verdict_on
from supportbot_dagster.synthesis.candidate import Candidate
from supportbot_dagster.synthesis.section import SectionText
from supportbot_dagster.synthesis.teacher import Pair

SECTION = SectionText("https://d.example/a.html#x", "h1", ("Guide", "Rename"), "Open **Settings**.")


def candidate(number: int, reason: str = "", section: SectionText = SECTION) -> Candidate:
    pair = Pair(f"Question {number}?", f"Answer {number}.", "Open Settings.", "correct")
    return Candidate(section, pair, reason)


@pytest.fixture
def store(tmp_path: Path) -> VerdictStore:
    return VerdictStore(tmp_path / "deep" / "review.sqlite")


def test_candidates_come_back_as_they_were() -> None:
    other = SectionText("https://d.example/b.html", "h2", ("Other",), "Text.")
    candidates = [candidate(1), candidate(2, "voice"), candidate(3, section=other)]
    assert from_records(to_records(candidates)) == candidates


def test_the_key_is_the_content_and_not_the_sections_text() -> None:
    edited = replace(SECTION, content_hash="h2", markdown="Other text.")
    assert candidate(1).key == candidate(1, "voice", edited).key
    assert candidate(1).key != candidate(2).key
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
    store.give(
        [verdict_on(candidates[0], "keep", "ann"), verdict_on(candidates[1], "reject", "ann")]
    )
    store.give([verdict_on(candidates[2], "edit", "ben", "Better?", "Better answer.")])
    done = apply_verdicts(candidates, store.current(), required=False)
    assert [one.reason for one in done.candidates] == ["", "rejected by hand", "", ""]
    assert done.candidates[2].pair.question == "Better?"
    assert done.candidates[2].pair.answer == "Better answer."
    assert done.counts == {"kept": 1, "edited": 1, "rejected": 1, "stale": 0, "waiting": 1}
    assert done.kept_share == pytest.approx(2 / 3)
    required = apply_verdicts(candidates, store.current(), required=True)
    assert required.candidates[3].reason == "not reviewed yet"


def test_a_verdict_is_stale_when_the_section_changed(store: VerdictStore) -> None:
    store.give([verdict_on(candidate(1), "keep", "ann")])
    changed = candidate(1, section=replace(SECTION, content_hash="h2"))
    done = apply_verdicts([changed], store.current(), required=True)
    assert done.counts["stale"] == 1
    assert done.candidates[0].reason == "not reviewed yet"
    assert done.kept_share is None


def test_undo_takes_back_ones_own_last_step_alone(store: VerdictStore) -> None:
    one, two = candidate(1), candidate(2)
    store.give([verdict_on(one, "keep", "ann")])
    store.give([verdict_on(one, "reject", "ben")])
    store.give([verdict_on(one, "reject", "ann"), verdict_on(two, "reject", "ann")])
    shown = {one.key, two.key}
    assert store.undo("ann", {"another month's"}) == []
    assert store.undo("ann", shown) == [one.key, two.key]
    assert store.current()[one.key].reviewer == "ben"
    assert two.key not in store.current()
    assert store.undo("ben", shown) == [one.key]
    assert store.current()[one.key].decision == "keep"
    assert store.undo("ben", shown) == []


def test_the_version_follows_what_counts(store: VerdictStore) -> None:
    assert store.version() == "none"
    store.give([verdict_on(candidate(1), "keep", "ann")])
    first = store.version()
    store.give([verdict_on(candidate(2), "reject", "ann")])
    assert store.version() not in {"none", first}
    store.undo("ann", {candidate(2).key})
    assert store.version() == first


def test_reviewers_at_once_lose_nothing(store: VerdictStore) -> None:
    def review(name: str, numbers: range) -> None:
        for number in numbers:
            store.give([verdict_on(candidate(number), "keep", name)])

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
            lambda store=store: store.give([verdict_on(candidate(1), "keep", "ann")]),
            lambda store=store: store.undo("ann", set()),
        ):
            with pytest.raises(UserError, match=r"cannot be written \(.*Mend the perm") as caught:
                act()
            assert str(path) in str(caught.value)
            assert "\n" not in str(caught.value)


def test_a_file_that_may_only_be_read_is_told_in_one_line(store: VerdictStore) -> None:
    store.give([verdict_on(candidate(1), "keep", "ann")])
    connect = sqlite3.connect

    def read_only(path: Path, **options: Any) -> sqlite3.Connection:
        return connect(f"file:{path}?mode=ro", uri=True, **options)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sqlite3, "connect", read_only)
        assert len(store.current()) == 1
        with pytest.raises(UserError, match=r"cannot be written .*readonly database"):
            store.give([verdict_on(candidate(2), "keep", "ann")])
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
