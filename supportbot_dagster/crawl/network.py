"""Requests that go only where a crawl may go.

What lives here: name resolution with the check of the address, pinning to the checked address, and
reading and unpacking a body up to a limit. What does not: which addresses are worth a request.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
import zlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import yarl
from aiohttp.abc import AbstractResolver, ResolveResult

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_COMPATIBLE = ipaddress.ip_network("::/96")
_HEADER_BYTES = 64 * 1024  # of one header line; policies of some sites are long
_BUFFER_BYTES = 256 * 1024


class PrivateAddressError(Exception):
    """The host is on a private, loopback or link-local network."""


class BodyTooLargeError(Exception):
    """The body is longer than the limit."""


class BodyEncodingError(Exception):
    """The body is not packed as its header says, or in a way that was not asked for."""


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


class Session:
    """Requests over kept connections, only to hosts of the public internet.

    Each host is resolved once, refused if it is private, and connected to at the addresses that
    were checked: a name that resolves to something else a moment later changes nothing. To be
    used as an asynchronous context manager.

    Args:
        trusted_host: the one host that may be private, the start URL's: whoever starts a crawl
            there means it. Where it has public addresses as well, only those are used.
        connections: the largest number of open connections.
        headers: of every request.
        timeout_seconds: for connecting, and for each wait for bytes.
    """

    def __init__(
        self,
        trusted_host: str,
        *,
        connections: int,
        headers: Mapping[str, str] | None = None,
        timeout_seconds: float = 15.0,
    ) -> None:
        self._guard = _Guard(trusted_host)
        self._connections = connections
        self._headers = headers
        self._timeout = aiohttp.ClientTimeout(
            sock_connect=timeout_seconds, sock_read=timeout_seconds
        )

    async def __aenter__(self) -> Session:
        self._client = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=self._connections, resolver=self._guard, use_dns_cache=False
            ),
            headers=self._headers,
            timeout=self._timeout,
            auto_decompress=False,  # see read_body
            max_line_size=_HEADER_BYTES,
            max_field_size=_HEADER_BYTES,
            read_bufsize=_BUFFER_BYTES,
        )
        self._context: ssl.SSLContext | None = None
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    @asynccontextmanager
    async def get(
        self, url: str, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """One answer, its body not read yet; a redirect is an answer as well.

        Raises:
            PrivateAddressError: if the host is one that may not be asked.
            aiohttp.ClientError: if no answer comes.
        """
        address = yarl.URL(url, encoded=True)
        # A host that is an address is connected to without the resolver, so it is asked here.
        await self._guard.addresses(address.host or "")
        if address.scheme == "https" and self._context is None:
            self._context = _certificates()
        async with self._client.get(
            address, headers=headers, allow_redirects=False, ssl=self._context or True
        ) as response:
            yield response


def _certificates() -> ssl.SSLContext:
    """What the package's other requests trust, ``SSL_CERT_FILE`` included; it takes a while."""
    import httpx

    return httpx.create_ssl_context()


class _Guard(AbstractResolver):
    """Resolves each host once and refuses private ones."""

    def __init__(self, trusted_host: str) -> None:
        self._trusted = trusted_host
        self._addresses: dict[str, list[str]] = {}

    async def addresses(self, host: str) -> list[str]:
        """The addresses that the host may be connected to."""
        if host in self._addresses:
            return self._addresses[host]
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise aiohttp.ClientConnectionError(f"{host} does not resolve ({error})") from None
        addresses = list(dict.fromkeys(str(info[4][0]) for info in found))
        public = [address for address in addresses if is_public(address)]
        if host == self._trusted:
            addresses = public or addresses
        elif public != addresses:
            raise PrivateAddressError(f"{host} is at {', '.join(addresses)}, a private address")
        self._addresses[host] = addresses
        return addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The form in which aiohttp asks."""
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in await self.addresses(host)
        ]

    async def close(self) -> None:
        """Nothing is held open."""


async def read_body(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """The body, unpacked.

    It is unpacked here because aiohttp unpacks each piece that arrives as a whole, and a piece of
    some kilobytes may hold a thousand times as much, or, packed twice, a million times.

    Args:
        response: an answer whose body has not been read.
        limit: bytes, received or unpacked, after which reading stops.

    Raises:
        BodyTooLargeError: if the body is longer.
        BodyEncodingError: if it is not packed as its header says, or in a way not asked for.
    """
    said = response.headers.get("content-length", "")
    if said.isdigit() and int(said) > limit:
        raise BodyTooLargeError(f"{said} bytes")
    encoding = response.headers.get("content-encoding", "").strip().lower()
    unpack = _Unpacker(encoding)
    body = bytearray()
    received = 0
    async for piece in response.content.iter_any():
        received += len(piece)
        body += unpack(piece, limit + 1 - len(body))
        if max(len(body), received) > limit:
            raise BodyTooLargeError(f"more than {limit} bytes")
    if not unpack.complete:
        raise BodyEncodingError(f"the {encoding} body ends early")
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
            raise BodyEncodingError(f"content-encoding {encoding!r}")

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
                raise BodyEncodingError(str(error)) from None
        # Some servers leave out the two bytes of the zlib header.
        self._raw_deflate_tried = True
        self._stream = zlib.decompressobj(wbits=-15)
        return self(piece, limit)
