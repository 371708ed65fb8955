"""Families of unanswerable questions and their deflections.

What lives here: loading of the built-in families (``families.yaml``) and a product's own, filling
of their slots from the product's facts, and the lint that every deflection must pass. What does
not: families that are made from the docs (:mod:`supportbot_dagster.refusals.near_miss`), rows
(:mod:`supportbot_dagster.refusals.rows`) and recognizing a deflection in an answer
(:mod:`supportbot_dagster.refusals.markers`).

A family is one intent in several wordings. The whole family goes into one split, so that held-out
deflections are measured on intents that training has not seen.
"""

from functools import cache
from pathlib import Path
from string import Formatter
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from supportbot_dagster.errors import UserError
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
    "prompt_injection",
    "competitor",
    "professional_advice",
    "safety",
    "missing_feature",
)
MISSING_FEATURE = "missing_feature"
"""Category of what the docs do not speak of, though it sounds as if they might."""
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
    """One intent.

    Args:
        id: unique name.
        category: key of a category.
        questions: wordings.
        answer: whole deflections, each beginning with the category's opening; they take the place
            of its next steps.
        absent: words that would stand in the docs if the docs spoke of a missing feature; each
            counts wherever a word of the docs begins with it.
        neighbour: address (``url#anchor``) of the docs section that is nearest to a missing
            feature, and that the deflection names.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    id: str
    category: str
    questions: tuple[str, ...] = Field(min_length=1)
    answer: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    neighbour: str | None = None

    @model_validator(mode="after")
    def _missing_features_are_contrasts(self) -> "Family":
        if self.category == MISSING_FEATURE:
            blank = [word for word in self.absent if not any(map(str.isalnum, word))]
            if blank or not self.absent or self.neighbour is None or self.answer:
                raise ValueError(
                    f"{self.id}: a missing_feature has absent and neighbour, and no answer"
                )
        elif self.absent or self.neighbour is not None:
            raise ValueError(f"{self.id}: absent and neighbour are for missing_feature alone")
        return self


class FamilyFile(BaseModel):
    """The schema of a families file."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    categories: dict[str, Category] = {}
    families: tuple[Family, ...]


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


def opening(category: str, product: Product) -> str:
    """The one sentence that every deflection of a category begins with.

    Raises:
        UserError: if there is no such category.
    """
    categories = builtin_families().categories
    if category not in categories:
        raise UserError(f"unknown category {category!r}. Known: {', '.join(categories)}.")
    return fill(categories[category].opening, product, 0)


def deflection(category: str, product: Product, variant: int = 0) -> str:
    """The deflection of a category: its opening and one of its next steps."""
    steps = builtin_families().categories[category].next_steps
    step = fill(steps[variant % len(steps)], product, 0)
    return f"{opening(category, product)} {step}"


def lint_deflection(answer: str, opening: str) -> str | None:
    """What is wrong with a deflection, or None.

    It must begin with the one opening of its category, which names what is lacking, be recognized
    by the markers, give a next step beyond its opening, and fit the length.
    """
    if not is_refusal(answer):
        return "no marker recognizes it as a deflection"
    sentences = [part for part in answer.replace("? ", ". ").split(". ") if part.strip()]
    if len(sentences) < 2:
        return "it is a bare refusal without a next step"
    if not answer.startswith(f"{opening} "):
        return f"it does not begin with {opening!r}"
    if len(answer.split()) > MAX_WORDS:
        return f"it is longer than {MAX_WORDS} words"
    return None


def fill(template: str, product: Product, turn: int) -> str:
    """A text with its slots filled from the product's facts.

    Args:
        template: with slots such as ``{plan}``.
        product: whose facts.
        turn: which of the product's plans and neighbouring tools is named.

    Raises:
        UserError: for an unknown slot or a stray brace.
    """
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
