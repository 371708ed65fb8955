from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from supportbot_dagster.errors import UserError
from supportbot_dagster.product import SAMPLE, Product, load_product, sample_product_file


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """The sample's product file with some keys changed: ``{"dataset.seed": 3}``."""

    def write_one(changes: dict[str, Any]) -> Path:
        raw = yaml.safe_load(sample_product_file().read_text(encoding="utf-8"))
        for key, value in changes.items():
            *sections, last = key.split(".")
            place = raw
            for section in sections:
                place = place.setdefault(section, {})
            place[last] = value
        path = tmp_path / "product.yaml"
        path.write_text(yaml.safe_dump(raw), encoding="utf-8")
        return path

    return write_one


def fault(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        load_product(path)
    text = str(caught.value)
    assert "\n" not in text, "one line"
    return text


def test_the_sample_is_a_product() -> None:
    product = load_product(sample_product_file())
    assert product.name == "Tracklight"
    assert product.model_name == "tracklight-support-helper"
    assert product.docs.url == product.tickets.source == product.probes.file == SAMPLE
    shares = product.dataset.shares
    assert (shares.docs, shares.tickets, shares.refusals) == (0.6, 0.3, 0.1)


def test_a_wrong_key_is_named_with_the_known_ones(write: Callable[..., Path]) -> None:
    text = fault(write({"dataset.target_row": 5}))
    assert text.startswith(str(write({"dataset.target_row": 5})))
    assert "unknown key dataset.target_row" in text
    assert "known here: seed, shares, splits, target_rows" in text


def test_a_wrong_key_at_the_top_and_two_levels_down(write: Callable[..., Path]) -> None:
    assert "unknown key modle (known here: dataset, docs," in fault(write({"modle": {}}))
    text = fault(write({"model.training.lr": 1}))
    assert "unknown key model.training.lr" in text
    assert "learning_rate" in text


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("slug", "Track Light", "slug: String should match pattern"),
        ("facts.plans", [], "facts.plans"),
        ("dataset.target_rows", "many", "(found 'many')"),
        ("dataset.shares", {"docs": 0.7}, "add up to 1.1, not 1"),
        ("dataset.splits", {"test": 0.5, "calibration": 0.5}, "leave nothing to train"),
        ("retrain.first_month", "2026-13", "retrain.first_month"),
        ("retrain.first_month", "0000-01", "retrain.first_month"),
        ("retrain.cadence", "weekly", "'monthly' or 'quarterly'"),
        ("gates.answerable_right", 80, "less than or equal to 1"),
        ("serving", None, "serving"),
    ],
)
def test_a_wrong_value_is_named(
    write: Callable[..., Path], key: str, value: Any, said: str
) -> None:
    assert said in fault(write({key: value}))


def test_a_missing_key_is_named(write: Callable[..., Path]) -> None:
    path = write({})
    raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    del raw["facts"]["support_email"]
    path.write_text(yaml.safe_dump(raw), encoding="utf-8")
    assert "missing key facts.support_email" in fault(path)


def test_files_that_are_no_product(tmp_path: Path) -> None:
    assert "does not exist" in fault(tmp_path / "none.yaml")
    assert "cannot be read" in fault(tmp_path)
    broken = tmp_path / "broken.yaml"
    broken.write_text("name: [unclosed\nslug: x", encoding="utf-8")
    assert "is not YAML" in fault(broken)
    broken.write_bytes(b"name: \xff\xfe")
    assert "is not YAML" in fault(broken)
    broken.write_text("", encoding="utf-8")
    assert "holds no keys" in fault(broken)
    broken.write_text("- a\n- b\n", encoding="utf-8")
    assert "holds no keys" in fault(broken)


def test_paths_are_relative_to_the_file_and_the_sample_stays_a_word(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    product = load_product(write({"tickets.source": "data/t.json", "probes.file": "/abs/p.yaml"}))
    assert product.tickets.source == str(tmp_path / "data" / "t.json")
    assert product.probes.file == "/abs/p.yaml"
    assert product.teacher.recordings == SAMPLE


def test_a_product_cannot_be_changed_in_place() -> None:
    product: Product = load_product(sample_product_file())
    with pytest.raises(ValueError, match="frozen"):
        product.name = "Other"  # type: ignore[misc]
