"""Order of rows, shares of several processes, and batches."""

from __future__ import annotations

import pytest
import torch

from supportbot_dagster.errors import UserError
from supportbot_dagster.training.batches import Collator, EpochOrder, Share, filler, share_of
from supportbot_dagster.training.encode import IGNORED, Example

LENGTHS = [(number * 37) % 101 + 5 for number in range(150)]
ROWS = [
    Example(input_ids=[1, 5, 6, 7], labels=[IGNORED, IGNORED, 6, 7]),
    Example(input_ids=[1, 8], labels=[1, 8]),
]


def order(seed: int, epoch: int, **more: int) -> list[int]:
    return list(EpochOrder(LENGTHS, 8, seed, lambda: epoch, **more))


def test_the_order_follows_from_seed_and_epoch_alone() -> None:
    first = order(3, 0)
    torch.manual_seed(99)
    assert order(3, 0) == first
    assert sorted(first) == list(range(150))
    assert order(3, 1) != first
    assert order(4, 0) != first


def test_asking_for_the_order_leaves_the_random_state_alone() -> None:
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    order(0, 0)
    assert torch.equal(torch.rand(3), wanted)


def test_rows_of_like_length_share_an_update() -> None:
    found = order(0, 0)

    def spread(rows: list[int]) -> int:
        lengths = [[LENGTHS[row] for row in rows[at : at + 8]] for at in range(0, 144, 8)]
        return sum(max(group) - min(group) for group in lengths)

    assert spread(found) < 0.5 * spread(list(range(150)))


def test_the_order_is_filled_up_for_several_processes() -> None:
    found = order(0, 0, multiple=16, filler=150)
    assert found[:150] == order(0, 0)
    assert found[150:] == [150] * 10
    row = filler(3)
    assert set(row["labels"]) == {IGNORED}


@pytest.mark.parametrize(
    ("batch", "accumulation", "processes", "share"),
    [
        (4, 4, 1, Share(4, 4)),
        (4, 4, 2, Share(4, 2)),
        (16, 1, 2, Share(8, 1)),
        (4, 4, 16, Share(1, 1)),
        (6, 1, 2, Share(3, 1)),
        (3, 4, 2, Share(3, 2)),
    ],
)
def test_several_processes_share_the_rows_of_an_update(
    batch: int, accumulation: int, processes: int, share: Share
) -> None:
    assert share_of(batch, accumulation, processes) == share
    assert share.batch_size * share.accumulation * processes == batch * accumulation


def test_rows_that_cannot_be_shared_are_refused() -> None:
    with pytest.raises(UserError, match="3 processes cannot share the 16 rows") as caught:
        share_of(4, 4, 3)
    assert "\n" not in str(caught.value)


def test_padding_carries_neither_attention_nor_loss() -> None:
    batch = Collator(pad_id=0, multiple=8)(ROWS)
    assert batch["input_ids"].tolist()[1] == [1, 8, 0, 0, 0, 0, 0, 0]
    assert batch["labels"].tolist()[1] == [1, 8] + [IGNORED] * 6
    assert batch["attention_mask"].sum(1).tolist() == [4, 2]


def test_rows_laid_end_to_end_begin_anew() -> None:
    batch = Collator(pad_id=0, end_to_end=True, kernel_lengths=True)(ROWS)
    assert batch["input_ids"].tolist() == [[1, 5, 6, 7, 1, 8]]
    assert batch["labels"].tolist() == [[IGNORED, IGNORED, 6, 7, IGNORED, 8]]
    assert batch["position_ids"].tolist() == [[0, 1, 2, 3, 0, 1]]
    assert batch["cu_seq_lens_q"].tolist() == [0, 4, 6]
    assert batch["max_length_k"] == 4
    assert "attention_mask" not in batch
