from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace

import pytest

from supportbot_dagster.dataset import merge as merge_module
from supportbot_dagster.dataset.audit import audit_dataset
from supportbot_dagster.dataset.merge import ANSWERED, Answered, Merged, merge
from supportbot_dagster.dataset.rows import Bucket, Row, make_row
from supportbot_dagster.dataset.splits import split_of
from supportbot_dagster.dataset.withheld import (
    addresses,
    is_withheld,
    names_withheld,
    without_withheld,
)
from supportbot_dagster.errors import UserError
from supportbot_dagster.product import Dataset, Shares, Splits

WORDS = (
    "amber basil cedar delta ember fjord grove heron ivory jade krill lotus maple nylon opal "
    "prism quartz raven sable tulip umber velvet willow xenon yarrow zephyr anchor bridge candle "
    "dolphin engine feather garnet harbor island jacket kettle ladder magnet needle orchid pebble"
).split()


def words(seed: str, count: int = 8) -> str:
    """A question like no other: the same seed gives the same words."""
    return " ".join(random.Random(seed).sample(WORDS, count))


def one(bucket: Bucket, source: str, number: int, question: str = "") -> Row:
    return make_row(
        question=question or words(f"{bucket} {source} {number}"),
        output=f"Answer of {source}.",
        bucket=bucket,
        source=source,
        source_hash="h",
        style="correct",
    )


def docs(pages: int = 10, each: int = 6) -> list[Row]:
    return [one("docs", f"https://d.example/{p}.html#s{n % 2}", n) for p in range(pages)
            for n in range(each)]  # fmt: skip


def tickets(threads: int = 150) -> list[Row]:
    return [one("tickets", f"thread-{number}", 0) for number in range(threads)]


def refusals(families: int = 40, each: int = 5) -> list[Row]:
    return [one("refusals", f"pricing/f{f}", n) for f in range(families) for n in range(each)]


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return [*docs(), *tickets(), *refusals()]


SETTINGS = Dataset(target_rows=400, shares=Shares(docs=0.1, tickets=0.4, refusals=0.5))


def splits_by_source(merged: Merged) -> dict[tuple[str, str], set[str]]:
    groups: dict[tuple[str, str], set[str]] = defaultdict(set)
    for row in merged.rows:
        groups[row.bucket, row.source].add(row.split)
    return groups


def test_a_section_a_thread_and_a_family_are_whole_in_one_split(rows: list[Row]) -> None:
    merged = merge(rows, SETTINGS)
    groups = splits_by_source(merged)
    assert all(len(splits) == 1 for splits in groups.values())
    assert {row.split for row in merged.rows if row.bucket == "docs"} == {"train"}
    for bucket in ("tickets", "refusals"):
        found = {row.split for row in merged.rows if row.bucket == bucket}
        assert found == {"train", "validation", "calibration", "test"}


def test_a_split_by_row_would_show(rows: list[Row], monkeypatch: pytest.MonkeyPatch) -> None:
    def by_row(kept: Sequence[Row], settings: Dataset, withheld: frozenset[str]) -> list[Row]:
        return [row.in_split(split_of(row.id, settings.splits, settings.seed)) for row in kept]

    monkeypatch.setattr(merge_module, "_split", by_row)
    merged = merge(rows, SETTINGS)
    assert any(len(splits) > 1 for splits in splits_by_source(merged).values())
    assert any("stands in" in problem for problem in audit_dataset(merged.rows))


def test_a_source_keeps_its_split_whatever_comes_or_goes(rows: list[Row]) -> None:
    before = splits_by_source(merge(rows, SETTINGS))
    more = [*rows, *(one("tickets", f"new-{n}", 0) for n in range(60))]
    random.Random(1).shuffle(more)
    larger = Dataset(target_rows=600, shares=SETTINGS.shares)
    for changed in (merge(more, larger), merge(rows[::2], SETTINGS)):
        after = splits_by_source(changed)
        shared = before.keys() & after.keys()
        assert len(shared) > 50
        assert all(before[key] == after[key] for key in shared)


def test_the_order_of_the_rows_does_not_matter(rows: list[Row]) -> None:
    shuffled = rows.copy()
    random.Random(2).shuffle(shuffled)
    assert merge(shuffled, SETTINGS).rows == merge(rows, SETTINGS).rows


def test_another_seed_splits_otherwise(rows: list[Row]) -> None:
    other = merge(rows, SETTINGS.model_copy(update={"seed": 7}))
    assert splits_by_source(other) != splits_by_source(merge(rows, SETTINGS))


