"""Refuse-unknown rows: families of unanswerable questions and their deflections.

What lives here: loading of the built-in families (``families.yaml``) and a product's own, filling
of their slots from the product's facts, and the lint that every deflection must pass. What does
not: recognizing a deflection in an answer (:mod:`supportbot_dagster.refusals.markers`).

A family is one intent in several wordings. The whole family goes into one split, so that held-out
deflections are measured on intents that training has not seen.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from string import Formatter
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from supportbot_dagster.dataset.rows import Row, make_row
from supportbot_dagster.errors import UserError
from supportbot_dagster.hashing import sha256_json
from supportbot_dagster.product import SAMPLE, Product, describe_validation_error
from supportbot_dagster.refusals.markers import is_refusal
from supportbot_dagster.strict_yaml import load_yaml

CATEGORIES = (
    "pricing",
    "account_state",
    "billing",
    "security_incident",
    "third_party_credentials",
    "actions",
    "off_topic",
    "out_of_scope",
)
BUILTIN_FAMILIES = Path(__file__).parent / "families.yaml"
MAX_WORDS = 70
"""Longest deflection, so that it fits the 200 tokens of an answer with room to spare."""


class Category(BaseModel):
    """What the deflections of one kind have in common: the lack, the opening, the next steps."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    lacks: str
    opening: str
    next_steps: tuple[str, ...] = Field(min_length=1)


class Family(BaseModel):
    """One intent. ``answer`` overrides the category's opening and next step."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    id: str
    category: str
    questions: tuple[str, ...] = Field(min_length=1)
    answer: tuple[str, ...] = ()


class FamilyFile(BaseModel):
    """The schema of a families file."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    categories: dict[str, Category] = {}
    families: tuple[Family, ...]


@dataclass(frozen=True)
class Refusals:
    """The rows and what was left out of them, by reason."""

    rows: list[Row]
    left_out: dict[str, int]


def load_families(path: Path) -> FamilyFile:
    """Read a families file.

    Raises:
        UserError: if it is missing or does not fit the schema.
    """
    try:
        raw = load_yaml(path.read_text(encoding="utf-8"))
        return FamilyFile.model_validate(raw)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist. Mend refusals.families in product.yaml.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}.") from None
    except ValidationError as error:
        raise UserError(f"{path}: {describe_validation_error(error, FamilyFile)}") from None


@cache
def builtin_families() -> FamilyFile:
    """The families that hold for any SaaS product."""
    return load_families(BUILTIN_FAMILIES)


def product_families(product: Product) -> tuple[Family, ...]:
    """The product's own families, if it names any."""
    source = product.refusals.families
    if source is None:
        return ()
    if source == SAMPLE:
        path = Path(__file__).parent.parent / "sample" / "refusals.yaml"
    else:
        path = Path(source)
    return load_families(path).families


def deflection(category: str, product: Product, variant: int = 0) -> str:
    """The deflection of a category: its opening and one of its next steps."""
    entry = builtin_families().categories[category]
    step = entry.next_steps[variant % len(entry.next_steps)]
    return _fill(f"{entry.opening} {step}", product, 0)


def build_refusal_rows(product: Product) -> Refusals:
    """All refusal rows of a product.

    Each question slot takes the product's plans and neighbouring tools in turn. Within a family
    every question gets the same deflection, so that the habit, not the wording, is learned.

    Raises:
        UserError: if a family has an unknown category or slot, or a deflection fails the lint.
    """
    rows: list[Row] = []
    left_out: dict[str, int] = {}
    seen: set[str] = set()
    categories = builtin_families().categories
    for index, family in enumerate((*builtin_families().families, *product_families(product))):
        if family.category not in categories:
            raise UserError(
                f"refusal family {family.id} has the unknown category {family.category!r}. "
                f"Known: {', '.join(categories)}."
            )
        for number, question in enumerate(family.questions):
            text = _fill(question, product, index + number)
            if family.answer:
                answer = _fill(family.answer[number % len(family.answer)], product, index)
            else:
                answer = deflection(family.category, product, index)
            problem = lint_deflection(answer)
            if problem is not None:
                raise UserError(
                    f"refusal family {family.id}: {problem}: {answer!r}. Mend its answer."
                )
            if text.casefold() in seen:
                left_out["same question as another row"] = (
                    left_out.get("same question as another row", 0) + 1
                )
                continue
            seen.add(text.casefold())
            rows.append(
                make_row(
                    question=text,
                    output=answer,
                    bucket="refusals",
                    source=f"{family.category}/{family.id}",
                    source_hash=sha256_json(family.model_dump(mode="json")),
                    style=family.category,
                )
            )
    return Refusals(rows, left_out)


def lint_deflection(answer: str) -> str | None:
    """What is wrong with a deflection, or None.

    It must be recognized by the markers, give a next step beyond its opening, and fit the length.
    """
    if not is_refusal(answer):
        return "no marker recognizes it as a deflection"
    sentences = [part for part in answer.replace("? ", ". ").split(". ") if part.strip()]
    if len(sentences) < 2:
        return "it is a bare refusal without a next step"
    if len(answer.split()) > MAX_WORDS:
        return f"it is longer than {MAX_WORDS} words"
    return None


def _fill(template: str, product: Product, turn: int) -> str:
    facts = product.facts
    values: dict[str, Any] = {
        "product": product.name,
        "plan": facts.plans[turn % len(facts.plans)],
        "other_tool": facts.other_tools[turn % len(facts.other_tools)],
        "pricing_url": facts.pricing_url.removeprefix("https://"),
        "status_url": facts.status_url.removeprefix("https://"),
        "docs_url": facts.docs_url.removeprefix("https://"),
        "support_email": facts.support_email,
        "security_email": facts.security_email,
        "billing_path": facts.billing_path,
    }
    try:
        slots = {name for _, name, _, _ in Formatter().parse(template) if name is not None}
    except ValueError as error:
        raise UserError(
            f"the refusal text {template!r} has a stray brace ({error}). Double it."
        ) from None
    unknown = slots - values.keys()
    if unknown:
        raise UserError(
            f"unknown slot {{{sorted(unknown)[0]}}} in the refusal text {template!r}. "
            f"Known slots: {', '.join(sorted(values))}."
        )
    return template.format(**values)
