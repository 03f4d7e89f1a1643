"""ElevenLabs' voice: replies spoken over shared multi-context WebSockets.

Owns ElevenLabs' messages and its faults. Its official SDK has no asynchronous socket and none with contexts: the
connection is our own. The messages that are sent are of the SDK's types; those that come are read with msgspec.

    tts = ElevenLabsTTS(ElevenLabsSettings(base_url, api_key, voice=...))

The rest is used as :class:`~repartee.providers.cartesia.CartesiaTTS` is: start, warm, pools, wait_warm, speak,
aclose. A socket speaks one language with one voice: there is a pool for each that is used.
"""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
from elevenlabs import (
    CloseContext,
    CloseSocket,
    InitialiseContext,
    PronunciationDictionaryLocator,
    RealtimeVoiceSettings,
    SendTextMulti,
)

from repartee.errors import ProviderError
from repartee.pool.lease import Lease
from repartee.pool.settings import PoolSettings
from repartee.providers.connecting import Endpoint, SocketConnector
from repartee.providers.interfaces import SPEECH_HZ
from repartee.providers.pooled import Pooled, Use
from repartee.providers.sockets import SocketSettings, websocket_url
from repartee.providers.speech import Dialect, SharedSocket, SilenceWatch, Sounds
from repartee.providers.vendor import Opening
from repartee.providers.vendor_errors import VendorErrors
from repartee.turn.events import SpeechAudio, SpeechWords, SpokenWord
from repartee.wire.tolerant_json import TolerantDecoder

CONTEXTS_A_SOCKET = 5
"""ElevenLabs closes a socket (1008) on which a sixth is opened."""

INACTIVITY_S = 180
"""The longest silence ElevenLabs can be asked to bear before it closes a context or a socket."""


def _tts_pool() -> PoolSettings:
    return PoolSettings(spare=10, slots=CONTEXTS_A_SOCKET, max_open=32, max_age_s=150.0, keepalive_s=None)


@dataclass(frozen=True, slots=True)
class ElevenLabsSettings:
    """A voice and how we use it. The pool's ``slots`` are contexts a socket, its ``spare`` contexts kept free."""

    base_url: str
    api_key: str
    voice: str
    model: str = "eleven_flash_v2_5"
    speed: float | None = None
    pronunciation: str | None = None
    """A pronunciation dictionary: its id and its version, with a colon between them."""

    stability: float = 0.5
    similarity_boost: float = 0.8
    first_audio_timeout_s: float = 5.0
    stall_s: float = 10.0
    """After the last text, the longest silence before the utterance is taken for lost."""
    closing_timeout_s: float = 2.0
    """How long a context that was closed may take to end; then its socket is not used for new ones."""
    pool_name: str = "elevenlabs"
    pool: PoolSettings = field(default_factory=_tts_pool)
    socket: SocketSettings = field(default_factory=SocketSettings)

    def __post_init__(self) -> None:
        if self.pool.slots > CONTEXTS_A_SOCKET:
            raise ValueError(
                f"ElevenLabs allows {CONTEXTS_A_SOCKET} contexts a socket, not {self.pool.slots}"
            )


class _Alignment(msgspec.Struct):
    """The published description of the messages writes ``charsDurationsMs``, the SDK ``charDurationsMs``."""

    chars: list[str] = []
    charStartTimesMs: list[float] = []
    charsDurationsMs: list[float] = []
    charDurationsMs: list[float] = []


class _Message(msgspec.Struct):
    """The fields of all messages that matter here; ``audio`` is base64 on the wire."""

    audio: bytes | None = None
    contextId: str | None = None
    context_id: str | None = None
    isFinal: bool | None = None
    is_final: bool | None = None
    alignment: _Alignment | None = None
    error: str | None = None
    message: str | None = None
    code: int | str | None = None


_MESSAGE = TolerantDecoder[_Message](_Message)


ERRORS = VendorErrors("elevenlabs", "tts", "ElevenLabs")


def _overflow() -> ProviderError:
    return ERRORS.unread("its audio")


