"""A thin typed layer over the llama.cpp C interface.

What lives here: opening a GGUF, token ids, logits, and keeping llama.cpp's log off the terminal.
What does not: prompts and sampling (:mod:`supportbot_dagster.export.runtime`), comparison with
transformers (:mod:`supportbot_dagster.export.fidelity`).

The C interface rather than the package's ``Llama`` class: that class copies and bookkeeps on
every token, which for a small model costs more than the model.
"""

import ctypes
import importlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from supportbot_dagster.errors import UserError
from supportbot_dagster.export.gguf_file import GgufHeader, read_header

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SMALL_MODEL_BYTES = 64 << 20
"""Up to this file size one thread is faster than several: a token takes less time than waking
the others."""
_BATCH = 512


@lru_cache(maxsize=1)
def library() -> Any:
    """The ``llama_cpp`` module, its backend started and its log silenced.

    Raises:
        UserError: if llama-cpp-python is not installed.
    """
    try:
        module: Any = importlib.import_module("llama_cpp")
    except ImportError as error:
        raise UserError(
            f"llama-cpp-python cannot be imported ({error}). Install it with the project's "
            "constraints file."
        ) from None
    module.llama_log_set(_silent_callback(module), ctypes.c_void_p(0))
    module.llama_backend_init()
    return module


@lru_cache(maxsize=1)
def base_library() -> Any:
    """The ``ggml-base`` library of llama-cpp-python, for quantizing rows."""
    library()
    extensions: Any = importlib.import_module("llama_cpp._ctypes_extensions")
    folder = Path(importlib.import_module("llama_cpp").__file__ or "").parent / "lib"
    found = extensions.load_shared_library("ggml-base", folder)
    found.ggml_quantize_chunk.restype = ctypes.c_size_t
    found.ggml_quantize_chunk.argtypes = [
        ctypes.c_int,
        ctypes.POINTER(ctypes.c_float),
        ctypes.c_void_p,
        ctypes.c_int64,
        ctypes.c_int64,
        ctypes.c_int64,
        ctypes.c_void_p,
    ]
    return found


@lru_cache(maxsize=1)
def _silent_callback(module: Any) -> Any:
    # Cached because C keeps the pointer: Python must never collect the callback.
    return module.llama_log_callback(lambda level, text, data: None)


