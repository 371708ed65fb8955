from __future__ import annotations

import re
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from supportbot_dagster.review.app import LEASE_SECONDS, Filters, create_app
from supportbot_dagster.review.verdicts import VerdictStore, verdict_on
from supportbot_dagster.synthesis.candidate import Candidate
from supportbot_dagster.synthesis.section import SectionText
from supportbot_dagster.synthesis.teacher import Pair

SECTION = SectionText(
    "https://d.example/a.html#x",
    "h1",
    ("Guide", "<b>Rename</b>"),
    "Open **Settings** <script>x()</script>.",
)
OTHER = SectionText("https://d.example/b.html", "h2", ("Other",), "Text about exports.")
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
    page = client.get("/", base_url="http://127.0.0.1:8787", follow_redirects=True).text
    found = re.search(r'name="token" value="([0-9a-f]{32})"', page)
    assert found is not None
    return found[1]


def post(client: FlaskClient, path: str, **form: str) -> int:
    return client.post(
        path, data={"token": token(client), **form}, base_url="http://127.0.0.1:8787"
    ).status_code


def get(client: FlaskClient, path: str) -> str:
    return client.get(path, base_url="http://127.0.0.1:8787", follow_redirects=True).text


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
    assert post(client, f"/candidate/{two}", decision="edit", question="Q?", answer="A.") == 303
    assert post(client, f"/candidate/{three}", decision="reject") == 303
    assert {key: item.decision for key, item in store.current().items()} == {
        one: "keep",
        two: "edit",
        three: "reject",
    }
    assert store.current()[two].question == "Q?"
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
        ({"Origin": "https://evil.example"}, "http://127.0.0.1:8787", True),
        ({}, "http://evil.example", True),
        ({}, "http://127.0.0.1:8787", False),
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
    store.give([verdict_on(CANDIDATES[0], "edit", "ben", "How?", "So.")])
    assert post(client, "/bulk", mark=mark, **form) == 303
    assert [one.decision for one in store.current().values()] == ["edit"]


def test_keeping_a_changed_text_keeps_the_change(client: FlaskClient, store: VerdictStore) -> None:
    path = f"/candidate/{CANDIDATES[0].key}"
    pair = CANDIDATES[0].pair
    post(client, path, decision="keep", question=pair.question, answer="Open it.\r\nThen save.")
    assert store.current()[CANDIDATES[0].key].decision == "edit"
    assert store.current()[CANDIDATES[0].key].answer == "Open it.\nThen save."
    post(client, path, decision="keep", question=pair.question, answer=pair.answer)
    assert store.current()[CANDIDATES[0].key].decision == "keep"


def test_verdicts_that_cannot_be_kept_are_told_in_one_line(tmp_path: Path) -> None:
    broken = tmp_path / "review.sqlite"
    client = client_of(VerdictStore(broken))
    key, sent = CANDIDATES[0].key, token(client)
    broken.mkdir()
    for answer in (
        client.get("/", base_url="http://127.0.0.1:8787"),
        client.post(
            f"/candidate/{key}",
            data={"token": sent, "decision": "keep"},
            base_url="http://127.0.0.1:8787",
        ),
    ):
        assert answer.status_code == 503
        assert f"{broken} cannot be" in answer.text
        assert answer.text.count("\n") == 1
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
