"""What a number of held-out rows can prove.

What lives here: the bound that a clean run of so many rows supports, and its inverse. What does
not: measuring a bot (:mod:`supportbot_dagster.evaluation`).
"""

from __future__ import annotations

import math

CONFIDENCE = 0.95


def provable_bound(rows: int, confidence: float = CONFIDENCE) -> float:
    """The smallest failure rate that ``rows`` rows without a failure rule out.

    The exact one-sided binomial bound: the rate at which so clean a run would still happen with
    probability ``1 - confidence`` (Clopper and Pearson, 1934). 1.0 for no rows.
    """
    return 1.0 - (1.0 - confidence) ** (1.0 / rows) if rows > 0 else 1.0


def rows_needed(bound: float, confidence: float = CONFIDENCE) -> int:
    """How many clean rows it takes to rule out a failure rate above ``bound`` (0 to 1, open).

    149 for 2 % at 95 %.

    Raises:
        ValueError: if the bound is no open share.
    """
    if not 0.0 < bound < 1.0:
        raise ValueError(f"a bound is between 0 and 1, not {bound}")
    return math.ceil(math.log(1.0 - confidence) / math.log(1.0 - bound))
