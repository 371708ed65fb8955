"""Right or wrong: how an answer is judged without a person.

What lives here: the judge and the measurement of the judge itself. What does not: asking the bot
(:mod:`supportbot_dagster.evaluation.measure`) and the ten probes, whose criteria are their own
(:mod:`supportbot_dagster.evaluation.probes`).

An answer counts as right when all of these hold:

1. It is no deflection.
2. Topic: of all docs sections that training taught, the one that answers the question is the
   nearest to the answer by TF-IDF cosine similarity to what was taught about it (or within
   :data:`TOPIC_MARGIN` of the nearest, for sections that say the same thing). Overlapping words
   with another topic do not help: the other topic is nearer.
3. Support: every hard fact of the answer (number, menu path, shortcut, address, code) stands in
   what was taught about that section or in the reference answer.
4. Substance: at least :data:`FACT_RECALL` of the hard facts of the reference stand in the answer;
   where the reference has none, at least :data:`WORD_RECALL` of its content words do.
"""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from supportbot_dagster.refusals.markers import is_refusal
from supportbot_dagster.synthesis.facts import (
    addresses,
    codes,
    menu_paths,
    number_words,
    numbers,
    shortcuts,
    unsupported,
)

TOPIC_MARGIN = 0.97
"""Share of the best similarity that the right section must reach."""
LEAST_SIMILARITY = 0.3
"""Similarity, times the share of the reply's words that any section says, from which a reply
counts as being about its nearest section. Of 698 replies that link
to a section 99 % are that like to it, and 1 % to the nearest of the others, were it not taught."""
FACT_RECALL = 0.5
WORD_RECALL = 0.4


@dataclass(frozen=True)
class Reference:
    """What a right answer says.

    Args:
        section: key (``url#anchor``) of the section that answers the question.
        answers: right answers, at least one; what training taught is known to the judge anyway.
    """

    section: str
    answers: tuple[str, ...]


@dataclass(frozen=True)
class Verdict:
    """The judge's word; ``reason`` is empty for a right answer."""

    right: bool
    reason: str = ""


class Judge:
    """Judges answers against what training taught.

    Args:
        answers: section key to the answers that training taught for it.
    """

    def __init__(self, answers: Mapping[str, Sequence[str]]) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer

        self._answers = {key: tuple(dict.fromkeys(answers[key])) for key in answers}
        self._keys = sorted(answers)
        self._vectorizer = TfidfVectorizer(
            sublinear_tf=True, ngram_range=(1, 2), token_pattern=r"(?u)\b\w[\w'@.-]*\b"
        )
        self._matrix = self._vectorizer.fit_transform(
            ["\n".join(self._answers[key]) for key in self._keys]
        )

    def with_answers(self, answers: Mapping[str, Sequence[str]]) -> "Judge":
        """A judge that knows the answers of further sections as well."""
        return Judge({**self._answers, **answers})

    @property
    def sections(self) -> frozenset[str]:
        """Keys of the sections that training taught."""
        return frozenset(self._keys)

    def judge(self, answer: str, reference: Reference) -> Verdict:
        """Judge one answer to a question that the reference's section answers."""
        if is_refusal(answer):
            return Verdict(False, "deflected")
        if not answer.strip():
            return Verdict(False, "empty")
        similarities = (self._matrix @ self._vectorizer.transform([answer]).T).toarray()[:, 0]
        best = int(similarities.argmax())
        own = float(similarities[self._keys.index(reference.section)])
        if own < TOPIC_MARGIN * float(similarities[best]) or own == 0.0:
            return Verdict(False, f"about another topic: {self._keys[best]}")
        known = (*reference.answers, *self._answers[reference.section])
        missing = unsupported(answer, known)
        if missing:
            return Verdict(False, f"unsupported: {', '.join(missing[:3])}")
        if max(_recall(answer, text) for text in known) < 1.0:
            return Verdict(False, "leaves out what the answer is about")
        return Verdict(True)

    def nearest_section(self, text: str) -> str:
        """Key of the section nearest to a text; empty for one that no section is like, by
        :data:`LEAST_SIMILARITY`."""
        similarities = (self._matrix @ self._vectorizer.transform([text]).T).toarray()[:, 0]
        best = int(similarities.argmax())
        enough = similarities[best] * self._known_share(text) >= LEAST_SIMILARITY
        return self._keys[best] if enough else ""

    def _known_share(self, text: str) -> float:
        """Share of a text's words that any section says: the similarity knows of no others."""
        terms = self._vectorizer.build_analyzer()(text)
        words = [term for term in terms if " " not in term]
        known = sum(word in self._vectorizer.vocabulary_ for word in words)
        return known / len(words) if words else 0.0


def _recall(answer: str, reference: str) -> float:
    """1.0 when enough of the reference's substance stands in the answer, else less."""
    wanted = hard_facts(reference)
    if wanted:
        share = len(wanted & hard_facts(answer)) / len(wanted)
        if share >= FACT_RECALL:
            return 1.0
        # Paths may be abbreviated; words decide when the facts alone do not.
        return 1.0 if word_recall(answer, reference) >= 0.6 else share
    share = word_recall(answer, reference)
    return 1.0 if share >= WORD_RECALL else share


def hard_facts(text: str) -> set[str]:
    """All hard facts of a text in one set."""
    return (
        numbers(text)
        | number_words(text)
        | menu_paths(text)
        | shortcuts(text)
        | addresses(text)
        | codes(text)
    )


def word_recall(answer: str, reference: str) -> float:
    """Share of the reference's words of four letters or more that stand in the answer."""
    wanted = _content_words(reference)
    return len(wanted & _content_words(answer)) / len(wanted) if wanted else 1.0


def _content_words(text: str) -> set[str]:
    return set(re.findall(r"[a-z]{4,}", text.lower()))


@dataclass(frozen=True)
class JudgeCheck:
    """How the judge does on answers whose verdict is known.

    Args:
        references: reference answers judged (all should be right).
        references_right: how many were.
        strangers: answers of other sections judged in their place (all should be wrong).
        strangers_wrong: how many were.
    """

    references: int
    references_right: int
    strangers: int
    strangers_wrong: int


def check_judge(judge: Judge, references: Sequence[Reference], seed: int = 0) -> JudgeCheck:
    """Judge every reference by its own answer, and by an answer of another section."""
    rng = random.Random(seed)
    right = sum(judge.judge(item.answers[0], item).right for item in references)
    wrong = strangers = 0
    for item in references:
        others = [other for other in references if other.section != item.section]
        if others:
            strangers += 1
            wrong += not judge.judge(rng.choice(others).answers[0], item).right
    return JudgeCheck(len(references), right, strangers, wrong)
