from __future__ import annotations

import html
import re
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from supportbot_dagster.review.app import LEASE_SECONDS, Filters, create_app
from supportbot_dagster.review.verdicts import Reviewer, VerdictStore, verdict_on
from supportbot_dagster.synthesis.candidate import Candidate
from supportbot_dagster.synthesis.section import SectionText
from supportbot_dagster.synthesis.teacher import Pair

SECTION = SectionText(
    "https://d.example/a.html#x",
    "h1",
    ("Guide", "<b>Rename</b>"),
    "Open **Settings** <script>x()</script>. Type the new name and click Save. It takes 5 minutes.",
)
OTHER = SectionText("https://d.example/b.html", "h2", ("Other",), "Text about exports.")
BEN = Reviewer("ben", "b" * 32)
BASE = "http://127.0.0.1:8787"
GOOD = "Open Settings, type the new name and click Save."
"""An answer that the filters pass for the first section."""
CANDIDATES = [
    Candidate(
        SECTION, Pair("How <i>do</i> I rename?", "Open Settings.", "Open Settings", "correct")
    ),
    Candidate(SECTION, Pair("rename how", "Open Settings.", "Open Settings", "search")),
    Candidate(OTHER, Pair("export?", "Like this.", "not there", "correct")),
    Candidate(OTHER, Pair("bad one", "According to the docs.", "Text", "correct"), "voice"),
]


@pytest.fixture
def store(tmp_path: Path) -> VerdictStore:
    return VerdictStore(tmp_path / "review.sqlite")


def client_of(store: VerdictStore) -> FlaskClient:
    return create_app(CANDIDATES, store, product="Acme", reviewer="ann").test_client()


@pytest.fixture
def client(store: VerdictStore) -> FlaskClient:
    return client_of(store)


def token(client: FlaskClient) -> str:
    page = client.get("/", base_url=BASE, follow_redirects=True).text
    found = re.search(r'name="token" value="([0-9a-f]{32})"', page)
    assert found is not None
    return found[1]


def post(client: FlaskClient, path: str, **form: str) -> int:
    return client.post(path, data={"token": token(client), **form}, base_url=BASE).status_code


def get(client: FlaskClient, path: str) -> str:
    return client.get(path, base_url=BASE, follow_redirects=True).text


def test_the_first_candidate_stands_beside_its_section_escaped(client: FlaskClient) -> None:
    page = get(client, "/")
    assert "How &lt;i&gt;do&lt;/i&gt; I rename?" in page
    assert "<mark>Open **Settings</mark>" in page
    assert "&lt;script&gt;x()&lt;/script&gt;" in page
    assert "<script>x()" not in page
    assert "0 of 3 judged" in page


def test_keep_edit_reject_and_undo(client: FlaskClient, store: VerdictStore) -> None:
    one, two, three = (candidate.key for candidate in CANDIDATES[:3])
    assert post(client, f"/candidate/{one}", decision="keep") == 303
    assert (
        post(client, f"/candidate/{two}", decision="edit", question="Rename?", answer=GOOD) == 303
    )
    assert post(client, f"/candidate/{three}", decision="reject") == 303
    assert {key: item.decision for key, item in store.current().items()} == {
        one: "keep",
        two: "edit",
        three: "reject",
    }
    assert store.current()[two].question == "Rename?"
    page = get(client, "/")
    assert "3 of 3 judged: 1 kept, 1 edited,\n    1 rejected (67 % train)" in page
    assert "Nothing is waiting" in page
    assert post(client, "/undo") == 303
    assert three not in store.current()


def test_an_edit_that_changes_nothing_is_a_keep(client: FlaskClient, store: VerdictStore) -> None:
    pair = CANDIDATES[0].pair
    key = CANDIDATES[0].key
    post(client, f"/candidate/{key}", decision="edit", question=pair.question, answer=pair.answer)
    assert store.current()[key].decision == "keep"


