"""A carrier's side of one media stream: opens it, sends the caller, plays what comes back at real time.

Owns the stream's socket. Knows nothing of documents or of what follows the stream.
"""

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from repartee.standins.carrier.dialects import (
    DIALECTS,
    DropAudio,
    PlayAudio,
    SetMark,
    StreamIdentity,
    StreamViolation,
)
from repartee.standins.carrier.playout import CarrierPlayout
from repartee.standins.carrier.telephones import Telephone
from repartee.standins.carrier.ticks import ticks

OPEN_S: Final = 5.0
CLOSE_S: Final = 2.0


@dataclass(slots=True)
class LineFaults:
    """What a stream suffers on request: ``stall_in``: the caller's frames are held back; ``stall_out``: nothing is
    read; ``hold_marks``: marks do not come back; ``reorder``: pairs of frames are swapped; ``echo``: the caller's
    telephone sends back what it plays."""

    stall_in: bool = False
    stall_out: bool = False
    hold_marks: bool = False
    reorder: bool = False
    echo: bool = False


@dataclass(slots=True)
class StreamFigures:
    """What has happened on a stream, for whoever asks."""

    region: str = ""
    frames_sent: int = 0
    audio_ms: float = 0.0
    marks_sent: int = 0
    marks_returned: int = 0
    clears: int = 0
    violations: list[str] = field(default_factory=list)
    ended: str = ""
    partial_frames: int = 0


class CarrierStream:
    """One stream of a call. Made for one :meth:`run`."""

    def __init__(
        self,
        carrier: str,
        identity: StreamIdentity,
        telephone: Telephone,
        *,
        both_ways: bool = True,
        faults: LineFaults | None = None,
    ) -> None:
        self.faults = faults or LineFaults()
        self.figures = StreamFigures()
        self._dialect = DIALECTS[carrier](identity)
        self._telephone = telephone
        self._both_ways = both_ways
        self._playout = CarrierPlayout()
        self._socket: ClientConnection | None = None
        self._number = 0
        self._chunk = 0
        self._held: list[dict[str, Any]] = []
        self._keys: list[str] = []

    async def run(self, url: str, headers: Mapping[str, str], parameters: Mapping[str, str]) -> str:
        """Hold the stream until the server closes it; how it ended: ``closed``, ``refused``, ``lost``, or
        ``violated`` (by what the server sent)."""
        self.figures.region = url.split("/")[2]
        try:
            socket = await connect(
                url, additional_headers=dict(headers), compression=None, open_timeout=OPEN_S,
                close_timeout=CLOSE_S, proxy=None, max_size=2**22,
            )  # fmt: skip
        except (OSError, TimeoutError, InvalidHandshake) as error:
            self.figures.ended = f"refused: {error}"
            return "refused"
        self._socket = socket
        self._telephone.on_key = self._key
        try:
            await self._say(self._dialect.connected())
            await self._say(self._dialect.start(self._next(), parameters))
            speaking = asyncio.create_task(self._speak())
            try:
                return await self._listen(socket)
            finally:
                speaking.cancel()
                await asyncio.wait([speaking])
        except ConnectionClosed:
            return self._lost(socket)
        finally:
            self._telephone.on_key = None
            await self._leave(socket)

    def kill(self) -> None:
        """The socket is gone, without a word."""
        if self._socket is not None:
            self._socket.transport.abort()

    async def _leave(self, socket: ClientConnection) -> None:
        with suppress(ConnectionClosed, OSError):
            await socket.send(json.dumps(self._dialect.stop(self._next())))
        await socket.close()

    def _lost(self, socket: ClientConnection) -> str:
        self.figures.ended = f"closed with {socket.close_code}"
        return "lost" if socket.close_code in (None, 1006) else "closed"

    async def _listen(self, socket: ClientConnection) -> str:
        try:
            async for message in socket:
                while self.faults.stall_out:  # noqa: ASYNC110 - whoever stalls the line ends that
                    await asyncio.sleep(0.02)
                await self._take(message)
        except StreamViolation as violation:
            self.figures.violations.append(str(violation))
            self.figures.ended = f"violated: {violation}"
            return "violated"
        return self._lost(socket)

    async def _take(self, message: str | bytes) -> None:
        match self._dialect.read(message):
            case PlayAudio(audio):
                self.figures.audio_ms += len(audio) / 8
                self.figures.partial_frames += len(audio) % 160 != 0
                if self._both_ways:
                    self._playout.put(audio)
            case SetMark(name):
                self.figures.marks_sent += 1
                self._playout.mark(name)
            case DropAudio():
                self.figures.clears += 1
                await self._marks(self._playout.clear())

    async def _speak(self) -> None:
        with suppress(ConnectionClosed):
            async for _ in ticks():
                frame, reached = self._playout.play()
                self._telephone.play(frame)
                heard = self._telephone.heard()
                if self.faults.echo:
                    heard = [frame]
                for spoken in heard:
                    await self._media(spoken)
                while self._keys:
                    await self._say(self._dialect.digit(self._next(), self._keys.pop(0)))
                await self._marks(reached)

    async def _media(self, frame: bytes) -> None:
        at_ms = self._chunk * 20
        self._chunk += 1
        if self.faults.stall_in:
            return
        message = self._dialect.media(self._next(), self._chunk, at_ms, frame)
        if self.faults.reorder and self._chunk % 2:
            self._held.append(message)
            return
        self.figures.frames_sent += 1
        await self._say(message)
        while self._held:
            self.figures.frames_sent += 1
            await self._say(self._held.pop())

    async def _marks(self, names: list[str]) -> None:
        for name in names if not self.faults.hold_marks else ():
            self.figures.marks_returned += 1
            await self._say(self._dialect.mark(self._next(), name))

    def _key(self, key: str) -> None:
        self._keys.append(key)

    def _next(self) -> int:
        self._number += 1
        return self._number

    async def _say(self, message: dict[str, Any]) -> None:
        assert self._socket is not None
        with suppress(ConnectionClosed):
            await self._socket.send(json.dumps(message))
