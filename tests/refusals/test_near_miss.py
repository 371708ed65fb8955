from __future__ import annotations

from collections import Counter

import pytest

from supportbot_dagster.dataset.rows import Row, make_row
from supportbot_dagster.dataset.withheld import is_withheld
from supportbot_dagster.product import Product, load_product, sample_product_file
from supportbot_dagster.refusals import near_miss
from supportbot_dagster.refusals.families import MISSING_FEATURE, Family, lint_deflection, opening
from supportbot_dagster.refusals.near_miss import (
    Unproven,
    contrast_answer,
    contrast_families,
    without_headings,
)
from supportbot_dagster.synthesis.section import SectionText

URL = "https://d.example/help/"


def section(page: str, heading: str, text: str) -> SectionText:
    return SectionText(f"{URL}{page}", "h", ("Help", heading) if heading else (), text)


DOCS = [
    section("webhooks.html#create", "Create a webhook", "A webhook tells your server."),
    section("webhooks.html#retry", "When it fails", "Failed webhooks are sent again."),
    section("webhooks.html#verify", "Signatures", "Each webhook is signed."),
    section("webhooks.html#log", "Delivery log", "It lists what a webhook has sent."),
    section("members.html#see", "Why can't I see my team?", "Ask who can see it."),
    section("labels.html#new", "Add a new label", "A label sorts issues. You can merge labels."),
    section("lead.html", "", "No heading."),
]


@pytest.fixture(scope="module")
def product() -> Product:
    return load_product(sample_product_file())


def family(**changes: object) -> Family:
    fields = {
        "id": "replay",
        "category": MISSING_FEATURE,
        "questions": ["How do I replay a webhook?", "replay webhooks"],
        "absent": ["replay"],
        "neighbour": f"{URL}webhooks.html#create",
    }
    return Family.model_validate({**fields, **changes})


def counted(left_out: list[Unproven]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for one in left_out:
        counts[one.reason] += one.questions
    return dict(counts)


def row(question: str) -> Row:
    return make_row(
        question=question,
        output="I do not have access to that. Ask an owner.",
        bucket="refusals",
        source="account_state/x",
        source_hash="h",
        style="account_state",
    )


def test_a_question_that_is_a_heading_is_left_out() -> None:
    copies = ["create a webhook!", "why can't I see my team", "my team: why can't I see?"]
    assert without_headings([row(text) for text in copies], DOCS) == []


def test_a_near_miss_of_a_heading_stays() -> None:
    near = [row(text) for text in ("Create a webhook for me", "which webhook did we create")]
    assert without_headings(near, DOCS) == near


def test_the_heading_would_be_taught_as_a_refusal_without_the_check(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert without_headings([row("create a webhooks!")], DOCS) == []
    monkeypatch.setattr(near_miss, "SAME_AS_HEADING", 100.0)
    assert len(without_headings([row("create a webhooks!")], DOCS)) == 1


def test_a_feature_that_the_docs_do_not_speak_of_is_a_contrast() -> None:
    families, left_out = contrast_families([family()], DOCS)
    assert families[0] == family()
    assert not left_out


@pytest.mark.parametrize("absent", [["retr"], ["signed"], ["Sign"], ["sent again"], ["x", "team"]])
def test_a_feature_that_the_docs_speak_of_is_left_out_and_counted(absent: list[str]) -> None:
    docs = [*DOCS, section("webhooks.html#retrying", "Retry", "We retry.")]
    families, left_out = contrast_families([family(absent=absent)], docs)
    assert family(absent=absent) not in families
    assert counted(left_out) == {"the docs speak of this feature": 2}


@pytest.mark.parametrize(
    "spoken",
    ["**replay** mode", "[replay](u) mode", "`replay` mode", "replay-mode", "replay\nmode",
     "Replay\u00a0mode", "_replay mode_", "replay  modes"],
)  # fmt: skip
def test_markup_does_not_hide_what_the_docs_speak_of(spoken: str) -> None:
    docs = [*DOCS, section("webhooks.html#mode", "Modes", f"There is a {spoken} too.")]
    _, left_out = contrast_families([family(absent=["replay mode"])], docs)
    assert counted(left_out) == {"the docs speak of this feature": 2}


def test_a_word_that_only_ends_alike_does_not_speak_of_it() -> None:
    docs = [*DOCS, section("webhooks.html#display", "Display", "A display of deliveries.")]
    families, _ = contrast_families([family(absent=["play"])], docs)
    assert families[0].id == "replay"


def test_a_feature_whose_neighbour_went_is_left_out_and_counted() -> None:
    gone = family(neighbour=f"{URL}gone.html#x")
    families, left_out = contrast_families([gone], DOCS)
    assert gone not in families
    assert counted(left_out) == {"the docs lack the neighbour of this feature": 2}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        (
            {"neighbour": f"{URL}webhooks.html#creates"},
            f"the docs have no section at this address; did you mean {URL}webhooks.html#create?",
        ),
        (
            {"neighbour": "webhooks.html#create"},
            f"the docs have no section at this address; did you mean {URL}webhooks.html#create?",
        ),
        ({"neighbour": "somewhere else"}, "the docs have no section at this address"),
        (
            {"neighbour": f"{URL}lead.html"},
            "that section has no heading that a deflection could name",
        ),
        ({"absent": ["replay", "signed"]}, f"'signed' stands in {URL}webhooks.html#verify"),
    ],
)
def test_a_family_left_out_is_named_with_the_reason(changes: dict[str, object], why: str) -> None:
    one = family(**changes)
    _, (found,) = contrast_families([one], DOCS)
    assert (found.family, found.neighbour, found.why) == ("replay", one.neighbour, why)