def test_the_held_out_shares_are_about_those_wanted() -> None:
    settings = Dataset(target_rows=4000, shares=Shares(docs=0.1, tickets=0.9, refusals=0))
    merged = merge([*docs(), *tickets(2000)], settings)
    counts = Counter(row.split for row in merged.rows if row.bucket == "tickets")
    total = sum(counts.values())
    assert counts["test"] / total == pytest.approx(0.22, abs=0.03)
    assert counts["calibration"] / total == pytest.approx(0.12, abs=0.03)
    assert counts["validation"] / total == pytest.approx(0.06, abs=0.03)


def test_shares_quotas_and_shortfalls(rows: list[Row]) -> None:
    settings = Dataset(target_rows=200, shares=Shares(docs=0.5, tickets=0.3, refusals=0.2))
    merged = merge(rows, settings)
    docs_count, tickets_count = merged.buckets["docs"], merged.buckets["tickets"]
    assert (docs_count.wanted, docs_count.available, docs_count.used) == (100, 60, 60)
    assert (docs_count.shortfall, docs_count.held_out) == (40, 0)
    assert (tickets_count.wanted, tickets_count.used, tickets_count.shortfall) == (60, 60, 0)
    assert tickets_count.available > 60
    assert merged.buckets["refusals"].used == 40
    train = merged.of("train")
    assert merged.shares == {"docs": 60 / 160, "tickets": 60 / 160, "refusals": 40 / 160}
    assert Counter(row.bucket for row in train) == {
        name: count.used for name, count in merged.buckets.items()
    }
    assert len(rows) == len(merged.rows) + sum(merged.left_out.values())


def test_what_is_held_out_comes_on_top_in_proportion(
    rows: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merge_module, "ENOUGH_HELD_OUT", 0)
    settings = Dataset(target_rows=200, shares=Shares(docs=0.5, tickets=0.3, refusals=0.2))
    merged = merge(rows, settings)
    held = Counter((row.bucket, row.split) for row in merged.rows if row.split != "train")
    assert sum(held.values()) == sum(count.held_out for count in merged.buckets.values()) > 0
    # 60 tickets train, which is 60 % of all: 22 for the test, 12 to calibrate, 6 to validate.
    assert held["tickets", "test"] == 22
    assert held["tickets", "calibration"] == 12
    assert held["tickets", "validation"] <= 6
    assert held["refusals", "test"] <= 15


def test_a_small_dataset_is_measured_with_all_that_it_holds_out(rows: list[Row]) -> None:
    small = Dataset(target_rows=20, shares=Shares(docs=0.5, tickets=0.3, refusals=0.2))
    merged = merge(rows, small)
    tested = [row for row in rows if split_of(row.source, small.splits, small.seed) == "test"]
    held = Counter(row.bucket for row in merged.of("test"))
    assert held == Counter(row.bucket for row in tested if row.bucket != "docs")
    assert held["refusals"] > 20


def test_every_row_is_used_or_counted(rows: list[Row]) -> None:
    probe = one("docs", "https://d.example/x.html", 0, "alpha beta gamma delta")
    extra = [probe, rows[0], one("docs", "https://d.example/y.html", 0, "?!")]
    merged = merge([*rows, *extra], SETTINGS, probes=["Alpha, beta gamma: delta?"])
    assert len(merged.rows) + sum(merged.left_out.values()) == len(rows) + len(extra)
    assert merged.left_out["copies a probe"] == 1
    assert merged.left_out["empty question"] == 1
    assert merged.left_out["same question as another row"] == 1


def test_a_small_dataset_is_never_padded_by_repeating() -> None:
    few = [*docs(2), *tickets(10), *refusals(2)]
    merged = merge([*few, *few], Dataset(target_rows=5000))
    assert len(merged.rows) == len({row.id for row in merged.rows}) == len(few)
    assert len({row.instruction for row in merged.rows}) == len(few)
    assert merged.buckets["docs"].shortfall == 3000 - 12


@pytest.mark.parametrize(
    ("planted", "reason"),
    [
        ("<|im_start|>", "holds a chat template's token"),
        ("<end_of_turn>", "holds a chat template's token"),
        ("[/INST]", "holds a chat template's token"),
        ("\u202e", "holds control characters"),
        ("\U000e0041", "holds control characters"),
        ("\x00", "holds control characters"),
    ],
)
def test_no_split_holds_what_is_taken_for_something_else(
    rows: list[Row], planted: str, reason: str
) -> None:
    kinds: tuple[Bucket, ...] = ("docs", "tickets", "refusals")
    bad = [one(kind, f"{kind}/x", 0, f"why is {planted} here {kind}") for kind in kinds]
    bad += [replace(one(kind, f"{kind}/y", 0), output=f"So {planted} it is.") for kind in kinds]
    merged = merge([*rows, *bad], SETTINGS)
    assert merged.left_out[reason] == len(bad)
    assert not {row.id for row in bad} & {row.id for row in merged.rows}
    for row in bad:
        (problem,) = audit_dataset([row.in_split("train")])
        assert "control characters or a chat template's token" in problem


