"""``supportbot init``: what it writes is a product, and nothing of anybody's is overwritten."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from supportbot_dagster.errors import UserError
from supportbot_dagster.evaluation.probes import load_probes
from supportbot_dagster.product import load_product
from supportbot_dagster.refusals.families import load_families, product_families
from supportbot_dagster.scaffold import FILES, write_product


def test_what_is_written_is_a_product_with_nothing_of_the_sample(tmp_path: Path) -> None:
    written = write_product(tmp_path / "deep" / "acme", "", "2026-03")
    product = load_product(written[0])
    assert (product.name, product.slug, product.retrain.first_month) == ("Acme", "acme", "2026-03")
    assert product_families(product) == ()
    assert load_probes(product) == ()
    assert product.dataset.withheld == 0
    text = "".join(path.read_text(encoding="utf-8") for path in written)
    assert "racklight" not in text
    assert ": sample" not in text
    assert all(len(line) <= 110 for line in text.splitlines())
    assert (tmp_path / "deep" / "acme" / "tickets" / ".gitignore").read_text().endswith("*\n")


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Acme", "acme"),
        ("Größe & Co: 'alles' #1", "groe-co-alles-1"),
        ("  Two   words ", "two-words"),
        ("\u6771\u4eac", "product"),
        ("yes", "yes"),
        ("42", "42"),
        ("$name {x} \\", "name-x"),
    ],
)
def test_any_name_comes_back_as_it_was(tmp_path: Path, name: str, slug: str) -> None:
    product = load_product(write_product(tmp_path / "x", name, "2026-01")[0])
    assert (product.name, product.slug) == (" ".join(name.split()), slug)


@pytest.mark.parametrize("file", [*FILES, "tickets/.gitignore"])
def test_nothing_is_overwritten_and_nothing_half_written(tmp_path: Path, file: str) -> None:
    there = tmp_path / file
    there.parent.mkdir(exist_ok=True)
    there.write_text("mine")
    with pytest.raises(UserError, match=f"{there} exists already, and nothing was written"):
        write_product(tmp_path, "Acme", "2026-01")
    assert there.read_text() == "mine"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [there]
    with pytest.raises(UserError, match="is a file"):
        write_product(there, "Acme", "2026-01")


def test_what_the_comments_show_can_be_used(tmp_path: Path) -> None:
    paths = write_product(tmp_path, "Acme", "2026-01")
    for path in paths[1:3]:
        lines = path.read_text(encoding="utf-8").splitlines()
        shown = "\n".join(line.removeprefix("# ") for line in lines[lines.index("#") + 1 : -1])
        assert yaml.safe_load(shown)
        path.write_text(shown, encoding="utf-8")
    product = load_product(paths[0])
    assert [family.id for family in load_families(paths[1]).families] == ["seats-left", "dark-mode"]
    assert [probe.id for probe in load_probes(product)] == ["export"]
