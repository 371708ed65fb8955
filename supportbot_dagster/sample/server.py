"""The sample product's help centre as a real site on loopback.

What lives here: rendering the article fragments of ``site/help`` in the layout, and a small HTTP
server with validators, sitemap and robots.txt. What does not: the articles themselves, and
crawling.
"""

from __future__ import annotations

import html
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from email.utils import format_datetime, parsedate_to_datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import jinja2
from markupsafe import Markup

from supportbot_dagster.errors import UserError
from supportbot_dagster.hashing import sha256_text

PUBLIC_BASE = "https://docs.tracklight.example/help/"
_SITE = Path(__file__).parent / "site"

_GROUPS = {
    "getting-started": "Getting started",
    "workspace": "Workspace",
    "issues": "Issues",
    "views": "Views",
    "teams": "Teams",
    "projects": "Projects",
    "initiatives": "Initiatives",
    "cycles": "Cycles",
    "insights": "Insights",
    "roadmap": "Roadmap",
    "integrations": "Integrations",
    "api": "API",
    "import-export": "Import and export",
    "account": "Your account",
    "security": "Security",
    "billing": "Billing",
    "troubleshooting": "Troubleshooting",
}
# The order in which a reader meets them; an article that is not named follows by its file name.
_ORDER = [
    "what-is-tracklight",
    "create-workspace",
    "invite-teammates",
    "desktop-and-mobile-apps",
    "keyboard-shortcuts",
    "general-settings",
    "members-and-roles",
    "delete-or-leave",
    "create-issues",
    "edit-and-assign",
    "bulk-actions",
    "archive-and-delete",
    "labels",
    "relations-and-sub-issues",
    "comments-and-mentions",
    "templates-and-recurring",
    "filters",
    "custom-views",
    "display-options",
    "search",
    "create-team",
    "visibility",
    "workflow-statuses",
    "triage",
    "projects",
    "milestones",
    "project-updates",
    "cycles",
    "cycle-automation",
    "slack",
    "github",
    "gitlab",
    "figma-and-embeds",
    "calendar-and-email",
    "api-keys",
    "graphql",
    "webhooks",
    "import-issues",
    "export-data",
    "profile",
    "sign-in",
    "notifications",
    "sso-and-scim",
    "audit-log-and-data",
    "plans-and-seats",
    "invoices-and-payment",
    "sync-and-offline",
    "common-errors",
    "contact-support",
]
_TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8"}


@dataclass(frozen=True)
class _Article:
    path: str  # below /help/
    group: str
    title: str
    updated: date
    body: str


@dataclass(frozen=True)
class _File:
    body: bytes
    content_type: str
    updated: date

    @property
    def etag(self) -> str:
        """A strong validator: the hash of the body."""
        return f'"{sha256_text(self.body.decode("utf-8"))[:32]}"'

    @property
    def last_modified(self) -> datetime:
        return datetime.combine(self.updated, time(), UTC)


@dataclass(frozen=True)
class _Link:
    path: str
    title: str


@dataclass(frozen=True)
class _Group:
    label: str
    pages: list[_Link]


@dataclass(frozen=True)
class _Heading:
    anchor: str
    text: str


def render_site(site_dir: Path | None = None) -> dict[str, bytes]:
    """Every file of the site by its path (``/help/``, ``/help/issues/labels.html``, ...).

    Args:
        site_dir: a folder with ``help/<group>/<article>.html`` fragments, and optionally its own
            ``layout.html.j2`` and ``assets/``; by default the sample's.

    Raises:
        UserError: if there is no article, or one lacks its title or date.
    """
    return {path: file.body for path, file in _render(site_dir or _SITE).items()}


