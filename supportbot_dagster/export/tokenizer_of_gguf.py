"""Tokenizers in the Hugging Face layout, made of the vocabulary inside a GGUF.

What lives here: writing ``tokenizer.json``, ``tokenizer_config.json`` and the published chat
template of Gemma 4 and of Llama 3.1 and 3.2 from what the toolchain unpacks. What does not: it
(:mod:`supportbot_dagster.export.toolchain`) and models with such a tokenizer
(:mod:`supportbot_dagster.export.random_model`).

A GGUF holds the pieces and the merges of a tokenizer, but not how text is cut before them, nor what
its special tokens are for. Both are added here from what is published:

- Gemma 4: ``transformers.models.gemma.tokenization_gemma``, the class that the published
  configuration names: spaces become ``▁``, one byte-pair encoding over the whole text, bytes for
  what is unknown.
- Llama 3: the regular expression that llama.cpp keeps for the pre-tokenizer ``llama-bpe``
  (``src/llama-vocab.cpp``), bytes as visible letters, a word that is one piece taken whole. The
  vocabulary in the toolchain is that of Llama 3; 3.1 and 3.2 gave names to four of its reserved
  tokens and numbered the others anew.
"""

import json
import re
from pathlib import Path
from typing import Any

from supportbot_dagster.errors import UserError
from supportbot_dagster.export.gguf_file import GgufHeader, read_header
from supportbot_dagster.export.toolchain import (
    GEMMA4_TEMPLATE,
    GEMMA4_VOCABULARY,
    LLAMA3_VOCABULARY,
    LLAMA31_TEMPLATE,
    LLAMA32_TEMPLATE,
)

_CONTROL, _USER_DEFINED = 3, 4  # llama_token_type of include/llama.h
_LONGEST = 131_072
_GEMMA4_NAMES = {
    "bos_token": "<bos>",
    "eos_token": "<eos>",
    "unk_token": "<unk>",
    "pad_token": "<pad>",
    "mask_token": "<mask>",
    "image_token": "<|image|>",
    "boi_token": "<|image>",
    "eoi_token": "<image|>",
    "audio_token": "<|audio|>",
    "boa_token": "<|audio>",
    "eoa_token": "<audio|>",
    "sot_token": "<|turn>",
    "eot_token": "<turn|>",
    "soc_token": "<|channel>",
    "eoc_token": "<channel|>",
    "std_token": "<|tool>",
    "etd_token": "<tool|>",
    "stc_token": "<|tool_call>",
    "etc_token": "<tool_call|>",
    "str_token": "<|tool_response>",
    "etr_token": "<tool_response|>",
    "think_token": "<|think|>",
    "escape_token": '<|"|>',
}
_GEMMA4_MORE = ("<|video|>",)
# The larger models are asked with an empty thought where thinking is off; E2B and E4B are not.
_EMPTY_THOUGHT = re.compile(
    r"[ ]*\{%- if not enable_thinking \| default\(false\) -%\}\s*"
    r"\{\{- '<\|channel>thought\\n<channel\|>' -\}\}\s*\{%- endif -%\}\n"
)
_LLAMA3_BOS = "<|begin_of_text|>"
_LLAMA31_NAMES = {
    128004: "<|finetune_right_pad_id|>",
    128006: "<|start_header_id|>",
    128007: "<|end_header_id|>",
    128008: "<|eom_id|>",
    128009: "<|eot_id|>",
    128010: "<|python_tag|>",
}
_LLAMA3_RESERVED = "<|reserved_special_token_"
_LLAMA3_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def write_gemma4_tokenizer(toolchain: Path, out_dir: Path) -> None:
    """Write the tokenizer and the chat template of Gemma 4 E2B.

    The toolchain holds the template of the 31B model; that of E2B differs in that it writes no
    empty thought in front of an answer.

    Args:
        toolchain: the folder that :func:`supportbot_dagster.export.toolchain.converter` gave.
        out_dir: model folder; it must exist.

    Raises:
        UserError: if the toolchain is incomplete.
    """
    header = _vocabulary(toolchain / GEMMA4_VOCABULARY)
    pieces = header.metadata["tokenizer.ggml.tokens"]
    special = [*_GEMMA4_NAMES.values(), *_GEMMA4_MORE]
    _check_special(toolchain / GEMMA4_VOCABULARY, header, set(special))
    ids = {piece: index for index, piece in enumerate(pieces)}
    _write_tokenizer(
        out_dir,
        pieces,
        header.metadata["tokenizer.ggml.merges"],
        added={ids[token]: token for token in special},
        unk_token="<unk>",
        fuse_unk=True,
        byte_fallback=True,
        normalizer={"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        pre_tokenizer={
            "type": "Split",
            "pattern": {"String": " "},
            "behavior": "MergedWithPrevious",
            "invert": False,
        },
        post_processor=_bos_first("<bos>", ids["<bos>"]),
        decoder={
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
            ],
        },
    )
    _write_json(
        out_dir / "tokenizer_config.json",
        {
            **_GEMMA4_NAMES,
            "extra_special_tokens": list(_GEMMA4_MORE),
            "model_max_length": int(1e30),
            "padding_side": "left",
            "processor_class": "Gemma4Processor",
            "tokenizer_class": "GemmaTokenizer",
        },
    )
    template, count = _EMPTY_THOUGHT.subn("", _text(toolchain / GEMMA4_TEMPLATE))
    if count != 1:
        raise _incomplete(toolchain / GEMMA4_TEMPLATE)
    (out_dir / "chat_template.jinja").write_text(template, encoding="utf-8")


