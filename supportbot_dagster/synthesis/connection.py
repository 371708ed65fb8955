"""The connection to an OpenAI-compatible endpoint, on which no request takes longer than it may.

What lives here: the ``openai`` client on an event loop of its own, with one bound on each request
from the connection to the last byte of the answer; that client's own timeout bounds a single read,
which an endpoint that sends a byte now and then never exceeds. What does not: what is asked and
what becomes of the answer (:mod:`supportbot_dagster.synthesis.model_teacher`).
"""

from __future__ import annotations

import asyncio
import threading
from typing import Any


class WebPage(Exception):
    """The endpoint answered with a page for people."""


class Connection:
    """Chat completions for several threads at once.

    Args:
        base_url: address of the API.
        api_key: secret.
        timeout_seconds: of one request in all; the retries of one that failed have their own.
        max_retries: of one request.
    """

    def __init__(
        self, *, base_url: str, api_key: str, timeout_seconds: float, max_retries: int
    ) -> None:
        import openai

        self._client = openai.AsyncOpenAI(
            base_url=base_url,
            api_key=api_key,
            timeout=timeout_seconds,
            max_retries=max_retries,
            http_client=_bounded_client(timeout_seconds),
        )
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="teacher-connection", daemon=True
        )
        self._thread.start()

    def complete(self, **options: Any) -> Any:
        """One chat completion, or None where something came back that is none.

        Sending and reading are told apart: what is raised is raised before there is an answer.

        Raises:
            WebPage: if a page came back.
            Exception: what the ``openai`` client raises, and whatever goes wrong while a request is
                built, such as UnicodeEncodeError.
        """

        async def asked() -> Any:
            return await self._client.chat.completions.with_raw_response.create(**options)

        answer = asyncio.run_coroutine_threadsafe(asked(), self._loop).result()
        if _is_page(answer.headers.get("Content-Type", ""), answer.content):
            raise WebPage
        try:
            return answer.parse()
        except Exception:  # whatever an endpoint may send, it is no completion
            return None

    def close(self) -> None:
        """End it; no request may be in flight."""
        asyncio.run_coroutine_threadsafe(self._client.close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def _is_page(kind: str, content: bytes) -> bool:
    """Whether an answer is HTML, by what it says of itself or by how it begins."""
    begins = content[:200].lstrip().lower()
    return "html" in kind.lower() or begins.startswith((b"<!doctype html", b"<html"))


def _bounded_client(seconds: float) -> Any:
    import httpx2  # the client's own HTTP library
    from openai import DefaultAsyncHttpxClient

    class Bounded(DefaultAsyncHttpxClient):
        async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
            try:
                async with asyncio.timeout(seconds):
                    return await super().send(request, **options)
            except TimeoutError:
                raise httpx2.ReadTimeout(
                    f"no answer within {seconds:g} s", request=request
                ) from None

    return Bounded(timeout=seconds)
