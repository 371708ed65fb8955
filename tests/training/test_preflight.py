"""Each result of the preflight holds for a sound base, and fails for one that is broken for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import pytest

from supportbot_dagster.errors import UserError
from supportbot_dagster.export.random_model import build_random_model
from supportbot_dagster.export.toolchain import converter
from supportbot_dagster.training import preflight as preflight_module
from supportbot_dagster.training.base import BASE_DIR_VARIABLE, embedded_base_dir, fetch_base
from supportbot_dagster.training.catalogue import Base, LoraSettings, find_base
from supportbot_dagster.training.chat_template import POCKET, write_template
from supportbot_dagster.training.encode import encode_rows
from supportbot_dagster.training.plan import make_plan
from supportbot_dagster.training.pocket_tokenizer import train_tokenizer
from supportbot_dagster.training.preflight import (
    RESULTS,
    PreflightReport,
    PreflightResult,
    model_results,
    preflight,
    preflight_apart,
    require_passed,
    token_results,
    write_report,
)

POCKET_BASE, GEMMA_BASE = find_base("pocket"), find_base("gemma-4-e2b")
SETTINGS = LoraSettings(max_length=256)
VOCAB = 512
END = 2
ROWS = [
    {
        "instruction": f"Customer question: how do I archive number {n}",
        "output": "Open Settings and click Archive. " + "Then save the page. " * (n % 4),
    }
    for n in range(100)
]


def runtime(folder: Path) -> tuple[int, ...]:
    """A runtime that stops where the embedded base's does; the real one is asked elsewhere."""
    return (END,)


@pytest.fixture(scope="module")
def tokenizer_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    lines = [line for name in sorted(topics) for line in topics[name].splitlines()][:800]
    lines += [f"{row['instruction']} {row['output']}" for row in ROWS]
    return train_tokenizer(lines, VOCAB, tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture
def tokenizer(tokenizer_dir: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tokenizer_dir)


def llama(**changes: Any) -> Any:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    sizes = {
        "vocab_size": VOCAB,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "tie_word_embeddings": False,
        "bos_token_id": 1,
        "eos_token_id": END,
        "pad_token_id": 3,
        "attn_implementation": "eager",
    }
    return LlamaForCausalLM(LlamaConfig(**{**sizes, **changes}))


def gemma(**changes: Any) -> Any:
    """The multimodal architecture: shared keys, per-layer embeddings, both towers."""
    import torch
    from transformers import Gemma4Config, Gemma4ForConditionalGeneration

    torch.manual_seed(0)
    text = {
        "vocab_size": VOCAB,
        "vocab_size_per_layer_input": VOCAB,
        "hidden_size": 64,
        "hidden_size_per_layer_input": 16,
        "intermediate_size": 128,
        "num_hidden_layers": 6,
        "num_attention_heads": 4,
        "num_key_value_heads": 1,
        "head_dim": 16,
        "global_head_dim": 32,
        "num_kv_shared_layers": 3,
        "use_double_wide_mlp": True,
        "sliding_window": 16,
        "layer_types": ["sliding_attention", "sliding_attention", "full_attention"] * 2,
        "bos_token_id": 1,
        "eos_token_id": END,
        "pad_token_id": 3,
    }
    vision = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "position_embedding_size": 64,
    }
    audio = {
        "hidden_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "output_proj_dims": 64,
    }
    config = Gemma4Config(
        text_config={**text, **changes},
        vision_config=vision,
        audio_config=audio,
        image_token_id=VOCAB - 1,
        audio_token_id=VOCAB - 2,
        video_token_id=VOCAB - 3,
        attn_implementation="eager",
    )
    return Gemma4ForConditionalGeneration(config)


MAKERS: dict[str, Callable[..., Any]] = {"llama": llama, "gemma": gemma}


def write_base(folder: Path, tokenizer: Any, model: Any) -> Path:
    tokenizer.save_pretrained(folder)
    write_template(folder, tokenizer.chat_template)
    model.save_pretrained(folder)
    return folder


