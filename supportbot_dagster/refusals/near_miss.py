"""Near misses: what the docs do not speak of, though it sounds as if they might.

What lives here: families of missing features, a product's own and those made from the docs'
headings; the proof against the docs that a feature is missing; the check that no question copies a
heading. What does not: the other families (:mod:`supportbot_dagster.refusals.families`).

A bot that has only seen far-off questions deflected learns to answer whatever sounds like its
product. So each near miss stands beside an answerable neighbour: a docs section about the same
thing, which the deflection names.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from unicodedata import normalize

from pydantic import BaseModel, ConfigDict, Field
from rapidfuzz import fuzz, process

from supportbot_dagster.dataset.duplicates import in_order
from supportbot_dagster.dataset.rows import Row, normalized_question
from supportbot_dagster.dataset.withheld import is_withheld
from supportbot_dagster.hashing import sha256_text
from supportbot_dagster.product import Product
from supportbot_dagster.refusals.families import MISSING_FEATURE, Family, deflection, opening
from supportbot_dagster.strict_yaml import load_yaml
from supportbot_dagster.synthesis.section import SectionText

SAME_AS_HEADING = 95.0
"""Token-sort ratio (0 to 100) from which a question counts as a docs heading."""
LIKE_AN_ADDRESS = 70.0
"""Ratio (0 to 100) from which a section's address may be what was meant by another."""
ENOUGH = 32
"""Families of missing features: what a product's own lack of these is made from headings. A person
knows better what customers take for granted."""
MOST_OF_A_THING = 2
"""Of these, about one thing."""
MENTIONS = 4
"""Sections that must name a thing before it counts as one that customers know."""
THING_WORDS = 2
"""Words of a thing's name, at most: longer headings tell a story."""
MOST_HEADING_WORDS = 14
"""A longer heading is named by its beginning."""
PARTS = Path(__file__).parent / "near_miss.yaml"
_ARTICLE = re.compile(r"^(?:a|an|the|new|another|your)\s+", re.IGNORECASE)
_WORD = re.compile(r"[^\W_]+")
_TARGET = re.compile(r"\]\([^()\s]*\)")  # of a link
_SPOKEN = re.compile(r"[a-z][a-z-]*")


