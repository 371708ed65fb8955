"""The crawler measured on documentation sites of many generators, beside Scrapy with trafilatura.

What lives here: the sites, each one's true main text by hand-written rules, the figures and the
table. What does not: anything that the package uses. The truth is computed with Beautiful Soup and
CSS selectors and shares no code with the package's extractor, which knows none of these sites.

    python bench/crawl.py fetch     # Debian's documentation packages, and a Docusaurus site by npm
    python bench/crawl.py run       # all sites, both crawlers; writes bench/RESULTS.md
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
import warnings
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

HERE = Path(__file__).resolve().parent
DATA = Path(tempfile.gettempdir()) / "supportbot-bench-crawl"
RESULTS = HERE / "RESULTS.md"
CONCURRENCY = 6  # of both crawlers


@dataclass(frozen=True)
class Site:
    """One site and where its main text stands.

    Attributes:
        name: of the site, and of its folder.
        generator: what wrote its pages.
        package: Debian package, or "" for the Docusaurus site.
        folder: the site's root within the package.
        start: first page, relative to the root; its folder is the prefix.
        main: selectors of the main text. The parts that the first matching selector finds are read
            one after another.
        drop: what is no main text within it: permalinks, tables of contents of the page itself,
            line numbers, lines that a style sheet hides.
    """

    name: str
    generator: str
    package: str
    folder: str
    start: str
    main: tuple[str, ...]
    drop: str


_SPHINX_DROP = "a.headerlink, .linenos, .contents.topic, nav.contents"
_DOCBOOK_DROP = ".navheader, .navfooter, .toc"
SITES = (
    Site("gimp", "DocBook", "gimp-help-en", "usr/share/gimp/2.0/help/en", "index.html",
         ("body > div:not(.navheader):not(.navfooter):not(.reportbug)",),
         _DOCBOOK_DROP + ", .reportbug"),
    Site("postgresql", "DocBook", "postgresql-doc-15", "usr/share/doc/postgresql-doc-15/html",
         "index.html", ("body > div:not(.navheader):not(.navfooter)",), _DOCBOOK_DROP),
    Site("handbook", "DocBook, Publican", "debian-handbook",
         "usr/share/doc/debian-handbook/html/en-US", "index.html",
         ("body > div:not(#banner)",), _DOCBOOK_DROP + ", .docnav, #banner, #title"),
    Site("python", "Sphinx, pydoctheme", "python3.11-doc", "usr/share/doc/python3.11/html",
         "index.html", ("div.body[role=main]",), _SPHINX_DROP),
    Site("sphinx", "Sphinx, own theme", "sphinx-doc", "usr/share/doc/sphinx-doc/html",
         "index.html", ("div.body[role=main]",), _SPHINX_DROP),
    Site("requests", "Sphinx, Alabaster", "python-requests-doc",
         "usr/share/doc/python-requests-doc/html", "index.html",
         ("div.body[role=main]",), _SPHINX_DROP),
    Site("scrapy", "Sphinx, Read the Docs", "python-scrapy-doc",
         "usr/share/doc/python-scrapy-doc/html", "index.html",
         ("[itemprop=articleBody]",), _SPHINX_DROP),
    Site("mypy", "Sphinx, Furo", "mypy-doc", "usr/share/doc/mypy/html", "index.html",
         ("article[role=main]",), _SPHINX_DROP),
    Site("mkdocs", "MkDocs", "mkdocs-doc", "usr/share/doc/mkdocs/html", "index.html",
         ("[role=main]",), "a.headerlink"),
    Site("literate-nav", "MkDocs, Material", "mkdocs-literate-nav-doc",
         "usr/share/doc/mkdocs-literate-nav-doc/html", "index.html",
         ("article.md-content__inner",), "a.headerlink, .md-content__button, .md-source-file"),
    Site("git", "AsciiDoc", "git-doc", "usr/share/doc/git-doc", "index.html",
         ("body > #header, body > #content, body > #footnotes",), "#toc"),
    Site("rust-book", "mdBook", "rust-doc", "usr/share/doc/rust-doc/html/book", "index.html",
         ("main",), ".boring, .buttons, .sidetoc"),
    Site("doxygen", "Doxygen", "doxygen-doc", "usr/share/doc/doxygen/html", "index.html",
         (".header .title, div.contents",), ".toc, .ttc, .lineno, a.anchor, .summary"),
    Site("fftw", "Texinfo", "libfftw3-doc", "usr/share/doc/libfftw3-dev/html", "index.html",
         ("body > div, body > h1, body > h2, body > h3, body > p, body > ul, body > table",),
         ".header, .menu, .section-toc, .contents, .shortcontents, a.copiable-anchor, "
         "h2.contents-heading, h2.shortcontents-heading"),
    Site("docusaurus", "Docusaurus", "", "", "index.html",
         (".theme-doc-markdown", "main"),
         "a.hash-link, nav, footer, aside, .theme-doc-toc-mobile"),
)  # fmt: skip

_NOT_SEEN = "script, style, noscript, template, svg, button, head, select, textarea"
_BLOCKS = frozenset(
    "address article aside blockquote body br caption center dd details div dl dt figcaption "
    "figure footer form h1 h2 h3 h4 h5 h6 header hr legend li main nav ol p pre section summary "
    "table tbody td tfoot th thead tr ul".split()
)


# The sites --------------------------------------------------------------------------------------


def root_of(site: Site) -> Path:
    """Where the site's files are."""
    return DATA / site.name / (site.folder if site.package else "")


