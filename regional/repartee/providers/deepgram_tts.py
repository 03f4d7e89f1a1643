"""Deepgram's voice: Flux TTS (``/v2/speak``), which takes a reply in pieces and speaks it as they come.

Owns its messages and its faults. The official SDK says what to dial; the socket is our own. It gives no times of
words: the length of the audio says how far it has spoken a reply. A socket speaks one reply at a time, and the next
one when that is complete. Used as :class:`~repartee.providers.cartesia.CartesiaTTS` is.
"""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field, replace

import msgspec
from deepgram.speak.v2.types import SpeakV2Close, SpeakV2Flush, SpeakV2Speak

from repartee.errors import ProviderError
from repartee.pool.lease import Lease
from repartee.pool.settings import PoolSettings
from repartee.providers.connecting import Endpoint, OwnSocket, SocketConnector, first_message
from repartee.providers.deepgram import Request, sdk_client, sdk_request
from repartee.providers.interfaces import SPEECH_HZ
from repartee.providers.pooled import Pooled, Use
from repartee.providers.sockets import SocketSettings
from repartee.providers.speech import SilenceWatch, Sounds
from repartee.providers.vendor import Opening
from repartee.providers.vendor_errors import VendorErrors
from repartee.turn.events import SpeechAudio, SpeechWords
from repartee.wire.tolerant_json import TolerantDecoder

ERRORS = VendorErrors("deepgram", "tts", "Deepgram", details=("dg-error", "dg-request-id"))

FLUSH = SpeakV2Flush().model_dump_json()
CLOSE = SpeakV2Close().model_dump_json()


def _tts_pool() -> PoolSettings:
    # How long an idle socket is kept is not documented: it is replaced before a minute is over.
    return PoolSettings(spare=4, slots=1, max_age_s=50.0, keepalive_s=None)


@dataclass(frozen=True, slots=True)
class FluxTTSSettings:
    """A voice and how we use it. ``voice`` is a model's whole name, as ``flux-alexis-en``."""

    base_url: str
    api_key: str
    voice: str
    speed: float | None = None
    first_audio_timeout_s: float = 5.0
    stall_s: float = 10.0
    """After a text, the longest silence before the utterance is taken for lost."""

    pool_name: str = "deepgram"
    pool: PoolSettings = field(default_factory=_tts_pool)
    socket: SocketSettings = field(default_factory=SocketSettings)


class _SpeakMessage(msgspec.Struct):
    """The fields of all messages that matter here."""

    type: str = ""
    code: str = ""
    description: str = ""


_MESSAGE = TolerantDecoder[_SpeakMessage](_SpeakMessage)
_UNKNOWN = _SpeakMessage()


def _read(message: bytes) -> _SpeakMessage | None:
    """A message of Flux's, of whatever kind; None: it is no JSON, so it is audio."""
    try:
        return _MESSAGE.decode(message)
    except msgspec.ValidationError:
        return _UNKNOWN
    except msgspec.MsgspecError:
        return None


def _refused(said: _SpeakMessage) -> ProviderError:
    return ERRORS.error(f"could not speak: {said.code} {said.description}", said.code)


class _Connector(SocketConnector[OwnSocket]):
    """Dials and greets sockets of one voice for a pool."""

    def __init__(self, settings: FluxTTSSettings, endpoint: Endpoint, voice: str) -> None:
        super().__init__(endpoint)
        self._settings = settings
        self._voice = voice
        self._noted: Request | None = None

    async def connect(self) -> OwnSocket:
        if self._noted is None:
            settings = self._settings
            client = sdk_client(settings.base_url, settings.api_key)
            self._noted = await sdk_request(
                client.speak.v2.connect(
                    model=self._voice, encoding="linear16", sample_rate=str(SPEECH_HZ), speed=settings.speed
                )
            )
        url, headers = self._noted
        return OwnSocket(await self.endpoint.open(url, headers), ERRORS)

    async def prime(self, connection: OwnSocket, *, urgent: bool) -> None:
        """Its ``Connected``, or what it dislikes."""
        said = _read(await first_message(connection.socket, ERRORS, self.endpoint.settings.open_timeout_s))
        if said is None or said.type == "Error":
            raise _refused(said or _SpeakMessage(code="audio", description="before anything was asked"))

    def close(self, connection: OwnSocket) -> None:
        connection.socket.push(CLOSE)
        connection.close_soon()


