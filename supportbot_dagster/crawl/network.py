"""Requests that go only where a crawl may go.

What lives here: name resolution with the check of the address, pinning to the checked address, and
reading and unpacking a body up to a limit. What does not: which addresses are worth a request.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import zlib
from typing import Any

import httpx

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_COMPATIBLE = ipaddress.ip_network("::/96")


class PrivateAddressError(httpx.TransportError):
    """The host is on a private, loopback or link-local network."""


class BodyTooLargeError(Exception):
    """The body is longer than the limit."""


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet.

    An IPv6 address that only carries an IPv4 one (mapped, 6to4, Teredo, NAT64) is as public as it.
    """
    found = ipaddress.ip_address(address.split("%", 1)[0])
    if isinstance(found, ipaddress.IPv6Address):
        carried = [found.ipv4_mapped, found.sixtofour, *(found.teredo or ())]
        if found in _NAT64 or found in _COMPATIBLE:
            carried.append(ipaddress.IPv4Address(int(found) & 0xFFFFFFFF))
        if not all(is_public(str(inner)) for inner in carried if inner is not None):
            return False
        if found.ipv4_mapped is not None:
            return True
    return found.is_global and not found.is_multicast


class GuardedTransport(httpx.AsyncBaseTransport):
    """A transport that resolves each host once, refuses private ones, and stays with the result.

    Because the connection is made to the address that was checked, a name that resolves to
    something else a moment later changes nothing.

    Args:
        trusted_host: the one host that may be private, the start URL's: whoever starts a crawl
            there means it. Where it has public addresses as well, only those are used.
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
        public = [address for address in addresses if is_public(address)]
        if host == self._trusted:
            addresses = public or addresses
        elif public != addresses:
            raise PrivateAddressError(f"{host} is at {', '.join(addresses)}, a private address")
        self._addresses[host] = addresses
        return addresses

    async def aclose(self) -> None:
        await self._inner.aclose()


async def read_body(response: httpx.Response, limit: int) -> bytes:
    """The body, unpacked.

    It is unpacked here because httpx unpacks each piece that arrives as a whole, and a piece of
    some kilobytes may hold a thousand times as much, or, packed twice, a million times.

    Args:
        response: an answer whose body has not been read.
        limit: bytes, received or unpacked, after which reading stops.

    Raises:
        BodyTooLargeError: if the body is longer.
        httpx.DecodingError: if it is not packed as its header says, or in a way not asked for.
    """
    said = response.headers.get("content-length", "")
    if said.isdigit() and int(said) > limit:
        raise BodyTooLargeError(f"{said} bytes")
    encoding = response.headers.get("content-encoding", "").strip().lower()
    unpack = _Unpacker(encoding)
    body = bytearray()
    received = 0
    async for piece in response.aiter_raw():
        received += len(piece)
        body += unpack(piece, limit + 1 - len(body))
        if max(len(body), received) > limit:
            raise BodyTooLargeError(f"more than {limit} bytes")
    if not unpack.complete:
        raise httpx.DecodingError(f"the {encoding} body ends early")
    return bytes(body)


class _Unpacker:
    def __init__(self, encoding: str) -> None:
        self._raw_deflate_tried = encoding != "deflate"
        self._stream: Any = None
        self._began = False
        if encoding in {"gzip", "x-gzip"}:
            self._stream = zlib.decompressobj(wbits=31)
        elif encoding == "deflate":
            self._stream = zlib.decompressobj()
        elif encoding not in {"", "identity"}:
            raise httpx.DecodingError(f"content-encoding {encoding!r}")

    @property
    def complete(self) -> bool:
        return bool(self._stream is None or self._stream.eof or not self._began)

    def __call__(self, piece: bytes, limit: int) -> bytes:
        if self._stream is None or self._stream.eof:
            return b"" if self._stream else piece
        self._began = True
        try:
            unpacked: bytes = self._stream.decompress(piece, limit)
            return unpacked
        except zlib.error as error:
            if self._raw_deflate_tried:
                raise httpx.DecodingError(str(error)) from None
        # Some servers leave out the two bytes of the zlib header.
        self._raw_deflate_tried = True
        self._stream = zlib.decompressobj(wbits=-15)
        return self(piece, limit)
