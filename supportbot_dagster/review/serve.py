"""The review page's server and its log.

What lives here: opening the port on loopback and one plain line a request. What does not: the page
(:mod:`supportbot_dagster.review.app`).
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from flask import Flask
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from supportbot_dagster.errors import UserError

HOST = "127.0.0.1"


class PlainHandler(WSGIRequestHandler):
    """Logs requests in colour on a terminal alone: a file or a pipe gets no escape sequences."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """One line for a request."""
        if sys.stderr.isatty():
            super().log_request(code, size)
            return
        # What a client sends may hold any character; quoted as Python does, it cannot act.
        line = self.requestline.encode("unicode_escape").decode("ascii")
        self.log("info", '"%s" %s %s', line, int(code) if isinstance(code, int) else code, size)


@contextmanager
def listening(app: Flask, port: int) -> Iterator[tuple[BaseWSGIServer, str]]:
    """The server, ready to serve, and its address.

    Args:
        app: the page.
        port: on loopback; 0 for any that is free.

    Raises:
        UserError: if the port cannot be opened.
    """
    try:
        opened = socket.create_server((HOST, port))
    except OSError as error:
        raise UserError(
            f"port {port} of {HOST} cannot be opened ({error.strerror}). Choose another with "
            "--port, or 0 for any that is free."
        ) from None
    with opened:
        server = make_server(
            HOST, port, app, threaded=True, request_handler=PlainHandler, fd=opened.fileno()
        )
        yield server, f"http://{HOST}:{opened.getsockname()[1]}"