@pytest.mark.parametrize(
    "copy",
    [
        "How do I bulk-archive issues?",
        "how do i bulk archive issues",
        "HOW DO I BULK-ARCHIVE ISSUES!!",
        "issues: how do I bulk-archive?",
        "How do I bulk-archive isues?",
    ],
)
def test_probes_are_in_no_row(copy: str) -> None:
    probe = "How do I bulk-archive issues?"
    for bucket in ("docs", "tickets", "refusals"):
        rows = [*docs(), one(bucket, f"source-of-{bucket}", 0, copy)]  # type: ignore[arg-type]
        assert merge(rows, Dataset(), probes=[probe]).left_out == {"copies a probe": 1}
        assert copy in {row.question for row in merge(rows, Dataset()).rows}, "the filter did it"


def test_a_near_miss_of_a_probe_stays() -> None:
    rows = [*docs(), one("docs", "https://d.example/x.html", 0, "How do I bulk-delete issues?")]
    assert merge(rows, Dataset(), probes=["How do I bulk-archive issues?"]).left_out == {}


def held_out_and_copies() -> tuple[Row, list[Row]]:
    """A held-out ticket and docs questions that nearly copy it."""
    question = "where can i export all of my issues as a csv file"
    thread = next(
        f"thread-{number}"
        for number in range(1000)
        if split_of(f"thread-{number}", Splits(), 0) == "test"
    )
    copies = (
        "Where can I export all of my issues as a CSV file?",
        "where can i export all my issues as a csv file",
        "export all of my issues as a csv file where can i",
        "were can i exprt all of my isues as a csv fle",
    )
    return one("tickets", thread, 0, question), [
        one("docs", f"https://d.example/copy{number}.html", 0, text)
        for number, text in enumerate(copies)
    ]


def test_training_rows_that_nearly_copy_a_held_out_question_are_dropped() -> None:
    held, copies = held_out_and_copies()
    merged = merge([*copies[1:], *docs(), held], Dataset())
    assert held.id in {row.id for row in merged.of("test")}
    assert merged.left_out == {"nearly copies a held-out question": 3}
    exact = merge([held, *docs(), *copies[:1]], Dataset())
    assert exact.left_out == {"same question as another row": 1}


def test_copies_would_stay_without_the_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    held, copies = held_out_and_copies()
    monkeypatch.setattr(merge_module.Questions, "find", lambda self, text, prepared=None: None)
    merged = merge([held, *docs(), *copies[1:]], Dataset())
    assert {row.id for row in copies[1:]} <= {row.id for row in merged.of("train")}


def test_a_copy_misspelt_in_every_word_is_dropped() -> None:
    thread = held_out_and_copies()[0].source
    held = one("tickets", thread, 0, "exporting milestones automatically")
    copy = one("docs", "https://d.example/x.html", 0, "exportin milestons automaticaly")
    assert merge([held, copy, *docs()], Dataset()).left_out == {
        "nearly copies a held-out question": 1
    }


def test_two_sources_do_not_train_the_same_question_and_one_may_phrase_it_twice() -> None:
    text = "where can i export all of my issues as a csv file"
    own = [
        one("docs", "https://d.example/x.html#a", 0, text),
        one("docs", "https://d.example/x.html#a", 0, text.replace("issues", "isues")),
    ]
    merged = merge([*own, *docs()], Dataset())
    assert {row.id for row in own} <= {row.id for row in merged.of("train")}
    thread = next(
        f"thread-{number}"
        for number in range(1000)
        if split_of(f"thread-{number}", Splits(), 0) == "train"
    )
    other = one("tickets", thread, 0, text.replace("file", "files"))
    merged = merge([*own, *docs(), other], Dataset())
    assert merged.left_out == {"nearly copies another row": 1}
    assert other.id not in {row.id for row in merged.rows}


def test_a_quota_is_filled_past_rows_that_are_passed_over() -> None:
    held, copies = held_out_and_copies()
    settings = Dataset(target_rows=10, shares=Shares(docs=1, tickets=0, refusals=0))
    many = merge([held, *docs(), *copies[1:]], settings.model_copy(update={"target_rows": 60}))
    assert many.buckets["docs"].used == 60
    few = merge([held, *docs(), *copies[1:]], settings)
    assert few.buckets["docs"].used == 10


