"""A Kubernetes API on loopback that runs each pod's first container as a process of this machine.

It speaks what starting, watching, reading and deleting a pod takes, as the public API reference
says: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Container:
    """A pod's first container."""

    def __init__(self, pod: dict[str, Any], environment: dict[str, str]) -> None:
        self.pod = pod
        self.spec = pod["spec"]["containers"][0]
        self.told = {entry["name"]: entry.get("value", "") for entry in self.spec.get("env", [])}
        self.lines: list[bytes] = []
        self.ended = threading.Event()
        command = [sys.executable if part == "python" else part for part in self.spec["command"]]
        self.process = subprocess.Popen(
            command,
            env={**environment, **self.told},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")
            self.lines.append(f"{stamp} ".encode() + line.rstrip(b"\n") + b"\n")
        self.process.wait()
        self.ended.set()

    def status(self) -> dict[str, Any]:
        code = self.process.returncode if self.ended.is_set() else None
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        state: dict[str, Any] = {"running": {"startedAt": now}}
        if code is not None:
            reason = "Completed" if code == 0 else "Error"
            state = {"terminated": {"exitCode": code, "reason": reason, "finishedAt": now}}
        entry = {"name": self.spec["name"], "ready": code is None, "restartCount": 0}
        entry |= {"image": self.spec["image"], "imageID": "sha256:0", "state": state}
        phase = "Running" if code is None else ("Succeeded" if code == 0 else "Failed")
        return {"phase": phase, "containerStatuses": [entry]}


class Cluster:
    """What the server knows."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment
        self.running: dict[str, Container] = {}
        self.created: list[Container] = []
        self.deleted: list[str] = []


def _handler(cluster: Cluster) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            pod = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            container = Container(pod, cluster.environment)
            cluster.running[pod["metadata"]["name"]] = container
            cluster.created.append(container)
            self._answer(201, pod)

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            if url.path.endswith("/log"):
                self._log(cluster.running[url.path.split("/")[-2]])
                return
            name = parse_qs(url.query)["fieldSelector"][0].removeprefix("metadata.name=")
            found = [
                {**container.pod, "status": container.status()}
                for key, container in cluster.running.items()
                if key == name
            ]
            self._answer(200, {"apiVersion": "v1", "kind": "PodList", "items": found})

        def do_DELETE(self) -> None:
            name = urlsplit(self.path).path.split("/")[-1]
            container = cluster.running.pop(name)
            container.process.kill()
            cluster.deleted.append(name)
            self._answer(200, container.pod)

        def _log(self, container: Container) -> None:
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            sent = 0
            while not (container.ended.is_set() and sent == len(container.lines)):
                for line in container.lines[sent:]:
                    self.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
                    sent += 1
                time.sleep(0.02)
            self.wfile.write(b"0\r\n\r\n")

        def _answer(self, code: int, value: dict[str, Any]) -> None:
            body = json.dumps(value).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    return Handler


@contextmanager
def kubernetes(folder: Path, environment: dict[str, str]) -> Iterator[tuple[Cluster, Path]]:
    """A cluster and the kubeconfig that names it."""
    cluster = Cluster(environment)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(cluster))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    config = folder / "kubeconfig"
    address = f"http://127.0.0.1:{server.server_port}"
    config.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "here",
                "clusters": [{"name": "here", "cluster": {"server": address}}],
                "users": [{"name": "me", "user": {}}],
                "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
            }
        )
    )
    try:
        yield cluster, config
    finally:
        server.shutdown()
        server.server_close()
