"""OpenAI's Realtime API: speech in, speech out, one warm WebSocket a call.

Owns dialling, the pool and what a lost connection means. The official SDK dials (URL, authentication); messages pass
as they are, since its models cost more than the audio. What is said over a line is the session's business.

    speech = OpenAIRealtime(RealtimeConfig(base_url, api_key))
    await speech.start()                                  # begins warming, returns at once
    line = await speech.open()                            # raises ProviderError or PoolTimeout
    line.listen(on_message, on_lost)                      # from now on, called as messages come
    line.send('{"type": "session.update", ...}')
    line.close()                                          # always; a line serves one call

:class:`RealtimeVoice` speaks single phrases in a voice of this API, so that they can be recorded.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec
from openai import AsyncOpenAI
from openai.types.websocket_connection_options import WebSocketConnectionOptions

from repartee.errors import ProviderError
from repartee.pool.lease import Lease
from repartee.pool.policy import PoolSettings
from repartee.pool.pool import Pool, PoolFigures
from repartee.providers.inbox import Inbox
from repartee.providers.interfaces import SPEECH_HZ
from repartee.providers.open_connections import OpenConnections
from repartee.providers.socket_dial import SocketDial
from repartee.providers.sockets import (
    DIAL_ERRORS,
    PushedSocket,
    SocketSettings,
    translate,
    websocket_url,
)
from repartee.turn.events import SpeechAudio, SpeechWords
from repartee.wire import relay_events as wire

PROVIDER = "openai"
STAGE = "model"


def _pool() -> PoolSettings:
    # A session lives 60 minutes, and a call wants most of them.
    return PoolSettings(spare=4, single_use=True, max_age_s=600.0, keepalive_s=None)


@dataclass(frozen=True, slots=True)
class RealtimeConfig:
    """Where, as whom, and how long to wait. ``life_s`` is how long OpenAI lets a session live."""

    base_url: str
    api_key: str
    model: str = "gpt-realtime-1.5"
    greeting_timeout_s: float = 5.0
    phrase_timeout_s: float = 10.0
    life_s: float = 3600.0
    pool: PoolSettings = field(default_factory=_pool)
    socket: SocketSettings = field(default_factory=SocketSettings)


def _error(what: str, *, retryable: bool, status: int | None = None) -> ProviderError:
    return ProviderError(
        f"OpenAI's Realtime API {what}.", provider=PROVIDER, stage=STAGE, retryable=retryable, status=status
    )


def refusal(error: wire.ErrorSeen) -> ProviderError:
    """An ``error`` event in our words."""
    retryable = error.type in ("server_error", "rate_limit_error") or error.code == "session_expired"
    return _error(f"refused: {error.message.rstrip('.')} ({error.code or error.type})", retryable=retryable)


def _lost(socket: PushedSocket) -> ProviderError:
    code, reason = socket.close_code, socket.close_reason
    said = f"closed the connection ({code} {reason})".replace(" )", ")")
    return _error(said, retryable=code != 1008, status=code)


@dataclass(eq=False, slots=True)
class _Session:
    """An open socket, and when the session on it began. The SDK's own object is kept for as long as the socket."""

    socket: PushedSocket
    opened_at: float
    sdk: object


class RealtimeLine:
    """One call's session with the provider."""

    def __init__(self, lease: Lease[_Session], life_s: float) -> None:
        self._lease = lease
        self._socket = lease.connection.socket
        self._opened_at = lease.connection.opened_at
        self._life_s = life_s

    def __repr__(self) -> str:
        return f"<RealtimeLine: {'open' if self._socket.is_open else 'closed'}>"

    @property
    def left_s(self) -> float:
        """How long the provider will let this session live yet."""
        return self._opened_at + self._life_s - time.monotonic()

    def listen(self, on_message: Callable[[bytes], None], on_lost: Callable[[ProviderError], None]) -> None:
        """Hand messages to ``on_message`` as they come, and tell ``on_lost`` once when the connection has ended."""

        def ended() -> None:
            if not self._lease.released:
                on_lost(_lost(self._socket))

        self._socket.listen(on_message)
        self._socket.on_close(ended)

    @property
    def has_room(self) -> bool:
        """What is sent now does not pile up: the provider reads, or the connection has ended."""
        return self._socket.has_room

    def send(self, event: str) -> bool:
        """Send a client event; never waits. False: the connection has ended and did not take it."""
        return self._socket.push(event)

    def close(self) -> None:
        """End the session; nothing more is handed on. Idempotent."""
        self._socket.listen(_ignore)
        self._lease.release(reusable=False)


def _ignore(message: bytes) -> None:
    """What comes after the end."""