def by_name(results: tuple[PreflightResult, ...] | list[PreflightResult]) -> dict[str, Any]:
    return {result.name: result for result in results}


@pytest.fixture
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of what comes before the row is learned."""
    monkeypatch.setattr(preflight_module, "_MAX_STEPS", 1)


def run_model(
    tokenizer: Any, model: Any, target_modules: str = GEMMA_BASE.target_modules
) -> dict[str, PreflightResult]:
    examples, _ = encode_rows(tokenizer, ROWS[:8], 256)
    return by_name(model_results(model, examples, target_modules, SETTINGS, {END}))


# --- the whole ---


def test_the_embedded_base_passes() -> None:
    told: list[str] = []
    report = preflight(
        POCKET_BASE,
        embedded_base_dir(),
        ROWS,
        POCKET_BASE.lora,
        runtime=runtime,
        progress=lambda label, done, total: told.append(label),
    )
    assert report.failures == ""
    assert report.passed
    assert tuple(result.name for result in report.results) == RESULTS
    assert told == [f"preflight {name}" for name in RESULTS]
    assert report.device == "cpu, fp32"
    assert report.peak_memory_gib > 0


@pytest.mark.parametrize("kind", MAKERS)
def test_a_base_of_each_architecture_passes(kind: str, tokenizer: Any, tmp_path: Path) -> None:
    folder = write_base(tmp_path / "base", tokenizer, MAKERS[kind]())
    base = replace(GEMMA_BASE, end_of_turn="<|end|>")
    report = preflight(base, folder, ROWS, SETTINGS, runtime=runtime)
    assert report.failures == ""
    layers = by_name(report.results)["adapter_layers"].detail
    # Three of six Gemma layers have no keys and values of their own.
    assert layers.startswith("14 of 14" if kind == "llama" else "36 of 36")


def write_rows(path: Path) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


@pytest.mark.slow
def test_in_a_process_of_its_own_it_says_the_same(tmp_path: Path) -> None:
    told: list[tuple[str, int, int | None]] = []
    report = preflight_apart(
        POCKET_BASE,
        embedded_base_dir(),
        write_rows(tmp_path / "train.jsonl"),
        POCKET_BASE.lora,
        runtime=runtime,
        progress=lambda label, done, total: told.append((label, done, total)),
    )
    assert report.failures == ""
    assert report.passed
    assert told == [
        (f"preflight {name}", place, len(RESULTS)) for place, name in enumerate(RESULTS, start=1)
    ]


@pytest.mark.slow
def test_a_process_that_dies_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(folder: Path) -> tuple[int, ...]:
        raise UserError("The tokenizer's hash is unknown.")

    rows = write_rows(tmp_path / "train.jsonl")
    report = preflight_apart(
        POCKET_BASE, embedded_base_dir(), rows, replace(SETTINGS, max_length=1), runtime=refuses
    )
    assert "converter: The tokenizer's hash is unknown." in report.failures
    assert "overfit: not run: no row can be encoded" in report.failures
    with pytest.raises(UserError, match=r"ended without a report \(exit code 1\)") as caught:
        preflight_apart(
            POCKET_BASE, embedded_base_dir(), tmp_path / "gone", SETTINGS, runtime=runtime
        )
    assert "\n" not in str(caught.value)
    killer = tmp_path / "python"
    killer.write_text("#!/bin/sh\nkill -9 $$\n")
    killer.chmod(0o755)
    monkeypatch.setattr(preflight_module.sys, "executable", str(killer))
    with pytest.raises(UserError, match="killed by the system, most likely for want of memory"):
        preflight_apart(POCKET_BASE, embedded_base_dir(), rows, SETTINGS, runtime=runtime)


def test_a_base_that_cannot_be_read_or_encoded_fails_with_every_result_named(
    tokenizer: Any, tmp_path: Path
) -> None:
    folder = write_base(tmp_path / "base", tokenizer, llama())
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "unheard-of"}))
    report = preflight(POCKET_BASE, folder, ROWS, SETTINGS, runtime=runtime)
    assert not report.passed
    assert tuple(result.name for result in report.results) == RESULTS
    assert "describes no model" in by_name(report.results)["memory"].detail
    assert by_name(report.results)["overfit"].detail.startswith("not run")


def test_a_base_that_does_not_fit_the_memory_is_not_loaded(
    tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_base(tmp_path / "base", tokenizer, llama())
    monkeypatch.setattr(preflight_module, "_free_memory", lambda: 1000.0)
    monkeypatch.setattr(preflight_module, "_load", lambda *_: pytest.fail("it is loaded"))
    memory = by_name(preflight(POCKET_BASE, folder, ROWS, SETTINGS, runtime=runtime).results)[
        "memory"
    ]
    assert not memory.passed
    assert "do not fit" in memory.detail


def test_a_setting_that_this_machine_cannot_train_with_is_told(
    tokenizer: Any, tmp_path: Path
) -> None:
    folder = write_base(tmp_path / "base", tokenizer, llama())
    settings = replace(SETTINGS, load_in_4bit=True)
    report = preflight(POCKET_BASE, folder, ROWS, settings, runtime=runtime)
    assert "memory: model.training.load_in_4bit needs" in report.failures


@pytest.mark.parametrize("kind", MAKERS)
def test_sixteen_bit_weights_pass_as_on_a_gpu(kind: str, tokenizer: Any) -> None:
    import torch

    results = run_model(tokenizer, MAKERS[kind]().to(torch.bfloat16))
    assert all(result.passed for result in results.values()), results


# --- tokens ---


def run_tokens(
    folder: Path,
    *,
    base: Base = POCKET_BASE,
    rows: list[dict[str, str]] = ROWS,
    stops: Callable[[Path], tuple[int, ...]] = runtime,
) -> dict[str, PreflightResult]:
    return by_name(token_results(base, folder, rows, SETTINGS, stops)[0])


BROKEN_TEMPLATES = [
    ("{% if tools %}tools{% endif %}" + POCKET, "template", "of no known family"),
    ("<|turn>{{ thinking }}" + POCKET, "template", "not the plain one"),
    ("{{ bos_token }}" + POCKET, "bos", "64 of 64 prompts have 2 BOS|50 of 50 prompts have 2 BOS"),
    (POCKET.replace("{{ bos_token }}", ""), "bos", "prompts have 0 BOS"),
    (
        POCKET.replace("{{ bos_token }}", "").replace("<|user|>", "<|user|>{{ bos_token }}"),
        "bos",
        "but not in front",
    ),
    (
        POCKET.replace("<|end|>", " Hope this helps!<|end|>"),
        "completion_mask",
        "behind the answer carries loss: 'Hope this helps",
    ),
    (
        POCKET.replace("{% if add_generation_prompt %}<|assistant|>{% endif %}", ""),
        "completion_mask",
        r"loss begins at '<\|assistant\|>",
    ),
    (
        POCKET.replace("{{ message['content'] }}", "{{ message['content'] | upper }}"),
        "completion_mask",
        "loss begins at 'OPEN",
    ),
    (
        POCKET.replace("{% if add_generation_prompt %}", "{% if add_generation_prompt %}Now "),
        "completion_mask",
        "otherwise than before an answer",
    ),
    (
        POCKET.replace("<|end|>", "{% if message['role'] == 'user' %}<|end|>{% endif %}"),
        "completion_mask",
        "without an end-of-turn token",
    ),
    (
        POCKET.replace("<|end|>", "{{ '<|end|>' if message['role'] == 'user' else '<|user|>' }}"),
        "end_of_turn",
        r"is learned in 0 of \d+ rows, so the bot would not stop",
    ),
]


@pytest.mark.parametrize(("template", "name", "said"), BROKEN_TEMPLATES)
def test_a_template_that_does_not_fit_fails(
    template: str, name: str, said: str, tokenizer: Any, tmp_path: Path
) -> None:
    import re

    assert template != POCKET
    tokenizer.save_pretrained(tmp_path)
    write_template(tmp_path, POCKET)
    assert all(result.passed for result in run_tokens(tmp_path).values())
    write_template(tmp_path, template)
    result = run_tokens(tmp_path)[name]
    assert not result.passed
    assert re.search(said, result.detail), result.detail


def test_a_converter_that_refuses_and_a_runtime_that_does_not_stop_fail(
    tokenizer: Any, tmp_path: Path
) -> None:
    def refuses(folder: Path) -> tuple[int, ...]:
        raise UserError("The tokenizer's hash is unknown.")

    tokenizer.save_pretrained(tmp_path)
    write_template(tmp_path, POCKET)
    refused = run_tokens(tmp_path, stops=refuses)
    assert refused["converter"].detail == "The tokenizer's hash is unknown."
    assert not refused["converter"].passed
    elsewhere = run_tokens(tmp_path, stops=lambda folder: (3,))
    assert elsewhere["converter"].passed
    assert not elsewhere["end_of_turn"].passed
    assert "the runtime does not stop at <|end|> (id 2); it stops at" in (
        elsewhere["end_of_turn"].detail
    )
    strange = run_tokens(tmp_path, base=replace(POCKET_BASE, end_of_turn="<turn|>"))
    assert "the tokenizer does not know <turn|>" in strange["end_of_turn"].detail


def test_rows_that_are_none_or_too_long_fail(tokenizer: Any, tmp_path: Path) -> None:
    tokenizer.save_pretrained(tmp_path)
    write_template(tmp_path, POCKET)
    assert not run_tokens(tmp_path, rows=[])["completion_mask"].passed
    assert not run_tokens(tmp_path, rows=[])["bos"].passed
    long = [{"instruction": "why", "output": "because " * 400}]
    assert "no row fits 256 tokens" in run_tokens(tmp_path, rows=long)["completion_mask"].detail


# --- the model ---


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        (r".*language_model\.layers\.\d+\.self_attn\.(q|v)_proj", "none on model.language_model"),
        (
            r".*language_model\.layers\.\d+\.(self_attn|mlp)\.\w+_proj|.*tower.*_proj\.linear",
            "outside of it, such as model.audio_tower.",
        ),
        (r"transformer\.h\.\d+\.c_attn", "no adapter can be made"),
        (r".*(q|k|v|o)_proj", "no adapter can be made"),
    ],
)
def test_adapters_on_the_wrong_layers_fail(
    pattern: str, said: str, tokenizer: Any, few_steps: None
) -> None:
    result = run_model(tokenizer, gemma(), pattern)["adapter_layers"]
    assert not result.passed
    assert said in result.detail


def test_a_layer_that_gets_no_gradient_fails(tokenizer: Any, few_steps: None) -> None:
    import torch

    model = llama()
    with torch.no_grad():
        model.model.layers[1].post_attention_layernorm.weight.zero_()
    result = run_model(tokenizer, model)["adapter_gradients"]
    assert not result.passed
    assert "get no gradient, such as model.layers.1.mlp." in result.detail


def test_a_base_whose_own_weights_learn_or_overflow_fails(tokenizer: Any, few_steps: None) -> None:
    import torch

    def thaw(module: Any, args: Any) -> None:
        module.weight.requires_grad_(True)

    model = llama()
    model.model.embed_tokens.register_forward_pre_hook(thaw)
    learned = run_model(tokenizer, model)["adapter_gradients"]
    assert not learned.passed
    assert "weights of the base get gradients as well" in learned.detail
    broken = llama()
    with torch.no_grad():
        broken.lm_head.weight.fill_(float("inf"))
    assert "the loss is nan" in run_model(tokenizer, broken)["adapter_gradients"].detail


def test_a_model_that_needs_its_cache_fails(tokenizer: Any, few_steps: None) -> None:
    """As shared keys were lost without a cache in one version of transformers."""
    model = gemma()

    def lose(module: Any, args: Any, kwargs: Any, output: Any) -> Any:
        return output * 0.5 if kwargs.get("past_key_values") is None else output

    assert run_model(tokenizer, gemma())["cache"].passed
    model.model.language_model.layers[4].register_forward_hook(lose, with_kwargs=True)
    result = run_model(tokenizer, model)["cache"]
    assert not result.passed
    assert "without" in result.detail


def test_a_model_that_forgets_the_cache_fails(tokenizer: Any) -> None:
    model = llama()
    real = model.forward

    def forward(*args: Any, past_key_values: Any = None, **kwargs: Any) -> Any:
        return real(*args, past_key_values=None, **kwargs)

    model.forward = forward
    results = run_model(tokenizer, model)
    assert not results["cache"].passed
    assert not results["overfit"].passed, "it is learned, but not answered"
    assert "learned" in results["overfit"].detail


def test_a_model_that_cannot_learn_fails(tokenizer: Any) -> None:
    import torch

    model = llama()
    with torch.no_grad():
        model.lm_head.weight.zero_()
    result = run_model(tokenizer, model)["overfit"]
    assert not result.passed
    assert "tokens are answered" in result.detail
    examples, _ = encode_rows(tokenizer, ROWS[:2], 256)
    endless = by_name(model_results(llama(), examples, GEMMA_BASE.target_modules, SETTINGS, {9}))
    assert "no token at which it stops" in endless["overfit"].detail


# --- the report ---


def test_a_report_is_stored_and_read_again(tmp_path: Path) -> None:
    results = tuple(PreflightResult(name, True, "fine") for name in RESULTS)
    report = PreflightReport("pocket", "cpu", results, 1.5, 0.5)
    write_report(report, tmp_path)
    value = json.loads((tmp_path / "preflight.json").read_text())
    assert value["passed"] is True
    assert require_passed(value) == report


def test_a_report_that_did_not_pass_or_lacks_a_result_is_refused() -> None:
    results = tuple(PreflightResult(name, name != "cache", "7 % off") for name in RESULTS)
    failed = PreflightReport("pocket", "cpu", results, 1.5, 0.5)
    with pytest.raises(UserError, match=r"preflight of pocket failed.*: cache: 7 % off\."):
        require_passed(failed.to_dict())
    with pytest.raises(UserError, match="cache: 7 % off"):
        require_passed({**failed.to_dict(), "passed": True})  # the results decide
    sound = [PreflightResult(name, True, "") for name in RESULTS]
    partial = PreflightReport("pocket", "cpu", tuple(sound[:-1]), 1.5, 0.5)
    with pytest.raises(UserError, match="overfit: not checked"):
        require_passed(partial.to_dict())
    with pytest.raises(UserError, match="is no preflight report"):
        require_passed({"results": 3})


# --- the true architectures with their tokenizers and published chat templates ---


@pytest.fixture(scope="session")
def toolchain() -> Path:
    try:
        return converter()
    except UserError as error:
        if "could not be fetched" in str(error):
            pytest.skip(str(error))
        raise


@pytest.mark.slow
@pytest.mark.parametrize("key", ["gemma-4-e2b", "llama-3.2-1b", "llama-3.1-8b"])
def test_a_small_model_of_each_true_architecture_passes(
    key: str, toolchain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it comes from a folder: with the published template, which is replaced on the way."""
    base = find_base(key)
    published = build_random_model(key, tmp_path / "published", toolchain=toolchain)
    monkeypatch.setenv(BASE_DIR_VARIABLE, str(published))
    template = by_name(token_results(base, published, ROWS[:4], SETTINGS, runtime)[0])["template"]
    assert "not the plain one" in template.detail
    folder = tmp_path / "base"
    fetch_base(base, folder)
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    stops = tuple(tokenizer.convert_tokens_to_ids(list(base.ollama.stops)))
    report = preflight(base, folder, ROWS[::4], SETTINGS, runtime=lambda _: stops)
    assert report.failures == ""
    plan = make_plan(base, folder, ROWS[:8], SETTINGS)
    layers = by_name(report.results)["adapter_layers"].detail
    assert layers.startswith(f"{plan.adapted_layers} of {plan.adapted_layers} layers")
