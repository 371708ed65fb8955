from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from safetensors.numpy import save_file

from supportbot_dagster.errors import UserError
from supportbot_dagster.training import base as base_module
from supportbot_dagster.training.base import BASE_DIR_VARIABLE, check_base_dir, fetch_base
from supportbot_dagster.training.catalogue import find_base
from supportbot_dagster.training.chat_template import GEMMA4, read_template

POCKET, GEMMA, LLAMA = find_base("pocket"), find_base("gemma-4-e2b"), find_base("llama-3.2-3b")
COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf_a_token_of_this_test"
BIG = "model-00001-of-00002.safetensors"
INDEX = "model.safetensors.index.json"
CHUNK = 1 << 16
"""What huggingface_hub writes at a time, ten mebibytes but for these tests; a cut costs as much."""


def write_model(folder: Path) -> Path:
    """A whole model folder with two shards, the first of three megabytes."""
    folder.mkdir()
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_text(json.dumps({"file": name}))
    (folder / "chat_template.jinja").write_text("{{ tools }}<|turn>{{ messages }}")
    (folder / "LICENSE").write_text("As is.")
    noise = np.random.default_rng(0).integers(0, 255, (3, 1 << 20), dtype=np.uint8)
    save_file({"a": noise}, folder / BIG)
    save_file({"b": np.zeros(3, np.float16)}, folder / "model-00002-of-00002.safetensors")
    placed = {"a": BIG, "b": "model-00002-of-00002.safetensors"}
    (folder / INDEX).write_text(json.dumps({"weight_map": placed}))
    return folder


@pytest.fixture(autouse=True)
def _no_setting_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (BASE_DIR_VARIABLE, "HF_TOKEN", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no_token"))
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", CHUNK)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model")


# --- the embedded base, a local folder, a whole model ---


