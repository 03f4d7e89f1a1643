"""Deepgram's ears: Flux (``/v2/listen``), which decides on turns itself, and nova (``/v1/listen``), which does not.

Owns Deepgram's messages, its signs of life and its faults. The official SDK says what to dial (URL, parameters,
authentication); the socket is our own, as the SDK's cannot be given pings, limits or a non-blocking send. When a turn
ends is not decided here: Flux says it, and for nova turn/endpointing does.

    ears = FluxEars(FluxConfig(base_url, api_key))            # or NovaEars(NovaConfig(base_url, api_key))
    await ears.start()                                        # begins warming, returns at once
    ears.warm; ears.pools()                                   # bool; tuple of PoolFigures
    await ears.wait_warm(timeout_s)                           # raises PoolTimeout
    transcriber = await ears.listen(language="en", keyterms=["Repartee"])
    await ears.aclose()

A transcriber's connection was taken from the pool, serves one call and is then closed: the stream has a state.
"""

import asyncio
import warnings
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import msgspec

from repartee.audio.gathering import GatherSettings
from repartee.audio.pcm import silence
from repartee.errors import ProviderError
from repartee.pool.policy import PoolSettings
from repartee.pool.pool import Pool, PoolFigures
from repartee.providers.deepgram_streams import (
    CLOSE_STREAM,
    FLUX_MESSAGES,
    KEEP_ALIVE,
    PRIMING_MS,
    FluxTranscriber,
    NovaTranscriber,
    configure_keyterms,
    deepgram_error,
    lost,
)
from repartee.providers.interfaces import HEARING_HZ
from repartee.providers.open_connections import OpenConnections
from repartee.providers.socket_dial import open_socket
from repartee.providers.sockets import (
    DIAL_ERRORS,
    PushedSocket,
    SocketSettings,
    translate,
    websocket_url,
)
from repartee.turn.endpointing import EndpointingSettings

with warnings.catch_warnings():
    # The SDK's own sockets are `websockets`' deprecated ones; they are not used here. What it would import on first
    # use (a third of a second) is imported now, and not in the middle of a call.
    warnings.simplefilter("ignore", DeprecationWarning)
    import deepgram.listen.v1.client
    import deepgram.listen.v2.client  # noqa: F401
    from deepgram import AsyncDeepgramClient
    from deepgram.environment import DeepgramClientEnvironment
    from deepgram.transport import install_transport, restore_transport

Request: TypeAlias = tuple[str, dict[str, str]]


def _stt_pool() -> PoolSettings:
    return PoolSettings(spare=4, single_use=True, max_age_s=240.0, keepalive_s=4.0)


@dataclass(frozen=True, slots=True)
class FluxConfig:
    """Flux and how we use it. Thresholds outside Deepgram's ranges fail its handshake, so they are checked here."""

    base_url: str
    api_key: str
    model: str = "flux-general-en"
    multilingual_model: str = "flux-general-multi"
    eager_eot_threshold: float | None = 0.5
    eot_threshold: float = 0.7
    eot_timeout_ms: int = 5_000
    gather: GatherSettings = field(default_factory=GatherSettings)
    pool: PoolSettings = field(default_factory=_stt_pool)
    socket: SocketSettings = field(default_factory=SocketSettings)

    def __post_init__(self) -> None:
        eager = self.eager_eot_threshold
        _check("eager_eot_threshold", eager is None or 0.3 <= eager <= 0.9, "from 0.3 to 0.9")
        _check("eot_threshold", 0.5 <= self.eot_threshold <= 1.0, "from 0.5 to 1.0")
        _check("eot_timeout_ms", 500 <= self.eot_timeout_ms <= 60_000, "from 500 to 60000")


@dataclass(frozen=True, slots=True)
class NovaConfig:
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


def _client(base_url: str, api_key: str) -> AsyncDeepgramClient:
    ws = websocket_url(base_url)
    environment = DeepgramClientEnvironment(base=base_url, production=ws, agent=ws, agent_rest=base_url)
    return AsyncDeepgramClient(api_key=api_key, environment=environment)


async def _request(connection: AbstractAsyncContextManager[Any]) -> Request:
    # The SDK takes a transport for the whole process, which others may use it in too: it has ours only while it is
    # asked this, and nothing is awaited meanwhile that could let them in.
    install_transport(async_factory=_RequestNote)
    try:
        async with connection:
            return _noted.get()
    finally:
        restore_transport()


class _Connector:
    """Dials, primes, keeps and closes Deepgram sockets for a pool."""

    def __init__(
        self,
        request: Callable[[], Awaitable[Request]],
        settings: SocketSettings,
        sockets: OpenConnections,
        *,
        base_url: str,
        greeted: bool,
        keepalive: str | None,
    ) -> None:
        self._request = request
        self._noted: Request | None = None
        self._settings = settings
        self._sockets = sockets
        self._base_url = base_url
        self._greeted = greeted
        self._keepalive = keepalive

    async def dial(self, *, urgent: bool) -> PushedSocket:
        if self._noted is None:  # it is the same for all, and takes the SDK longer than the dialling
            self._noted = await self._request()
        url, headers = self._noted
        try:
            socket = await open_socket(url, headers, self._settings, self._sockets)
        except DIAL_ERRORS as failure:
            raise translate(
                failure,
                provider="deepgram",
                stage="stt",
                base_url=self._base_url,
                detail_headers=("dg-error", "dg-request-id"),
            ) from failure
        try:
            if self._greeted:
                await _greeting(socket, self._settings.open_timeout_s)
        except BaseException:
            socket.close_soon()
            raise
        socket.push(silence(PRIMING_MS, HEARING_HZ))
        return socket

    keeps_open = True

    def is_open(self, connection: PushedSocket) -> bool:
        return connection.is_open

    def has_answered(self, connection: PushedSocket) -> bool:
        return False

    def why_lost(self, connection: PushedSocket) -> ProviderError:
        return lost(connection)

    def on_lost(self, connection: PushedSocket, call: Callable[[], None]) -> None:
        connection.on_close(call)

    def keep_alive(self, connection: PushedSocket) -> None:
        if self._keepalive is not None:
            connection.push(self._keepalive)

    def close(self, connection: PushedSocket) -> None:
        connection.push(CLOSE_STREAM)
        connection.close_soon()


