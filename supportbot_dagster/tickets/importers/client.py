"""Requests to a help desk's API.

What lives here: one client that waits when it is told to, tries again where that can help, tells a
person what to mend where it cannot, and sends the token to one host alone. What does not: any help
desk's own paths and pages.

Nothing that comes back is written, logged or named in a message.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any

import httpx

from supportbot_dagster.errors import UserError
from supportbot_dagster.tickets.importers.export import Json

TIMEOUT = 60.0
"""Seconds without an answer after which a request counts as failed."""


@dataclass(frozen=True)
class Patience:
    """How long a request is tried.

    Args:
        attempts: tries of a request that ends in a server's failure or in no answer.
        first_wait: seconds before the second try; doubled before each further one. No wait that a
            server asks for is taken shorter than this.
        longest_wait: seconds that one request may wait in all because the server limits the rate.
    """

    attempts: int = 6
    first_wait: float = 1.0
    longest_wait: float = 900.0


def secret(name: str) -> str:
    """A secret from the environment; empty if it is not set.

    Raises:
        UserError: if it holds what no header can carry; the value is not shown.
    """
    value = os.environ.get(name, "").strip()
    if not (value.isascii() and value.isprintable()):
        raise UserError(f"{name} holds characters that no token has. Set it anew.")
    return value


class Api:
    """A help desk's API at one address.

    Args:
        url: scheme and host.
        auth: puts the credentials on each request.
        secrets: names of the environment variables that hold them, for messages.
        headers: further headers of each request.
        patience: how long a request is tried.
        sleep: waits for a number of seconds.

    Raises:
        UserError: if ``url`` holds credentials.
    """

    def __init__(
        self,
        url: str,
        *,
        auth: httpx.Auth,
        secrets: str,
        headers: Mapping[str, str] | None = None,
        patience: Patience | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._base = httpx.URL(url)
        if self._base.userinfo:
            raise UserError(
                f"tickets.api_url holds credentials. Take them out of it and set {secrets} in the "
                "environment."
            )
        self.host = self._base.host
        self._secrets = secrets
        self._patience = patience or Patience()
        self._sleep = sleep
        # a redirect is refused below: it could carry the token elsewhere
        self._client = httpx.Client(
            auth=auth,
            headers={"Accept": "application/json", **(headers or {})},
            timeout=TIMEOUT,
            follow_redirects=False,
        )

    def __enter__(self) -> Api:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()

    def get(self, path: str, params: Mapping[str, str] | None = None) -> Json | None:
        """The JSON object at a path, or None if there is nothing (any more).

        Raises:
            UserError: if the help desk refuses, or fails for longer than the patience allows.
        """
        return self._json("GET", self._base.join(path), params=params)

    def post(self, path: str, body: Json) -> Json | None:
        """The JSON object that a question gives; otherwise as :meth:`get`."""
        return self._json("POST", self._base.join(path), body=body)

    def follow(self, link: Any) -> Json | None:
        """The JSON object at a link that an answer held; otherwise as :meth:`get`.

        Raises:
            UserError: also if the link leads to another host: the token would go there.
        """
        try:
            url = self._base.join(link if isinstance(link, str) else "")
        except httpx.InvalidURL:
            raise UserError(f"{self.host} gives a next page that is no address.") from None
        if (url.scheme, url.host, url.port) != (
            self._base.scheme,
            self._base.host,
            self._base.port,
        ):
            raise UserError(
                f"{self.host} gives a next page on another host, which is not followed because the "
                "token would go there. Set tickets.api_url to the help desk's own address."
            )
        return self._json("GET", url)

    def _json(
        self,
        method: str,
        url: httpx.URL,
        *,
        params: Mapping[str, str] | None = None,
        body: Json | None = None,
    ) -> Json | None:
        response = self._send(method, url, params, body)
        if response is None:
            return None
        try:
            document = response.json()
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            raise UserError(
                f"{self.host} answered {url.path} with something else than a JSON object. Set "
                "tickets.api_url to the help desk's own address."
            )
        return document

    def _send(
        self,
        method: str,
        url: httpx.URL,
        params: Mapping[str, str] | None,
        body: Json | None,
    ) -> httpx.Response | None:
        failures = 0
        waited = 0.0
        while True:
            try:
                # params=None keeps a link's own query; an empty mapping would remove it
                response = self._client.request(method, url, params=params, json=body)
            except (httpx.TransportError, httpx.DecodingError) as error:
                status, said = 0, f"did not answer ({type(error).__name__})"
                asked = None
            else:
                status, said = response.status_code, f"answered {response.status_code}"
                if response.is_success:
                    return response
                if status in {404, 410}:
                    return None
                self._refuse(status, url.path)
                asked = _asked_wait(response.headers)
            if status == 429:
                wait = max(asked or 0.0, self._patience.first_wait)
                waited += wait
                if waited > self._patience.longest_wait:
                    raise UserError(
                        f"{self.host} limits the rate of requests and asks to wait for more than "
                        f"{self._patience.longest_wait:g} s in all. Run it again later."
                    )
            else:
                failures += 1
                if failures >= self._patience.attempts:
                    raise UserError(
                        f"{self.host} {said} {failures} times in a row at {url.path}. See whether "
                        "tickets.api_url is right and the help desk is up, and run it again."
                    )
                wait = self._patience.first_wait * 2 ** (failures - 1)
                wait = max(wait, min(asked or 0.0, self._patience.longest_wait))
            self._sleep(wait)

    def _refuse(self, status: int, path: str) -> None:
        """Raises for an answer that trying again does not change."""
        if status in {401, 403}:
            raise UserError(
                f"{self.host} answered {status} to {path}: what stands in {self._secrets} is "
                "wrong, expired, or may not read tickets. Set a valid token in the environment."
            )
        if 300 <= status < 400:
            raise UserError(
                f"{self.host} redirects {path} elsewhere, which is not followed with a token. Set "
                "tickets.api_url to the help desk's own address."
            )
        if 400 <= status < 500 and status not in {408, 429}:
            raise UserError(
                f"{self.host} refused {path} with {status}. See whether tickets.api_url and "
                "tickets.format belong together."
            )


class Bearer(httpx.Auth):
    """A token in the header ``Authorization``."""

    def __init__(self, token: str) -> None:
        self._token = token

    def auth_flow(self, request: httpx.Request) -> Any:
        """Puts the token on a request."""
        request.headers["Authorization"] = f"Bearer {self._token}"
        yield request


def _asked_wait(headers: httpx.Headers) -> float | None:
    """Seconds that an answer asks to wait, or None."""
    asked = headers.get("retry-after", "").strip()
    if asked:
        try:
            return max(0.0, float(asked))
        except ValueError:
            pass
        try:
            moment = parsedate_to_datetime(asked)
        except (TypeError, ValueError):
            return None
        moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        return max(0.0, (moment - datetime.now(UTC)).total_seconds())
    reset = headers.get("x-ratelimit-reset", "").strip()
    if reset.isdecimal():
        return max(0.0, int(reset) - time.time())
    return None
