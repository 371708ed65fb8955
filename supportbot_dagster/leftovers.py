"""What nobody has filled in yet in a product file: of the sample, or of ``supportbot init``.

What lives here: finding it. What does not: telling it (:mod:`supportbot_dagster.doctor`).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supportbot_dagster.evaluation.probes import load_probes
from supportbot_dagster.hashing import sha256_path
from supportbot_dagster.product import SAMPLE, Product, load_product, sample_product_file
from supportbot_dagster.refusals.families import product_families

_NOWHERE = re.compile(r"(?:\.example|\bexample\.(?:com|net|org))(?![\w-]|\.\w)", re.IGNORECASE)
"""Domains that are reserved for examples, the sample's among them."""
_INSTEAD = {
    "docs.url": "Name the address of your docs.",
    "tickets.source": "Name your help desk's export, or a format that asks it.",
    "teacher.recordings": "Leave it out: the recordings are of the sample's docs.",
    "refusals.families": "Name a file of your own, or leave it out.",
    "probes.file": "Name a file of your own, or leave it out.",
}
_PATHS = _INSTEAD.keys() - {"docs.url"}
"""Keys that hold a path of this machine, which may have any name."""


@dataclass(frozen=True)
class Leftover:
    """Something in a product file that is not the product's own.

    Args:
        key: where it stands.
        found: what stands there.
        fix: what to do about it.
    """

    key: str
    found: str
    fix: str


def leftovers(product: Product) -> list[Leftover]:
    """All of them, in the order of the file.

    Raises:
        UserError: if a file that the product names cannot be read.
    """
    sample = load_product(sample_product_file())
    values = dict(_leaves(product.model_dump(mode="json")))
    theirs = dict(_leaves(sample.model_dump(mode="json")))
    found: list[Leftover] = []
    for key, value in values.items():
        if value == SAMPLE and key in _INSTEAD:
            found.append(Leftover(key, f"{SAMPLE}, the embedded sample's", _INSTEAD[key]))
        elif key not in _PATHS and isinstance(value, str) and _NOWHERE.search(value):
            whose = "the sample's" if value == theirs.get(key) else "an example"
            needed = key == "docs.url" or key.startswith("facts.")
            fix = "Write your own." if needed else "Write your own, or take it out."
            found.append(Leftover(key, f"{value}, {whose}", fix))
        elif key in {"name", "slug"} and value == theirs[key]:
            found.append(Leftover(key, f"{value}, the sample's", "Write your product's own."))
        elif key == "dataset.withheld" and value and value == theirs[key]:
            found.append(
                Leftover(
                    key,
                    f"{value:g}, the sample's: that share of the docs sections is never taught",
                    "Take it out, unless you mean to measure with it.",
                )
            )
    return [*found, *_copied(product, sample)]


def _leaves(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """The single values of nested mappings and lists with their place, such as ``facts.plans``."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, f"{place}.{key}" if place else key)
    elif isinstance(value, list):
        for number, item in enumerate(value, start=1):
            yield from _leaves(item, f"{place} ({number})")
    else:
        yield place, value


def _copied(product: Product, sample: Product) -> Iterator[Leftover]:
    """What the files that the product names have from the sample's."""
    if product.refusals.families not in {None, SAMPLE}:
        theirs = {family.questions for family in product_families(sample)}
        same = [one.id for one in product_families(product) if one.questions in theirs]
        if same:
            yield _of_file("refusals.families", product.refusals.families, "families", same)
    if product.probes.file not in {None, SAMPLE}:
        asked = {probe.question for probe in load_probes(sample)}
        same = [probe.id for probe in load_probes(product) if probe.question in asked]
        if same:
            yield _of_file("probes.file", product.probes.file, "probes", same)
    recordings = product.teacher.recordings
    if recordings not in {None, SAMPLE}:
        copy = sha256_path(sample_product_file().parent / "teacher")
        if sha256_path(Path(str(recordings))) == copy:
            key = "teacher.recordings"
            yield Leftover(key, f"{recordings}, a copy of the sample's", _INSTEAD[key])


def _of_file(key: str, path: str | None, kind: str, same: list[str]) -> Leftover:
    shown = ", ".join(same[:3]) + (", ..." if len(same) > 3 else "")
    return Leftover(
        key, f"{len(same)} {kind} of the sample in {path} ({shown})", "Take them out of the file."
    )