async def _greeting(socket: PushedSocket, timeout_s: float) -> None:
    """Wait for Flux's ``Connected``: a parameter it dislikes is told of here, and not in a caller's first turn."""
    first: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def on_message(message: bytes) -> None:
        if not first.done():
            first.set_result(message)

    def on_close() -> None:
        if not first.done():
            first.set_exception(lost(socket))

    socket.listen(on_message)
    socket.on_close(on_close)
    try:
        async with asyncio.timeout(timeout_s):
            said = FLUX_MESSAGES.decode(await first)
    except TimeoutError:
        raise deepgram_error("accepted the connection and then said nothing", retryable=True) from None
    except msgspec.MsgspecError as unread:
        raise deepgram_error(f"sent a message that cannot be read ({unread})", retryable=True) from unread
    finally:
        first.cancel()
        socket.listen_no_more()
    if said.type == "Error":
        raise deepgram_error(f"refused the stream: {said.code} {said.description}", retryable=False)


# --- all calls ---------------------------------------------------------------------------------------------------


class _Ears:
    """A pool of streams with the usual options; unusual ones are dialled for."""

    _sockets: OpenConnections

    def __init__(self, name: str, connector: _Connector, pool: PoolSettings) -> None:
        self._pool = Pool(name, connector, pool)

    @property
    def warm(self) -> bool:
        return self._pool.warm

    def pools(self) -> tuple[PoolFigures, ...]:
        return (self._pool.figures(),)

    def in_calls(self, calls: int) -> None:
        """So many calls are in progress; each has its stream already."""
        self._pool.in_calls(calls)

    async def start(self) -> None:
        """Begin warming; returns at once."""
        self._pool.start()

    async def wait_warm(self, timeout_s: float) -> None:
        """Raises PoolTimeout."""
        await self._pool.wait_warm(timeout_s)

    async def aclose(self) -> None:
        """Close all connections. Idempotent."""
        await self._pool.aclose()
        await self._sockets.aclose()


class FluxEars(_Ears):
    """Transcribers through Flux. English comes from the pool; another language is dialled for."""

    def __init__(self, config: FluxConfig) -> None:
        self._config = config
        self._client = _client(config.base_url, config.api_key)
        self._sockets = OpenConnections(config.socket.close_timeout_s)
        super().__init__("deepgram", self._connector("en"), config.pool)

    async def listen(self, *, language: str = "en", keyterms: Sequence[str] = ()) -> FluxTranscriber:
        if _is_english(language):
            lease = await self._pool.acquire()
        else:
            lease = await self._pool.dial_apart(self._connector(language))
        if keyterms:
            lease.connection.push(configure_keyterms(keyterms))
        config = self._config
        return FluxTranscriber(lease, gather=config.gather)

    def _connector(self, language: str) -> _Connector:
        async def request() -> Request:
            config = self._config
            english = _is_english(language)
            optional: dict[str, Any] = {} if english else {"language_hint": [language]}
            if config.eager_eot_threshold is not None:
                optional["eager_eot_threshold"] = config.eager_eot_threshold
            return await _request(
                self._client.listen.v2.connect(
                    model=config.model if english else config.multilingual_model,
                    encoding="linear16",
                    sample_rate=HEARING_HZ,
                    eot_threshold=config.eot_threshold,
                    eot_timeout_ms=config.eot_timeout_ms,
                    **optional,
                )
            )

        config = self._config
        # A KeepAlive kills a Flux stream; protocol pings, which the socket sends anyway, are what it counts.
        return _Connector(
            request, config.socket, self._sockets, base_url=config.base_url, greeted=True, keepalive=None
        )


class NovaEars(_Ears):
    """Transcribers through nova. English comes from the pool; another language is dialled for."""

    def __init__(self, config: NovaConfig) -> None:
        self._config = config
        self._client = _client(config.base_url, config.api_key)
        self._sockets = OpenConnections(config.socket.close_timeout_s)
        super().__init__("deepgram", self._connector("en"), config.pool)

    async def listen(self, *, language: str = "en", keyterms: Sequence[str] = ()) -> NovaTranscriber:
        if _is_english(language):
            lease = await self._pool.acquire()
        else:
            lease = await self._pool.dial_apart(self._connector(language))
        if keyterms:
            lease.connection.push(configure_keyterms(keyterms))
        config = self._config
        return NovaTranscriber(
            lease,
            gather=config.gather,
            keepalive_s=config.keepalive_s,
            endpointing=config.endpointing,
        )

    def _connector(self, language: str) -> _Connector:
        async def request() -> Request:
            config = self._config
            return await _request(
                self._client.listen.v1.connect(
                    model=config.model,
                    language=language,
                    encoding="linear16",
                    sample_rate=HEARING_HZ,
                    channels=1,
                    interim_results="true",
                    smart_format="true",
                    vad_events="true",
                    endpointing=config.endpointing_ms,
                    utterance_end_ms=config.utterance_end_ms,
                )
            )

        config = self._config
        return _Connector(
            request,
            config.socket,
            self._sockets,
            base_url=config.base_url,
            greeted=False,
            keepalive=KEEP_ALIVE,
        )


def _is_english(language: str) -> bool:
    return language.partition("-")[0].lower() == "en"
