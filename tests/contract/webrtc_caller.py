"""A caller by WebRTC: speaks on its audio track, listens to events and audio in the background."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from tests.promptness import DEADLINE_S
from tests.regional.app.running import speech

from repartee.client.faults import CallFailed
from repartee.client.webrtc import MediaSocket, MediaWishes, connect_media

FRAME_BYTES = 960


class WebRtcCaller:
    """One call. ``events`` are all that came, ``heard`` all audio."""

    def __init__(self, socket: MediaSocket) -> None:
        self.socket = socket
        self.events: list[dict[str, Any]] = []
        self.heard = bytearray()
        self.hung_up = asyncio.Event()
        self._read = 0
        self._came = asyncio.Event()

    @property
    def name(self) -> str:
        """The call's id."""
        return self.socket.url.rpartition("/")[2]

    @property
    def types(self) -> list[str]:
        return [event["type"] for event in self.events]

    async def listen(self) -> None:
        async for message in self.socket:
            if isinstance(message, bytes):
                self.heard += message
            else:
                self.events.append(json.loads(message) | {"_heard_bytes": len(self.heard)})
            self._came.set()
        self.hung_up.set()

    async def hears(
        self, type_: str, where: Callable[[dict[str, Any]], bool] = lambda event: True
    ) -> dict[str, Any]:
        """The next event of this type, past those heard before."""
        try:
            async with asyncio.timeout(DEADLINE_S):
                while True:
                    for place in range(self._read, len(self.events)):
                        if self.events[place]["type"] == type_ and where(self.events[place]):
                            self._read = place + 1
                            return self.events[place]
                    self._came.clear()
                    await self._came.wait()
        except TimeoutError:
            raise AssertionError(f"no {type_} in {self.types[self._read :]}") from None

    async def send(self, type_: str, **fields: Any) -> None:
        await self.socket.send(json.dumps({"type": type_, **fields}))

    async def says_something(self, *, ms: int = 500, pause_ms: int = 600) -> None:
        """Some speech and the silence after it, frame by frame."""
        audio = speech(ms) + bytes(48 * pause_ms)
        for at in range(0, len(audio), FRAME_BYTES):
            await self.socket.send(audio[at : at + FRAME_BYTES])
            await asyncio.sleep(0.02)


@asynccontextmanager
async def calling_by_webrtc(
    http: str,
    path: str = "/v1/realtime/calls?events=repartee",
    *,
    tcp: bool = False,
    via: tuple[str, int] | None = None,
    **headers: str,
) -> AsyncIterator[WebRtcCaller]:
    """A call to the server at ``http``; with ``tcp``, by ICE-TCP only; ``via`` a relay."""
    wishes = MediaWishes(tcp=tcp, via=via, connect_timeout_s=DEADLINE_S)
    socket = await connect_media(f"{http}{path}", headers, wishes)
    caller = WebRtcCaller(socket)
    listening = asyncio.create_task(caller.listen())
    try:
        await caller.hears("session.created")
        yield caller
    finally:
        listening.cancel()
        with suppress(asyncio.CancelledError, CallFailed):
            await listening
        await socket.close()
