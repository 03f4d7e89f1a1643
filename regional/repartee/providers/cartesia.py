"""Cartesia's voice: replies spoken over shared WebSockets, one context a reply.

Owns Cartesia's messages and its faults. The official SDK dials (URL, version, authentication); what comes after is
ours, as its contexts hang when cancelled or when the server closes, and its models cost more than the audio. All
contexts of a socket are told apart by one callback; there is no task per reply and none per message.

    voice = CartesiaVoice(CartesiaConfig(base_url, api_key, voice=...))
    await voice.start()                                   # begins warming, returns at once
    voice.warm; voice.pools()                             # bool; tuple of PoolFigures
    await voice.wait_warm(timeout_s)                      # raises PoolTimeout
    utterance = await voice.speak(reply_id)
    utterance.say("Good morning. ")
    utterance.say("What can I do for you?", last=True)
    async for sound in utterance.sounds(): ...            # SpeechAudio | SpeechWords
    await utterance.cancel()                              # always, in a finally
    await voice.aclose()
"""

import asyncio
import itertools
import secrets
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec
from cartesia import AsyncCartesia
from cartesia.types.websocket_connection_options import WebsocketConnectionOptions
from websockets.asyncio.client import ClientConnection
from websockets.client import ClientProtocol

from repartee.audio.pcm import SampleAligner, duration_ms
from repartee.errors import ProviderError
from repartee.pool.lease import Lease
from repartee.pool.policy import PoolSettings
from repartee.pool.pool import Pool, PoolFigures
from repartee.providers.inbox import Inbox
from repartee.providers.interfaces import SPEECH_HZ
from repartee.providers.sockets import (
    DIAL_ERRORS,
    PushedSocket,
    SocketSettings,
    connection_options,
    make_socket,
    translate,
    websocket_url,
)
from repartee.turn.events import SpeechAudio, SpeechWords, SpokenWord

MAX_UNREAD_SOUNDS = 4_096
"""Synthesis is faster than speech, and a call reads at once: so many chunks behind, it has stopped."""


def _tts_pool() -> PoolSettings:
    # Cartesia closes what has been idle for 5 minutes.
    return PoolSettings(spare=16, slots=8, max_open=32, max_age_s=240.0, keepalive_s=None)


@dataclass(frozen=True, slots=True)
class CartesiaConfig:
    """A voice and how we use it. The pool's ``slots`` are contexts a socket, its ``spare`` contexts kept free."""

    base_url: str
    api_key: str
    voice: str
    model: str = "sonic-3"
    prime_text: str = "Hello."
    """Spoken to nobody on each new socket, so that the first caller does not wait for a cold model; empty: not."""
    first_audio_timeout_s: float = 5.0
    stall_s: float = 10.0
    """After the last text, the longest silence before the utterance is taken for lost."""
    pool: PoolSettings = field(default_factory=_tts_pool)
    socket: SocketSettings = field(default_factory=SocketSettings)


class _Words(msgspec.Struct):
    words: list[str] = []
    start: list[float] = []
    end: list[float] = []


class _Message(msgspec.Struct):
    """The fields of all of Cartesia's messages that matter here; ``data`` is base64 on the wire."""

    type: str
    context_id: str | None = None
    data: bytes | None = None
    word_timestamps: _Words | None = None
    status_code: int | None = None
    title: str | None = None
    message: str | None = None
    error: str | None = None
    error_code: str | None = None


_MESSAGE = msgspec.json.Decoder(_Message)


def _error(what: str, *, retryable: bool, status: int | None = None) -> ProviderError:
    return ProviderError(
        f"Cartesia {what}.", provider="cartesia", stage="tts", retryable=retryable, status=status
    )


def _overflow() -> ProviderError:
    return _error("was heard, but the call stopped reading its audio", retryable=False)


