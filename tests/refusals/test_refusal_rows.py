from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from supportbot_dagster.crawl import crawl
from supportbot_dagster.dataset.withheld import addresses, is_withheld, names_withheld
from supportbot_dagster.errors import UserError
from supportbot_dagster.product import Product, Refusals, load_product, sample_product_file
from supportbot_dagster.refusals.families import (
    CATEGORIES,
    MISSING_FEATURE,
    builtin_families,
    lint_deflection,
    opening,
)
from supportbot_dagster.refusals.markers import is_refusal
from supportbot_dagster.refusals.rows import build_refusal_rows, near_copies
from supportbot_dagster.sample.server import PUBLIC_BASE, serve_sample_site
from supportbot_dagster.synthesis.section import SectionText, sections_of

OPENING = "I do not have access to your account or workspace data, so I cannot look that up."
SLOT = r"\{(?:product|plan|other_tool|billing_path|\w+_(?:url|email))\}"
GOOD = OPENING + " Please write to {support_email}."


@pytest.fixture(scope="module")
def product() -> Product:
    return load_product(sample_product_file())


@pytest.fixture(scope="module")
def sections() -> list[SectionText]:
    """The sample's docs, crawled over real HTTP."""
    with serve_sample_site() as url:
        return sections_of([page.to_dict() for page in crawl(url, public_base=PUBLIC_BASE).pages])


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
        build_refusal_rows(product, [])
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_every_row_is_a_deflection_with_a_next_step_and_every_slot_filled(
    product: Product, sections: list[SectionText]
) -> None:
    result = build_refusal_rows(product, sections)
    assert len(result.rows) > 500
    for row in result.rows:
        assert lint_deflection(row.output, opening(row.style, product)) is None, row
        assert not re.search(SLOT, row.instruction + row.output), row
        assert row.bucket == "refusals"
        assert row.evidence == ""
    assert {row.style for row in result.rows} == set(CATEGORIES)
    assert max(Counter(row.question.casefold() for row in result.rows).values()) == 1


def test_a_family_is_one_source_and_the_next_steps_name_real_places(product: Product) -> None:
    families = defaultdict(set)
    for row in build_refusal_rows(product, []).rows:
        families[row.source].add(row.source_hash)
        assert row.source.startswith(f"{row.style}/")
    assert all(len(hashes) == 1 for hashes in families.values())
    ids = [family.id for family in builtin_families().families]
    assert len(ids) == len(set(ids))


def test_a_bare_or_badly_opened_answer_is_told_with_its_family(
    own: Callable[..., Product],
) -> None:
    for answer, problem in (
        (OPENING, "bare refusal"),
        ("Ask your owner. They can see it.", "no marker recognizes it"),
        ("I do not have access to prices. See the pricing page.", "does not begin with"),
    ):
        text = fault(own(answer=[answer]))
        assert f"Mend its answer: begin it with {OPENING!r}, and let the next step" in text
        assert "families.yaml: refusal family mine" in text
        assert problem in text


def test_a_product_s_own_family_is_added(own: Callable[..., Product]) -> None:
    rows = build_refusal_rows(own(), []).rows
    (mine,) = [row for row in rows if row.source == "account_state/mine"]
    assert mine.output.endswith("Please write to support@tracklight.example.")
    assert is_refusal(mine.output)


def test_an_unknown_category_fails_with_the_known_ones(own: Callable[..., Product]) -> None:
    text = fault(own(category="prices"))
    assert "unknown category 'prices'" in text
    assert "pricing" in text


def test_the_same_question_again_is_counted(own: Callable[..., Product]) -> None:
    result = build_refusal_rows(own(questions=["How many badges?", "how many BADGES?"]), [])
    assert result.left_out == {"same question as another row": 1}


def test_without_docs_nothing_is_said_to_be_missing(product: Product) -> None:
    result = build_refusal_rows(product, [])
    assert MISSING_FEATURE not in result.categories
    assert result.left_out["the docs lack the neighbour of this feature"] > 100
    assert {one.why for one in result.unproven} == {"the docs have no section at this address"}
    reason = "the docs lack the neighbour of this feature"
    assert sum(one.questions for one in result.unproven) == result.left_out[reason]


def test_the_sample_s_missing_features_are_missing(
    product: Product, sections: list[SectionText]
) -> None:
    result = build_refusal_rows(product, sections)
    assert result.left_out.keys() <= {"same question as another row"}
    missing = [row for row in result.rows if row.style == MISSING_FEATURE]
    assert all(row.source.startswith(f"{MISSING_FEATURE}/sample-") for row in missing)
    assert len(missing) > 150
    settings = product.dataset
    keys = {
        section.key.removeprefix("https://")
        for section in sections
        if not is_withheld(section.key, settings.withheld, settings.seed)
    }
    naming = [row for row in missing if any(f"see {key};" in row.output for key in keys)]
    assert len(naming) > 0.85 * len(missing), "few have a neighbour that is withheld"


def test_no_deflection_names_a_withheld_section(
    product: Product, sections: list[SectionText]
) -> None:
    for share in (0.05, 0.5):
        settings = product.dataset.model_copy(update={"withheld": share})
        some = product.model_copy(update={"dataset": settings})
        withheld = [one for one in sections if is_withheld(one.key, share, settings.seed)]
        named = addresses(one.key for one in withheld)
        rows = build_refusal_rows(some, sections).rows
        assert not [row for row in rows if names_withheld(row.output, named)]
        titles = {one.heading_path[-1] for one in withheld} - {
            one.heading_path[-1] for one in sections if one not in withheld
        }
        assert not [row for row in rows if any(f'"{title}"' in row.output for title in titles)]
        assert len(rows) == len(build_refusal_rows(product, sections).rows), "none is lost"


def test_near_copies_of_another_family_are_counted(
    product: Product, sections: list[SectionText]
) -> None:
    rows = build_refusal_rows(product, sections).rows
    assert near_copies(rows) < 0.02 * len(rows)
    assert near_copies([*rows, *rows]) == near_copies(rows), "a source may repeat itself"
    first = rows[0]
    copied = type(first)(**{**first.to_dict(), "source": "pricing/other"})
    assert near_copies([*rows, copied]) == near_copies(rows) + 1


def test_near_misses_are_made_for_a_product_without_its_own(
    product: Product, sections: list[SectionText]
) -> None:
    bare = product.model_copy(update={"refusals": Refusals()})
    made = [row for row in build_refusal_rows(bare, sections).rows if row.style == MISSING_FEATURE]
    assert len({row.source for row in made}) > 20
    assert all(row.source.startswith(f"{MISSING_FEATURE}/near-") for row in made)
