"""Calls by telephone: a handset on the network of the carriers' stand-ins, and a call from it with the face of a
WebSocket.

What is heard comes from the handset. What was said in words comes from the call's side band at its region, since a
telephone knows none.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlsplit, urlunsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from repartee.client.faults import CallFailed, call_elsewhere, unreachable
from repartee.wire.audio_format import AudioDecoder, AudioEncoder, WireFormat

MU_LAW: Final = WireFormat("audio/pcmu", 8_000)
FRAME_BYTES: Final = 160
QUIET: Final = b"\xff" * FRAME_BYTES
ANSWER_S: Final = 20.0
QUIET_S: Final = 0.7
"""A response is over when nothing more has been heard of it for so long: the network paces it."""

LOOK_UP: Final = "conversation.item.retrieve"
SAID: Final = "response.output_audio_transcript.done"
MOST_WAITING: Final = 4_096


@dataclass(frozen=True, slots=True)
class TelephoneWishes:
    """Which number to call, from which, on which network. ``ticket`` lets somebody into a region's side band."""

    network_url: str
    regions: Sequence[str]
    ticket: Callable[[str], str]
    dialled: str = "+15550199"
    number: str = "+15550100"


class HandsetLine:
    """A handset. ``on_audio`` takes each 20 ms that is heard (mu-law)."""

    def __init__(self, socket: ClientConnection) -> None:
        self.on_audio: Callable[[bytes], None] = lambda frame: None
        self.on_event: Callable[[dict[str, Any]], None] = lambda event: None
        self.events: list[dict[str, Any]] = []
        self.heard_ms = 0.0
        """How much has been heard that was not silence."""
        self._socket = socket
        self._changed = asyncio.Condition()
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def connected(cls, network_url: str, number: str) -> "HandsetLine":
        """A handset with this number. Raises CallFailed."""
        url = f"{network_url.replace('http', 'ws', 1)}handset?number={quote(number)}"
        try:
            return cls(await connect(url, compression=None, proxy=None, max_size=2**20))
        except (OSError, TimeoutError, WebSocketException) as error:
            raise unreachable(url, error) from None

    async def say(self, **wish: Any) -> None:
        """``dial``, ``answer``, ``key``, ``beep`` or ``hang_up``."""
        with suppress(ConnectionClosed):
            await self._socket.send(json.dumps(wish))

    async def speak(self, frame: bytes) -> None:
        """20 ms into it (mu-law)."""
        await self._socket.send(frame)

    async def until(self, kind: str, within_s: float = ANSWER_S) -> dict[str, Any]:
        """The first event of this kind that has not been asked for. Raises CallFailed."""
        try:
            async with asyncio.timeout(within_s), self._changed:
                while True:
                    for event in self.events:
                        if event["event"] == kind:
                            self.events.remove(event)
                            return event
                    await self._changed.wait()
        except TimeoutError:
            said = ", ".join(str(event["event"]) for event in self.events) or "nothing"
            raise CallFailed(
                f"The telephone was to say {kind} within {within_s:g} s: it said {said}."
            ) from None

    async def close(self) -> None:
        """Take it off the network."""
        await self._socket.close()
        self._reader.cancel()
        await asyncio.wait([self._reader])

    async def _read(self) -> None:
        async for message in self._socket:
            if isinstance(message, bytes):
                if message != QUIET:
                    self.heard_ms += 20
                self.on_audio(message)
            else:
                event = json.loads(message)
                self.on_event(event)
                async with self._changed:
                    self.events.append(event)
                    self._changed.notify_all()


