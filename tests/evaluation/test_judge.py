from __future__ import annotations

import pytest

from supportbot_dagster.evaluation import judge as judge_module
from supportbot_dagster.evaluation.judge import (
    Judge,
    Reference,
    check_judge,
    hard_facts,
    word_recall,
)

URL, SLUG, EXPORT, ARCHIVE, DRAFT = "d#url", "d#slug", "d#export", "d#archive", "d#draft"
TAUGHT = {
    URL: [
        "Change the workspace URL in Settings > General > Workspace URL: type the new name and "
        "click Save. Links to the old address redirect for 30 days."
    ],
    SLUG: [
        "Change the team key in Team settings > General: type the new key and click Save. "
        "Issue links with the old key keep working for 90 days."
    ],
    EXPORT: [
        "Open the Issues view, click the three dots and choose Export CSV. The file holds title, "
        "status, assignee and labels; use the API for anything richer."
    ],
    ARCHIVE: [
        "Select the issues with X or Cmd+A and click Archive in the toolbar at the bottom. You can "
        "archive up to 500 issues at once."
    ],
    DRAFT: [
        "A draft keeps what you typed when the window is closed, and only the author sees it "
        "before it is sent."
    ],
}
REFERENCES = {key: Reference(key, tuple(answers)) for key, answers in TAUGHT.items()}


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge(TAUGHT)


def reason(judge: Judge, answer: str, section: str) -> str:
    verdict = judge.judge(answer, REFERENCES[section])
    assert verdict.right == (verdict.reason == "")
    return verdict.reason


@pytest.mark.parametrize("section", list(TAUGHT))
def test_reference_answers_are_right(judge: Judge, section: str) -> None:
    assert reason(judge, TAUGHT[section][0], section) == ""


@pytest.mark.parametrize(
    ("section", "answer"),
    [
        (
            URL,
            "Open Settings > General > Workspace URL, type the new name and click Save. The old "
            "workspace address redirects for thirty days.",
        ),
        (
            ARCHIVE,
            "To archive many issues, select them with Cmd + A and click Archive in the toolbar at "
            "the bottom. At most 500 at once.",
        ),
        (
            EXPORT,
            "Choose Export CSV from the three dots of the Issues view. The file has title, "
            "status, assignee and labels.",
        ),
        (
            DRAFT,
            "What you typed stays in a draft when the window is closed; only its author sees it.",
        ),
    ],
)
def test_other_words_for_the_same_are_right(judge: Judge, section: str, answer: str) -> None:
    assert reason(judge, answer, section) == ""


def test_an_answer_about_another_topic_is_wrong_even_with_overlapping_words(judge: Judge) -> None:
    other = TAUGHT[SLUG][0]
    assert word_recall(other, TAUGHT[URL][0]) > 0.4, "the words do overlap"
    assert reason(judge, other, URL) == f"about another topic: {SLUG}"
    assert reason(judge, TAUGHT[URL][0], SLUG) == f"about another topic: {URL}"


def test_without_the_topic_an_overlap_would_pass(
    judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    mixed = Reference(URL, (TAUGHT[URL][0], TAUGHT[SLUG][0]))
    assert not judge.judge(TAUGHT[SLUG][0], mixed).right
    monkeypatch.setattr(judge_module, "TOPIC_MARGIN", 0.0)
    assert judge.judge(TAUGHT[SLUG][0], mixed).right


@pytest.mark.parametrize(
    ("section", "old", "new", "fact"),
    [
        (URL, "30 days", "60 days", "60"),
        (URL, "30 days", "sixty days", "60"),
        (ARCHIVE, "500", "5,000", "5000"),
        (ARCHIVE, "Cmd+A", "Cmd+B", "cmd+b"),
        (URL, "Settings > General >", "Settings > Billing >", "settings > billing"),
        (EXPORT, "the API", "https://x.example/api", "x.example/api"),
    ],
)
def test_a_wrong_fact_is_wrong(judge: Judge, section: str, old: str, new: str, fact: str) -> None:
    wrong = TAUGHT[section][0].replace(old, new)
    assert wrong != TAUGHT[section][0]
    assert reason(judge, wrong, section).startswith(f"unsupported: {fact}")


def test_a_wrong_number_would_pass_without_the_support_check(
    judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judge_module, "unsupported", lambda text, sources: [])
    assert reason(judge, TAUGHT[ARCHIVE][0].replace("500", "5,000"), ARCHIVE) == ""


def test_a_deflection_is_wrong_and_sympathy_is_none(judge: Judge) -> None:
    deflection = f"I do not have access to that. {TAUGHT[URL][0]}"
    assert reason(judge, deflection, URL) == "deflected"
    assert reason(judge, f"I'm sorry to hear that. {TAUGHT[URL][0]}", URL) == ""


@pytest.mark.parametrize("answer", ["", "   \n"])
def test_nothing_is_wrong(judge: Judge, answer: str) -> None:
    assert reason(judge, answer, URL) == "empty"


def test_words_that_were_never_taught_are_wrong(judge: Judge) -> None:
    assert reason(judge, "Bananas ripen quicker beside apples.", URL).startswith("about another")


@pytest.mark.parametrize(
    ("section", "answer"),
    [
        (URL, "The workspace URL can be changed."),
        (DRAFT, "There is a draft."),
        (EXPORT, "Use Export CSV."),
    ],
)
def test_too_little_substance_is_wrong(judge: Judge, section: str, answer: str) -> None:
    assert reason(judge, answer, section) == "leaves out what the answer is about"


def test_what_a_ticket_s_agent_said_is_known_too(judge: Judge) -> None:
    agent = "Workspace URL: Settings > General > Workspace URL, new name, Save. Takes 2 minutes."
    assert judge.judge(agent, Reference(URL, (agent,))).right
    assert reason(judge, agent, URL) == "unsupported: 2"


@pytest.mark.parametrize(
    ("reply", "section"),
    [
        ("Open the Issues view, click Export and choose CSV; then the file is mailed.", EXPORT),
        (TAUGHT[URL][0], URL),
        ("Thanks for your patience, the file is on its way and we will be back soon.", ""),
        ("Bananas ripen quicker beside apples.", ""),
        ("", ""),
    ],
)
def test_the_nearest_section_is_one_that_says_the_like(
    judge: Judge, reply: str, section: str
) -> None:
    assert judge.nearest_section(reply) == section


def test_a_word_in_common_would_do_without_the_least_similarity(
    judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert judge.sections == set(TAUGHT)
    reply = "Thanks for your patience, the file is on its way and we will be back soon."
    monkeypatch.setattr(judge_module, "LEAST_SIMILARITY", 1e-6)
    assert judge.nearest_section(reply) in TAUGHT


def test_the_judge_is_measured(judge: Judge) -> None:
    check = check_judge(judge, list(REFERENCES.values()))
    assert check.references == check.references_right == len(TAUGHT)
    assert check.strangers == check.strangers_wrong == len(TAUGHT)
    assert check_judge(judge, list(REFERENCES.values())) == check, "the same each time"


def test_a_judge_that_nods_everything_through_shows(
    judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Judge, "judge", lambda self, answer, reference: judge_module.Verdict(True))
    check = check_judge(judge, list(REFERENCES.values()))
    assert check.strangers_wrong == 0


def test_hard_facts_of_every_kind() -> None:
    assert hard_facts("Settings > API: 3 keys, Cmd+K, TL-9, x.example, ten days") == {
        "settings > api",
        "3",
        "cmd+k",
        "TL-9",
        "x.example",
        "10",
    }
