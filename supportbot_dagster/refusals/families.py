"""Families of unanswerable questions and their deflections.

What lives here: loading of the built-in families (``families.yaml``) and a product's own, filling
of their slots from the product's facts, and the lint that every deflection must pass. What does
not: families that are made from the docs (:mod:`supportbot_dagster.refusals.near_miss`), rows
(:mod:`supportbot_dagster.refusals.rows`) and recognizing a deflection in an answer
(:mod:`supportbot_dagster.refusals.markers`).

A family is one intent in several wordings. The whole family goes into one split, so that held-out
deflections are measured on intents that training has not seen.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from string import Formatter
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from supportbot_dagster.errors import UserError
from supportbot_dagster.product import SAMPLE, Product
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
                    "a missing_feature has absent and neighbour, and no answer; absent holds "
                    f"{_EXPECTED['absent']}, neighbour is {_EXPECTED['neighbour']}"
                )
        elif self.absent or self.neighbour is not None:
            raise ValueError("absent and neighbour are for missing_feature alone")
        return self


class FamilyFile(BaseModel):
    """The schema of a families file."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    categories: dict[str, Category] = {}
    families: tuple[Family, ...]


def load_families(path: Path) -> FamilyFile:
    """Read a families file.

    Raises:
        UserError: if it is missing or does not fit the schema, or if a family has the id of
            another, an empty question or a slot that cannot be filled; the message names the
            family, the key and what is expected.
    """
    try:
        raw = load_yaml(path.read_text(encoding="utf-8"))
        file = FamilyFile.model_validate(raw)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist. Mend refusals.families in product.yaml.") from None
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}). Mend refusals.families in product.yaml."
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}.") from None
    except ValidationError as error:
        problems = "; ".join(_in_plain_words(item, raw) for item in error.errors())
        raise UserError(f"{path}: {problems}.") from None
    problem = next(_problems(file.families), None)
    if problem is not None:
        raise UserError(f"{path}: {problem}")
    return file


_EXPECTED: dict[str, str] = {
    "families": "a list of families, each with id, category and questions",
    "categories": "categories by name",
    "id": "a name of its own, as text",
    "category": f"one of {', '.join(CATEGORIES)}",
    "questions": "a list of one or more questions, each as text",
    "answer": "a list of deflections, each as text",
    "absent": "a list of words that the docs would use, each as text",
    "neighbour": "the address (url#anchor) of a docs section, as text",
    "lacks": "what the bot lacks, as text",
    "opening": "the sentence that its deflections begin with, as text",
    "next_steps": "a list of one or more next steps, each as text",
}
"""Keys of a families file, and what each holds."""
_MOST_SHOWN = 80


def _in_plain_words(item: Mapping[str, Any], raw: Any) -> str:
    """One mistake: the family or category, the key, what is expected, what was found.

    Args:
        item: an entry of ``ValidationError.errors()``.
        raw: the file's content.
    """
    where, rest = _place(item["loc"], raw)
    model: type[BaseModel] = FamilyFile
    if where:
        model = Family if item["loc"][0] == "families" else Category
    known = sorted(model.model_fields)
    key = next((part for part in reversed(rest) if isinstance(part, str)), "")
    prefix = f"{where}: " if where else ""
    if item["type"] == "extra_forbidden":
        return f"{prefix}unknown key {key} (known here: {', '.join(known)})"
    if item["type"] == "missing":
        return f"{prefix}the key {key} is missing; it holds {_EXPECTED[key]}"
    if item["type"] == "value_error":
        return f"{prefix}{item['ctx']['error']}"
    found = _shown(item["input"])
    if not key:
        holder = where or "the file"
        return f"{holder} should hold the keys {', '.join(known)}, and is {found}"
    at = [f" (number {part + 1})" for part in rest if isinstance(part, int)]
    return f"{prefix}{key}{''.join(at)}: expected is {_EXPECTED[key]}; found is {found}"