def announces_tiles(cpu_info: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the processor says that it has AMX, Intel's matrix unit.

    Some virtual machines announce it and do not keep its registers: a build of llama.cpp made
    there uses it for quantized weights, and the process dies of an illegal instruction. So it is
    left alone wherever it is announced, which costs speed where it would have worked.
    """
    try:
        return "amx_tile" in cpu_info.read_text(encoding="utf-8", errors="replace").split()
    except OSError:
        return False


@contextmanager
def log_lines(listener: Callable[[str], None]) -> Iterator[None]:
    """Hand every line that llama.cpp logs inside the block to ``listener``.

    The log belongs to the process: lines of other threads arrive here too.
    """
    module = library()

    def receive(level: int, text: bytes, data: Any) -> None:
        listener(text.decode("utf-8", errors="replace").rstrip("\n"))

    callback = module.llama_log_callback(receive)
    module.llama_log_set(callback, ctypes.c_void_p(0))
    try:
        yield
    finally:
        module.llama_log_set(_silent_callback(module), ctypes.c_void_p(0))


def default_threads(path: Path) -> int:
    """CPU threads that suit a file: one for a small model, all cores for others."""
    return 1 if path.stat().st_size <= SMALL_MODEL_BYTES else (os.cpu_count() or 1)


class LlamaModel:
    """An open GGUF with one context. Use it as a context manager, or call :meth:`close`.

    Args:
        path: the GGUF file.
        n_ctx: length of the context in tokens.
        threads: CPU threads; None for one on a small model and all cores on others.
        vocab_only: load the tokenizer alone.

    Raises:
        UserError: if the file is missing, damaged, truncated, or refused by llama.cpp.
    """

    def __init__(
        self, path: Path, *, n_ctx: int = 1024, threads: int | None = None, vocab_only: bool = False
    ) -> None:
        self.path = path
        self.header: GgufHeader = read_header(path)
        self.n_ctx = n_ctx
        self._lib = library()
        self.threads = threads if threads is not None else default_threads(path)
        log: list[str] = []
        with log_lines(log.append):
            self._model, self._context = self._open(vocab_only)
        if self._model is None or (self._context is None and not vocab_only):
            self.close()
            raise UserError(f"llama.cpp cannot load {path} ({_reason(log)}). Export it again.")
        self._vocab = self._lib.llama_model_get_vocab(self._model)
        self.n_vocab = int(self._lib.llama_vocab_n_tokens(self._vocab))
        self.bos = int(self._lib.llama_vocab_bos(self._vocab))
        self._used = 0
        self._piece_buffer = ctypes.create_string_buffer(512)
        self._one = (self._lib.llama_token * 1)()
        self._one_batch = self._lib.llama_batch_get_one(self._one, 1)
        self._views: dict[int, NDArray[np.float32]] = {}

    def _open(self, vocab_only: bool) -> tuple[Any, Any]:
        parameters = self._lib.llama_model_default_params()
        parameters.vocab_only = vocab_only
        if announces_tiles():
            parameters.use_extra_bufts = False
        model = self._lib.llama_model_load_from_file(os.fsencode(self.path), parameters)
        if model is None or vocab_only:
            return model, None
        context = self._lib.llama_context_default_params()
        context.n_ctx = self.n_ctx
        context.n_batch = min(_BATCH, self.n_ctx)
        context.n_ubatch = context.n_batch
        context.n_threads = self.threads
        context.n_threads_batch = self.threads
        context.no_perf = True
        return model, self._lib.llama_init_from_model(model, context)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the memory back. The model cannot be used afterwards; closing twice is fine."""
        if self._context is not None:
            self._lib.llama_free(self._context)
            self._context = None
        if self._model is not None:
            self._lib.llama_model_free(self._model)
            self._model = None

    def tokenize(
        self, text: str, *, add_special: bool = False, parse_special: bool = True
    ) -> list[int]:
        """Token ids of a text.

        Args:
            text: any text.
            add_special: add the beginning-of-sequence token if the model is set to.
            parse_special: read ``<|end|>`` and its like as control tokens, not as characters.
        """
        data = text.encode("utf-8", errors="replace")
        room = len(data) + 8
        buffer = (self._lib.llama_token * room)()
        count = self._lib.llama_tokenize(
            self._vocab, data, len(data), buffer, room, add_special, parse_special
        )
        if count < 0:
            buffer = (self._lib.llama_token * -count)()
            count = self._lib.llama_tokenize(
                self._vocab, data, len(data), buffer, -count, add_special, parse_special
            )
        return list(buffer[:count])

    def tokenize_prompt(self, rendered: str) -> list[int]:
        """Token ids of a rendered chat prompt.

        A template that prints the beginning-of-sequence token has it once; to one that does not,
        the model's own setting applies.
        """
        bos = self.header.token("bos") or ""
        return self.tokenize(rendered, add_special=not (bos and rendered.startswith(bos)))

    def piece(self, token: int) -> bytes:
        """Bytes that a token adds to the text; none for control tokens."""
        size = self._lib.llama_token_to_piece(
            self._vocab, token, self._piece_buffer, len(self._piece_buffer), 0, False
        )
        if size < 0:
            self._piece_buffer = ctypes.create_string_buffer(-size)
            return self.piece(token)
        return self._piece_buffer.raw[:size]

    def is_end(self, token: int) -> bool:
        """Whether the token ends a turn or the sequence."""
        return bool(self._lib.llama_vocab_is_eog(self._vocab, token))

    def control_tokens(self) -> list[str]:
        """Texts of all control tokens."""
        return [
            text
            for token in range(self.n_vocab)
            if self._lib.llama_vocab_is_control(self._vocab, token)
            and (text := self._text(token)) != ""
        ]

    def _text(self, token: int) -> str:
        raw = self._lib.llama_vocab_get_text(self._vocab, token)
        return raw.decode("utf-8", errors="replace") if raw else ""

    def reset(self) -> None:
        """Forget every token seen so far."""
        self._lib.llama_memory_clear(self._lib.llama_get_memory(self._context), False)
        self._used = 0

    @property
    def room(self) -> int:
        """Tokens that still fit into the context."""
        return self.n_ctx - self._used

    def advance(self, tokens: Sequence[int]) -> "NDArray[np.float32]":
        """Append tokens; the logits after the last one, shape ``(n_vocab,)``.

        The array is llama.cpp's own memory: it is overwritten by the next call.

        Raises:
            UserError: if the tokens do not fit into the context, or llama.cpp fails.
        """
        if len(tokens) > self.room:
            raise UserError(
                f"{self._used + len(tokens)} tokens do not fit into the context of {self.n_ctx}. "
                "Ask a shorter question."
            )
        if len(tokens) == 1:
            self._one[0] = tokens[0]
            self._decode(self._one_batch, 1)
        else:
            for start in range(0, len(tokens), _BATCH):
                part = tokens[start : start + _BATCH]
                buffer = (self._lib.llama_token * len(part))(*part)
                self._decode(self._lib.llama_batch_get_one(buffer, len(part)), len(part))
        return self._logits(-1)

    def logits_everywhere(self, tokens: Sequence[int]) -> "NDArray[np.float32]":
        """Logits after every one of the tokens, from an empty context.

        Returns:
            A copy, shape ``(len(tokens), n_vocab)``.
        """
        import numpy as np

        self.reset()
        rows: list[NDArray[np.float32]] = []
        size = min(_BATCH, self.n_ctx)
        batch = self._lib.llama_batch_init(size, 0, 1)
        try:
            for start in range(0, len(tokens), size):
                part = tokens[start : start + size]
                batch.n_tokens = len(part)
                for index, token in enumerate(part):
                    batch.token[index] = token
                    batch.pos[index] = start + index
                    batch.n_seq_id[index] = 1
                    batch.seq_id[index][0] = 0
                    batch.logits[index] = 1
                self._decode(batch, len(part))
                rows.extend(self._logits(index).copy() for index in range(len(part)))
        finally:
            self._lib.llama_batch_free(batch)
        return np.stack(rows)

    def _decode(self, batch: Any, count: int) -> None:
        code = self._lib.llama_decode(self._context, batch)
        if code != 0:
            raise UserError(
                f"llama.cpp failed on {self.path} (llama_decode returned {code}). "
                "Try a shorter question or export the model again."
            )
        self._used += count

    def _logits(self, index: int) -> "NDArray[np.float32]":
        import numpy as np

        pointer = self._lib.llama_get_logits_ith(self._context, index)
        address = ctypes.addressof(pointer.contents)
        view = self._views.get(address)
        if view is None:
            # The address rarely changes, and building a view takes longer than a small matrix.
            memory = (ctypes.c_float * self.n_vocab).from_address(address)
            view = np.ctypeslib.as_array(memory)
            self._views[address] = view
        return view


def _reason(log: list[str]) -> str:
    errors = [line for line in log if "error" in line.lower() or "failed" in line.lower()]
    return (errors or log or ["no reason given"])[0].strip()
