from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from supportbot_dagster.training import pocket, pocket_members
from supportbot_dagster.training.encode import IGNORED
from supportbot_dagster.training.pocket_examples import UNLABELLED
from supportbot_dagster.training.pocket_members import (
    Members,
    StackedOptimizer,
    divergence,
    orthogonal,
    packed_mask,
)

TOKENIZER = SimpleNamespace(bos_token_id=1, eos_token_id=2, pad_token_id=3)
TOPICS = 5
OPENINGS = [10, 11, 12, 13, 10]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pocket, "VOCABULARY", 64)
    monkeypatch.setattr(pocket, "LAYERS", 2)


def made(count: int) -> tuple[list[Any], list[Any]]:
    torch.manual_seed(0)
    models = [pocket._model(TOKENIZER, None).eval() for _ in range(count)]
    for model in models:
        for weight in model.parameters():
            torch.nn.init.normal_(weight, std=0.3)
    return models, [torch.nn.Linear(pocket.WIDTH, TOPICS) for _ in range(count)]


def batch() -> list[torch.Tensor]:
    """Two sequences of two documents each, of 6 and 4 tokens."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(4, 64, (2, 10), generator=generator)
    labels = torch.full_like(ids, IGNORED)
    labels[:, 2:5] = ids[:, 3:6]
    weights = (labels != IGNORED).float()
    told = torch.tensor([5, 9, 15, 0])
    classes = torch.tensor([1, 4, UNLABELLED, IGNORED])
    views, chances = torch.zeros(4, 2, dtype=torch.long), torch.zeros(4, 2)
    views[2], chances[2] = torch.tensor([2, 3]), torch.tensor([0.5, 0.5])
    documents = torch.tensor([[1] * 6 + [2] * 4] * 2)
    positions = torch.tensor([[*range(6), *range(4)]] * 2)
    return [ids, labels, weights, told, classes, views, chances, documents, positions]


def test_the_stacked_computation_is_that_of_transformers() -> None:
    models, heads = made(2)
    members = Members(models, heads, OPENINGS, "cpu")
    ids, *_, documents, positions = batch()
    hidden = members.hidden(ids, packed_mask(documents), positions, dropout=0.0)
    logits = members.words(hidden.flatten(1, 2))
    for number, model in enumerate(models):
        for row in range(2):
            for part in (slice(0, 6), slice(6, 10)):
                alone = model(ids[row : row + 1, part]).logits[0]
                stacked = logits[number].view(2, 10, -1)[row, part]
                assert torch.allclose(alone, stacked, atol=1e-3), "a document alone reads the same"


def test_packed_documents_see_only_themselves() -> None:
    mask = packed_mask(torch.tensor([[1, 1, 1, 2, 2, 0]]))[0, 0]
    assert mask[4].nonzero().flatten().tolist() == [3, 4]
    assert mask[2].nonzero().flatten().tolist() == [0, 1, 2]


def test_a_member_comes_back_whole() -> None:
    models, heads = made(2)
    members = Members(models, heads, OPENINGS, "cpu")
    for number, model in enumerate(models):
        weights = members.member(number)
        assert weights.keys() == model.state_dict().keys()
        model.load_state_dict(weights)
        assert torch.equal(weights["lm_head.weight"], model.lm_head.weight)


def test_other_weights_are_taken_in_place() -> None:
    members, others = (Members(*made(2), OPENINGS, "cpu") for _ in range(2))
    held = members.weights["lm_head.weight"]
    with torch.no_grad():
        others.weights["lm_head.weight"].add_(1)
    members.load(others.weights)
    assert members.weights["lm_head.weight"] is held
    assert torch.equal(held, others.weights["lm_head.weight"])


def test_dropout_differs_from_member_to_member_and_is_none_when_topics_are_told() -> None:
    models, heads = made(1)
    members = Members(models * 2, heads * 2, OPENINGS, "cpu")
    ids, *_, documents, positions = batch()
    mask = packed_mask(documents)
    one, two = members.hidden(ids, mask, positions, dropout=0.2)
    assert not torch.equal(one, two)
    chances = members.topics(ids, torch.tensor([9, 9]))
    assert torch.equal(chances[0], chances[1])
    assert torch.allclose(chances.sum(-1), torch.ones(2, 2))


def test_members_that_agree_are_not_apart_and_others_are_drawn_together() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 7, TOPICS, generator=generator)
    same = logits[:1].repeat(3, 1, 1)
    assert torch.allclose(divergence(same), torch.zeros(3, 7), atol=1e-5)
    moving = logits.clone().requires_grad_()
    before = divergence(moving)
    assert bool((before > 0).all())
    before.sum().backward()
    after = divergence(logits - 0.1 * moving.grad)
    assert float(after.sum()) < float(before.detach().sum())


def test_crossings_draw_the_topics_and_the_first_word_to_the_views() -> None:
    models, heads = made(2)
    members = Members(models, heads, OPENINGS, "cpu")
    given = batch()
    optimizer = StackedOptimizer(members.weights, 1.0)
    before = members.losses(*given)
    for _ in range(40):
        members.losses(*given).views.sum().backward()
        optimizer.step(1.0)
    after = members.losses(*given)
    assert bool((after.views < before.views - 0.5).all()), (before.views, after.views)
    ids = given[0][1:, :6]
    chances = members.topics(ids, torch.tensor([5]))[:, 0]
    assert bool((chances[:, [2, 3]].sum(-1) > 0.8).all()), chances
    documents = torch.ones_like(ids)
    positions = torch.arange(6)[None]
    hidden = members.hidden(ids, packed_mask(documents), positions, dropout=0.0)[:, 0, -1:]
    first = members.words(hidden).softmax(-1)[:, 0]
    assert bool((first[:, [12, 13]].sum(-1) > 0.5).all()), "answers of topics 2 and 3 begin so"


def test_each_member_learns_as_it_would_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pocket_members, "DROPOUT", 0.0)
    models, heads = made(2)

    def gradients(chosen: list[int]) -> dict[str, torch.Tensor]:
        members = Members([models[n] for n in chosen], [heads[n] for n in chosen], OPENINGS, "cpu")
        losses = members.losses(*batch())
        (losses.words + losses.topics).sum().backward()
        return {name: weight.grad for name, weight in members.weights.items()}

    both, alone = gradients([0, 1]), gradients([1])
    for name, gradient in alone.items():
        assert float(gradient.norm()) > 0, f"{name} learns nothing"
        assert (both[name][1] - gradient[0]).norm() < 0.02 * gradient.norm(), name


def test_the_update_of_a_matrix_is_that_of_the_optimizer_of_pytorch() -> None:
    torch.manual_seed(0)
    start, gradients = torch.randn(8, 16), [torch.randn(8, 16) * 1e-3 for _ in range(3)]
    theirs = torch.nn.Parameter(start.clone())
    muon = torch.optim.Muon(
        [theirs],
        lr=pocket_members.MATRIX_RATE,
        weight_decay=pocket_members.WEIGHT_DECAY,
        adjust_lr_fn="match_rms_adamw",
    )
    ours = {
        "model.layers.0.a": start.clone()[None].requires_grad_(),
        "lm_head.weight": torch.zeros(1, 2, 2, requires_grad=True),
    }
    optimizer = StackedOptimizer(ours, 1.0)
    for gradient in gradients:
        theirs.grad = gradient.clone()
        muon.step()
        ours["model.layers.0.a"].grad = gradient.clone()[None]
        ours["lm_head.weight"].grad = torch.zeros(1, 2, 2)
        optimizer.step(1.0)
    moved = (theirs - start).norm()
    assert (ours["model.layers.0.a"][0] - theirs).norm() < 0.05 * moved


@pytest.mark.parametrize("shape", [(3, 16, 32), (3, 32, 16)])
def test_orthogonal_matrices_have_singular_values_near_one(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonal(torch.randn(shape) * 50))
    assert float(values.min()) > 0.5, values
    assert float(values.max()) < 1.4, values