@contextmanager
def serve_sample_site(port: int = 0, site_dir: Path | None = None) -> Iterator[str]:
    """Serve the site on 127.0.0.1 until the block ends; gives ``http://127.0.0.1:PORT/help/``.

    An article that is edited meanwhile shows at the next request.

    Args:
        port: 0 takes a free one.
        site_dir: as for :func:`render_site`.

    Raises:
        UserError: if the port is taken, or the site cannot be rendered.
    """
    site = _Site(site_dir or _SITE)
    site.files()

    class Handler(_Handler):
        pass

    Handler.site = site
    try:
        server = _Server(("127.0.0.1", port), Handler)
    except OSError as error:
        raise UserError(
            f"The sample site cannot listen on port {port} ({error.strerror}). "
            "Choose another port, or 0 for any free one."
        ) from None
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/help/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Site:
    """The rendered files, rendered again when an article changes."""

    def __init__(self, site_dir: Path) -> None:
        self._dir = site_dir
        self._lock = threading.Lock()
        self._state: list[tuple[str, int, int]] = []
        self._files: dict[str, _File] = {}

    def files(self) -> dict[str, _File]:
        with self._lock:
            state = [
                (str(path), path.stat().st_mtime_ns, path.stat().st_size)
                for path in sorted((self._dir / "help").rglob("*.html"))
            ]
            if state != self._state or not self._files:
                self._files = _render(self._dir)
                self._state = state
            return self._files


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Pass over clients that hang up; anything else is told as usual."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _Handler(BaseHTTPRequestHandler):
    site: _Site
    protocol_version = "HTTP/1.1"
    server_version = "TracklightHelp"

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the server runs inside other programs."""

    def _answer(self, *, with_body: bool) -> None:
        files = self.site.files()
        path = unquote(urlsplit(self.path).path)
        if path in {"/", "/help"}:
            self._send(HTTPStatus.MOVED_PERMANENTLY, b"", {"Location": "/help/"}, with_body)
            return
        file = files.get(path)
        if file is None:
            missing = files["/help/404.html"]
            headers = {"Content-Type": missing.content_type}
            self._send(HTTPStatus.NOT_FOUND, missing.body, headers, with_body)
            return
        headers = {
            "ETag": file.etag,
            "Last-Modified": format_datetime(file.last_modified, usegmt=True),
            "Cache-Control": "no-cache",
        }
        if self._unchanged(file):
            self._send(HTTPStatus.NOT_MODIFIED, b"", headers, with_body=False)
            return
        headers["Content-Type"] = file.content_type
        self._send(HTTPStatus.OK, file.body, headers, with_body)

    def _unchanged(self, file: _File) -> bool:
        if (tags := self.headers.get("If-None-Match")) is not None:
            named = [tag.strip().removeprefix("W/") for tag in tags.split(",")]
            return "*" in named or file.etag in named
        since = self.headers.get("If-Modified-Since")
        if since is None:
            return False
        try:
            return file.last_modified <= parsedate_to_datetime(since)
        except (ValueError, TypeError):  # no date, or one without a zone
            return False

    def _send(
        self, status: HTTPStatus, body: bytes, headers: dict[str, str], with_body: bool
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != HTTPStatus.NOT_MODIFIED:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)


# Rendering --------------------------------------------------------------------------------------


def _render(site_dir: Path) -> dict[str, _File]:
    articles = _articles(site_dir / "help")
    layout_dir = site_dir if (site_dir / "layout.html.j2").exists() else _SITE
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(layout_dir),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    template = environment.get_template("layout.html.j2")
    groups = [
        _Group(label, [_Link(item.path, item.title) for item in articles if item.group == group])
        for group, label in _groups(articles).items()
    ]
    newest = max(item.updated for item in articles)
    html_type = _TYPES[".html"]
    files: dict[str, _File] = {}
    for number, item in enumerate(articles):
        body, contents = _with_anchors(item.body)
        before = articles[number - 1] if number else None
        after = articles[number + 1] if number + 1 < len(articles) else None
        text = template.render(
            title=item.title,
            canonical=PUBLIC_BASE + item.path,
            root="../" * item.path.count("/") or "./",
            path=item.path,
            groups=groups,
            group_label=_label(item.group),
            body=Markup(body),
            updated=item.updated.isoformat(),
            updated_long=f"{item.updated.day} {item.updated:%B %Y}",
            contents=contents,
            previous=before,
            next=after,
        )
        files[f"/help/{item.path}"] = _File(text.encode("utf-8"), html_type, item.updated)
    for name, title, canonical, body in (
        ("", "Help centre", PUBLIC_BASE, _home(groups)),
        ("index.html", "Help centre", PUBLIC_BASE, _home(groups)),
        ("404.html", "Page not found", PUBLIC_BASE + "404.html", _MISSING),
    ):
        text = template.render(
            title=title,
            canonical=canonical,
            root="/help/" if name == "404.html" else "./",
            path=name,
            groups=groups,
            group_label="",
            body=Markup(body),
            updated="",
            updated_long="",
            contents=[],
            previous=None,
            next=None,
        )
        files[f"/help/{name}"] = _File(text.encode("utf-8"), html_type, newest)
    assets = site_dir / "assets" if (site_dir / "assets").is_dir() else _SITE / "assets"
    for path in sorted(assets.glob("*.css")):
        files[f"/help/assets/{path.name}"] = _File(path.read_bytes(), _TYPES[".css"], newest)
    files["/sitemap.xml"] = _File(_sitemap(articles, newest), "application/xml", newest)
    origin = PUBLIC_BASE.removesuffix("help/")
    robots = f"User-agent: *\nDisallow: /help/404.html\nSitemap: {origin}sitemap.xml\n"
    files["/robots.txt"] = _File(robots.encode(), "text/plain; charset=utf-8", newest)
    return files


def _articles(folder: Path) -> list[_Article]:
    found: list[_Article] = []
    for path in sorted(folder.rglob("*.html")):
        text = path.read_text(encoding="utf-8")
        title = re.search(r"<!--\s*title:\s*(.+?)\s*-->", text)
        updated = re.search(r"<!--\s*updated:\s*(\d{4}-\d{2}-\d{2})\s*-->", text)
        if title is None or updated is None:
            raise UserError(
                f"The sample article {path} lacks its title or date. Begin it with "
                "<!-- title: ... --> and <!-- updated: YYYY-MM-DD -->."
            )
        place = path.relative_to(folder)
        body = re.sub(r"^\s*<!--\s*(?:title|updated):.*?-->\s*", "", text, flags=re.MULTILINE)
        found.append(
            _Article(
                place.as_posix(),
                place.parts[0] if len(place.parts) > 1 else "",
                html.unescape(title.group(1)),
                date.fromisoformat(updated.group(1)),
                body.strip(),
            )
        )
    if not found:
        raise UserError(
            f"There is no article under {folder}. Put fragments at <group>/<article>.html there."
        )
    known = list(_GROUPS)

    def place_of(item: _Article) -> tuple[int, str, int, str]:
        name = Path(item.path).stem
        return (
            known.index(item.group) if item.group in _GROUPS else len(known),
            item.group,
            _ORDER.index(name) if name in _ORDER else len(_ORDER),
            name,
        )

    return sorted(found, key=place_of)


def _groups(articles: list[_Article]) -> dict[str, str]:
    """The groups that have articles, in order, with their labels."""
    return {item.group: _label(item.group) for item in articles}


def _label(group: str) -> str:
    return _GROUPS.get(group) or group.replace("-", " ").capitalize() or "Articles"


def _with_anchors(body: str) -> tuple[str, list[_Heading]]:
    """The article with a permalink at each heading, and its "On this page" list."""
    contents: list[_Heading] = []

    def mark(found: re.Match[str]) -> str:
        anchor, inner = found.group(1), found.group(2)
        contents.append(_Heading(anchor, html.unescape(re.sub(r"<[^>]+>", "", inner))))
        link = f'<a class="headerlink" href="#{anchor}" aria-label="Link to this section">#</a>'
        return f'<h2 id="{anchor}">{inner}{link}</h2>'

    marked = re.sub(r'<h2 id="([^"]+)">(.*?)</h2>', mark, body, flags=re.DOTALL)
    return marked, contents


_MISSING = (
    "<h1>Page not found</h1>\n<p>There is no article at this address. "
    'Go to the <a href="/help/">help centre</a> or search above.</p>'
)


def _home(groups: list[_Group]) -> str:
    cards = "\n".join(
        f'<section class="card"><h2>{html.escape(group.label)}</h2><ul>'
        + "".join(
            f'<li><a href="{html.escape(page.path)}">{html.escape(page.title)}</a></li>'
            for page in group.pages
        )
        + "</ul></section>"
        for group in groups
    )
    return (
        '<div class="hero"><h1>How can we help?</h1>\n'
        "<p>Guides and reference for Tracklight, the issue tracker for software teams. "
        f'Pick a topic, or search above.</p></div>\n<div class="cards">\n{cards}\n</div>'
    )


def _sitemap(articles: list[_Article], newest: date) -> bytes:
    entries = [("", newest), *((item.path, item.updated) for item in articles)]
    lines = "\n".join(
        f"  <url><loc>{html.escape(PUBLIC_BASE + path)}</loc>"
        f"<lastmod>{updated.isoformat()}</lastmod></url>"
        for path, updated in entries
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n{lines}\n</urlset>\n'
    ).encode()
