"""Callers by WebRTC for the benchmarks: what they say is encoded once for all of them."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from repartee.bench.load import (
    ARRIVALS_PER_S,
    MOST_OPENING,
    RATE_HZ,
    Load,
    LoadCall,
    Measured,
    Script,
    scripted,
)
from repartee.client.recorded_opus import RecordedOpus
from repartee.client.webrtc import CALLS_PATH, MediaSocket, MediaWishes, connect_media

FRAME_BYTES = RATE_HZ // 50 * 2


class MediaLink:
    """A call's connection, as a load call writes to it."""

    def __init__(self, media: MediaSocket, receive: Callable[[bytes, bool, float], None]) -> None:
        self.closed: str | None = None
        self.heard_frames = 0
        self._media = media
        self._receive = receive
        self._closing: asyncio.Task[None] | None = None
        media.listener = self._take

    @property
    def concealed_frames(self) -> int:
        """How many frames of what was heard had been lost, without a copy: guessed."""
        return self._media.peer.incoming.concealed

    def write(self, frame: bytes) -> None:
        """20 ms of PCM16."""
        self._media.send_frame(frame)

    def close(self) -> None:
        """Hang up."""
        self._closing = asyncio.ensure_future(self._media.close())

    def _take(self, message: str | bytes) -> None:
        now = time.monotonic()
        if isinstance(message, str):
            self._receive(message.encode(), True, now)
            return
        self.heard_frames += len(message) // FRAME_BYTES
        self._receive(message, False, now)


def media_script(frames_per_turn: int) -> Script:
    """One turn as PCM frames."""
    script = scripted(frames_per_turn, binary_audio=True)
    header = len(script.frames[0]) - FRAME_BYTES
    return Script(
        [frame[header:] for frame in script.frames], script.last_speech_frame, script.after_speech_s
    )


async def media_link(
    receive: Callable[[bytes, bool, float], None],
    url: str,
    *,
    key: str = "",
    opus: RecordedOpus | None = None,
    via: tuple[str, int] | None = None,
) -> MediaLink:
    """A call to the worker at ``url``; its media goes by the relay at ``via``, if any. Raises CallFailed."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    media = await connect_media(f"{url}{CALLS_PATH}", headers, MediaWishes(via=via, opus=opus))
    return MediaLink(media, receive)


@asynccontextmanager
async def open_webrtc_calls(load: Load, measured: Measured) -> AsyncIterator[list[LoadCall]]:
    """Place all calls by WebRTC; hangs up at the end of the block. Raises CallFailed."""
    script, opus = media_script(load.frames_per_turn), RecordedOpus()
    calls = [LoadCall(script, load.turns, measured) for _ in range(load.calls)]
    opening = asyncio.Semaphore(MOST_OPENING)

    async def place(call: LoadCall, number: int) -> None:
        await asyncio.sleep(number / ARRIVALS_PER_S)
        async with opening:
            call.socket = await media_link(call.receive, load.url, key=load.api_key, opus=opus)

    try:
        await asyncio.gather(*(place(call, number) for number, call in enumerate(calls)))
        yield calls
    finally:
        for call in calls:
            if call.socket is not None:
                call.socket.close()
        await asyncio.sleep(0.1)
