"""OpenAI's Realtime API: speech in, speech out, one warm WebSocket a call.

Owns dialling, the pool and what a lost connection means. The official SDK dials (URL, authentication); messages pass
as they are, since its models cost more than the audio. What is said over a line is the session's business.

    speech = OpenAIRealtime(RealtimeSettings(base_url, api_key))
    await speech.start()                                  # begins warming, returns at once
    line = await speech.open()                            # raises ProviderError or PoolTimeout
    line.listen(on_message, on_lost)                      # from now on, called as messages come
    line.send('{"type": "session.update", ...}')
    line.close()                                          # always; a line serves one call

:class:`RealtimeTTS` speaks single phrases in a voice of this API, so that they can be recorded.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, cast

import msgspec
from openai import AsyncOpenAI, DefaultAsyncHttpxClient
from openai.types.websocket_connection_options import WebSocketConnectionOptions

from repartee.errors import ProviderError
from repartee.pool.lease import Lease
from repartee.pool.settings import PoolSettings
from repartee.providers.connecting import Endpoint, Entering, OwnSocket, SocketConnector, first_message
from repartee.providers.inbox import Inbox
from repartee.providers.interfaces import SPEECH_HZ
from repartee.providers.model_end import shutdown_date
from repartee.providers.pooled import Pooled, Use
from repartee.providers.single_request import SingleRequests
from repartee.providers.sockets import PushedSocket, SocketSettings, websocket_url
from repartee.providers.vendor import Opening
from repartee.providers.vendor_errors import VendorErrors
from repartee.turn.events import SpeechAudio, SpeechWords
from repartee.wire import relay_events as wire

ERRORS = VendorErrors("openai", "model", "OpenAI's Realtime API")


def _pool() -> PoolSettings:
    # A session lives 60 minutes, and a call wants most of them.
    return PoolSettings(spare=4, single_use=True, max_age_s=600.0, keepalive_s=None)


@dataclass(frozen=True, slots=True)
class RealtimeSettings:
    """Where, as whom, and how long to wait. ``life_s`` is how long OpenAI lets a session live."""

    base_url: str
    api_key: str
    model: str = "gpt-realtime-1.5"
    greeting_timeout_s: float = 5.0
    phrase_timeout_s: float = 10.0
    life_s: float = 3600.0
    pool: PoolSettings = field(default_factory=_pool)
    socket: SocketSettings = field(default_factory=SocketSettings)


def refusal(error: wire.ErrorSeen) -> ProviderError:
    """An ``error`` event in our words."""
    said = f"refused: {error.message.rstrip('.')} ({error.code or error.type})"
    return ERRORS.error(said, error.type, error.code)


class _Session(OwnSocket):
    """An open socket, and when the session on it began. The SDK's own object is kept for as long as the socket."""

    def __init__(self, socket: PushedSocket, opened_at: float, sdk: object) -> None:
        super().__init__(socket, ERRORS)
        self.opened_at = opened_at
        self.sdk = sdk


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
                on_lost(ERRORS.lost(self._socket))

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


class _Connector(SocketConnector[_Session]):
    """Dials through the SDK, and waits for the session."""

    def __init__(self, settings: RealtimeSettings, endpoint: Endpoint, client: AsyncOpenAI) -> None:
        super().__init__(endpoint)
        self._settings = settings
        self._client = client

    async def connect(self) -> _Session:
        def manager(options: Mapping[str, Any]) -> Entering:
            return self._client.realtime.connect(
                model=self._settings.model,
                websocket_connection_options=cast(WebSocketConnectionOptions, options),
            )

        opened_at = time.monotonic()
        socket, sdk = await self.endpoint.enter(manager)
        return _Session(socket, opened_at, sdk)

    async def prime(self, connection: _Session, *, urgent: bool) -> None:
        """Wait for ``session.created``: only now does OpenAI refuse a model."""
        event = _read(await first_message(connection.socket, ERRORS, self._settings.greeting_timeout_s))
        if event.error is not None:
            raise refusal(event.error)


def _read(message: bytes) -> wire.ProviderEvent:
    try:
        return wire.read(message)
    except msgspec.MsgspecError as error:
        raise ERRORS.unreadable(error) from error


class OpenAIRealtime(Pooled[_Session]):
    """Opens sessions, from warm sockets where there are any."""

    def __init__(self, settings: RealtimeSettings) -> None:
        self.settings = settings
        self._endpoint = Endpoint.of(settings.base_url, ERRORS, settings.socket)
        self._client = AsyncOpenAI(
            api_key=settings.api_key,
            base_url=settings.base_url,
            websocket_base_url=websocket_url(settings.base_url),
            max_retries=0,
            http_client=DefaultAsyncHttpxClient(transport=SingleRequests(), follow_redirects=False),
        )
        super().__init__("openai-realtime", settings.pool, self._endpoint.sockets)

    @property
    def model(self) -> str:
        """The model that all sessions are with."""
        return self.settings.model

    async def ends_on(self) -> date | None:
        """When the model is to be shut down, if its server says so."""
        return await shutdown_date(self._client, self.settings.model)

    async def open(self) -> RealtimeLine:
        """A session of one's own. Raises ProviderError or PoolTimeout."""
        return RealtimeLine(await self.acquire(), self.settings.life_s)

    def connector(self, use: Use) -> _Connector:
        return _Connector(self.settings, self._endpoint, self._client)

    async def close_client(self) -> None:
        await self._client.close()


class RealtimeTTS:
    """Speaks phrases as they are, in a voice of the Realtime API: what is recorded sounds like the answers."""

    def __init__(self, realtime: OpenAIRealtime) -> None:
        self._realtime = realtime

    async def speak(
        self, reply_id: int, *, voice: str | None = None, language: str = "en"
    ) -> "RealtimePhrase":
        """Open a session for one utterance. Raises ProviderError or PoolTimeout."""
        line = await self._realtime.open()
        return RealtimePhrase(line, reply_id, voice, self._realtime.settings.phrase_timeout_s)


class RealtimePhrase:
    """One phrase. Its text is said when the last of it is there; word times are not known."""

    def __init__(self, line: RealtimeLine, reply_id: int, voice: str | None, timeout_s: float) -> None:
        self._line = line
        self._reply_id = reply_id
        self._timeout_s = timeout_s
        self._text = ""
        self._sounds: Inbox[SpeechAudio] = Inbox(
            10_000, lambda: ERRORS.error("said too much", retryable=False)
        )
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
            raise ERRORS.error(f"did not finish a phrase within {self._timeout_s:g} s") from None

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
            self._sounds.fail(ERRORS.error("sent a message that cannot be read"))
            return
        if event.error is not None:
            self._sounds.fail(refusal(event.error))
        elif event.type == "response.done" and event.response is not None:
            if event.response.status == "completed":
                self._sounds.end()
            else:
                self._sounds.fail(ERRORS.error(f"left a phrase {event.response.status}"))


def open_realtime(opening: Opening) -> OpenAIRealtime:
    """As the table of vendors has it opened."""
    settings = RealtimeSettings(opening.base_url, opening.key, opening.model)
    return OpenAIRealtime(replace(settings, pool=opening.sized(settings.pool)))
