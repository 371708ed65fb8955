"""The merged dataset: splits, quotas, the probes kept out, shares and shortfalls.

What lives here: everything between the three kinds of rows and the four JSONL files. What does
not: writing files and the card (:mod:`supportbot_dagster.dataset.card`).

Splits are by source, never by row: a ticket thread, a refusal family or a docs section is whole in
one split. Docs sections train, because one that is not trained cannot be known: what is held out
for answerable questions are the ticket threads, real customers' phrasings that neither the base
nor the adapter has seen, about sections that the docs rows teach. A share of the sections may be
withheld, tickets about them too; the questions about these are in the test split, and what they
measure is whether the bot says that it does not know.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from supportbot_dagster.dataset.duplicates import NEAR_COPY, Questions, copies, prepare
from supportbot_dagster.dataset.rows import SPLITS, Row, Split, normalized_question
from supportbot_dagster.dataset.splits import split_of
from supportbot_dagster.dataset.unseen import has_controls, template_token
from supportbot_dagster.dataset.withheld import (
    addresses,
    is_withheld,
    names_withheld,
    without_withheld,
)
from supportbot_dagster.errors import UserError
from supportbot_dagster.hashing import sha256_text
from supportbot_dagster.product import Dataset, Splits

PROBE_SIMILARITY = 90.0
"""Token-sort ratio (0 to 100) from which a question counts as a probe's copy."""
WITHHELD_QUESTIONS = 5
"""Questions about a withheld section that are asked, at most."""
FLOOR_SHARE = 0.5
"""Share of an even division of the refusals' quota that each category gets, if it has the rows."""
ENOUGH_HELD_OUT = 300
"""Rows of a bucket that a split is measured with if it has them, however small the dataset: when
none of so many fails, the rate of failures is under 1 % at 95 % confidence."""
ANSWERED = "refuses what the docs answer"
"""Reason of the refusals that are left out because of a docs row."""
_BATCH = 500


@dataclass(frozen=True)
class BucketCount:
    """How one bucket fared.

    Args:
        wanted: its quota of the target size, in training rows.
        available: rows that could train: those that came in and are not held out.
        used: rows that train.
        held_out: rows of the other splits.
    """

    wanted: int
    available: int
    used: int
    held_out: int

    @property
    def shortfall(self) -> int:
        """Rows missing from the quota."""
        return max(0, self.wanted - self.used)


@dataclass(frozen=True)
class Answered:
    """A question that was to be refused, and the docs row that answers it.

    Args:
        question: of the refusal.
        source: its ``category/family``, or its ticket's hash.
        docs_question: what it is the same as, or nearly so.
        section: key of the docs section that answers it.
    """

    question: str
    source: str
    docs_question: str
    section: str


@dataclass(frozen=True)
class Merged:
    """The dataset and its account.

    Args:
        rows: all rows with their split, sorted by id within bucket.
        buckets: count per bucket.
        left_out: rows left out by reason.
        withheld: keys of the docs sections that training is not shown.
        answered: the refusals left out because the docs answer their question.
    """

    rows: list[Row]
    buckets: dict[str, BucketCount]
    left_out: dict[str, int]
    withheld: tuple[str, ...] = ()
    answered: tuple[Answered, ...] = ()

    def of(self, split: Split) -> list[Row]:
        """The rows of one split."""
        return [row for row in self.rows if row.split == split]

    @property
    def shares(self) -> dict[str, float]:
        """Share of each bucket among the training rows."""
        total = sum(count.used for count in self.buckets.values()) or 1
        return {name: count.used / total for name, count in self.buckets.items()}


