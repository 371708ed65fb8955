"""Docs sections that training is not shown, so that the unknown can be measured.

What lives here: which sections are withheld, and which tickets are about them. What does not: the
splits of everything else (:mod:`supportbot_dagster.dataset.splits`).
"""

from collections.abc import Sequence

from supportbot_dagster.dataset.rows import Row
from supportbot_dagster.dataset.splits import position


def is_withheld(section: str, share: float, seed: int) -> bool:
    """Whether a docs section is kept from training, by hash.

    A page's lead has no anchor and is never withheld: it tells in short what its sections tell.

    Args:
        section: ``url#anchor``.
        share: of all sections, 0 to 1.
        seed: the dataset's.
    """
    return "#" in section and position(f"withheld\n{seed}\n{section}") < share


def without_withheld(
    tickets: Sequence[Row], docs: Sequence[Row], withheld: frozenset[str]
) -> list[Row]:
    """The tickets that are not about a withheld section.

    Which section a ticket is about is told by its link, else by the docs answers that its reply is
    nearest to (TF-IDF cosine similarity).

    Args:
        tickets: rows of the ``tickets`` bucket.
        docs: rows of the ``docs`` bucket, of all sections.
        withheld: keys of the withheld sections.
    """
    unlinked = [row for row in tickets if not row.evidence]
    guessed = dict(zip((row.id for row in unlinked), _nearest(unlinked, docs), strict=True))
    return [row for row in tickets if (row.evidence or guessed[row.id]) not in withheld]


def _nearest(tickets: Sequence[Row], docs: Sequence[Row]) -> list[str]:
    """Key of the section that each reply is nearest to; empty for one that is near to none."""
    if not tickets:
        return []
    from sklearn.feature_extraction.text import TfidfVectorizer

    answers: dict[str, dict[str, None]] = {}
    for row in docs:
        answers.setdefault(row.source, {})[row.output] = None
    keys = sorted(answers)
    vectorizer = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2))
    sections = vectorizer.fit_transform("\n".join(answers[key]) for key in keys)
    nearest: list[str] = []
    for start in range(0, len(tickets), 1000):
        replies = vectorizer.transform(row.output for row in tickets[start : start + 1000])
        similar = (replies @ sections.T).toarray()
        best = zip(similar.argmax(axis=1), similar.max(axis=1), strict=True)
        nearest += [keys[number] if value > 0 else "" for number, value in best]
    return nearest
