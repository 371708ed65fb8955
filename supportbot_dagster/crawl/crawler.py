"""All pages of a documentation site under one path prefix.

What lives here: the walk over links and sitemaps, conditional requests, retries and limits, and the
report of what was and was not taken. What does not: reading a page (``extract``), spelling
addresses (``urls``), the rules of robots.txt (``robots``) and the socket (``network``).
"""

from __future__ import annotations

import asyncio
import email.utils
import gc
import gzip
import hashlib
import html as html_entities
import re
import time
import zlib
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from importlib import metadata
from typing import Any
from urllib.parse import urljoin, urlsplit

import aiohttp
from multidict import CIMultiDictProxy

from supportbot_dagster.crawl.charset import decode_html
from supportbot_dagster.crawl.dom import parse
from supportbot_dagster.crawl.extract import Content, Skipped, extract_content
from supportbot_dagster.crawl.network import (
    BodyEncodingError,
    BodyTooLargeError,
    PrivateAddressError,
    Session,
    read_body,
)
from supportbot_dagster.crawl.page import Page
from supportbot_dagster.crawl.repeats import repeated_keys
from supportbot_dagster.crawl.robots import Robots, parse_robots
from supportbot_dagster.crawl.traps import Traps, shapes, skeleton
from supportbot_dagster.crawl.urls import Scope, looks_like_html, normalise
from supportbot_dagster.errors import UserError
from supportbot_dagster.progress import Progress, silent

AGENT = "supportbot-dagster"
_REPORTED = 200  # skipped addresses named in a report; the counts are always whole
_RETRIED = frozenset({429, 500, 502, 503, 504})
_LOCATION = re.compile(
    r"<(?:(?!image:|video:)\w+:)?loc>\s*(?:<!\[CDATA\[)?(.*?)(?:\]\]>)?\s*</(?:\w+:)?loc>",
    re.DOTALL,
)
_INDEX = re.compile(r"<(?:\w+:)?sitemapindex\b")
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MAX_SITEMAPS = 200
_SITEMAP_BYTES = 50 * 1024 * 1024  # the largest that the sitemap protocol allows
_NODES_BETWEEN_COLLECTIONS = 50_000
_LONG_PAGE = 512 * 1024  # bytes; a shorter one is read in the time of a round trip or two
_HTML = frozenset({"text/html", "application/xhtml+xml"})
# Outcomes after which a page may be missing that exists: the crawl is not complete.
_LOST = frozenset(
    "timeout network page-limit depth-limit byte-limit time-limit sitemap-limit error".split()
)


def _user_agent() -> str:
    try:
        version = metadata.version(AGENT)
    except metadata.PackageNotFoundError:  # run from a source tree
        version = "0"
    return f"{AGENT}/{version}"


@dataclass(frozen=True)
class CrawlSettings:
    """Limits of a crawl.

    Attributes:
        concurrency: requests under way at a time; the crawl speaks to one host only.
        timeout_seconds: for connecting, and for each wait for bytes.
        request_seconds: for one whole request, so that a dripping server holds nothing up.
        attempts: requests for one address before it is given up (429, 5xx, network errors).
        backoff_seconds: wait after the first failed attempt; it doubles each time.
        max_wait_seconds: longest wait that a Retry-After or a backoff gets.
        max_page_bytes: a longer page, as sent or unpacked, is cut off and skipped.
        max_bytes: for the whole crawl, unpacked; the rest counts as ``byte-limit``.
        max_pages: addresses requested under the prefix; the rest counts as ``page-limit``.
        max_depth: links followed one after another from the start, a sitemap or a page of an
            earlier crawl; the rest counts as ``depth-limit``.
        trap_pages: addresses that differ in numbers or in the query only, and say the same, before
            the rest of their kind counts as ``trap``.
        max_seconds: for the whole crawl; the rest counts as ``time-limit``.
        max_redirects: hops followed for one address, each within the prefix.
        delay_seconds: pause between requests; robots.txt may ask for more, up to 10 s.
        contact: an address or a page that the User-Agent header names, for a site's owner to
            write to; "" for none.
        user_agent: product name and version; robots.txt is read for the name.
    """

    concurrency: int = 6
    timeout_seconds: float = 15.0
    request_seconds: float = 60.0
    attempts: int = 4
    backoff_seconds: float = 0.5
    max_wait_seconds: float = 30.0
    max_page_bytes: int = 8 * 1024 * 1024
    max_bytes: int = 4 * 1024**3
    max_pages: int = 20_000
    max_depth: int = 100
    trap_pages: int = 50
    max_seconds: float = 3600.0
    max_redirects: int = 8
    delay_seconds: float = 0.0
    contact: str = ""
    user_agent: str = field(default_factory=_user_agent)

    @property
    def agent(self) -> str:
        """The product name that robots.txt is read for."""
        return self.user_agent.partition("/")[0].strip()

    @property
    def header(self) -> str:
        """The User-Agent header."""
        contact = f"; +{self.contact}" if self.contact else ""
        return f"{self.user_agent} (documentation crawler{contact})"


