"""What the runtime makes of a tokenizer, before there is a model to export.

What lives here: converting a tokenizer alone and asking the runtime about it. What does not: whole
models (:mod:`supportbot_dagster.export.convert`).
"""

import tempfile
from pathlib import Path

from supportbot_dagster.export.convert import to_gguf
from supportbot_dagster.export.llama import LlamaModel


def stop_tokens(hf_dir: Path, *, toolchain: Path) -> tuple[int, ...]:
    """The token ids at which the runtime ends an answer by itself.

    Args:
        hf_dir: model folder; its weights are not read.
        toolchain: the folder that :func:`supportbot_dagster.export.toolchain.converter` gave.

    Returns:
        The ids, ascending.

    Raises:
        UserError: if the converter does not know the architecture or the tokenizer, or the runtime
            refuses what it made of them.
    """
    with tempfile.TemporaryDirectory(prefix="supportbot-vocab-") as scratch:
        file = Path(scratch) / "vocab.gguf"
        to_gguf(hf_dir, file, toolchain=toolchain, vocab_only=True)
        with LlamaModel(file, vocab_only=True) as model:
            return tuple(token for token in range(model.n_vocab) if model.is_end(token))