class _Ability(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    do: str
    words: tuple[str, ...] = Field(min_length=1)
    beside: tuple[str, ...] = ()

    def stands_in(self, text: str) -> bool:
        """Whether a folded section speaks of it."""
        return _speaks(text, self.words) and (not self.beside or _speaks(text, self.beside))


class _Parts(BaseModel):
    """The schema of ``near_miss.yaml``."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    abilities: tuple[_Ability, ...]
    verbs: tuple[str, ...]
    no_things: frozenset[str]
    ends: frozenset[str]
    questions: tuple[str, ...]


@dataclass(frozen=True)
class _Thing:
    """What a heading names, in the singular and the plural, and the heading's section."""

    one: str
    many: str
    section: SectionText


@dataclass(frozen=True)
class Unproven:
    """A missing feature of the product's own that is left out.

    Args:
        family: its id.
        neighbour: the address that it names as its nearest section.
        questions: how many wordings go with it.
        reason: under which they are counted.
        why: the same with the place in the docs, for a person to mend.
    """

    family: str
    neighbour: str
    questions: int
    reason: str
    why: str


def contrast_families(
    own: Sequence[Family], sections: Sequence[SectionText]
) -> tuple[list[Family], list[Unproven]]:
    """Missing features that the docs prove to be missing: a product's own, and made ones besides,
    if those are fewer than :data:`ENOUGH`.

    Args:
        own: the product's own families of missing features.
        sections: the docs.

    Returns:
        The families, and the own families left out.
    """
    kept: list[Family] = []
    left_out: list[Unproven] = []
    headed = {section.key: bool(section.heading_path) for section in sections}
    texts = [_text(section) for section in sections]
    for family in own:
        neighbour, reason, why = family.neighbour or "", "", ""
        for section, text in zip(sections, texts, strict=True):
            if spoken := [word for word in family.absent if _speaks(text, [word])]:
                reason = "the docs speak of this feature"
                why = f"{spoken[0]!r} stands in {section.key}"
                break
        else:
            if not headed.get(neighbour):
                reason = "the docs lack the neighbour of this feature"
                why = _no_neighbour(neighbour, headed)
        if reason:
            questions = len(family.questions)
            left_out.append(Unproven(family.id, neighbour, questions, reason, why))
        else:
            kept.append(family)
    return [*kept, *_made(sections, texts, ENOUGH - len(kept))], left_out


def _no_neighbour(neighbour: str, headed: Mapping[str, bool]) -> str:
    """Why the docs have no such neighbour, and what may have been meant."""
    if neighbour in headed:
        return "that section has no heading that a deflection could name"
    known = [key for key, has_heading in headed.items() if has_heading]
    meant = next((key for key in known if key.endswith(f"/{neighbour.lstrip('/')}")), "")
    if not meant:
        near = process.extractOne(neighbour, known, scorer=fuzz.ratio, score_cutoff=LIKE_AN_ADDRESS)
        meant = near[0] if near else ""
    meant = f"; did you mean {meant}?" if meant else ""
    return f"the docs have no section at this address{meant}"


def contrast_answer(product: Product, heading: str, address: str, turn: int = 0) -> str:
    """The deflection of a missing feature, which names the nearest thing that there is.

    A bot that is not taught a section must not be taught its heading either: where the nearest
    section is withheld, the deflection is one that names none.

    Args:
        product: whose docs.
        heading: of the nearest section.
        address: of the nearest section.
        turn: which of the deflections that name no section is taken.
    """
    if is_withheld(address, product.dataset.withheld, product.dataset.seed):
        return deflection(MISSING_FEATURE, product, turn)
    words = heading.rstrip(".?!:").split()
    named = " ".join(words[:MOST_HEADING_WORDS]).replace(". ", ", ")
    return (
        f'{opening(MISSING_FEATURE, product)} The nearest thing there is "{named}", see '
        f"{address.removeprefix('https://')}; for a wish write to {product.facts.support_email}."
    )


def without_headings(rows: Iterable[Row], sections: Sequence[SectionText]) -> list[Row]:
    """The rows whose question is no heading of the docs: what the docs answer is not refused.

    A near miss (same words, another need) stays: it is the contrast that teaches the boundary.
    """
    titles = [section.heading_path[-1] for section in sections if section.heading_path]
    headings = sorted({in_order(normalized_question(title)) for title in titles})
    return [
        row
        for row in rows
        if process.extractOne(
            in_order(normalized_question(row.question)),
            headings,
            scorer=fuzz.ratio,
            score_cutoff=SAME_AS_HEADING,
        )
        is None
    ]


def _text(section: SectionText) -> str:
    return _folded(" ".join((*section.heading_path, section.markdown))) + " "


def _folded(text: str) -> str:
    """The words alone, each after a space: markup, hyphens and line breaks may stand between."""
    plain = _TARGET.sub("]", normalize("NFKC", text).casefold())
    return "".join(f" {word}" for word in _WORD.findall(plain))


def _speaks(text: str, beginnings: Sequence[str]) -> bool:
    """Whether a word of a folded text begins with one of these, or a phrase does."""
    return any(_folded(beginning) in text for beginning in beginnings)


@cache
def _parts() -> _Parts:
    return _Parts.model_validate(load_yaml(PARTS.read_text(encoding="utf-8")))


def _made(sections: Sequence[SectionText], texts: Sequence[str], most: int) -> list[Family]:
    """Up to ``most`` families of an ability and a thing of the docs that no section names
    together."""
    found: list[tuple[str, Family]] = []
    for thing in _things(sections, texts):
        about = [text for text in texts if _names(text, thing)]
        for ability in _parts().abilities:
            if any(ability.stands_in(text) for text in about):
                continue
            name = "-".join(f"{ability.do} {thing.many}".split())
            one = thing.many if ability.beside else _with_article(thing.one)
            family = Family(
                id=f"near-{name}",
                category=MISSING_FEATURE,
                questions=tuple(
                    text.format(do=ability.do, one=one, many=thing.many)
                    for text in _parts().questions
                ),
                absent=ability.words,
                neighbour=thing.section.key,
            )
            found.append((thing.many, family))
    # In an order that a new page does not shuffle, and not all about the first thing.
    found.sort(key=lambda item: sha256_text(item[1].id))
    made: list[Family] = []
    taken: Counter[str] = Counter()
    for thing_name, family in found:
        if taken[thing_name] < MOST_OF_A_THING and len(made) < most:
            taken[thing_name] += 1
            made.append(family)
    return made


def _things(sections: Sequence[SectionText], texts: Sequence[str]) -> list[_Thing]:
    """What the docs' headings act upon, such as the label of "Create a label", each once."""
    things: dict[str, _Thing] = {}
    for section in sections:
        if not section.heading_path:
            continue
        name = _named(section.heading_path[-1])
        if name is None:
            continue
        thing = _Thing(_singular(name), _plural(_singular(name)), section)
        known = thing.many in things
        if not known and sum(_names(text, thing) for text in texts) >= MENTIONS:
            things[thing.many] = thing
    return list(things.values())


def _named(heading: str) -> str | None:
    """The thing that a heading acts upon, or None."""
    folded = heading.casefold().strip()
    verb = next(
        (verb for verb in sorted(_parts().verbs, key=len, reverse=True)
         if folded.startswith(f"{verb} ")),
        None,
    )  # fmt: skip
    if verb is None:
        return None
    rest = folded[len(verb) + 1 :]
    before = None
    while before != rest:
        before, rest = rest, _ARTICLE.sub("", rest)
    words: list[str] = []
    for word in rest.split():
        if word in _parts().ends:
            break
        if not _SPOKEN.fullmatch(word):
            return None
        words.append(word)
    proper = heading.split()[1:]
    if any(word[:1].isupper() for word in proper) or not 1 <= len(words) <= THING_WORDS:
        return None
    if {words[0], words[-1]} & _parts().no_things or len(words[-1]) <= 2:
        return None
    return " ".join(words)


def _names(text: str, thing: _Thing) -> bool:
    return _folded(thing.one) in text or _folded(thing.many) in text


def _with_article(thing: str) -> str:
    return f"{'an' if thing[0] in 'aeiou' else 'a'} {thing}"


def _singular(thing: str) -> str:
    if thing.endswith("ies"):
        return thing[:-3] + "y"
    if thing.endswith(("sses", "shes", "ches", "xes", "uses")):
        return thing[:-2]
    return thing[:-1] if thing.endswith("s") and not thing.endswith("ss") else thing


def _plural(thing: str) -> str:
    if thing.endswith("y") and thing[-2:-1] not in "aeiou":
        return thing[:-1] + "ies"
    return thing + ("es" if thing.endswith(("s", "sh", "ch", "x")) else "s")
