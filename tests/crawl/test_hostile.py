"""A site that tries to cost a crawler its time, its memory or its network, crawled for real.

The crawl runs in a process of its own, so that its memory can be told from the tests'.
"""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from supportbot_dagster.crawl import CrawlSettings, crawl
from supportbot_dagster.crawl.traps import Traps, shapes

MEGABYTE = 1024 * 1024
Send = Callable[["Handler"], None]

CHILD = """
import json, re, resource, sys, time
from pathlib import Path
from supportbot_dagster.crawl import CrawlSettings, crawl
began = time.monotonic()
result = crawl(sys.argv[1], settings=CrawlSettings(**json.loads(sys.argv[2])))
seconds = time.monotonic() - began
status = Path("/proc/self/status")  # getrusage counts what the process was forked from
kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
if status.exists():
    kilobytes = int(re.search(r"VmHWM:\\s+(\\d+)", status.read_text()).group(1))
print(json.dumps({
    "pages": [page.to_dict() for page in result.pages],
    "report": result.report.to_dict(),
    "seconds": seconds,
    "kilobytes": kilobytes,
}))
"""


class Handler(BaseHTTPRequestHandler):
    """Answers by the function of the path, or of the first part of it with a ``*``."""

    protocol_version = "HTTP/1.1"
    server: Site

    def do_GET(self) -> None:
        self.server.asked[self.path] += 1
        self.server.agents.add(self.headers.get("User-Agent", ""))
        path = urlsplit(self.path).path
        routes = self.server.routes
        send = routes.get(self.path) or routes.get(path)
        folder = path
        while send is None and folder.count("/") > 1:
            folder = folder.rpartition("/")[0]
            send = routes.get(folder + "/*")
        try:
            (send or answer(404))(self)
        except (ConnectionError, TimeoutError):
            self.close_connection = True  # a client that hangs up is part of the tests

    def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        headers.setdefault("Content_Type", "text/html; charset=utf-8")
        headers.setdefault("Content_Length", str(len(body)))
        for name, value in headers.items():
            if value:
                self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


