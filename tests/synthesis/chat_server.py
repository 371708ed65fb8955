"""An HTTP server on loopback that speaks the chat completions API, and misbehaves when told to.

What lives here: the server for tests of the teacher that asks a model. It answers from the section
in the request, so that what comes back can be told to be of that section.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_SENT_OTHERWISE = {"drip", "drip headers", "page", "bare page", "no json"}
MARK = re.compile(r"\[([0-9a-f]{16})\]")


class ChatServer:
    """What the server does and has seen.

    Attributes:
        script: what comes before good answers, one entry a request: a status code, ``("429",
            seconds)`` with Retry-After, ``"slow"``, ``"drip"`` (the answer byte by byte), ``"drip
            headers"``, ``"not json"``, ``"wrong shape"``, ``"many"`` (more questions than asked
            for), ``"style"`` (an unknown one), ``"cut off"``, ``"refused"``, ``"filtered"``,
            ``"empty"``, ``"page"`` (HTML), ``"bare page"`` (HTML that says it is JSON), ``"no
            json"`` (JSON by its header alone).
        rejects: settings that are answered with 400.
        fence: whether JSON comes in a code fence.
        requests: bodies of all requests.
        keys: Authorization headers.
        in_flight: the most requests at one time.
        seconds: how long an answer takes.
        reply: makes the content of a good answer of a request.
    """

    def __init__(self) -> None:
        self.script: deque[Any] = deque()
        self.rejects: set[str] = set()
        self.fence = False
        self.requests: list[dict[str, Any]] = []
        self.keys: set[str] = set()
        self.in_flight = 0
        self.seconds = 0.0
        self.url = ""
        self.reply: Callable[[dict[str, Any]], str] = good_reply
        self._now = 0
        self._lock = threading.Lock()

    @property
    def asked(self) -> Counter[str]:
        """How often each section was asked about, by its heading."""
        return Counter(heading_of(body) for body in self.requests)

    def answer(self, body: dict[str, Any], key: str) -> tuple[int, dict[str, str], dict[str, Any]]:
        """Status, headers and JSON for a request."""
        with self._lock:
            self._now += 1
            self.in_flight = max(self.in_flight, self._now)
            self.requests.append(body)
            self.keys.add(key)
            step = self.script.popleft() if self.script else "good"
        try:
            time.sleep(self.seconds)
            return self._step(step, body)
        finally:
            with self._lock:
                self._now -= 1

    def _step(self, step: Any, body: dict[str, Any]) -> tuple[int, dict[str, str], dict[str, Any]]:
        rejected = sorted(self.rejects & set(body))
        if rejected:
            message = f"Unsupported parameter: '{rejected[0]}' is not supported with this model."
            return 400, {}, {"error": {"message": message, "param": rejected[0]}}
        if isinstance(step, tuple):
            return 429, {"Retry-After": str(step[1])}, {"error": {"message": "slow down"}}
        if isinstance(step, int):
            return step, {}, {"error": {"message": f"status {step}"}}
        content, finish, refusal = self.reply(body), "stop", None
        if step == "slow":
            time.sleep(1.5)
        elif step == "not json":
            content = "Sure! Here are some questions."
        elif step == "wrong shape":
            content = json.dumps({"questions": ["How?"], "answer": "Yes."})
        elif step in {"many", "style"}:
            reply = json.loads(content)
            strange = [{**reply["questions"][0], "style": "shouted"}]
            reply["questions"] = strange if step == "style" else reply["questions"] * 9
            content = json.dumps(reply)
        elif step == "cut off":
            content, finish = content[: len(content) // 2], "length"
        elif step == "refused":
            content, refusal = "", "I cannot help with that."
        elif step == "filtered":
            content, finish = "", "content_filter"
        elif step == "empty":
            return 200, {}, {"id": "1", "object": "chat.completion", "choices": []}
        if self.fence:
            content = f"```json\n{content}\n```"
        message = {"role": "assistant", "content": content, "refusal": refusal}
        return (
            200,
            {"X-Step": str(step)} if str(step) in _SENT_OTHERWISE else {},
            {
                "id": "1",
                "object": "chat.completion",
                "model": body["model"],
                "choices": [{"index": 0, "finish_reason": finish, "message": message}],
                "usage": {"prompt_tokens": 400, "completion_tokens": 100, "total_tokens": 500},
            },
        )


def section_of(body: dict[str, Any]) -> str:
    """What stands between the marks."""
    content = str(body["messages"][1]["content"])
    mark = MARK.match(content)
    assert mark is not None
    assert content.endswith(mark[0])
    assert content.count(mark[0]) == 2
    assert mark[0] in body["messages"][0]["content"]
    return content[len(mark[0]) : -len(mark[0])].strip()


def heading_of(body: dict[str, Any]) -> str:
    """The heading line of the section asked about."""
    return section_of(body).split("\n", 1)[0]


def good_reply(body: dict[str, Any]) -> str:
    """An honest reply: the section's own text as answer and evidence."""
    heading, _, text = section_of(body).partition("\n\n")
    topic = heading.split(" > ")[-1]
    return json.dumps(
        {
            "answer": text,
            "evidence": text,
            "questions": [
                {"question": f"How does {topic} work?", "style": "correct"},
                {"question": f"{topic.lower()} pls", "style": "search"},
            ],
        }
    )


@contextmanager
def chat_server() -> Iterator[ChatServer]:
    """The server on a free port of loopback."""
    state = ChatServer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path != "/v1/chat/completions":
                status, headers, data = 404, {}, {"error": {"message": "no such path"}}
            else:
                status, headers, data = state.answer(body, self.headers.get("Authorization", ""))
            payload = json.dumps(data).encode()
            step = headers.get("X-Step", "")
            if step.endswith("page"):
                payload = b"\n<!DOCTYPE html><html><title>Sign in</title></html>"
            elif step == "no json":
                payload = b"{'choices': []}"
            try:
                if step == "drip headers":
                    self.drip(b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 400)
                    return
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                kind = "text/html; charset=utf-8" if step == "page" else "application/json"
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.drip(payload) if step == "drip" else self.wfile.write(payload)
            except (BrokenPipeError, ConnectionResetError):
                pass  # the client did not wait

        def drip(self, data: bytes) -> None:
            for byte in data:
                self.wfile.write(bytes((byte,)))
                self.wfile.flush()
                time.sleep(0.05)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
