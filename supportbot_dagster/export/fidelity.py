"""Whether each form of a model says the same: adapter, merged, F16 file, quantized file.

What lives here: next-token distributions of transformers and llama.cpp on the same text, and how
far each form is from the one before. What does not: token ids
(:mod:`supportbot_dagster.export.token_ids`) and whole answers
(:mod:`supportbot_dagster.export.flips`, :mod:`supportbot_dagster.evaluation`).

Two forms are compared at positions of the same text, by the share of positions with the same most
probable token, and by the Kullback-Leibler divergence of the second from the first in nats,
``sum p (log p - log q)``. Perplexity is ``exp`` of the mean negative log-likelihood of a reference
answer's tokens; the ratio of two perplexities is taken over the same tokens.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from supportbot_dagster.errors import UserError
from supportbot_dagster.export.llama import LlamaModel
from supportbot_dagster.export.model_folder import (
    compute_in_float32,
    load_model,
    quiet_transformers,
)
from supportbot_dagster.export.token_ids import chat_ids
from supportbot_dagster.progress import Progress, silent

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST_POSITIONS = 512
"""Positions that all forms are compared at; each form's distributions lie on the disk meanwhile,
4 bytes for each word of the vocabulary."""
MOST_ANSWER_TOKENS = 4096
"""Tokens of reference answers for the perplexities."""
LONGEST = 512
"""Longer texts are left out."""
_Z = 1.96  # two-sided 95 % of the normal distribution


@dataclass(frozen=True)
class Passage:
    """A text in token ids, and the part of it that counts.

    Args:
        ids: all tokens.
        first: index of the first token whose prediction counts; at least 1.
    """

    ids: tuple[int, ...]
    first: int

    @property
    def positions(self) -> int:
        """How many predictions count."""
        return len(self.ids) - self.first


@dataclass(frozen=True)
class Form:
    """One form of a model.

    Args:
        name: ``adapter``, ``merged``, ``F16`` and so on.
        open: gives a function from token ids to logits, shape ``(tokens, vocabulary)``.
        answers: whether it is also asked for the perplexity of all answers.
    """

    name: str
    open: Callable[[], AbstractContextManager[Callable[[Sequence[int]], "NDArray[np.float32]"]]]
    answers: bool = False


@dataclass(frozen=True)
class Step:
    """How far one form is from another.

    Args:
        before: name of the form that is taken as right.
        after: name of the other.
        positions: number of positions compared.
        same_top_token_share: share of these with the same most probable next token, 0 to 1.
        mean_kl: mean divergence in nats, at least 0.
        worst_kl: the largest.
    """

    before: str
    after: str
    positions: int
    same_top_token_share: float
    mean_kl: float
    worst_kl: float


@dataclass(frozen=True)
class Perplexity:
    """Perplexity of the reference answers.

    Args:
        form: name of the form.
        tokens: of the answers.
        value: at least 1.
        ratio: to that of the first form that was asked; 1 for that form itself.
        low: lower end of the 95 % interval of the ratio, answers taken as a sample.
        high: its upper end.
    """

    form: str
    tokens: int
    value: float
    ratio: float
    low: float
    high: float


@dataclass(frozen=True)
class Fidelity:
    """All comparisons.

    Args:
        steps: each form with the one before it, in order.
        whole: the last form with the first.
        perplexities: of the forms that were asked for it; empty without reference answers.
    """

    steps: tuple[Step, ...]
    whole: Step
    perplexities: tuple[Perplexity, ...]

    def step(self, before: str, after: str) -> Step:
        """The comparison of two forms that follow each other."""
        return next(s for s in (*self.steps, self.whole) if (s.before, s.after) == (before, after))


def answer_passages(tokenizer: Any, pairs: Sequence[tuple[str, str]]) -> list[Passage]:
    """Questions with their reference answers; what counts are the answers, end of turn included."""
    passages = []
    for question, answer in pairs:
        prompt, whole = chat_ids(tokenizer, question), chat_ids(tokenizer, question, answer)
        if whole[: len(prompt)] == prompt and len(prompt) < len(whole) <= LONGEST:
            passages.append(Passage(tuple(whole), len(prompt)))
    return passages


def text_passages(tokenizer: Any, texts: Sequence[str]) -> list[Passage]:
    """Texts as chat prompts; every token but the first counts."""
    found = [Passage(tuple(chat_ids(tokenizer, text)[:LONGEST]), 1) for text in texts]
    return [passage for passage in found if passage.positions > 0]


def adapter_form(base_dir: Path, adapter_dir: Path, threads: int) -> Form:
    """The base with the adapter beside it, as training left them, in transformers."""

    @contextmanager
    def opened() -> Iterator[Callable[[Sequence[int]], "NDArray[np.float32]"]]:
        from peft import PeftModel

        base = load_model(base_dir)
        with quiet_transformers():
            model = PeftModel.from_pretrained(base, str(adapter_dir), local_files_only=True)
        compute_in_float32(model)
        yield _transformers_logits(model, threads)

    return Form("adapter", opened)


def folder_form(model_dir: Path, threads: int, name: str = "merged") -> Form:
    """A model folder in transformers."""

    @contextmanager
    def opened() -> Iterator[Callable[[Sequence[int]], "NDArray[np.float32]"]]:
        model = load_model(model_dir)
        compute_in_float32(model)
        yield _transformers_logits(model, threads)

    return Form(name, opened)


def gguf_form(path: Path, name: str, threads: int | None) -> Form:
    """A GGUF in llama.cpp."""

    @contextmanager
    def opened() -> Iterator[Callable[[Sequence[int]], "NDArray[np.float32]"]]:
        with LlamaModel(path, n_ctx=LONGEST, threads=threads) as model:
            yield model.logits_everywhere

    return Form(name, opened, answers=True)


def measure(
    forms: Sequence[Form],
    passages: Sequence[Passage],
    answers: Sequence[Passage],
    scratch: Path,
    progress: Progress = silent,
) -> Fidelity:
    """Compare forms of one model.

    Args:
        forms: at least two, in the order in which they were made. One is open at a time.
        passages: compared in all forms, up to :data:`MOST_POSITIONS` positions.
        answers: reference answers for the perplexities, up to :data:`MOST_ANSWER_TOKENS` tokens.
        scratch: folder for the distributions; what is written there is removed.
        progress: told about every text.

    Raises:
        UserError: if there is nothing to compare, or a form cannot be opened.
    """
    shared = _first(passages, MOST_POSITIONS)
    asked = _first(answers, MOST_ANSWER_TOKENS)
    if not shared:
        raise UserError("There is no text to compare. Pass at least one question.")
    steps: list[Step] = []
    losses: list[tuple[str, list[list[float]]]] = []
    first = before = None
    for form in forms:
        store = _Distributions(form.name, scratch, shared)
        with form.open() as logits:
            for done, passage in enumerate(shared, start=1):
                store.add(_log_softmax(logits(passage.ids)[passage.first - 1 : -1]))
                progress(f"compare {form.name}", done, len(shared))
            if form.answers and asked:
                losses.append((form.name, _losses(logits, asked, form.name, progress)))
        if before is not None:
            steps.append(_compare(before, store))
            if before is not first:
                before.remove()
        first, before = first or store, store
    assert first is not None
    assert before is not None
    whole = _compare(first, before)
    first.remove()
    before.remove()
    return Fidelity(tuple(steps), whole, tuple(_perplexities(losses)))


class _Distributions:
    """Log-probabilities of one form at every position, on the disk."""

    def __init__(self, name: str, scratch: Path, passages: Sequence[Passage]) -> None:
        self.name = name
        self._path = scratch / f".{name}.npy"
        self._positions = sum(passage.positions for passage in passages)
        self._rows: NDArray[np.float32] | None = None
        self._used = 0

    def add(self, rows: "NDArray[np.float32]") -> None:
        import numpy as np

        if self._rows is None:
            self._rows = np.lib.format.open_memmap(
                self._path, mode="w+", dtype=np.float32, shape=(self._positions, rows.shape[1])
            )
        self._rows[self._used : self._used + len(rows)] = rows
        self._used += len(rows)

    @property
    def rows(self) -> "NDArray[np.float32]":
        assert self._rows is not None
        return self._rows

    def remove(self) -> None:
        self._rows = None
        self._path.unlink(missing_ok=True)


def _compare(before: _Distributions, after: _Distributions) -> Step:
    import numpy as np

    # A vocabulary may be padded in one form and not in the other.
    width = min(before.rows.shape[1], after.rows.shape[1])
    same, divergences = 0, []
    for p, q in zip(before.rows, after.rows, strict=True):
        p, q = p[:width].astype(np.float64), q[:width].astype(np.float64)
        same += int(p.argmax() == q.argmax())
        chances = np.exp(p)
        divergences.append(max(0.0, float((chances * (p - q))[chances > 0].sum())))
    return Step(
        before=before.name,
        after=after.name,
        positions=len(divergences),
        same_top_token_share=same / len(divergences),
        mean_kl=sum(divergences) / len(divergences),
        worst_kl=max(divergences),
    )


def _losses(
    logits: Callable[[Sequence[int]], "NDArray[np.float32]"],
    passages: Sequence[Passage],
    name: str,
    progress: Progress,
) -> list[list[float]]:
    """Negative log-likelihoods in nats, a list of tokens for each answer."""
    found = []
    for done, passage in enumerate(passages, start=1):
        rows = _log_softmax(logits(passage.ids)[passage.first - 1 : -1])
        tokens = passage.ids[passage.first :]
        found.append([-float(row[token]) for row, token in zip(rows, tokens, strict=True)])
        progress(f"perplexity of {name}", done, len(passages))
    return found


def _perplexities(losses: Sequence[tuple[str, list[list[float]]]]) -> Iterator[Perplexity]:
    """Perplexities and their ratios to the first, with the interval of a ratio estimator.

    Answers, not tokens, are the sampled units: tokens of one answer go together.
    """
    for name, found in losses:
        tokens = sum(map(len, found))
        differences = [sum(a) - sum(b) for a, b in zip(found, losses[0][1], strict=True)]
        mean = sum(differences) / tokens
        spread = math.sqrt(
            sum((d - mean * len(a)) ** 2 for d, a in zip(differences, found, strict=True))
        )
        yield Perplexity(
            form=name,
            tokens=tokens,
            value=math.exp(sum(map(sum, found)) / tokens),
            ratio=math.exp(mean),
            low=math.exp(mean - _Z * spread / tokens),
            high=math.exp(mean + _Z * spread / tokens),
        )


def _first(passages: Sequence[Passage], most: int) -> list[Passage]:
    """Passages from the beginning while they fit; at least one, if there is any."""
    kept: list[Passage] = []
    count = 0
    for passage in passages:
        if kept and count + passage.positions > most:
            break
        kept.append(passage)
        count += passage.positions
    return kept


def _transformers_logits(
    model: Any, threads: int
) -> Callable[[Sequence[int]], "NDArray[np.float32]"]:
    model.eval()

    def logits(ids: Sequence[int]) -> "NDArray[np.float32]":
        import numpy as np
        import torch

        # Several threads on a small model and a busy machine wait for each other a hundred times
        # longer than they compute.
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            with torch.inference_mode():
                found = model(input_ids=torch.tensor([list(ids)])).logits[0]
        finally:
            torch.set_num_threads(before)
        return np.asarray(found.float().numpy(), dtype=np.float32)

    return logits


def _log_softmax(logits: "NDArray[np.float32]") -> "NDArray[np.float32]":
    import numpy as np

    shifted = logits - logits.max(axis=1, keepdims=True)
    normalizer = np.log(np.exp(shifted).sum(axis=1, keepdims=True, dtype=np.float64))
    return np.asarray(shifted - normalizer, dtype=np.float32)
