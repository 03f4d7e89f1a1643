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
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import msgspec

from repartee.audio.framing import Framer
from repartee.audio.pcm import silence
from repartee.audio.vad import FRAME_MS, VoiceActivity
from repartee.errors import ProviderError
from repartee.pool.lease import Lease
from repartee.pool.policy import PoolSettings
from repartee.pool.pool import Pool, PoolFigures
from repartee.providers.inbox import Inbox
from repartee.providers.interfaces import HEARING_HZ, Hearing
from repartee.providers.sockets import (
    DIAL_ERRORS,
    PushedSocket,
    SocketSettings,
    open_socket,
    translate,
    websocket_url,
)
from repartee.turn.endpointing import Endpointer, EndpointingSettings, Finalize, Output, Transcript
from repartee.turn.events import (
    EagerEndOfTurn,
    EndOfTurn,
    PartialTranscript,
    StartOfTurn,
    TurnResumed,
)

with warnings.catch_warnings():
    # The SDK's own sockets are `websockets`' deprecated ones; they are not used here. What it would import on first
    # use (a third of a second) is imported now, and not in the middle of a call.
    warnings.simplefilter("ignore", DeprecationWarning)
    import deepgram.listen.v1.client
    import deepgram.listen.v2.client  # noqa: F401
    from deepgram import AsyncDeepgramClient
    from deepgram.environment import DeepgramClientEnvironment

PRIMING_MS = 100.0
"""Silence sent on a new connection, so that a call's first word does not meet a cold recogniser."""

MAX_UNREAD_EVENTS = 256
"""A call that reads no events for so long (a minute of a turn's updates) has stopped."""

TICK_S = 0.1
"""How often a call looks at its deadlines; only audio that has stopped coming makes this matter."""

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
    send_ms: float = 20.0
    """Audio is sent in pieces of this length: Deepgram advises 80, each ms above 20 is latency."""
    stall_s: float = 4.0
    """In mid-turn Flux speaks every 0.25 s of audio; silent for so long, the connection is lost."""
    pool: PoolSettings = field(default_factory=_stt_pool)
    socket: SocketSettings = field(default_factory=SocketSettings)

    def __post_init__(self) -> None:
        eager = self.eager_eot_threshold
        _check("eager_eot_threshold", eager is None or 0.3 <= eager <= 0.9, "from 0.3 to 0.9")
        _check("eot_threshold", 0.5 <= self.eot_threshold <= 1.0, "from 0.5 to 1.0")
        _check("eot_timeout_ms", 500 <= self.eot_timeout_ms <= 60_000, "from 500 to 60000")
        _check("send_ms", 10 <= self.send_ms <= 80, "from 10 to 80")


@dataclass(frozen=True, slots=True)
class NovaConfig:
    """nova and how we use it; ``endpointing`` are our own rule's thresholds."""

    base_url: str
    api_key: str
    model: str = "nova-3"
    endpointing_ms: int = 300
    utterance_end_ms: int = 1_000
    send_ms: float = 20.0
    keepalive_s: float = 4.0
    """Without audio or a KeepAlive, Deepgram closes after 10 s."""
    stall_s: float = 8.0
    """Speech going in and nothing coming out for so long: the connection is lost."""
    endpointing: EndpointingSettings = field(default_factory=EndpointingSettings)
    pool: PoolSettings = field(default_factory=_stt_pool)
    socket: SocketSettings = field(default_factory=SocketSettings)

    def __post_init__(self) -> None:
        _check("endpointing_ms", self.endpointing_ms >= 10, "10 or more")
        _check("utterance_end_ms", self.utterance_end_ms >= 1_000, "1000 or more")
        _check("send_ms", 10 <= self.send_ms <= 80, "from 10 to 80")


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
    return AsyncDeepgramClient(api_key=api_key, environment=environment, transport_factory=_RequestNote)


async def _request(connection: AbstractAsyncContextManager[Any]) -> Request:
    async with connection:
        return _noted.get()


