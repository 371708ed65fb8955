from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from supportbot_dagster.errors import UserError
from supportbot_dagster.product import Product, Refusals, load_product, sample_product_file
from supportbot_dagster.refusals.families import (
    CATEGORIES,
    MAX_WORDS,
    build_refusal_rows,
    builtin_families,
    deflection,
    lint_deflection,
    load_families,
)
from supportbot_dagster.refusals.markers import is_refusal

GOOD = "I do not have access to your account. Please write to {support_email}."


@pytest.fixture(scope="module")
def product() -> Product:
    return load_product(sample_product_file())


@pytest.fixture
def own(product: Product, tmp_path: Path) -> Callable[..., Product]:
    """The sample product with one family of its own."""

    def make(**changes: Any) -> Product:
        family = {
            "id": "mine",
            "category": "account_state",
            "questions": ["how many badges have we earned"],
            "answer": [GOOD],
            **changes,
        }
        path = tmp_path / "families.yaml"
        path.write_text(yaml.safe_dump({"families": [family]}), encoding="utf-8")
        return product.model_copy(update={"refusals": Refusals(families=str(path))})

    return make


def fault(product: Product) -> str:
    with pytest.raises(UserError) as caught:
        build_refusal_rows(product)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_every_row_is_a_deflection_with_a_next_step_and_every_slot_filled(
    product: Product,
) -> None:
    result = build_refusal_rows(product)
    assert len(result.rows) > 500
    for row in result.rows:
        assert lint_deflection(row.output) is None, row
        assert "{" not in row.instruction + row.output
        assert row.bucket == "refusals"
        assert row.evidence == ""
    assert {row.style for row in result.rows} == set(CATEGORIES)
    assert max(Counter(row.question.casefold() for row in result.rows).values()) == 1


def test_a_family_is_one_source_and_the_next_steps_name_real_places(product: Product) -> None:
    families = defaultdict(set)
    for row in build_refusal_rows(product).rows:
        families[row.source].add(row.source_hash)
        assert row.source.startswith(f"{row.style}/")
    assert all(len(hashes) == 1 for hashes in families.values())
    ids = [family.id for family in builtin_families().families]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("category", CATEGORIES)
def test_every_category_deflects_in_each_variant(product: Product, category: str) -> None:
    variants = {deflection(category, product, number) for number in range(6)}
    assert len(variants) == len(builtin_families().categories[category].next_steps)
    assert all(lint_deflection(text) is None for text in variants)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ("I do not have access to your account.", "bare refusal"),
        ("I do not have access to your account", "bare refusal"),
        ("Open Settings > General. Then click Save.", "no marker recognizes it"),
        ("I'm sorry to hear that. Please write to support.", "no marker recognizes it"),
        (
            "I do not have access to your account. " + "Please write to us. " * 20,
            f"longer than {MAX_WORDS} words",
        ),
        ("", "no marker recognizes it"),
    ],
)
def test_the_lint(own: Callable[..., Product], answer: str, problem: str) -> None:
    said = lint_deflection(answer)
    assert said is not None
    assert problem in said
    text = fault(own(answer=[answer]))
    assert "refusal family mine" in text
    assert problem in text


def test_a_product_s_own_family_is_added(own: Callable[..., Product]) -> None:
    rows = build_refusal_rows(own()).rows
    (mine,) = [row for row in rows if row.source == "account_state/mine"]
    assert mine.output.endswith("Please write to support@tracklight.example.")
    assert is_refusal(mine.output)


def test_unknown_slots_fail_with_the_known_ones(own: Callable[..., Product]) -> None:
    for changes in ({"answer": [GOOD + " {price}"]}, {"questions": ["is {price} right"]}):
        text = fault(own(**changes))
        assert "unknown slot {price}" in text
        assert "billing_path, docs_url, other_tool, plan" in text


@pytest.mark.parametrize("stray", ["{", "}", "{}", "{product.name}", "{0}"])
def test_stray_braces_fail_in_one_line(own: Callable[..., Product], stray: str) -> None:
    text = fault(own(answer=[f"{GOOD} {stray}"]))
    assert "stray brace" in text or "unknown slot" in text


def test_an_unknown_category_fails_with_the_known_ones(own: Callable[..., Product]) -> None:
    text = fault(own(category="prices"))
    assert "unknown category 'prices'" in text
    assert "pricing" in text


def test_the_same_question_again_is_counted(own: Callable[..., Product]) -> None:
    result = build_refusal_rows(own(questions=["How many badges?", "how many BADGES?"]))
    assert result.left_out == {"same question as another row": 1}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("families:\n  - id: x\n    catgory: pricing\n    questions: [a]\n",
         "unknown key families.0.catgory (known here: answer, category, id, questions)"),
        ("categories:\n  pricing: {lacks: a, opening: b, next_steps: [c], tone: d}\nfamilies: []\n",
         "unknown key categories.pricing.tone (known here: lacks, next_steps, opening)"),
        ("familys: []\n", "unknown key familys (known here: categories, families)"),
        ("families:\n  - {id: x, category: pricing, questions: []}\n", "families.0.questions"),
        ("families: [\n", "is not YAML"),
        ("", "the file"),
    ],
)  # fmt: skip
def test_a_broken_file_is_told_in_one_line(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "families.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        load_families(path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_missing_file_and_one_that_is_no_text(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"does not exist\. Mend refusals\.families"):
        load_families(tmp_path / "none.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"families: \xff")
    with pytest.raises(UserError, match="is not YAML"):
        load_families(tmp_path / "bytes.yaml")