def write_llama3_tokenizer(toolchain: Path, out_dir: Path, version: str) -> None:
    """Write the tokenizer and the chat template of Llama 3.1 or 3.2.

    Args:
        toolchain: the folder that :func:`supportbot_dagster.export.toolchain.converter` gave.
        out_dir: model folder; it must exist.
        version: ``3.1`` or ``3.2``.

    Raises:
        UserError: if the toolchain is incomplete.
    """
    header = _vocabulary(toolchain / LLAMA3_VOCABULARY)
    pieces = list(header.metadata["tokenizer.ggml.tokens"])
    kinds = header.metadata["tokenizer.ggml.token_type"]
    special = [index for index, kind in enumerate(kinds) if kind == _CONTROL]
    reserved = 0
    for index in special:
        if index in _LLAMA31_NAMES:
            pieces[index] = _LLAMA31_NAMES[index]
        elif pieces[index].startswith(_LLAMA3_RESERVED):
            pieces[index] = f"{_LLAMA3_RESERVED}{reserved}|>"
            reserved += 1
    bytes_as_letters = {
        "type": "ByteLevel",
        "add_prefix_space": False,
        "trim_offsets": True,
        "use_regex": False,
    }
    _write_tokenizer(
        out_dir,
        pieces[: special[0]],
        header.metadata["tokenizer.ggml.merges"],
        added={index: pieces[index] for index in special},
        ignore_merges=True,
        pre_tokenizer={
            "type": "Sequence",
            "pretokenizers": [
                {
                    "type": "Split",
                    "pattern": {"Regex": _LLAMA3_WORDS},
                    "behavior": "Isolated",
                    "invert": False,
                },
                bytes_as_letters,
            ],
        },
        post_processor={
            "type": "Sequence",
            "processors": [
                {**bytes_as_letters, "trim_offsets": False, "use_regex": True},
                _bos_first(_LLAMA3_BOS, special[0]),
            ],
        },
        decoder={**bytes_as_letters, "use_regex": True},
    )
    template = {"3.1": LLAMA31_TEMPLATE, "3.2": LLAMA32_TEMPLATE}[version]
    _write_json(
        out_dir / "tokenizer_config.json",
        {
            "bos_token": _LLAMA3_BOS,
            "eos_token": "<|eot_id|>",
            "chat_template": _text(toolchain / template),
            "clean_up_tokenization_spaces": True,
            "model_input_names": ["input_ids", "attention_mask"],
            "model_max_length": _LONGEST,
            "tokenizer_class": "PreTrainedTokenizerFast",
        },
    )


def _vocabulary(path: Path) -> GgufHeader:
    if not path.is_file():
        raise _incomplete(path)
    return read_header(path)


def _text(path: Path) -> str:
    if not path.is_file():
        raise _incomplete(path)
    return path.read_text(encoding="utf-8")


def _incomplete(path: Path) -> UserError:
    return UserError(
        f"{path} is missing or not what it was in the known versions. "
        "Remove the folder of the converter, so that it is fetched again."
    )


def _check_special(path: Path, header: GgufHeader, known: set[str]) -> None:
    """Refuse a vocabulary whose special tokens are not those that have names here."""
    marked = {
        piece
        for piece, kind in zip(
            header.metadata["tokenizer.ggml.tokens"],
            header.metadata["tokenizer.ggml.token_type"],
            strict=True,
        )
        if kind in (_CONTROL, _USER_DEFINED)
    }
    if marked != known:
        raise _incomplete(path)


def _bos_first(token: str, index: int) -> dict[str, Any]:
    """Put the beginning-of-sequence token in front of every text."""
    first: dict[str, Any] = {"SpecialToken": {"id": token, "type_id": 0}}
    second: dict[str, Any] = {"SpecialToken": {"id": token, "type_id": 1}}
    return {
        "type": "TemplateProcessing",
        "single": [first, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [
            first,
            {"Sequence": {"id": "A", "type_id": 0}},
            second,
            {"Sequence": {"id": "B", "type_id": 1}},
        ],
        "special_tokens": {token: {"id": token, "ids": [index], "tokens": [token]}},
    }


def _write_tokenizer(
    out_dir: Path,
    pieces: list[str],
    merges: list[str],
    *,
    added: dict[int, str],
    pre_tokenizer: dict[str, Any],
    post_processor: dict[str, Any],
    decoder: dict[str, Any],
    normalizer: dict[str, Any] | None = None,
    unk_token: str | None = None,
    fuse_unk: bool = False,
    byte_fallback: bool = False,
    ignore_merges: bool = False,
) -> None:
    """Write ``tokenizer.json`` of a byte-pair encoding, as the tokenizers library reads it."""
    flags = {
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": True,
    }
    _write_json(
        out_dir / "tokenizer.json",
        {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": [
                {"id": index, "content": token, **flags} for index, token in sorted(added.items())
            ],
            "normalizer": normalizer,
            "pre_tokenizer": pre_tokenizer,
            "post_processor": post_processor,
            "decoder": decoder,
            "model": {
                "type": "BPE",
                "dropout": None,
                "unk_token": unk_token,
                "continuing_subword_prefix": None,
                "end_of_word_suffix": None,
                "fuse_unk": fuse_unk,
                "byte_fallback": byte_fallback,
                "ignore_merges": ignore_merges,
                "vocab": {piece: index for index, piece in enumerate(pieces)},
                # No piece holds a space: the first one after the first letter parts the two.
                "merges": [merge.split(" ", 1) for merge in merges],
            },
        },
    )


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False) + "\n", encoding="utf-8")
