"""The model runtime as a Dagster resource.

What lives here: opening a GGUF in the runtime with the product's sampling settings, so that
evaluation asks what the shipped bot is asked. What does not: the runtime itself
(:mod:`supportbot_dagster.export.runtime`).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from supportbot_dagster.evaluation.measure import Ask, Reply
from supportbot_dagster.product import Serving

SEED = 20_260_101
"""Seed of every answer in evaluation, so that a rerun on the same file gives the same words."""


@dataclass(frozen=True)
class OpenModel:
    """A file ready to be asked.

    Args:
        ask: answers one instruction.
        openings: first tokens of the deflections as text, which the scores counted.
    """

    ask: Ask
    openings: list[list[str]]


class ModelRuntime(dg.ConfigurableResource):  # type: ignore[type-arg]
    """llama.cpp in this process.

    Args:
        threads: CPU threads; 0 for all cores.
        context_tokens: size of the context window.
    """

    threads: int = 0
    context_tokens: int = 1024

    @contextmanager
    def open(
        self, gguf: Path, serving: Serving, deflections: Sequence[str] = ()
    ) -> Iterator[OpenModel]:
        """The file with the shipped template and settings; ``deflections`` as the runtime's."""
        from supportbot_dagster.export.runtime import LlamaRuntime

        runtime = LlamaRuntime(
            gguf,
            n_ctx=self.context_tokens,
            threads=self.threads or None,
            deflections=deflections,
        )

        def ask(instruction: str) -> Reply:
            return runtime.generate(instruction, serving, seed=SEED)

        try:
            yield OpenModel(ask, runtime.openings)
        finally:
            runtime.close()