class _Channel:
    """One socket and the contexts on it."""

    def __init__(self, socket: PushedSocket) -> None:
        self.socket = socket
        self._listeners: dict[str, Callable[[_Message], None]] = {}
        self._failures: dict[str, Callable[[ProviderError], None]] = {}
        socket.listen(self._on_message)
        socket.on_close(self._on_close)

    def register(
        self,
        context: str,
        on_message: Callable[[_Message], None],
        on_failure: Callable[[ProviderError], None],
    ) -> None:
        self._listeners[context] = on_message
        self._failures[context] = on_failure

    def forget(self, context: str) -> None:
        self._listeners.pop(context, None)
        self._failures.pop(context, None)

    def _on_message(self, raw: bytes) -> None:
        try:
            said = _MESSAGE.decode(raw)
        except msgspec.MsgspecError as error:
            self._fail_all(_error(f"sent a message that cannot be read ({error})", retryable=True))
            self.socket.close_soon()
            return
        if said.context_id is not None:
            listener = self._listeners.get(said.context_id)
            if listener is not None:
                listener(said)
        elif said.type == "error":
            self._fail_all(_refused(said))

    def _on_close(self) -> None:
        code, reason = self.socket.close_code, self.socket.close_reason
        self._fail_all(
            _error(f"closed the connection ({code} {reason})".replace(" )", ")"), retryable=True, status=code)
        )

    def _fail_all(self, error: ProviderError) -> None:
        failures = tuple(self._failures.values())
        self._listeners.clear()
        self._failures.clear()
        for fail in failures:
            fail(error)


def _refused(said: _Message) -> ProviderError:
    status = said.status_code
    words = said.error or ": ".join(part for part in (said.title, said.message) if part) or said.error_code
    retryable = status is None or status in (408, 429) or status >= 500
    return _error(f"could not speak: {words} (status {status})", retryable=retryable, status=status)


class _Connector:
    """Dials through the SDK, primes and closes sockets for the pool."""

    def __init__(self, config: CartesiaConfig) -> None:
        self._config = config
        self._client = AsyncCartesia(
            api_key=config.api_key,
            base_url=config.base_url.rstrip("/"),
            websocket_base_url=websocket_url(config.base_url),
            max_retries=0,
        )

    async def dial(self, *, urgent: bool) -> _Channel:
        config = self._config
        made: list[PushedSocket] = []

        def make(protocol: ClientProtocol, **options: Any) -> ClientConnection:
            made.append(make_socket(config.socket, protocol, **options))
            return made[-1]

        options = connection_options(config.base_url, config.socket, make)
        # A new manager each time: one that has connected once returns its first connection for ever, dead or not.
        manager = self._client.tts.websocket_connect(
            websocket_connection_options=cast(WebsocketConnectionOptions, options)
        )
        try:
            await manager.enter()
        except DIAL_ERRORS as error:
            raise translate(error, provider="cartesia", stage="tts", base_url=config.base_url) from error
        channel = _Channel(made[-1])
        if config.prime_text and not urgent:
            priming = _Request(config, f"prime-{secrets.token_hex(8)}", config.voice, "en")
            channel.socket.push(priming.encode(config.prime_text, more=False))
        return channel

    def is_open(self, connection: _Channel) -> bool:
        return connection.socket.is_open

    def on_lost(self, connection: _Channel, call: Callable[[], None]) -> None:
        connection.socket.on_close(call)

    def keep_alive(self, connection: _Channel) -> None:
        """The socket's own pings suffice; the pool replaces it before Cartesia's limit."""

    def close(self, connection: _Channel) -> None:
        connection.socket.close_soon()

    async def aclose(self) -> None:
        await self._client.close()


class _Request:
    """What stays the same over a context's generation requests."""

    def __init__(self, config: CartesiaConfig, context: str, voice: str, language: str) -> None:
        self._fields: dict[str, Any] = {
            "context_id": context,
            "model_id": config.model,
            "voice": {"mode": "id", "id": voice},
            "language": language,
            "output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": SPEECH_HZ},
            "add_timestamps": True,
            # Chunks are cut where they can be spoken; holding them back to see more would only be late.
            "max_buffer_delay_ms": 0,
        }

    def encode(self, transcript: str, *, more: bool) -> str:
        return msgspec.json.encode({**self._fields, "transcript": transcript, "continue": more}).decode()


