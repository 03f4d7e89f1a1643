"""Deepgram's STT: Flux (``/v2/listen``), which decides on turns itself, and nova (``/v1/listen``), which does not.

Owns Deepgram's messages, its signs of life and its faults. The official SDK says what to dial (URL, parameters,
authentication); the socket is our own, as the SDK's cannot be given pings, limits or a non-blocking send. When a turn
ends is not decided here: Flux says it, and for nova turn/endpointing does.

    stt = FluxSTT(FluxSettings(base_url, api_key))            # or NovaSTT(NovaSettings(base_url, api_key))
    await stt.start()                                        # begins warming, returns at once
    stt.warm; stt.pools()                                   # bool; tuple of PoolFigures
    await stt.wait_warm(timeout_s)                           # raises PoolTimeout
    transcriber = await stt.listen(language="en", keyterms=["Repartee"])
    await stt.aclose()

A transcriber's connection was taken from the pool of its language, serves one call and is then closed: the stream has
a state.
"""

import warnings
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, TypeAlias

import msgspec

from repartee.audio.gathering import GatherSettings
from repartee.audio.pcm import silence
from repartee.pool.lease import Lease
from repartee.pool.settings import PoolSettings
from repartee.providers.connecting import Endpoint, OwnSocket, SocketConnector, first_message
from repartee.providers.deepgram_streams import (
    CLOSE_STREAM,
    ERRORS,
    FLUX_MESSAGES,
    KEEP_ALIVE,
    PRIMING_MS,
    FluxTranscriber,
    NovaTranscriber,
    configure_keyterms,
)
from repartee.providers.heard_format import USUAL_FORMAT, HeardEncoder, InFormat
from repartee.providers.interfaces import HEARING_HZ
from repartee.providers.pooled import Pooled, Use
from repartee.providers.sockets import SocketSettings, websocket_url
from repartee.providers.vendor import Opening
from repartee.providers.vendors import FLUX_IDLE
from repartee.turn.endpointing import EndpointingSettings
from repartee.wire.audio_format import Encoding, WireFormat

with warnings.catch_warnings():
    # The SDK's own sockets are `websockets`' deprecated ones; they are not used here. What it would import on first
    # use (a third of a second) is imported now, and not in the middle of a call.
    warnings.simplefilter("ignore", DeprecationWarning)
    import deepgram.listen.v1.client
    import deepgram.listen.v2.client
    import deepgram.speak.v2.client  # noqa: F401
    from deepgram import AsyncDeepgramClient
    from deepgram.environment import DeepgramClientEnvironment
    from deepgram.transport import install_transport, restore_transport

ENCODINGS: Final[Mapping[Encoding, Literal["linear16", "mulaw", "alaw"]]] = {
    "audio/pcm": "linear16",
    "audio/pcmu": "mulaw",
    "audio/pcma": "alaw",
}

Request: TypeAlias = tuple[str, dict[str, str]]


def _stt_pool() -> PoolSettings:
    return PoolSettings(spare=4, single_use=True, max_age_s=240.0, keepalive_s=4.0)


@dataclass(frozen=True, slots=True)
class FluxSettings:
    """Flux and how we use it. Thresholds outside Deepgram's ranges fail its handshake, so they are checked here."""

    base_url: str
    api_key: str
    model: str = "flux-general-en"
    multilingual_model: str = "flux-general-multi"
    eager_eot_threshold: float | None = 0.5
    eot_threshold: float = 0.7
    eot_timeout_ms: int = 5_000
    gather: GatherSettings = field(default_factory=GatherSettings)
    pool_name: str = "deepgram"
    pool: PoolSettings = field(default_factory=_stt_pool)
    socket: SocketSettings = field(default_factory=SocketSettings)

    def __post_init__(self) -> None:
        eager = self.eager_eot_threshold
        _check("eager_eot_threshold", eager is None or 0.3 <= eager <= 0.9, "from 0.3 to 0.9")
        _check("eot_threshold", 0.5 <= self.eot_threshold <= 1.0, "from 0.5 to 1.0")
        _check("eot_timeout_ms", 500 <= self.eot_timeout_ms <= 60_000, "from 500 to 60000")


