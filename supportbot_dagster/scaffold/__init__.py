"""The start of a real product: a folder with a commented product file.

What lives here: writing the folder of ``supportbot init`` from the files beside this one. What does
not: the schema of the product file (:mod:`supportbot_dagster.product`) and finding what nobody has
filled in yet (:mod:`supportbot_dagster.leftovers`).
"""

import json
import re
from pathlib import Path
from string import Template
from unicodedata import normalize

import yaml

from supportbot_dagster.errors import UserError

FILES = ("product.yaml", "refusals.yaml", "probes.yaml")
TICKETS = "tickets"
"""Folder for exports; they hold personal data, so that version control is told to pass them by."""


def write_product(folder: Path, name: str, month: str) -> list[Path]:
    """Write the files of a new product, and the folder for its tickets.

    Args:
        folder: where; made if it is not there.
        name: the product's name, as customers know it; empty for the folder's.
        month: its first retrain month, ``YYYY-MM``.

    Returns:
        What was written.

    Raises:
        UserError: if one of the files is there already, or ``folder`` is none.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file. Name a folder for the product.")
    ignore = folder / TICKETS / ".gitignore"
    wanted = [folder / file for file in FILES]
    there = [str(path) for path in (*wanted, ignore) if path.exists()]
    if there:
        raise UserError(
            f"{', '.join(there)} exists already, and nothing was written. Name another folder, or "
            "move it away."
        )
    name = " ".join(name.split()) or folder.resolve().name.capitalize()
    values = {
        "name": _as_yaml(name),
        "slug": _as_yaml(_slug(name)),
        "bot": f"{_slug(name)}-support-helper",
        "month": month,
    }
    ignore.parent.mkdir(parents=True, exist_ok=True)
    texts = [(Path(__file__).parent / file).read_text(encoding="utf-8") for file in FILES]
    for path, text in zip(wanted, texts, strict=True):
        filled = Template(text).substitute(values) if path.name == FILES[0] else text
        with path.open("x", encoding="utf-8") as stream:
            stream.write(filled)
    ignore.write_text("# Exports hold personal data.\n*\n", encoding="utf-8")
    return [*wanted, ignore]


def _as_yaml(text: str) -> str:
    """A text as a value in YAML, quoted where it would mean something else without."""
    try:
        plain = yaml.safe_load(f"key: {text}") == {"key": text}
    except yaml.YAMLError:
        plain = False
    return text if plain else json.dumps(text)


def _slug(name: str) -> str:
    """A name as the product file's ``slug`` may hold it."""
    plain = normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return "-".join(re.findall("[a-z0-9]+", plain)) or "product"
