"""The crawl of real sites on loopback: a hostile one, and the sample."""

import asyncio
import gzip
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from supportbot_dagster.crawl import CrawlSettings, Page, crawl, plain_text
from supportbot_dagster.crawl.network import PrivateAddressError, Session, is_public
from supportbot_dagster.crawl.robots import parse_robots
from supportbot_dagster.crawl.urls import normalise
from supportbot_dagster.errors import UserError
from supportbot_dagster.sample.server import PUBLIC_BASE, render_site, serve_sample_site

FAST = CrawlSettings(
    backoff_seconds=0.01, max_wait_seconds=0.2, timeout_seconds=2.0, request_seconds=0.7, attempts=3
)
Answer = tuple[int, dict[str, str], bytes]
Route = Answer | Callable[[int], Answer]


@contextmanager
def site(routes: dict[str, Route]) -> Iterator[tuple[str, Counter[str]]]:
    """A server of fixed answers; gives its origin and the requests counted by path."""
    asked: Counter[str] = Counter()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked[self.path] += 1
            route = routes.get(self.path, (404, {}, b"nothing here"))
            status, headers, body = route(asked[self.path]) if callable(route) else route
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(ConnectionError):
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            pass  # a client that hangs up is part of the tests

    server = Server(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def html(body: str, head: str = "", **headers: str) -> Answer:
    text = f"<html><head>{head}</head><body><main>{body}</main></body></html>"
    return 200, {"Content-Type": "text/html; charset=utf-8", **headers}, text.encode()


def article(name: str, links: str = "", head: str = "") -> Answer:
    return html(f"<h1>{name}</h1><p>About {name}.</p>{links}", head)


def paths(pages: list[Page]) -> list[str]:
    return [page.url.split("/docs/", 1)[1] for page in pages]


def link(*targets: str) -> str:
    return "".join(f'<a href="{target}">x</a> ' for target in targets)


def hostile() -> dict[str, Route]:
    def recovers(count: int) -> Answer:
        return (500, {}, b"") if count < 3 else article("Recovers")

    def busy(count: int) -> Answer:
        return (429, {"Retry-After": "0"}, b"") if count < 2 else article("Busy")

    def slow(count: int) -> Answer:
        time.sleep(1.0)
        return article("Slow")

    links = link(
        "flaky", "busy", "off", "loop1", "hidden", "secret/a", "file.pdf", "pdf", "huge", "latin",
        "copy", "print?utm_source=x", "print", "../outside", "http://[::1", "http://a b/", "slow",
        "javascript:alert(1)", "mailto:a@b.c", "http://127.0.0.1:99999/x", "gone", "moved", "down",
        "header-hidden", "refresh", "same-as-plain", "plain#part", "plain", "%2e%2e/outside",
        "//169.254.169.254/latest/", "http://localhost:1/docs/x", "broken-gzip", "empty",
        "caf%C3%A9",
    )  # fmt: skip
    return {
        "/robots.txt": (200, {}, b"User-agent: *\nDisallow: /docs/secret\nSitemap: /map.xml.gz\n"),
        "/map.xml.gz": (
            200,
            {},
            gzip.compress(b"<urlset><url><loc>/docs/orphan</loc></url></urlset>"),
        ),
        "/docs/": article("Start", links),
        "/docs/flaky": recovers,
        "/docs/busy": busy,
        "/docs/slow": slow,
        "/docs/off": (302, {"Location": "http://169.254.169.254/docs/"}, b""),
        "/docs/loop1": (302, {"Location": "/docs/loop2"}, b""),
        "/docs/loop2": (302, {"Location": "/docs/loop1"}, b""),
        "/docs/hidden": article("Hidden", link("behind"), "<meta name=robots content='noindex'>"),
        "/docs/behind": article("Behind"),
        "/docs/header-hidden": html("<h1>H</h1><p>x</p>", **{"X-Robots-Tag": "noindex"}),
        "/docs/secret/a": article("Secret"),
        "/docs/pdf": (200, {"Content-Type": "application/pdf"}, b"%PDF-1.4"),
        "/docs/huge": html("<h1>Huge</h1>" + "<p>word</p>" * 40_000),
        "/docs/latin": (
            200,
            {"Content-Type": "text/html; charset=utf-8"},
            "<h1>Latin</h1><p>café</p>".encode("latin-1"),
        ),
        "/docs/print": article("Plain", "<p>for paper</p>", "<link rel=canonical href=plain>"),
        "/docs/plain": article("Plain", "", "<link rel=canonical href=plain>"),
        "/docs/same-as-plain": article("Plain"),
        "/docs/copy": article("Copy", "", "<link rel=canonical href='https://else.example/c'>"),
        "/docs/moved": (301, {"Location": "target"}, b""),
        "/docs/target": article("Target"),
        "/docs/refresh": html("", "<meta http-equiv=refresh content='0; url=refreshed'>"),
        "/docs/refreshed": article("Refreshed"),
        "/docs/down": (503, {}, b""),
        "/docs/orphan": article("Orphan"),
        "/docs/empty": html(""),
        "/docs/caf%C3%A9": article("Café"),
        "/docs/broken-gzip": (
            200,
            {"Content-Type": "text/html", "Content-Encoding": "gzip"},
            b"no gzip",
        ),
        "/outside": article("Outside"),
    }


def test_hostile_site() -> None:
    with site(hostile()) as (origin, asked):
        found = crawl(origin + "/docs/", settings=replace(FAST, max_page_bytes=200_000))
    assert paths(found.pages) == sorted(
        ["", "behind", "busy", "caf%C3%A9", "copy", "flaky", "latin", "orphan", "plain",
         "refreshed", "target"]
    )  # fmt: skip
    report = found.report
    assert report.outcomes == {
        "ok": 11,
        "duplicate": 2,
        "error": 1,
        "http-404": 1,
        "http-503": 1,
        "malformed-url": 3,
        "no-content": 1,
        "noindex": 2,
        "not-html": 2,
        "redirect": 3,
        "redirect-loop": 1,
        "redirect-outside": 1,
        "robots": 1,
        "timeout": 1,
        "too-large": 1,
    }
    assert report.pages == 11
    assert not report.complete
    assert "1 http-503" in report.notes[0]
    assert asked["/docs/flaky"] == 3
    assert asked["/outside"] == asked["/docs/secret/a"] == asked["/docs/file.pdf"] == 0
    texts = {page.title: page.text for page in found.pages}
    assert texts["Latin"].endswith("café")
    assert report.requested == sum(asked.values())


def test_public_base_takes_the_place_of_the_prefix_only() -> None:
    base = "https://docs.example.com/help/"
    routes: dict[str, Route] = {
        "/docs/index.html": article("Index", link("a.html", base + "b.html")),
        "/docs/a.html": article("A", "", f"<link rel=canonical href='{base}a.html'>"),
        "/docs/b.html": html("<h1>B</h1><p>Kept: http://127.0.0.1/docs/ as written.</p>"),
        "/docs/c.html": article("C"),
        "/sitemap.xml": (200, {}, f"<urlset><loc>{base}c.html</loc></urlset>".encode()),
    }
    hashes = []
    for _ in range(2):
        with site(routes) as (origin, _asked):
            found = crawl(origin + "/docs/index.html", public_base=base, settings=FAST)
        assert [page.url for page in found.pages] == [
            base + name for name in ("a.html", "b.html", "c.html", "index.html")
        ]
        assert "http://127.0.0.1/docs/ as written" in found.pages[1].text
        assert origin not in str(found.report.to_dict())
        hashes.append([page.content_hash for page in found.pages])
    assert hashes[0] == hashes[1]


def test_one_canonical_for_every_page_is_not_believed() -> None:
    head = "<link rel=canonical href=/docs/>"
    names = [f"p{number}" for number in range(8)]
    routes: dict[str, Route] = {f"/docs/{name}": article(name, "", head) for name in names}
    routes["/docs/"] = article("Start", link(*names), head)
    with site(routes) as (origin, _asked):
        found = crawl(origin + "/docs/", settings=FAST)
    assert len(found.pages) == 9
    assert "canonical" in found.report.notes[0]


def test_limits_are_told() -> None:
    routes: dict[str, Route] = {
        f"/docs/{n}": article(f"Page {n}", link(str(n + 1), str(n + 2))) for n in range(50)
    }
    with site(routes) as (origin, _asked):
        found = crawl(origin + "/docs/0", settings=replace(FAST, max_pages=10))
        assert len(found.pages) == 10
        assert found.report.outcomes["page-limit"] > 0
        assert not found.report.complete

        def drip(count: int) -> Answer:
            time.sleep(3.0)
            return article("Drip")

        routes["/docs/1"] = routes["/docs/2"] = drip
        began = time.monotonic()
        slow = replace(FAST, max_seconds=1.0, timeout_seconds=10.0, request_seconds=10.0)
        found = crawl(origin + "/docs/0", settings=slow)
        assert time.monotonic() - began < 2.5
        assert paths(found.pages) == ["0"]
        assert found.report.outcomes["time-limit"] == 2
        assert not found.report.complete


def test_start_that_moves_within_the_host() -> None:
    routes: dict[str, Route] = {
        "/": (302, {"Location": "/en/latest/"}, b""),
        "/en/latest/": article("Start", link("a", "/blog/")),
        "/en/latest/a": article("A"),
        "/blog/": article("Blog"),
        "/docs": (301, {"Location": "/docs/"}, b""),
        "/docs/": article("Docs", link("b", "../blog/")),
        "/docs/b": article("B"),
    }
    with site(routes) as (origin, _asked):
        found = crawl(origin + "/docs", settings=FAST)
        assert [page.title for page in found.pages] == ["Docs", "B"]
        found = crawl(origin, settings=FAST)
        assert "A" in [page.title for page in found.pages]


@pytest.mark.parametrize(
    ("routes", "says"),
    [
        ({}, "HTTP 404"),
        ({"/docs/": (500, {}, b"")}, "HTTP 500"),
        ({"/docs/": (302, {"Location": "https://other.example/"}, b"")}, "redirects to https://other"),
        ({"/docs/": (302, {"Location": "/docs/"}, b"")}, "in a circle"),
        ({"/docs/": html("")}, "No page was found"),
        ({"/robots.txt": (200, {}, b"User-agent: *\nDisallow: /"), "/docs/": article("A")},
         "forbids"),
        ({"/robots.txt": (503, {}, b""), "/docs/": article("A")}, "robots.txt"),
        ({"/docs/": (200, {"Content-Type": "application/json"}, b"{}")}, "1 not-html"),
    ],
)  # fmt: skip
def test_a_start_that_gives_nothing_says_why(routes: dict[str, Route], says: str) -> None:
    with site(routes) as (origin, _asked), pytest.raises(UserError, match=says) as caught:
        crawl(origin + "/docs/", settings=replace(FAST, attempts=2))
    assert "\n" not in str(caught.value)


def test_a_site_that_is_down_and_a_bad_address() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(UserError, match=f"http://127.0.0.1:{port}/help/ did not answer"):
        crawl(f"http://127.0.0.1:{port}/help/", settings=replace(FAST, attempts=2))
    for bad in ("docs", "ftp://a/", "http://[::1", "http:///x", "http://a:99999/"):
        with pytest.raises(UserError, match="full address"):
            crawl(bad)


def test_private_addresses_are_told_from_public_ones() -> None:
    for address in ("127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "fe80::1%eth0",
                    "::ffff:192.168.0.1", "0.0.0.0", "224.0.0.1"):  # fmt: skip
        assert not is_public(address), address
    assert is_public("93.184.216.34")
    assert is_public("2606:4700::1111")


def test_a_private_host_is_refused_by_the_session() -> None:
    async def ask(origin: str, trusted: str) -> int:
        async with (
            Session(trusted, connections=2) as session,
            session.get(origin + "/docs/") as response,
        ):
            return response.status

    with site({"/docs/": article("A")}) as (origin, asked):
        assert asyncio.run(ask(origin, "127.0.0.1")) == 200
        with pytest.raises(PrivateAddressError):
            asyncio.run(ask(origin, "docs.example.com"))
        assert asked["/docs/"] == 1


def test_robots_longest_rule_wildcards_and_own_group() -> None:
    robots = parse_robots(
        "User-agent: other\nDisallow: /\n\nUser-agent: *\nDisallow: /a\nAllow: /a/b\n"
        "Disallow: /*.php$\nDisallow: /*?print\nCrawl-delay: 2 # slowly\n",
        "supportbot-dagster",
    )
    said = {path: robots.allows(f"http://h{path}") for path in
            ("/x", "/a", "/a/b/c", "/x.php", "/x.php5", "/x?print=1", "/%61")}  # fmt: skip
    assert said == {"/x": True, "/a": False, "/a/b/c": True, "/x.php": False, "/x.php5": True,
                    "/x?print=1": False, "/%61": False}  # fmt: skip
    assert robots.delay == 2
    own = parse_robots(
        "User-agent: *\nDisallow: /\nUser-agent: SupportBot-Dagster\nDisallow:",
        "supportbot-dagster",
    )
    assert own.allows("http://h/x")


@pytest.mark.parametrize(
    ("href", "expected"),
    [
        ("HTTP://Host:80/a/../b/./c#f", "http://host/b/c"),
        ("../x/?utm_source=a&q=1", "http://h/x/?q=1"),
        ("a b\n.html", "http://h/d/a%20b.html"),
        ("/%7euser/%c3%a9", "http://h/~user/%C3%A9"),
        ("/a%2fb", "http://h/a%2Fb"),
        ("%2e%2e/up", "http://h/up"),
        ("https://user:pw@h/x", "https://h/x"),
        ("//h/x//y/", "http://h/x/y/"),
        ("index.html", "http://h/d/index.html"),
        ("mailto:a@b", None),
    ],
)
def test_normalise(href: str, expected: str | None) -> None:
    assert normalise(href, "http://h/d/page.html") == expected


def test_sample_site_whole_then_unchanged(tmp_path: Path) -> None:
    with serve_sample_site() as base:
        first = crawl(base, public_base=PUBLIC_BASE)
        before = {page.url: page for page in first.pages}
        second = crawl(base, public_base=PUBLIC_BASE, previous=before)
    articles = {
        "https://docs.tracklight.example" + path
        for path in render_site()
        if path.endswith((".html", "/")) and not path.endswith(("index.html", "404.html"))
    }
    assert set(before) == articles
    assert first.report.outcomes == {"ok": len(articles)}
    assert first.report.complete
    assert second.report.outcomes == {"not-modified": len(articles)}
    assert second.pages == first.pages
    assert second.report.bytes < first.report.bytes / 10
    home = before.pop(PUBLIC_BASE)
    assert len(home.sections) > 5
    titles = {page.title for page in before.values()}
    for page in before.values():
        seen = plain_text(page.text)
        for boilerplate in (
            "article helpful",
            "cookie to remember",
            "On this page",
            "Last updated",
            "Open app",
            "Previous",
            "example product",
            "Help centre /",
        ):
            assert boilerplate not in seen, (page.url, boilerplate)
        lines = {line.strip("#- ") for line in page.text.splitlines()}
        assert not (lines & titles) - {page.title, *(s.heading_path[-1] for s in page.sections)}
        assert len({section.anchor for section in page.sections}) == len(page.sections)
        assert "127.0.0.1" not in str(page.to_dict())


def test_one_edited_article_is_the_only_one_read_anew(tmp_path: Path) -> None:
    folder = tmp_path / "help" / "issues"
    folder.mkdir(parents=True)
    head = "<!-- title: {0} -->\n<!-- updated: 2026-01-02 -->\n<h1>{0}</h1>\n<p>Words of {0}.</p>\n"
    for name in ("Labels", "Archive"):
        part = "<h2 id='x'>Part</h2><p>Old.</p>"
        (folder / f"{name.lower()}.html").write_text(head.format(name) + part, encoding="utf-8")
    with serve_sample_site(site_dir=tmp_path) as base:
        first = crawl(base)
        edited = folder / "labels.html"
        edited.write_text(edited.read_text(encoding="utf-8").replace("Old", "Newer"), "utf-8")
        second = crawl(base, previous={page.url: page for page in first.pages})
        edited.unlink()
        third = crawl(base, previous={page.url: page for page in second.pages})
    assert second.report.outcomes["not-modified"] == 2
    assert second.report.outcomes["ok"] == 1
    changed = [a.url for a, b in zip(first.pages, second.pages, strict=True) if a != b]
    assert [url.rsplit("/", 1)[1] for url in changed] == ["labels.html"]
    assert [page.title for page in third.pages] == ["How can we help?", "Archive"]


def test_gimp_manual() -> None:
    """The GIMP manual (DocBook), where Debian's gimp-help-en is installed."""
    folder = Path("/usr/share/doc/gimp-help-en/html/en")
    if not (folder / "index.html").exists():
        pytest.skip("gimp-help-en is not installed")
    names = ["index", "gimp-tools", "gimp-tool-rect-select", "gimp-filter-desaturate",
             "glossary", "key-reference-edit", "gimp-path-dialog",
             "gimp-using-script-fu-tutorial-lists"]  # fmt: skip
    links = link(*(f"{name}.html" for name in names))
    routes: dict[str, Route] = {
        f"/en/{name}.html": (
            200,
            {"Content-Type": "text/html"},
            (folder / f"{name}.html").read_bytes(),
        )
        for name in names
    }
    routes["/en/"] = article("Start", links)
    with site(routes) as (origin, _asked):
        found = crawl(origin + "/en/", settings=replace(FAST, concurrency=2))
    pages = {page.url.rsplit("/", 1)[1]: page for page in found.pages}
    assert found.report.outcomes["ok"] == len(names) + 1
    for page in found.pages:
        assert not {"Prev", "Next", "Home", "Up"} & set(page.text.split("\n"))
        assert "Report a bug in GIMP" not in page.text
    desaturate = pages["gimp-filter-desaturate.html"]
    assert "Colors → Desaturate → Desaturate…" in desaturate.text
    assert "Luminance\n:   The shades of gray" in desaturate.text
    assert "`Ctrl` + Z\n:   Undo" in pages["key-reference-edit.html"].text
    assert "| `Shift`+`Ctrl` | Intersect with selection. |" in pages["gimp-path-dialog.html"].text
    assert "```\n" in pages["gimp-using-script-fu-tutorial-lists.html"].text
