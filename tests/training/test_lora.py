"""Trainings of the embedded base in this process."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.models.llama.modeling_llama import LlamaMLP

from supportbot_dagster.errors import UserError
from supportbot_dagster.export.random_model import build_random_model
from supportbot_dagster.jsonl import read_jsonl
from supportbot_dagster.training import __main__ as command
from supportbot_dagster.training.batches import EpochOrder
from supportbot_dagster.training.catalogue import find_base
from supportbot_dagster.training.encode import encode_rows
from supportbot_dagster.training.lora import TrainingResult, TrainingSpec, train_adapter
from tests.training.lora_runs import (
    SETTINGS,
    adapter_bytes,
    conversations,
    known_rows,
    make_spec,
    result_of,
    write_rows,
)

pytestmark = pytest.mark.slow

Runs = tuple[TrainingSpec, TrainingResult]


def quiet(step: int, steps: int, figures: dict[str, float]) -> None:
    """Say nothing."""


def train(spec: TrainingSpec) -> TrainingResult:
    return train_adapter(spec, quiet)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    spec = make_spec(tmp_path_factory.mktemp("plain"))
    return spec, train(spec)


def losses(result: TrainingResult) -> list[float]:
    return [entry["loss"] for entry in result.curve if "loss" in entry]


def test_it_learns_and_tells(plain: Runs) -> None:
    spec, result = plain
    assert result.steps == 6, "10 rows in updates of 4, twice"
    assert result.rows == 10
    assert result.candidates[0].step == 0
    assert [one.step for one in result.candidates] == [0, 1, 2, 3, 4, 5, 6]
    assert all(one.seen == 4 for one in result.candidates)
    assert result.validation_loss is not None
    assert result.validation_loss < 0.8 * result.candidates[0].eval_loss
    assert result.train_loss < 0.8 * losses(result)[0]
    assert (result.precision, result.packed, result.processes) == ("fp32", False, 1)
    written = result_of(spec)
    assert written["chosen_step"] == result.chosen_step
    assert sorted(path.name for path in Path(spec.out_dir).iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
        "training.json",
    ]


def test_the_loss_of_an_update_is_plain_cross_entropy_per_answer_token(plain: Runs) -> None:
    spec, result = plain
    tokenizer = AutoTokenizer.from_pretrained(spec.base_dir)
    examples, _ = encode_rows(tokenizer, read_jsonl(Path(spec.train_file)), 256)
    order = EpochOrder([len(one["input_ids"]) for one in examples], 4, SETTINGS.seed, lambda: 0)
    model = AutoModelForCausalLM.from_pretrained(
        spec.base_dir, dtype=torch.float32, attn_implementation="sdpa"
    )
    total, tokens = 0.0, 0
    for row in list(order)[:4]:
        labels = torch.tensor([examples[row]["labels"]])
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([examples[row]["input_ids"]])).logits
        total += float(
            torch.nn.functional.cross_entropy(logits[0, :-1], labels[0, 1:], reduction="sum")
        )
        tokens += int((labels >= 0).sum())
    assert losses(result)[0] == pytest.approx(total / tokens, rel=1e-5)


def test_the_adapter_is_that_of_the_chosen_checkpoint(plain: Runs) -> None:
    spec, result = plain
    kept = Path(spec.work_dir) / "candidates"
    of = {one.step: one for one in result.candidates}
    chosen = (kept / f"step-{result.chosen_step}" / "adapter_model.safetensors").read_bytes()
    assert adapter_bytes(spec) == chosen
    assert result.validation_loss == of[result.chosen_step].eval_loss
    others = {(path / "adapter_model.safetensors").read_bytes() for path in kept.iterdir()}
    assert len(others) == 6, "every checkpoint has an adapter of its own"


def test_a_checkpoint_that_was_better_than_the_last_is_taken(tmp_path: Path) -> None:
    spec = make_spec(tmp_path, settings=replace(SETTINGS, learning_rate=2e-2))
    result = train(spec)
    best = min(result.candidates, key=lambda one: one.eval_loss)
    assert 0 < result.chosen_step == best.step < result.steps
    assert result.validation_loss == best.eval_loss
    kept = Path(spec.work_dir) / "candidates"
    of = [
        (kept / f"step-{step}" / "adapter_model.safetensors").read_bytes()
        for step in (best.step, result.steps)
    ]
    assert adapter_bytes(spec) == of[0] != of[1]


def test_a_seed_gives_the_same_bytes_twice(plain: Runs, tmp_path: Path) -> None:
    spec, result = plain
    again = make_spec(tmp_path / "again")
    assert train(again).curve == result.curve
    assert adapter_bytes(again) == adapter_bytes(spec)
    other = make_spec(tmp_path / "other", settings=replace(SETTINGS, seed=1))
    train(other)
    assert adapter_bytes(other) != adapter_bytes(spec)


def test_a_finished_run_is_not_trained_again(plain: Runs) -> None:
    spec, result = plain
    weights = adapter_bytes(spec)
    again = train(spec)
    assert again.resumed_from == result.steps
    assert (again.curve, again.validation_loss) == (result.curve, result.validation_loss)
    assert adapter_bytes(spec) == weights


def test_laying_rows_end_to_end_changes_nothing_but_rounding(plain: Runs, tmp_path: Path) -> None:
    _, result = plain
    packed = train(make_spec(tmp_path, settings=replace(SETTINGS, packing="on")))
    assert packed.packed
    assert losses(packed) == pytest.approx(losses(result), rel=1e-3)


def test_gemma_4_learns_in_its_language_model_alone_however_rows_are_laid(tmp_path: Path) -> None:
    try:
        folder = build_random_model("gemma-4-e2b", tmp_path / "gemma-4-e2b")
    except UserError as error:
        if "could not be fetched" not in str(error):
            raise
        pytest.skip(str(error))
    modules = find_base("gemma-4-e2b").target_modules
    found = []
    for packing in ("off", "on"):
        settings = replace(SETTINGS, epochs=1.0, packing=packing, warmup_share=0.0)
        spec = make_spec(tmp_path / packing, 4, settings, 1, base_dir=str(folder))
        found.append(train(replace(spec, target_modules=modules)))
        weights = load_file(Path(spec.out_dir) / "adapter_model.safetensors")
        assert all(".language_model.layers." in name for name in weights)
        learned = {name: float(np.abs(value).max()) for name, value in weights.items()}
        assert min(value for name, value in learned.items() if "lora_B" in name) > 0
    assert losses(found[1]) == pytest.approx(losses(found[0]), rel=1e-4)
    assert found[1].validation_loss == pytest.approx(found[0].validation_loss, rel=1e-4)


def test_computing_activations_twice_changes_nothing(
    plain: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, result = plain
    calls = 0
    forward = LlamaMLP.forward

    def counted(self: LlamaMLP, states: Any) -> Any:
        nonlocal calls
        calls += 1
        return forward(self, states)

    monkeypatch.setattr(LlamaMLP, "forward", counted)
    again = train(make_spec(tmp_path, settings=replace(SETTINGS, gradient_checkpointing="on")))
    assert again.gradient_checkpointing
    assert losses(again) == pytest.approx(losses(result), rel=1e-4)
    layers, batches, judged = 6, 2 * 5, 7 * 2
    assert calls == layers * (2 * batches + judged)


def test_training_stops_when_the_validation_loss_is_flat(tmp_path: Path) -> None:
    settings = replace(SETTINGS, learning_rate=1e-12, early_stopping_patience=2)
    spec = make_spec(tmp_path, settings=settings)
    result = train(spec)
    assert result.stopped_early
    assert result.steps == 4, "two evaluations after the first third of six updates"
    assert result.candidates[-1].step == 4
    again = train(spec)
    assert (again.steps, again.stopped_early) == (4, True), "nor does a later run go on"
    assert again.curve == result.curve


@pytest.mark.parametrize("rate", [3.0, 1e30], ids=["diverges", "overflows"])
def test_an_absurd_learning_rate_fails_with_the_reason(tmp_path: Path, rate: float) -> None:
    spec = make_spec(tmp_path, settings=replace(SETTINGS, learning_rate=rate))
    write_rows(Path(spec.train_file), known_rows(24))
    expected = r"diverges: it began at 0\." if rate < 1e9 else "not a number"
    for _ in range(2):
        with pytest.raises(UserError, match=expected) as caught:
            train(spec)
        assert "Lower model.training.learning_rate" in str(caught.value)
        assert "\n" not in str(caught.value)
        assert not Path(spec.out_dir).exists()


@pytest.mark.parametrize("rank", ["0", "1"])
def test_the_command_ends_with_two_and_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    rank: str,
) -> None:
    spec = make_spec(tmp_path, settings=replace(SETTINGS, learning_rate=1e30))
    (tmp_path / "spec.json").write_text(json.dumps(spec.to_dict()))
    # Without this the test's own process would end with whoever started it.
    monkeypatch.setattr(command, "_die_with_parent", lambda: None)
    monkeypatch.setenv("RANK", rank)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert command.main([str(tmp_path / "spec.json")]) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == (1 if rank == "0" else 0), "only the first process speaks"
    assert command.main([]) == 2


def test_follow_ups_are_trained_on_top_of_the_first_stage(tmp_path: Path) -> None:
    talks = [*conversations(9), *conversations(2, "validation"), *conversations(3, "test")]
    spec = make_spec(tmp_path, followup_file=write_rows(tmp_path / "talks.jsonl", talks))
    result = train(spec)
    assert result.followup is not None
    assert (result.rows, result.followup.rows) == (10, 9)
    assert result.followup.candidates[0].seen == 6, "held-out questions and conversations"
    first = Path(spec.work_dir) / "first_stage"
    before, after = (
        load_file(folder / "adapter_model.safetensors") for folder in (first, Path(spec.out_dir))
    )
    assert result_of(replace(spec, out_dir=str(first)))["chosen_step"] == result.chosen_step
    moved = sum(float(np.square(after[name] - before[name]).sum()) for name in before) ** 0.5
    size = sum(float(np.square(value).sum()) for value in before.values()) ** 0.5
    assert 0 < moved < 0.5 * size, "it goes on from the first adapter, not from nothing"
    work = tmp_path / "still-work"
    shutil.copytree(first, work / "first_stage")
    still = replace(
        spec,
        out_dir=str(tmp_path / "still"),
        work_dir=str(work),
        settings=replace(SETTINGS, followup_rate_share=1e-12),
    )
    frozen = train(still)
    assert frozen.followup is not None
    assert not (work / "first_work").exists(), "a finished first stage is not trained again"
    start_of = [one.followup.candidates[0].eval_loss for one in (result, frozen) if one.followup]
    assert start_of[0] == start_of[1]
    kept = load_file(tmp_path / "still" / "adapter_model.safetensors")
    assert all(np.allclose(kept[name], before[name], atol=1e-6) for name in before)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"packing": "maybe"}, "packing is 'maybe'. Known: auto, on, off"),
        ({"load_in_4bit": True}, "needs an NVIDIA GPU"),
        ({"max_length": 5}, "holds no row of at most 5 tokens"),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(UserError, match=said) as caught:
        train(make_spec(tmp_path, settings=replace(SETTINGS, **changes)))
    assert "\n" not in str(caught.value)


def test_an_adapter_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no adapter_config\.json"):
        train(make_spec(tmp_path, adapter_dir=str(tmp_path / "none")))


def test_a_specification_of_before_is_read(tmp_path: Path) -> None:
    old = make_spec(tmp_path).to_dict()
    for name in ("adapter_dir", "followup_file", "registered_model", "model_alias"):
        del old[name]
    for name in ("packing", "eval_rows", "precision", "load_in_4bit"):
        del old["settings"][name]
    (tmp_path / "spec.json").write_text(json.dumps(old))
    spec = TrainingSpec.from_file(tmp_path / "spec.json")
    assert (spec.followup_file, spec.settings.packing) == ("", "auto")
