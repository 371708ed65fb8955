"""Answering one question with a GGUF, as the shipped bot does.

What lives here: the prompt from the embedded chat template, sampling, the log-probability of every
token, and the score that they make. What does not: the decision between answer and hand-off
(:mod:`supportbot_dagster.bundle.answer`), and serving over HTTP.
"""

import math
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

from supportbot_dagster.errors import UserError
from supportbot_dagster.export.llama import LlamaModel
from supportbot_dagster.export.prompt import render_prompt
from supportbot_dagster.product import Serving

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TOP_K = 40
"""Candidates kept before nucleus sampling, the default of llama.cpp and of Ollama."""
OPENING_TOKENS = 3
"""First tokens by which a deflection is known before it is said."""
LEAST_ANSWERING = 1e-9
"""Keeps the score finite where an answer is impossible."""


@dataclass(frozen=True)
class Generation:
    """One answer.

    Args:
        text: the answer without surrounding white space.
        tokens: number of its tokens, the end of turn not counted.
        mean_logprob: mean natural log-probability of the tokens under the model's own
            distribution, before temperature and nucleus; that of the end of turn if the answer
            is empty.
        min_logprob: the lowest of them.
        seconds: wall clock, prompt included.
        finish_reason: ``stop`` at an end-of-turn token, ``length`` at the limit.
        token_logprobs: one for each token.
        deflecting: probability, under the same distribution, that a reply to this question opens
            as a deflection does, from 0 to 1; see :class:`Deflecting`.
    """

    text: str
    tokens: int
    mean_logprob: float
    min_logprob: float
    seconds: float
    finish_reason: Literal["stop", "length"]
    token_logprobs: tuple[float, ...]
    deflecting: float = 0.0

    @property
    def score(self) -> float:
        """Natural log of the chance to answer at all, plus the mean log-probability; at most 0.

        Doubt about a question shows in the chance that the reply might as well have been a
        deflection, long before it shows in the words of an answer that is already begun. Doubt
        between answers shows in the words.
        """
        return math.log(max(1 - self.deflecting, LEAST_ANSWERING)) + self.mean_logprob


class Deflecting:
    """The chance that a reply opens as one of some deflections does, followed token by token.

    Every token of the reply that goes another way than an opening ends that opening, and what the
    model gave to go on with it is added. So the chance is exact as far as the openings and the
    reply go together, and else that of all replies that start as the opening does: an upper bound.
    It needs no more than the probabilities along the reply, so a client of a server that returns
    the most probable tokens can follow it too.

    Args:
        openings: first tokens of each deflection.
    """

    def __init__(self, openings: Sequence[tuple[int, ...]]) -> None:
        self._open = [opening for opening in dict.fromkeys(openings) if opening]
        self._place, self._reached = 0, 1.0
        self.chance = 0.0

    @property
    def follows(self) -> bool:
        """Whether an opening still goes the reply's way."""
        return bool(self._open)

    def see(self, logits: "NDArray[np.float32]", token: int) -> None:
        """Take the next token of the reply, and the logits that it was chosen from."""
        import numpy as np

        chances = np.exp(logits.astype(np.float64) - float(logits.max()))
        chances /= chances.sum()
        nexts = {opening[self._place] for opening in self._open}
        self.chance += self._reached * sum(float(chances[other]) for other in nexts - {token})
        self._reached *= float(chances[token])
        self._open = [opening for opening in self._open if opening[self._place] == token]
        self._place += 1
        if any(len(opening) == self._place for opening in self._open):
            self.chance += self._reached
            self._open = []


