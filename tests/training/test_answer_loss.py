"""The loss of the answers against PyTorch's cross-entropy over all logits."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from supportbot_dagster.errors import UserError
from supportbot_dagster.training import answer_loss as module
from supportbot_dagster.training.answer_loss import Head, add_answer_head, answer_loss, head_of

VOCABULARY = 97


def llama(**changes: Any) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(1)
    shape: dict[str, Any] = {
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "initializer_range": 0.3,
        "attn_implementation": "eager",
    }
    return LlamaForCausalLM(LlamaConfig(**shape | changes))


def gemma4() -> Any:
    from transformers import Gemma4ForCausalLM, Gemma4TextConfig

    torch.manual_seed(1)
    config = Gemma4TextConfig(
        vocab_size=VOCABULARY,
        vocab_size_per_layer_input=VOCABULARY,
        hidden_size=32,
        hidden_size_per_layer_input=8,
        intermediate_size=48,
        num_hidden_layers=4,
        num_kv_shared_layers=2,
        layer_types=["sliding_attention", "full_attention"] * 2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        global_head_dim=16,
        final_logit_softcapping=3.0,
        initializer_range=0.3,
        pad_token_id=0,
    )
    return Gemma4ForCausalLM(config)


def batch() -> dict[str, Any]:
    torch.manual_seed(2)
    ids = torch.randint(3, VOCABULARY, (3, 20))
    labels = ids.clone()
    mask = torch.ones_like(ids)
    for row, (prompt, length) in enumerate(((5, 20), (9, 14), (2, 11))):
        labels[row, :prompt] = -100
        labels[row, length:] = -100
        mask[row, length:] = 0
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def plain_loss(model: Any, inputs: dict[str, Any]) -> Any:
    given = {name: value for name, value in inputs.items() if name != "labels"}
    logits = model(**given, use_cache=False).logits[:, :-1]
    return torch.nn.functional.cross_entropy(
        logits.reshape(-1, VOCABULARY).float(), inputs["labels"][:, 1:].reshape(-1), reduction="sum"
    )


@pytest.mark.parametrize("make", [llama, gemma4])
@pytest.mark.parametrize("slice_elements", [1 << 23, 1])
def test_loss_and_gradients_are_those_of_plain_cross_entropy(
    make: Any, slice_elements: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SLICE_ELEMENTS_CPU", slice_elements)
    model, inputs = make(), batch()
    model.get_output_embeddings().weight.requires_grad_(False)
    weight = model.base_model.layers[0].mlp.down_proj.weight
    wanted = plain_loss(model, inputs)
    (slope,) = torch.autograd.grad(wanted, weight)
    add_answer_head(model)
    found = model(**inputs, answers_only=True)["loss"]
    (found_slope,) = torch.autograd.grad(found, weight)
    tokens = int((inputs["labels"][:, 1:] != -100).sum())
    assert float(wanted) / tokens > 2, "a loss of nothing would prove nothing"
    assert abs(float(found) - float(wanted)) / tokens < 1e-5
    assert float((found_slope - slope).abs().max()) < 1e-4 * float(slope.abs().max())


def test_the_limit_of_the_logits_matters_to_the_comparison() -> None:
    model, inputs = gemma4(), batch()
    wanted = float(plain_loss(model, inputs))
    model.config.final_logit_softcapping = None
    model.get_output_embeddings().weight.requires_grad_(False)
    add_answer_head(model)
    assert abs(float(model(**inputs, answers_only=True)["loss"]) - wanted) > 1e-2


def test_a_batch_without_answers_has_no_loss_and_no_gradient() -> None:
    hidden = torch.randn(4, 8, requires_grad=True)
    head = Head(torch.randn(11, 8), None, None)
    loss = answer_loss(hidden[:0], torch.empty(0, dtype=torch.int64), head)
    loss.backward()
    assert float(loss) == 0
    assert hidden.grad is not None
    assert float(hidden.grad.abs().sum()) == 0


def test_other_calls_stay_as_they_were() -> None:
    model, inputs = llama(), batch()
    before = model(**inputs)
    model.get_output_embeddings().weight.requires_grad_(False)
    add_answer_head(model)
    after = model(**inputs)
    assert torch.equal(before.logits, after.logits)
    assert torch.equal(before.loss, after.loss)


def test_a_trained_or_scaled_head_is_refused() -> None:
    model = llama()
    with pytest.raises(UserError, match="must stay frozen"):
        head_of(model)
    model.get_output_embeddings().weight.requires_grad_(False)
    head_of(model)
    model.config.logits_scaling = 8.0
    with pytest.raises(UserError, match="logits_scaling"):
        head_of(model)