class _Connector:
    """Dials through the SDK, and waits for the session."""

    def __init__(self, config: RealtimeConfig) -> None:
        self._config = config
        self._sockets = OpenConnections(config.socket.close_timeout_s)
        self._client = AsyncOpenAI(
            api_key=config.api_key,
            base_url=config.base_url,
            websocket_base_url=websocket_url(config.base_url),
            max_retries=0,
        )

    async def dial(self, *, urgent: bool) -> _Session:
        config = self._config
        dial = SocketDial(config.socket, self._sockets)
        options = dial.options(config.base_url)
        manager = self._client.realtime.connect(
            model=config.model, websocket_connection_options=cast(WebSocketConnectionOptions, options)
        )
        opened_at = time.monotonic()
        try:
            async with self._sockets.dialling():
                sdk = await manager.enter()
        except DIAL_ERRORS as error:
            raise translate(error, provider=PROVIDER, stage=STAGE, base_url=config.base_url) from error
        socket = dial.socket
        try:
            await self._greeted(socket)
        except BaseException:
            socket.close_soon()
            raise
        return _Session(socket, opened_at, sdk)

    async def _greeted(self, socket: PushedSocket) -> None:
        """Wait for ``session.created``: a model that may not be used is told only now."""
        first: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()

        def settle(message: bytes | None) -> None:
            if not first.done():
                first.set_result(message)

        socket.listen(settle)
        socket.on_close(lambda: settle(None))
        try:
            async with asyncio.timeout(self._config.greeting_timeout_s):
                message = await first
        except TimeoutError:
            raise _error("accepted the connection but began no session", retryable=True) from None
        finally:
            socket.listen_no_more()
        if message is None:
            raise _lost(socket)
        event = _read(message)
        if event.error is not None:
            raise refusal(event.error)

    keeps_open = True

    def is_open(self, connection: _Session) -> bool:
        return connection.socket.is_open

    def has_answered(self, connection: _Session) -> bool:
        return False

    def why_lost(self, connection: _Session) -> ProviderError:
        return _lost(connection.socket)

    def on_lost(self, connection: _Session, call: Callable[[], None]) -> None:
        connection.socket.on_close(call)

    def keep_alive(self, connection: _Session) -> None:
        """The socket's own pings suffice."""

    def close(self, connection: _Session) -> None:
        connection.socket.close_soon()

    async def aclose(self) -> None:
        """Returns when no socket is left."""
        await self._sockets.aclose()
        await self._client.close()


def _read(message: bytes) -> wire.ProviderEvent:
    try:
        return wire.read(message)
    except msgspec.MsgspecError as error:
        raise _error(f"sent a message that cannot be read ({error})", retryable=True) from error


class OpenAIRealtime:
    """Opens sessions, from warm sockets where there are any."""

    def __init__(self, config: RealtimeConfig) -> None:
        self.config = config
        self._connector = _Connector(config)
        self._pool = Pool("openai-realtime", self._connector, config.pool)

    @property
    def model(self) -> str:
        """The model that all sessions are with."""
        return self.config.model

    @property
    def warm(self) -> bool:
        return self._pool.warm

    def pools(self) -> tuple[PoolFigures, ...]:
        return (self._pool.figures(),)

    def in_calls(self, calls: int) -> None:
        """So many calls are in progress; each has its session already."""
        self._pool.in_calls(calls)

    async def start(self) -> None:
        """Begin warming; returns at once."""
        self._pool.start()

    async def wait_warm(self, timeout_s: float) -> None:
        """Raises PoolTimeout."""
        await self._pool.wait_warm(timeout_s)

    async def open(self) -> RealtimeLine:
        """A session of one's own. Raises ProviderError or PoolTimeout."""
        return RealtimeLine(await self._pool.acquire(), self.config.life_s)

    async def aclose(self) -> None:
        """Close all sockets. Idempotent."""
        await self._pool.aclose()
        await self._connector.aclose()


class RealtimeVoice:
    """Speaks phrases as they are, in a voice of the Realtime API: what is recorded sounds like the answers."""

    def __init__(self, realtime: OpenAIRealtime) -> None:
        self._realtime = realtime

    async def speak(
        self, reply_id: int, *, voice: str | None = None, language: str = "en"
    ) -> "RealtimePhrase":
        """Open a session for one utterance. Raises ProviderError or PoolTimeout."""
        line = await self._realtime.open()
        return RealtimePhrase(line, reply_id, voice, self._realtime.config.phrase_timeout_s)


class RealtimePhrase:
    """One phrase. Its text is said when the last of it is there; word times are not known."""

    def __init__(self, line: RealtimeLine, reply_id: int, voice: str | None, timeout_s: float) -> None:
        self._line = line
        self._reply_id = reply_id
        self._timeout_s = timeout_s
        self._text = ""
        self._sounds: Inbox[SpeechAudio] = Inbox(10_000, lambda: _error("said too much", retryable=False))
        line.listen(self._on_message, self._sounds.fail)
        output: dict[str, Any] = {"format": {"type": "audio/pcm", "rate": SPEECH_HZ}}
        audio = {"input": {"turn_detection": None}, "output": output | ({"voice": voice} if voice else {})}
        line.send(wire.encode("session.update", session={"type": "realtime", "audio": audio}))

    def say(self, text: str, *, last: bool = False) -> None:
        self._text += text
        if last:
            self._line.send(wire.encode("response.create", response=wire.saying(self._text, aside=True)))

    async def sounds(self) -> AsyncGenerator[SpeechAudio | SpeechWords, None]:
        try:
            async with asyncio.timeout(self._timeout_s):
                async for sound in self._sounds:
                    yield sound
        except TimeoutError:
            raise _error(f"did not finish a phrase within {self._timeout_s:g} s", retryable=True) from None

    async def cancel(self) -> None:
        self._sounds.end()
        self._line.close()

    def _on_message(self, message: bytes) -> None:
        try:
            if delta := wire.audio_in(message):
                self._sounds.put(SpeechAudio(self._reply_id, delta.audio()))
                return
            event = _read(message)
        except (msgspec.MsgspecError, ValueError, ProviderError):
            self._sounds.fail(_error("sent a message that cannot be read", retryable=True))
            return
        if event.error is not None:
            self._sounds.fail(refusal(event.error))
        elif event.type == "response.done" and event.response is not None:
            if event.response.status == "completed":
                self._sounds.end()
            else:
                self._sounds.fail(_error(f"left a phrase {event.response.status}", retryable=True))