def _place(location: Sequence[str | int], raw: Any) -> tuple[str, Sequence[str | int]]:
    """The family or category that a location is in, in words, and the rest of the location."""
    if len(location) < 2:
        return "", location
    if location[0] == "categories":
        return f"category {location[1]!r}", location[2:]
    number = int(location[1])
    entry = raw["families"][number]
    name = entry.get("id") if isinstance(entry, dict) else None
    called = f" ({name!r})" if isinstance(name, str) and name else ""
    return f"family {number + 1}{called}", location[2:]


def _shown(value: Any) -> str:
    """What was found, short."""
    if value is None:
        return "nothing"
    text = " ".join(repr(value).split())
    return text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN - 3]}..."


def _problems(families: tuple[Family, ...]) -> Iterator[str]:
    """What is wrong with families, whatever the product."""
    seen: set[str] = set()
    for number, family in enumerate(families, start=1):
        if not _says_something(family.id):
            yield f"family {number} has an empty id. Give it a name of its own."
        if family.id in seen:
            yield f"two families have the id {family.id!r}. Give one of them another."
        seen.add(family.id)
        for place, question in enumerate(family.questions, start=1):
            if not _says_something(question):
                yield (
                    f"question {place} of family {family.id!r} is empty. Write it, or take it out."
                )
        for text in (*family.questions, *family.answer):
            if problem := _slot_problem(text):
                yield f"family {family.id!r} has {problem}"


def _says_something(text: str) -> bool:
    return any(map(str.isalnum, text))


@cache
def builtin_families() -> FamilyFile:
    """The families that hold for any SaaS product."""
    return load_families(BUILTIN_FAMILIES)


def families_file(product: Product) -> Path | None:
    """The file of the product's own families, if it names one."""
    source = product.refusals.families
    if source == SAMPLE:
        return Path(__file__).parent.parent / "sample" / "refusals.yaml"
    return Path(source) if source is not None else None


def product_families(product: Product) -> tuple[Family, ...]:
    """The product's own families, if it names any.

    Raises:
        UserError: if the file does not fit, or a family has the id of a built-in one.
    """
    path = families_file(product)
    if path is None:
        return ()
    file = load_families(path)
    if file.categories:
        raise UserError(
            f"{path}: categories are the built-in ones ({', '.join(CATEGORIES)}). Take the key "
            "categories out; a family may have an answer of its own."
        )
    taken = {family.id for family in builtin_families().families}
    for family in file.families:
        if family.id in taken:
            raise UserError(
                f"{path}: the id {family.id!r} is a built-in family's. Give yours another."
            )
    return file.families


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


_SLOTS = (
    "product",
    "product_lower",
    "plan",
    "other_tool",
    "pricing_url",
    "status_url",
    "docs_url",
    "support_email",
    "security_email",
    "billing_path",
)


def _slot_problem(template: str) -> str:
    """What is wrong with the slots of a text and how to mend it, or nothing."""
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        return f"a stray brace in {template!r} ({error}). Double it."
    for _, name, form, conversion in parts:
        if name is not None and name not in _SLOTS:
            return (
                f"the unknown slot {{{name}}} in {template!r}. Known slots: "
                f"{', '.join(sorted(_SLOTS))}."
            )
        if form or conversion:
            return f"more than a name in the slot {{{name}}} of {template!r}. Write {{{name}}}."
    return ""


def fill(template: str, product: Product, turn: int) -> str:
    """A text with its slots filled from the product's facts.

    Args:
        template: with slots such as ``{plan}``.
        product: whose facts.
        turn: which of the product's plans and neighbouring tools is named.

    Raises:
        UserError: for an unknown slot or a stray brace.
    """
    if problem := _slot_problem(template):
        raise UserError(f"a refusal text has {problem}")
    facts = product.facts
    values = {
        "product": product.name,
        "product_lower": product.name.lower(),
        "plan": facts.plans[turn % len(facts.plans)],
        "other_tool": facts.other_tools[turn % len(facts.other_tools)],
        "pricing_url": facts.pricing_url.removeprefix("https://"),
        "status_url": facts.status_url.removeprefix("https://"),
        "docs_url": facts.docs_url.removeprefix("https://"),
        "support_email": facts.support_email,
        "security_email": facts.security_email,
        "billing_path": facts.billing_path,
    }
    return template.format(**values)