def fetch() -> None:
    """Get every site; nothing is installed."""
    DATA.mkdir(parents=True, exist_ok=True)
    for site in SITES:
        folder = DATA / site.name
        if folder.exists():
            continue
        print(f"fetch {site.name}", flush=True)
        with tempfile.TemporaryDirectory() as scratch:
            if site.package:
                subprocess.run(["apt-get", "download", "-q", site.package], cwd=scratch, check=True)
                (archive,) = Path(scratch).glob("*.deb")
                subprocess.run(["dpkg-deb", "-x", str(archive), str(folder)], check=True)
                continue
            make = ["npx", "--yes", "create-docusaurus@3", "site", "classic", "--javascript"]
            subprocess.run(make, cwd=scratch, check=True, stdin=subprocess.DEVNULL)
            subprocess.run(["npm", "run", "build"], cwd=Path(scratch) / "site", check=True)
            shutil.copytree(Path(scratch) / "site/build", folder)


class Server:
    """``http.server`` in a process of its own, with Last-Modified and keep-alive."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        command = [sys.executable, str(HERE / "crawl.py"), "serve", str(self.port), str(folder)]
        self._process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    break
            time.sleep(0.05)
        else:
            raise RuntimeError("the server did not start")
        # The server sets itself up while it answers for the first time, which is not to count
        # against the crawler that comes first.
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/") as answer:
            answer.read()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()


def serve(port: int, folder: str) -> None:
    """Serve a folder until the process is ended."""

    class Handler(SimpleHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Head and body are sent one after the other: without this, each answer waits 40 ms for the
        # client's delayed acknowledgement of the head, and the wait is all that is measured.
        disable_nagle_algorithm = True

        def log_message(self, format: str, *args: object) -> None:
            pass

    ThreadingHTTPServer(("127.0.0.1", port), partial(Handler, directory=folder)).serve_forever()


# The truth --------------------------------------------------------------------------------------


@dataclass
class Truth:
    """What a page holds, by the site's rules.

    Attributes:
        links: files under the prefix that it leads to.
        redirect: whether it only leads elsewhere, or asks not to be indexed.
        words: of its main text, in order.
        code: its code blocks, without white space at line ends.
        items: the words of each list item, without those of lists within it.
    """

    links: list[str]
    redirect: bool
    words: list[str]
    code: list[str]
    items: list[list[str]]


def words_of(text: str) -> list[str]:
    """The words, in lower case."""
    return re.findall(r"\w+", re.sub("[\u200b\u00ad\ufeff]", "", text).lower())


def _seen(node: Any, within: bool = False) -> Iterator[str]:
    """The text below a Beautiful Soup node, with line breaks around blocks."""
    from bs4.element import CData, NavigableString, Tag

    for child in node.children:
        if isinstance(child, Tag):
            if within and child.name in {"ul", "ol"}:
                continue
            block = child.name in _BLOCKS
            if block:
                yield "\n"
            yield from _seen(child, within)
            if block:
                yield "\n"
        elif type(child) in (NavigableString, CData):
            yield str(child)


def _code(pre: Any) -> str:
    for line_break in pre.find_all("br"):
        line_break.replace_with("\n")
    return trimmed(pre.get_text())


def trimmed(code: str) -> str:
    """Code without empty lines around it and white space at line ends."""
    lines = [line.rstrip() for line in code.replace("\xa0", " ").expandtabs().split("\n")]
    return "\n".join(lines).strip("\n")


def read_file(site: Site, name: str) -> Truth:
    """The truth of one file. ``name`` is relative to the site's root."""
    from bs4 import BeautifulSoup, XMLParsedAsHTMLWarning

    warnings.filterwarnings("ignore", category=XMLParsedAsHTMLWarning)
    root = root_of(site)
    raw = (root / name).read_bytes()
    soup = BeautifulSoup(re.sub(rb"^\s*<\?xml[^>]*\?>", b"", raw), "lxml", from_encoding="utf-8")
    base = f"http://site/{name}"
    refresh = soup.find("meta", attrs={"http-equiv": re.compile("refresh", re.I)})
    robots = soup.find("meta", attrs={"name": "robots"})
    hrefs = [a["href"] for a in soup.select("a[href], area[href]")]
    hrefs += [frame["src"] for frame in soup.select("frame[src], iframe[src]")]
    if refresh is not None and "url=" in refresh.get("content", "").lower():
        hrefs.append(re.split("url=", refresh["content"], flags=re.I)[1].strip("'\" "))
    links = []
    prefix = f"http://site/{site.start.rpartition('/')[0]}".rstrip("/") + "/"
    if site.start.endswith("/index.html"):  # the folder above covers its neighbours
        prefix = prefix.rstrip("/").rpartition("/")[0] + "/"
    for href in dict.fromkeys(hrefs):
        try:
            target = urldefrag(urljoin(base, href.strip()))[0]
        except ValueError:
            continue
        parts = urlsplit(target)
        if parts.netloc != "site" or not target.startswith(prefix):
            continue
        path = unquote(parts.path).lstrip("/")
        file = root / path
        if file.is_dir():
            path = (path.rstrip("/") + "/" if path else "") + "index.html"
            file = root / path
        if file.suffix in {".html", ".htm"} and file.is_file():
            links.append(os.path.normpath(path))
    for gone in soup.select(_NOT_SEEN) + soup.select(site.drop):
        gone.extract()
    parts_found: list[Any] = []
    for selector in site.main:
        if parts_found := soup.select(selector):
            held = {id(part) for part in parts_found}
            parts_found = [
                part for part in parts_found if not any(id(above) in held for above in part.parents)
            ]
            break
    words = words_of("".join("".join(_seen(part)) + "\n" for part in parts_found))
    code = [
        _code(pre) for part in parts_found for pre in part.find_all("pre") if not pre.find("pre")
    ]
    code += [_code(part) for part in parts_found if part.name == "pre"]
    items = [words_of("".join(_seen(li, True))) for part in parts_found for li in part.select("li")]
    return Truth(
        links,
        refresh is not None or (robots is not None and "noindex" in robots.get("content", "")),
        words,
        [text for text in code if text.strip()],
        [item for item in items if item],
    )


