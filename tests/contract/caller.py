"""A caller with OpenAI's client: speaks like a telephone line, listens in the background."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from openai import AsyncOpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection
from tests.clients.strict import faults_in
from tests.promptness import DEADLINE_S
from tests.regional.app.running import speech
from websockets.exceptions import ConnectionClosed

FRAME_S = 0.02


class Caller:
    """One connection. ``events`` are all that came, ``faults`` what of them the SDK's types do not know."""

    def __init__(self, connection: AsyncRealtimeConnection) -> None:
        self.connection = connection
        self.events: list[Any] = []
        self.faults: list[str] = []
        self._read = 0
        self._came = asyncio.Event()
        self.hung_up = asyncio.Event()
        """The worker has closed the connection."""

    async def listen(self) -> None:
        with suppress(ConnectionClosed):
            while True:
                said = await self.connection.recv_bytes()
                self.faults += faults_in(json.loads(said))
                self.events.append(self.connection.parse_event(said))
                self._came.set()
        self.hung_up.set()

    @property
    def types(self) -> list[str]:
        return [event.type for event in self.events]

    async def hears(self, type_: str, where: Callable[[Any], bool] = lambda event: True) -> Any:
        """The next event of this type, past those heard before."""
        try:
            async with asyncio.timeout(DEADLINE_S):
                while True:
                    for place in range(self._read, len(self.events)):
                        if self.events[place].type == type_ and where(self.events[place]):
                            self._read = place + 1
                            return self.events[place]
                    self._came.clear()
                    await self._came.wait()
        except TimeoutError:
            raise AssertionError(f"no {type_} in {self.types[self._read :]}") from None

    async def says_something(self, *, pause_ms: int = 600, encode: Callable[[bytes], bytes] = bytes) -> None:
        """Some speech and the silence after it, frame by frame."""
        audio = encode(speech(500) + bytes(48 * pause_ms))
        size = len(audio) * 20 // (500 + pause_ms)
        for start in range(0, len(audio), size):
            frame = base64.b64encode(audio[start : start + size]).decode()
            await self.connection.input_audio_buffer.append(audio=frame)
            await asyncio.sleep(FRAME_S)

    def audio(self, response_id: str) -> bytes:
        """All audio of a response."""
        deltas = [
            event.delta
            for event in self.events
            if event.type == "response.output_audio.delta" and event.response_id == response_id
        ]
        return b"".join(base64.b64decode(delta) for delta in deltas)


@asynccontextmanager
async def calling(client: AsyncOpenAI, *, asks: bool = True, **session: Any) -> AsyncIterator[Caller]:
    """A call, with these settings of the session. ``asks``: for the events that are not OpenAI's."""
    query = {"events": "repartee"} if asks else {}
    patient: Any = {"open_timeout": DEADLINE_S}  # the library takes it, its type does not name it
    async with client.realtime.connect(
        model="any", extra_query=query, websocket_connection_options=patient
    ) as connection:
        caller = Caller(connection)
        listening = asyncio.create_task(caller.listen())
        try:
            await caller.hears("session.created")
            if session:
                settings: Any = {"type": "realtime", **session}
                await connection.session.update(session=settings)
                await caller.hears("session.updated")
            yield caller
        finally:
            listening.cancel()
            await asyncio.wait([listening])
        assert caller.faults == []
        assert listening.cancelled() or listening.exception() is None, listening
