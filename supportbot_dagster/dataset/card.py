"""The dataset on disk: four JSON Lines files and the card.

What lives here: writing. What does not: what goes in (:mod:`supportbot_dagster.dataset.merge`).
"""

from pathlib import Path

from supportbot_dagster.dataset.merge import Merged
from supportbot_dagster.dataset.rows import SPLITS, Row, Split
from supportbot_dagster.jsonl import read_jsonl, write_jsonl_atomic
from supportbot_dagster.product import Product

CARD = "README.md"


def write_dataset(merged: Merged, folder: Path, product: Product, month: str) -> None:
    """Write ``train.jsonl`` ... ``test.jsonl`` and the card into ``folder``."""
    for split in SPLITS:
        write_jsonl_atomic(folder / f"{split}.jsonl", (row.to_dict() for row in merged.of(split)))
    (folder / CARD).write_text(card(merged, product, month), encoding="utf-8")


def read_split(folder: Path, split: Split) -> list[Row]:
    """The rows of one split of a dataset folder."""
    return [Row.from_dict(row) for row in read_jsonl(folder / f"{split}.jsonl")]


def card(merged: Merged, product: Product, month: str) -> str:
    """The dataset card in Markdown: counts, shares, shortfalls, how the splits were made."""
    lines = [
        f"# {product.name} support dataset, {month}",
        "",
        f"{len(merged.of('train'))} rows to train on of {product.dataset.target_rows} wanted, and "
        f"{len(merged.rows) - len(merged.of('train'))} held out. One JSON object a line: "
        "`instruction`, `output`, `id`, `bucket`, `source`, `source_hash`, `style`, `split`, "
        "`evidence`.",
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
        "A ticket thread or a refusal family is whole in one split, chosen by its hash. Docs pages "
        "all train: a page that is not trained cannot be known. Held-out answerable questions are "
        "customers' own words from threads that training never sees.",
    ]
    if merged.left_out:
        lines += ["", "| left out | rows |", "| --- | --: |"]
        lines += [f"| {reason} | {count} |" for reason, count in merged.left_out.items()]
    return "\n".join(lines) + "\n"