def walk(site: Site) -> dict[str, Truth]:
    """Every file that links lead to from the start, by name."""
    found: dict[str, Truth] = {}
    waiting = deque([site.start])
    seen = {site.start}
    while waiting:
        name = waiting.popleft()
        found[name] = read_file(site, name)
        for link in found[name].links:
            if link not in seen:
                seen.add(link)
                waiting.append(link)
    return found


# The crawlers, each in a process of its own ---------------------------------------------------


def ours(url: str, out: Path) -> None:
    """Crawl twice: as if for the first time, then with what the first gave."""
    from supportbot_dagster.crawl import CrawlSettings, crawl, plain_text

    settings = CrawlSettings(concurrency=CONCURRENCY, max_page_bytes=32 * 1024 * 1024)
    began = time.perf_counter()
    first = crawl(url, settings=settings)
    seconds = time.perf_counter() - began
    began = time.perf_counter()
    second = crawl(url, settings=settings, previous={page.url: page for page in first.pages})
    pages = {
        page.url: {"text": plain_text(page.text), "markdown": page.text} for page in first.pages
    }
    result = {
        "pages": pages,
        "seconds": seconds,
        "outcomes": first.report.outcomes,
        "skipped": [(item.reason, item.url, item.detail) for item in first.report.skipped],
        "again": {
            "seconds": time.perf_counter() - began,
            "outcomes": second.report.outcomes,
            "bytes": second.report.bytes,
            "same": [page.content_hash for page in first.pages]
            == [page.content_hash for page in second.pages],
        },
    }
    out.write_text(json.dumps(result), encoding="utf-8")


