"""What Repartee relies on of `websockets` beyond its documentation, each part checked once and behind this guard.

Two parts: the function that takes a frame's mask off, and the place where a client connection passes on each frame
that it has read. If a version lacks one of them, we use it in its documented way, which costs more for each
message; one warning says so.
"""

import asyncio
import functools
import importlib
import logging
from collections.abc import Callable
from importlib.metadata import version
from typing import Any, Protocol, cast

from websockets.asyncio.client import ClientConnection
from websockets.client import ClientProtocol
from websockets.frames import Close, CloseCode, Frame, Opcode
from websockets.protocol import Event, State
from websockets.uri import parse_uri

log = logging.getLogger(__name__)

Unmask = Callable[[bytes, bytes], bytes]
"""A frame's payload and its mask of four bytes; gives the payload without the mask."""

MOST_WORDS = 120
"""Characters of the library's word for what is wrong that are passed on."""

_DATA = (Opcode.TEXT, Opcode.BINARY, Opcode.CONT)


class FrameReader(Protocol):
    """Whoever wants a connection's frames, and to know when it begins and ends."""

    def on_made(self, transport: asyncio.Transport) -> None: ...

    def on_frame(self, frame: Frame) -> None: ...

    def on_goodbye(self, code: int, reason: str) -> None: ...

    def on_lost(self) -> None: ...


class PushingConnection(ClientConnection):
    """A client connection that calls its reader with each data frame the moment it has read it.

    ``recv()`` and iteration are not for use on it.
    """

    def __init__(self, protocol: ClientProtocol, *, reader: FrameReader, **options: Any) -> None:
        super().__init__(protocol, **options)
        self._reader = reader

    def process_event(self, event: Event) -> None:
        if isinstance(event, Frame) and event.opcode in _DATA:
            self._reader.on_frame(event)
        else:
            super().process_event(event)
            if isinstance(event, Frame) and event.opcode is Opcode.CLOSE:
                said = Close.parse(bytes(event.data))
                self._reader.on_goodbye(int(said.code), said.reason)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if (broken := self.protocol.parser_exc) is not None:
            # The library says goodbye and waits for an answer, which who speaks no WebSocket does not give.
            self._reader.on_goodbye(CloseCode.PROTOCOL_ERROR, str(broken)[:MOST_WORDS])
            self.transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._reader.on_made(cast(asyncio.Transport, transport))  # uvloop's is none by name

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._reader.on_lost()


@functools.cache
def unmask() -> Unmask | None:
    """The library's function, compiled where it has one; None in a version without it."""
    for name in ("websockets.speedups", "websockets.utils"):
        try:
            found: Unmask = importlib.import_module(name).apply_mask
            if found(b"abcde", b"\x01\x02\x03\x04") == b"````d":
                return found
        except (ImportError, AttributeError, TypeError):
            continue
    log.warning(
        "websockets %s has no function to take off a mask; passing each frame of a client through its parser",
        version("websockets"),
    )
    return None


@functools.cache
def can_push() -> bool:
    """Whether a :class:`PushingConnection` passes frames on in this version; called on a running event loop."""
    if _passes_a_frame_on():
        return True
    log.warning(
        "websockets %s does not pass frames on as they are read; a task reads from each connection to a provider",
        version("websockets"),
    )
    return False


def _passes_a_frame_on() -> bool:
    probe = _Probe()
    try:
        protocol = ClientProtocol(parse_uri("ws://probe.invalid/"), state=State.OPEN)
        connection = PushingConnection(protocol, reader=probe, ping_interval=None)
        connection.connection_made(probe)
        connection.data_received(b"\x81\x02ok")
        connection.connection_lost(None)
    except Exception as error:  # whatever another version raises where something is missing
        log.debug("websockets %s: %r", version("websockets"), error)
        return False
    return probe.seen == ["made", b"ok", "lost"]


class _Probe(asyncio.Transport):
    """Stands for the socket and the reader of a connection that leads nowhere."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[object] = []

    def write(self, data: object) -> None:
        """Nothing listens."""

    def is_closing(self) -> bool:
        return False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """Nothing was opened."""

    abort = close

    def on_made(self, transport: asyncio.Transport) -> None:
        self.seen.append("made")

    def on_frame(self, frame: Frame) -> None:
        self.seen.append(bytes(frame.data))

    def on_goodbye(self, code: int, reason: str) -> None:
        self.seen.append("goodbye")

    def on_lost(self) -> None:
        self.seen.append("lost")
