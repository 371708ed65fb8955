"""The order of the training rows and how some of them become one batch.

What lives here: an order that follows from seed and epoch alone, so that a resumed run and every
process of several see the same rows in the same updates, and the collator. What does not: token
ids (:mod:`supportbot_dagster.training.encode`).
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from supportbot_dagster.errors import UserError
from supportbot_dagster.training.encode import IGNORED, Example


@dataclass(frozen=True)
class Share:
    """What one process does of an update.

    Args:
        batch_size: rows that it puts through the model at once.
        accumulation: how often, before an update.
    """

    batch_size: int
    accumulation: int


def share_of(batch_size: int, accumulation: int, processes: int) -> Share:
    """Divide the rows of an update among processes; batches stay as large as they were if they can.

    Raises:
        UserError: if the rows cannot be divided evenly.
    """
    rows = batch_size * accumulation
    if rows % processes:
        raise UserError(
            f"{processes} processes cannot share the {rows} rows of an update evenly "
            f"(batch_size {batch_size} x gradient_accumulation {accumulation}). "
            f"Set model.training so that their product is a multiple of {processes}."
        )
    own = rows // processes
    largest = max(size for size in range(1, batch_size + 1) if own % size == 0)
    return Share(largest, own // largest)


def filler(pad_id: int) -> Example:
    """A row that teaches nothing; evens out the last update among several processes."""
    return Example(input_ids=[pad_id, pad_id], labels=[IGNORED, IGNORED])


class EpochOrder:
    """A sampler of row numbers: shuffled anew each epoch, rows of like length side by side.

    The order is a function of seed and epoch, never of the random state that training has reached.

    Args:
        lengths: tokens of each row.
        group: rows of an update, which is what lengths are sorted for.
        seed: of the shuffling.
        epoch: asked at the start of each pass for its number, from 0.
        multiple: the order is filled up to a multiple of this.
        filler: row number to fill up with.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        group: int,
        seed: int,
        epoch: Callable[[], int],
        multiple: int = 1,
        filler: int = 0,
    ) -> None:
        self.lengths = list(lengths)
        self.group = group
        self.seed = seed
        self.epoch = epoch
        self.filling = [filler] * (-len(self.lengths) % multiple)

    def __len__(self) -> int:
        return len(self.lengths) + len(self.filling)

    def __iter__(self) -> Iterator[int]:
        import torch
        from transformers.trainer_pt_utils import get_length_grouped_indices

        generator = torch.Generator().manual_seed(self.seed + self.epoch())
        # A plain Trainer draws one number for each of its two data loaders before it shuffles;
        # drawing them here as well makes the first epoch's order that of a plain Trainer.
        torch.empty(2, dtype=torch.int64).random_(generator=generator)
        order = get_length_grouped_indices(self.lengths, self.group, generator=generator)
        return iter([*order, *self.filling])


@dataclass(frozen=True)
class Collator:
    """Makes a batch of examples.

    Args:
        pad_id: token that fills up.
        multiple: padded lengths are a multiple of this.
        end_to_end: lay the examples end to end as one sequence with positions that begin anew,
            which attention keeps apart, instead of padding them.
        kernel_lengths: give the ends of the examples as the kernels with variable lengths want
            them.
    """

    pad_id: int
    multiple: int = 1
    end_to_end: bool = False
    kernel_lengths: bool = False

    def __call__(self, examples: Sequence[Example]) -> dict[str, Any]:
        """The batch; without padding it has one row."""
        return self._laid(examples) if self.end_to_end else self._padded(examples)

    def _padded(self, examples: Sequence[Example]) -> dict[str, Any]:
        import torch

        longest = max(len(example["input_ids"]) for example in examples)
        width = math.ceil(longest / self.multiple) * self.multiple
        shape = (len(examples), width)
        ids = torch.full(shape, self.pad_id, dtype=torch.int64)
        labels = torch.full(shape, IGNORED, dtype=torch.int64)
        mask = torch.zeros(shape, dtype=torch.int64)
        for row, example in enumerate(examples):
            length = len(example["input_ids"])
            ids[row, :length] = torch.tensor(example["input_ids"])
            labels[row, :length] = torch.tensor(example["labels"])
            mask[row, :length] = 1
        return {"input_ids": ids, "labels": labels, "attention_mask": mask}

    def _laid(self, examples: Sequence[Example]) -> dict[str, Any]:
        import torch

        lengths = [len(example["input_ids"]) for example in examples]
        batch: dict[str, Any] = {
            "input_ids": torch.tensor([[t for e in examples for t in e["input_ids"]]]),
            # The first token of an example is predicted from the end of another one: no loss.
            "labels": torch.tensor([[t for e in examples for t in (IGNORED, *e["labels"][1:])]]),
            "position_ids": torch.cat([torch.arange(length) for length in lengths])[None],
        }
        if self.kernel_lengths:
            ends = torch.tensor([0, *lengths]).cumsum(0).to(torch.int32)
            batch |= {"cu_seq_lens_q": ends, "cu_seq_lens_k": ends}
            batch |= {"max_length_q": max(lengths), "max_length_k": max(lengths)}
        return batch
