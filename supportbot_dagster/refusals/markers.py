"""How a deflection is recognized.

What lives here: the one list of markers that evaluation, the command line and the shipped clients
share. What does not: the wording of deflections (``families.yaml``), which is checked against
this list when it is loaded.
"""

import re

REFUSAL_MARKERS: tuple[str, ...] = (
    r"\bi (?:do not|don't) have access\b",
    r"\bi am here to help with .{1,40} questions\b",
    r"\byou will need to (?:contact|email|reach)\b",
    r"\bthe fastest path is to email\b",
)
"""Regular expressions, matched without case. None matches mere courtesy such as "I'm sorry to
hear that". They use only syntax that Python and JavaScript read alike."""

_PATTERNS = tuple(re.compile(marker, re.IGNORECASE) for marker in REFUSAL_MARKERS)


def is_refusal(text: str) -> bool:
    """Whether an answer hands the customer on instead of answering."""
    return any(pattern.search(text) for pattern in _PATTERNS)