def test_short_questions_are_compared_exactly() -> None:
    thread = held_out_and_copies()[0].source
    held = one("tickets", thread, 0, "export issues")
    near = one("docs", "https://d.example/x.html", 0, "export issue")
    assert merge([held, near, *docs()], Dataset()).left_out == {}


def test_without_docs_to_train_on_nothing_is_made() -> None:
    with pytest.raises(UserError, match=r"no docs row to train on\. Check the row tables"):
        merge([*tickets(), *refusals()], SETTINGS)


def test_withheld_sections_are_asked_about_and_train_nowhere() -> None:
    settings = SETTINGS.model_copy(update={"withheld": 0.4})
    sections = [f"https://d.example/{page}.html#s" for page in range(10)]
    rows = [
        *(
            replace(one("docs", key, number), output=f"{words(key, 5)} is how.")
            for key in sections
            for number in range(8)
        ),
        *(
            replace(
                one("tickets", f"linked {key}", 0), output=f"See {words(key, 5)}.", evidence=key
            )
            for key in sections
        ),
        *(
            replace(one("tickets", f"unlinked {key}", 0), output=f"Well, {words(key, 5)} it is.")
            for key in sections
        ),
        *refusals(),
    ]
    merged = merge(rows, settings)
    assert 1 <= len(merged.withheld) < 10
    asked = [row for row in merged.rows if row.source in merged.withheld]
    assert {row.split for row in asked} == {"test"}
    assert set(Counter(row.source for row in asked).values()) == {merge_module.WITHHELD_QUESTIONS}
    threads = {row.source for row in merged.rows if row.bucket == "tickets"}
    assert threads == {
        f"{kind} {key}"
        for key in sections
        if key not in merged.withheld
        for kind in ("linked", "unlinked")
    }
    assert merged.left_out["about a withheld docs section"] == 2 * len(merged.withheld)
    assert audit_dataset(merged.rows) == []


LEAD = "https://d.example/help/a.html"
FIRST, SECOND = f"{LEAD}#first", f"{LEAD}#second"
BARE = "https://d.example/help/b.html"
ALONE = f"{BARE}#alone"


@pytest.mark.parametrize(
    ("evidence", "output", "about"),
    [
        (FIRST, "Turn the wheel.", FIRST),
        (LEAD, "Turn the green wheel first.", FIRST),
        (LEAD, "Click the blue lamp.", SECOND),
        (LEAD, "A tour of lamps and wheels.", LEAD),
        (f"{LEAD}#gone", "Turn the green wheel.", FIRST),
        (LEAD.replace("https", "http") + "/", "Turn the green wheel.", FIRST),
        (f"{LEAD}?lang=en#first", "Click.", FIRST),
        (f"{LEAD}#fir%73t", "Click.", FIRST),
        (BARE, "Nothing alike.", ALONE),
        ("https://d.example/help/gone.html", "Turn the green wheel.", FIRST),
        ("", "Turn the green wheel.", FIRST),
        ("", "Nothing alike.", ""),
    ],
)
def test_the_section_that_a_ticket_is_about(evidence: str, output: str, about: str) -> None:
    taught = {
        LEAD: "A tour of lamps and wheels.",
        FIRST: "Turn the green wheel.",
        SECOND: "Click the blue lamp.",
        ALONE: "Pull red levers.",
    }
    rows = [replace(one("docs", key, 0), output=text) for key, text in taught.items()]
    ticket = replace(one("tickets", "thread", 0), output=output, evidence=evidence)
    left_out = {
        key for key in taught if without_withheld([ticket], rows, frozenset({key})) != [ticket]
    }
    assert left_out == ({about} if about else set())


def test_a_page_of_which_any_section_may_be_meant_is_held_to_mean_the_withheld() -> None:
    rows = [replace(one("docs", key, 0), output="Turn the wheel.") for key in (FIRST, SECOND)]
    ticket = replace(one("tickets", "thread", 0), output="Nothing alike.", evidence=LEAD)
    for key in (FIRST, SECOND):
        assert without_withheld([ticket], rows, frozenset({key})) == []


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("see d.example/help/a.html#first; else write", True),
        ("See https://d.example/help/a.html#first.", True),
        ("[this](http://D.example/help/a.html#first)", True),
        ("See d.example/help/a.html#first-steps.", False),
        ("See d.example/help/a.html.", False),
        ("See https://[x#first and C#first", False),
    ],
)
def test_an_answer_that_names_a_withheld_section(text: str, named: bool) -> None:
    assert names_withheld(text, addresses([FIRST])) is named
    rows = [replace(one("docs", key, 0), output="Turn the wheel.") for key in (FIRST, SECOND)]
    ticket = replace(one("tickets", "thread", 0), output=text, evidence=SECOND)
    assert (without_withheld([ticket], rows, frozenset({FIRST})) == []) is named