@dataclass(frozen=True, slots=True)
class NovaSettings:
    """nova and how we use it; ``endpointing`` are our own rule's thresholds."""

    base_url: str
    api_key: str
    model: str = "nova-3"
    endpointing_ms: int = 300
    utterance_end_ms: int = 1_000
    gather: GatherSettings = field(default_factory=GatherSettings)
    keepalive_s: float = 4.0
    """Without audio or a KeepAlive, Deepgram closes after 10 s."""
    endpointing: EndpointingSettings = field(default_factory=EndpointingSettings)
    pool_name: str = "deepgram"
    pool: PoolSettings = field(default_factory=_stt_pool)
    socket: SocketSettings = field(default_factory=SocketSettings)

    def __post_init__(self) -> None:
        _check("endpointing_ms", self.endpointing_ms >= 10, "10 or more")
        _check("utterance_end_ms", self.utterance_end_ms >= 1_000, "1000 or more")


def _check(name: str, good: bool, allowed: str) -> None:
    if not good:
        raise ValueError(f"Deepgram's {name} must be {allowed}")


# --- what to dial, by the SDK ------------------------------------------------------------------------------------

_noted: ContextVar[Request] = ContextVar("deepgram_request")


class _RequestNote:
    """The transport the SDK is given: connects to nothing, and notes what the SDK would have dialled."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        _noted.set((url, dict(headers)))

    async def close(self) -> None:
        """Nothing was opened."""


def sdk_client(base_url: str, api_key: str) -> AsyncDeepgramClient:
    """Deepgram's SDK, for an account at this address."""
    ws = websocket_url(base_url)
    environment = DeepgramClientEnvironment(base=base_url, production=ws, agent=ws, agent_rest=base_url)
    return AsyncDeepgramClient(api_key=api_key, environment=environment)


async def sdk_request(connection: AbstractAsyncContextManager[Any]) -> Request:
    """What the SDK would dial for this connection: a URL and headers."""
    # The SDK takes a transport for the whole process, which others may use it in too: it has ours only while it is
    # asked this, and nothing is awaited meanwhile that could let them in.
    install_transport(async_factory=_RequestNote)
    try:
        async with connection:
            return _noted.get()
    finally:
        restore_transport()


class _Connector(SocketConnector[OwnSocket]):
    """Dials, primes, keeps and closes Deepgram sockets for a pool."""

    def __init__(
        self,
        endpoint: Endpoint,
        request: Callable[[], Awaitable[Request]],
        *,
        greeted: bool = False,
        keepalive: str | None = None,
        heard: WireFormat = USUAL_FORMAT,
    ) -> None:
        super().__init__(endpoint)
        self._request = request
        self._noted: Request | None = None
        self._greeted = greeted
        self._keepalive = keepalive
        self._priming = HeardEncoder(heard).feed(silence(PRIMING_MS, HEARING_HZ))

    async def connect(self) -> OwnSocket:
        if self._noted is None:  # it is the same for all, and takes the SDK longer than the dialling
            self._noted = await self._request()
        url, headers = self._noted
        return OwnSocket(await self.endpoint.open(url, headers), ERRORS)

    async def prime(self, connection: OwnSocket, *, urgent: bool) -> None:
        if self._greeted:
            await self._greeting(connection)
        connection.socket.push(self._priming)

    async def _greeting(self, connection: OwnSocket) -> None:
        """Flux's ``Connected``, or what it dislikes about the stream."""
        message = await first_message(connection.socket, ERRORS, self.endpoint.settings.open_timeout_s)
        try:
            said = FLUX_MESSAGES.decode(message)
        except msgspec.ValidationError:
            return  # it greets in a way that is not known yet
        except msgspec.MsgspecError as unread:
            raise ERRORS.unreadable(unread) from unread
        if said.type == "Error":
            raise ERRORS.error(f"refused the stream: {said.code} {said.description}", said.code)

    def keep_alive(self, connection: OwnSocket) -> None:
        if self._keepalive is not None:
            connection.socket.push(self._keepalive)

    def close(self, connection: OwnSocket) -> None:
        connection.socket.push(CLOSE_STREAM)
        connection.close_soon()


# --- all calls ---------------------------------------------------------------------------------------------------


class _DeepgramPools(Pooled[OwnSocket]):
    """Streams with the usual options, for each language that is used."""

    def __init__(self, settings: FluxSettings | NovaSettings, uses: Sequence[Use]) -> None:
        self._endpoint = Endpoint.of(settings.base_url, ERRORS, settings.socket)
        self._client = sdk_client(settings.base_url, settings.api_key)
        super().__init__(settings.pool_name, settings.pool, self._endpoint.sockets, uses)

    def kind_of(self, use: Use) -> Use:
        return Use("en" if use.spoken == "en" else use.language, heard=use.heard)

    async def _lease(self, language: str, keyterms: Sequence[str], heard: WireFormat) -> Lease[OwnSocket]:
        lease = await self.acquire(Use(language, heard=None if heard == USUAL_FORMAT else heard))
        if keyterms:
            lease.connection.socket.push(configure_keyterms(keyterms))
        return lease


