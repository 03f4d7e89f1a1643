"""Cartesia's stt: ink-2, which decides on turns itself and says early when one may be over.

Owns its messages in both directions and its faults. The official SDK dials (URL, version, authentication); the socket
is our own, as for Cartesia's voice. Used as :class:`~repartee.providers.deepgram.FluxSTT` is.

Its thresholds run the other way than Flux's: a turn ends when the likelihood that the caller still has it falls below
one. It hears English. There is no message that ends a turn: silence does.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, cast

import msgspec
from cartesia import AsyncCartesia
from cartesia.types.websocket_connection_options import WebsocketConnectionOptions

from repartee.audio.gathering import GatherSettings
from repartee.audio.pcm import silence
from repartee.audio.vad import FRAME_MS, VoiceActivity
from repartee.errors import ProviderError
from repartee.pool.lease import Lease
from repartee.pool.settings import PoolSettings
from repartee.providers.connecting import Endpoint, Entering, OwnSocket, SocketConnector, first_message
from repartee.providers.heard_format import USUAL_FORMAT, HeardEncoder, InFormat
from repartee.providers.interfaces import HEARING_HZ, Hearing
from repartee.providers.pooled import Pooled, Use
from repartee.providers.socket_transcriber import SocketTranscriber
from repartee.providers.sockets import SocketSettings, websocket_url
from repartee.providers.vendor import Opening
from repartee.providers.vendor_errors import VendorErrors
from repartee.turn.events import EagerEndOfTurn, EndOfTurn, PartialTranscript, StartOfTurn, TurnResumed
from repartee.wire.audio_format import Encoding, WireFormat
from repartee.wire.tolerant_json import TolerantDecoder

log = logging.getLogger(__name__)

ERRORS = VendorErrors("cartesia", "stt", "Cartesia")

MOST_KEYTERMS = 100
MOST_KEYTERM_CHARS = 1_200
"""Cartesia's limits."""

ENCODINGS: Final[Mapping[Encoding, Literal["pcm_s16le", "pcm_mulaw", "pcm_alaw"]]] = {
    "audio/pcm": "pcm_s16le",
    "audio/pcmu": "pcm_mulaw",
    "audio/pcma": "pcm_alaw",
}
KEEP_ALIVE = msgspec.json.encode({"type": "config"}).decode()
"""A command that changes nothing: any message resets the time after which an idle stream is closed."""

CLOSE = msgspec.json.encode({"type": "close"}).decode()
FINISH_MS = 1_500.0
"""So much silence ends a turn, whatever was said."""


def _stt_pool() -> PoolSettings:
    # Cartesia closes a stream that nothing was sent on for 20 s.
    return PoolSettings(spare=4, single_use=True, max_age_s=240.0, keepalive_s=8.0)


@dataclass(frozen=True, slots=True)
class InkSettings:
    """ink-2 and how we use it. Thresholds outside Cartesia's ranges fail its handshake, so they are checked here."""

    base_url: str
    api_key: str
    model: str = "ink-2"
    eager_end_threshold: float = 0.4
    end_threshold: float = 0.2
    end_timeout_ms: int = 5_600
    keyterms: tuple[str, ...] = ()
    """They are a stream's from its start."""

    keepalive_s: float = 8.0
    gather: GatherSettings = field(default_factory=GatherSettings)
    pool_name: str = "cartesia"
    pool: PoolSettings = field(default_factory=_stt_pool)
    socket: SocketSettings = field(default_factory=SocketSettings)

    def __post_init__(self) -> None:
        _check("eager_end_threshold", 0.3 <= self.eager_end_threshold <= 0.6, "from 0.3 to 0.6")
        below = 0.05 <= self.end_threshold <= 0.5 and self.end_threshold < self.eager_end_threshold
        _check("end_threshold", below, "from 0.05 to 0.5 and below eager_end_threshold")
        _check("end_timeout_ms", 640 <= self.end_timeout_ms <= 11_200, "from 640 to 11200")
        chars = sum(map(len, self.keyterms))
        few = len(self.keyterms) <= MOST_KEYTERMS and chars <= MOST_KEYTERM_CHARS
        _check("keyterms", few, f"{MOST_KEYTERMS} of {MOST_KEYTERM_CHARS} characters together, at most")


def _check(name: str, good: bool, allowed: str) -> None:
    if not good:
        raise ValueError(f"Cartesia's {name} must be {allowed}")


class _InkMessage(msgspec.Struct):
    """The fields of all of ink-2's messages that matter here; unknown types and fields pass unread."""

    type: str | None = None
    transcript: str | None = None
    title: str | None = None
    message: str | None = None
    error_code: str | None = None
    status_code: int | None = None


_MESSAGE = TolerantDecoder[_InkMessage](_InkMessage)


def _refused(said: _InkMessage) -> ProviderError:
    words = ": ".join(part for part in (said.title, said.message) if part) or said.error_code
    status = said.status_code
    return ERRORS.error(f"ended the stream: {words} (status {status})", said.error_code, status=status)