class Site(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, routes: dict[str, Send]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.routes = routes
        self.asked: Counter[str] = Counter()
        self.agents: set[str] = set()
        self.closing = Event()
        self.sent = 0

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        pass


@contextmanager
def serve(routes: dict[str, Send]) -> Iterator[Site]:
    site = Site(routes)
    thread = Thread(target=site.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield site
    finally:
        site.closing.set()
        site.shutdown()
        site.server_close()
        thread.join()


def answer(status: int, body: bytes = b"", **headers: str) -> Send:
    return lambda handler: handler.reply(status, body, **headers)


def html(title: str, links: str = "", text: str = "", head: str = "") -> bytes:
    hrefs = "".join(f'<a href="{href}">x</a> ' for href in links.split())
    return (
        f"<html><head><title>{title}</title>{head}</head><body><main><h1>{title}</h1>"
        f"<p>{text or f'About {title}.'}</p>{hrefs}</main></body></html>"
    ).encode()


def page(title: str, links: str = "", text: str = "", head: str = "") -> Send:
    return answer(200, html(title, links, text, head))


def moved(location: str) -> Send:
    return answer(302, Location=location)


def failing_twice(title: str, **headers: str) -> Send:
    count = 0

    def send(handler: Handler) -> None:
        nonlocal count
        count += 1
        if count < 3:
            handler.reply(503, **headers)
        else:
            handler.reply(200, html(title))

    return send


def endless(kind: str, piece: bytes = b"<p>word</p>" * 6000, megabytes: int = 200) -> Send:
    def send(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", kind)
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.close_connection = True
        for _ in range(megabytes * MEGABYTE // len(piece)):
            handler.wfile.write(piece)
            handler.server.sent += len(piece)

    return send


def bomb(layers: int) -> Send:
    packed = gzip.compress(html("Bomb") + b" " * (300 * MEGABYTE // 3**layers), 9)
    for _ in range(layers - 1):
        packed = gzip.compress(packed, 9)
    encoding = ", ".join(["gzip"] * layers)
    return answer(200, packed, Content_Encoding=encoding)


def drip(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", "text/html")
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    while not handler.server.closing.wait(0.2):
        handler.wfile.write(b"<")
        handler.wfile.flush()


def calendar(handler: Handler) -> None:
    day = date.fromisoformat(handler.path.rpartition("/")[2])
    near = " ".join(str(day + timedelta(days=step)) for step in (-31, -1, 1, 31))
    handler.reply(200, html(f"{day:%A, %d %B %Y}", near, "No events on this day."))


def sorted_by(handler: Handler) -> None:
    number = int(parse_qs(urlsplit(handler.path).query).get("token", ["0"])[0])
    links = f"list?token={number * 2 + 1}&sort=up list?token={number * 2 + 2}&sort=down"
    handler.reply(200, html("List", links, "The same three entries."))


def growing(handler: Handler) -> None:
    handler.reply(200, html("Relative", "more/", "A link without a slash at its beginning."))


def hostile() -> dict[str, Send]:
    links = (
        "flaky busy loop1 off meta meta6 named hidden secret/a big.pdf report huge bomb bomb2 "
        "bomb3 drip latin sjis copy plain plain?utm_source=x calendar/2026-01-01 list grow/ "
        "unclosed http://[::1 http://127.0.0.1:99999/x //169.254.169.254/docs/ %zz dropped strange "
        "deep javascript:alert(1) data:text/html,x ../outside file:///etc/passwd"
    )
    canonical = "<link rel=canonical href=/docs/plain>"
    return {
        "/robots.txt": answer(200, b"User-agent: *\nDisallow: /docs/secret\n"),
        "/sitemap.xml": answer(
            200,
            b"<sitemapindex><sitemap><loc>/maps/one.xml.gz</loc></sitemap>"
            b"<sitemap><loc>http://169.254.169.254/map.xml</loc></sitemap></sitemapindex>",
        ),
        "/maps/one.xml.gz": answer(
            200, gzip.compress(b"<urlset><url><loc>/docs/orphan</loc></url></urlset>")
        ),
        "/docs/": page("Start", links),
        "/docs/orphan": page("Orphan"),
        "/docs/flaky": failing_twice("Flaky"),
        "/docs/busy": failing_twice("Busy", Retry_After="1"),
        "/docs/loop1": moved("loop2"),
        "/docs/loop2": moved("loop1"),
        "/docs/off": moved("https://elsewhere.example/docs/"),
        "/docs/meta": moved("http://169.254.169.254/latest/meta-data/"),
        "/docs/meta6": moved("http://[::ffff:169.254.169.254]/docs/"),
        "/docs/named": moved("http://2852039166/docs/"),
        "/docs/hidden": page("Hidden", "behind", head="<meta name=robots content=noindex>"),
        "/docs/behind": page("Behind"),
        "/docs/secret/a": page("Secret"),
        "/docs/report": endless("application/pdf"),
        "/docs/huge": endless("text/html"),
        "/docs/bomb": bomb(1),
        "/docs/bomb2": bomb(2),
        "/docs/bomb3": answer(200, b"\x1f\x8b not gzip", Content_Encoding="gzip"),
        "/docs/drip": drip,
        "/docs/latin": answer(200, "<h1>Latin</h1><p>café".encode("latin-1")),
        "/docs/sjis": answer(
            200,
            "<meta charset=x-sjis><h1>Kana</h1><p>テスト①".encode("cp932"),
            Content_Type="text/html",
        ),
        "/docs/copy": page("Plain", text="for paper", head=canonical),
        "/docs/plain": page("Plain", head=canonical),
        "/docs/calendar/*": calendar,
        "/docs/list": sorted_by,
        "/docs/grow/*": growing,
        "/docs/grow/": growing,
        "/docs/unclosed": answer(200, b"<h1>Unclosed<p>one <b>two<table><tr><td>three<p <a href='"),
        "/docs/%25zz": page("Percent"),
        "/docs/dropped": answer(200, html("Dropped"), Content_Length="90000", Connection="close"),
        "/docs/strange": answer(200, html("Strange"), Content_Encoding="br"),
        "/docs/deep": answer(200, b"<div>" * 50_000 + b"<h1>Deep</h1><p>down"),
        "/outside": page("Outside"),
    }  # fmt: skip


def in_child(url: str, **settings: Any) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", CHILD, url, json.dumps(settings)],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_hostile_site_costs_little_and_gives_its_pages() -> None:
    with serve(hostile()) as site:
        found = in_child(
            site.origin + "/docs/",
            attempts=3,
            backoff_seconds=0.05,
            request_seconds=8.0,
            max_seconds=60.0,
            contact="docs@example.com",
        )
    names = [row["url"].removeprefix(site.origin + "/docs/") for row in found["pages"]]
    calendars = [name for name in names if name.startswith("calendar/")]
    lists = [name for name in names if name.startswith("list")]
    grown = [name for name in names if name.startswith("grow/")]
    assert len(calendars) == len(lists) == 1, "one for each text of an endless kind"
    assert grown == ["grow/"]
    assert set(names) - {*calendars, *lists, *grown} == {
        "", "%25zz", "behind", "busy", "deep", "flaky", "latin", "orphan", "plain", "sjis",
        "unclosed",
    }  # fmt: skip
    outcomes = found["report"]["outcomes"]
    assert outcomes["too-large"] == 2
    assert outcomes["timeout"] == 1
    assert outcomes["network"] == 1
    assert outcomes["error"] == 3
    assert outcomes["redirect-outside"] == 4
    assert outcomes["redirect-loop"] == 1
    assert outcomes["noindex"] == outcomes["robots"] == 1
    assert outcomes["not-html"] == 2
    assert outcomes["trap"] > 60
    assert not found["report"]["complete"]
    assert any("calendar" in note for note in found["report"]["notes"])
    texts = {row["title"]: row["text"] for row in found["pages"]}
    assert texts["Latin"].endswith("café")
    assert texts["Kana"].endswith("テスト①")
    assert found["seconds"] < 60
    assert found["kilobytes"] < 200 * 1024
    assert site.sent < 60 * MEGABYTE, "long bodies are cut off, not read to their end"
    assert (
        site.asked["/outside"] == site.asked["/docs/secret/a"] == site.asked["/docs/big.pdf"] == 0
    )
    assert site.asked["/docs/drip"] == 1
    assert sum(count for path, count in site.asked.items() if "calendar" in path) < 120
    assert site.agents
    assert all("+docs@example.com" in agent for agent in site.agents)


def test_an_unchanged_site_costs_only_304s() -> None:
    def tagged(title: str, links: str = "") -> Send:
        def send(handler: Handler) -> None:
            if handler.headers.get("If-None-Match") == f'"{title}"':
                handler.reply(304, ETag=f'"{title}"')
            else:
                handler.reply(200, html(title, links), ETag=f'"{title}"')

        return send

    routes: dict[str, Send] = {f"/docs/p{n}": tagged(f"P{n}") for n in range(5)}
    routes["/docs/"] = tagged("Start", " ".join(f"p{n}" for n in range(5)))
    with serve(routes) as site:
        first = crawl(site.origin + "/docs/")
        site.asked.clear()
        second = crawl(site.origin + "/docs/", previous={p.url: p for p in first.pages})
    assert second.report.outcomes == {"not-modified": 6}
    assert second.report.bytes == 0
    assert second.pages == first.pages
    assert all(count == 1 for path, count in site.asked.items() if path.startswith("/docs/p"))
    assert site.asked["/docs/"] == 1


def test_the_same_bytes_at_two_addresses_are_one_page_with_the_links_of_both() -> None:
    same = page("Same", "/docs/sub/ more")
    routes = {
        "/docs/": same,
        "/docs/sub/": same,
        "/docs/more": page("More"),
        "/docs/sub/more": page("More below"),
    }
    with serve(routes) as site:
        found = crawl(site.origin + "/docs/")
    assert [page.title for page in found.pages] == ["Same", "More", "More below"]
    assert found.report.outcomes == {"duplicate": 1, "ok": 3}


def test_retry_after_holds_every_request_back() -> None:
    times: dict[str, float] = {}

    def noted(title: str) -> Send:
        def send(handler: Handler) -> None:
            times.setdefault(title, time.monotonic())
            handler.reply(200, html(title))

        return send

    count = 0

    def busy(handler: Handler) -> None:
        nonlocal count
        count += 1
        if count == 1:
            times["refused"] = time.monotonic()
            handler.reply(429, Retry_After="1")
        else:
            handler.reply(200, html("Busy", "later"))

    routes = {"/docs/": page("Start", "busy"), "/docs/busy": busy, "/docs/later": noted("Later")}
    with serve(routes) as site:
        found = crawl(site.origin + "/docs/", settings=CrawlSettings(backoff_seconds=0.01))
    assert [page.title for page in found.pages] == ["Start", "Busy", "Later"]
    assert times["Later"] - times["refused"] >= 0.95


def test_depth_and_bytes_are_limited() -> None:
    routes = {f"/docs/{'x' * n}": page(f"Page {'y' * n}", "x" * (n + 1)) for n in range(1, 20)}
    routes["/docs/"] = page("Start", "x")
    with serve(routes) as site:
        found = crawl(site.origin + "/docs/", settings=CrawlSettings(max_depth=5))
        assert len(found.pages) == 6
        assert found.report.outcomes["depth-limit"] == 1
        assert not found.report.complete
        found = crawl(site.origin + "/docs/", settings=CrawlSettings(max_bytes=500))
        assert 1 < len(found.pages) < 10
        assert found.report.outcomes["byte-limit"] == 1


def test_what_a_site_without_containers_repeats_is_left_out() -> None:
    def plain(title: str, text: str, links: str = "") -> Send:
        return answer(
            200,
            f"<title>{title}</title><p>Shop help, all you ever wanted</p>"
            f"<h1>{title}</h1><p>Example:</p><p>{text}</p>"
            f"<p>Call us on Mondays.</p>{links}".encode(),
            ETag=f'"{len(text)}"',
        )

    names = [f"p{n}" for n in range(6)]
    links = "".join(f'<p class="nav"><a href={name}>{name}</a></p>' for name in names)
    routes: dict[str, Send] = {
        f"/docs/{name}": plain(f"Page {name}", f"Words of {name}.") for name in names
    }
    routes["/docs/"] = plain("Start", "Welcome.", links)
    with serve(routes) as site:
        first = crawl(site.origin + "/docs/")
        texts = {page.title: page.text for page in first.pages}
        assert texts["Page p3"] == "# Page p3\n\nExample:\n\nWords of p3."
        routes["/docs/p3"] = plain("Page p3", "Other words of p3.")
        previous = {page.url: page for page in first.pages}
        second = crawl(site.origin + "/docs/", previous=previous)
    changed = [p.text for p in second.pages if previous[p.url].text != p.text]
    assert changed == ["# Page p3\n\nExample:\n\nOther words of p3."]


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("http://h/a/b", []),
        ("http://h/2026/05/x", ["/N/N/x"]),
        ("http://h/a?page=2", ["/a?page=N", "/a?"]),
        ("http://h/a?sort=up", ["/a?"]),
    ],
)
def test_shapes(url: str, found: list[str]) -> None:
    assert shapes(url) == found


def test_numbered_pages_that_differ_are_no_trap() -> None:
    traps = Traps(patience=10)
    for number in range(200):
        traps.saw(
            f"http://h/articles/{number}", f"Article about thing{chr(97 + number % 26)}" * number
        )
    assert not traps.closed
    for number in range(9):
        traps.saw(f"http://h/day/{number}", f"{number} May: nothing")
    assert not traps.why("http://h/day/99")
    traps.saw("http://h/day/9", "9 June: nothing")
    assert "/day/N" in traps.why("http://h/day/99")
    assert traps.why("http://h/a/b/a/b/a/b/")
    assert traps.why("http://h/" + "x" * 3000)
    assert not traps.why("http://h/2011/11/11/11")
