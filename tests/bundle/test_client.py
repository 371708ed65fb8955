"""support-bot.ts, run against a server that speaks Ollama's HTTP."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest


def node_that_reads_typescript() -> list[str] | None:
    """A Node.js that strips types: the one on the search path or the one of Playwright."""
    candidates = [shutil.which("node")]
    try:
        import playwright
    except ImportError:
        pass
    else:
        candidates.append(str(Path(playwright.__file__).parent / "driver" / "node"))
    for program in candidates:
        if program is None or not Path(program).exists():
            continue
        said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
        version = re.match(r"v(\d+)\.(\d+)", said.stdout)
        if version is None:
            continue
        major, minor = int(version[1]), int(version[2])
        if major >= 24:
            return [program]
        if (major, minor) >= (22, 6):
            return [program, "--experimental-strip-types", "--no-warnings"]
    return None


NODE = node_that_reads_typescript()
needs_node = pytest.mark.skipif(NODE is None, reason="no Node.js that strips types is installed")


class Ollama:
    """One canned reply on loopback."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.reply: dict[str, Any] = {}
        self.status = 200
        self.delay = 0.0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                size = int(self.headers["Content-Length"])
                outer.requests.append((self.path, json.loads(self.rfile.read(size))))
                time.sleep(outer.delay)
                body = json.dumps(outer.reply).encode()
                self.send_response(outer.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, request: object, client_address: object) -> None:
                """A client that gave up is part of the tests."""

        self.server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def ollama() -> Iterator[Ollama]:
    served = Ollama()
    yield served
    served.server.shutdown()
    served.server.server_close()


def ask(bundle: Path, question: str, **options: object) -> dict[str, Any]:
    assert NODE is not None
    script = bundle.parent / "ask.mjs"
    script.write_text(
        f"import {{ ask }} from {json.dumps(str(bundle / 'support-bot.ts'))};\n"
        f"console.log(JSON.stringify(await ask({json.dumps(question)}, {json.dumps(options)})));\n"
    )
    done = subprocess.run(
        [*NODE, str(script)], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    reply: dict[str, Any] = json.loads(done.stdout)
    return reply


def logprobs(*values: float) -> list[dict[str, Any]]:
    return [{"token": "x", "logprob": value} for value in values]


@needs_node
def test_the_request_is_the_one_that_was_evaluated(bundle: Path, ollama: Ollama) -> None:
    ollama.reply = {"response": " Open Settings. \n", "logprobs": logprobs(-0.2, -0.4)}
    reply = ask(bundle, "  how do i export ", endpoint=ollama.url)
    assert reply.pop("seconds") >= 0
    assert reply == {
        "answer": "Open Settings.",
        "route": "answer",
        "reason": "answered",
        "score": pytest.approx(-0.3),
    }
    path, body = ollama.requests[0]
    assert path == "/api/generate"
    assert body["model"] == "tracklight-support-helper"
    assert body["prompt"] == "Customer question: how do i export"
    assert body["options"] == {"temperature": 0.4, "top_p": 0.9, "num_predict": 200}
    assert (body["stream"], body["logprobs"]) == (False, True)


@needs_node
@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (
            {"response": "I don't have access to your account.", "logprobs": logprobs(0)},
            "deflected",
        ),
        ({"response": "Open Settings.", "logprobs": logprobs(-3.0, -0.1)}, "uncertain"),
        ({"response": "  ", "logprobs": []}, "empty"),
        ({}, "empty"),
        ({"response": 7}, "empty"),
    ],
)
def test_what_a_person_should_see_is_handed_off(
    bundle: Path, ollama: Ollama, response: dict[str, Any], reason: str
) -> None:
    ollama.reply = response
    reply = ask(bundle, "hm", endpoint=ollama.url)
    assert (reply["route"], reply["reason"]) == ("handoff", reason)
    assert reply["answer"]


def opened(*places: tuple[str, dict[str, float]]) -> list[dict[str, Any]]:
    """Tokens with the probabilities in their place, as Ollama gives them."""
    return [
        {
            "token": token,
            "logprob": math.log(top[token]),
            "top_logprobs": [
                {"token": other, "logprob": math.log(chance)} for other, chance in top.items()
            ],
        }
        for token, top in places
    ]


