"""What a reviewer judges: pairs beside the docs section that they were made of.

What lives here: the candidates of a month as records of the artifact store, and where the evidence
stands in the section's text. What does not: verdicts
(:mod:`supportbot_dagster.review.verdicts`) and the page (:mod:`supportbot_dagster.review.app`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from supportbot_dagster.errors import UserError
from supportbot_dagster.synthesis.candidate import Candidate
from supportbot_dagster.synthesis.section import SectionText
from supportbot_dagster.synthesis.teacher import Pair

FOLDER = "review"
"""Folder of the artifact root in which the candidates of each month stand."""


def to_records(candidates: Iterable[Candidate]) -> list[dict[str, Any]]:
    """Candidates as JSON objects, one a section with all of its pairs."""
    records: dict[str, dict[str, Any]] = {}
    for candidate in candidates:
        section, pair = candidate.section, candidate.pair
        record = records.setdefault(
            section.key,
            {
                "section": section.key,
                "content_hash": section.content_hash,
                "heading_path": list(section.heading_path),
                "markdown": section.markdown,
                "pairs": [],
            },
        )
        record["pairs"].append(
            {
                "question": pair.question,
                "answer": pair.answer,
                "evidence": pair.evidence,
                "style": pair.style,
                "reason": candidate.reason,
            }
        )
    return list(records.values())


def from_records(records: Iterable[Mapping[str, Any]]) -> list[Candidate]:
    """The inverse of :func:`to_records`.

    Raises:
        UserError: if a record is none of these.
    """
    candidates: list[Candidate] = []
    for number, record in enumerate(records, start=1):
        try:
            key, content_hash, markdown = _texts(record, "section", "content_hash", "markdown")
            path = tuple(map(str, record["heading_path"]))
            section = SectionText(key, content_hash, path, markdown)
            for pair in record["pairs"]:
                said = Pair(*_texts(pair, "question", "answer", "evidence", "style"))
                candidates.append(Candidate(section, said, *_texts(pair, "reason")))
        except (KeyError, TypeError) as error:
            raise UserError(
                f"line {number} of the candidates is damaged ({type(error).__name__} {error}). "
                "Materialize synthesized_pairs for that month again."
            ) from None
    return candidates


def _texts(record: Mapping[str, Any], *names: str) -> list[str]:
    for name in names:
        if not isinstance(record[name], str):
            raise TypeError(f"in {name!r}")
    return [record[name] for name in names]


_LINK_TARGET = re.compile(r"\]\([^)]{0,2000}\)")


def highlight(markdown: str, evidence: str) -> Sequence[tuple[str, bool]]:
    """A section's text in pieces, each with whether it is the evidence.

    Markup, case and spacing do not hide the quote: letters and digits are compared. Without a match
    the text is one piece.
    """
    hidden = {
        place
        for match in _LINK_TARGET.finditer(markdown)
        for place in range(match.start(), match.end())
    }
    places = [
        place
        for place, char in enumerate(markdown)
        if place not in hidden and (char.isalnum() and char != "_")
    ]
    letters = "".join(markdown[place].casefold()[:1] for place in places)
    wanted = "".join(
        char.casefold()[:1]
        for char in _LINK_TARGET.sub("]", evidence)
        if char.isalnum() and char != "_"
    )
    start = letters.find(wanted) if wanted else -1
    if start < 0:
        return [(markdown, False)]
    low, high = places[start], places[start + len(wanted) - 1] + 1
    pieces = [(markdown[:low], False), (markdown[low:high], True), (markdown[high:], False)]
    return [piece for piece in pieces if piece[0]]
