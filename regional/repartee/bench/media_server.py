"""The far end of `bench transport --media-only`, a process of its own: calls by WebRTC in which nobody thinks.

The agent talks 4 s in 10; what callers say is decoded and goes nowhere. Run as `python -m … PORT`.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from repartee.app.settings import read_settings
from repartee.bench.load import speech
from repartee.client.webrtc import CALLS_PATH
from repartee.transport.webrtc.line import MediaLine
from repartee.transport.webrtc.names import WorkerLabel
from repartee.transport.webrtc.peers import MediaSettings, PeerMaker
from repartee.transport.webrtc.playout import PacedPlayout, SpokenItem
from repartee.transport.webrtc.port import MediaPort

HOST = "127.0.0.1"
TALKS_S, ROUND_S = 4.0, 10.0


class TalkingLine:
    """A call whose agent talks by the clock."""

    def __init__(self, line: MediaLine, sound: bytes, frame_ms: int) -> None:
        self.playout_delay_ms = 40.0
        self.send_frame = line.send_frame
        self._line = line
        self._sound = sound
        self._round = 0
        self._playout = PacedPlayout(self, frame_ms=frame_ms)
        self._timer: asyncio.TimerHandle | None = None

    def line_opened(self) -> None:
        self._playout.release()
        self._talk()

    def line_lost(self, why: object) -> None:
        if self._timer:
            self._timer.cancel()
        self._playout.stop()
        self._line.hang_up()

    def take_pcm(self, pcm: bytes) -> None: ...

    def take_text(self, text: str) -> None: ...

    def channel_opened(self) -> None: ...

    def line_away(self) -> None: ...

    def sound_began(self, spoken: SpokenItem) -> None: ...

    def sound_ended(self, spoken: SpokenItem) -> None: ...

    def was_heard(self, spoken: SpokenItem, heard_ms: float) -> None: ...

    def _talk(self) -> None:
        self._round += 1
        spoken = SpokenItem("media", str(self._round))
        self._playout.put(spoken, self._sound)
        self._playout.end(spoken)
        self._timer = asyncio.get_running_loop().call_later(ROUND_S, self._talk)


def media_app() -> Starlette:
    """Takes offers; the encoder is as the worker's settings say."""
    settings, sound = read_settings(), speech(TALKS_S * 1_000)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, object]]:
        port = MediaPort(HOST, 0)
        await port.open()
        made = MediaSettings(
            [HOST],
            WorkerLabel().signed(b"nobody else's"),
            settings.webrtc_frame_ms,
            settings.webrtc_consent_s,
            settings.opus_bitrate,
            settings.opus_complexity,
            settings.opus_low_delay,
        )
        yield {"port": port, "peers": PeerMaker(made)}
        await port.aclose()

    async def begin(request: Request) -> Response:
        line = MediaLine(request.state.port, request.state.peers)
        answer = line.answer((await request.body()).decode())
        line.use(TalkingLine(line, sound, settings.webrtc_frame_ms))
        return Response(answer, 201, {"Location": f"{CALLS_PATH}/media"}, "application/sdp")

    return Starlette(routes=[Route(CALLS_PATH, begin, methods=["POST"])], lifespan=lifespan)


if __name__ == "__main__":
    uvicorn.run(media_app(), host=HOST, port=int(sys.argv[1]), loop="uvloop", log_level="error")
