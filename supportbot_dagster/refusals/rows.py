"""Refusal rows: every unanswerable question with its deflection.

What lives here: the rows of all families, what is left out of them and why, and how varied they
are. What does not: the families (:mod:`supportbot_dagster.refusals.families`,
:mod:`supportbot_dagster.refusals.near_miss`).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from supportbot_dagster.dataset.duplicates import NEAR_COPY, Questions, prepare
from supportbot_dagster.dataset.rows import Row, make_row, normalized_question
from supportbot_dagster.errors import UserError
from supportbot_dagster.hashing import sha256_json
from supportbot_dagster.product import Product
from supportbot_dagster.refusals.families import (
    BUILTIN_FAMILIES,
    MISSING_FEATURE,
    Family,
    builtin_families,
    deflection,
    families_file,
    fill,
    lint_deflection,
    opening,
    product_families,
)
from supportbot_dagster.refusals.near_miss import (
    Unproven,
    contrast_answer,
    contrast_families,
    without_headings,
)
from supportbot_dagster.synthesis.section import SectionText


@dataclass(frozen=True)
class Refusals:
    """The rows and what was left out of them.

    Args:
        rows: in the order of their families.
        left_out: questions by reason.
        unproven: the product's own missing features that the docs do not prove to be missing.
    """

    rows: list[Row]
    left_out: dict[str, int]
    unproven: tuple[Unproven, ...] = ()

    @property
    def categories(self) -> dict[str, int]:
        """Rows of each category."""
        return dict(sorted(Counter(row.style for row in self.rows).items()))


def build_refusal_rows(product: Product, sections: Sequence[SectionText]) -> Refusals:
    """All refusal rows of a product.

    Each question slot takes the product's plans and neighbouring tools in turn. Within a family
    every question gets the same deflection, so that the habit, not the wording, is learned.

    Args:
        product: whose facts, and whose own families.
        sections: its docs, from which near misses are made and against which they are proven.

    Raises:
        UserError: if a family has an unknown category or slot, or a deflection fails the lint.
    """
    left_out: Counter[str] = Counter()
    rows: list[Row] = []
    families = [*builtin_families().families, *product_families(product)]
    contrasts, unproven = contrast_families(
        [family for family in families if family.category == MISSING_FEATURE], sections
    )
    for one in unproven:
        left_out[one.reason] += one.questions
    headings = {section.key: section.heading_path for section in sections}
    for index, family in enumerate(
        [*(family for family in families if family.category != MISSING_FEATURE), *contrasts]
    ):
        if family.neighbour is None:
            nearest = ""
        else:
            near = family.neighbour
            nearest = contrast_answer(product, headings[near][-1], near, index)
        rows += _rows(family, product, index, nearest)
    asked = without_headings(rows, sections)
    left_out["the docs have this very heading"] += len(rows) - len(asked)
    seen: dict[str, Row] = {}
    for row in asked:
        seen.setdefault(row.question.casefold(), row)
    left_out["same question as another row"] += len(asked) - len(seen)
    counted = {reason: count for reason, count in sorted(left_out.items()) if count}
    return Refusals(list(seen.values()), counted, tuple(unproven))


def near_copies(rows: Sequence[Row]) -> int:
    """Rows whose question nearly copies one of another family: they add little."""
    known = Questions(NEAR_COPY)
    texts = [normalized_question(row.question) for row in rows]
    found = 0
    for row, text, hashed in zip(rows, texts, prepare(texts), strict=True):
        found += known.find(text, hashed) not in {None, row.source}
        known.add(row.source, text, hashed)
    return found


def _rows(family: Family, product: Product, index: int, nearest: str) -> list[Row]:
    rows: list[Row] = []
    try:
        begins = opening(family.category, product)
    except UserError as error:
        raise UserError(f"{_where(family, product)} has the {error} Mend its category.") from None
    for number, question in enumerate(family.questions):
        if family.answer:
            answer = fill(family.answer[number % len(family.answer)], product, index)
        else:
            answer = nearest or deflection(family.category, product, index)
        problem = lint_deflection(answer, begins)
        if problem is not None:
            raise UserError(
                f"{_where(family, product)}: {problem}: {answer!r}. Mend its answer: begin it with "
                f"{begins!r}, and let the next step follow."
            )
        rows.append(
            make_row(
                question=fill(question, product, index + number),
                output=answer,
                bucket="refusals",
                source=f"{family.category}/{family.id}",
                source_hash=sha256_json(family.model_dump(mode="json")),
                style=family.category,
            )
        )
    return rows


def _where(family: Family, product: Product) -> str:
    """A family, and the file that it stands in."""
    own = product.refusals.families is not None and family in product_families(product)
    file = families_file(product) if own else BUILTIN_FAMILIES
    return f"{file}: refusal family {family.id}"
