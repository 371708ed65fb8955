"""The sensor ``docs_changed`` on a real site on loopback, with real runs in a real instance."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import dagster as dg
import pytest

from supportbot_dagster.definitions import build_definitions
from supportbot_dagster.jobs import DOCS_HALF, REFRESH_DOCS, RETRAIN
from supportbot_dagster.jsonl import write_jsonl_atomic
from supportbot_dagster.partitions import current_month
from supportbot_dagster.product import load_product, sample_product_file
from supportbot_dagster.resources.artifact_store import ArtifactStore
from supportbot_dagster.resources.docs_site import DocsSite
from supportbot_dagster.sample.server import serve_sample_site
from supportbot_dagster.sensors import MAX_ATTEMPTS, VERSION_TAG, docs_version
from supportbot_dagster.settings import load_settings

MONTH = current_month()
TITLE = "<!-- title: {0} -->\n<!-- updated: 2026-01-01 -->\n<p>About {0}, in a sentence.</p>\n"


class Docs:
    """A site of three articles, the definitions that crawl it, and an instance."""

    def __init__(self, folder: Path, url: str, instance: dg.DagsterInstance) -> None:
        self.folder = folder
        self.url = url
        self.instance = instance
        settings = load_settings(root=str(folder / "root"), product_file=sample_product_file())
        product = load_product(sample_product_file())
        self.store = ArtifactStore(root=settings.root, scratch=str(settings.home))
        self.defs = build_definitions(settings, product, resources={"docs_site": DocsSite(url=url)})

    def write(self, name: str, text: str) -> None:
        (self.folder / "site" / "help" / "group" / f"{name}.html").write_text(text, "utf-8")

    def tick(self) -> tuple[list[dg.RunRequest], str]:
        """What the daemon gets from one evaluation: requests and the reason for none."""
        sensor = self.defs.resolve_sensor_def("docs_changed")
        resources = self.defs.resources or {}
        with dg.build_sensor_context(
            instance=self.instance,
            repository_def=self.defs.get_repository_def(),
            resources={name: resources[name] for name in ("docs_site", "store")},
        ) as context:
            tick = sensor.evaluate_tick(context)
        return list(tick.run_requests or []), tick.skip_message or ""

    def request(self) -> dg.RunRequest:
        requests, message = self.tick()
        assert len(requests) == 1, message
        return requests[0]

    def skipped(self) -> str:
        requests, message = self.tick()
        assert requests == []
        return message

    def crawl(self, request: dg.RunRequest) -> None:
        """The crawl of a requested run."""
        result = self.defs.resolve_job_def(REFRESH_DOCS).execute_in_process(
            instance=self.instance,
            partition_key=request.partition_key,
            asset_selection=[dg.AssetKey("docs_crawl")],
            tags=request.tags,
        )
        assert result.success

    def record(self, job: str, tags: dict[str, str], *, fails: bool) -> dg.DagsterRun:
        """A run that has not begun, or one that failed."""
        run = self.instance.create_run_for_job(
            self.defs.resolve_job_def(job), tags={"dagster/partition": MONTH, **tags}
        )
        if fails:
            self.instance.report_run_failed(run, "the disk was full")
        return run


@pytest.fixture
def docs(tmp_path: Path, own_environment: None) -> Iterator[Docs]:
    folder = tmp_path / "site" / "help" / "group"
    folder.mkdir(parents=True)
    for name in ("one", "two", "three"):
        (folder / f"{name}.html").write_text(TITLE.format(name), "utf-8")
    with (
        serve_sample_site(site_dir=tmp_path / "site") as url,
        dg.DagsterInstance.ephemeral() as instance,
    ):
        yield Docs(tmp_path, url, instance)


def test_a_month_without_a_crawl_gets_one_with_its_tickets(docs: Docs) -> None:
    request = docs.request()
    assert request.partition_key == MONTH
    assert request.asset_selection is None, "the whole job: the month has no tickets yet"
    assert request.run_key is None, "a used run key would never fire again"


def test_same_changed_reverted_and_changed_again(docs: Docs) -> None:
    first = docs.request()
    docs.crawl(first)
    assert "as they were crawled" in docs.skipped()
    versions = [first.tags[VERSION_TAG]]
    before = TITLE.format("one")
    after = before.replace("in a sentence", "in another sentence")
    for text in (after, before, after):
        docs.write("one", text)
        request = docs.request()
        docs.crawl(request)
        versions.append(request.tags[VERSION_TAG])
        assert "as they were crawled" in docs.skipped()
    assert versions[0] == versions[2] != versions[1] == versions[3]


def test_a_touched_page_with_the_same_words_is_no_change(docs: Docs) -> None:
    docs.crawl(docs.request())
    docs.write("one", TITLE.format("one").replace("2026-01-01", "2026-02-02"))
    assert "as they were crawled" in docs.skipped()


def test_a_new_page_and_a_removed_page_are_changes(docs: Docs) -> None:
    docs.crawl(docs.request())
    docs.write("four", TITLE.format("four"))
    docs.crawl(docs.request())
    (docs.folder / "site" / "help" / "group" / "four.html").unlink()
    docs.request()


def test_tickets_that_are_there_are_not_read_again(docs: Docs) -> None:
    target = docs.store.rows_target("ticket_pairs", MONTH)
    target.parent.mkdir(parents=True)
    target.write_text("", encoding="utf-8")
    selection = docs.request().asset_selection
    assert [key.to_user_string() for key in selection or ()] == list(DOCS_HALF)


def test_a_failed_run_is_tried_again_a_few_times(docs: Docs) -> None:
    tags = docs.request().tags
    for _ in range(MAX_ATTEMPTS):
        assert docs.request().tags == tags
        docs.record(REFRESH_DOCS, dict(tags), fails=True)
    assert f"{MAX_ATTEMPTS} runs" in docs.skipped()
    docs.write("one", TITLE.format("one").replace("sentence", "phrase"))
    assert docs.request().tags != tags, "a change of the docs is a new chance"


def test_failures_before_a_success_do_not_count(docs: Docs) -> None:
    request = docs.request()
    for _ in range(MAX_ATTEMPTS):
        docs.record(REFRESH_DOCS, dict(request.tags), fails=True)
    docs.write("one", TITLE.format("one").replace("sentence", "phrase"))
    docs.crawl(docs.request())
    docs.write("one", TITLE.format("one"))
    assert docs.request().tags == request.tags


@pytest.mark.parametrize("job", [REFRESH_DOCS, RETRAIN])
def test_a_run_under_way_is_waited_for(docs: Docs, job: str) -> None:
    run = docs.record(job, {}, fails=False)
    assert run.run_id in docs.skipped()
    docs.instance.report_run_failed(run, "stopped")
    docs.request()


def test_a_run_of_another_month_is_none_of_its_business(docs: Docs) -> None:
    docs.record(REFRESH_DOCS, {"dagster/partition": "2001-01"}, fails=False)
    docs.request()


def test_a_site_that_is_down_is_no_change(tmp_path: Path, own_environment: None) -> None:
    folder = tmp_path / "site" / "help" / "group"
    folder.mkdir(parents=True)
    (folder / "one.html").write_text(TITLE.format("one"), "utf-8")
    with dg.DagsterInstance.ephemeral() as instance:
        with serve_sample_site(site_dir=tmp_path / "site") as url:
            docs = Docs(tmp_path, url, instance)
            docs.crawl(docs.request())
        message = docs.skipped()
        assert "cannot be probed" in message
        assert url in message
        assert instance.get_runs_count() == 1


@contextmanager
def half_down() -> Iterator[tuple[str, set[str]]]:
    """A site whose named paths answer 503."""
    down: set[str] = set()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.rsplit("/", 1)[-1]
            found = name in ("", "a.html", "b.html")
            links = '<a href="a.html">a</a> <a href="b.html">b</a>' if not name else ""
            body = f"<main><h1>Page {name}</h1><p>All about it. {links}</p></main>".encode()
            self.send_response(503 if name in down else 200 if found else 404)
            self.send_header("Content-Type", "text/html")
            self.send_header("Retry-After", "0")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/docs/", down
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_page_that_the_server_cannot_give_is_no_change(tmp_path: Path) -> None:
    store = ArtifactStore(root=str(tmp_path), scratch=str(tmp_path))
    with half_down() as (url, down):
        site = DocsSite(url=url)
        result = site.crawl()
        assert len(result.pages) == 3
        target = Path(str(store.rows_target("docs_crawl", MONTH)))
        write_jsonl_atomic(target, (page.to_dict() for page in result.pages))
        now, stored = docs_version(site, store, MONTH)
        assert now == stored
        down.add("b.html")
        assert not site.crawl().report.complete
        now, stored = docs_version(site, store, MONTH)
        assert now == stored
