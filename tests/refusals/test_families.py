from __future__ import annotations

from pathlib import Path

import pytest

from supportbot_dagster.errors import UserError
from supportbot_dagster.product import Product, Refusals, load_product, sample_product_file
from supportbot_dagster.refusals.families import (
    CATEGORIES,
    MAX_WORDS,
    builtin_families,
    deflection,
    fill,
    lint_deflection,
    load_families,
    opening,
    product_families,
)


@pytest.fixture(scope="module")
def product() -> Product:
    return load_product(sample_product_file())


def test_every_category_has_an_opening_of_its_own(product: Product) -> None:
    openings = [opening(category, product) for category in CATEGORIES]
    assert len(set(openings)) == len(CATEGORIES)
    assert set(builtin_families().categories) == set(CATEGORIES)


@pytest.mark.parametrize("category", CATEGORIES)
def test_every_category_deflects_in_each_variant(product: Product, category: str) -> None:
    variants = {deflection(category, product, number) for number in range(6)}
    assert len(variants) == len(builtin_families().categories[category].next_steps)
    begins = opening(category, product)
    assert all(lint_deflection(text, begins) is None for text in variants)


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
        ("I do not have access to prices. Please see the pricing page.", "does not begin with"),
    ],
)
def test_the_lint(answer: str, problem: str) -> None:
    said = lint_deflection(answer, "I do not have access to your account.")
    assert said is not None
    assert problem in said


def test_unknown_slots_fail_with_the_known_ones(product: Product) -> None:
    with pytest.raises(UserError, match=r"unknown slot {price}.*billing_path, docs_url, other"):
        fill("is {price} right", product, 0)