class CartesiaUtterance:
    """One reply being spoken in one context; in another one, if Cartesia let the first expire while text was due."""

    def __init__(
        self, lease: Lease[_Channel], config: CartesiaConfig, reply_id: int, voice: str, language: str
    ) -> None:
        self._lease = lease
        self._channel = lease.connection
        self._config = config
        self._reply_id = reply_id
        self._voice = voice
        self._language = language
        self._inbox: Inbox[SpeechAudio | SpeechWords] = Inbox(MAX_UNREAD_SOUNDS, _overflow)
        self._aligner = SampleAligner()
        self._loop = asyncio.get_running_loop()
        self._names = (f"{secrets.token_hex(8)}-{number}" for number in itertools.count(1))
        self._context: str | None = None
        self._request: _Request | None = None
        self._last_sent = False
        self._audio_bytes = 0
        self._offset_ms = 0.0
        self._active_at = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None

    def say(self, text: str, *, last: bool = False) -> None:
        if self._last_sent or self._inbox.closed:
            return
        self._last_sent = last
        if not text.strip() and self._context is None:
            if last:
                self._finish()
            return
        if self._context is None:
            self._open_context()
        assert self._request is not None
        if text and not last and not text[-1].isspace():
            text += " "
        self._active_at = self._loop.time()
        self._channel.socket.push(self._request.encode(text, more=not last))
        if self._timer is None:
            self._timer = self._loop.call_later(self._config.first_audio_timeout_s, self._on_timer)

    async def sounds(self) -> AsyncGenerator[SpeechAudio | SpeechWords, None]:
        async for sound in self._inbox:
            yield sound

    async def cancel(self) -> None:
        if self._context is not None:
            self._channel.socket.push(
                msgspec.json.encode({"context_id": self._context, "cancel": True}).decode()
            )
        self._finish()

    def _open_context(self) -> None:
        self._context = next(self._names)
        self._request = _Request(self._config, self._context, self._voice, self._language)
        self._offset_ms = duration_ms(self._audio_bytes, SPEECH_HZ)
        self._channel.register(self._context, self._on_message, self._fail)

    def _on_message(self, said: _Message) -> None:
        self._active_at = self._loop.time()
        if said.type == "chunk":
            pcm = self._aligner.feed(said.data or b"")
            if pcm:
                self._audio_bytes += len(pcm)
                self._inbox.put(SpeechAudio(self._reply_id, pcm))
        elif said.type == "timestamps" and said.word_timestamps is not None:
            self._inbox.put(SpeechWords(self._reply_id, self._words(said.word_timestamps)))
        elif said.type == "done":
            self._close_context()
            if self._last_sent:
                self._finish()
        elif said.type == "error":
            self._fail(_refused(said))

    def _words(self, said: _Words) -> tuple[SpokenWord, ...]:
        offset = self._offset_ms
        return tuple(
            SpokenWord(text, offset + start * 1000, offset + end * 1000)
            for text, start, end in zip(said.words, said.start, said.end, strict=False)
        )

    def _on_timer(self) -> None:
        config = self._config
        self._timer = None
        if self._context is None:
            return
        waiting_for_first = not self._audio_bytes
        limit_s = config.first_audio_timeout_s if waiting_for_first else config.stall_s
        silent_s = self._loop.time() - self._active_at
        if silent_s >= limit_s and (waiting_for_first or self._last_sent):
            self._fail(_error(f"sent no audio for {limit_s:g} s", retryable=True))
            return
        self._timer = self._loop.call_later(max(limit_s - silent_s, 0.1), self._on_timer)

    def _close_context(self) -> None:
        if self._context is not None:
            self._channel.forget(self._context)
            self._context = self._request = None

    def _fail(self, error: ProviderError) -> None:
        self._inbox.fail(error)
        self._finish()

    def _finish(self) -> None:
        self._close_context()
        self._inbox.end()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._lease.release()


class CartesiaVoice:
    """Speaks replies, each in a context on a warm socket."""

    def __init__(self, config: CartesiaConfig) -> None:
        self._config = config
        self._connector = _Connector(config)
        self._pool = Pool("cartesia", self._connector, config.pool)

    @property
    def warm(self) -> bool:
        return self._pool.warm

    def pools(self) -> tuple[PoolFigures, ...]:
        return (self._pool.figures(),)

    async def start(self) -> None:
        """Begin warming; returns at once."""
        self._pool.start()

    async def wait_warm(self, timeout_s: float) -> None:
        """Raises PoolTimeout."""
        await self._pool.wait_warm(timeout_s)

    async def speak(
        self, reply_id: int, *, voice: str | None = None, language: str = "en"
    ) -> CartesiaUtterance:
        """Open an utterance; its context begins with the first text. Raises ProviderError or PoolTimeout."""
        lease = await self._pool.acquire()
        return CartesiaUtterance(
            lease, self._config, reply_id, voice or self._config.voice, language.partition("-")[0]
        )

    async def aclose(self) -> None:
        """Close all sockets. Idempotent."""
        await self._pool.aclose()
        await self._connector.aclose()
