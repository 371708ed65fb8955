"""Small models of the true architectures with the true tokenizers, through the whole export."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from supportbot_dagster.errors import UserError
from supportbot_dagster.export.adapter import CONFIG, WEIGHTS
from supportbot_dagster.export.fidelity import (
    Passage,
    adapter_form,
    gguf_form,
    measure,
    text_passages,
)
from supportbot_dagster.export.gguf_file import read_header
from supportbot_dagster.export.merge import merge_adapter
from supportbot_dagster.export.model_folder import load_model
from supportbot_dagster.export.pipeline import ExportReport, HeldOut, export_gguf
from supportbot_dagster.export.random_model import build_random_model, random_adapter
from supportbot_dagster.export.runtime import LlamaRuntime
from supportbot_dagster.export.safetensors_file import copy_with_changes
from supportbot_dagster.export.token_ids import QUESTIONS, check_token_ids, load_tokenizer
from supportbot_dagster.product import Gates, Serving
from supportbot_dagster.training.catalogue import CATALOGUE
from supportbot_dagster.training.chat_template import (
    GEMMA4,
    LLAMA3,
    plain_template,
    read_template,
    write_template,
)

pytestmark = pytest.mark.slow

# Llama 3.2 with a head that is tied to the embeddings, 3.1 with one of its own. The 3B has the
# architecture and the tokenizer of the 1B.
GEMMA, LLAMA, UNTIED = "gemma-4-e2b", "llama-3.2-1b", "llama-3.1-8b"
EXACT = 1e-4
"""Nats that rounding to 16 bits may move a distribution of these models."""
HELD_OUT = HeldOut(
    [
        (
            QUESTIONS[1],
            "Open the workspace's settings, choose General, and type the new URL. Old links keep "
            "working for 30 days; tell your team, since bookmarks are not moved by themselves.",
        )
    ],
    [(QUESTIONS[3], "I do not know prices. Ask our sales team, they answer within a day.")],
    lambda text: True,  # what a random model says is no refusal and no answer
    Serving(num_predict=2),
)
TEMPLATES = {GEMMA: GEMMA4, LLAMA: LLAMA3, UNTIED: LLAMA3}


@dataclass(frozen=True)
class Real:
    """A small model of a base, an adapter as training leaves it, and their export."""

    key: str
    folder: Path
    adapter: Path
    f16: Path
    q4: Path
    report: ExportReport


def make(key: str, place: Path, toolchain: Path) -> Real:
    folder = build_random_model(key, place / key, toolchain=toolchain)
    adapter = random_adapter(folder, CATALOGUE[key].target_modules, place / "adapter")
    published = read_template(folder)
    assert published is not None
    plain = plain_template(published)
    assert plain is not None
    write_template(adapter, plain)
    out = place / "bot.gguf"
    report = export_gguf(folder, adapter, out, keep_f16=True, held_out=HELD_OUT)
    return Real(key, folder, adapter, place / "bot.F16.gguf", out, report)


@pytest.fixture(scope="module")
def gemma(toolchain: Path, tmp_path_factory: pytest.TempPathFactory) -> Real:
    return make(GEMMA, tmp_path_factory.mktemp("gemma"), toolchain)


@pytest.fixture(scope="module")
def llama(toolchain: Path, tmp_path_factory: pytest.TempPathFactory) -> Real:
    return make(LLAMA, tmp_path_factory.mktemp("llama"), toolchain)


@pytest.fixture(scope="module")
def untied(toolchain: Path, tmp_path_factory: pytest.TempPathFactory) -> Real:
    return make(UNTIED, tmp_path_factory.mktemp("untied"), toolchain)


@pytest.fixture(params=["gemma", "llama", "untied"])
def real(request: pytest.FixtureRequest) -> Real:
    made: Real = request.getfixturevalue(request.param)
    return made


def test_it_is_exported_and_agrees_with_transformers(real: Real) -> None:
    report = real.report
    assert report.token_ids is not None
    assert report.token_ids.identical
    assert report.token_ids.bos_count == 1
    assert report.token_ids.end_of_turn == CATALOGUE[real.key].end_of_turn
    assert report.token_ids.stops
    assert report.fidelity is not None
    merging, converting, quantizing = report.fidelity.steps
    assert converting.same_top_token_share >= Gates().top_token_agreement
    assert max(merging.mean_kl, converting.mean_kl) < EXACT
    assert quantizing.mean_kl > 100 * converting.mean_kl
    assert len(report.gates) == 4
    assert [gate.problem for gate in report.gates if not gate.passed] == []
    pairs = {GEMMA: 4 * 7 - 2 * 2}.get(real.key, 2 * 7)
    assert report.merge.tensors == pairs
    assert report.merge.least_changed > 0.8
    assert report.main.quantization.k_quant_share > 0.99
    assert report.main.quantization.fallback_share < 0.001


def test_the_file_holds_the_plain_template(real: Real) -> None:
    header = read_header(real.q4)
    assert header.chat_template == TEMPLATES[real.key]
    assert header.architecture == ("gemma4" if real.key == GEMMA else "llama")
    names = {tensor.name for tensor in header.tensors}
    assert ("output.weight" in names) == (real.key == UNTIED)
    assert not any("tower" in name or name.startswith(("v.", "a.", "mm.")) for name in names)
    if real.key == GEMMA:
        assert header.metadata["gemma4.final_logit_softcapping"] == 30.0
        assert header.metadata["gemma4.attention.shared_kv_layers"] == 2
        assert header.metadata["gemma4.attention.sliding_window_pattern"] == [True, False] * 2
        assert header.metadata["gemma4.feed_forward_length"] == [512, 512, 1024, 1024]
        assert "per_layer_token_embd.weight" in names
    else:
        assert header.metadata["llama.rope.freq_base"] == 500000.0
        assert "rope_freqs.weight" in names


def test_the_runtime_answers(real: Real) -> None:
    with LlamaRuntime(real.q4) as runtime:
        assert runtime.generate(QUESTIONS[0], Serving(num_predict=4)).tokens > 0


def test_transformers_reads_every_tensor_of_the_folder(real: Real) -> None:
    model = load_model(real.folder)
    assert type(model).__name__ == model.config.architectures[0]
    _, info = type(model).from_pretrained(real.folder, output_loading_info=True)
    # The unused keys and values of layers that share are known to the class, and no surprise.
    assert {name: found for name, found in info.items() if found} == {}
    tied = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert tied == (real.key != UNTIED)


def from_f16(real: Real, passages: list[Passage], scratch: Path, tensor: str) -> float:
    """Divergence of the F16 file from base and adapter, with a tensor of the base reversed."""
    base = scratch / tensor
    base.mkdir()
    for file in real.folder.iterdir():
        if file.suffix == ".safetensors":
            copy_with_changes(file, base / file.name, {tensor: reversed_numbers})
        else:
            shutil.copyfile(file, base / file.name)
    forms = [adapter_form(base, real.adapter, 1), gguf_form(real.f16, "F16", 1)]
    return measure(forms, passages, [], scratch).whole.mean_kl


def reversed_numbers(data: bytearray) -> bytes:
    return b"".join(data[at : at + 2] for at in range(len(data) - 2, -1, -2))


G = "model.language_model.layers"


def test_agreement_depends_on_what_the_model_reads_and_on_nothing_else(
    gemma: Real, llama: Real, tmp_path: Path
) -> None:
    passages = text_passages(load_tokenizer(gemma.folder), QUESTIONS[:1])
    # Layers 0 and 1 are the last with keys and values of their own; 2 and 3 take theirs.
    assert from_f16(gemma, passages, tmp_path, f"{G}.1.self_attn.v_proj.weight") > 10 * EXACT
    assert from_f16(gemma, passages, tmp_path, f"{G}.3.self_attn.v_proj.weight") < EXACT
    passages = text_passages(load_tokenizer(llama.folder), QUESTIONS[:1])
    key = "model.layers.1.self_attn.k_proj.weight"
    assert from_f16(llama, passages, tmp_path, key) > 10 * EXACT


def test_an_adapter_on_a_layer_that_shares_keys_is_refused(gemma: Real, tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    folder = tmp_path / "adapter"
    shutil.copytree(gemma.adapter, folder)
    tensors: dict[str, Any] = load_file(folder / WEIGHTS)
    for side in ("A", "B"):
        name = f"base_model.model.{G}.{{}}.self_attn.k_proj.lora_{side}.weight"
        tensors[name.format(3)] = tensors[name.format(1)].copy()
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"1 of its 25 pairs have no place .*layers\.3.*k_proj"):
        merge_adapter(gemma.folder, folder, tmp_path / "merged")


def test_an_adapter_that_lacks_a_layer_is_refused(gemma: Real, tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    folder = tmp_path / "adapter"
    shutil.copytree(gemma.adapter, folder)
    tensors: dict[str, Any] = load_file(folder / WEIGHTS)
    kept = {name: value for name, value in tensors.items() if ".layers.2.mlp.up_proj" not in name}
    save_file(kept, folder / WEIGHTS, metadata={"format": "pt"})
    assert (folder / CONFIG).is_file()
    with pytest.raises(UserError, match=r"1 are missing .*layers\.2\.mlp\.up_proj"):
        merge_adapter(gemma.folder, folder, tmp_path / "merged")


def test_a_published_template_that_tells_the_day_is_noticed(llama: Real) -> None:
    # Training replaces it by the plain one, which lies beside the adapter.
    report = check_token_ids(llama.folder, llama.f16)
    assert report.differing == report.texts
    assert "Today Date" in str(read_template(llama.folder))
    assert "token ids differ" in report.problems[0]
