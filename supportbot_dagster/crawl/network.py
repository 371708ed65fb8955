"""Requests that go only where a crawl may go.

What lives here: name resolution with the check of the address, pinning to the checked address, and
reading a body up to a limit. What does not: which addresses are worth a request.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket

import httpx


class PrivateAddressError(httpx.TransportError):
    """The host is on a private, loopback or link-local network."""


class BodyTooLargeError(Exception):
    """The body is longer than the limit."""


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet."""
    found = ipaddress.ip_address(address.split("%", 1)[0])
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return found.is_global and not found.is_multicast


class GuardedTransport(httpx.AsyncBaseTransport):
    """A transport that resolves each host once, refuses private ones, and stays with the result.

    Because the connection is made to the address that was checked, a name that resolves to
    something else a moment later changes nothing.

    Args:
        trusted_host: the one host that may be private: the start URL's, whoever starts a crawl
            there means it.
        connections: the largest number of open connections.
    """

    def __init__(self, trusted_host: str, connections: int) -> None:
        limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
        self._inner = httpx.AsyncHTTPTransport(limits=limits)
        self._trusted = trusted_host
        self._addresses: dict[str, list[str]] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        host = request.url.host
        addresses = await self._resolve(host)
        extensions = {**request.extensions, "sni_hostname": host}
        for number, address in enumerate(addresses):
            pinned = httpx.Request(
                request.method,
                request.url.copy_with(host=address),
                headers=request.headers,
                stream=request.stream,
                extensions=extensions,
            )
            try:
                response = await self._inner.handle_async_request(pinned)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                if number + 1 == len(addresses):
                    raise
                continue
            # The address that answered goes first from now on.
            addresses[0], addresses[number] = addresses[number], addresses[0]
            return response
        raise httpx.ConnectError(f"{host} has no address")

    async def _resolve(self, host: str) -> list[str]:
        if host in self._addresses:
            return self._addresses[host]
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise httpx.ConnectError(f"{host} does not resolve ({error})") from None
        addresses = list(dict.fromkeys(str(info[4][0]) for info in found))
        if host != self._trusted and not all(is_public(address) for address in addresses):
            raise PrivateAddressError(f"{host} is at {', '.join(addresses)}, a private address")
        self._addresses[host] = addresses
        return addresses

    async def aclose(self) -> None:
        await self._inner.aclose()


async def read_body(response: httpx.Response, limit: int) -> bytes:
    """The decoded body.

    Args:
        response: an answer whose body has not been read.
        limit: bytes after which reading stops.

    Raises:
        BodyTooLargeError: if the body is longer.
    """
    said = response.headers.get("content-length", "")
    if said.isdigit() and int(said) > limit:
        raise BodyTooLargeError(f"{said} bytes")
    body = bytearray()
    async for piece in response.aiter_bytes():
        body += piece
        if len(body) > limit:
            raise BodyTooLargeError(f"more than {limit} bytes")
    return bytes(body)
