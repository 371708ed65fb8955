"""What the check files share.

What lives here: the shape of a check's result. What does not: any check.
"""

from typing import Any

import dagster as dg


def outcome(
    passed: bool, description: str, *, warn: bool = False, **metadata: Any
) -> dg.AssetCheckResult:
    """A check's result; ``warn`` makes a failure a warning."""
    return dg.AssetCheckResult(
        passed=passed,
        severity=dg.AssetCheckSeverity.WARN if warn else dg.AssetCheckSeverity.ERROR,
        description=description,
        metadata=metadata,
    )
