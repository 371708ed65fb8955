"""Whether a model is about to answer or to deflect, from held-out rows alone.

What lives here: the openings of deflections as a tree of tokens, and counting the held-out rows
that would open wrongly. What does not: recognizing a deflection in text
(:mod:`supportbot_dagster.refusals.markers`) and the release gates, which read whole answers of the
shipped file (:mod:`supportbot_dagster.evaluation`).

A checkpoint is judged several times in a run, so nothing is generated. The forward pass that gives
the validation loss has already computed what the model expects at each token of the reference
answer. As long as the reference follows an opening of a deflection, the probability that the next
token keeps to such an opening is read off; above one half, greedy decoding deflects. So a question
to answer is wrong if more than half of the probability, at a token where the reference still could
turn into a deflection, lies on tokens that do; a question to refuse is wrong if less than half
does. It costs a softmax at a handful of positions of each row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from supportbot_dagster.training.encode import IGNORED, Example

OPENING_TOKENS = 8
"""How far an opening is followed; the built-in deflections differ from answers well before."""


@dataclass(frozen=True)
class Openings:
    """The first tokens of deflections.

    Args:
        following: for each beginning, the tokens that go on with a deflection.
    """

    following: dict[tuple[int, ...], frozenset[int]]

    @classmethod
    def of(cls, examples: Sequence[Example], deflects: Sequence[bool]) -> "Openings":
        """Learn them from training rows; what opens answers as well tells nothing and is left out.

        Args:
            examples: encoded training rows.
            deflects: for each, whether its answer is a deflection.
        """
        pairs = list(zip(examples, deflects, strict=True))
        answers = {_opening(example) for example, refused in pairs if not refused}
        found = {_opening(example) for example, refused in pairs if refused} - answers
        following: dict[tuple[int, ...], set[int]] = {}
        for tokens in found:
            for length, token in enumerate(tokens):
                following.setdefault(tokens[:length], set()).add(token)
        return cls({begin: frozenset(tokens) for begin, tokens in following.items()})


@dataclass(frozen=True)
class Watch:
    """One position at which a held-out row shows what the model is about to do.

    Args:
        row: number of the row in its batch.
        position: whose state predicts the token in question.
        deflecting: tokens that lead into a deflection.
    """

    row: int
    position: int
    deflecting: tuple[int, ...]


@dataclass(frozen=True)
class HeldOut:
    """A validation row.

    Args:
        example: its tokens.
        deflects: whether its reference answer is a deflection.
    """

    example: Example
    deflects: bool


def watches(openings: Openings, row: int, held: HeldOut) -> list[Watch]:
    """Where to look in one row."""
    labels = held.example["labels"]
    first = next((at for at, label in enumerate(labels) if label != IGNORED), len(labels))
    found: list[Watch] = []
    begin: tuple[int, ...] = ()
    for at in range(first, len(labels)):
        following = openings.following.get(begin)
        if following is None:
            break
        token = labels[at]
        # The reference itself is right whatever it shares with a deflection, and a deflection in
        # new words is one all the same.
        deflecting = following | {token} if held.deflects else following - {token}
        found.append(Watch(row, at - 1, tuple(sorted(deflecting))))
        begin = (*begin, token)
    return found


def wrong_rows(found: Sequence[Watch], deflects: Sequence[bool], probabilities: Any) -> list[bool]:
    """Which rows of a batch open wrongly.

    Args:
        found: where was looked.
        deflects: for each row of the batch, whether its reference deflects.
        probabilities: watches x tokens.
    """
    wrong = [False] * len(deflects)
    for number, watch in enumerate(found):
        if not watch.deflecting:
            continue
        share = float(probabilities[number, list(watch.deflecting)].sum())
        wrong[watch.row] |= (share < 0.5) if deflects[watch.row] else (share > 0.5)
    return wrong


def _opening(example: Example) -> tuple[int, ...]:
    said = [label for label in example["labels"] if label != IGNORED]
    return tuple(said[:OPENING_TOKENS])