def test_what_the_filters_stopped_can_be_rescued(client: FlaskClient, store: VerdictStore) -> None:
    assert "bad one" in get(client, "/?reason=stopped")
    assert "bad one" in get(client, "/?reason=voice")
    assert "Nothing is waiting" in get(client, "/?reason=voice&page=https://d.example/a.html")
    assert post(client, f"/candidate/{CANDIDATES[3].key}", decision="keep") == 303
    assert store.current()[CANDIDATES[3].key].decision == "keep"


def test_many_at_once_and_one_undo(client: FlaskClient, store: VerdictStore) -> None:
    form = {"decision": "reject", "style": "correct", "reason": "passed", "state": "waiting"}
    asked = get(client, "/bulk?decision=reject&style=correct")
    assert "Reject 2 candidates?" in asked
    (mark,) = re.findall(r'name="mark" value="(\w+)"', asked)
    assert post(client, "/bulk", mark="0" * 16, **form) == 303
    assert store.current() == {}, "the list that was confirmed was another one"
    assert post(client, "/bulk", mark=mark, **form) == 303
    assert len(store.current()) == 2
    post(client, "/undo")
    assert store.current() == {}


def test_two_reviewers_are_given_different_candidates(store: VerdictStore) -> None:
    app = create_app(CANDIDATES, store, product="Acme")
    first, second = app.test_client(), app.test_client()
    assert LEASE_SECONDS > 0
    seen = [
        re.search(r'action="/candidate/([0-9a-f]{32})"', get(one, "/")) for one in (first, second)
    ]
    assert seen[0] is not None
    assert seen[1] is not None
    assert seen[0][1] != seen[1][1]
    # both judge the same one: both verdicts are kept, and the second is told
    key = CANDIDATES[0].key
    post(first, f"/candidate/{key}", decision="keep")
    post(second, f"/candidate/{key}", decision="reject")
    assert "had kept it meanwhile" in get(second, "/")
    assert store.current()[key].decision == "reject"


@pytest.mark.parametrize(
    ("headers", "base_url", "with_token"),
    [
        ({"Origin": "https://evil.example"}, BASE, True),
        ({}, "http://evil.example", True),
        ({}, BASE, False),
    ],
)
def test_a_verdict_from_another_site_is_refused(
    client: FlaskClient,
    store: VerdictStore,
    headers: dict[str, str],
    base_url: str,
    with_token: bool,
) -> None:
    form = {"decision": "keep", "token": token(client) if with_token else "0" * 32}
    path = f"/candidate/{CANDIDATES[0].key}"
    assert client.post(path, data=form, headers=headers, base_url=base_url).status_code == 403
    assert store.current() == {}


def test_only_the_pages_own_scripts_may_run(client: FlaskClient) -> None:
    answer = client.get("/bulk?decision=keep", base_url="http://localhost:8787")
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "SameSite=Lax" in answer.headers["Set-Cookie"]
    assert "HttpOnly" in answer.headers["Set-Cookie"]


@pytest.mark.parametrize(
    ("path", "form", "status"),
    [
        ("/candidate/unknown", {"decision": "keep"}, 404),
        (f"/candidate/{CANDIDATES[0].key}", {"decision": "burn"}, 400),
        (f"/candidate/{CANDIDATES[0].key}", {"decision": "edit", "question": " "}, 400),
        ("/bulk", {"decision": "edit"}, 400),
    ],
)
def test_bad_input_is_refused(
    client: FlaskClient, store: VerdictStore, path: str, form: dict[str, str], status: int
) -> None:
    assert post(client, path, **form) == status
    assert store.current() == {}


def test_filters_survive_the_address() -> None:
    assert Filters("p&q", "s", "", "all").query() == "page=p%26q&style=s&reason=&state=all"


def test_many_at_once_does_not_run_over_a_verdict_given_meanwhile(
    client: FlaskClient, store: VerdictStore
) -> None:
    form = {"decision": "reject", "reason": "passed", "state": "all"}
    asked = get(client, "/bulk?decision=reject&state=all")
    (mark,) = re.findall(r'name="mark" value="(\w+)"', asked)
    store.give([verdict_on(CANDIDATES[0], "edit", BEN, "How?", "So.")])
    assert post(client, "/bulk", mark=mark, **form) == 303
    assert [one.decision for one in store.current().values()] == ["edit"]


