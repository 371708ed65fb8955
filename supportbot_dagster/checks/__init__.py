"""Asset checks, one file for each file of assets.

What lives here: what must hold of an asset, shown beside it in the UI. What does not: logic, which
is the library's.
"""

import dagster as dg

from supportbot_dagster.assets.house import House
from supportbot_dagster.checks import dataset, evaluation, model, release, rows, sources


def all_checks(house: House) -> list[dg.AssetChecksDefinition]:
    """Every check of a product."""
    return [
        check
        for group in (sources, rows, dataset, model, evaluation, release)
        for check in group.build(house)
    ]