class _Connector(SocketConnector[OwnSocket]):
    """Dials, greets, keeps and closes ink-2's sockets for a pool."""

    def __init__(
        self, settings: InkSettings, endpoint: Endpoint, client: AsyncCartesia, heard: WireFormat
    ) -> None:
        super().__init__(endpoint)
        self._heard = heard
        self._settings = settings
        self._client = client

    async def connect(self) -> OwnSocket:
        settings = self._settings
        optional: dict[str, Any] = {"keyterm": list(settings.keyterms)} if settings.keyterms else {}

        def manager(options: Mapping[str, Any]) -> Entering:
            return self._client.stt.auto_finalize.websocket(
                model=settings.model,
                encoding=ENCODINGS[self._heard.encoding],
                sample_rate=self._heard.hz,
                turn_eager_end_threshold=settings.eager_end_threshold,
                turn_end_threshold=settings.end_threshold,
                turn_end_timeout_ms=settings.end_timeout_ms,
                websocket_connection_options=cast(WebsocketConnectionOptions, options),
                **optional,
            )

        socket, _ = await self.endpoint.enter(manager)
        return OwnSocket(socket, ERRORS)

    async def prime(self, connection: OwnSocket, *, urgent: bool) -> None:
        """Its ``connected``, or what it dislikes about the stream."""
        message = await first_message(connection.socket, ERRORS, self.endpoint.settings.open_timeout_s)
        try:
            said = _MESSAGE.decode(message)
        except msgspec.ValidationError:
            return  # it greets in a way that is not known yet
        except msgspec.MsgspecError as unread:
            raise ERRORS.unreadable(unread) from unread
        if said.type == "error":
            raise _refused(said)

    def keep_alive(self, connection: OwnSocket) -> None:
        connection.socket.push(KEEP_ALIVE)

    def close(self, connection: OwnSocket) -> None:
        connection.socket.push(CLOSE)
        connection.close_soon()


class InkTranscriber(SocketTranscriber):
    """One call through ink-2."""

    def __init__(
        self, lease: Lease[OwnSocket], settings: InkSettings, heard: WireFormat = USUAL_FORMAT
    ) -> None:
        self._keepalive_s = settings.keepalive_s
        self._in_turn = False
        self._known = ""
        """The turn's words, as far as they were said."""
        self._vad = VoiceActivity(HEARING_HZ)
        self._finish = HeardEncoder(heard).feed(silence(FINISH_MS, HEARING_HZ))
        super().__init__(lease, settings.gather, ERRORS, heard)
        self.turn_ends_s = settings.end_timeout_ms / 1000
        self.look_at_clock(self._on_clock)

    @property
    def in_turn(self) -> bool:
        return self._in_turn

    def answerable_s(self, pcm: bytes) -> float:
        """It says nothing to silence until it ends the turn."""
        return sum(self._vad.feed(pcm)) * FRAME_MS / 1000

    def finish_turn(self) -> None:
        self.push_after_audio(self._finish)

    def on_text(self, message: bytes) -> None:
        said = _MESSAGE.decode(message)
        if said.type == "error":
            self.fail(_refused(said))
        elif (event := self._event(said)) is not None:
            self._in_turn = not isinstance(event, EndOfTurn)
            self.emit(event)
            if not self._in_turn:
                self._known = ""

    def _event(self, said: _InkMessage) -> Hearing | None:
        if said.transcript is not None:
            self._known = said.transcript.strip()
        words = self._known
        match said.type:
            case "turn.start":
                return StartOfTurn(words)
            case "turn.update":
                return PartialTranscript(words) if words else None
            case "turn.eager_end":
                return EagerEndOfTurn(words) if words else None
            case "turn.resume":
                return TurnResumed()
            case "turn.end":
                return EndOfTurn(words)
        return None

    def _on_clock(self, now: float) -> None:
        if now - self.last_fed_at >= self._keepalive_s:
            self.last_fed_at = now
            self.socket.push(KEEP_ALIVE)


class InkSTT(Pooled[OwnSocket]):
    """Transcribers through ink-2."""

    def __init__(self, settings: InkSettings, uses: Sequence[Use] = (Use(),)) -> None:
        self._settings = settings
        self._endpoint = Endpoint.of(settings.base_url, ERRORS, settings.socket)
        self._client = AsyncCartesia(
            api_key=settings.api_key,
            base_url=settings.base_url.rstrip("/"),
            websocket_base_url=websocket_url(settings.base_url),
            max_retries=0,
        )
        super().__init__(settings.pool_name, settings.pool, self._endpoint.sockets, uses)

    async def listen(
        self, *, language: str = "en", keyterms: Sequence[str] = (), heard: WireFormat = USUAL_FORMAT
    ) -> InkTranscriber:
        """Raises ProviderError or PoolTimeout. Of ``keyterms`` it knows those that it was opened with."""
        lease = await self.acquire(Use(heard=None if heard == USUAL_FORMAT else heard))
        return InkTranscriber(lease, self._settings, heard)

    def in_format(self, heard: WireFormat) -> InFormat:
        """Sent this."""
        return InFormat(self, heard)

    def kind_of(self, use: Use) -> Use:
        return Use(heard=use.heard)

    def connector(self, use: Use) -> _Connector:
        return _Connector(self._settings, self._endpoint, self._client, use.heard or USUAL_FORMAT)

    async def close_client(self) -> None:
        await self._client.close()


def _taken(keyterms: Sequence[str]) -> tuple[str, ...]:
    """As many as Cartesia takes."""
    taken: list[str] = []
    for term in keyterms[:MOST_KEYTERMS]:
        if sum(map(len, taken)) + len(term) > MOST_KEYTERM_CHARS:
            break
        taken.append(term)
    if len(taken) < len(keyterms):
        log.warning(
            "ink-2 takes %d of the agent's %d keyterms; leaving out the rest", len(taken), len(keyterms)
        )
    return tuple(taken)


def open_ink(opening: Opening) -> InkSTT:
    """As the table of vendors has it opened."""
    settings = InkSettings(
        opening.base_url, opening.key, keyterms=_taken(opening.keyterms), pool_name=opening.name
    )
    return InkSTT(replace(settings, pool=opening.sized(settings.pool)), opening.uses)
