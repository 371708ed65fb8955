"""Help desks that are asked over HTTP: small ones on loopback that behave as documented."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from supportbot_dagster.errors import UserError
from supportbot_dagster.partitions import TicketWindow
from supportbot_dagster.product import Tickets
from supportbot_dagster.tickets.importers.client import Api, Bearer, Patience
from supportbot_dagster.tickets.importers.export import DELETED, Export
from supportbot_dagster.tickets.importers.intercom_api import VERSION, load_intercom_api
from supportbot_dagster.tickets.importers.zendesk_api import load_zendesk_api

WINDOW = TicketWindow(datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC))
QUICK = Patience(attempts=4, first_wait=0.001, longest_wait=1.0)
TOKEN = "s3cr3t-t0k3n"


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclass
class Answer:
    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Desk:
    """A help desk: ``answer`` says what it knows, ``troubles`` come first, path by path."""

    url: str = ""
    answer: Callable[[Asked], Answer] = lambda asked: Answer(404)
    troubles: dict[str, list[Answer | None]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    def paths(self) -> list[str]:
        return [item.path for item in self.asked]


@contextmanager
def serve(desk: Desk) -> Iterator[Desk]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked = Asked(
                self.command,
                parts.path,
                {key: values[0] for key, values in parse_qs(parts.query).items()},
                {key.lower(): value for key, value in self.headers.items()},
                json.loads(body) if body else None,
            )
            desk.asked.append(asked)
            waiting = desk.troubles.get(asked.path)
            given = waiting.pop(0) if waiting else desk.answer(asked)
            if given is None:  # hangs up
                self.close_connection = True
                return
            text = given.body if isinstance(given.body, str) else json.dumps(given.body)
            self.send_response(given.status)
            for key, value in given.headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        do_POST = do_GET  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    desk.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield desk
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    for name in ("ZENDESK_EMAIL", "ZENDESK_TOKEN", "ZENDESK_OAUTH_TOKEN", "INTERCOM_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ZENDESK_EMAIL", "ops@acme.example")
    monkeypatch.setenv("ZENDESK_TOKEN", TOKEN)
    monkeypatch.setenv("INTERCOM_TOKEN", TOKEN)
    monkeypatch.chdir(tmp_path)
    yield
    assert list(tmp_path.iterdir()) == [], "nothing that was read is written"


# --- Zendesk ---------------------------------------------------------------------------------


def ticket(identity: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": identity,
        "status": "solved",
        "created_at": "2026-10-01T10:00:00Z",
        "updated_at": "2026-10-02T10:00:00Z",
        "generated_timestamp": 1790935200,
        "subject": "url??",
        "tags": ["howto"],
        "via": {"channel": "email"},
        "requester_id": 1,
        "assignee_id": 2,
        "organization_id": 7,
        **changes,
    }


def comment(author: int, minute: int, body: str, **changes: Any) -> dict[str, Any]:
    made = {"author_id": author, "public": True, "created_at": f"2026-10-01T10:{minute:02d}:00Z"}
    return {**made, "body": body, **changes}


@dataclass
class Zendesk(Desk):
    """Pages of the incremental export, comments by cursor, people by id."""

    pages: list[list[Any]] = field(default_factory=list)
    comments: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    next_host: str = ""
    comments_a_page: int = 2

    def __post_init__(self) -> None:
        self.answer = self.say

    def say(self, asked: Asked) -> Answer:
        if asked.path == "/api/v2/incremental/tickets/cursor.json":
            return self.say_tickets(asked)
        if asked.path.endswith("/comments.json"):
            return self.say_comments(asked)
        if asked.path.endswith("/show_many.json"):
            kind = asked.path.split("/")[3]
            return Answer(body={kind: [self.known(kind, i) for i in asked.query["ids"].split(",")]})
        return Answer(404, {"error": "RecordNotFound"})

    def say_tickets(self, asked: Asked) -> Answer:
        if ("start_time" in asked.query) == ("cursor" in asked.query):
            return Answer(400, {"error": "StartTimeMissing"})
        number = int(asked.query.get("cursor", "c0")[1:])
        last = number + 1 >= len(self.pages)
        page = {
            "tickets": self.pages[number] if self.pages else [],
            "users": [{"id": 1, "name": "Dana Whitfield", "role": "end-user"}],
            "after_cursor": f"c{number + 1}",
            "after_url": f"{self.url}/api/v2/incremental/tickets/cursor.json?cursor=c{number + 1}",
            "end_of_stream": last,
        }
        return Answer(body=page)

    def say_comments(self, asked: Asked) -> Answer:
        found = self.comments.get(int(asked.path.split("/")[4]))
        if found is None:
            return Answer(404, {"error": "RecordNotFound"})
        start = int(asked.query.get("page[after]", "0"))
        end = start + self.comments_a_page
        more = end < len(found)
        host = self.next_host or self.url
        link = f"{host}{asked.path}?page%5Bsize%5D=100&page%5Bafter%5D={end}" if more else None
        meta = {"has_more": more, "after_cursor": str(end)}
        body = {"comments": found[start:end], "meta": meta, "links": {"next": link, "prev": None}}
        return Answer(body=body)

    @staticmethod
    def known(kind: str, identity: str) -> dict[str, Any]:
        if kind == "organizations":
            return {"id": int(identity), "name": "Acme", "domain_names": ["acme.example"]}
        return {"id": int(identity), "name": f"Agent {identity}", "role": "agent"}

    def load(self, patience: Patience = QUICK, **told: Any) -> Export:
        section = Tickets.model_validate({"format": "zendesk_api", "api_url": self.url})
        return load_zendesk_api(section, WINDOW, patience=patience, **told)


@pytest.fixture
def zendesk() -> Iterator[Zendesk]:
    desk = Zendesk()
    desk.pages = [[ticket(11)], [ticket(12)]]
    desk.comments = {number: [comment(1, 0, "how"), comment(2, 5, "so")] for number in (11, 12, 13)}
    with serve(desk):
        yield desk


def test_all_pages_with_their_comments_and_people(zendesk: Zendesk) -> None:
    zendesk.pages[1].append(ticket(13, organization_id=None))
    zendesk.comments[13] = [
        comment(1, 0, "first"),
        comment(3, 9, "fourth", public=False),
        comment(2, 1, "second"),
        comment(-1, 20, "fifth"),
        comment(1, 3, "third"),
    ]
    told: list[tuple[str, int, int | None]] = []
    export = zendesk.load(progress=lambda *step: told.append(step))
    assert [item.id for item in export.tickets] == ["11", "12", "13"]
    assert [item.body for item in export.tickets[2].comments] == [
        "first",
        "second",
        "third",
        "fourth",
        "fifth",
    ]
    assert [item.public for item in export.tickets[2].comments][3] is False
    assert export.users["1"].name == "Dana Whitfield", "came with the tickets"
    assert export.users["2"].is_agent, "asked for"
    assert export.users["3"].name == "Agent 3"
    assert export.organizations["7"].domain_names == ("acme.example",)
    assert export.quarantined == ()
    assert told[-1] == ("tickets read", 3, 3)
    assert ("tickets listed", 1, None) in told

    first, second = (item for item in zendesk.asked if item.path.endswith("cursor.json"))
    assert first.query["start_time"] == str(int(WINDOW.start.timestamp()))
    assert second.query["cursor"] == "c1"
    basic = base64.b64encode(f"ops@acme.example/token:{TOKEN}".encode()).decode()
    assert {item.headers["authorization"] for item in zendesk.asked} == {f"Basic {basic}"}
    many = [item.query["ids"] for item in zendesk.asked if item.path.endswith("show_many.json")]
    assert many == ["2,3", "7"]
    assert [item.query["page[size]"] for item in zendesk.asked if "comments" in item.path] == [
        "100"
    ] * 5


def test_people_are_asked_for_a_hundred_at_a_time(zendesk: Zendesk) -> None:
    zendesk.comments[11] = [comment(1, 0, "how"), *(comment(n, 1, "x") for n in range(100, 305))]
    zendesk.comments_a_page = 100
    export = zendesk.load()
    many = [item.query["ids"].split(",") for item in zendesk.asked if "users/show" in item.path]
    assert [len(ids) for ids in many] == [100, 100, 6]
    assert len(export.users) == 207


def test_an_oauth_token_goes_first(zendesk: Zendesk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZENDESK_OAUTH_TOKEN", f"{TOKEN}-oauth\n")
    zendesk.load()
    assert zendesk.asked[0].headers["authorization"] == f"Bearer {TOKEN}-oauth"


def test_comments_are_asked_for_only_where_a_ticket_can_count(zendesk: Zendesk) -> None:
    zendesk.pages = [
        [
            ticket(11),
            ticket(12, status="open"),
            ticket(13, created_at="2026-11-01T00:00:00Z"),
            ticket(14, created_at="2026-04-30T23:59:59Z"),
        ]
    ]
    export = zendesk.load()
    assert [item.id for item in export.tickets] == ["11", "12", "13", "14"], "all are counted"
    assert [path for path in zendesk.paths() if "comments" in path] == [
        "/api/v2/tickets/11/comments.json"
    ]


def test_a_ticket_that_changes_between_pages_is_kept_once_in_its_latest_state(
    zendesk: Zendesk,
) -> None:
    zendesk.pages = [
        [ticket(11, status="open"), ticket(12, subject="newest", generated_timestamp=1790999999)],
        [ticket(11, subject="later", updated_at="2026-10-03T00:00:00Z")],
        [ticket(12, subject="stale"), ticket(11, updated_at="2026-10-02T23:00:00Z")],
    ]
    export = zendesk.load()
    assert [(item.id, item.status, item.subject) for item in export.tickets] == [
        ("11", "solved", "later"),
        ("12", "solved", "newest"),
    ]
    assert export.quarantined == (), "that a ticket changes is nothing to complain of"


def test_a_deleted_ticket_is_dropped_and_counted(zendesk: Zendesk) -> None:
    zendesk.pages = [
        [ticket(11), ticket(12), ticket(13)],
        [ticket(11, status="deleted", subject="SCRUBBED", updated_at="2026-10-09T00:00:00Z")],
    ]
    del zendesk.comments[12]  # deleted while the run went on
    export = zendesk.load()
    assert [item.id for item in export.tickets] == ["13"]
    assert [(item.id, item.reason) for item in export.quarantined] == [
        ("11", DELETED),
        ("12", DELETED),
    ]


def test_malformed_records_are_set_aside(zendesk: Zendesk) -> None:
    zendesk.pages = [
        ["not a ticket", {"status": "solved"}, ticket(11), ticket(12, created_at="secret words")],
        [ticket(13), ticket(14), ticket(15, tags="secret words")],
    ]
    zendesk.comments[13] = [comment(1, 0, "how"), comment(2, 1, "x", public="secret words")]
    zendesk.troubles["/api/v2/tickets/14/comments.json"] = [Answer(body={"comments": {}})]
    export = zendesk.load()
    assert [item.id for item in export.tickets] == ["11"]
    assert [(item.id, item.reason) for item in export.quarantined] == [
        ("a ticket of page 1", "it is a str, not an object"),
        ("a ticket of page 1", "'id' is missing or neither a number nor a string"),
        ("12", "'created_at' is not a time of the form 2026-11-01T00:00:00Z"),
        ("13", "comment 2: 'public' is neither true nor false"),
        ("14", "its comments are no list"),
        ("15", "'tags' is not a list"),
    ]
    assert "secret words" not in repr(export.quarantined)


def test_a_storm_of_rate_limits_and_failures_is_sat_out(zendesk: Zendesk) -> None:
    limited = Answer(429, {"error": "TooManyRequests"}, {"Retry-After": "0"})
    zendesk.troubles = {
        "/api/v2/incremental/tickets/cursor.json": [*[limited] * 20, Answer(502, "bad"), None],
        "/api/v2/tickets/12/comments.json": [limited, Answer(503, ""), limited, Answer(500, "")],
        "/api/v2/users/show_many.json": [Answer(504, "")] * 3,
    }
    export = zendesk.load()
    assert [item.id for item in export.tickets] == ["11", "12"]
    assert len(export.tickets[1].comments) == 2
    assert export.users["2"].is_agent
    assert not any(zendesk.troubles.values())


def test_a_rate_limit_without_end_is_told(zendesk: Zendesk) -> None:
    limited = Answer(429, {}, {"Retry-After": "400"})
    zendesk.troubles["/api/v2/tickets/11/comments.json"] = [limited] * 9
    with pytest.raises(UserError, match=r"limits the rate of requests .* later"):
        zendesk.load()
    assert len(zendesk.troubles["/api/v2/tickets/11/comments.json"]) == 8, "it does not wait"


def test_a_failure_without_end_is_told(zendesk: Zendesk) -> None:
    zendesk.troubles["/api/v2/tickets/12/comments.json"] = [Answer(503, "")] * 9
    with pytest.raises(UserError, match=r"answered 503 4 times in a row at /api/v2/tickets/12"):
        zendesk.load()
    zendesk.troubles = {"/api/v2/tickets/12/comments.json": [None] * 9}
    with pytest.raises(UserError, match=r"did not answer \(RemoteProtocolError\) 4 times"):
        zendesk.load()


@pytest.mark.parametrize("status", [401, 403])
def test_a_token_that_expires_on_the_way_is_named(zendesk: Zendesk, status: int) -> None:
    zendesk.troubles["/api/v2/tickets/12/comments.json"] = [Answer(status, {"error": "x"})]
    with pytest.raises(UserError, match="ZENDESK_EMAIL and ZENDESK_TOKEN") as caught:
        zendesk.load()
    assert "\n" not in str(caught.value)
    assert TOKEN not in str(caught.value)
    assert zendesk.paths()[-1] == "/api/v2/tickets/12/comments.json", "it is not tried again"


@pytest.mark.parametrize("token", [None, "", "  "])
def test_a_missing_token_is_named(
    zendesk: Zendesk, monkeypatch: pytest.MonkeyPatch, token: str | None
) -> None:
    if token is None:
        monkeypatch.delenv("ZENDESK_TOKEN")
    else:
        monkeypatch.setenv("ZENDESK_TOKEN", token)
    with pytest.raises(UserError, match="Set ZENDESK_EMAIL and ZENDESK_TOKEN, or ZENDESK_OAUTH"):
        zendesk.load()
    assert zendesk.asked == []


def test_a_token_that_no_header_can_carry_is_not_shown(
    zendesk: Zendesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    for token in (f"{TOKEN}\nX-Other: 1", f"{TOKEN}ü"):
        monkeypatch.setenv("ZENDESK_TOKEN", token)
        with pytest.raises(UserError, match=r"^ZENDESK_TOKEN holds characters") as caught:
            zendesk.load()
        assert TOKEN not in str(caught.value)


def test_a_next_page_on_another_host_is_not_followed(zendesk: Zendesk) -> None:
    zendesk.comments[11] *= 2
    other = Zendesk(comments=zendesk.comments)
    with serve(other):
        zendesk.next_host = other.url
        with pytest.raises(UserError, match="next page on another host"):
            zendesk.load()
        for link in (
            other.url.replace("http://", "//") + "/x",
            zendesk.url.replace("http://", "https://") + "/x",
            "http://127.0.0.1.example/x",
            zendesk.url.replace("http://", "http://user@elsewhere.example@") + ":80/x",
            "ftp://x/",
        ):
            with (
                Api(zendesk.url, auth=Bearer(TOKEN), secrets="X") as api,
                pytest.raises(UserError, match=r"not followed|no address"),
            ):
                api.follow(link)
        assert other.asked == []


def test_a_redirect_is_not_followed(zendesk: Zendesk) -> None:
    other = Zendesk()
    with serve(other):
        path = "/api/v2/incremental/tickets/cursor.json"
        for status in (301, 302, 307, 308):
            zendesk.troubles[path] = [Answer(status, "", {"Location": f"{other.url}{path}"})]
            with pytest.raises(UserError, match=r"redirects .* Set tickets.api_url"):
                zendesk.load()
        assert other.asked == []


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Answer(200, "<html>sign in</html>"), "something else than a JSON object"),
        (Answer(200, [1]), "something else than a JSON object"),
        (Answer(200, "[" * 100_000), "something else than a JSON object"),
        (Answer(404, {}), "has no list of tickets"),
        (Answer(200, {"tickets": None}), "has no list of tickets"),
        (Answer(400, {}), "with 400"),
        (Answer(422, {}), "with 422"),
        (Answer(200, {"tickets": [ticket(1)]}), "no further cursor before the end"),
        (Answer(200, {"tickets": [], "end_of_stream": True}), "holds no tickets"),
        (
            Answer(200, {"tickets": [ticket(1, status="deleted")], "end_of_stream": True}),
            "holds no usable tickets: all 1",
        ),
    ],
)
def test_what_is_no_export_is_one_clear_line(
    zendesk: Zendesk, answer: Answer, message: str
) -> None:
    zendesk.troubles["/api/v2/incremental/tickets/cursor.json"] = [answer]
    with pytest.raises(UserError, match=message) as caught:
        zendesk.load()
    assert "\n" not in str(caught.value)


def test_a_cursor_that_goes_round_in_circles_ends(zendesk: Zendesk) -> None:
    zendesk.answer = lambda asked: Answer(body={"tickets": [ticket(11)], "after_cursor": "same"})
    with pytest.raises(UserError, match="no further cursor"):
        zendesk.load()
    assert len(zendesk.asked) == 2


def test_comments_without_end_end(zendesk: Zendesk) -> None:
    link = f"{zendesk.url}/api/v2/tickets/11/comments.json"
    body = {"comments": [comment(1, 0, "x")], "meta": {"has_more": True}, "links": {"next": link}}
    zendesk.troubles["/api/v2/tickets/11/comments.json"] = [Answer(body=body)] * 500
    export = zendesk.load()
    assert [(item.id, item.reason) for item in export.quarantined] == [
        ("11", "its comments have no end")
    ]


def test_the_wait_that_is_asked_for_is_taken() -> None:
    desk = Desk(answer=lambda asked: Answer(body={}))
    waits: list[float] = []
    soon = format_datetime(datetime.fromtimestamp(time.time() + 30, UTC), usegmt=True)
    with serve(desk):
        desk.troubles["/"] = [
            Answer(429, "", {"Retry-After": "7"}),
            Answer(429, "", {"Retry-After": soon}),
            Answer(429, "", {"X-RateLimit-Reset": str(int(time.time()) + 20)}),
            Answer(429, "", {"Retry-After": "-5"}),
            Answer(429, "", {"Retry-After": "soon"}),
            Answer(503, "", {"Retry-After": "9"}),
            Answer(500, ""),
            Answer(500, ""),
        ]
        with Api(desk.url, auth=Bearer("t"), secrets="X", sleep=waits.append) as api:
            assert api.get("/") == {}
    assert waits[0] == 7
    assert 25 < waits[1] <= 30
    assert 15 < waits[2] <= 20
    assert waits[3:] == [1, 1, 9, 2, 4]


def test_credentials_in_the_address_are_refused_without_showing_them() -> None:
    with pytest.raises(UserError, match="holds credentials") as caught:
        Api(f"https://user:{TOKEN}@acme.example", auth=httpx.Auth(), secrets="ZENDESK_TOKEN")
    assert TOKEN not in str(caught.value)


# --- Intercom --------------------------------------------------------------------------------

OCTOBER = int(datetime(2026, 10, 1, 10, tzinfo=UTC).timestamp())


def conversation(identity: str, **changes: Any) -> dict[str, Any]:
    return {
        "type": "conversation",
        "id": identity,
        "created_at": OCTOBER,
        "updated_at": OCTOBER + 86400,
        "state": "closed",
        "title": None,
        "source": {
            "type": "conversation",
            "delivered_as": "customer_initiated",
            "subject": "",
            "body": "<p>how do i</p>",
            "author": {"type": "user", "id": "u1", "name": "Dana", "email": "dana@acme.example"},
        },
        "contacts": {"type": "contact.list", "contacts": [{"type": "contact", "id": "u1"}]},
        "tags": {"type": "tag.list", "tags": [{"type": "tag", "name": "howto"}]},
        "admin_assignee_id": 5,
        **changes,
    }


def part(kind: str, minute: int, body: str | None, author: str = "admin") -> dict[str, Any]:
    who = {"admin": {"type": "admin", "id": 5, "name": "Mia"}, "user": {"type": "user", "id": "u1"}}
    return {
        "type": "conversation_part",
        "part_type": kind,
        "created_at": OCTOBER + 60 * minute,
        "body": body,
        "author": who.get(author, {"type": author, "id": "b"}),
    }


@dataclass
class Intercom(Desk):
    """Pages of the conversation search, conversations one by one, contacts and companies."""

    pages: list[list[Any]] = field(default_factory=list)
    parts: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.answer = self.say

    def say(self, asked: Asked) -> Answer:
        if (asked.method, asked.path) == ("POST", "/conversations/search"):
            number = int(asked.body["pagination"].get("starting_after", "p0")[1:])
            following = {"per_page": 150, "starting_after": f"p{number + 1}"}
            pages = {"type": "pages", "page": number + 1}
            if number + 1 < len(self.pages):
                pages["next"] = following  # type: ignore[assignment]
            return Answer(body={"conversations": self.pages[number], "pages": pages})
        if (asked.method, asked.path) == ("POST", "/contacts/search"):
            found = [
                {
                    "id": identity,
                    "name": f"Contact {identity}",
                    "email": f"{identity}@acme.example",
                    "companies": {"data": [{"type": "company", "id": "c1"}]},
                }
                for identity in asked.body["query"]["value"]
            ]
            return Answer(body={"type": "list", "data": found, "pages": {"next": None}})
        if asked.path == "/admins":
            return Answer(body={"admins": [{"type": "admin", "id": "6", "name": "Ravi"}]})
        if asked.path.startswith("/companies/"):
            return Answer(body={"id": "c1", "name": "Acme", "website": "https://www.acme.example/"})
        identity = asked.path.removeprefix("/conversations/")
        if identity not in self.parts:
            return Answer(404, {"type": "error.list", "errors": [{"code": "not_found"}]})
        known = [item for page in self.pages for item in page if isinstance(item, dict)]
        same = (item for item in known if item.get("id") == identity)
        latest = max(same, key=lambda item: int(item["updated_at"]))
        parts = self.parts[identity]
        listed = {"conversation_parts": parts, "total_count": len(parts)}
        return Answer(body={**latest, "conversation_parts": listed})

    def load(self, **told: Any) -> Export:
        section = Tickets.model_validate({"format": "intercom_api", "api_url": self.url})
        return load_intercom_api(section, WINDOW, patience=QUICK, **told)


@pytest.fixture
def intercom() -> Iterator[Intercom]:
    desk = Intercom()
    desk.pages = [[conversation("1")], [conversation("2")]]
    desk.parts = {number: [part("comment", 5, "<p>so</p>")] for number in ("1", "2", "3")}
    with serve(desk):
        yield desk


def test_all_conversations_with_their_people(intercom: Intercom) -> None:
    intercom.pages.append(
        [conversation("4", state="open"), conversation("5", created_at=OCTOBER + 31 * 86400)]
    )
    told: list[tuple[str, int, int | None]] = []
    export = intercom.load(progress=lambda *step: told.append(step))
    assert [item.id for item in export.tickets] == ["1", "2", "4", "5"], "all are counted"
    first = export.tickets[0]
    assert [item.body for item in first.comments] == ["how do i", "so"]
    assert first.tags == ("howto",)
    assert export.users[first.requester_id].name == "Contact u1"
    assert export.users[first.assignee_id].is_agent
    assert export.users["admin 6"].name == "Ravi"
    company = export.organizations[export.users[first.requester_id].organization_id]
    assert (company.name, company.domain_names) == ("Acme", ("acme.example",))
    assert told[-1] == ("conversations read", 4, 4)

    assert {item.headers["authorization"] for item in intercom.asked} == {f"Bearer {TOKEN}"}
    assert {item.headers["intercom-version"] for item in intercom.asked} == {VERSION}
    search = [item.body for item in intercom.asked if item.path == "/conversations/search"]
    since = {"field": "updated_at", "operator": ">", "value": int(WINDOW.start.timestamp()) - 1}
    assert [item["query"] for item in search] == [since] * 3
    assert [item["pagination"].get("starting_after") for item in search] == [None, "p1", "p2"]
    assert "/conversations/4" not in intercom.paths(), "asked for only where it can count"
    assert "/conversations/5" not in intercom.paths()


def test_a_conversation_that_changes_is_kept_once_and_a_deleted_one_is_dropped(
    intercom: Intercom,
) -> None:
    intercom.pages = [
        [conversation("1", state="open"), conversation("2"), conversation("3")],
        [conversation("1", updated_at=OCTOBER + 90000)],
        [conversation("2", state="open", updated_at=OCTOBER)],
    ]
    del intercom.parts["3"]
    export = intercom.load()
    assert [(item.id, item.status) for item in export.tickets] == [("1", "closed"), ("2", "closed")]
    assert [(item.id, item.reason) for item in export.quarantined] == [("3", DELETED)]


def test_malformed_conversations_are_set_aside(intercom: Intercom) -> None:
    intercom.pages = [
        [conversation("1"), conversation("2"), conversation("3", state=None), {"id": None}, "x"]
    ]
    intercom.parts["2"] = [part("comment", 5, "<p>so</p>", author="stranger")]
    export = intercom.load()
    assert [item.id for item in export.tickets] == ["1"]
    assert [item.id for item in export.quarantined] == [
        "a conversation of page 1",
        "a conversation of page 1",
        "2",
        "3",
    ]


def test_intercom_in_trouble(intercom: Intercom) -> None:
    limited = Answer(429, {}, {"X-RateLimit-Reset": "1487332520"})
    intercom.troubles = {
        "/conversations/search": [limited] * 15,
        "/conversations/1": [Answer(500, ""), None, limited],
        "/contacts/search": [Answer(503, "")],
    }
    assert [item.id for item in intercom.load().tickets] == ["1", "2"]
    assert not any(intercom.troubles.values())


@pytest.mark.parametrize("status", [401, 403])
def test_an_expired_intercom_token_is_named(intercom: Intercom, status: int) -> None:
    intercom.troubles["/conversations/2"] = [Answer(status, {"type": "error.list"})]
    with pytest.raises(UserError, match="INTERCOM_TOKEN") as caught:
        intercom.load()
    assert TOKEN not in str(caught.value)


def test_a_missing_intercom_token_is_named(
    intercom: Intercom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("INTERCOM_TOKEN")
    with pytest.raises(UserError, match="Set INTERCOM_TOKEN in the environment"):
        intercom.load()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"conversations": [], "pages": None}, "holds no tickets"),
        ({"data": []}, "no list of conversations"),
        ({"conversations": [], "pages": {"next": {"page": 2}}}, "no way to its next page"),
        (
            {"conversations": [], "pages": {"next": "https://elsewhere.example/"}},
            "no way to its next page",
        ),
    ],
)
def test_a_search_that_is_none(intercom: Intercom, body: Any, message: str) -> None:
    intercom.troubles["/conversations/search"] = [Answer(body=body)]
    with pytest.raises(UserError, match=message):
        intercom.load()


def test_a_search_that_goes_round_in_circles_ends(intercom: Intercom) -> None:
    following = {"conversations": [], "pages": {"next": {"starting_after": "same"}}}
    intercom.troubles["/conversations/search"] = [Answer(body=following)] * 9
    with pytest.raises(UserError, match="no way to its next page"):
        intercom.load()
    assert len(intercom.troubles["/conversations/search"]) == 7
