"""Whether quantizing turned answers into refusals, or refusals into answers.

What lives here: asking both files the same questions. What does not: judging the answers
(:mod:`supportbot_dagster.evaluation`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from supportbot_dagster.export.runtime import LlamaRuntime
from supportbot_dagster.product import Serving
from supportbot_dagster.progress import Progress, silent


@dataclass(frozen=True)
class FlipReport:
    """What became of the refusals.

    Args:
        questions: how many were asked.
        refused_before: of these, refused by the file that is taken as right.
        refused_after: refused by the other.
        became_answers: questions that must be refused, were, and no longer are.
        needless_no_more: answerable questions that were refused and no longer are.
        became_refusals: questions that were answered and now are refused.
    """

    questions: int
    refused_before: int
    refused_after: int
    became_answers: tuple[str, ...]
    needless_no_more: tuple[str, ...]
    became_refusals: tuple[str, ...]


def find_flips(
    before: Path,
    after: Path,
    answerable: Sequence[str],
    unanswerable: Sequence[str],
    is_refusal: Callable[[str], bool],
    serving: Serving,
    progress: Progress = silent,
) -> FlipReport:
    """Ask two files the same questions, always taking the most probable token.

    Without sampling a difference comes from the weights alone.

    Args:
        before: the F16 file.
        after: the quantized one.
        answerable: questions that the docs answer.
        unanswerable: questions that must be refused.
        is_refusal: whether an answer is a refusal.
        serving: longest answer; its temperature is left out.
        progress: told about each question.

    Raises:
        UserError: if a file cannot be loaded.
    """
    greedy = serving.model_copy(update={"temperature": 0.0})
    questions = [*answerable, *unanswerable]
    refused: list[list[bool]] = []
    for path in (before, after):
        with LlamaRuntime(path) as runtime:
            answers = []
            for done, question in enumerate(questions, start=1):
                answers.append(is_refusal(runtime.generate(question, greedy).text))
                progress(f"refusals of {path.name}", done, len(questions))
            refused.append(answers)
    outcomes = list(zip(questions, refused[0], refused[1], strict=True))
    must = set(unanswerable)
    lost = [question for question, was, now in outcomes if was and not now]
    return FlipReport(
        questions=len(questions),
        refused_before=sum(refused[0]),
        refused_after=sum(refused[1]),
        became_answers=tuple(question for question in lost if question in must),
        needless_no_more=tuple(question for question in lost if question not in must),
        became_refusals=tuple(question for question, was, now in outcomes if now and not was),
    )