def merge(rows: Iterable[Row], settings: Dataset, probes: Sequence[str] = ()) -> Merged:
    """Merge the three buckets into one dataset.

    A bucket's quota counts training rows; what is held out comes on top, in proportion, so that
    measuring takes nothing from training. Rows are taken in the order of their hashes, so that the
    choice is stable when rows are added, but no category of refusals goes without. What a quota
    does not reach is left out, a bucket below its quota falls short, and nothing is repeated. A row
    whose question nearly copies one that is held out, or that another section, thread or family
    trains already, is left out, and so is any row that copies a probe, or that holds what a
    tokenizer or a screen would take for something else. No split refuses what the docs answer: a
    refusal whose question nearly copies a docs row's is left out. Time and memory grow with the
    number of rows, and with n log n by sorting.

    Raises:
        UserError: if no training row remains in the docs bucket.
    """
    left_out: Counter[str] = Counter()
    probe_texts = [normalized_question(probe) for probe in probes]
    seen: dict[str, Row] = {}
    fit, answered = _without_answered(list(rows))
    left_out[ANSWERED] += len(answered)
    for row in fit:
        normalized = normalized_question(row.question)
        held_back = _unfit(row)
        if not normalized:
            left_out["empty question"] += 1
        elif held_back:
            left_out[held_back] += 1
        elif any(copies(normalized, probe, PROBE_SIMILARITY) for probe in probe_texts):
            left_out["copies a probe"] += 1
        elif normalized in seen:
            left_out["same question as another row"] += 1
        else:
            seen[normalized] = row

    by_bucket: dict[str, list[Row]] = defaultdict(list)
    for row in seen.values():
        by_bucket[row.bucket].append(row)
    shares = settings.shares
    quotas = {
        "docs": round(settings.target_rows * shares.docs),
        "tickets": round(settings.target_rows * shares.tickets),
        "refusals": round(settings.target_rows * shares.refusals),
    }
    withheld = sorted(
        key
        for key in {row.source for row in by_bucket["docs"]}
        if is_withheld(key, settings.withheld, settings.seed)
    )
    if withheld:
        kept = without_withheld(by_bucket["tickets"], by_bucket["docs"], frozenset(withheld))
        left_out["about a withheld docs section"] += len(by_bucket["tickets"]) - len(kept)
        by_bucket["tickets"] = kept
        named = addresses(withheld)
        told = [row for row in by_bucket["refusals"] if not names_withheld(row.output, named)]
        left_out["names a withheld docs section"] += len(by_bucket["refusals"]) - len(told)
        by_bucket["refusals"] = told
    split_rows: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for name in quotas:
        for row in _split(by_bucket[name], settings, frozenset(withheld)):
            split_rows[row.split, name].append(row)
    asked = _few_of_each(split_rows["test", "docs"])
    if over := len(split_rows["test", "docs"]) - len(asked):
        left_out["one of many questions about a withheld docs section"] += over
    split_rows["test", "docs"] = asked
    used: list[Row] = []
    held = Questions(NEAR_COPY)
    trained = Questions(NEAR_COPY)
    # what is held out is chosen first, so that it is training that gives way to it
    for split in ("test", "calibration", "validation", "train"):
        for name, quota in quotas.items():
            candidates = split_rows[split, name]
            # What is asked about withheld sections was counted out before.
            asks = name == "docs" and split == "test"
            limit = len(candidates) if asks else _limit(split, quota, settings.splits)
            chosen, reasons = _choose(candidates, limit, held, trained)
            used += chosen
            left_out.update(reasons)
            if over := len(candidates) - len(chosen) - reasons.total():
                left_out[f"over the quota of {name}"] += over

    counts: Counter[tuple[str, bool]] = Counter((row.bucket, row.split == "train") for row in used)
    buckets = {
        name: BucketCount(
            quota, len(split_rows["train", name]), counts[name, True], counts[name, False]
        )
        for name, quota in quotas.items()
    }
    if not any(row.split == "train" and row.bucket == "docs" for row in used):
        if withheld and len(withheld) == len({row.source for row in by_bucket["docs"]}):
            raise UserError(
                f"all {len(withheld)} docs sections that have rows are withheld, so none is left "
                f"to train on (dataset.withheld is {settings.withheld:g}). Lower dataset.withheld "
                "in product.yaml, or choose another dataset.seed."
            )
        raise UserError(
            "The merged dataset has no docs row to train on. Check the row tables of docs_crawl "
            "and synthesized_pairs. With review: required only pairs train that a person kept: "
            "run supportbot retrain --until synthesized_pairs, then supportbot review, then "
            "retrain again."
        )
    order = {name: position for position, name in enumerate(SPLITS)}
    used.sort(key=lambda row: (order[row.split], row.bucket, row.id))
    counted = {key: value for key, value in sorted(left_out.items()) if value}
    return Merged(used, buckets, counted, tuple(withheld), tuple(answered))


