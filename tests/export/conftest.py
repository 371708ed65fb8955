"""A small Llama that has learned one answer by heart, and its GGUF files."""

from __future__ import annotations

from pathlib import Path
from pydoc_data.topics import topics

import pytest

from supportbot_dagster.errors import UserError
from supportbot_dagster.export.convert import quantize, to_gguf
from supportbot_dagster.export.toolchain import converter
from supportbot_dagster.training.pocket_tokenizer import train_tokenizer

QUESTION = "Customer question: how do i export everything"
ANSWER = "Open the list, choose Export, and save the file. It holds 12 columns."
VOCAB = 1024


def english_lines(count: int = 1500) -> list[str]:
    """English prose from the standard library."""
    text = "\n".join(topics[name] for name in sorted(topics))
    return [line for line in text.splitlines() if line.strip()][:count]


def build_model(folder: Path, *, hidden: int = 256, seed: int = 0, steps: int = 40) -> Path:
    """Write a two-layer Llama that was trained on QUESTION and ANSWER alone."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    train_tokenizer([*english_lines(), QUESTION, ANSWER] * 2, VOCAB, folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCAB,
            hidden_size=hidden,
            intermediate_size=2 * hidden,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=1024,
            tie_word_embeddings=True,
            bos_token_id=1,
            eos_token_id=2,
            pad_token_id=3,
        )
    )
    turns = [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": ANSWER}]
    ids = torch.tensor([tokenizer.apply_chat_template(turns, return_dict=True)["input_ids"]])
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
    torch.set_num_threads(threads)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def toolchain() -> Path:
    try:
        return converter()
    except UserError as error:
        if "could not be fetched" in str(error):
            pytest.skip(str(error))
        raise


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_model(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="session")
def f16(base: Path, toolchain: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("gguf") / "tiny.F16.gguf"
    to_gguf(base, out, toolchain=toolchain)
    return out


@pytest.fixture(scope="session")
def q4(f16: Path) -> Path:
    out = f16.with_name("tiny.gguf")
    quantize(f16, out, "Q4_K_M", threads=1)
    return out


@pytest.fixture(scope="session")
def lines() -> list[str]:
    return english_lines()


@pytest.fixture(scope="session")
def question() -> str:
    return QUESTION


@pytest.fixture(scope="session")
def answer() -> str:
    return ANSWER


@pytest.fixture(scope="session")
def other_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same tokenizer and shape with other weights."""
    return build_model(tmp_path_factory.mktemp("other"), seed=1, steps=1)


@pytest.fixture(scope="session")
def adapter(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random adapter on the attention and feed-forward layers of ``base``."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaForCausalLM

    torch.manual_seed(7)
    config = LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj", "down_proj"])
    adapted = get_peft_model(LlamaForCausalLM.from_pretrained(base), config)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    folder = tmp_path_factory.mktemp("adapter")
    adapted.save_pretrained(folder)
    return folder
