"""A phone line to an agent: places a call over a real socket and keeps talking and listening until it is hung up.

Owns the socket, the microphone's clock (a frame every 20 ms, silence between the questions) and the waiting. What
the events mean is :mod:`repartee.client.dialogue`'s to know.
"""

import asyncio
import base64
import binascii
import json
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Protocol
from urllib.parse import urlsplit, urlunsplit

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from repartee.audio.pcm import bytes_for_ms, silence
from repartee.audio.speech_end import CallerAudio
from repartee.client.dialogue import Dialogue, Turn
from repartee.client.faults import CallFailed, broken_off, refused, unreachable
from repartee.client.playback import PlaybackClock
from repartee.client.speech import Question
from repartee.client.telephone import TelephoneWishes, connect_telephone

SESSION_PATH = "/v1/voice/session"
FRAME_MS = 20
KNOWN_SILENCE_MS = 300.0
"""What follows a question is the caller's own silence, whether or not it has gone out already."""

OPENING_EVENT = "session.created"


@dataclass(frozen=True, slots=True)
class CallOptions:
    """Where to call and how. ``url`` may be ws(s):// or http(s)://, with or without a path."""

    url: str
    api_key: str
    binary_audio: bool = True
    rate_hz: int = 24_000
    open_timeout_s: float = 10.0
    answer_timeout_s: float = 15.0
    webrtc: bool = False
    tcp: bool = False
    """With ``webrtc``: by ICE-TCP only."""
    media_via: tuple[str, int] | None = None
    """With ``webrtc``: a relay that media is sent to."""
    telephone: TelephoneWishes | None = None
    """By telephone, through a carrier."""

    @property
    def transport(self) -> str:
        """As reports name it."""
        if self.telephone:
            return "telephone"
        if self.webrtc:
            return "webrtc"
        return "websocket-binary" if self.binary_audio else "websocket"


def session_url(url: str, *, binary_audio: bool) -> str:
    """The WebSocket URL of a session at ``url``. Raises CallFailed for what is no such URL."""
    if "://" not in url:
        url = f"ws://{url}"
    parts = urlsplit(url)
    scheme = {"ws": "ws", "wss": "wss", "http": "ws", "https": "wss"}.get(parts.scheme)
    if scheme is None or not parts.hostname:
        raise CallFailed(f"{url} is no address to call: give one like ws://127.0.0.1:8787{SESSION_PATH}")
    path = parts.path if parts.path.strip("/") else SESSION_PATH
    query = "&".join(filter(None, [parts.query, "audio=binary" if binary_audio else "", "events=repartee"]))
    return urlunsplit((scheme, parts.netloc, path, query, ""))


class CallSocket(Protocol):
    """What a call needs of its connection: a WebSocket, or WebRTC with the same face."""

    async def send(self, message: str | bytes, /) -> None:
        """An event, or audio."""

    async def recv(self) -> str | bytes:
        """The next of the server's."""

    def __aiter__(self) -> AsyncIterator[str | bytes]:
        """All of them."""

    async def close(self) -> None:
        """Hang up."""