class TelephoneSocket:
    """A call from a handset to an agent, with the face of a WebSocket. Made by :func:`connect_telephone`."""

    def __init__(self, handset: HandsetLine, call_id: str, side_band: ClientConnection) -> None:
        self.url = ""
        self.handset = handset
        self.call_id = call_id
        self.ended: dict[str, Any] | None = None
        self.said: list[str] = []
        """What the agent has said, text by text."""
        self._side_band = side_band
        self._encoder = AudioEncoder(MU_LAW, 24_000)
        self._decoder = AudioDecoder(MU_LAW, 24_000)
        self._unsent = b""
        self._sound_at = 0.0
        self._held: list[str] = []
        self._incoming: asyncio.Queue[str | bytes | None] = asyncio.Queue(MOST_WAITING)
        self._loop = asyncio.get_running_loop()
        self._reader = asyncio.create_task(self._read())
        handset.on_audio = self._hear
        handset.on_event = self._take

    async def send(self, message: str | bytes) -> None:
        """20 ms of audio (PCM16, 24 kHz). Of events, a telephone can only look something up; what was heard of an
        answer is the carrier's to say."""
        if isinstance(message, bytes):
            self._unsent += self._encoder.feed(message)
            while len(self._unsent) >= FRAME_BYTES:
                frame, self._unsent = self._unsent[:FRAME_BYTES], self._unsent[FRAME_BYTES:]
                await self.handset.speak(frame)
        elif LOOK_UP in message:
            with suppress(ConnectionClosed):
                await self._side_band.send(message)

    async def recv(self) -> str | bytes:
        """The next event or piece of audio. Raises CallFailed when the call is over."""
        message = await self._incoming.get()
        if message is None:
            raise CallFailed("The call is over.")
        return message

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        while (message := await self._incoming.get()) is not None:
            yield message

    async def close(self) -> None:
        """Hang up, and take the handset off the network."""
        await self.handset.say(hang_up=True)
        await self._side_band.close()
        self._reader.cancel()
        await asyncio.wait([self._reader])
        await self.handset.close()

    def _hear(self, frame: bytes) -> None:
        pcm = self._decoder.feed(frame)
        if frame != QUIET:
            self._sound_at = self._loop.time()
            self._put(pcm)
        elif self._held and self._loop.time() - self._sound_at > QUIET_S:
            held, self._held = self._held, []
            for event in held:
                self._put(event)

    def _take(self, event: dict[str, Any]) -> None:
        if event["event"] == "ended" and self.ended is None:
            self.ended = event
            self._put(None)

    async def _read(self) -> None:
        with suppress(ConnectionClosed):
            async for message in self._side_band:
                text = message if isinstance(message, str) else message.decode()
                if f'"{SAID}"' in text:
                    self.said.append(str(json.loads(text).get("transcript", "")))
                if '"response.done"' in text:
                    self._sound_at = self._loop.time()
                    self._held.append(text)
                else:
                    self._put(text)

    def _put(self, message: str | bytes | None) -> None:
        with suppress(asyncio.QueueFull):  # nobody reads any more
            self._incoming.put_nowait(message)


async def connect_telephone(wishes: TelephoneWishes) -> TelephoneSocket:
    """Dial, and wait until the agent's side has answered. Raises CallFailed."""
    handset = await HandsetLine.connected(wishes.network_url, wishes.number)
    try:
        await handset.say(dial=wishes.dialled)
        call_id = str((await handset.until("ringing"))["call_id"])
        await handset.until("answered")
        return TelephoneSocket(handset, call_id, await _side_band(wishes, call_id))
    except BaseException:
        await handset.close()
        raise


async def _side_band(wishes: TelephoneWishes, call_id: str) -> ClientConnection:
    """At the region that has the call, which is not known before."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + ANSWER_S
    while loop.time() < deadline:
        for region in wishes.regions:
            parts = urlsplit(region)
            scheme = "wss" if parts.scheme == "https" else "ws"
            query = f"call_id={quote(call_id)}&events=repartee"
            url = urlunsplit((scheme, parts.netloc, "/v1/realtime", query, ""))
            headers = {"Authorization": f"Bearer {wishes.ticket(region)}"}
            with suppress(InvalidStatus):
                return await connect(url, additional_headers=headers, compression=None, proxy=None)
        await asyncio.sleep(0.05)
    raise call_elsewhere(wishes.regions)