class _Connector:
    """Dials, primes, keeps and closes Deepgram sockets for a pool."""

    def __init__(
        self,
        request: Callable[[], Any],
        settings: SocketSettings,
        *,
        base_url: str,
        greeted: bool,
        keepalive: str | None,
    ) -> None:
        self._request = request
        self._settings = settings
        self._base_url = base_url
        self._greeted = greeted
        self._keepalive = keepalive

    async def dial(self) -> PushedSocket:
        url, headers = await self._request()
        try:
            socket = await open_socket(url, headers, self._settings)
        except DIAL_ERRORS as error:
            raise translate(
                error,
                provider="deepgram",
                stage="stt",
                base_url=self._base_url,
                detail_headers=("dg-error", "dg-request-id"),
            ) from error
        try:
            if self._greeted:
                await _greeting(socket, self._settings.open_timeout_s)
        except BaseException:
            socket.close_soon()
            raise
        socket.push(silence(PRIMING_MS, HEARING_HZ))
        return socket

    def is_open(self, connection: PushedSocket) -> bool:
        return connection.is_open

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
            said = _FLUX.decode(await first)
    except TimeoutError:
        raise _error("accepted the connection and then said nothing", retryable=True) from None
    except msgspec.MsgspecError as error:
        raise _error(f"sent a message that cannot be read ({error})", retryable=True) from error
    finally:
        first.cancel()
        socket.listen_no_more()
    if said.type == "Error":
        raise _error(f"refused the stream: {said.code} {said.description}", retryable=False)


CLOSE_STREAM = '{"type":"CloseStream"}'
KEEP_ALIVE = '{"type":"KeepAlive"}'
FINALIZE = '{"type":"Finalize"}'
FORCE_END_TURN = '{"type":"ForceEndTurn"}'


def _configure_keyterms(keyterms: Sequence[str]) -> str:
    return msgspec.json.encode({"type": "Configure", "keyterms": list(keyterms)}).decode()


def _error(what: str, *, retryable: bool, status: int | None = None) -> ProviderError:
    return ProviderError(
        f"Deepgram {what}.", provider="deepgram", stage="stt", retryable=retryable, status=status
    )


def lost(socket: PushedSocket) -> ProviderError:
    """Why a connection has ended, in our words."""
    code, reason = socket.close_code, socket.close_reason
    return _error(f"closed the connection ({code} {reason})".replace(" )", ")"), retryable=True, status=code)


# --- one call ----------------------------------------------------------------------------------------------------