def test_the_embedded_base_is_copied(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert fetch_base(POCKET, tmp_path / "out").origin == "embedded in the package"
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {
        "config.json",
        "model.safetensors",
        "tokenizer.model",
    }
    monkeypatch.setattr(base_module, "embedded_base_dir", lambda: tmp_path / "gone")
    with pytest.raises(UserError, match="is no folder"):
        fetch_base(POCKET, tmp_path / "other")


def test_a_local_folder_stands_in_for_the_hub_but_not_for_the_embedded_one(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(BASE_DIR_VARIABLE, str(model))
    (model / "original").mkdir()
    (model / "original" / "consolidated.00.pth").write_text("the same weights again")
    found = fetch_base(GEMMA, tmp_path / "out")
    assert (found.origin, found.commit) == (f"local folder {model}", None)
    assert "original" not in {path.name for path in (tmp_path / "out").iterdir()}
    assert content(tmp_path / "out") == content(model)
    assert fetch_base(POCKET, tmp_path / "pocket").origin == "embedded in the package"
    monkeypatch.setenv(BASE_DIR_VARIABLE, str(tmp_path / "gone"))
    with pytest.raises(UserError, match=f"is no folder.*{BASE_DIR_VARIABLE}"):
        fetch_base(GEMMA, tmp_path / "other")


@pytest.mark.parametrize(
    "name", ["config.json", "tokenizer.json", "tokenizer_config.json", BIG, INDEX]
)
def test_a_folder_that_lacks_a_file_is_refused(model: Path, name: str) -> None:
    check_base_dir(model)
    (model / name).unlink()
    if name == INDEX:
        check_base_dir(model)  # all parts are there
        (model / BIG).unlink()
    with pytest.raises(UserError, match=r"holds no|neither all parts nor") as caught:
        check_base_dir(model)
    assert str(model) in str(caught.value)


def test_a_folder_without_weights_is_refused(model: Path) -> None:
    for path in model.glob("*.safetensors"):
        path.unlink()
    with pytest.raises(UserError, match=r"no \*\.safetensors"):
        check_base_dir(model)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", INDEX])
def test_a_cut_json_is_refused(model: Path, name: str) -> None:
    content = (model / name).read_text()
    (model / name).write_text(content[: len(content) // 2])
    with pytest.raises(UserError, match="is not JSON"):
        check_base_dir(model)


@pytest.mark.parametrize(
    ("keep", "said"),
    [
        (0, "is no safetensors file"),
        (5, "is no safetensors file"),
        (40, "cut in its header"),
        (1 << 20, "the download was cut"),
        (-1, "the download was cut"),
    ],
)
def test_cut_weights_are_refused(model: Path, keep: int, said: str) -> None:
    content = (model / BIG).read_bytes()
    (model / BIG).write_bytes(content[:keep])
    with pytest.raises(UserError, match=said) as caught:
        check_base_dir(model)
    assert BIG in str(caught.value)


def test_weights_of_another_revision_than_the_index_are_refused(model: Path) -> None:
    save_file({"other": np.zeros(2, np.float16)}, model / "model-00002-of-00002.safetensors")
    with pytest.raises(UserError, match=r"holds no b, which .*index\.json places"):
        check_base_dir(model)
    (model / INDEX).write_text("{}")
    with pytest.raises(UserError, match="places no weights"):
        check_base_dir(model)


# --- a hub on loopback ---


class Asked(NamedTuple):
    method: str
    path: str
    first_byte: int
    token: str | None


@dataclass
class Hub:
    """A model hub that answers what is asked for a download, and as it refuses.

    Large files lie on a storage of another host name, behind a redirect, as on the real hub.
    """

    folder: Path
    private: bool = False
    gated: bool = False
    refuse: dict[str, tuple[int, str]] = field(default_factory=dict)
    cut_after: dict[str, list[int]] = field(default_factory=dict)
    spoil: dict[str, int] = field(default_factory=dict)
    ignore_range: bool = False
    asked: list[Asked] = field(default_factory=list)
    sent: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    address: str = ""
    storage: str = ""

    def files(self) -> list[dict[str, Any]]:
        found = []
        for path in sorted(self.folder.rglob("*")):
            if not path.is_file():
                continue
            data = path.read_bytes()
            entry: dict[str, Any] = {
                "rfilename": path.relative_to(self.folder).as_posix(),
                "size": len(data),
                "blobId": hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest(),
            }
            if path.suffix == ".safetensors":
                entry["lfs"] = {
                    "sha256": hashlib.sha256(data).hexdigest(),
                    "size": len(data),
                    "pointerSize": 130,
                }
            found.append(entry)
        return found


def handler_for(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.answer()

        def do_GET(self) -> None:
            self.answer()

        def answer(self) -> None:
            url = urlsplit(self.path)
            wanted = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")[0]
            first = 0 if hub.ignore_range else int(wanted)
            token = (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None
            hub.asked.append(Asked(self.command, url.path, int(wanted), token))
            for part, (status, code) in hub.refuse.items():
                if part in url.path:
                    self.refuse(status, code)
                    return
            if hub.private and token != TOKEN and "/storage/" not in url.path:
                self.refuse(401, "RepoNotFound")
            elif url.path.startswith("/api/models/"):
                self.about(url)
            elif "/resolve/" in url.path:
                self.resolve(url.path)
            else:
                self.send_file(hub.folder / url.path.rpartition("/")[2], first)

        def about(self, url: Any) -> None:
            assert parse_qs(url.query)["blobs"] == ["True"] or parse_qs(url.query)["blobs"] == [
                "true"
            ]
            revision = url.path.rpartition("/revision/")[2]
            if revision not in ("main", COMMIT):
                self.refuse(404, "RevisionNotFound")
                return
            body = json.dumps({"id": "x/y", "sha": COMMIT, "siblings": hub.files()}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def resolve(self, path: str) -> None:
            name = path.partition(f"/resolve/{COMMIT}/")[2]
            target = hub.folder / name
            token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
            if hub.gated and token != TOKEN:
                self.refuse(401 if not token else 403, "GatedRepo")
            elif not target.is_file():
                self.refuse(404, "EntryNotFound")
            elif target.suffix == ".safetensors":
                self.send_response(302)
                digest = hashlib.sha256(target.read_bytes()).hexdigest()
                self.send_header("Location", f"{hub.storage}/storage/{name}?signed=yes")
                self.send_header("X-Repo-Commit", COMMIT)
                self.send_header("X-Linked-Etag", f'"{digest}"')
                self.send_header("X-Linked-Size", str(target.stat().st_size))
                self.send_header("Content-Length", "0")
                self.end_headers()
            else:
                self.send_file(target, 0)

        def send_file(self, path: Path, first: int) -> None:
            data = path.read_bytes()
            if path.name in hub.spoil:
                hub.spoil[path.name] -= 1
                if hub.spoil[path.name] >= 0:
                    data = data[:-1] + bytes([data[-1] ^ 255])
            body = data[first:]
            self.send_response(206 if first else 200)
            if first:
                self.send_header("Content-Range", f"bytes {first}-{len(data) - 1}/{len(data)}")
            self.send_header("ETag", f'"{hashlib.sha1(data).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "HEAD":
                return
            cuts = hub.cut_after.get(path.name)
            if cuts:
                body = body[: cuts.pop(0)]
                self.close_connection = True
            self.wfile.write(body)
            hub.sent[path.name] += len(body)

        def refuse(self, status: int, code: str) -> None:
            self.send_response(status)
            if code:
                self.send_header("X-Error-Code", code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None: ...

    return Handler


@pytest.fixture
def hub(model: Path) -> Iterator[Hub]:
    hub = Hub(model)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler_for(hub))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    port = server.server_address[1]
    hub.address, hub.storage = f"http://127.0.0.1:{port}", f"http://localhost:{port}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)


MAIN = replace(GEMMA, hub_id="maker/model", revision="main")
PINNED = replace(MAIN, revision=COMMIT)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def content(folder: Path) -> dict[str, bytes]:
    """What is brought as it is: all but where the chat template stands."""
    return {
        path.name: path.read_bytes()
        for path in folder.iterdir()
        if path.is_file() and path.name not in ("tokenizer_config.json", "chat_template.jinja")
    }


def test_a_download_brings_every_file_and_names_the_commit(hub: Hub, tmp_path: Path) -> None:
    (hub.folder / "original").mkdir()
    (hub.folder / "original" / "tokenizer.model").write_text("a second copy")
    (hub.folder / "README.md").write_text("about")
    told: list[tuple[str, int, int | None]] = []
    found = fetch_base(
        MAIN,
        tmp_path / "out",
        progress=lambda label, done, total: told.append((label, done, total)),
        endpoint=hub.address,
    )
    assert found.commit == COMMIT
    assert found.origin == f"maker/model at commit {COMMIT}"
    brought = content(hub.folder)
    del brought["README.md"]
    assert content(tmp_path / "out") == brought
    assert names(tmp_path / "out") == {*brought, "tokenizer_config.json"}, "and nothing else"
    weights = [(done, total) for label, done, total in told if BIG in label]
    assert weights[-1] == (4, 4), "three MiB and a header"
    assert [done for done, _ in weights] == sorted(done for done, _ in weights)


def test_the_snapshot_carries_the_plain_template_and_the_download_stays_as_it_was(
    hub: Hub, tmp_path: Path
) -> None:
    work = tmp_path / "work"
    for out in (tmp_path / "a", tmp_path / "b"):
        fetch_base(PINNED, out, work_dir=work, endpoint=hub.address)
        assert read_template(out) == GEMMA4
        assert not (out / "chat_template.jinja").exists()
    kept = next(work.iterdir())
    for name in ("chat_template.jinja", "tokenizer_config.json"):
        assert (kept / name).read_bytes() == (hub.folder / name).read_bytes()
    assert len([asked for asked in hub.asked if "tokenizer_config" in asked.path]) == 2, "one pair"
    (hub.folder / "chat_template.jinja").write_text("{{ messages }}")
    with pytest.raises(UserError, match="no chat template of a known family"):
        fetch_base(MAIN, tmp_path / "c", endpoint=hub.address)


def test_a_pinned_commit_that_the_hub_does_not_give_is_refused(hub: Hub, tmp_path: Path) -> None:
    assert fetch_base(PINNED, tmp_path / "out", endpoint=hub.address).commit == COMMIT
    with pytest.raises(UserError, match=r"has no revision f{40}\. Install a newer"):
        fetch_base(replace(MAIN, revision="f" * 40), tmp_path / "b", endpoint=hub.address)


def test_the_token_goes_to_the_hub_and_not_to_the_storage_behind_it(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.gated = True
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    fetch_base(PINNED, tmp_path / "out", endpoint=hub.address)
    tokens = {(("/storage/" in asked.path), asked.token) for asked in hub.asked}
    assert tokens == {(False, TOKEN), (True, None)}


def test_a_connection_cut_half_way_is_taken_up_where_it_broke(
    hub: Hub, tmp_path: Path, no_waiting: None
) -> None:
    size = (hub.folder / BIG).stat().st_size
    hub.cut_after[BIG] = [size // 2, 3 * CHUNK]
    fetch_base(PINNED, tmp_path / "out", endpoint=hub.address)
    assert (tmp_path / "out" / BIG).read_bytes() == (hub.folder / BIG).read_bytes()
    assert hub.sent[BIG] <= size + 2 * CHUNK, "what had arrived is not sent again"
    firsts = [asked.first_byte for asked in hub.asked if BIG in asked.path and "stor" in asked.path]
    assert firsts == [0, size // 2 // CHUNK * CHUNK, (size // 2 // CHUNK + 3) * CHUNK]


def test_a_download_that_died_goes_on_in_the_next_run(
    hub: Hub, tmp_path: Path, no_waiting: None
) -> None:
    size = (hub.folder / BIG).stat().st_size
    hub.cut_after[BIG] = [size // 2, *[0] * 60]
    with pytest.raises(UserError, match=r"cannot be reached.*goes on from what") as told:
        fetch_base(PINNED, tmp_path / "a", work_dir=tmp_path / "work", endpoint=hub.address)
    assert "\n" not in str(told.value)
    assert hub.sent[BIG] == size // 2
    hub.cut_after.clear()
    hub.asked.clear()
    fetch_base(PINNED, tmp_path / "b", work_dir=tmp_path / "work", endpoint=hub.address)
    assert (tmp_path / "b" / BIG).read_bytes() == (hub.folder / BIG).read_bytes()
    assert hub.sent[BIG] <= size + CHUNK, "the first half is not fetched again"
    assert not [asked for asked in hub.asked if "config.json" in asked.path], "nor what was whole"


def test_a_killed_process_leaves_what_had_arrived(hub: Hub, tmp_path: Path) -> None:
    """In a process of its own, which takes the hub's address from the environment and is killed."""
    size = (hub.folder / BIG).stat().st_size
    hub.cut_after[BIG] = [size // 2, *[0] * 60]
    script = (
        "import os, sys, time; from pathlib import Path; from dataclasses import replace\n"
        "from supportbot_dagster.training.base import fetch_base\n"
        "from supportbot_dagster.training.catalogue import find_base\n"
        "from huggingface_hub import constants; constants.DOWNLOAD_CHUNK_SIZE = 1 << 16\n"
        "time.sleep = lambda seconds: os._exit(9)\n"
        "base = replace(find_base('gemma-4-e2b'), hub_id='maker/model', revision='main')\n"
        "fetch_base(base, Path(sys.argv[1]), work_dir=Path(sys.argv[2]))\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "a"), str(tmp_path / "work")]
    environment = {**os.environ, "HF_ENDPOINT": hub.address}
    assert subprocess.run(command, env=environment, timeout=120, check=False).returncode == 9
    hub.cut_after.clear()
    fetch_base(PINNED, tmp_path / "b", work_dir=tmp_path / "work", endpoint=hub.address)
    assert (tmp_path / "b" / BIG).read_bytes() == (hub.folder / BIG).read_bytes()
    assert hub.sent[BIG] <= size + CHUNK


def test_a_storage_that_cannot_go_on_is_read_from_the_start(
    hub: Hub, tmp_path: Path, no_waiting: None
) -> None:
    size = (hub.folder / BIG).stat().st_size
    hub.cut_after[BIG], hub.ignore_range = [size // 2], True
    fetch_base(PINNED, tmp_path / "out", endpoint=hub.address)
    assert (tmp_path / "out" / BIG).read_bytes() == (hub.folder / BIG).read_bytes()
    assert hub.sent[BIG] == size + size // 2


@pytest.mark.parametrize("name", [BIG, "config.json"])
def test_a_file_with_another_hash_is_fetched_again_and_then_refused(
    hub: Hub, tmp_path: Path, name: str
) -> None:
    hub.spoil[name] = 2 if name == "config.json" else 1  # a HEAD of a small file counts as well
    fetch_base(PINNED, tmp_path / "out", endpoint=hub.address)
    assert (tmp_path / "out" / name).read_bytes() == (hub.folder / name).read_bytes()
    hub.spoil[name] = 99
    with pytest.raises(UserError, match=f"{name} of maker/model arrives with another hash"):
        fetch_base(PINNED, tmp_path / "other", endpoint=hub.address)


REFUSALS = [
    ("/resolve/", 403, "GatedRepo", "", r"is gated\. Accept the licence there and set HF_TOKEN"),
    ("/resolve/", 403, "GatedRepo", "bad", r"is gated\. The account of HF_TOKEN has no access"),
    ("/api/", 401, "RepoNotFound", "", r"is not found.*gated or private, set HF_TOKEN"),
    ("/api/", 404, "RepoNotFound", "bad", "HF_TOKEN is set, but its account does not see it"),
    ("/api/", 404, "RevisionNotFound", "", "has no revision main"),
    ("config.json", 404, "EntryNotFound", "", r"lists config\.json and does not hold it"),
    ("/resolve/", 403, "", "bad", "may not read gated repositories"),
    ("/api/", 429, "", "", "answers 429. Too many requests"),
    ("/api/", 503, "", "", rf"answers 503\. Try again later, or set {BASE_DIR_VARIABLE}"),
    ("/storage/", 500, "", "", "answers 500"),
]


@pytest.mark.parametrize(("path", "status", "code", "token", "said"), REFUSALS)
def test_what_the_hub_refuses_is_told_in_one_line(
    hub: Hub,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    no_waiting: None,
    path: str,
    status: int,
    code: str,
    token: str,
    said: str,
) -> None:
    hub.refuse[path] = (status, code)
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(UserError, match=said) as caught:
        fetch_base(MAIN, tmp_path / "out", endpoint=hub.address)
    assert "\n" not in str(caught.value)
    assert "maker/model" in str(caught.value)
    assert token == "" or token not in str(caught.value).replace("HF_TOKEN", "")
    assert not [a for a in hub.asked if "/storage/" in a.path and path != "/storage/"]


def test_a_repository_that_lists_no_whole_model_is_refused_before_anything_is_fetched(
    hub: Hub, tmp_path: Path
) -> None:
    (hub.folder / "tokenizer.json").unlink()
    with pytest.raises(UserError, match=r"lists no tokenizer\.json"):
        fetch_base(MAIN, tmp_path / "out", endpoint=hub.address)
    assert len(hub.asked) == 1


def test_no_network_is_told_in_one_line(tmp_path: Path, no_waiting: None) -> None:
    with pytest.raises(UserError, match=rf"cannot be reached.*{BASE_DIR_VARIABLE}") as caught:
        fetch_base(MAIN, tmp_path / "out", endpoint="http://127.0.0.1:9")
    assert "\n" not in str(caught.value)


def test_a_disk_without_room_is_told_before_the_download(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1 << 20))
    with pytest.raises(UserError, match=r"needs 0\.0 GiB more .* 0\.0 GiB are free\. Make room"):
        fetch_base(MAIN, tmp_path / "out", endpoint=hub.address)
    assert len(hub.asked) == 1


def test_a_disk_that_fills_up_is_told(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``/dev/full`` refuses every byte as a full disk does."""
    real = base_module._ToldFile.write

    def write(self: Any, data: Any) -> int:
        if BIG in str(self.name):
            with open("/dev/full", "wb", buffering=0) as full:
                full.write(data)
        return real(self, data)

    monkeypatch.setattr(base_module._ToldFile, "write", write)
    with pytest.raises(UserError, match=r"The disk is full before .* has arrived") as caught:
        fetch_base(MAIN, tmp_path / "out", endpoint=hub.address)
    assert os.strerror(errno.ENOSPC) not in str(caught.value)