def peer(url: str, out: Path) -> None:
    """Scrapy over the same links, and trafilatura's Markdown of each page."""
    import scrapy
    import trafilatura
    from scrapy.crawler import CrawlerProcess
    from scrapy.linkextractors import LinkExtractor

    prefix = url.rpartition("/")[0] + "/"
    pages: dict[str, dict[str, str]] = {}

    class Spider(scrapy.Spider):
        name = "peer"
        start_urls = [url]  # noqa: RUF012
        extractor = LinkExtractor(allow=re.escape(prefix), tags=("a", "area", "frame", "iframe"),
                                  attrs=("href", "src"))  # fmt: skip

        def parse(self, response: Any) -> Iterator[Any]:
            if not isinstance(response, scrapy.http.HtmlResponse):
                return
            text = trafilatura.extract(
                response.body, url=response.url, output_format="markdown", include_tables=True
            )
            pages[response.url] = {"text": text or ""}
            for link in self.extractor.extract_links(response):
                yield scrapy.Request(link.url.partition("#")[0])

    process = CrawlerProcess(
        {
            "LOG_LEVEL": "CRITICAL",
            "ROBOTSTXT_OBEY": True,
            "CONCURRENT_REQUESTS": CONCURRENCY,
            "CONCURRENT_REQUESTS_PER_DOMAIN": CONCURRENCY,
            "DOWNLOAD_DELAY": 0,
            "AUTOTHROTTLE_ENABLED": False,
            "TELNETCONSOLE_ENABLED": False,
        }
    )
    process.crawl(Spider)
    began = time.perf_counter()
    process.start()
    seconds = time.perf_counter() - began
    out.write_text(json.dumps({"pages": pages, "seconds": seconds}), encoding="utf-8")


# Figures ----------------------------------------------------------------------------------------


def f1(said: list[str], true: list[str]) -> tuple[float, int]:
    """Token F1, and the number of words that are not the page's."""
    common = sum((Counter(said) & Counter(true)).values())
    if not said and not true:
        return 1.0, 0
    return 2 * common / (len(said) + len(true)), len(said) - common


def fences(markdown: str) -> list[str]:
    """The code blocks of a Markdown text, without the indentation of what they stand in."""
    found: list[str] = []
    mark = prefix = ""
    lines: list[str] = []
    for line in markdown.split("\n"):
        if mark:
            bare = line[len(prefix) :] if line.startswith(prefix.rstrip()) else line.lstrip()
            if bare.strip() == mark:
                found.append(trimmed("\n".join(lines)))
                mark, lines = "", []
            else:
                lines.append(bare)
        elif opened := re.match(r"((?:\s*(?:>|[-*+] |\d+\. |: {3}))*\s*)(`{3,})", line):
            prefix, mark = re.sub(r"[^>\s]", " ", opened.group(1)), opened.group(2)
    return found


def kept_code(code: list[str], markdown: str) -> int:
    """How many code blocks stand in the text as they are; in a cell of a table, line by line."""
    held = Counter(fences(markdown))
    cells = " ".join(line for line in markdown.split("\n") if line.lstrip("> ").startswith("|"))
    cells = cells.replace("\\|", "|")
    kept = 0
    for block in code:
        if held[block]:
            held[block] -= 1
            kept += 1
        elif cells and all(" ".join(line.split()) in cells for line in block.split("\n")):
            kept += 1
    return kept


def kept_items(items: list[list[str]], markdown: str, text: str) -> int:
    """How many list items stand in the text whole, at a line that begins one."""
    whole = f" {' '.join(words_of(text))} "
    unlinked = re.sub(r"\]\([^)\s]*\)", " ", markdown)
    starts = {
        tuple(words_of(line)[:3])
        for line in re.split(r"\n|<br>|(?<!\\)\|", unlinked)
        if re.match(r"[\s>:]*([-*+]|\d+\.)\s", line)
    }
    bare = {start[1:] for start in starts} | {start[:2] for start in starts} | starts
    return sum(
        1
        for item in items
        if f" {' '.join(item)} " in whole
        and (tuple(item[:3]) in starts or tuple(item[:2]) in bare or tuple(item[:1]) in bare)
    )