def _read(raw: bytes) -> tuple[str | None, _Message]:
    try:
        said = _MESSAGE.decode(raw)
    except msgspec.ValidationError:
        return None, _Message()  # of a kind that is not known
    except msgspec.MsgspecError as error:
        raise ERRORS.unreadable(error) from error
    return said.contextId or said.context_id, said


def _written(message: CloseContext | CloseSocket | InitialiseContext | SendTextMulti) -> str:
    return message.model_dump_json(exclude_none=True)


def _fault(said: _Message) -> ProviderError | None:
    if said.error is None:
        return None
    words = ": ".join(part for part in (said.error, said.message) if part)
    code = int(said.code) if said.code is not None and str(said.code).isdigit() else None
    return ERRORS.error(f"could not speak: {words}", said.error, status=code)


_DIALECT = Dialect(_read, _fault, ERRORS)

_Socket = SharedSocket[_Message]


class _Connector(SocketConnector[_Socket]):
    """Dials sockets of one voice and one language for a pool."""

    def __init__(self, settings: ElevenLabsSettings, endpoint: Endpoint, use: Use) -> None:
        super().__init__(endpoint)
        query = {
            "model_id": settings.model,
            "output_format": f"pcm_{SPEECH_HZ}",
            "inactivity_timeout": str(INACTIVITY_S),
            # Chunks are cut where they can be spoken; a schedule of its own would only hold them back.
            "auto_mode": "true",
            "sync_alignment": "true",
        }
        if use.spoken != "en":
            query["language_code"] = use.spoken
        path = f"/v1/text-to-speech/{quote(use.voice or settings.voice, safe='')}/multi-stream-input"
        self._url = f"{websocket_url(settings.base_url)}{path}?{urlencode(query)}"
        self._headers = {"xi-api-key": settings.api_key}

    async def connect(self) -> _Socket:
        return SharedSocket(await self.endpoint.open(self._url, self._headers), _DIALECT)

    def close(self, connection: _Socket) -> None:
        connection.push(_written(CloseSocket(close_socket=True)))
        connection.close_soon()


class ElevenLabsUtterance:
    """One reply being spoken, in one context."""

    def __init__(self, lease: Lease[_Socket], settings: ElevenLabsSettings, reply_id: int) -> None:
        self._lease = lease
        self._socket = lease.connection
        self._settings = settings
        self._sounds = Sounds(reply_id, _overflow)
        self._words = WordTimes()
        self._watch = SilenceWatch(settings.first_audio_timeout_s, settings.stall_s, self._on_silence)
        self._context = secrets.token_hex(8)
        self._opened = False
        self._last_sent = False
        self._closing: asyncio.TimerHandle | None = None

    def say(self, text: str, *, last: bool = False) -> None:
        if self._last_sent or self._sounds.inbox.closed:
            return
        self._last_sent = last
        if text.strip():
            self._send_text(text)
        if last and self._opened:
            self._watch.text_sent(last=True)
            self._close_context()
        elif last:
            self._finish()

    async def sounds(self) -> AsyncGenerator[SpeechAudio | SpeechWords, None]:
        async for sound in self._sounds.inbox:
            yield sound

    async def cancel(self) -> None:
        """The slot on the socket is free only when ElevenLabs has said that the context has ended."""
        self._sounds.inbox.end()
        self._watch.stop()
        if not self._opened:
            self._finish()
        elif not self._lease.released and self._closing is None:
            if not self._last_sent:
                self._last_sent = True
                self._close_context()
            loop = asyncio.get_running_loop()
            self._closing = loop.call_later(self._settings.closing_timeout_s, self._abandon)

    def on_message(self, context: str, said: _Message) -> None:
        self._watch.heard()
        if said.audio:
            before_ms = self._sounds.audio_ms
            self._sounds.audio(said.audio)
            if said.alignment is not None:
                self._sounds.words(self._words.take(said.alignment, before_ms))
        if (fault := _fault(said)) is not None:
            self.on_failure(fault)
        elif said.isFinal or said.is_final:
            self._sounds.words(self._words.rest())
            self._finish()

    def on_failure(self, error: ProviderError) -> None:
        self._sounds.inbox.fail(error)
        self._finish(reusable=False)

    def _send_text(self, text: str) -> None:
        if not text[-1].isspace():
            text += " "
        self._watch.text_sent(last=False)
        if self._opened:
            self._socket.push(_written(SendTextMulti(context_id=self._context, text=text, flush=True)))
            return
        self._opened = True
        self._socket.register(self._context, self)
        settings = self._settings
        voice = RealtimeVoiceSettings(
            stability=settings.stability, similarity_boost=settings.similarity_boost, speed=settings.speed
        )
        named, _, version = (settings.pronunciation or "").partition(":")
        locator = PronunciationDictionaryLocator(pronunciation_dictionary_id=named, version_id=version)
        flush: dict[str, Any] = {
            "flush": True
        }  # the SDK's type for a context's first text does not list it, but takes it
        first = InitialiseContext(
            context_id=self._context,
            text=text,
            voice_settings=voice,
            pronunciation_dictionary_locators=[locator] if named else None,
            **flush,
        )
        self._socket.push(_written(first))

    def _close_context(self) -> None:
        self._socket.push(_written(CloseContext(context_id=self._context, close_context=True)))

    def _on_silence(self, silent_s: float) -> None:
        self.on_failure(ERRORS.error(f"sent no audio for {silent_s:g} s"))

    def _abandon(self) -> None:
        self._closing = None
        self._finish(reusable=False)

    def _finish(self, *, reusable: bool = True) -> None:
        self._socket.forget(self._context)
        self._sounds.inbox.end()
        self._watch.stop()
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None
        self._lease.release(reusable=reusable)


