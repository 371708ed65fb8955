"""The tokenizer of the embedded ``pocket`` base: SentencePiece BPE with a chat template.

What lives here: training that tokenizer and writing its files in the form that transformers,
the GGUF converter and llama.cpp read to the same token ids. What does not: the corpus and the
base model that is trained on it.

Why the ids agree: every setting that the three implement differently is off. The text is not
normalized, no space is put in front, no piece spans a word boundary, and a character outside
the vocabulary falls back to its bytes. The merges of ``tokenizer.json`` are read out of the
SentencePiece model itself, so there is one source of truth.
"""

import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from supportbot_dagster.errors import UserError

UNK, BOS, END, PAD = "<unk>", "<s>", "<|end|>", "<pad>"
USER, ASSISTANT = "<|user|>", "<|assistant|>"
SPECIAL_TOKENS = (UNK, BOS, END, PAD, USER, ASSISTANT)
"""In the order of their ids, 0 to 5; the 256 byte tokens follow."""

CHAT_TEMPLATE = (
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}<|assistant|>{% else %}<|user|>{% endif %}"
    "{{ message['content'] }}<|end|>"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
"""Jinja; every turn ends in ``<|end|>``, which is also the end-of-sequence token."""

MIN_VOCAB_SIZE = 512
_SPACE = "\u2581"
_MAX_LINE_BYTES = 1 << 20


def train_tokenizer(
    lines: Iterable[str],
    vocab_size: int,
    out_dir: Path,
    *,
    model_max_length: int = 1024,
    coverage: float = 0.9998,
) -> Path:
    """Train the tokenizer and write it for transformers and for the GGUF converter.

    The same lines in the same order give the same bytes.

    Args:
        lines: training text; one example each, and empty ones are skipped.
        vocab_size: number of tokens in all, special and byte tokens included.
        out_dir: folder that gets ``tokenizer.model``, ``tokenizer.json`` and
            ``tokenizer_config.json`` (with the chat template); made if missing.
        model_max_length: longest input in tokens that the configuration announces.
        coverage: share of the characters of the text that get a token of their own; the rest,
            emoji for example, are spelled in bytes.

    Returns:
        ``out_dir``.

    Raises:
        UserError: if there is no text, or too little of it for ``vocab_size`` tokens.
    """
    if vocab_size < MIN_VOCAB_SIZE:
        raise UserError(
            f"A vocabulary of {vocab_size} tokens is too small. "
            f"Ask for at least {MIN_VOCAB_SIZE}: {len(SPECIAL_TOKENS) + 256} are taken by special "
            "and byte tokens."
        )
    model_bytes = _train_sentencepiece(lines, vocab_size, coverage)
    out_dir.mkdir(parents=True, exist_ok=True)
    (out_dir / "tokenizer.model").write_bytes(model_bytes)
    _write_fast_tokenizer(model_bytes, out_dir / "tokenizer.json")
    _write_json(out_dir / "tokenizer_config.json", _tokenizer_config(model_max_length))
    return out_dir


def _train_sentencepiece(lines: Iterable[str], vocab_size: int, coverage: float) -> bytes:
    import sentencepiece

    texts = [line for line in lines if line.strip()]
    if not texts:
        raise UserError(
            "The training text of the tokenizer is empty. Pass at least a few hundred lines."
        )
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts),
            model_writer=model,
            model_type="bpe",
            vocab_size=vocab_size,
            character_coverage=coverage,
            byte_fallback=True,
            normalization_rule_name="identity",
            add_dummy_prefix=False,
            remove_extra_whitespaces=False,
            split_digits=True,
            max_sentence_length=_MAX_LINE_BYTES,
            unk_id=0,
            bos_id=1,
            eos_id=2,
            pad_id=3,
            unk_piece=UNK,
            bos_piece=BOS,
            eos_piece=END,
            pad_piece=PAD,
            control_symbols=[USER, ASSISTANT],
            minloglevel=2,
        )
    except RuntimeError as error:
        reason = str(error).splitlines()[-1]
        raise UserError(
            f"No tokenizer of {vocab_size} tokens can be trained on {len(texts)} lines "
            f"({reason}). Ask for fewer tokens or pass more text."
        ) from None
    return model.getvalue()


def _write_fast_tokenizer(model_bytes: bytes, path: Path) -> None:
    import sentencepiece
    from tokenizers import AddedToken, Tokenizer, decoders, normalizers, processors
    from tokenizers.models import BPE

    model = sentencepiece.SentencePieceProcessor(model_proto=model_bytes)
    size: int = model.get_piece_size()
    pieces = [model.id_to_piece(index) for index in range(size)]
    vocab = {piece: index for index, piece in enumerate(pieces)}
    tokenizer = Tokenizer(
        BPE(
            vocab=vocab,
            merges=_merges(model, pieces, vocab),
            unk_token=UNK,
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    tokenizer.normalizer = normalizers.Replace(" ", _SPACE)
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace(_SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A $B", special_tokens=[(BOS, vocab[BOS])]
    )
    tokenizer.add_special_tokens(
        [AddedToken(token, special=True, normalized=False) for token in SPECIAL_TOKENS]
    )
    tokenizer.save(str(path), pretty=False)


def _merges(model: Any, pieces: list[str], vocab: dict[str, int]) -> list[tuple[str, str]]:
    """Every way to put a learned piece together from two others, best score first."""
    ranked: list[tuple[float, int, int, str, str]] = []
    for index, piece in enumerate(pieces):
        if model.is_control(index) or model.is_unknown(index) or model.is_byte(index):
            continue
        for cut in range(1, len(piece)):
            left, right = piece[:cut], piece[cut:]
            if left in vocab and right in vocab:
                ranked.append((-model.get_score(index), vocab[left], vocab[right], left, right))
    return [(left, right) for *_, left, right in sorted(ranked)]


def _tokenizer_config(model_max_length: int) -> dict[str, Any]:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        # The converter copies this key into the GGUF. Without it llama.cpp puts a space in
        # front of the text and after every special token.
        "add_prefix_space": False,
        "add_bos_token": True,
        "add_eos_token": False,
        "bos_token": BOS,
        "eos_token": END,
        "unk_token": UNK,
        "pad_token": PAD,
        "clean_up_tokenization_spaces": False,
        "model_max_length": model_max_length,
        "padding_side": "right",
        "chat_template": CHAT_TEMPLATE,
    }


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