@dataclass(frozen=True)
class SkippedUrl:
    """An address under the prefix that gave no page, and why."""

    url: str
    reason: str
    detail: str = ""


@dataclass(frozen=True)
class CrawlReport:
    """What a crawl did.

    Attributes:
        start_url: where it began (in the public form, if one was given).
        requested: requests sent, repeats and robots.txt included.
        pages: pages given.
        outcomes: number of addresses by outcome; ``ok`` and ``not-modified`` are pages.
        skipped: addresses without a page, the first 200 of them.
        bytes: received, decoded.
        seconds: wall-clock time.
        complete: False where a limit or a failing server may have kept pages away.
        notes: what a person should know, in sentences.
    """

    start_url: str
    requested: int
    pages: int
    outcomes: dict[str, int]
    skipped: list[SkippedUrl]
    bytes: int
    seconds: float
    complete: bool
    notes: list[str]

    def to_dict(self) -> dict[str, Any]:
        """The report as one JSON object."""
        return asdict(self)


@dataclass(frozen=True)
class CrawlResult:
    """The pages, sorted by address, and the report."""

    pages: list[Page]
    report: CrawlReport


def crawl(
    start_url: str,
    *,
    public_base: str | None = None,
    settings: CrawlSettings | None = None,
    progress: Progress = silent,
    previous: Mapping[str, Page] | None = None,
) -> CrawlResult:
    """All HTML pages under the directory of ``start_url``.

    ``https://host/help/`` and ``https://host/help/index.html`` cover ``/help/``; a last part
    without a slash is a file, so end a directory with one. Pages are found through links and
    sitemaps. robots.txt and robots meta tags are obeyed.

    Args:
        start_url: an http(s) address.
        public_base: what takes the place of the start URL's directory in ``Page.url``, and whose
            addresses in canonical links, sitemaps and links mean the crawled site.
        settings: limits; the defaults suit a site of some thousand pages.
        progress: called with the number of addresses done and known.
        previous: pages of an earlier crawl by their ``url``. They are asked for conditionally, and
            kept as they were where the server says that nothing changed. A page that no link leads
            to any longer stays for as long as the server has it.

    Raises:
        UserError: if the start URL is no address, does not answer, leads elsewhere or is closed to
            crawlers, or if no page is found.
    """
    try:
        start = normalise(start_url)
        if start is None:
            raise ValueError("no http(s) address")
        scope = Scope.of(start, public_base)
    except (ValueError, UnicodeError) as error:
        raise UserError(
            f"The docs site address {start_url!r} cannot be used: {error}. "
            "Give a full address such as https://docs.example.com/help/."
        ) from None
    walk = _Walk(
        start, scope, settings or CrawlSettings(), progress, dict(previous or {}), public_base
    )
    with _rare_collections():
        return asyncio.run(walk.run())


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Let Python look for unreachable cycles less often.

    A page is some thousand nodes that know their parents. At the usual threshold they are looked
    through again and again while the page is read, which takes a sixth of the time.
    """
    first, *others = gc.get_threshold()
    if first:  # 0 is for never
        gc.set_threshold(max(first, _NODES_BETWEEN_COLLECTIONS), *others)
    try:
        yield
    finally:
        gc.set_threshold(first, *others)


@dataclass
class _Found:
    """A page with what decides whether it is a second copy of another."""

    url: str  # as requested
    page: Page
    canonical: str
    content: Content | None = None  # of a page that does not name its container


class _Stop(Exception):
    """An address gives no page."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


