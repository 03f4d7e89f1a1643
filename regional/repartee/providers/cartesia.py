"""Cartesia's voice: replies spoken over shared WebSockets, one context a reply.

Owns Cartesia's messages and its faults. The official SDK dials (URL, version, authentication); what comes after is
ours, as its contexts hang when cancelled or when the server closes, and its models cost more than the audio. All
contexts of a socket are told apart by one callback; there is no task per reply and none per message.

    tts = CartesiaTTS(CartesiaSettings(base_url, api_key, voice=...))
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

import math
import secrets
import time
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import msgspec
from cartesia import AsyncCartesia
from cartesia.types import GenerationConfigParam, GenerationRequestParam
from cartesia.types.websocket_connection_options import WebsocketConnectionOptions

from repartee.errors import ProviderError
from repartee.pool.lease import Lease
from repartee.pool.settings import PoolSettings
from repartee.providers.connecting import Endpoint, Entering, SocketConnector
from repartee.providers.interfaces import SPEECH_HZ
from repartee.providers.pooled import Pooled, Use
from repartee.providers.sockets import SocketSettings, websocket_url
from repartee.providers.speech import Dialect, SharedSocket, SilenceWatch, Sounds
from repartee.providers.vendor import Opening
from repartee.providers.vendor_errors import VendorErrors
from repartee.turn.events import SpeechAudio, SpeechWords, SpokenWord
from repartee.wire.tolerant_json import TolerantDecoder

CONTEXT_EXPIRES_S = 1.0
"""Cartesia ends a context so long after its last audio, unless more text has come."""


def _tts_pool() -> PoolSettings:
    # Cartesia closes what has been idle for 5 minutes.
    return PoolSettings(spare=16, slots=8, max_open=32, max_age_s=240.0, keepalive_s=None)


@dataclass(frozen=True, slots=True)
class CartesiaSettings:
    """A voice and how we use it. The pool's ``slots`` are contexts a socket, its ``spare`` contexts kept free."""

    base_url: str
    api_key: str
    voice: str
    model: str = "sonic-3.5"
    speed: float | None = None
    volume: float | None = None
    emotion: str | None = None
    pronunciation: str | None = None
    """The id of a pronunciation dictionary."""

    prime_text: str = "Hello."
    """Spoken to nobody on a new socket, so that the first caller does not wait for a cold model; empty: not."""

    prime_after_s: float = 60.0
    """Only if nothing was spoken for so long: each priming is paid for."""

    first_audio_timeout_s: float = 5.0
    stall_s: float = 10.0
    """After the last text, the longest silence before the utterance is taken for lost."""
    context_idle_s: float = 0.6
    """Text that comes so long after the last sound opens a context of its own: sent into one that expires at this
    moment, it would be lost."""
    pool_name: str = "cartesia"
    pool: PoolSettings = field(default_factory=_tts_pool)
    socket: SocketSettings = field(default_factory=SocketSettings)


class _Words(msgspec.Struct):
    words: list[str] = []
    start: list[float] = []
    end: list[float] = []


class _Message(msgspec.Struct):
    """The fields of all of Cartesia's messages that matter here; ``data`` is base64 on the wire."""

    type: str = ""
    context_id: str | None = None
    data: bytes | None = None
    word_timestamps: _Words | None = None
    status_code: int | None = None
    title: str | None = None
    message: str | None = None
    error: str | None = None
    error_code: str | None = None


_MESSAGE = TolerantDecoder[_Message](_Message)


ERRORS = VendorErrors("cartesia", "tts", "Cartesia")


def _overflow() -> ProviderError:
    return ERRORS.unread("its audio")


def _read(raw: bytes) -> tuple[str | None, _Message]:
    try:
        said = _MESSAGE.decode(raw)
    except msgspec.ValidationError:
        return None, _Message()  # of a kind that is not known
    except msgspec.MsgspecError as error:
        raise ERRORS.unreadable(error) from error
    return said.context_id, said


def _refused(said: _Message) -> ProviderError:
    status = said.status_code
    words = said.error or ": ".join(part for part in (said.title, said.message) if part) or said.error_code
    return ERRORS.error(f"could not speak: {words} (status {status})", said.error_code, status=status)


_DIALECT = Dialect(_read, lambda said: _refused(said) if said.type == "error" else None, ERRORS)

