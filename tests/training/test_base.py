from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from supportbot_dagster.errors import UserError
from supportbot_dagster.training import base as base_module
from supportbot_dagster.training.base import BASE_DIR_VARIABLE, check_base_dir, fetch_base
from supportbot_dagster.training.catalogue import find_base

POCKET, GEMMA = find_base("pocket"), find_base("gemma-4-e2b")
FILES = {
    "config.json": "{}",
    "tokenizer.json": "{}",
    "tokenizer_config.json": "{}",
    "model-00001-of-00001.safetensors": "weights",
}


@pytest.fixture(autouse=True)
def _no_folder_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(BASE_DIR_VARIABLE, raising=False)
    monkeypatch.delenv("HF_TOKEN", raising=False)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    for name, content in FILES.items():
        (folder / name).write_text(content)
    return folder


def test_the_embedded_base_is_copied(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base_module, "embedded_base_dir", lambda: model)
    assert fetch_base(POCKET, tmp_path / "out") == "embedded in the package"
    assert {path.name for path in (tmp_path / "out").iterdir()} == set(FILES)
    monkeypatch.setattr(base_module, "embedded_base_dir", lambda: tmp_path / "gone")
    with pytest.raises(UserError, match="is no folder"):
        fetch_base(POCKET, tmp_path / "other")


def test_a_local_folder_stands_in_for_the_hub_but_not_for_the_embedded_one(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(BASE_DIR_VARIABLE, str(model))
    assert fetch_base(GEMMA, tmp_path / "out") == f"local folder {model}"
    monkeypatch.setenv(BASE_DIR_VARIABLE, str(tmp_path / "gone"))
    with pytest.raises(UserError, match=f"is no folder.*{BASE_DIR_VARIABLE}"):
        fetch_base(GEMMA, tmp_path / "other")


@pytest.mark.parametrize("name", list(FILES))
def test_a_folder_that_is_no_whole_model_is_refused(model: Path, name: str) -> None:
    check_base_dir(model)
    (model / name).unlink()
    with pytest.raises(UserError, match=r"no \*\.safetensors" if "safe" in name else name):
        check_base_dir(model)


def test_a_cut_config_is_refused(model: Path) -> None:
    (model / "config.json").write_text('{"model_type": "lla')
    with pytest.raises(UserError, match=r"config\.json is not JSON"):
        check_base_dir(model)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[BaseHTTPRequestHandler]]:
    """A hub on loopback that refuses as the real one does."""

    class Hub(BaseHTTPRequestHandler):
        status, code = 403, "GatedRepo"

        def do_GET(self) -> None:
            self.send_response(self.status)
            self.send_header("X-Error-Code", self.code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, format: str, *args: object) -> None: ...

    hub_constants = pytest.importorskip("huggingface_hub.constants")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    monkeypatch.setattr(hub_constants, "ENDPOINT", address)
    monkeypatch.setattr("huggingface_hub.hf_api.ENDPOINT", address, raising=False)
    monkeypatch.setattr("huggingface_hub.hf_api.api.endpoint", address, raising=False)
    try:
        yield Hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (403, "GatedRepo", r"is gated or does not exist for you.*HF_TOKEN"),
        (404, "RepoNotFound", r"is gated or does not exist for you.*HF_TOKEN"),
        (404, "RevisionNotFound", rf"cannot be downloaded.*{BASE_DIR_VARIABLE}"),
        (500, "", rf"cannot be downloaded.*{BASE_DIR_VARIABLE}"),
    ],
)
def test_what_the_hub_refuses_is_told_in_one_line(
    hub: type[BaseHTTPRequestHandler],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    code: str,
    said: str,
) -> None:
    monkeypatch.setattr(hub, "status", status)
    monkeypatch.setattr(hub, "code", code)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    unknown = replace(GEMMA, hub_id="nobody/no-such-model", revision="main")
    with pytest.raises(UserError, match=said) as caught:
        fetch_base(unknown, tmp_path / "out")
    assert "\n" not in str(caught.value)