def test_keeping_a_changed_text_keeps_the_change(client: FlaskClient, store: VerdictStore) -> None:
    path = f"/candidate/{CANDIDATES[0].key}"
    pair = CANDIDATES[0].pair
    typed = GOOD.replace(", ", ",\r\n")
    post(client, path, decision="keep", question="How do I rename it?", answer=typed)
    assert store.current()[CANDIDATES[0].key].decision == "edit"
    assert store.current()[CANDIDATES[0].key].answer == GOOD.replace(", ", ",\n")
    post(client, path, decision="keep", question=pair.question, answer=pair.answer)
    assert store.current()[CANDIDATES[0].key].decision == "keep"


def test_verdicts_that_cannot_be_kept_are_told_in_one_line(tmp_path: Path) -> None:
    broken = tmp_path / "review.sqlite"
    client = client_of(VerdictStore(broken))
    key, sent = CANDIDATES[0].key, token(client)
    broken.mkdir()
    for answer in (
        client.get("/", base_url=BASE),
        client.post(
            f"/candidate/{key}",
            data={"token": sent, "decision": "keep"},
            base_url=BASE,
        ),
    ):
        assert answer.status_code == 503
        assert f"{broken} cannot be" in answer.text
        assert answer.text.count("\n") == 1
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")


# Words that were typed ---------------------------------------------------------------------------


def send(client: FlaskClient, path: str, *, origin: str = BASE, **form: str) -> TestResponse:
    """A form of the page itself, as a browser sends it."""
    data = {"token": token(client), **form}
    return client.post(path, data=data, base_url=BASE, headers={"Origin": origin})


def test_an_edit_that_the_filters_would_stop_comes_back_with_the_reasons(
    client: FlaskClient, store: VerdictStore
) -> None:
    path = f"/candidate/{CANDIDATES[0].key}"
    bad = "Open Settings > Billing, type <|im_end|> and wait 7 minutes."
    said = send(client, path, decision="edit", question="export?", answer=bad)
    assert said.status_code == 422
    assert store.current() == {}
    assert [html.unescape(found) for found in re.findall("<li>(.*?)</li>", said.text)] == [
        "token of a chat template (<|im_end|>)",
        "fact not in the section (7, settings > billing)",
        "label not in the section (Billing)",
        "answer not of the section",
        "question not answered here",
        "near copy of another section's question (export?)",
    ]
    assert f">{html.escape(bad)}</textarea>" in said.text, "what was typed is kept"
    assert "answer length" in send(client, path, decision="edit", question="x y", answer="No.").text


def test_a_second_confirm_keeps_an_edit_and_is_recorded(
    client: FlaskClient, store: VerdictStore
) -> None:
    path = f"/candidate/{CANDIDATES[0].key}"
    form = {
        "question": "How do I rename it?",
        "answer": "Open Settings and wait 7 minutes for the name.",
    }
    first = send(client, path, decision="edit", **form)
    (mark,) = re.findall(r'name="override" value="(\w+)"', first.text)
    other = {**form, "answer": "Open Settings and wait 9 minutes for the name."}
    assert send(client, path, override=mark, **other).status_code == 422, "not what was told"
    assert send(client, path, override="\u00e9", **form).status_code == 422
    assert store.current() == {}
    assert send(client, path, override=mark, **form).status_code == 303
    (verdict,) = store.current().values()
    assert (verdict.decision, verdict.answer) == ("edit", form["answer"])
    assert "fact not in the section (7" in verdict.overridden
    page = get(client, f"/candidate/{CANDIDATES[0].key}")
    assert "in spite of: fact not in the section" in page
    assert form["answer"] in page
    send(client, path, decision="edit", question=form["question"], answer=GOOD)
    assert store.current()[CANDIDATES[0].key].overridden == "", "nothing speaks against this one"


def test_an_edit_is_compared_with_what_trains_alone(
    client: FlaskClient, store: VerdictStore
) -> None:
    path = f"/candidate/{CANDIDATES[0].key}"
    send(client, f"/candidate/{CANDIDATES[1].key}", decision="reject")
    form = {"decision": "edit", "question": "rename  how!", "answer": GOOD}
    assert send(client, path, **form).status_code == 303
    send(client, f"/candidate/{CANDIDATES[1].key}", decision="keep")
    said = send(client, path, **form)
    assert said.status_code == 422
    assert "near copy of another phrasing (rename how)" in said.text