class LlamaRuntime:
    """A GGUF ready to answer. Use it as a context manager, or call :meth:`close`.

    It is not safe to share between threads.

    Args:
        gguf_path: the file; it must carry a chat template.
        n_ctx: context in tokens, question and answer together.
        threads: CPU threads; None chooses by the size of the file.
        deflections: texts that hand off, or their beginnings; a reply's score then counts the
            chance that it had been one of them.

    Raises:
        UserError: if the file cannot be loaded or has no chat template.
    """

    def __init__(
        self,
        gguf_path: Path,
        *,
        n_ctx: int = 1024,
        threads: int | None = None,
        deflections: Sequence[str] = (),
    ) -> None:
        self._model = LlamaModel(gguf_path, n_ctx=n_ctx, threads=threads)
        template = self._model.header.chat_template
        if template is None:
            self._model.close()
            raise UserError(
                f"{gguf_path} carries no chat template. Export it from a model folder that has one."
            )
        self._template = template
        self._bos = self._model.header.token("bos") or ""
        self._eos = self._model.header.token("eos") or ""
        control = sorted(self._model.control_tokens(), key=len, reverse=True)
        self._control = re.compile("|".join(map(re.escape, control))) if control else None
        self._openings = list(
            dict.fromkeys(
                tuple(self._model.tokenize(text)[:OPENING_TOKENS]) for text in deflections
            )
        )

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
        """Free the model."""
        self._model.close()

    @property
    def openings(self) -> list[list[str]]:
        """The first tokens of the deflections as text, for a client that sees tokens as text."""
        return [
            [self._model.piece(token).decode("utf-8", errors="replace") for token in opening]
            for opening in self._openings
        ]

    def prompt(self, message: str) -> str:
        """The rendered prompt for one user message, control tokens in the message removed."""
        return render_prompt(
            self._template,
            [{"role": "user", "content": self._without_control_tokens(message)}],
            bos_token=self._bos,
            eos_token=self._eos,
        )

    def prompt_tokens(self, message: str) -> list[int]:
        """Token ids of the prompt.

        Raises:
            UserError: if they do not begin with the one and only beginning-of-sequence token.
        """
        tokens = self._model.tokenize_prompt(self.prompt(message))
        bos = self._model.bos
        if bos >= 0 and (tokens[:1] != [bos] or tokens.count(bos) != 1):
            raise UserError(
                f"The prompt of {self._model.path} holds {tokens.count(bos)} beginning-of-sequence "
                "tokens instead of one at its start. Export the model again with its tokenizer."
            )
        return tokens

    def generate(self, message: str, serving: Serving | None = None, seed: int = 0) -> Generation:
        """Answer one user message.

        The same file, message, settings, seed and number of threads give the same answer.

        Args:
            message: the whole user turn, taken as it is; training rows begin it with
                ``Customer question:``.
            serving: temperature (0 takes the most probable token), nucleus and longest answer in
                tokens; the defaults of :class:`~supportbot_dagster.product.Serving`.
            seed: of the sampling.

        Raises:
            UserError: if the question leaves no room in the context.
        """
        import numpy as np

        settings = serving or Serving()
        started = time.perf_counter()
        tokens = self.prompt_tokens(message)
        self._model.reset()
        if len(tokens) >= self._model.n_ctx:
            raise UserError(
                f"The question takes {len(tokens)} tokens and the context holds "
                f"{self._model.n_ctx}. Ask a shorter question."
            )
        random = np.random.default_rng(seed)
        logits = self._model.advance(tokens)
        pieces: list[bytes] = []
        logprobs: list[float] = []
        deflecting = Deflecting(self._openings)
        finish: Literal["stop", "length"] = "length"
        while True:
            token, logprob = choose_token(logits, settings, random)
            if deflecting.follows:
                deflecting.see(logits, token)
            if self._model.is_end(token):
                finish = "stop"
                break
            pieces.append(self._model.piece(token))
            logprobs.append(logprob)
            if len(logprobs) >= settings.num_predict or self._model.room == 0:
                break
            logits = self._model.advance([token])
        known = logprobs or [logprob]
        return Generation(
            text=b"".join(pieces).decode("utf-8", errors="replace").strip(),
            tokens=len(logprobs),
            mean_logprob=sum(known) / len(known),
            min_logprob=min(known),
            seconds=time.perf_counter() - started,
            finish_reason=finish,
            token_logprobs=tuple(logprobs),
            deflecting=min(1.0, deflecting.chance),
        )

    def _without_control_tokens(self, message: str) -> str:
        # A customer who pastes "<|end|>" must not close the turn. Removing one may join the two
        # halves of another, hence the loop.
        while self._control is not None and self._control.search(message):
            message = self._control.sub("", message)
        return message


def choose_token(
    logits: "NDArray[np.float32]", settings: Serving, random: "np.random.Generator"
) -> tuple[int, float]:
    """Sample one token in the order of llama.cpp: top-k, nucleus, temperature.

    Returns:
        The token and its log-probability under the whole untempered distribution.
    """
    import numpy as np

    top = float(logits.max())
    normalizer = top + float(np.log(np.exp(logits - top).sum(dtype=np.float64)))
    if settings.temperature == 0:
        token = int(logits.argmax())
        return token, float(logits[token]) - normalizer
    count = min(TOP_K, logits.size)
    best = np.argpartition(logits, logits.size - count)[logits.size - count :]
    best = best[np.argsort(-logits[best], kind="stable")]
    kept = logits[best].astype(np.float64)
    weights = np.exp(kept - kept[0])
    reached = np.cumsum(weights / weights.sum())
    # The nucleus is the shortest head whose mass reaches top_p; never empty.
    size = min(int(np.searchsorted(reached, settings.top_p)) + 1, count)
    tempered = np.cumsum(np.exp((kept[:size] - kept[0]) / settings.temperature))
    drawn = int(np.searchsorted(tempered, random.random() * tempered[-1], side="right"))
    index = min(drawn, size - 1)
    return int(best[index]), float(kept[index]) - normalizer
