"""Docs sections that training is not shown, so that the unknown can be measured.

What lives here: which sections are withheld, and which tickets are about them. What does not: the
splits of everything else (:mod:`supportbot_dagster.dataset.splits`).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import unquote, urlsplit

from supportbot_dagster.dataset.rows import Row
from supportbot_dagster.dataset.splits import position

_WITH_ANCHOR = re.compile(r"[^\s<>()\[\]{}\"'`#]{1,500}#[^\s<>()\[\]{}\"'`]{1,200}")


def is_withheld(section: str, share: float, seed: int) -> bool:
    """Whether a docs section is kept from training, by hash.

    A page's lead has no anchor and is never withheld: it tells in short what its sections tell.

    Args:
        section: ``url#anchor``.
        share: of all sections, 0 to 1.
        seed: the dataset's.
    """
    return "#" in section and position(f"withheld\n{seed}\n{section}") < share


def names_withheld(text: str, withheld: frozenset[str]) -> bool:
    """Whether a text holds the address of a withheld section, with or without ``https://``.

    Args:
        text: a row's answer.
        withheld: addresses of the withheld sections, as :func:`addresses` gives them.
    """
    return any(
        _address(match[0].rstrip(".,;:!?*_")) in withheld for match in _WITH_ANCHOR.finditer(text)
    )


def addresses(keys: Iterable[str]) -> frozenset[str]:
    """The sections' addresses in the form in which they are compared."""
    return frozenset(map(_address, keys))


def without_withheld(
    tickets: Sequence[Row], docs: Sequence[Row], withheld: frozenset[str]
) -> list[Row]:
    """The tickets that are not about a withheld section, and whose reply links to none.

    Which section a ticket is about is told by its link if that leads to a section. A link to a page
    alone, or to a place that is no section, tells that it is one of the page's: the one whose docs
    answers the reply is nearest to (TF-IDF cosine similarity), and where it is near to none of
    them, any, so that the ticket is left out if one is withheld. Without a link into the docs all
    sections are candidates.

    Args:
        tickets: rows of the ``tickets`` bucket.
        docs: rows of the ``docs`` bucket, of all sections.
        withheld: keys of the withheld sections.
    """
    named = addresses(withheld)
    keys = sorted({row.source for row in docs})
    exact = {_address(key): key for key in keys}
    of_page: dict[str, list[str]] = {}
    for key in keys:
        of_page.setdefault(_address(key).partition("#")[0], []).append(key)
    # A page may have a lead of its own address: a link to it may still mean what stands below.
    linked = {row.id: _address(row.evidence) for row in tickets if row.evidence}
    candidates: dict[str, Sequence[str]] = {}
    for row in tickets:
        address = linked.get(row.id, "")
        if "#" not in address or address not in exact:
            candidates[row.id] = of_page.get(address.partition("#")[0], keys)
    open_rows = [row for row in tickets if row.id in candidates]
    guessed = _nearest(open_rows, docs, candidates)

    def about(row: Row) -> frozenset[str]:
        if row.id not in candidates:
            return frozenset({exact[linked[row.id]]})
        if guessed[row.id]:
            return frozenset({guessed[row.id]})
        found = candidates[row.id]
        return frozenset(found) if found is not keys else frozenset()

    return [
        row
        for row in tickets
        if not about(row) & withheld and not names_withheld(row.output, named)
    ]


def _address(url: str) -> str:
    """What two URLs of one place have in common: host, path and anchor, however written."""
    try:
        parts = urlsplit(url if "://" in url else f"https://{url}")
    except ValueError:  # no URL after all
        return url
    anchor = f"#{unquote(parts.fragment)}" if parts.fragment else ""
    return f"{parts.netloc.lower()}{unquote(parts.path).rstrip('/')}{anchor}"


def _nearest(
    tickets: Sequence[Row], docs: Sequence[Row], candidates: Mapping[str, Sequence[str]]
) -> dict[str, str]:
    """By row id the key of the candidate that the reply is nearest to; empty if near to none."""
    if not tickets:
        return {}
    from sklearn.feature_extraction.text import TfidfVectorizer

    answers: dict[str, dict[str, None]] = {}
    for row in docs:
        answers.setdefault(row.source, {})[row.output] = None
    keys = sorted(answers)
    columns = {key: number for number, key in enumerate(keys)}
    vectorizer = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2))
    sections = vectorizer.fit_transform("\n".join(answers[key]) for key in keys)
    nearest: dict[str, str] = {}
    for start in range(0, len(tickets), 1000):
        part = tickets[start : start + 1000]
        similar = (vectorizer.transform(row.output for row in part) @ sections.T).toarray()
        for row, values in zip(part, similar, strict=True):
            places = [columns[key] for key in candidates[row.id]]
            best = places[int(values[places].argmax())]
            nearest[row.id] = keys[best] if values[best] > 0 else ""
    return nearest