_Socket = SharedSocket[_Message]


class _Connector(SocketConnector[_Socket]):
    """Dials through the SDK and primes sockets for the pool, in the voice and the language that calls will use."""

    def __init__(
        self, settings: CartesiaSettings, endpoint: Endpoint, client: AsyncCartesia, tts: "CartesiaTTS"
    ) -> None:
        super().__init__(endpoint)
        self._settings = settings
        self._client = client
        self._tts = tts

    async def connect(self) -> _Socket:
        def manager(options: Mapping[str, Any]) -> Entering:
            # A new one each time: one that has connected once returns its first connection for ever, dead or not.
            return self._client.tts.websocket_connect(
                websocket_connection_options=cast(WebsocketConnectionOptions, options)
            )

        socket, _ = await self.endpoint.enter(manager)
        return SharedSocket(socket, _DIALECT)

    async def prime(self, connection: _Socket, *, urgent: bool) -> None:
        settings = self._settings
        if settings.prime_text and not urgent and self._tts.is_cold():
            use = self._tts.primed
            context = f"prime-{secrets.token_hex(8)}"
            priming = _Request(settings, context, use.voice or settings.voice, use.spoken)
            connection.push(priming.encode(settings.prime_text, more=False))


class _Request:
    """What stays the same over a context's generation requests."""

    def __init__(self, settings: CartesiaSettings, context: str, voice: str, language: str) -> None:
        self._context = context
        self._model = settings.model
        manner = {"speed": settings.speed, "volume": settings.volume, "emotion": settings.emotion}
        self._manner = {name: value for name, value in manner.items() if value is not None}
        self._pronunciation = settings.pronunciation
        self._voice = voice
        self._language = language

    def encode(self, transcript: str, *, more: bool) -> str:
        request: GenerationRequestParam = {
            "context_id": self._context,
            "model_id": self._model,
            "voice": cast(Any, {"mode": "id", "id": self._voice}),
            "language": self._language,
            "output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": SPEECH_HZ},
            "add_timestamps": True,
            # Chunks are cut where they can be spoken; holding them back to see more would only be late.
            "max_buffer_delay_ms": 0,
            "transcript": transcript,
            "continue": more,
        }
        if self._manner:
            request["generation_config"] = cast(GenerationConfigParam, self._manner)
        if self._pronunciation:
            request["pronunciation_dict_id"] = self._pronunciation
        return msgspec.json.encode(request).decode()


class CartesiaUtterance:
    """One reply being spoken, in one context; in another one where Cartesia lets the first expire before the next
    text is there."""

    def __init__(
        self, lease: Lease[_Socket], settings: CartesiaSettings, reply_id: int, voice: str, language: str
    ) -> None:
        self._lease = lease
        self._socket = lease.connection
        self._settings = settings
        self._voice = voice
        self._language = language
        self._sounds = Sounds(reply_id, _overflow)
        self._watch = SilenceWatch(settings.first_audio_timeout_s, settings.stall_s, self._on_silence)
        self._name = secrets.token_hex(8)
        self._offsets_ms: dict[str, float] = {}
        self._context: str | None = None
        self._request: _Request | None = None
        self._answered = False
        self._last_sent = False

    def say(self, text: str, *, last: bool = False) -> None:
        if self._last_sent or self._sounds.inbox.closed:
            return
        self._last_sent = last
        if (
            self._context is not None
            and self._answered
            and self._watch.quiet_s > self._settings.context_idle_s
        ):
            self._context = self._request = None
        if not text.strip() and self._context is None:
            if last:
                self._finish()
            return
        if self._request is None:
            self._open_context()
        assert self._request is not None
        if text and not last and not text[-1].isspace():
            text += " "
        self._answered = False
        self._watch.text_sent(last=last)
        self._socket.push(self._request.encode(text, more=not last))

    async def sounds(self) -> AsyncGenerator[SpeechAudio | SpeechWords, None]:
        async for sound in self._sounds.inbox:
            yield sound

    async def cancel(self) -> None:
        for context in self._offsets_ms:
            self._socket.push(msgspec.json.encode({"context_id": context, "cancel": True}).decode())
        self._finish()

    def on_message(self, context: str, said: _Message) -> None:
        self._watch.heard()
        if said.type == "chunk":
            self._answered = True
            self._sounds.audio(said.data or b"")
        elif said.type == "timestamps" and said.word_timestamps is not None:
            self._sounds.words(_words(said.word_timestamps, self._offsets_ms[context]))
        elif said.type == "done":
            self._on_done(context)
        elif said.type == "error":
            self.on_failure(_refused(said))

    def on_failure(self, error: ProviderError) -> None:
        self._sounds.inbox.fail(error)
        self._finish()

    def _open_context(self) -> None:
        self._context = f"{self._name}-{len(self._offsets_ms) + 1}"
        self._request = _Request(self._settings, self._context, self._voice, self._language)
        self._offsets_ms[self._context] = self._sounds.audio_ms
        self._socket.register(self._context, self)

    def _on_done(self, context: str) -> None:
        self._socket.forget(context)
        if context == self._context:
            self._context = self._request = None
            if self._last_sent:
                self._offsets_ms.clear()
                self._finish()

    def _on_silence(self, silent_s: float) -> None:
        self.on_failure(ERRORS.error(f"sent no audio for {silent_s:g} s"))

    def _finish(self) -> None:
        for context in self._offsets_ms:
            self._socket.forget(context)
        self._offsets_ms.clear()
        self._context = self._request = None
        self._sounds.inbox.end()
        self._watch.stop()
        self._lease.release()