@pytest.mark.parametrize(
    "stray",
    ["{", "}", "{}", "{product.name}", "{0}", "{plan!x}", "{plan!r}", "{plan:d}", "{plan:{plan}}"],
)
def test_stray_braces_fail_in_one_line(product: Product, stray: str) -> None:
    with pytest.raises(UserError, match=r"stray brace|unknown slot|more than a name") as caught:
        fill(f"See it. {stray}", product, 0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("families:\n  - id: x\n    catgory: pricing\n    questions: [a]\n",
         "family 1 ('x'): unknown key catgory (known here: absent, answer, category, id, "
         "neighbour, questions)"),
        ("families:\n  - id: x\n    questions: [a]\n",
         "family 1 ('x'): the key category is missing; it holds one of pricing, account_state"),
        ("families:\n  - {category: pricing, questions: [a]}\n",
         "family 1: the key id is missing; it holds a name of its own"),
        ("families:\n  - {id: x, category: pricing, questions: why}\n",
         "family 1 ('x'): questions: expected is a list of one or more questions, each as text; "
         "found is 'why'"),
        ("families:\n  - {id: x, category: pricing, questions: [a, 7]}\n",
         "family 1 ('x'): questions (number 2): expected is a list of one or more questions, each "
         "as text; found is 7"),
        ("families:\n  - {id: 3, category: pricing, questions: [a]}\n",
         "family 1: id: expected is a name of its own, as text; found is 3"),
        ("families:\n  - {id: x, category: pricing, questions: [a], answer: Ask them.}\n",
         "family 1 ('x'): answer: expected is a list of deflections"),
        ("families:\n  - {id: x, category: missing_feature, questions: [a], absent: b, "
         "neighbour: c}\n", "family 1 ('x'): absent: expected is a list of words"),
        ("families:\n  - {id: x, category: missing_feature, questions: [a], absent: [b], "
         "neighbour: 1}\n", "neighbour: expected is the address (url#anchor) of a docs section"),
        ("families:\n  - {id: x, category: pricing, questions: [a], absent: [b]}\n",
         "family 1 ('x'): absent and neighbour are for missing_feature alone"),
        ("families:\n  - just a text\n",
         "family 1 should hold the keys absent, answer, category, id, neighbour, questions, and is "
         "'just a text'"),
        ("families:\n", "families: expected is a list of families, each with id, category and "
         "questions; found is nothing"),
        ("families: {x: {}}\n", "families: expected is a list of families"),
        ("- a\n- b\n", "the file should hold the keys categories, families, and is ['a', 'b']"),
        ("categories:\n  pricing: {lacks: a, opening: b, next_steps: []}\nfamilies: []\n",
         "category 'pricing': next_steps: expected is a list of one or more next steps"),
        ("categories: []\nfamilies: []\n", "categories: expected is categories by name"),
        ("categories:\n  pricing: {lacks: a, opening: b, next_steps: [c], tone: d}\nfamilies: []\n",
         "category 'pricing': unknown key tone (known here: lacks, next_steps, opening)"),
        ("familys: []\n", "unknown key familys (known here: categories, families)"),
        ("families:\n  - {id: x, category: pricing, questions: []}\n",
         "family 1 ('x'): questions: expected is a list of one or more questions, each as text; "
         "found is []"),
        ("families: [\n", "is not YAML"),
        ("families:\n  - {id: x, category: missing_feature, questions: [a], absent: [b]}\n",
         "family 1 ('x'): a missing_feature has absent and neighbour, and no answer; absent holds"),
        ("", "the file should hold the keys categories, families, and is nothing"),
        ("families:\n  - {id: x, category: pricing, questions: [a, ' ']}\n",
         "question 2 of family 'x' is empty. Write it, or take it out."),
        ("families:\n  - {id: x, category: pricing, questions: ['?!']}\n", "family 'x' is empty"),
        ("families:\n  - {id: '', category: pricing, questions: [a]}\n",
         "family 1 has an empty id. Give it a name"),
        ("families:\n  - {id: x, category: pricing, questions: [a]}\n"
         "  - {id: x, category: billing, questions: [b]}\n",
         "two families have the id 'x'. Give one of them another."),
        ("families:\n  - {id: x, category: pricing, questions: ['{plan!x}']}\n",
         "family 'x' has more than a name in the slot {plan} of '{plan!x}'. Write {plan}."),
        ("families:\n  - {id: x, category: pricing, questions: [a], answer: ['{plan:d}']}\n",
         "family 'x' has more than a name in the slot {plan} of '{plan:d}'. Write {plan}."),
        ("families:\n  - {id: x, category: pricing, questions: ['{price} a']}\n",
         "family 'x' has the unknown slot {price} in '{price} a'. Known slots: billing_path"),
    ],
)  # fmt: skip
def test_a_broken_file_is_told_in_one_line(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "families.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        load_families(path)
    text = str(caught.value)
    assert said in text
    assert "\n" not in text
    assert text.startswith(f"{path}: ") or f"{path} is not YAML" in text
    for jargon in ("Input should", "Value error", "validation", "valid tuple", "valid string"):
        assert jargon not in text, "no library's own words"


def test_a_missing_file_and_one_that_is_no_text(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"does not exist\. Mend refusals\.families"):
        load_families(tmp_path / "none.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"families: \xff")
    with pytest.raises(UserError, match="is not YAML"):
        load_families(tmp_path / "bytes.yaml")
    with pytest.raises(UserError, match=r"cannot be read .*Mend refusals\.families"):
        load_families(tmp_path)
    (tmp_path / "deep.yaml").write_text("[" * 5000, encoding="utf-8")
    with pytest.raises(UserError, match="is not YAML"):
        load_families(tmp_path / "deep.yaml")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("families:\n  - {id: pricing-plan-cost, category: pricing, questions: [a]}\n",
         "the id 'pricing-plan-cost' is a built-in family's. Give yours another."),
        ("categories:\n  pricing: {lacks: a, opening: b, next_steps: [c]}\nfamilies: []\n",
         "Take the key categories out"),
    ],
)  # fmt: skip
def test_a_product_s_own_file_neither_takes_nor_changes_what_is_built_in(
    product: Product, tmp_path: Path, content: str, said: str
) -> None:
    path = tmp_path / "families.yaml"
    path.write_text(content, encoding="utf-8")
    own = product.model_copy(update={"refusals": Refusals(families=str(path))})
    with pytest.raises(UserError) as caught:
        product_families(own)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)


def test_what_is_built_in_names_no_product() -> None:
    built_in = builtin_families()
    texts = [
        *(question for family in built_in.families for question in family.questions),
        *(answer for family in built_in.families for answer in family.answer),
        *(step for category in built_in.categories.values() for step in category.next_steps),
    ]
    assert len(texts) > 500
    assert not [text for text in texts if "tracklight" in text.lower()]