class WordTimes:
    """Words and their times out of characters and theirs, over the borders between chunks. Pure."""

    def __init__(self) -> None:
        self._text = ""
        self._start_ms = 0.0
        self._end_ms = 0.0

    def take(self, alignment: _Alignment, offset_ms: float) -> tuple[SpokenWord, ...]:
        """The words that this chunk completes; its times count from ``offset_ms``."""
        words: list[SpokenWord] = []
        durations_ms = alignment.charsDurationsMs or alignment.charDurationsMs
        times = zip(alignment.chars, alignment.charStartTimesMs, durations_ms, strict=False)
        for char, start_ms, duration_ms in times:
            if char.isspace():
                words += self.rest()
                continue
            if not self._text:
                self._start_ms = offset_ms + start_ms
            self._text += char
            self._end_ms = offset_ms + start_ms + duration_ms
        return tuple(words)

    def rest(self) -> tuple[SpokenWord, ...]:
        """The word that no space has followed yet."""
        if not self._text:
            return ()
        word = SpokenWord(self._text, self._start_ms, self._end_ms)
        self._text = ""
        return (word,)


class ElevenLabsTTS(Pooled[_Socket]):
    """Speaks replies, each in a context on a warm socket of its voice and language."""

    def __init__(self, settings: ElevenLabsSettings, uses: Sequence[Use] = (Use(),)) -> None:
        self._settings = settings
        self._endpoint = Endpoint.of(settings.base_url, ERRORS, settings.socket)
        super().__init__(settings.pool_name, settings.pool, self._endpoint.sockets, uses)

    async def speak(
        self, reply_id: int, *, voice: str | None = None, language: str = "en"
    ) -> ElevenLabsUtterance:
        """Open an utterance; its context begins with the first text. Raises ProviderError or PoolTimeout."""
        return ElevenLabsUtterance(await self.acquire(Use(language, voice)), self._settings, reply_id)

    def kind_of(self, use: Use) -> Use:
        return Use(use.spoken, use.voice or self._settings.voice)

    def connector(self, use: Use) -> _Connector:
        return _Connector(self._settings, self._endpoint, use)


def open_elevenlabs(opening: Opening) -> ElevenLabsTTS:
    """As the table of vendors has it opened."""
    options = opening.options
    settings = ElevenLabsSettings(
        opening.base_url,
        opening.key,
        opening.voice,
        model=options["model"],
        speed=float(options["speed"]) if "speed" in options else None,
        pronunciation=options.get("pronunciation"),
        pool_name=opening.name,
    )
    if opening.stall_s is not None:
        settings = replace(settings, first_audio_timeout_s=opening.stall_s, stall_s=opening.stall_s)
    return ElevenLabsTTS(replace(settings, pool=opening.sized(settings.pool)), opening.uses)
