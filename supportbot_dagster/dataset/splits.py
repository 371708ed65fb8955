"""Which split a source's rows belong to.

What lives here: the choice, made by hash alone, so that it holds next month whatever comes or goes.
What does not: choosing among the rows of a split (:mod:`supportbot_dagster.dataset.merge`), docs
sections (:mod:`supportbot_dagster.dataset.withheld`).
"""

from supportbot_dagster.dataset.rows import Split
from supportbot_dagster.hashing import sha256_text
from supportbot_dagster.product import Splits


def split_of(source: str, splits: Splits, seed: int) -> Split:
    """The split of a ticket thread or a refusal family."""
    place = position(f"{seed}\n{source}")
    if place < splits.test:
        return "test"
    if place < splits.test + splits.calibration:
        return "calibration"
    if place < splits.test + splits.calibration + splits.validation:
        return "validation"
    return "train"


def position(text: str) -> float:
    """A text's place from 0 to 1."""
    return int(sha256_text(text)[:12], 16) / 16**12