class PlacedCall:
    """A call that is under way; made by :func:`place_call`."""

    def __init__(self, socket: CallSocket, options: CallOptions, now: Callable[[], float]) -> None:
        self.options = options
        self.playback = PlaybackClock(options.rate_hz)
        self.dialogue = Dialogue(self.playback)
        self.sent = bytearray()
        self.started_at_s = now()
        self.latest_tick_ms = 0.0
        self._now = now
        self._socket = socket
        self._caller_audio = CallerAudio(options.rate_hz)
        self._frames: deque[bytes] = deque()
        self._question: Turn | None = None
        self._changed = asyncio.Condition()
        self._fault: CallFailed | None = None

    async def ask(self, question: Question) -> Turn:
        """Say something and listen until its answer has been heard to the end, or was cut off.

        Raises CallFailed when the connection breaks off; an answer that does not come leaves ``Turn.failed``.
        """
        turn = await self.say(question)
        return await self.answer_to(turn)

    async def say(self, question: Question) -> Turn:
        """Say something; returns when its last frame has been sent."""
        size = bytes_for_ms(FRAME_MS, self.options.rate_hz)
        pcm = question.pcm + bytes(-len(question.pcm) % size)
        self._caller_audio.clear()
        turn = self.dialogue.question_started(question.text, self._now())
        self._frames.extend(pcm[at : at + size] for at in range(0, len(pcm), size))
        await self._until(lambda: not self._frames, timeout_s=len(pcm) / size * FRAME_MS / 1000 + 5)
        if turn.speech_ended_s is None:
            turn.speech_ended_s = self._caller_audio.speech_ended_at(silent_ms=KNOWN_SILENCE_MS)
        return turn

    def utter(self, pcm: bytes) -> None:
        """Have this go out as the caller's sound, at real time: no question, and nothing to wait for."""
        size = bytes_for_ms(FRAME_MS, self.options.rate_hz)
        padded = pcm + bytes(-len(pcm) % size)
        self._frames.extend(padded[at : at + size] for at in range(0, len(padded), size))

    async def answer_to(self, turn: Turn) -> Turn:
        """Listen until a turn is over."""
        if not await self._until(
            lambda: self.dialogue.finished(turn, self._now()) or self._silent(turn), timeout_s=120
        ):
            turn.failed = "the answer did not end"
        if turn.speech_ended_s is None:
            turn.speech_ended_s = self._caller_audio.speech_ended_at(silent_ms=KNOWN_SILENCE_MS)
        if turn.answered_at_s is None and turn.failed is None:
            turn.failed = f"no answer within {self.options.answer_timeout_s:g} s"
        return turn

    async def heard(self, turn: Turn, ms: float) -> bool:
        """Listen until so much of a turn's answer has been heard; False when it was shorter than that."""

        def enough() -> bool:
            item = turn.answer_item
            return item is not None and self.playback.played_ms(item, self._now()) >= ms

        over = lambda: enough() or self.dialogue.finished(turn, self._now()) or self._silent(turn)  # noqa: E731
        await self._until(over, timeout_s=60)
        return enough()

    async def greeting(self, patience_s: float = 0.5) -> str:
        """Listen to the agent's greeting, if it begins one within ``patience_s``; returns its words."""
        begun = lambda: self.dialogue.responding or self.playback.ends_at_s > 0  # noqa: E731
        if await self._until(begun, timeout_s=patience_s):
            await self._until(
                lambda: not self.dialogue.responding and self.playback.ends_at_s <= self._now(), timeout_s=30
            )
        return self.dialogue.greeting

    async def pause(self, ms: float) -> None:
        """Say nothing for a while (the line stays open)."""
        until = self._now() + ms / 1000
        await self._until(lambda: self._now() >= until, timeout_s=ms / 1000 + 1)

    @property
    def socket(self) -> CallSocket:
        """What it goes over."""
        return self._socket

    async def run(self) -> None:
        """Talk and listen until the connection ends; keeps the fault for those who wait."""
        microphone = asyncio.create_task(self._microphone())
        try:
            await self._listen()
        except ConnectionClosed as closed:
            frame = closed.rcvd
            self._fault = broken_off(frame.code if frame else None, frame.reason if frame else "")
        except CallFailed as fault:
            self._fault = fault
        finally:
            microphone.cancel()
            await asyncio.wait([microphone])  # unlike awaiting it, this leaves our own cancellation be
            await self._wake()

    async def _until(self, reached: Callable[[], bool], *, timeout_s: float) -> bool:
        """Wait for a condition that events, audio or the microphone's clock (20 ms) can bring about."""
        deadline = self._now() + timeout_s
        async with self._changed:
            while not reached():
                if self._fault is not None:
                    raise self._fault
                left = deadline - self._now()
                if left <= 0:
                    return False
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), left)
        return True

    def _silent(self, turn: Turn) -> bool:
        """Whether so much time has passed since the question that no answer is to be expected."""
        since = max(turn.speech_ended_s or turn.speech_started_s, self.playback.ends_at_s)
        waiting = not self._frames and not self.dialogue.responding
        return waiting and self._now() - since > self.options.answer_timeout_s

    async def _wake(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _microphone(self) -> None:
        quiet = silence(FRAME_MS, self.options.rate_hz)
        due = self.started_at_s = self._now()
        with suppress(ConnectionClosed):
            while True:
                frame = self._frames.popleft() if self._frames else quiet
                await self._send_audio(frame)
                now = self._now()
                self.sent += frame
                self._caller_audio.append(frame, now)
                self.latest_tick_ms = max(self.latest_tick_ms, (now - due) * 1000)
                due += FRAME_MS / 1000
                await self._wake()
                await asyncio.sleep(due - self._now())

    async def _send_audio(self, frame: bytes) -> None:
        if self.options.binary_audio:
            await self._socket.send(frame)
        else:
            audio = base64.b64encode(frame).decode()
            await self._socket.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))

    async def _listen(self) -> None:
        async for message in self._socket:
            now = self._now()
            if isinstance(message, bytes):
                self._hear(message, now)
            else:
                event = _parsed(message)
                if event.get("type") == "response.output_audio.delta":
                    self._hear(_audio_of(event), now)
                for reply in self.dialogue.receive(event, now):
                    await self._socket.send(json.dumps(reply))
            self.dialogue.settle()
            if self.options.telephone is None:
                for report in self.dialogue.heard_reports():
                    await self._socket.send(json.dumps(report))
            await self._wake()
        raise CallFailed("The server ended the call.")

    def _hear(self, pcm: bytes, now: float) -> None:
        turn = self.dialogue.turns[-1] if self.dialogue.turns else None
        if turn is not None and turn.speech_ended_s is None and not self._frames:
            turn.speech_ended_s = self._caller_audio.speech_ended_at(silent_ms=KNOWN_SILENCE_MS)
        self.dialogue.receive_audio(pcm, now)


