"""The server of the review page in a process of its own, with its log in a file."""

from __future__ import annotations

import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from flask import Flask

from supportbot_dagster.errors import UserError
from supportbot_dagster.review.serve import listening

SERVE = """
from flask import Flask
from supportbot_dagster.review.serve import listening
app = Flask("x")
app.get("/")(lambda: "here")
with listening(app, 0) as (server, address):
    print(address, flush=True)
    server.serve_forever()
"""


def test_the_log_holds_no_escape_sequence_off_a_terminal(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, "-c", SERVE], stdout=subprocess.PIPE, stderr=stream, text=True
        )
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            assert urllib.request.urlopen(address, timeout=20).read() == b"here"
            with pytest.raises(urllib.error.HTTPError):
                urllib.request.urlopen(f"{address}/nowhere", timeout=20)
            host, port = address.removeprefix("http://").split(":")
            with socket.create_connection((host, int(port)), timeout=20) as raw:
                raw.sendall(b"GET /\x1b[31mred HTTP/1.0\r\n\r\n")
                raw.recv(1000)
        finally:
            process.terminate()
            process.wait(20)
    text = log.read_text()
    assert '"GET / HTTP/1.1" 200' in text
    assert '"GET /nowhere HTTP/1.1" 404' in text
    assert "red" in text
    assert "\x1b" not in text


def test_a_port_that_is_taken_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(UserError, match=rf"port {port} of 127\.0\.0\.1 cannot be opened"),
            listening(Flask("x"), port),
        ):
            pass