class FluxSTT(_DeepgramPools):
    """Transcribers through Flux: one model for English, another one, with a hint, for any other language."""

    def __init__(self, settings: FluxSettings, uses: Sequence[Use] = (Use(),)) -> None:
        self._settings = settings
        super().__init__(settings, uses)

    async def listen(
        self, *, language: str = "en", keyterms: Sequence[str] = (), heard: WireFormat = USUAL_FORMAT
    ) -> FluxTranscriber:
        lease = await self._lease(language, keyterms, heard)
        transcriber = FluxTranscriber(lease, gather=self._settings.gather, heard=heard)
        transcriber.turn_ends_s = self._settings.eot_timeout_ms / 1000
        return transcriber

    def in_format(self, heard: WireFormat) -> InFormat:
        """Sent this."""
        return InFormat(self, heard)

    def connector(self, use: Use) -> _Connector:
        heard = use.heard or USUAL_FORMAT

        async def request() -> Request:
            settings = self._settings
            english = use.spoken == "en"
            optional: dict[str, Any] = {} if english else {"language_hint": [use.language]}
            if settings.eager_eot_threshold is not None:
                optional["eager_eot_threshold"] = settings.eager_eot_threshold
            return await sdk_request(
                self._client.listen.v2.connect(
                    model=settings.model if english else settings.multilingual_model,
                    encoding=ENCODINGS[heard.encoding],
                    sample_rate=heard.hz,
                    eot_threshold=settings.eot_threshold,
                    eot_timeout_ms=settings.eot_timeout_ms,
                    **optional,
                )
            )

        # A KeepAlive kills a Flux stream; protocol pings, which the socket sends anyway, are what it counts.
        return _Connector(self._endpoint, request, greeted=True, heard=heard)


class NovaSTT(_DeepgramPools):
    """Transcribers through nova."""

    def __init__(self, settings: NovaSettings, uses: Sequence[Use] = (Use(),)) -> None:
        self._settings = settings
        super().__init__(settings, uses)

    def in_format(self, heard: WireFormat) -> InFormat:
        """Sent this."""
        return InFormat(self, heard)

    async def listen(
        self, *, language: str = "en", keyterms: Sequence[str] = (), heard: WireFormat = USUAL_FORMAT
    ) -> NovaTranscriber:
        settings = self._settings
        return NovaTranscriber(
            await self._lease(language, keyterms, heard),
            heard=heard,
            gather=settings.gather,
            keepalive_s=settings.keepalive_s,
            utterance_end_ms=settings.utterance_end_ms,
            endpointing=settings.endpointing,
        )

    def connector(self, use: Use) -> _Connector:
        heard = use.heard or USUAL_FORMAT

        async def request() -> Request:
            settings = self._settings
            return await sdk_request(
                self._client.listen.v1.connect(
                    model=settings.model,
                    language=use.language,
                    encoding=ENCODINGS[heard.encoding],
                    sample_rate=heard.hz,
                    channels=1,
                    interim_results="true",
                    smart_format="true",
                    vad_events="true",
                    endpointing=settings.endpointing_ms,
                    utterance_end_ms=settings.utterance_end_ms,
                )
            )

        return _Connector(self._endpoint, request, keepalive=KEEP_ALIVE, heard=heard)


def open_flux(opening: Opening) -> FluxSTT:
    """As the table of vendors has it opened."""
    settings = FluxSettings(opening.base_url, opening.key, pool_name=opening.name)
    idle_s = float(opening.values[FLUX_IDLE.variable])
    settings = replace(settings, pool=replace(settings.pool, max_age_s=idle_s))
    return FluxSTT(replace(settings, pool=opening.sized(settings.pool)), opening.uses)


def open_nova(opening: Opening) -> NovaSTT:
    """As the table of vendors has it opened."""
    settings = NovaSettings(opening.base_url, opening.key, pool_name=opening.name)
    return NovaSTT(replace(settings, pool=opening.sized(settings.pool)), opening.uses)