def _without_answered(rows: Sequence[Row]) -> tuple[list[Row], list[Answered]]:
    """The rows without the refusals of what the docs answer, and these."""
    refused: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row.bucket == "refusals" and (text := normalized_question(row.question)):
            refused[text].append(row)
    # The refusals are looked up in, as they are few.
    known = Questions(NEAR_COPY)
    for text, hashed in zip(refused, prepare(list(refused)), strict=True):
        known.add(text, text, hashed)
    docs = {normalized_question(row.question): row for row in rows if row.bucket == "docs"}
    answered: dict[str, Row] = {}
    for text, hashed in zip(docs, prepare(list(docs)), strict=True):
        for near in known.near(text, hashed):
            answered.setdefault(near, docs[text])
    told = [
        Answered(row.question, row.source, by.question, by.source)
        for near, by in answered.items()
        for row in refused[near]
    ]
    left = [
        row
        for row in rows
        if row.bucket != "refusals" or normalized_question(row.question) not in answered
    ]
    return left, told


def _unfit(row: Row) -> str:
    """Why no split may hold a row, whoever wrote it; empty if it may be held."""
    text = f"{row.question}\n{row.output}"
    if has_controls(text):
        return "holds control characters"
    return "holds a chat template's token" if template_token(text) else ""


def _choose(
    candidates: Sequence[Row], limit: int, held: Questions, trained: Questions
) -> tuple[list[Row], Counter[str]]:
    """Up to ``limit`` rows of one split and bucket, by hash, and why others were passed over.

    A source may phrase a question in several ways that are nearly alike; two sources may not.
    """
    chosen: list[Row] = []
    passed: Counter[str] = Counter()
    ordered = _ordered(candidates, limit)
    for start in range(0, len(ordered), _BATCH):
        if len(chosen) >= limit:
            break
        batch = ordered[start : start + _BATCH]
        texts = [normalized_question(row.question) for row in batch]
        for row, text, hashed in zip(batch, texts, prepare(texts), strict=True):
            if len(chosen) >= limit:
                break
            group = f"{row.bucket} {row.source}"
            if held.find(text, hashed) not in {None, group}:
                passed["nearly copies a held-out question"] += 1
                continue
            if row.split == "train":
                if trained.find(text, hashed) not in {None, group}:
                    passed["nearly copies another row"] += 1
                    continue
                trained.add(group, text, hashed)
            else:
                held.add(group, text, hashed)
            chosen.append(row)
    return chosen, passed


def _ordered(candidates: Sequence[Row], limit: int) -> list[Row]:
    """By hash, after the few rows that each category of refusals has for certain."""
    ordered = sorted(candidates, key=lambda row: sha256_text(row.id))
    categories = {row.style for row in ordered if row.bucket == "refusals"}
    if not categories:
        return ordered
    floor = int(FLOOR_SHARE * limit / len(categories))
    taken: Counter[str] = Counter()
    first: list[Row] = []
    rest: list[Row] = []
    for row in ordered:
        taken[row.style] += 1
        (first if taken[row.style] <= floor else rest).append(row)
    return first + rest


def _few_of_each(rows: Sequence[Row]) -> list[Row]:
    """Up to :data:`WITHHELD_QUESTIONS` rows of each section, by hash."""
    taken: Counter[str] = Counter()
    few: list[Row] = []
    for row in sorted(rows, key=lambda row: sha256_text(row.id)):
        taken[row.source] += 1
        if taken[row.source] <= WITHHELD_QUESTIONS:
            few.append(row)
    return few


def _split(rows: Sequence[Row], settings: Dataset, withheld: frozenset[str]) -> list[Row]:
    """Give every source to one split by its hash alone; docs sections train, but withheld ones.

    The hash makes the choice stable: a thread that is held out stays held out next month, whatever
    else comes or goes.
    """

    def split(row: Row) -> Split:
        if row.bucket == "docs":
            return "test" if row.source in withheld else "train"
        return split_of(row.source, settings.splits, settings.seed)

    return [row.in_split(split(row)) for row in rows]


def _limit(split: str, quota: int, splits: Splits) -> int:
    """Most rows of a split: the quota in training, elsewhere as many as its share is to that, or
    :data:`ENOUGH_HELD_OUT`."""
    if split == "train":
        return quota
    share: float = getattr(splits, split)
    trained = 1 - splits.validation - splits.calibration - splits.test
    return max(ENOUGH_HELD_OUT, round(quota * share / trained)) if share else 0
