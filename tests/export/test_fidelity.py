from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import pytest

from supportbot_dagster.errors import UserError
from supportbot_dagster.export.convert import quantize
from supportbot_dagster.export.fidelity import (
    Passage,
    adapter_form,
    answer_passages,
    folder_form,
    gguf_form,
    measure,
    text_passages,
)
from supportbot_dagster.export.merge import merge_adapter
from supportbot_dagster.export.model_folder import compute_in_float32, load_model
from supportbot_dagster.export.token_ids import QUESTIONS, load_tokenizer


@pytest.fixture(scope="module")
def passages(base: Path) -> list[Passage]:
    return text_passages(load_tokenizer(base), QUESTIONS)


@pytest.fixture(scope="module")
def answers(base: Path, question: str, answer: str) -> list[Passage]:
    pairs = [(question, answer), (question, "Open the list."), ("hello", answer)]
    return answer_passages(load_tokenizer(base), pairs)


def test_what_counts_is_the_answer_with_its_end(base: Path, question: str, answer: str) -> None:
    tokenizer = load_tokenizer(base)
    (passage,) = answer_passages(tokenizer, [(question, answer)])
    assert tokenizer.decode(passage.ids[passage.first :]).strip() == f"{answer}<|end|>"
    assert answer_passages(tokenizer, [(question, "word " * 1000)]) == []


def test_conversion_keeps_the_distributions_and_quantizing_moves_them(
    base: Path, f16: Path, q4: Path, passages: list[Passage], answers: list[Passage], tmp_path: Path
) -> None:
    forms = [folder_form(base, 1), gguf_form(f16, "F16", 1), gguf_form(q4, "Q4_K_M", 1)]
    found = measure(forms, passages, answers, tmp_path)
    exact, rough = found.steps
    assert (exact.before, exact.after) == ("merged", "F16")
    assert exact.positions == sum(passage.positions for passage in passages) > 70
    assert exact.same_top_token_share > 0.98
    assert exact.mean_kl < 1e-4
    assert rough.mean_kl > 10 * exact.mean_kl
    assert (found.whole.before, found.whole.after) == ("merged", "Q4_K_M")
    assert [one.form for one in found.perplexities] == ["F16", "Q4_K_M"]
    assert found.perplexities[0].ratio == 1
    assert found.perplexities[1].low < found.perplexities[1].ratio < found.perplexities[1].high
    assert list(tmp_path.iterdir()) == [], "the distributions are removed"


def test_perplexity_is_that_of_the_answer_by_heart(
    base: Path, f16: Path, question: str, answer: str, passages: list[Passage], tmp_path: Path
) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    known = answer_passages(load_tokenizer(base), [(question, answer)])
    forms = [folder_form(base, 1), gguf_form(f16, "F16", 1)]
    (found,) = measure(forms, passages, known, tmp_path).perplexities
    ids = torch.tensor([known[0].ids])
    labels = ids.clone()
    labels[:, : known[0].first] = -100
    with torch.inference_mode():
        loss = AutoModelForCausalLM.from_pretrained(base)(input_ids=ids, labels=labels).loss
    assert found.tokens == known[0].positions
    assert math.log(found.value) == pytest.approx(float(loss), abs=0.01)


def test_a_merge_into_other_weights_is_noticed(
    base: Path, other_base: Path, adapter: Path, passages: list[Passage], tmp_path: Path
) -> None:
    right = merge_adapter(base, adapter, tmp_path / "right").folder
    wrong = merge_adapter(other_base, adapter, tmp_path / "wrong").folder
    adapted = adapter_form(base, adapter, 1)
    (step,) = measure([adapted, folder_form(right, 1)], passages, [], tmp_path).steps
    assert step.same_top_token_share > 0.98
    assert step.mean_kl < 1e-4
    (step,) = measure([adapted, folder_form(wrong, 1)], passages, [], tmp_path).steps
    assert step.same_top_token_share < 0.5
    assert step.mean_kl > 0.1


def test_fewer_bits_cost_more_perplexity(
    base: Path, f16: Path, passages: list[Passage], answers: list[Passage], tmp_path: Path
) -> None:
    forms = [gguf_form(f16, "F16", 1)]
    for quant in ("Q8_0", "Q3_K_M"):
        quantize(f16, tmp_path / f"{quant}.gguf", quant, threads=1)
        forms.append(gguf_form(tmp_path / f"{quant}.gguf", quant, 1))
    found = measure(forms, passages, answers, tmp_path)
    eight, three = found.steps[0].mean_kl, found.whole.mean_kl
    assert eight < three / 10
    assert abs(found.perplexities[1].ratio - 1) < abs(found.perplexities[2].ratio - 1)


def test_a_padded_vocabulary_is_compared_on_what_both_have(
    base: Path, f16: Path, passages: list[Passage], tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM

    padded = tmp_path / "padded"
    shutil.copytree(base, padded)
    model = AutoModelForCausalLM.from_pretrained(base)
    model.resize_token_embeddings(1088, mean_resizing=False)
    model.model.embed_tokens.weight.data[1024:] = 0
    model.save_pretrained(padded)
    forms = [folder_form(padded, 1), gguf_form(f16, "F16", 1)]
    (step,) = measure(forms, passages, [], tmp_path).steps
    assert step.same_top_token_share > 0.98


def test_a_model_in_16_bit_computes_as_one_in_32(
    base: Path, adapter: Path, passages: list[Passage], tmp_path: Path
) -> None:
    import torch
    from peft import PeftModel

    stored = tmp_path / "stored"
    load_model(base, dtype="bfloat16").save_pretrained(stored)
    ids = torch.tensor([passages[0].ids])

    def logits(dtype: str, widened: bool) -> Any:
        model = PeftModel.from_pretrained(load_model(stored, dtype=dtype), adapter).eval()
        before = {name: weight.dtype for name, weight in model.named_parameters()}
        if widened:
            compute_in_float32(model)
        with torch.inference_mode():
            found = model(input_ids=ids).logits
        assert {name: weight.dtype for name, weight in model.named_parameters()} == before
        return found.float()

    exact = logits("float32", False)
    assert torch.allclose(logits("auto", True), exact, atol=1e-4)
    assert not torch.allclose(logits("auto", False), exact, atol=1e-4)


def test_nothing_to_compare_is_refused(base: Path, f16: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no text to compare"):
        measure([folder_form(base, 1), gguf_form(f16, "F16", 1)], [], [], tmp_path)