def name_of(url: str) -> str:
    """The file that an address of the server stands for."""
    path = unquote(urlsplit(url).path).lstrip("/")
    return path + "index.html" if not path or path.endswith("/") else path


def measure(site: Site, truth: dict[str, Truth], mine: dict[str, Any]) -> dict[str, Any]:
    """The figures of one site."""
    pages = {name_of(url): page for url, page in mine["pages"].items()}
    wanted: dict[str, list[str]] = {}
    for name, true in truth.items():
        if not true.redirect and true.words:
            wanted.setdefault(hashlib.sha256(" ".join(true.words).encode()).hexdigest(), []).append(
                name
            )
    missing = [names for names in wanted.values() if not any(name in pages for name in names)]
    texts = Counter(page["markdown"] for page in pages.values())
    scores: list[float] = []
    low: list[tuple[float, str]] = []
    extra = said = code = code_kept = items = items_kept = 0
    for name, page in pages.items():
        true = truth.get(name)
        if true is None or not true.words:
            continue
        words = words_of(page["text"])
        score, beyond = f1(words, true.words)
        scores.append(score)
        low.append((score, name))
        extra += beyond
        said += len(words)
        code += len(true.code)
        code_kept += kept_code(true.code, page["markdown"])
        items += len(true.items)
        items_kept += kept_items(true.items, page["markdown"], page["text"])
    return {
        "linked": len(wanted),
        "missing": missing,
        "pages": len(pages),
        "twice": sum(count - 1 for count in texts.values()),
        "unknown": sorted(name for name in pages if name not in truth),
        "f1": scores,
        "low": sorted(low)[:5],
        "extra": extra,
        "said": said,
        "code": (code_kept, code),
        "items": (items_kept, items),
        "seconds": mine["seconds"],
        "again": mine["again"],
    }


def measure_peer(truth: dict[str, Truth], theirs: dict[str, Any]) -> dict[str, Any]:
    """Speed and F1 of the peer."""
    scores = [
        f1(words_of(page["text"]), truth[name].words)[0]
        for url, page in theirs["pages"].items()
        if (name := name_of(url)) in truth and truth[name].words and not truth[name].redirect
    ]
    return {"pages": len(theirs["pages"]), "seconds": theirs["seconds"], "f1": scores}


def percentile(values: list[float], share: float) -> float:
    """The value below which a share of the values lies."""
    ordered = sorted(values)
    return ordered[int(share * (len(ordered) - 1))] if ordered else 0.0