OPENINGS = [["I", " do", " not"], ["I", " am", " here"]]


@needs_node
@pytest.mark.parametrize(
    ("places", "deflecting"),
    [
        ([("Open", {"Open": 0.9, "I": 0.06, "The": 0.04})], 0.06),
        ([("Open", {"Open": 0.9, "The": 0.1})], 0.0),
        (
            [("I", {"I": 0.5, "Open": 0.5}), ("mport", {"mport": 0.85, " do": 0.1, " am": 0.05})],
            0.5 * 0.15,
        ),
        (
            [
                ("I", {"I": 0.9, "Open": 0.1}),
                (" do", {" do": 0.7, " am": 0.2, " will": 0.1}),
                (" not", {" not": 0.6, " hope": 0.4}),
            ],
            0.9 * 0.2 + 0.9 * 0.7 * 0.6,
        ),
        ([("I", {"I": 0.9, "Open": 0.1})], 0.0),
    ],
)
def test_the_score_counts_the_chance_of_a_deflection(
    build: Callable[..., Path],
    ollama: Ollama,
    places: list[tuple[str, dict[str, float]]],
    deflecting: float,
) -> None:
    import numpy as np

    from supportbot_dagster.export.runtime import Deflecting

    ollama.reply = {"response": "".join(token for token, _ in places), "logprobs": opened(*places)}
    reply = ask(build("open", openings=OPENINGS), "hm", endpoint=ollama.url)
    assert ollama.requests[0][1]["top_logprobs"] == 20
    mean = sum(math.log(top[token]) for token, top in places) / len(places)
    assert reply["score"] == pytest.approx(math.log(1 - deflecting) + mean)
    # The runtime that evaluates follows the same openings to the same chance.
    names = sorted(
        {token for opening in OPENINGS for token in opening}
        | set().union(*(top for _, top in places))
    )
    followed = Deflecting([tuple(map(names.index, opening)) for opening in OPENINGS])
    for token, top in places:
        if followed.follows:
            chances = np.array([top.get(name, 1e-12) for name in names], dtype=np.float32)
            followed.see(np.log(chances), names.index(token))
    assert followed.chance == pytest.approx(deflecting, abs=1e-6)


@needs_node
def test_courtesy_is_no_hand_off_and_missing_logprobs_are_no_doubt(
    bundle: Path, ollama: Ollama
) -> None:
    ollama.reply = {"response": "I'm sorry to hear that. Open Settings and export."}
    reply = ask(bundle, "hm", endpoint=ollama.url)
    assert (reply["route"], reply["score"]) == ("answer", None)


@needs_node
def test_without_a_threshold_no_score_is_too_low(
    build: Callable[..., Path], ollama: Ollama
) -> None:
    ollama.reply = {"response": "Open Settings.", "logprobs": logprobs(-9.0)}
    assert ask(build("free", threshold=None), "hm", endpoint=ollama.url)["route"] == "answer"


@needs_node
def test_a_slow_a_failing_and_an_absent_server_hand_off(bundle: Path, ollama: Ollama) -> None:
    ollama.status = 500
    assert ask(bundle, "hm", endpoint=ollama.url)["reason"] == "unavailable"
    ollama.status, ollama.delay = 200, 2.0
    slow = ask(bundle, "hm", endpoint=ollama.url, timeoutMs=100)
    assert (slow["route"], slow["reason"]) == ("handoff", "timeout")
    assert slow["seconds"] < 1.5
    assert "support@tracklight.example" in slow["answer"]
    absent = ask(bundle, "hm", endpoint="http://127.0.0.1:9")
    assert (absent["route"], absent["reason"]) == ("handoff", "unavailable")


@pytest.mark.skipif(shutil.which("tsc") is None, reason="the TypeScript compiler is not installed")
def test_the_client_is_strict_typescript(bundle: Path) -> None:
    done = subprocess.run(
        [
            *("tsc", "--noEmit", "--strict", "--noUncheckedIndexedAccess", "--target", "es2022"),
            *("--lib", "es2022,dom", "--erasableSyntaxOnly"),
            str(bundle / "support-bot.ts"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
