"""How a chat server's answer comes over HTTP: how it is compressed, whether it is an answer at all, whether it goes
on."""

import time
import zlib
from collections.abc import AsyncIterator
from typing import cast

import httpx2

WINDOW_BITS = 47
"""zlib's word for gzip or deflate, whichever it is."""

MOST_AT_ONCE = 64 * 1024
"""Bytes that are unpacked at a time: a few packed ones may be very many."""


class Lull:
    """How long nothing of an answer has come, although the connection may live: comments and empty pieces do not
    count.

    ``limit_s`` is how long that may be.
    """

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self._since = time.monotonic()

    @property
    def left_s(self) -> float:
        """What is left of the limit."""
        return max(0.0, self._since + self.limit_s - time.monotonic())

    def over(self) -> None:
        """Something has come."""
        self._since = time.monotonic()

    def check(self) -> None:
        """Raises TimeoutError once the limit has passed."""
        if not self.left_s:
            raise TimeoutError


def plain_body(response: httpx2.Response) -> AsyncIterator[bytes]:
    """The body's bytes as they come. We ask for no compression; if a server compresses all the same, this
    decompresses."""
    body = aiter(cast(httpx2.AsyncByteStream, response.stream))
    packed = response.headers.get("content-encoding", "").strip().lower()
    return _unpacked(body) if packed in ("gzip", "x-gzip", "deflate") else body


def page_in(response: httpx2.Response) -> str | None:
    """What to say of an answer that is a page for people, or is packed so that it cannot be read; None: neither."""
    if is_page(response.headers):
        return "answered with a web page and not with a completion"
    packed = response.headers.get("content-encoding", "")
    return f"answered in an encoding that was not asked for ({packed[:40]})" if packed else None


def is_page(headers: httpx2.Headers) -> bool:
    """By its type, it is for a browser."""
    return headers.get("content-type", "").strip().lower().startswith(("text/html", "application/xhtml"))


async def _unpacked(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    unpacking = zlib.decompressobj(WINDOW_BITS)
    async for piece in body:
        packed = piece
        while packed:
            try:
                plain = unpacking.decompress(packed, MOST_AT_ONCE)
            except zlib.error as error:
                raise httpx2.DecodingError(f"its encoding is broken: {error}") from error
            if plain:
                yield plain
            packed = unpacking.unconsumed_tail