@asynccontextmanager
async def place_call(options: CallOptions) -> AsyncIterator[PlacedCall]:
    """Place a call; hangs up at the end of the block. Raises CallFailed."""
    loop = asyncio.get_running_loop()
    socket = await _connected(options)
    running: asyncio.Task[None] | None = None
    try:
        call = PlacedCall(socket, options, loop.time)
        await _opened(socket, call, options)
        running = asyncio.create_task(call.run())
        yield call
    finally:
        if running is not None:
            running.cancel()
            await asyncio.wait([running])
        await socket.close()


async def _connected(options: CallOptions) -> CallSocket:
    if options.telephone:
        return await connect_telephone(options.telephone)
    if options.webrtc:
        return await _by_webrtc(options)
    url = session_url(options.url, binary_audio=options.binary_audio)
    try:
        return await connect(
            url,
            additional_headers={"Authorization": f"Bearer {options.api_key}"} if options.api_key else {},
            compression=None,
            open_timeout=options.open_timeout_s,
            close_timeout=2,
            max_size=2**22,
            max_queue=1024,
            proxy=None if urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1") else True,
        )
    except InvalidStatus as error:
        response = error.response
        body = (response.body or b"").decode("utf-8", "replace")
        raise refused(url, response.status_code, body, response.headers.get("Retry-After")) from None
    except (OSError, TimeoutError, WebSocketException) as error:
        raise unreachable(url, error) from None


async def _by_webrtc(options: CallOptions) -> CallSocket:
    if find_spec("OpenSSL") is None or find_spec("pylibsrtp") is None:
        raise CallFailed("A call by WebRTC needs more packages: pip install 'repartee[webrtc]'.")
    from repartee.client.webrtc import MediaWishes, connect_media  # the extra is there

    url = calls_url(options.url)
    headers = {"Authorization": f"Bearer {options.api_key}"} if options.api_key else {}
    wishes = MediaWishes(options.tcp, options.media_via, options.open_timeout_s)
    try:
        return await connect_media(url, headers, wishes)
    except httpx.HTTPStatusError as error:
        answer = error.response
        raise refused(url, answer.status_code, answer.text, answer.headers.get("Retry-After")) from None
    except httpx.HTTPError as error:
        raise unreachable(url, error) from None


def calls_url(url: str) -> str:
    """Where the calls by WebRTC are begun of a server whose session is at ``url``. Raises CallFailed."""
    parts = urlsplit(session_url(url, binary_audio=False))
    scheme = {"ws": "http", "wss": "https"}[parts.scheme]
    query = "&".join(filter(None, [parts.query, "events=repartee"]))
    return urlunsplit((scheme, parts.netloc, "/v1/realtime/calls", query, ""))


async def _opened(socket: CallSocket, call: PlacedCall, options: CallOptions) -> None:
    """Wait for the server to open the session."""
    try:
        message = await asyncio.wait_for(socket.recv(), options.open_timeout_s)
    except TimeoutError:
        raise CallFailed(f"The server accepted the call but sent no {OPENING_EVENT}.") from None
    except ConnectionClosed as closed:
        frame = closed.rcvd
        raise broken_off(frame.code if frame else None, frame.reason if frame else "") from None
    event = _parsed(message)
    if event.get("type") != OPENING_EVENT:
        raise CallFailed(
            f"This is no voice session: it began with {event.get('type')!r}, not {OPENING_EVENT}."
        )
    call.dialogue.receive(event, call.started_at_s)


def _parsed(message: str | bytes) -> dict[str, Any]:
    try:
        event = json.loads(message)
    except ValueError:
        raise CallFailed("The server sent a message that is not JSON.") from None
    if not isinstance(event, dict):
        raise CallFailed("The server sent a message that is no event.")
    return event


def _audio_of(event: dict[str, Any]) -> bytes:
    try:
        return base64.b64decode(event.get("delta", ""), validate=True)
    except (binascii.Error, TypeError):
        raise CallFailed("The server sent audio that is not base64.") from None
