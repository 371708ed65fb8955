"""What the embedded ``pocket`` base reads while it is trained: examples, packed into batches.

What lives here: the record of a corpus, drawing questions from it, their noise, their token ids and
labels, and the packing of several examples into one sequence. What does not: what stands in the
corpus (:mod:`supportbot_dagster.training.pocket_corpus`) and the training on these batches
(:mod:`supportbot_dagster.training.pocket`).
"""

import json
import random
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from supportbot_dagster.dataset.rows import QUESTION_PREFIX
from supportbot_dagster.errors import UserError
from supportbot_dagster.training.encode import IGNORED, prompt_ids
from supportbot_dagster.training.noise import noisy

WINDOW, SEQUENCES = 256, 128
"""Tokens of a packed sequence, and sequences of a batch."""
MIX = {"text": 0.03, "answer": 0.22, "question": 0.75}
"""Share of the examples of each kind; ``question`` is a question alone."""
UNANSWERABLE_SHARE = 0.35
"""Share of the questions that have no answer."""
SPLIT_SHARE = 0.05
"""Share of a question's tokens that are spelled in two smaller ones, and these in turn, so that
the model knows a word by its parts too. Like BPE-dropout, https://aclanthology.org/2020.acl-main.170,
but drawn from the stream's own generator."""
DECISIVE_TOKENS, DECISIVE_WEIGHT = 6, 4.0
"""The first tokens of an answer decide its topic; the rest follows. They weigh more in the loss."""
WAITING = 24
"""Examples to choose from when a sequence is filled."""
TOLD = 1024
"""Questions of a batch whose topic is asked, at most; the rest only have their words learned."""
CROSSED_SHARE = 0.35
"""Share of the questions alone that are crossings, if the corpus has any."""
VIEWS = 6
"""Topics that the view of a crossing names at most."""
UNLABELLED = -200
"""Class of a crossing, whose topic nobody knows."""


UNANSWERABLE = "unanswerable: "
"""Opens the topic of a question that no docs section answers; its category follows."""


def is_answerable(topic: str) -> bool:
    """Whether questions of a topic are answered by a docs section."""
    return not topic.startswith(UNANSWERABLE)


@dataclass(frozen=True)
class Asked:
    """A question, what to say to it, and its topic.

    Args:
        question: in a customer's words.
        answer: the docs answer, or the deflection.
        topic: key of the section that answers it, or :data:`UNANSWERABLE` and the category.
    """

    question: str
    answer: str
    topic: str

    @property
    def answerable(self) -> bool:
        """Whether a docs section answers it."""
        return is_answerable(self.topic)


@dataclass(frozen=True)
class Crossed:
    """A question that nobody wrote, and a linear model's view of it.

    Args:
        question: made of two others.
        topics: numbers of the topics it may be about.
        chances: one for each, together 1.
    """

    question: str
    topics: list[int]
    chances: list[float]