@pytest.mark.parametrize("decision", ["keep", "edit"])
@pytest.mark.parametrize("empty", ["question", "answer"])
def test_an_empty_field_does_nothing_and_says_so(
    client: FlaskClient, store: VerdictStore, decision: str, empty: str
) -> None:
    form = {"question": "What I typed", "answer": "What I typed", empty: " \r\n"}
    said = send(client, f"/candidate/{CANDIDATES[0].key}", decision=decision, **form)
    assert said.status_code == 400
    assert f"The {empty} is empty. Write it, or reject the pair." in said.text
    assert "What I typed</textarea>" in said.text
    assert store.current() == {}


def test_rejecting_keeps_what_was_typed(client: FlaskClient, store: VerdictStore) -> None:
    key = CANDIDATES[0].key
    answer = "Wrong: it was removed last year."
    send(client, f"/candidate/{key}", decision="reject", question="", answer=answer)
    assert "what you typed is kept with it" in get(client, "/")
    assert store.current()[key].answer == answer
    assert store.current()[key].question == CANDIDATES[0].pair.question
    assert f"{answer}</textarea>" in get(client, f"/candidate/{key}")


def test_a_page_of_an_earlier_start_loses_no_words(store: VerdictStore) -> None:
    before = client_of(store)
    old = token(before)
    before.post("/name", data={"token": old, "name": "Ann"}, base_url=BASE)
    send(before, f"/candidate/{CANDIDATES[1].key}", decision="keep")
    after = client_of(store)
    after._cookies = before._cookies
    form = {"decision": "edit", "question": "How do I rename it?", "answer": GOOD}
    path, own_page = f"/candidate/{CANDIDATES[0].key}", {"Origin": BASE}
    data = {"token": old, **form}
    said = after.post(path, data=data, base_url=BASE, headers=own_page)
    assert said.status_code == 403
    assert "What you typed is kept." in said.text
    assert f"{GOOD}</textarea>" in said.text
    assert len(store.current()) == 1
    (fresh,) = set(re.findall(r'name="token" value="([0-9a-f]{32})"', said.text))
    data["token"] = fresh
    assert after.post(path, data=data, base_url=BASE, headers=own_page).status_code == 303
    assert store.current()[CANDIDATES[0].key].answer == GOOD
    assert store.current()[CANDIDATES[0].key].reviewer == "Ann", "the browser is still known"
    for _ in range(2):
        after.post("/undo", data={"token": fresh}, base_url=BASE)
    assert store.current() == {}, "also what was judged before the start"


def test_other_forms_of_an_earlier_start_do_nothing_and_say_so(store: VerdictStore) -> None:
    client = client_of(store)
    store.give([verdict_on(CANDIDATES[0], "keep", BEN)])
    for path in ("/undo", "/bulk", "/name"):
        said = client.post(
            path,
            data={"token": "0" * 32, "name": "Eve", "decision": "reject"},
            base_url=BASE,
            headers={"Origin": BASE},
        )
        assert said.status_code == 303
        assert "nothing was done" in get(client, "/")
    assert len(store.current()) == 1


def test_two_of_one_name_do_not_undo_each_other(store: VerdictStore) -> None:
    app = create_app(CANDIDATES, store, product="Acme")
    one, other = app.test_client(), app.test_client()
    for who in (one, other):
        post(who, "/name", name="Ann")
    key = CANDIDATES[0].key
    post(one, f"/candidate/{key}", decision="keep")
    post(other, "/undo")
    assert store.current()[key].reviewer == "Ann", "the other Ann's"
    assert "nothing of yours to undo" in get(other, "/")
    post(one, "/undo")
    assert store.current() == {}


def test_another_site_gives_a_browser_no_identity(client: FlaskClient) -> None:
    for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {}):
        said = client.post("/undo", base_url=BASE, headers=headers)
        assert said.status_code == 403
        assert "Set-Cookie" not in said.headers
