"""The dataset on disk: four JSON Lines files, their schema and the card.

What lives here: writing. What does not: what goes in (:mod:`supportbot_dagster.dataset.merge`).
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from supportbot_dagster.dataset.claims import CONFIDENCE, provable_bound, rows_needed
from supportbot_dagster.dataset.merge import Merged
from supportbot_dagster.dataset.rows import QUESTION_PREFIX, SPLITS, Bucket, Row, Split
from supportbot_dagster.jsonl import read_jsonl, write_jsonl_atomic
from supportbot_dagster.product import Product

CARD = "README.md"
SCHEMA = "schema.json"
SMALL_BOUND = 0.02
"""The failure rate that one would like to rule out."""


def write_dataset(
    merged: Merged, folder: Path, product: Product, month: str, inputs: Mapping[str, str]
) -> None:
    """Write ``train.jsonl`` ... ``test.jsonl``, the rows' JSON schema and the card.

    Args:
        merged: the dataset.
        folder: gets the files.
        product: whose it is.
        month: retrain month.
        inputs: data version of each kind of rows that went in.
    """
    for split in SPLITS:
        write_jsonl_atomic(folder / f"{split}.jsonl", (row.to_dict() for row in merged.of(split)))
    schema = json.dumps(row_schema(), indent=2) + "\n"
    (folder / SCHEMA).write_text(schema, encoding="utf-8")
    text = "\n".join(_head(merged, product)) + card(merged, product, month, inputs)
    (folder / CARD).write_text(text, encoding="utf-8")


def row_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of one line of the files."""
    texts = {
        "instruction": "the customer's question behind its prefix",
        "output": "the answer, or the deflection",
        "source": "url#anchor of the docs section, hash of the conversation, or category/family",
        "source_hash": "content hash of the source",
        "style": "how the question is phrased, or how the row came about",
    }
    properties: dict[str, Any] = {
        name: {"type": "string", "minLength": 1, "description": text}
        for name, text in texts.items()
    }
    properties["instruction"]["pattern"] = f"^{re.escape(QUESTION_PREFIX)}"
    properties["id"] = {"type": "string", "pattern": "^[0-9a-f]{16}$"}
    properties["bucket"] = {"enum": list(get_args(Bucket))}
    properties["split"] = {"enum": list(SPLITS)}
    properties["evidence"] = {
        "type": "string",
        "description": "url#anchor of the docs section that answers the question; empty for none",
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "support dataset row",
        "type": "object",
        "additionalProperties": False,
        "required": list(Row.__dataclass_fields__),
        "properties": {name: properties[name] for name in Row.__dataclass_fields__},
    }


def read_split(folder: Path, split: Split) -> list[Row]:
    """The rows of one split of a dataset folder."""
    return [Row.from_dict(row) for row in read_jsonl(folder / f"{split}.jsonl")]


