"""Questions crossed from two that somebody wrote, and a linear model's view of them.

What lives here: the crossing of questions and the linear model that reads them. What does not: the
written questions (:mod:`supportbot_dagster.training.pocket_corpus`) and the training that takes the
views as its goal (:mod:`supportbot_dagster.training.pocket_members`).

A linear model over words and pieces of words errs on other questions than a transformer does, and
the two together err on fewer than each. To teach one of them what both know takes questions on
which they have something to say: on those they were trained on both only repeat the label. A
crossing of two questions reads like a question and has no label; it lies where the border between
two topics runs. This is distillation on made-up input, as in https://arxiv.org/abs/1909.10351 and
https://arxiv.org/abs/2106.06168.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

from supportbot_dagster.training.pocket_examples import VIEWS, Asked, Corpus, Crossed

SHORTEST, LONGEST = 3, 90
"""Words of a crossing."""
TRIES = 8
"""Partners looked at for one that is about something else."""
SHARPNESS = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0)
"""Factors tried on the linear model's margins before they become chances."""


def cross(asked: Sequence[Asked], rng: random.Random) -> Iterator[str]:
    """An endless stream of crossings: the beginning of one question, the end of another.

    They change over where both have the same two words in a row, and mostly differ in topic.
    """
    words = [item.question.split() for item in asked]
    places: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for number, question in enumerate(words):
        for place, pair in enumerate(_pairs(question)):
            places.setdefault(pair, []).append((number, place))
    while True:
        first = rng.randrange(len(words))
        pairs = _pairs(words[first])
        if not pairs:
            continue
        place = rng.randrange(len(pairs))
        others = places[pairs[place]]
        for _ in range(TRIES):
            second, where = rng.choice(others)
            if asked[second].topic != asked[first].topic:
                crossed = words[first][: place + 1] + words[second][where + 1 :]
                if SHORTEST <= len(crossed) <= LONGEST:
                    yield " ".join(crossed)
                break


def _pairs(words: Sequence[str]) -> list[tuple[str, str]]:
    bare = [word.strip(".,?!").lower() for word in words]
    return list(pairwise(bare))


def read_crossings(
    corpus: Corpus, count: int, seed: int = 0, say: Callable[[str], None] | None = None
) -> list[Crossed]:
    """Crossings of the corpus's questions with the topics that a linear model sees in them.

    Args:
        corpus: its pairs and deflections are learned from, its watched questions set how sure the
            model may be.
        count: crossings to make.
        seed: of their choice.
        say: told what is being done.
    """
    import numpy as np
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline, make_union
    from sklearn.svm import LinearSVC

    say = say or (lambda line: None)
    written = [*corpus.pairs, *corpus.deflections]
    topics = corpus.topics
    reader = make_pipeline(
        make_union(
            TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2),
            TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True, min_df=3),
        ),
        LinearSVC(C=0.3, tol=1e-2, max_iter=60),
    )
    say(f"a linear model learns {len(topics)} topics from {len(written)} questions")
    reader.fit(
        [item.question for item in written],
        np.array([topics[item.topic] for item in written]),
    )
    classes = reader.classes_
    goals = np.searchsorted(classes, [topics[item.topic] for item in corpus.watched])
    margins = reader.decision_function([item.question for item in corpus.watched])
    losses = {
        factor: -float(np.log(_chances(margins * factor)[np.arange(len(goals)), goals]).mean())
        for factor in SHARPNESS
    }
    factor = min(losses, key=losses.__getitem__)
    right = float((margins.argmax(1) == goals).mean())
    say(f"it reads {right:.1%} of the watched questions right; margins count {factor} times")
    stream = cross(written, random.Random(seed))
    found: list[Crossed] = []
    while len(found) < count:
        questions = [next(stream) for _ in range(min(4000, count - len(found)))]
        chances = _chances(reader.decision_function(questions) * factor)
        best = np.argsort(-chances, axis=1)[:, :VIEWS]
        for question, chance, kept in zip(questions, chances, best, strict=True):
            shares = chance[kept] / chance[kept].sum()
            views = {
                int(classes[number]): round(float(share), 4)
                for number, share in zip(kept, shares, strict=True)
            }
            found.append(Crossed(question, [*views], [*views.values()]))
        say(f"{len(found)} of {count} crossings read")
    return found


def _chances(margins: Any) -> Any:
    """Softmax over the last axis."""
    import numpy as np

    raised = np.exp(margins - margins.max(-1, keepdims=True))
    return raised / raised.sum(-1, keepdims=True)