def run_one(site: Site, with_peer: bool) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Both crawlers on one site, one after the other, then the figures."""
    with Server(root_of(site)) as server, tempfile.TemporaryDirectory() as scratch:
        url = f"http://127.0.0.1:{server.port}/{site.start}"
        if site.start == "index.html":
            url = url.removesuffix("index.html")
        elif site.start.endswith("/index.html"):
            url = url.removesuffix("/index.html")
        results = {}
        for mode in ("ours", "peer") if with_peer else ("ours",):
            out = Path(scratch) / mode
            command = [sys.executable, str(HERE / "crawl.py"), mode, url, str(out)]
            subprocess.run(command, check=True, cwd=HERE.parent)
            results[mode] = json.loads(out.read_text(encoding="utf-8"))
    truth = walk(site)
    figures = measure(site, truth, results["ours"])
    return figures, measure_peer(truth, results["peer"]) if with_peer else None


def share(pair: tuple[int, int]) -> str:
    """A share in per cent with one digit, or a dash for nothing."""
    return f"{100 * pair[0] / pair[1]:.1f}" if pair[1] else "–"


def table(rows: dict[str, tuple[dict[str, Any], dict[str, Any] | None]]) -> str:
    """The Markdown table of all sites and the sum."""
    lines = [
        "| site | generator | linked | found | twice | F1 mean | F1 5 % | not the page's, % | "
        "code kept, % | items kept, % | pages/s | peer pages/s | ratio | peer F1 | again |",
        "| --- | --- | " + "--: | " * 12 + "--- |",
    ]
    generators = {site.name: site.generator for site in SITES}
    everything: dict[str, Any] = Counter()
    scores: list[float] = []
    peer_scores: list[float] = []
    for name, (mine, theirs) in rows.items():
        again = mine["again"]
        unchanged = again["outcomes"].get("not-modified", 0)
        asked_again = "304 alone" if unchanged == mine["pages"] and again["same"] else "differs"
        scores += mine["f1"]
        everything.update(
            linked=mine["linked"], found=mine["linked"] - len(mine["missing"]),
            twice=mine["twice"], extra=mine["extra"], said=mine["said"],
            code_kept=mine["code"][0], code=mine["code"][1],
            items_kept=mine["items"][0], items=mine["items"][1],
            pages=mine["pages"], seconds=mine["seconds"],
        )  # fmt: skip
        speed = mine["pages"] / mine["seconds"]
        peers = ["–", "–", "–"]
        if theirs is not None:
            peer_scores += theirs["f1"]
            everything.update(peer_pages=theirs["pages"], peer_seconds=theirs["seconds"])
            peer_speed = theirs["pages"] / theirs["seconds"]
            peers = [
                f"{peer_speed:.0f}",
                f"{speed / peer_speed:.1f}",
                f"{statistics.fmean(theirs['f1']):.3f}",
            ]
        lines.append(
            f"| {name} | {generators[name]} | {mine['linked']} | "
            f"{mine['linked'] - len(mine['missing'])} | {mine['twice']} | "
            f"{statistics.fmean(mine['f1']):.4f} | {percentile(mine['f1'], 0.05):.4f} | "
            f"{share((mine['extra'], mine['said']))} | {share(mine['code'])} | "
            f"{share(mine['items'])} | {speed:.0f} | {' | '.join(peers)} | {asked_again} |"
        )
    total = everything
    speed = total["pages"] / total["seconds"]
    peers = ["–", "–", "–"]
    if total["peer_seconds"]:
        peer_speed = total["peer_pages"] / total["peer_seconds"]
        peers = [f"{peer_speed:.0f}", f"{speed / peer_speed:.1f}"]
        peers.append(f"{statistics.fmean(peer_scores):.3f}")
    lines.append(
        f"| **all** | | {total['linked']} | {total['found']} | {total['twice']} | "
        f"{statistics.fmean(scores):.4f} | {percentile(scores, 0.05):.4f} | "
        f"{100 * total['extra'] / total['said']:.2f} | "
        f"{share((total['code_kept'], total['code']))} | "
        f"{share((total['items_kept'], total['items']))} | {speed:.0f} | {' | '.join(peers)} | |"
    )
    return "\n".join(lines)


def run(names: list[str], with_peer: bool, write: bool) -> None:
    """Every site, one after another, and the table."""
    rows = {}
    for site in SITES:
        if names and site.name not in names:
            continue
        rows[site.name] = run_one(site, with_peer)
        mine = rows[site.name][0]
        print(
            f"{site.name}: lowest {[(round(score, 3), name) for score, name in mine['low']]}"
            f" missing {mine['missing'][:5]} unlinked {mine['unknown'][:5]}"
            f" again {mine['again']['outcomes']}",
            flush=True,
        )
    text = table(rows)
    print(text)
    if write:
        machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
        RESULTS.write_text(
            "# Crawler, last figures\n\n"
            f"`python bench/crawl.py run` with Python {platform.python_version()} on {machine}. "
            "README.md beside this file says what each column means.\n\n" + text + "\n",
            encoding="utf-8",
        )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("fetch", help="get the sites")
    runner = commands.add_parser("run", help="measure")
    runner.add_argument("sites", nargs="*", help="only these")
    runner.add_argument("--no-peer", action="store_true", help="leave the peer out")
    for mode in ("ours", "peer"):
        one = commands.add_parser(mode, help="one crawl of one site")
        one.add_argument("url")
        one.add_argument("out", type=Path)
    server = commands.add_parser("serve", help="serve a folder")
    server.add_argument("port", type=int)
    server.add_argument("folder")
    given = parser.parse_args()
    if given.command == "fetch":
        fetch()
    elif given.command == "run":
        run(given.sites, not given.no_peer, write=not given.sites and not given.no_peer)
    elif given.command == "serve":
        serve(given.port, given.folder)
    else:
        {"ours": ours, "peer": peer}[given.command](given.url, given.out)


if __name__ == "__main__":
    main()