def card(merged: Merged, product: Product, month: str, inputs: Mapping[str, str]) -> str:
    """The dataset card in Markdown, without the head that the ``datasets`` library reads.

    It tells counts, shares, shortfalls, how the splits were made and what they can prove, what was
    left out, and from which data it came.
    """
    train = merged.of("train")
    lines = [
        f"# {product.name} support dataset, {month}",
        "",
        f"{len(train)} rows to train on of {product.dataset.target_rows} wanted, and "
        f"{len(merged.rows) - len(train)} held out. One JSON object a line: "
        f"{', '.join(f'`{name}`' for name in Row.__dataclass_fields__)}; see {SCHEMA}.",
        "",
        "| bucket | wanted | available | used | share | short by | held out |",
        "| --- | --: | --: | --: | --: | --: | --: |",
    ]
    shares = merged.shares
    for name, count in merged.buckets.items():
        lines.append(
            f"| {name} | {count.wanted} | {count.available} | {count.used} | {shares[name]:.0%} | "
            f"{count.shortfall} | {count.held_out} |"
        )
    lines += [
        "",
        "| split | docs | tickets | refusals | all |",
        "| --- | --: | --: | --: | --: |",
    ]
    for split in SPLITS:
        rows = merged.of(split)
        counts = [sum(row.bucket == name for row in rows) for name in merged.buckets]
        lines.append(f"| {split} | {' | '.join(map(str, counts))} | {len(rows)} |")
    lines += [
        "",
        "A ticket thread or a refusal family is whole in one split, chosen by its hash. Docs "
        "sections train: one that is not trained cannot be known. Held-out answerable questions "
        "are customers' own words from threads that training never sees.",
        "",
        *_withheld(merged),
        "## What the held-out rows can prove",
        "",
        *_claims(merged),
        "",
        "## Where it comes from",
        "",
        "| rows | data version |",
        "| --- | --- |",
        *(f"| {name} | `{version}` |" for name, version in sorted(inputs.items())),
        "",
        f"Docs and tickets are {product.name}'s own; personal data was redacted before any row "
        "was made. Not for publication without reading it.",
    ]
    if merged.left_out:
        lines += ["", "| left out | rows |", "| --- | --: |"]
        lines += [f"| {reason} | {count} |" for reason, count in merged.left_out.items()]
    lines += ["", "## Some rows", "", *_examples(merged)]
    return "\n".join(lines) + "\n"


def _head(merged: Merged, product: Product) -> list[str]:
    files = [
        line
        for split in SPLITS
        if merged.of(split)
        for line in (f"      - split: {split}", f"        path: {split}.jsonl")
    ]
    return [
        "---",
        f"pretty_name: {json.dumps(f'{product.name} support')}",
        "license: other",
        f"language: [{product.tickets.language}]",
        "task_categories: [question-answering, text-generation]",
        "configs:",
        "  - config_name: default",
        "    data_files:",
        *files,
        "---",
        "",
        "",
    ]


def _withheld(merged: Merged) -> list[str]:
    """Names the sections that the bot cannot know."""
    if not merged.withheld:
        return []
    asked = sum(row.bucket == "docs" for row in merged.of("test"))
    return [
        f"{len(merged.withheld)} docs sections are withheld, from tickets too. The {asked} docs "
        "rows of the test split ask about them: the bot should say that it does not know.",
        "",
        *(f"- {key}" for key in merged.withheld),
        "",
    ]


def _claims(merged: Merged) -> list[str]:
    """For the two splits that figures are taken from: the bound that a clean run supports."""
    needed = rows_needed(SMALL_BOUND)
    lines = [
        "| split | questions | rows | without a failure, less than |",
        "| --- | --- | --: | --: |",
    ]
    for split in ("calibration", "test"):
        rows = merged.of(split)
        withheld = sum(row.bucket == "docs" for row in rows)
        unanswerable = sum(row.bucket == "refusals" for row in rows)
        for name, count in (
            ("answerable", len(rows) - unanswerable - withheld),
            ("unanswerable", unanswerable),
            ("about withheld sections", withheld),
        ):
            if name.startswith("about") and not count:
                continue
            lines.append(f"| {split} | {name} | {count} | {provable_bound(count):.1%} fail |")
    return [
        *lines,
        "",
        f"At {CONFIDENCE:.0%} confidence. To rule out a rate above {SMALL_BOUND:.0%} it takes "
        f"{needed} rows without a failure.",
    ]


def _examples(merged: Merged, each: int = 3) -> list[str]:
    """A few training rows of each bucket, spread over it."""
    lines = ["| bucket | question | answer |", "| --- | --- | --- |"]
    for name in merged.buckets:
        rows = [row for row in merged.of("train") if row.bucket == name]
        for row in rows[:: max(1, len(rows) // each)][:each]:
            lines.append(f"| {name} | {_cell(row.question)} | {_cell(row.output)} |")
    return lines


def _cell(text: str) -> str:
    shown = text if len(text) <= 200 else text[:197] + "..."
    return shown.replace("|", "\\|").replace("<", "&lt;")
