from __future__ import annotations

import json
from pathlib import Path

import pytest

from supportbot_dagster.dataset.card import (
    CARD,
    SCHEMA,
    card,
    read_split,
    row_schema,
    write_dataset,
)
from supportbot_dagster.dataset.claims import provable_bound, rows_needed
from supportbot_dagster.dataset.merge import Merged, merge
from supportbot_dagster.dataset.rows import SPLITS, Bucket, Row, make_row
from supportbot_dagster.hashing import sha256_text
from supportbot_dagster.jsonl import read_jsonl
from supportbot_dagster.product import Dataset, Product, load_product, sample_product_file

SETTINGS = Dataset(target_rows=200)
INPUTS = {"ticket_pairs": "v-tickets", "synthesized_pairs": "v-docs"}


def one(bucket: Bucket, source: str, number: int) -> Row:
    return make_row(
        question=" ".join(
            sha256_text(f"{bucket}{source}{number}")[i : i + 6] for i in range(0, 42, 6)
        ),
        output='Answer with "quotes", a comma → and naïve letters.',
        bucket=bucket,
        source=source,
        source_hash="h",
        style="correct",
    )


@pytest.fixture(scope="module")
def product() -> Product:
    return load_product(sample_product_file()).model_copy(update={"dataset": SETTINGS})


@pytest.fixture(scope="module")
def merged() -> Merged:
    return merge(
        [
            *(one("docs", f"https://d.example/{n}.html#a", n) for n in range(140)),
            *(one("tickets", f"thread-{n}", n) for n in range(90)),
            *(one("refusals", f"pricing/{n // 3}", n) for n in range(30)),
        ],
        SETTINGS,
    )


@pytest.fixture
def folder(merged: Merged, product: Product, tmp_path: Path) -> Path:
    write_dataset(merged, tmp_path, product, "2026-11", INPUTS)
    return tmp_path


def test_four_splits_and_the_card(folder: Path, merged: Merged) -> None:
    assert {path.name for path in folder.iterdir()} == {
        "train.jsonl", "validation.jsonl", "calibration.jsonl", "test.jsonl", CARD, SCHEMA,
    }  # fmt: skip
    for split in SPLITS:
        assert read_split(folder, split) == merged.of(split)
        assert merged.of(split), "no split of this data is empty"
    assert sum(len(read_split(folder, split)) for split in SPLITS) == len(merged.rows)


def test_the_card_tells_counts_shares_shortfalls_and_what_is_left_out(
    folder: Path, merged: Merged
) -> None:
    text = (folder / CARD).read_text(encoding="utf-8")
    assert "# Tracklight support dataset, 2026-11" in text
    train = len(merged.of("train"))
    assert f"{train} rows to train on of 200 wanted, and {len(merged.rows) - train} held" in text
    assert f"| docs | 120 | 140 | 120 | {120 / train:.0%} | 0 | 0 |" in text
    tickets = merged.buckets["tickets"]
    assert tickets.held_out > 0
    assert f"| tickets | 60 | {tickets.available} | {tickets.used} |" in text
    assert merged.left_out
    for reason, count in merged.left_out.items():
        assert f"| {reason} | {count} |" in text
    counts = [sum(row.bucket == name for row in merged.of("test")) for name in merged.buckets]
    assert f"| test | {' | '.join(map(str, counts))} | {sum(counts)} |" in text


def test_the_same_rows_give_the_same_card(merged: Merged, product: Product) -> None:
    assert card(merged, product, "2026-11", INPUTS) == card(merged, product, "2026-11", INPUTS)
    fewer = Merged(merged.rows[:-1], merged.buckets, merged.left_out)
    assert card(fewer, product, "2026-11", INPUTS) != card(merged, product, "2026-11", INPUTS)


def test_the_card_tells_what_the_held_out_rows_can_prove(folder: Path, merged: Merged) -> None:
    text = (folder / CARD).read_text(encoding="utf-8")
    tickets = sum(row.bucket == "tickets" for row in merged.of("test"))
    bound = provable_bound(tickets)
    assert f"| test | answerable | {tickets} | {bound:.1%} fail |" in text
    assert "To rule out a rate above 2% it takes 149 rows" in text


def test_the_card_names_the_lineage_and_shows_rows_that_no_markup_breaks(
    merged: Merged, product: Product
) -> None:
    text = card(merged, product, "2026-11", INPUTS)
    assert "| synthesized_pairs | `v-docs` |" in text
    odd = make_row(
        question="a | b <PERSON>",
        output="x | y",
        bucket="docs",
        source="https://d.example/#a",
        source_hash="h",
        style="s",
    ).in_split("train")
    shown = card(Merged([odd], merged.buckets, {}), product, "2026-11", INPUTS)
    assert r"| docs | a \| b &lt;PERSON> | x \| y |" in shown


@pytest.mark.parametrize(("bound", "rows"), [(0.02, 149), (0.05, 59), (0.01, 299)])
def test_bounds_and_row_counts_are_each_others_inverse(bound: float, rows: int) -> None:
    assert rows_needed(bound) == rows
    assert provable_bound(rows) <= bound < provable_bound(rows - 1)


def test_nothing_is_proved_by_no_rows() -> None:
    assert provable_bound(0) == 1.0
    with pytest.raises(ValueError, match="between 0 and 1"):
        rows_needed(0.0)


def test_every_row_fits_the_schema_and_a_broken_one_does_not(folder: Path, merged: Merged) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((folder / SCHEMA).read_text(encoding="utf-8"))
    assert schema == row_schema()
    validator = jsonschema.Draft202012Validator(schema)
    for row in merged.rows:
        validator.validate(row.to_dict())
    good = merged.rows[0].to_dict()
    for change in (
        {"split": ""},
        {"bucket": "other"},
        {"id": "X"},
        {"instruction": "How?"},
        {"a": 1},
    ):
        assert not validator.is_valid({**good, **change}), change


@pytest.mark.parametrize("whole", [True, False])
def test_the_datasets_library_reads_the_splits_as_they_are(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, whole: bool
) -> None:
    datasets = pytest.importorskip("datasets")
    cache = str(tmp_path_factory.mktemp("datasets"))
    if whole:
        loaded = datasets.load_dataset(str(folder), cache_dir=cache)
    else:
        files = {split: str(folder / f"{split}.jsonl") for split in SPLITS}
        loaded = datasets.load_dataset("json", data_files=files, cache_dir=cache)
    assert set(loaded) == set(SPLITS)
    for split in SPLITS:
        assert loaded[split].to_list() == read_jsonl(folder / f"{split}.jsonl")
        assert set(loaded[split]["split"]) == {split}
        assert loaded[split][0]["instruction"].startswith("Customer question: ")


def test_the_card_names_what_is_withheld(tmp_path: Path, product: Product) -> None:
    settings = SETTINGS.model_copy(update={"withheld": 0.2})
    rows = [one("docs", f"https://d.example/{n}.html#a", n) for n in range(40)]
    merged = merge(rows, settings)
    text = card(merged, product, "2026-11", INPUTS)
    assert len(merged.withheld) > 2
    assert all(f"- {key}\n" in text for key in merged.withheld)
    assert f"| test | about withheld sections | {len(merged.of('test'))} |" in text
    assert "withheld" not in card(merge(rows, SETTINGS), product, "2026-11", INPUTS)