def _words(said: _Words, offset_ms: float) -> tuple[SpokenWord, ...]:
    """Cartesia's times are seconds from the start of the context."""
    return tuple(
        SpokenWord(text, offset_ms + start * 1000, offset_ms + end * 1000)
        for text, start, end in zip(said.words, said.start, said.end, strict=False)
    )


class CartesiaTTS(Pooled[_Socket]):
    """Speaks replies, each in a context on a warm socket, which serves all voices and languages."""

    def __init__(self, settings: CartesiaSettings, uses: Sequence[Use] = (Use(),)) -> None:
        self._settings = settings
        self._spoke_at = -math.inf
        self.primed = next(iter(uses))
        """What the calls to come use."""

        self._endpoint = Endpoint.of(settings.base_url, ERRORS, settings.socket)
        self._client = AsyncCartesia(
            api_key=settings.api_key,
            base_url=settings.base_url.rstrip("/"),
            websocket_base_url=websocket_url(settings.base_url),
            max_retries=0,
        )
        super().__init__(settings.pool_name, settings.pool, self._endpoint.sockets, uses)

    async def speak(
        self, reply_id: int, *, voice: str | None = None, language: str = "en"
    ) -> CartesiaUtterance:
        """Open an utterance; its context begins with the first text. Raises ProviderError or PoolTimeout."""
        lease = await self.acquire()
        self._spoke_at = time.monotonic()
        spoken = Use(language).spoken
        return CartesiaUtterance(lease, self._settings, reply_id, voice or self._settings.voice, spoken)

    def connector(self, use: Use) -> _Connector:
        return _Connector(self._settings, self._endpoint, self._client, self)

    def is_cold(self) -> bool:
        """Nothing was spoken for a while; by whoever asks, something will be."""
        now = time.monotonic()
        cold = now - self._spoke_at >= self._settings.prime_after_s
        if cold:
            self._spoke_at = now
        return cold

    def use(self, uses: Iterable[Use]) -> None:
        """The agents use these from now on."""
        uses = tuple(uses)
        self.primed = next(iter(uses), self.primed)
        super().use(uses)

    async def close_client(self) -> None:
        await self._client.close()


def open_cartesia(opening: Opening) -> CartesiaTTS:
    """As the table of vendors has it opened."""
    options = opening.options
    settings = CartesiaSettings(
        opening.base_url,
        opening.key,
        opening.voice,
        model=options["model"],
        speed=float(options["speed"]) if "speed" in options else None,
        volume=float(options["volume"]) if "volume" in options else None,
        emotion=options.get("emotion"),
        pronunciation=options.get("pronunciation"),
        pool_name=opening.name,
    )
    if opening.stall_s is not None:
        settings = replace(settings, first_audio_timeout_s=opening.stall_s, stall_s=opening.stall_s)
    return CartesiaTTS(replace(settings, pool=opening.sized(settings.pool)), opening.uses)