def test_a_refusal_that_names_a_withheld_section_is_left_out() -> None:
    settings = SETTINGS.model_copy(update={"withheld": 0.4})
    sections = [row.source for row in docs()]
    (gone, *_) = merge([*docs(), *refusals()], settings).withheld
    kept = next(key for key in sections if key not in merge(docs(), settings).withheld)
    naming = [
        replace(one("refusals", f"missing_feature/{number}", 0), output=f"No. See {key}; write.")
        for number, key in enumerate((gone, kept))
    ]
    merged = merge([*docs(), *refusals(), *naming], settings)
    assert merged.left_out["names a withheld docs section"] == 1
    assert naming[1].id in {row.id for row in merged.rows}
    (problem,) = audit_dataset([*merged.rows, naming[0].in_split("train")])
    assert problem.endswith("names a withheld section")


def test_when_all_sections_are_withheld_the_setting_is_named() -> None:
    key = next(
        key
        for key in (f"https://d.example/{number}.html#s" for number in range(99))
        if is_withheld(key, 0.3, 0)
    )
    settings = SETTINGS.model_copy(update={"withheld": 0.3})
    with pytest.raises(
        UserError, match=r"all 1 docs sections .*withheld is 0\.3\)\. Lower dataset"
    ):
        merge([one("docs", key, 0), *tickets()], settings)


def test_a_page_s_lead_is_never_withheld_and_by_default_nothing_is(rows: list[Row]) -> None:
    leads = [
        replace(row, source=row.source.partition("#")[0]) if row.bucket == "docs" else row
        for row in rows
    ]
    assert merge(leads, SETTINGS.model_copy(update={"withheld": 0.5})).withheld == ()
    assert merge(rows, SETTINGS).withheld == ()


def test_no_category_of_refusals_goes_without() -> None:
    def styled(style: str, families: int) -> list[Row]:
        return [
            replace(one("refusals", f"{style}/f{family}", number), style=style)
            for family in range(families)
            for number in range(5)
        ]

    rows = [*docs(), *styled("pricing", 200), *styled("safety", 8)]
    settings = Dataset(target_rows=100, shares=Shares(docs=0.5, tickets=0, refusals=0.5))
    trained = Counter(row.style for row in merge(rows, settings).of("train"))
    assert trained["safety"] >= 12  # half of an even division of 50 rows
    assert trained["pricing"] > trained["safety"]


def test_a_rare_category_would_be_drowned_without_the_floor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(merge_module, "FLOOR_SHARE", 0.0)
    with pytest.raises(AssertionError):
        test_no_category_of_refusals_goes_without()


def test_no_split_refuses_what_the_docs_answer() -> None:
    settings = Dataset(target_rows=600)
    asked = "How do I change the address of my workspace?"
    taught = one("docs", "https://d.example/w.html#url", 0, asked)
    sources = {
        split: next(
            source
            for n in range(500)
            if split_of(source := f"pricing/g{n}", settings.splits, settings.seed) == split
        )
        for split in ("train", "validation", "calibration", "test")
    }
    same = [one("refusals", source, 0, asked.lower()) for source in sources.values()]
    near = [
        one("refusals", source, n, f"how do i change the adress of my workspaces {'?' * n}")
        for n, source in enumerate(sources.values())
    ]
    other = [one("refusals", source, 9) for source in sources.values()]
    other.append(one("refusals", "actions/x", 1, "Change the address of my workspace for me"))
    for refused in (same, near):
        # whichever stands first
        for rows in ([*refused, *other, *docs(), taught], [taught, *docs(), *refused, *other]):
            merged = merge(rows, settings)
            assert merged.left_out == {ANSWERED: 4}
            assert {row.id for row in (taught, *other)} <= {row.id for row in merged.rows}
            assert merged.answered[0] == Answered(
                refused[0].question, sources["train"], asked, "https://d.example/w.html#url"
            )


def test_a_ticket_may_ask_what_a_family_refuses() -> None:
    asked = "How do I change the address of my workspace?"
    rows = [*docs(), one("tickets", "thread-x", 0, asked), one("refusals", "pricing/g", 0, asked)]
    assert merge(rows, Dataset()).answered == (), "only the docs are known to be right"