class _Transcriber:
    """What both kinds have in common: audio in, events out, a clock for what must not wait for either."""

    def __init__(self, lease: Lease[PushedSocket], send_ms: float) -> None:
        self._lease = lease
        self._socket = lease.connection
        self._framer = Framer(send_ms, HEARING_HZ)
        self._inbox: Inbox[Hearing] = Inbox(MAX_UNREAD_EVENTS, _overflow)
        self._loop = asyncio.get_running_loop()
        self._last_fed_at = self._last_said_at = self._loop.time()
        self._timer: asyncio.TimerHandle | None = self._loop.call_later(TICK_S, self._on_timer)
        self._socket.on_close(self._on_close)
        self._socket.listen(self._on_message)

    def feed(self, pcm: bytes) -> None:
        self._last_fed_at = self._loop.time()
        for piece in self._framer.feed(pcm):
            self._socket.push(piece)

    async def events(self) -> AsyncGenerator[Hearing, None]:
        async for event in self._inbox:
            yield event

    async def aclose(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._inbox.end()
        self._lease.release(reusable=False)

    def _emit(self, event: Hearing) -> None:
        if isinstance(event, PartialTranscript):
            self._inbox.replace_last(event, PartialTranscript)
        else:
            self._inbox.put(event)

    def _on_close(self) -> None:
        self._inbox.fail(lost(self._socket))

    def _on_message(self, message: bytes) -> None:
        self._last_said_at = self._loop.time()
        try:
            self._on_text(message)
        except msgspec.MsgspecError as error:
            self._fail(f"sent a message that cannot be read ({error})")

    def _on_text(self, message: bytes) -> None:
        raise NotImplementedError

    def _on_timer(self) -> None:
        self._timer = self._loop.call_later(TICK_S, self._on_timer)
        self._on_tick(self._loop.time())

    def _on_tick(self, now: float) -> None:
        raise NotImplementedError

    def _fail(self, what: str, *, retryable: bool = True) -> None:
        self._inbox.fail(_error(what, retryable=retryable))
        self._socket.close_soon()


def _overflow() -> ProviderError:
    return _error("was heard, but the call stopped reading what it says", retryable=False)


class _FluxMessage(msgspec.Struct):
    """The fields of all of Flux's messages that matter here; unknown types and fields pass unread."""

    type: str
    event: str = ""
    transcript: str = ""
    code: str = ""
    description: str = ""


_FLUX = msgspec.json.Decoder(_FluxMessage)


class FluxTranscriber(_Transcriber):
    """One call through Flux."""

    def __init__(self, lease: Lease[PushedSocket], config: FluxConfig) -> None:
        self._stall_s = config.stall_s
        self._in_turn = False
        super().__init__(lease, config.send_ms)

    def finish_turn(self) -> None:
        self._socket.push(FORCE_END_TURN)

    def _on_text(self, message: bytes) -> None:
        said = _FLUX.decode(message)
        if said.type == "TurnInfo":
            event = _flux_event(said)
            if event is not None:
                self._in_turn = not isinstance(event, EndOfTurn)
                self._emit(event)
        elif said.type == "Error":
            self._fail(f"ended the stream: {said.code} {said.description}")

    def _on_tick(self, now: float) -> None:
        audio_goes_in = now - self._last_fed_at < 1.0
        if self._in_turn and audio_goes_in and now - self._last_said_at > self._stall_s:
            self._fail(f"fell silent in mid-turn for {self._stall_s:g} s")


def _flux_event(said: _FluxMessage) -> Hearing | None:
    match said.event:
        case "Update":
            return PartialTranscript(said.transcript) if said.transcript else None
        case "StartOfTurn":
            return StartOfTurn(said.transcript)
        case "EagerEndOfTurn":
            return EagerEndOfTurn(said.transcript)
        case "TurnResumed":
            return TurnResumed()
        case "EndOfTurn":
            return EndOfTurn(said.transcript)
    return None


class _Alternative(msgspec.Struct):
    transcript: str = ""


class _Channel(msgspec.Struct):
    alternatives: list[_Alternative] = []


class _NovaType(msgspec.Struct):
    type: str
    description: str = ""
    message: str = ""


class _NovaResults(msgspec.Struct):
    channel: _Channel
    start: float = 0.0
    duration: float = 0.0
    is_final: bool | None = False
    speech_final: bool | None = False
    from_finalize: bool | None = False


_NOVA = msgspec.json.Decoder(_NovaType)
_NOVA_RESULTS = msgspec.json.Decoder(_NovaResults)


class NovaTranscriber(_Transcriber):
    """One call through nova, with turns made by our own rule."""

    def __init__(self, lease: Lease[PushedSocket], config: NovaConfig) -> None:
        self._config = config
        self._vad = VoiceActivity(HEARING_HZ)
        self._endpointer = Endpointer(config.endpointing, frame_ms=FRAME_MS, heard_s=PRIMING_MS / 1000)
        self._speech_unanswered_s = 0.0
        self._last_sent_at = asyncio.get_running_loop().time()
        super().__init__(lease, config.send_ms)

    def feed(self, pcm: bytes) -> None:
        super().feed(pcm)
        now = self._last_sent_at = self._last_fed_at
        for speech in self._vad.feed(pcm):
            if speech:
                self._speech_unanswered_s += FRAME_MS / 1000
            outputs = self._endpointer.frame(speech, now)
            if outputs:
                self._carry_out(outputs)

    def finish_turn(self) -> None:
        self._carry_out(self._endpointer.force_end(self._loop.time()))

    def _on_text(self, message: bytes) -> None:
        self._speech_unanswered_s = 0.0
        now = self._last_said_at
        said = _NOVA.decode(message)
        if said.type == "Results":
            self._carry_out(self._endpointer.transcript(_transcript(message), now))
        elif said.type == "SpeechStarted":
            self._carry_out(self._endpointer.speech_started(now))
        elif said.type == "UtteranceEnd":
            self._carry_out(self._endpointer.utterance_end(now))
        elif said.type == "Error":
            self._fail(f"ended the stream: {said.description or said.message}")

    def _carry_out(self, outputs: list[Output]) -> None:
        for output in outputs:
            if isinstance(output, Finalize):
                self._socket.push(FINALIZE)
            else:
                self._emit(output)

    def _on_tick(self, now: float) -> None:
        deadline = self._endpointer.deadline
        if deadline is not None and now >= deadline:
            self._carry_out(self._endpointer.expire(now))
        if now - self._last_sent_at >= self._config.keepalive_s:
            self._last_sent_at = now
            self._socket.push(KEEP_ALIVE)
        if self._speech_unanswered_s > self._config.stall_s:
            self._speech_unanswered_s = 0.0
            self._fail(f"did not answer {self._config.stall_s:g} s of speech")


def _transcript(message: bytes) -> Transcript:
    said = _NOVA_RESULTS.decode(message)
    alternatives = said.channel.alternatives
    return Transcript(
        text=alternatives[0].transcript.strip() if alternatives else "",
        start_s=said.start,
        end_s=said.start + said.duration,
        final=bool(said.is_final),
        speech_final=bool(said.speech_final),
        finalized=bool(said.from_finalize),
    )


# --- all calls ---------------------------------------------------------------------------------------------------


class _Ears:
    """A pool of streams with the usual options; unusual ones are dialled for."""

    def __init__(self, name: str, connector: _Connector, pool: PoolSettings) -> None:
        self._pool = Pool(name, connector, pool)

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

    async def aclose(self) -> None:
        """Close all connections. Idempotent."""
        await self._pool.aclose()


class FluxEars(_Ears):
    """Transcribers through Flux. English comes from the pool; another language is dialled for."""

    def __init__(self, config: FluxConfig) -> None:
        self._config = config
        self._client = _client(config.base_url, config.api_key)
        super().__init__("deepgram flux", self._connector("en"), config.pool)

    async def listen(self, *, language: str = "en", keyterms: Sequence[str] = ()) -> FluxTranscriber:
        if _is_english(language):
            lease = await self._pool.acquire()
        else:
            lease = await _dial(self._connector(language))
        if keyterms:
            lease.connection.push(_configure_keyterms(keyterms))
        return FluxTranscriber(lease, self._config)

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
        return _Connector(request, config.socket, base_url=config.base_url, greeted=True, keepalive=None)


class NovaEars(_Ears):
    """Transcribers through nova. English comes from the pool; another language is dialled for."""

    def __init__(self, config: NovaConfig) -> None:
        self._config = config
        self._client = _client(config.base_url, config.api_key)
        super().__init__("deepgram nova", self._connector("en"), config.pool)

    async def listen(self, *, language: str = "en", keyterms: Sequence[str] = ()) -> NovaTranscriber:
        if _is_english(language):
            lease = await self._pool.acquire()
        else:
            lease = await _dial(self._connector(language))
        if keyterms:
            lease.connection.push(_configure_keyterms(keyterms))
        return NovaTranscriber(lease, self._config)

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
            request, config.socket, base_url=config.base_url, greeted=False, keepalive=KEEP_ALIVE
        )


def _is_english(language: str) -> bool:
    return language.partition("-")[0].lower() == "en"


async def _dial(connector: _Connector) -> Lease[PushedSocket]:
    """A stream of a kind that no pool keeps."""
    socket = await connector.dial()

    def give_back(reusable: bool) -> None:
        connector.close(socket)

    return Lease(socket, give_back, hit=False, wait_ms=0.0)
