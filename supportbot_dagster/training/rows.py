"""The rows of a run: read, encoded, and which of them deflect.

What lives here: which rows of a file are trained on or held out. What does not: their tokens
(:mod:`supportbot_dagster.training.encode`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supportbot_dagster.jsonl import read_jsonl
from supportbot_dagster.refusals.markers import is_refusal
from supportbot_dagster.training.encode import Example, encode_row
from supportbot_dagster.training.held_out import HeldOut


@dataclass(frozen=True)
class Rows:
    """Encoded rows.

    Args:
        examples: their tokens.
        deflects: for each, whether its first answer is a deflection.
        too_long: how many were left out.
    """

    examples: list[Example]
    deflects: list[bool]
    too_long: int = 0

    def __add__(self, other: "Rows") -> "Rows":
        return Rows(
            self.examples + other.examples,
            self.deflects + other.deflects,
            self.too_long + other.too_long,
        )


def read_rows(tokenizer: Any, file: str, max_length: int, split: str = "") -> Rows:
    """The rows of a file.

    Args:
        tokenizer: of the base.
        file: single questions or conversations, JSON Lines.
        max_length: rows with more tokens are left out.
        split: of conversations only those of this split; one without a split belongs to ``train``.
    """
    examples: list[Example] = []
    deflects: list[bool] = []
    too_long = 0
    for row in read_jsonl(Path(file)):
        if split and "messages" in row and row.get("split", "train") != split:
            continue
        example = encode_row(tokenizer, row)
        if len(example["input_ids"]) > max_length:
            too_long += 1
            continue
        examples.append(example)
        deflects.append(is_refusal(_first_answer(row)))
    return Rows(examples, deflects, too_long)


def held_out(rows: Rows, most: int) -> list[HeldOut]:
    """At most so many rows, evenly spread over them; 0 for all."""
    count = len(rows.examples)
    wanted = min(count, most) if most else count
    return [
        HeldOut(rows.examples[number * count // wanted], rows.deflects[number * count // wanted])
        for number in range(wanted)
    ]


def _first_answer(row: Mapping[str, Any]) -> str:
    return str(row["messages"][1]["content"] if "messages" in row else row["output"])