@dataclass
class _Links:
    """Addresses under the prefix, and hrefs that are none with what is wrong with them."""

    urls: list[str] = field(default_factory=list)
    malformed: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class _Read:
    """What a parsed answer gives: a page or the reason for none, and links in either case."""

    result: _Found | _Stop
    links: _Links


@dataclass
class _Answer:
    status: int
    headers: CIMultiDictProxy[str]
    body: bytes

    @property
    def kind(self) -> str:
        """The media type; "" where none is said."""
        said: str = self.headers.get("content-type", "")
        return said.partition(";")[0].strip().lower()

    @property
    def is_html(self) -> bool:
        return self.kind in _HTML or (not self.kind and _sniff(self.body))


class _Walk:
    """The state of one crawl."""

    def __init__(
        self,
        start: str,
        scope: Scope,
        settings: CrawlSettings,
        progress: Progress,
        previous: dict[str, Page],
        public_base: str | None,
    ) -> None:
        self.start = start
        self.scope = scope
        self.settings = settings
        self.progress = progress
        self.previous = previous
        self.public_base = public_base
        self.began = time.monotonic()
        self.requested = 0
        self.bytes = 0
        self.done = 0
        self.known: dict[str, int] = {}  # addresses and the number of links that led there
        self.traps = Traps(settings.trap_pages)
        self.spelled: dict[tuple[str, str], str | ValueError | None] = {}
        self.beyond: set[str] = set()  # known but over a limit
        self.queue: deque[str] = deque()
        self.work = asyncio.Condition()
        self.active = 0
        self.found: list[_Found] = []
        self.bodies: dict[tuple[bytes, str], _Found] = {}  # by hash and Content-Type
        self.redirects: dict[str, str] = {}
        self.hops: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.skipped: list[SkippedUrl] = []
        self.notes: list[str] = []
        self.robots = Robots()
        self.next_request = 0.0
        self.out_of_time = False

    # The whole ------------------------------------------------------------------------------

    async def run(self) -> CrawlResult:
        limit = self.settings
        async with Session(
            urlsplit(self.start).hostname or "",
            connections=limit.concurrency + 1,
            headers={
                "user-agent": limit.header,
                "accept-encoding": "gzip, deflate",
                "accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.1",
            },
            timeout_seconds=limit.timeout_seconds,
        ) as session:
            self.session = session
            try:
                async with asyncio.timeout(limit.max_seconds):
                    await self._open()
                    await self._walk()
            except TimeoutError:
                self.out_of_time = True
        if self.out_of_time:
            rest = len(self.known) - self.done
            self._skip("time-limit", self.start, f"{rest} addresses left", count=max(1, rest))
        return self._result()

    async def _open(self) -> None:
        """Read robots.txt, settle where the crawl starts, and collect the sitemaps."""
        self.robots = await self._read_robots()
        first = await self._first_answer()
        self._learn(self.start, 0)
        self.first = first
        await self._read_sitemaps()
        for url in self.previous:
            self._learn(self.scope.to_crawled(url), 1)

    async def _first_answer(self) -> _Answer:
        shown = self.start
        hops = [self.start]
        while True:
            if not self.robots.allows(self.start):
                raise UserError(
                    f"robots.txt of {shown} forbids crawling it. "
                    f"Allow the user agent {self.settings.agent!r} there, or start at another "
                    "address."
                )
            try:
                answer = await self._get(self.start, self._before(self.start))
            except _Stop as stop:
                raise UserError(
                    f"The docs site {shown} did not answer ({stop.detail or stop.reason}). "
                    "Check the address and that the site is up, then try again."
                ) from None
            if answer.status not in _REDIRECTS:
                break
            target = normalise(answer.headers.get("location", ""), self.start)
            here, there = urlsplit(self.start), urlsplit(target or "")
            upgrade = here.scheme == "http" and there.scheme == "https"
            same_host = here.hostname == there.hostname and (
                here.netloc == there.netloc or (upgrade and not here.port and not there.port)
            )
            if target is None or not same_host:
                raise UserError(
                    f"The docs site {shown} redirects to {target or 'nowhere'}. "
                    "Give the address that it redirects to, if that is the site you mean."
                )
            if target in hops or len(hops) > self.settings.max_redirects:
                raise UserError(
                    f"The docs site {shown} redirects in a circle. Check the address in a browser."
                )
            hops.append(target)
            self._move_start(target)
        if answer.status >= 400:
            raise UserError(
                f"The docs site {shown} answers with HTTP {answer.status}. "
                "Check the address in a browser."
            )
        return answer

    def _move_start(self, target: str) -> None:
        """Start at a redirect's target; the prefix moves where the target lies outside it.

        ``/help`` that redirects to ``/help/`` names the directory, so the prefix becomes it.
        """
        if not self.scope.covers(target) or target.startswith(self.start.rstrip("/") + "/"):
            self.scope = Scope.of(target, self.public_base)
        self.start = target

    async def _walk(self) -> None:
        workers = [asyncio.create_task(self._worker()) for _ in range(self.settings.concurrency)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()

    async def _worker(self) -> None:
        while True:
            async with self.work:
                while not self.queue and self.active:
                    await self.work.wait()
                if not self.queue:
                    self.work.notify_all()
                    return
                url = self.queue.popleft()
                self.active += 1
            try:
                await self._visit(url)
            except _Stop as stop:
                self._skip(stop.reason, url, stop.detail)
            except Exception as error:  # whatever one page does must not cost the others
                self._skip("error", url, type(error).__name__)
            self.done += 1
            self.progress("pages", self.done, len(self.known))
            async with self.work:
                self.active -= 1
                self.work.notify_all()

    # One address ----------------------------------------------------------------------------

    async def _visit(self, url: str) -> None:
        if not looks_like_html(url):
            raise _Stop("not-html", "by its name")
        if not self.robots.allows(url):
            raise _Stop("robots")
        if why := self.traps.why(url):
            raise _Stop("trap", why)
        before = self._before(url)
        answer = self.first if url == self.start else await self._get(url, before)
        if answer.status == 304 and before is not None:
            self.outcomes["not-modified"] += 1
            self.found.append(_Found(url, before, url))
            return
        if answer.status in _REDIRECTS:
            self._redirect(url, answer)
        if answer.status != 200:
            raise _Stop(f"http-{answer.status}")
        if not answer.is_html:
            raise _Stop("not-html", answer.kind)
        if len(answer.body) > _LONG_PAGE:  # in a thread, so that the other requests go on meanwhile
            read = await asyncio.to_thread(self._read_page, url, answer)
        else:  # threads that wait for one another's turn take half as long again
            read = self._read_page(url, answer)
        self._learn_all(read.links, self.known[url] + 1)
        if isinstance(read.result, _Stop):
            self.traps.saw(url, f"{read.result.reason} {read.result.detail}")
            raise read.result
        self.traps.saw(url, read.result.page.text)
        self.outcomes["ok"] += 1
        self.found.append(read.result)

    def _before(self, url: str) -> Page | None:
        return self.previous.get(self.scope.to_public(url))

    def _redirect(self, url: str, answer: _Answer) -> None:
        """Note a redirect; its target is a page of its own, checked like any other address."""
        location = answer.headers.get("location", "")
        try:
            target = normalise(location, url)
        except ValueError:
            target = None
        if target is None:
            raise _Stop("malformed-url", f"redirects to {location!r}")
        target = self.scope.to_crawled(target)
        if not self.scope.covers(target):
            raise _Stop("redirect-outside", target)
        self.redirects[url] = target
        hops = 0
        following: str | None = target
        while following is not None and hops <= self.settings.max_redirects:
            if following == url:
                raise _Stop("redirect-loop", target)
            following = self.redirects.get(following)
            hops += 1
        self.hops[target] = max(self.hops[target], self.hops[url] + 1)
        if self.hops[target] > self.settings.max_redirects:
            raise _Stop("too-many-redirects", target)
        self.traps.saw(url, target)
        self._learn(target, self.known[url])
        raise _Stop("redirect", target)

    def _read_page(self, url: str, answer: _Answer) -> _Read:
        """The page, the addresses that it names, and why it is no page if it is none."""
        headers = answer.headers
        root = parse(decode_html(answer.body, _charset(headers.get("content-type", ""))))
        if root is None:
            return _Read(_Stop("no-content", "the page is empty"), _Links())
        head = _Head.of(root, url, self.settings.agent)
        rules = head.rules | _header_rules(headers, self.settings.agent)
        canonical = self._canonical(head)
        links = _Links()
        if "nofollow" not in rules:
            links = self._within(head.hrefs, head.base)
            if canonical is not None and self.scope.covers(canonical):
                links.urls.append(canonical)
        if head.refresh:
            return _Read(_Stop("redirect", head.refresh), links)
        if "noindex" in rules:
            return _Read(_Stop("noindex"), links)
        public = self.scope.to_public(url)
        etag, last_modified = headers.get("etag"), headers.get("last-modified")
        # Every site gives its first page at two addresses, and some give all of them at many.
        body = (hashlib.sha256(answer.body).digest(), headers.get("content-type", ""))
        if (same := self.bodies.get(body)) is not None:
            page = replace(same.page, url=public, etag=etag, last_modified=last_modified)
            return _Read(_Found(url, page, canonical or url, same.content), links)
        content = extract_content(root, url=public, fetched_url=url)
        if isinstance(content, Skipped):
            return _Read(_Stop(content.reason, content.detail), links)
        page = content.page(public, etag=etag, last_modified=last_modified)
        found = _Found(url, page, canonical or url, None if content.named else content)
        self.bodies[body] = found
        return _Read(found, links)

    def _canonical(self, head: _Head) -> str | None:
        try:
            found = normalise(head.canonical, head.base) if head.canonical else None
        except ValueError:
            return None
        return None if found is None else self.scope.to_crawled(found)

    def _within(self, hrefs: Iterable[str], base: str) -> _Links:
        """The addresses under the prefix, and the malformed ones beside them."""
        links = _Links()
        folder = base.partition("?")[0].rpartition("/")[0]
        for href in dict.fromkeys(href.partition("#")[0].strip() for href in hrefs):
            # What has no path of its own means the very page, not its folder.
            key = (base if not href or href[0] in "?;" else folder, href)
            if key not in self.spelled:
                self.spelled[key] = _spelled(href, base)
            url = self.spelled[key]
            if isinstance(url, ValueError):
                links.malformed.append((href[:200], str(url)))
            elif url is not None and self.scope.covers(found := self.scope.to_crawled(url)):
                links.urls.append(found)
        return links

    def _learn_all(self, links: _Links, depth: int) -> None:
        for href, why in links.malformed:
            self._skip("malformed-url", href, why)
        for url in links.urls:
            self._learn(url, depth)

    def _learn(self, url: str, depth: int) -> None:
        """Queue an address under the prefix, once. ``depth`` is the number of links to it."""
        if url in self.known or url in self.beyond or not self.scope.covers(url):
            return
        reason = ""
        if len(self.known) >= self.settings.max_pages:
            reason = "page-limit"
        elif depth > self.settings.max_depth:
            reason = "depth-limit"
        if reason:
            self.beyond.add(url)
            self._skip(reason, url)
            return
        self.known[url] = depth
        self.queue.append(url)

    def _skip(self, reason: str, url: str, detail: str = "", *, count: int = 1) -> None:
        self.outcomes[reason] += count
        if len(self.skipped) < _REPORTED:
            shown = self.scope.to_public
            self.skipped.append(SkippedUrl(shown(url), reason, shown(detail)))

    # Requests -------------------------------------------------------------------------------

    async def _get(
        self, url: str, before: Page | None = None, *, limit: int | None = None
    ) -> _Answer:
        """One address, with retries. Raises _Stop where no answer is had.

        Args:
            url: what to request.
            before: the page as it was, for a conditional request.
            limit: bytes of a body of any kind; without it only HTML is read, up to the settings'.
        """
        headers: dict[str, str] = {}
        if before is not None:
            if before.etag:
                headers["if-none-match"] = before.etag
            if before.last_modified:
                headers["if-modified-since"] = before.last_modified
        attempt = 0
        while True:
            attempt += 1
            wait = self.settings.backoff_seconds * 2 ** (attempt - 1)
            try:
                answer = await self._request(url, headers, limit)
            except BodyTooLargeError as error:
                raise _Stop("too-large", str(error)) from None
            except PrivateAddressError as error:
                raise _Stop("private-address", str(error)) from None
            except (aiohttp.InvalidURL, BodyEncodingError) as error:
                raise _Stop("error", f"{type(error).__name__}: {error}") from None
            except aiohttp.ServerTimeoutError:
                if attempt >= self.settings.attempts:
                    raise _Stop("timeout", "no answer in time") from None
            except TimeoutError:  # the whole request took too long; it would do so again
                raise _Stop("timeout", "not whole in time") from None
            except (aiohttp.ClientError, OSError) as error:
                if attempt >= self.settings.attempts:
                    raise _Stop("network", f"{type(error).__name__}: {error}") from None
            else:
                if answer.status not in _RETRIED or attempt >= self.settings.attempts:
                    return answer
                asked = min(_retry_after(answer.headers), self.settings.max_wait_seconds)
                # Who asks for patience asks it for every request.
                self.next_request = max(self.next_request, time.monotonic() + asked)
            await asyncio.sleep(min(wait, self.settings.max_wait_seconds))

    async def _request(self, url: str, headers: dict[str, str], limit: int | None) -> _Answer:
        if self.bytes >= self.settings.max_bytes:
            raise _Stop("byte-limit", f"{self.bytes} bytes read")
        await self._pace()
        self.requested += 1
        async with (
            asyncio.timeout(self.settings.request_seconds),
            self.session.get(url, headers) as response,
        ):
            answer = _Answer(response.status, response.headers, b"")
            # What is no page is not worth its bytes.
            if answer.status == 200 and (limit or answer.kind in _HTML or not answer.kind):
                try:
                    answer.body = await read_body(response, limit or self.settings.max_page_bytes)
                except BodyTooLargeError:
                    self.bytes += limit or self.settings.max_page_bytes
                    raise
                self.bytes += len(answer.body)
            return answer

    async def _pace(self) -> None:
        """Wait for this request's turn."""
        delay = max(self.settings.delay_seconds, min(self.robots.delay, 10.0))
        while (wait := self.next_request - time.monotonic()) > 0:
            await asyncio.sleep(wait)
        if delay:
            self.next_request = time.monotonic() + delay

    async def _read_robots(self) -> Robots:
        answer = await self._get_following(urljoin(self.start, "/robots.txt"))
        if answer is None or (400 <= answer.status < 500 and answer.status != 429):
            return Robots()  # no rules; a site that is down fails at the start URL, by its name
        if answer.status >= 400:
            raise UserError(
                f"robots.txt of {self.start} answers with HTTP {answer.status}, "
                "so it is not known what may be crawled. Try again later."
            )
        return parse_robots(answer.body.decode("utf-8", errors="replace"), self.settings.agent)

    async def _get_following(self, url: str) -> _Answer | None:
        """A file of the site that is no page, redirects on the same host followed."""
        for _ in range(5):
            try:
                answer = await self._get(url, limit=_SITEMAP_BYTES)
                if answer.status not in _REDIRECTS:
                    return answer
                target = normalise(answer.headers.get("location", ""), url)
            except (_Stop, ValueError):
                return None
            if target is None or urlsplit(target).hostname != urlsplit(self.start).hostname:
                return None
            url = target
        return None

    async def _read_sitemaps(self) -> None:
        """Queue what the sitemaps name under the prefix. A sitemap that fails adds nothing."""
        origin = urljoin(self.start, "/")
        usual = [place + "sitemap.xml" for place in (origin, self.scope.prefix)]
        waiting = deque([*self.robots.sitemaps, *usual])
        read: set[str] = set()
        while waiting:
            url = _joined(self.start, waiting.popleft())
            if url is None:
                continue
            url = self.scope.to_crawled(url)
            if url in read or not url.startswith(origin) or not self.robots.allows(url):
                continue
            if len(read) >= _MAX_SITEMAPS:
                self._skip("sitemap-limit", url, count=len(waiting) + 1)
                return
            read.add(url)
            answer = await self._get_following(url)
            if answer is None or answer.status != 200:
                continue
            text = _inflated(answer.body, _SITEMAP_BYTES).decode("utf-8-sig", "replace")
            locations = [html_entities.unescape(found.strip()) for found in _LOCATION.findall(text)]
            if "<" not in text:  # the plain form: one address a line
                locations = text.split()
            if _INDEX.search(text):
                waiting.extend(locations)
            else:
                self._learn_all(self._within(locations, self.start), 1)

    # The result -----------------------------------------------------------------------------

    def _result(self) -> CrawlResult:
        self._leave_out_repeated()
        self._leave_out_traps()
        pages = self._without_copies()
        if not pages:
            counts = ", ".join(f"{count} {reason}" for reason, count in self.outcomes.most_common())
            raise UserError(
                f"No page was found under {self.scope.prefix} ({counts or 'nothing was linked'}). "
                "Check that the address is the docs' own directory and that its pages are HTML."
            )
        lost = [
            reason
            for reason in self.outcomes
            if reason in _LOST or reason == "http-429" or reason.startswith("http-5")
        ]
        if lost:
            self.notes.append(
                "The crawl is not complete: "
                + ", ".join(f"{self.outcomes[reason]} {reason}" for reason in sorted(lost))
                + "."
            )
        report = CrawlReport(
            start_url=self.scope.to_public(self.start),
            requested=self.requested,
            pages=len(pages),
            outcomes=dict(sorted(self.outcomes.items())),
            skipped=sorted(self.skipped, key=lambda item: (item.reason, item.url)),
            bytes=self.bytes,
            seconds=round(time.monotonic() - self.began, 3),
            complete=not lost,
            notes=self.notes,
        )
        return CrawlResult(pages, report)

    def _leave_out_repeated(self) -> None:
        """Cut what the site repeats from the pages that do not name their container."""
        anew = [item for item in self.found if item.content is not None]
        unchanged = [item.page.repeated for item in self.found if item.content is None]
        blocks = [item.content.blocks for item in anew if item.content is not None]
        keys = repeated_keys(blocks, [keys for keys in unchanged if keys])
        for item in anew if keys else []:
            if item.content is not None:
                page = item.page
                item.page = item.content.page(
                    page.url, etag=page.etag, last_modified=page.last_modified, repeated=keys
                )

    def _leave_out_traps(self) -> None:
        """Of pages whose addresses turned out to be a trap, keep one for each text."""
        if not self.traps.closed:
            return
        said: set[tuple[str, str]] = set()
        kept: list[_Found] = []
        for item in sorted(self.found, key=lambda item: (self.known[item.url], item.url)):
            trapped = self.traps.closed.intersection(shapes(item.url))
            spoken = {(shape, skeleton(item.page.text)) for shape in trapped}
            if spoken & said:
                self._uncount(item)
                self._skip("trap", item.url, f"one more of {min(trapped)}")
                continue
            said |= spoken
            kept.append(item)
        self.found = kept
        self.notes.append(
            f"Not followed to their end, because they say the same: {sorted(self.traps.closed)}."
        )

    def _without_copies(self) -> list[Page]:
        """One page for each canonical address and for each content, sorted by address.

        Of several, the one at its own canonical address stays, then the first by address.
        """
        found = sorted(self.found, key=lambda item: (item.url != item.canonical, item.url))
        shared: dict[str, set[str]] = defaultdict(set)
        for item in found:
            shared[item.canonical].add(item.page.content_hash)
        for canonical, contents in shared.items():
            # A template that gives every page the same canonical link would leave one page.
            if len(contents) > 4 and len(contents) * 2 > len(found):
                self.notes.append(
                    f"{len(contents)} different pages name {self.scope.to_public(canonical)} as "
                    "their canonical address; the canonical links were not used."
                )
                found = sorted(
                    (replace(item, canonical=item.url) for item in found), key=lambda i: i.url
                )
                break
        by_canonical: set[str] = set()
        by_content: dict[tuple[str, str], str] = {}
        pages: list[Page] = []
        for item in found:
            content = (item.page.title, item.page.content_hash)
            if item.canonical in by_canonical:
                self._duplicate(item, item.canonical)
            elif content in by_content:
                self._duplicate(item, by_content[content])
            else:
                by_canonical.add(item.canonical)
                by_content[content] = item.url
                pages.append(item.page)
        return sorted(pages, key=lambda page: page.url)

    def _duplicate(self, item: _Found, of: str) -> None:
        self._uncount(item)
        self._skip("duplicate", item.url, self.scope.to_public(of))

    def _uncount(self, item: _Found) -> None:
        before = self.previous.get(item.page.url) is item.page
        self.outcomes["not-modified" if before else "ok"] -= 1


def _sniff(body: bytes) -> bool:
    return bool(
        re.match(rb"\s*(<!--.*?-->\s*)*<(!doctype\s+html|html|head|body)", body[:2048], re.I | re.S)
    )


def _charset(content_type: str) -> str | None:
    found = re.search(r"charset\s*=\s*[\"']?([^\s\"';]+)", content_type, re.IGNORECASE)
    return found.group(1) if found else None


def _joined(base: str, href: str) -> str | None:
    try:
        return normalise(href, base)
    except ValueError:
        return None


def _spelled(href: str, base: str) -> str | ValueError | None:
    try:
        return normalise(href, base)
    except ValueError as error:
        return error


@dataclass
class _Head:
    """What a page says to a crawler."""

    base: str
    hrefs: list[str] = field(default_factory=list)
    rules: set[str] = field(default_factory=set)
    refresh: str = ""
    canonical: str = ""

    @classmethod
    def of(cls, root: Any, url: str, agent: str) -> _Head:
        head = cls(url)
        said: list[str] = []
        for element in root.iter("a", "area", "base", "link", "meta", "frame", "iframe"):
            tag, href = element.tag, element.get("href")
            if tag in {"a", "area"}:
                if href is not None:
                    head.hrefs.append(href)
            elif tag == "base":
                if href is not None and head.base == url:
                    head.base = _joined(url, href) or url
            elif tag == "link":
                relations = (element.get("rel") or "").lower().split()
                if href and "next" in relations:
                    head.hrefs.append(href)
                if href and "canonical" in relations and not head.canonical:
                    head.canonical = href
            elif tag == "meta":
                content = element.get("content") or ""
                if (element.get("name") or "").lower() in {"robots", agent.lower()}:
                    said.append(content)
                if (element.get("http-equiv") or "").lower() == "refresh" and not head.refresh:
                    head.refresh = _refresh_target(content)
            elif source := element.get("src"):
                head.hrefs.append(source)
        if head.refresh:
            head.hrefs.append(head.refresh)
        head.rules = _words(said)
        return head


def _words(said: Iterable[str]) -> set[str]:
    words = {word.strip().lower() for text in said for word in text.split(",")}
    return words | {"noindex", "nofollow"} if "none" in words else words


def _header_rules(headers: CIMultiDictProxy[str], agent: str) -> set[str]:
    """The words of X-Robots-Tag headers that concern this crawler."""
    said = []
    for value in headers.getall("x-robots-tag", ()):
        name, colon, rules = value.partition(":")
        if not colon:
            said.append(value)
        elif name.strip().lower() == agent.lower():
            said.append(rules)
    return _words(said)


def _refresh_target(content: str) -> str:
    """Where a page that is only a redirect leads; "" for a page."""
    found = re.match(r"\s*(\d+)(?:\.\d*)?\s*[;,]\s*url\s*=\s*[\"']?([^\"'>]+)", content, re.I)
    return found.group(2).strip() if found and int(found.group(1)) <= 5 else ""


def _retry_after(headers: CIMultiDictProxy[str]) -> float:
    """Seconds that a Retry-After header asks for; 0 without a usable one."""
    value = headers.get("retry-after", "").strip()
    if value.isdigit():
        return float(value)
    try:
        at = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return max(0.0, (at - datetime.now(UTC)).total_seconds())


def _inflated(body: bytes, limit: int) -> bytes:
    """A sitemap that is a gzip file, unpacked up to the limit; any other as it is."""
    if not body.startswith(b"\x1f\x8b"):
        return body
    try:
        return zlib.decompressobj(wbits=31).decompress(body, limit)
    except (zlib.error, gzip.BadGzipFile):
        return b""