def test_contrasts_are_made_of_things_that_headings_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_miss, "MOST_OF_A_THING", 99)
    monkeypatch.setattr(near_miss, "ENOUGH", 99)
    families, _ = contrast_families([], DOCS)
    ids = {item.id for item in families}
    assert "near-translate-webhooks" in ids
    assert "near-sign-off-on-webhooks" not in ids, "signatures might be about it"
    assert not any("label" in name for name in ids), "one section alone names labels"
    assert not any("team" in name for name in ids), "a question is no heading about a thing"
    (translate,) = [item for item in families if item.id == "near-translate-webhooks"]
    assert translate.neighbour == f"{URL}webhooks.html#create"
    assert "How do I translate a webhook?" in translate.questions


def test_no_contrast_is_made_of_what_a_section_names_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(near_miss, "MOST_OF_A_THING", 99)
    spoken = section("webhooks.html#copy", "More", "Duplicating a webhook keeps its events.")
    before = {item.id for item in contrast_families([], DOCS)[0]}
    after = {item.id for item in contrast_families([], [*DOCS, spoken])[0]}
    assert "near-clone-webhooks" in before
    assert "near-clone-webhooks" not in after
    elsewhere = section("issues.html#copy", "Issues", "You can duplicate an issue.")
    assert before == {item.id for item in contrast_families([], [*DOCS, elsewhere])[0]}


def test_one_at_a_time_does_not_speak_of_many_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_miss, "MOST_OF_A_THING", 99)
    monkeypatch.setattr(near_miss, "ENOUGH", 99)
    single = section("webhooks.html#back", "Get it back", "Click Restore beside the webhook.")
    families, _ = contrast_families([], [*DOCS, single])
    (restore,) = [item for item in families if item.id == "near-bulk-restore-webhooks"]
    assert "How do I bulk-restore webhooks?" in restore.questions
    assert not any("bulk-restore a " in text for text in restore.questions)
    for more in ("Mark several of the webhooks to restore them.", "Restore webhooks at once."):
        spoken = section("webhooks.html#more", "More", more)
        ids = {item.id for item in contrast_families([], [*DOCS, single, spoken])[0]}
        assert "near-bulk-restore-webhooks" not in ids


def test_few_are_made_and_not_all_of_one_thing(monkeypatch: pytest.MonkeyPatch) -> None:
    families, _ = contrast_families([], DOCS)
    assert 0 < len(families) <= near_miss.MOST_OF_A_THING
    monkeypatch.setattr(near_miss, "ENOUGH", 1)
    assert len(contrast_families([], DOCS)[0]) == 1
    assert contrast_families([family()], DOCS)[0] == [family()], "a person's own go before"


@pytest.mark.parametrize(
    ("heading", "thing"),
    [
        ("Create a label", "label"),
        ("Add a filter to any screen", "filter"),
        ("Manage your API keys", None),
        ("Archive issues", "issues"),
        ("Delete the last comment", "last comment"),
        ("Create", None),
        ("Deleting issues", None),
        ("Change the default order of things", None),
        ("Set up an account in 3 steps", "account"),
        ("Subscribe to your calendar feed", "calendar feed"),
        ("Import from Jira", None),
        ("Share <b>it", None),
    ],
)
def test_the_thing_of_a_heading(heading: str, thing: str | None) -> None:
    assert near_miss._named(heading) == thing


@pytest.mark.parametrize(
    ("one", "many"),
    [("label", "labels"), ("category", "categories"), ("key", "keys"), ("status", "statuses"),
     ("inbox", "inboxes"), ("branch", "branches"), ("address", "addresses")],
)  # fmt: skip
def test_numbers_of_things(one: str, many: str) -> None:
    assert near_miss._plural(one) == many
    assert near_miss._singular(many) == one


def test_the_answer_names_the_nearest_thing_and_passes_the_lint(product: Product) -> None:
    begins = opening(MISSING_FEATURE, product)
    for heading in ("Create a webhook", "What now? Well. Then", "x " * 40, 'The "quoted" one.'):
        answer = contrast_answer(product, heading, f"{URL}webhooks.html#create")
        assert lint_deflection(answer, begins) is None, answer
        assert "d.example/help/webhooks.html#create;" in answer


def test_a_withheld_neighbour_is_not_named(product: Product) -> None:
    settings = product.dataset.model_copy(update={"withheld": 0.5})
    some = product.model_copy(update={"dataset": settings})
    begins = opening(MISSING_FEATURE, some)
    named = 0
    for number in range(20):
        key = f"{URL}page.html#s{number}"
        answer = contrast_answer(some, "Create a webhook", key, number)
        assert lint_deflection(answer, begins) is None
        withheld = is_withheld(key, 0.5, settings.seed)
        assert ("Create a webhook" in answer, f"s{number}" in answer) == (not withheld,) * 2
        named += not withheld
    assert 0 < named < 20


def test_a_missing_feature_needs_its_proof() -> None:
    for changes in ({"absent": []}, {"absent": [" ?"]}, {"neighbour": None}, {"answer": ["No."]}):
        with pytest.raises(ValueError, match="absent and neighbour"):
            family(**changes)
    with pytest.raises(ValueError, match="for missing_feature alone"):
        family(category="pricing")
