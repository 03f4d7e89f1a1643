"""Vendors' WebSockets that are none, or are cut off: noticed at once, told in words, and not waited for."""

import asyncio
import base64
import hashlib
import json
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from tests.promptness import DEADLINE_S, measured
from tests.regional.providers.conftest import frames, question
from tests.regional.tcp_server import tcp

from repartee.errors import ProviderError
from repartee.pool.settings import PoolSettings
from repartee.providers.deepgram import FluxSettings, FluxSTT
from repartee.turn.events import EndOfTurn

MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
ONCE = PoolSettings(spare=1, young_s=0.0, single_use=True)
NOTICED_S = 0.6


def frame(data: bytes, *, opcode: int = 1, last: bool = True, reserved: int = 0) -> bytes:
    """A server's frame of less than 64 kB."""
    length = bytes([len(data)]) if len(data) < 126 else b"\x7e" + struct.pack(">H", len(data))
    return bytes([(0x80 if last else 0) | reserved | opcode]) + length + data


def turn(event: str, words: str) -> bytes:
    return json.dumps({"type": "TurnInfo", "event": event, "transcript": words}).encode()


@asynccontextmanager
async def flux_that_sends(
    raw: bytes, *, then_close: bool = False, headers: bytes = b""
) -> AsyncIterator[str]:
    """A server that greets as Flux does, and sends these bytes when it has been sent a while of audio."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            [key] = [line[19:] for line in head.splitlines() if line.lower().startswith("sec-websocket-key")]
            accept = base64.b64encode(hashlib.sha1((key.strip() + MAGIC).encode()).digest())
            writer.write(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: "
                + accept
                + b"\r\n"
                + headers
                + b"\r\n"
                + frame(b'{"type": "Connected"}')
            )
            await reader.readexactly(20_000)
            writer.write(raw)
            await writer.drain()
            if not then_close:
                await reader.read(-1)

    async with tcp(serve) as url:
        yield url


async def heard(url: str) -> str:
    """The words of the first turn. Raises what the call would get."""
    ears = FluxSTT(FluxSettings(url, "k", pool=ONCE))
    try:
        transcriber = await ears.listen()
        try:
            async with asyncio.timeout(DEADLINE_S):
                for piece in frames(question()):
                    transcriber.feed(piece)
                async for event in transcriber.events():
                    if isinstance(event, EndOfTurn):
                        return event.text
        finally:
            await transcriber.aclose()
    finally:
        await ears.aclose()
    raise AssertionError("it ended")


BROKEN = {
    "no frames": b"\xff" * 300,
    "a masked frame": b"\x81\x85abcdhello",
    "a packed frame that nobody agreed to": frame(b"abc", reserved=0x40),
    "a close without a code": frame(b"\x03", opcode=8),
    "a frame of a terabyte": b"\x81\x7f" + struct.pack(">Q", 2**40),
    "a message of 20 MB": frame(b"x" * 65_000, last=False) + frame(b"x" * 65_000, opcode=0, last=False) * 300,
}


@pytest.mark.parametrize("kind", list(BROKEN))
async def test_a_peer_that_breaks_the_protocol_is_left_at_once(kind: str) -> None:
    """The library would wait five seconds for its goodbye to be answered."""
    async with flux_that_sends(BROKEN[kind]) as url:
        machine, began = measured(), time.monotonic()
        with pytest.raises(ProviderError, match="closed the connection") as raised:
            await heard(url)
        took_s = time.monotonic() - began
        machine.promise(took_s <= NOTICED_S, f"noticed after {took_s:.1f} s")
    assert raised.value.retryable


async def test_a_connection_that_is_cut_in_mid_frame() -> None:
    cut = frame(turn("StartOfTurn", "Hi")) + frame(turn("EndOfTurn", "Hi there."))[:20]
    async with flux_that_sends(cut, then_close=True) as url:
        with pytest.raises(ProviderError, match="closed the connection"):
            await heard(url)


async def test_what_is_odd_and_allowed() -> None:
    whole = turn("EndOfTurn", "Hi there.")
    pieces = frame(whole[:9], last=False) + frame(b"ping", opcode=9) + frame(whole[9:], opcode=0)
    async with flux_that_sends(pieces) as url:
        assert await heard(url) == "Hi there."
    async with flux_that_sends(frame(whole.replace(b"there", b"th\xffre"))) as url:
        assert await heard(url) == "Hi th\N{REPLACEMENT CHARACTER}re."


@pytest.mark.parametrize(
    "headers", ["Sec-WebSocket-Extensions: permessage-deflate", "Sec-WebSocket-Protocol: other"]
)
async def test_a_handshake_that_grants_what_nobody_asked_for(headers: str) -> None:
    async with flux_that_sends(b"", headers=f"{headers}\r\n".encode()) as url:
        with pytest.raises(ProviderError, match="supported"):
            await heard(url)
