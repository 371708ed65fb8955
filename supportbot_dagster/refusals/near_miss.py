"""Near-miss contrast: no deflection may teach the bot to refuse what the docs answer.

What lives here: the check of refusal questions against the headings of the docs. What does not:
the families themselves.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from rapidfuzz import fuzz

from supportbot_dagster.dataset.rows import normalized_question
from supportbot_dagster.refusals.families import Refusals

SAME_AS_HEADING = 95.0
"""Token-sort ratio (0 to 100) from which a question counts as a docs heading."""


def check_contrast(refusals: Refusals, pages: Sequence[Mapping[str, Any]]) -> Refusals:
    """Leave out refusal rows whose question is a heading of the docs, counted.

    A near miss (same words, another need) stays: it is the contrast that teaches the boundary.
    """
    headings = {
        normalized_question(section["heading_path"][-1])
        for page in pages
        for section in page["sections"]
        if section["heading_path"]
    }
    kept = []
    for row in refusals.rows:
        question = normalized_question(row.question)
        if not any(fuzz.token_sort_ratio(question, item) >= SAME_AS_HEADING for item in headings):
            kept.append(row)
    left_out = dict(refusals.left_out)
    if len(kept) < len(refusals.rows):
        left_out["the docs have this very heading"] = len(refusals.rows) - len(kept)
    return Refusals(kept, left_out)