class FluxUtterance:
    """One reply being spoken."""

    def __init__(self, lease: Lease[OwnSocket], settings: FluxTTSSettings, reply_id: int) -> None:
        self._lease = lease
        self._socket = lease.connection.socket
        self._sounds = Sounds(reply_id, lambda: ERRORS.unread("its audio"))
        self._watch = SilenceWatch(settings.first_audio_timeout_s, settings.stall_s, self._on_silence)
        self._begun = self._last_sent = self._over = False
        self._socket.listen(self._on_message)
        lease.connection.on_close(self._on_close)

    def say(self, text: str, *, last: bool = False) -> None:
        if self._last_sent or self._over:
            return
        self._last_sent = last
        if text.strip():
            self._begun = True
            piece = text if text[-1].isspace() else f"{text} "
            self._socket.push(SpeakV2Speak(text=piece).model_dump_json())
            self._watch.text_sent(last=last)
        if last and self._begun:
            self._watch.text_sent(last=True)
            self._socket.push(FLUSH)
        elif last:
            self._finish(reusable=True)

    async def sounds(self) -> AsyncGenerator[SpeechAudio | SpeechWords, None]:
        async for sound in self._sounds.inbox:
            yield sound

    async def cancel(self) -> None:
        self._finish(reusable=not self._begun)

    def _on_message(self, message: bytes) -> None:
        if self._over:
            return
        said = _read(message)
        if said is None:
            self._watch.heard()
            self._sounds.audio(message)
        elif said.type == "SpeechMetadata" and self._last_sent:
            self._finish(reusable=True)
        elif said.type == "Error":
            self._sounds.inbox.fail(_refused(said))
            self._finish(reusable=False)

    def _on_close(self) -> None:
        if not self._over:
            self._sounds.inbox.fail(self._lease.connection.why_lost)
            self._finish(reusable=False)

    def _on_silence(self, silent_s: float) -> None:
        self._sounds.inbox.fail(ERRORS.error(f"sent no audio for {silent_s:g} s"))
        self._finish(reusable=False)

    def _finish(self, *, reusable: bool) -> None:
        if self._over:
            return
        self._over = True
        self._watch.stop()
        self._sounds.inbox.end()
        self._socket.listen_no_more()
        self._lease.release(reusable=reusable)


class FluxTTS(Pooled[OwnSocket]):
    """Speaks replies, each on a warm socket of its voice."""

    def __init__(self, settings: FluxTTSSettings, uses: Sequence[Use] = (Use(),)) -> None:
        self._settings = settings
        self._endpoint = Endpoint.of(settings.base_url, ERRORS, settings.socket)
        super().__init__(settings.pool_name, settings.pool, self._endpoint.sockets, uses)

    async def speak(self, reply_id: int, *, voice: str | None = None, language: str = "en") -> FluxUtterance:
        """Open an utterance. Raises ProviderError or PoolTimeout."""
        return FluxUtterance(await self.acquire(Use(language, voice)), self._settings, reply_id)

    def kind_of(self, use: Use) -> Use:
        return Use("en", use.voice or self._settings.voice)

    def connector(self, use: Use) -> _Connector:
        return _Connector(self._settings, self._endpoint, use.voice or self._settings.voice)


def open_flux_voice(opening: Opening) -> FluxTTS:
    """As the table of vendors has it opened."""
    options = opening.options
    settings = FluxTTSSettings(
        opening.base_url,
        opening.key,
        opening.voice,
        speed=float(options["speed"]) if "speed" in options else None,
        pool_name=opening.name,
    )
    if opening.stall_s is not None:
        settings = replace(settings, first_audio_timeout_s=opening.stall_s, stall_s=opening.stall_s)
    return FluxTTS(replace(settings, pool=opening.sized(settings.pool)), opening.uses)