@dataclass(frozen=True)
class Corpus:
    """What the base may learn from.

    Args:
        texts: docs sections with their headings.
        pairs: answerable questions.
        deflections: unanswerable ones.
        watched: of both kinds, held back from training.
        copies: questions left out because they nearly copy one that a bot may be tested on.
        crossed: made-up questions with views instead of answers.
    """

    texts: list[str]
    pairs: list[Asked]
    deflections: list[Asked]
    watched: list[Asked]
    copies: int
    crossed: list[Crossed] = field(default_factory=list)

    @property
    def topics(self) -> dict[str, int]:
        """Number of every section and every category of deflections."""
        names = sorted({asked.topic for asked in (*self.pairs, *self.deflections)})
        return {name: number for number, name in enumerate(names)}

    def write(self, path: Path) -> None:
        """As a JSON file, for a machine that has little but PyTorch."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> "Corpus":
        """The inverse of :meth:`write`.

        Raises:
            UserError: if the file is missing or holds no corpus.
        """
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
            for kind in ("pairs", "deflections", "watched"):
                value[kind] = [Asked(**asked) for asked in value[kind]]
            value["crossed"] = [Crossed(**crossed) for crossed in value["crossed"]]
            return cls(**value)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise UserError(
                f"{path} holds no corpus ({type(error).__name__}: {error}). "
                "Write it with python -m supportbot_dagster.training.pocket_corpus."
            ) from None


@dataclass(frozen=True)
class Encoded:
    """Token ids with the label and the weight of each, all of one length.

    ``topic`` is the class of the question, told at position ``topic_at``; both None for text.
    ``following`` is the token that would come next: a question alone still learns how its answer
    begins. ``views`` are the topics of a crossing with their chances.
    """

    ids: list[int]
    labels: list[int]
    weights: list[float]
    topic: int | None = None
    topic_at: int | None = None
    following: int = IGNORED
    views: tuple[tuple[int, float], ...] = ()


def question_ids(tokenizer: Any, question: str) -> list[int]:
    """Token ids of the prompt of a bare question."""
    return prompt_ids(tokenizer, QUESTION_PREFIX + question)


def splits_of(tokenizer: Any) -> dict[int, list[tuple[int, int]]]:
    """Token id to the pairs of tokens that spell the same, for every learned token."""
    state = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    vocabulary: dict[str, int] = state["vocab"]
    splits: dict[int, list[tuple[int, int]]] = {}
    for left, right in state["merges"]:
        pair = (vocabulary[left], vocabulary[right])
        splits.setdefault(vocabulary[left + right], []).append(pair)
    return splits


def split_some(
    ids: list[int], splits: dict[int, list[tuple[int, int]]], rng: random.Random
) -> list[int]:
    """Spell a share of the tokens in smaller ones; see :data:`SPLIT_SHARE`."""
    done: list[int] = []
    waiting = ids[::-1]
    while waiting:
        token = waiting.pop()
        if token in splits and rng.random() < SPLIT_SHARE:
            left, right = rng.choice(splits[token])
            waiting += (right, left)
        else:
            done.append(token)
    return done


def stream_batches(corpus: Corpus, tokenizer: Any, seed: int, workers: int) -> Iterator[list[Any]]:
    """An endless stream of batches, made by ``workers`` processes (0: by this one).

    The same seed and number of workers give the same batches in the same order.

    Yields:
        Nine tensors. [:data:`SEQUENCES`, :data:`WINDOW`]: ids, the label of each position (the
        next token of its own document), the label's weight. [:data:`TOLD`]: the positions in the
        flat batch where an answer starts, and the topic's class there (:data:`UNLABELLED` for a
        crossing; ignored, as labels are, where there are fewer). [:data:`TOLD`, :data:`VIEWS`]:
        topics and chances of a crossing's views, all 0 for others. [:data:`SEQUENCES`,
        :data:`WINDOW`]: the number of the document, and the position in it.
    """
    import torch

    class Stream(torch.utils.data.IterableDataset[tuple[Any, ...]]):  # type: ignore[misc]
        def __iter__(self) -> Iterator[tuple[Any, ...]]:
            worker = torch.utils.data.get_worker_info()
            rng = random.Random(f"{seed} {worker.id if worker else 0}")
            return batches(corpus, tokenizer, rng)

    return iter(
        torch.utils.data.DataLoader(
            Stream(),
            batch_size=None,
            num_workers=workers,
            multiprocessing_context="fork" if workers else None,
            prefetch_factor=4 if workers else None,
            pin_memory=torch.cuda.is_available(),
        )
    )


def examples(corpus: Corpus, tokenizer: Any, rng: random.Random) -> Iterator[Encoded]:
    """An endless stream of examples."""
    bos, end = tokenizer.bos_token_id, tokenizer.eos_token_id
    topics = corpus.topics
    splits = splits_of(tokenizer)
    known: dict[str, list[int]] = {}

    def encode(text: str) -> list[int]:
        """Answers and texts come again and again, questions never in the same form."""
        if text not in known:
            known[text] = list(tokenizer(text, add_special_tokens=False)["input_ids"])
        return known[text]

    def chat(asked: Asked, answered: bool) -> Encoded:
        prompt = split_some(question_ids(tokenizer, noisy(asked.question, rng)), splits, rng)
        reply = [*encode(asked.answer), end]
        following = IGNORED if answered else reply[0]
        reply = reply if answered else []
        decisive = min(DECISIVE_TOKENS, len(reply))
        return Encoded(
            prompt + reply,
            [IGNORED] * len(prompt) + reply,
            [0.0] * len(prompt) + [DECISIVE_WEIGHT] * decisive + [1.0] * (len(reply) - decisive),
            topics[asked.topic],
            len(prompt) - 1,
            following,
        )

    def made_up(crossed: Crossed) -> Encoded:
        prompt = split_some(question_ids(tokenizer, noisy(crossed.question, rng)), splits, rng)
        return Encoded(
            prompt,
            [IGNORED] * len(prompt),
            [0.0] * len(prompt),
            UNLABELLED,
            len(prompt) - 1,
            views=tuple(zip(crossed.topics, crossed.chances, strict=True)),
        )

    def running(text: str) -> Encoded:
        ids = [bos, *encode(text)[: WINDOW - 2], end]
        return Encoded(ids, [IGNORED, *ids[1:]], [0.0] + [1.0] * (len(ids) - 1))

    while True:
        kind = rng.choices(list(MIX), list(MIX.values()))[0]
        if kind == "text":
            yield running(rng.choice(corpus.texts))
        elif kind == "question" and corpus.crossed and rng.random() < CROSSED_SHARE:
            yield made_up(rng.choice(corpus.crossed))
        else:
            unanswerable = rng.random() < UNANSWERABLE_SHARE
            asked = rng.choice(corpus.deflections if unanswerable else corpus.pairs)
            yield chat(asked, answered=kind == "answer")


def batches(corpus: Corpus, tokenizer: Any, rng: random.Random) -> Iterator[tuple[Any, ...]]:
    """The batches of :func:`stream_batches`, made by this process.

    A sequence takes the longest waiting examples that still fit, so that little is padding.
    """
    import torch

    stream = examples(corpus, tokenizer, rng)
    pad = tokenizer.pad_token_id
    waiting: list[Encoded] = []
    while True:
        rows: list[tuple[list[Any], ...]] = []
        told: list[tuple[int, int, list[int], list[float]]] = []
        while len(rows) < SEQUENCES:
            ids: list[int] = []
            labels: list[int] = []
            weights: list[float] = []
            documents: list[int] = []
            positions: list[int] = []
            for number in range(1, WINDOW):
                while len(waiting) < WAITING:
                    candidate = next(stream)
                    if len(candidate.ids) <= WINDOW:
                        waiting.append(candidate)
                fitting = [item for item in waiting if len(item.ids) <= WINDOW - len(ids)]
                if not fitting:
                    break
                chosen = max(fitting, key=lambda item: len(item.ids)) if ids else waiting[0]
                waiting.remove(chosen)
                if chosen.topic is not None and chosen.topic_at is not None:
                    views = [*chosen.views, *[(0, 0.0)] * (VIEWS - len(chosen.views))]
                    told.append(
                        (
                            len(rows) * WINDOW + len(ids) + chosen.topic_at,
                            chosen.topic,
                            [topic for topic, _ in views],
                            [chance for _, chance in views],
                        )
                    )
                ids += chosen.ids
                # Each position predicts the next token of its own document.
                labels += [*chosen.labels[1:], chosen.following]
                begun = chosen.following != IGNORED
                weights += [*chosen.weights[1:], DECISIVE_WEIGHT if begun else 0.0]
                documents += [number] * len(chosen.ids)
                positions += range(len(chosen.ids))
            missing = WINDOW - len(ids)
            rows.append(
                (
                    ids + [pad] * missing,
                    labels + [IGNORED] * missing,
                    weights + [0.0] * missing,
                    documents + [0] * missing,
                    positions + list(range(missing)),
                )
            )
        ids_, labels_, weights_, documents_, positions_ = (
            torch.tensor(column) for column in zip(*rows, strict=True)
        )
        rng.shuffle(told)
        nothing = (0, IGNORED, [0] * VIEWS, [0.0] * VIEWS)
        told = told[:TOLD] + [nothing] * (TOLD - len(told))
        places, classes, views_, chances = (
            torch.tensor(column) for column in zip(*told, strict=True)
        )
        yield ids_, labels_, weights_, places, classes, views_, chances, documents_, positions_
