"""One question to a bundle on this machine.

What lives here: the answer and the route that an app would take. What does not: the clients that
are shipped (``templates/``), which decide the same way.
"""

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from supportbot_dagster.bundle.build import read_settings
from supportbot_dagster.errors import UserError
from supportbot_dagster.export.runtime import LlamaRuntime

MAX_QUESTION_CHARACTERS = 4000
SEED = 1


@dataclass(frozen=True)
class Reply:
    """An answer and what to do with it.

    Args:
        answer: the bot's words.
        route: ``handoff`` when a person should take over.
        reason: why; empty for an answer.
        score: how certain the bot is; see
            :attr:`supportbot_dagster.export.runtime.Generation.score`.
        seconds: wall clock of the answer.
    """

    answer: str
    route: Literal["answer", "handoff"]
    reason: str
    score: float
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def ask_bundle(bundle: Path, question: str, seed: int = SEED) -> Reply:
    """Ask one question with the bundle's own template and sampling settings.

    Raises:
        UserError: if the question is empty or too long, or the bundle cannot be read.
    """
    text = " ".join("".join(c if c.isprintable() else " " for c in question).split())
    if not text:
        raise UserError("The question is empty. Ask something.")
    if len(text) > MAX_QUESTION_CHARACTERS:
        raise UserError(
            f"The question has {len(text)} characters; {MAX_QUESTION_CHARACTERS} are allowed. "
            "Shorten it."
        )
    settings = read_settings(bundle)
    deflections = ["".join(opening) for opening in settings.openings]
    with LlamaRuntime(bundle / settings.gguf, deflections=deflections) as runtime:
        reply = runtime.generate(settings.question_prefix + text, settings.serving, seed=seed)
    reason = ""
    if any(re.search(marker, reply.text, re.IGNORECASE) for marker in settings.refusal_markers):
        reason = "the bot deflected"
    elif not reply.text:
        reason = "the bot said nothing"
    elif settings.threshold is not None and reply.score < settings.threshold:
        reason = "the bot is not certain enough"
    return Reply(
        reply.text,
        "handoff" if reason else "answer",
        reason,
        round(reply.score, 4),
        round(reply.seconds, 3),
    )
