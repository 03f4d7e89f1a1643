"""Providers for a call that is played again and again: they answer by themselves, and each holds a pooled connection.

A cascade's three, and a speech-to-speech provider: the stand-in's own session, joined to the worker's line in memory.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any, cast

from tests.regional.pool.scripted_provider import Connection, ScriptedProvider
from tests.regional.session.scripted_providers import failure

from repartee.audio.pcm import bytes_for_ms
from repartee.pool.lease import Lease
from repartee.pool.pool import Pool
from repartee.pool.settings import PoolSettings
from repartee.providers.interfaces import (
    SPEECH_HZ,
    CalledTool,
    Finished,
    Hearing,
    ReplyPart,
    ReplyRequest,
    TextDelta,
)
from repartee.providers.openai_realtime import RealtimeLine
from repartee.standins.link import Link
from repartee.standins.openai_realtime import RealtimeSession
from repartee.standins.profiles import load_profile
from repartee.standins.script import Line
from repartee.standins.server import light_engines
from repartee.standins.state import StandInState
from repartee.turn.events import SpeechAudio, SpeechWords, SpokenWord
from repartee.turn.usage import TokenUsage

POOL = PoolSettings(spare=2, single_use=True, keepalive_s=None)
WORD_MS = 200
MODEL = "gpt-realtime-1.5"
ONE_WAY_S = 0.01
LIFE_S = 302.0
"""A session is followed by another in a quiet moment 300 s before its end."""


class SweptEars:
    """Hears what :meth:`hears` is given, on the connection that is open then."""

    def __init__(self) -> None:
        self.pool: Pool[Connection] = Pool("ears", ScriptedProvider(), POOL)
        self._latest: SweptTranscriber | None = None
        self._unheard: list[Hearing] = []
        self.away = False

    async def listen(self, *, language: str = "en", keyterms: Sequence[str] = ()) -> "SweptTranscriber":
        if self.away:
            await asyncio.sleep(0.01)
            raise failure("stt")
        self._latest = transcriber = SweptTranscriber(await self.pool.acquire())
        unheard, self._unheard = self._unheard, []
        self.hears(*unheard)
        return transcriber

    def hears(self, *events: Hearing) -> None:
        """What is said while nobody listens, the next one hears: the audio is kept."""
        if self._latest is None or self._latest.closed:
            self._unheard += events
            return
        for event in events:
            self._latest.pieces.put_nowait(event)

    def are_lost(self) -> None:
        if self._latest is not None:
            self._latest.pieces.put_nowait(failure("stt"))


class SweptTranscriber:
    has_room = True
    owing_since: float | None = None

    def __init__(self, lease: Lease[Connection]) -> None:
        self._lease = lease
        self.closed = False
        self.pieces: asyncio.Queue[Hearing | Exception | None] = asyncio.Queue()

    def feed(self, pcm: bytes) -> None:
        pass

    def finish_turn(self) -> None:
        pass

    async def events(self) -> AsyncGenerator[Hearing, None]:
        while (piece := await self.pieces.get()) is not None:
            if isinstance(piece, Exception):
                raise piece
            yield piece

    async def aclose(self) -> None:
        self.closed = True
        self._lease.release()
        self.pieces.put_nowait(None)
        await asyncio.sleep(0)


class SweptBrain:
    """Calls the tool that the caller's words name, else answers; its first request of all fails."""

    def __init__(self) -> None:
        self.requests = 0

    async def reply(self, request: ReplyRequest) -> AsyncGenerator[ReplyPart, None]:
        self.requests += 1
        number = self.requests
        await asyncio.sleep(0.1)
        if number == 1:
            raise failure("llm")
        last = request.messages[-1]
        named = [tool["function"]["name"] for tool in request.tools]
        wanted = next((name for name in named if name.rpartition("_")[2] in str(last["content"])), None)
        if last["role"] == "user" and wanted is not None and request.tool_choice != "none":
            for call in ("once", "twice"):
                yield CalledTool(f"call_{number}_{call}", wanted, "{}")
            yield Finished("tool_calls")
            return
        for text in ("Here you are. ", "I say it slowly, ", "as there is time. ", "Is that all?"):
            yield TextDelta(text)
            await asyncio.sleep(0.01)
        yield Finished("stop", usage_follows=True)
        await asyncio.sleep(0.01)
        yield TokenUsage()


class SweptVoice:
    """Speaks a word every 200 ms of audio. Its third utterance is lost after two words."""

    def __init__(self) -> None:
        self.pool: Pool[Connection] = Pool("voice", ScriptedProvider(), POOL)
        self.utterances = 0
        self.away = False

    async def speak(
        self, reply_id: int, *, voice: str | None = None, language: str = "en"
    ) -> "SweptUtterance":
        await asyncio.sleep(0.01)
        if self.away:
            raise failure("tts")
        self.utterances += 1
        lost_after = 2 if self.utterances == 3 else None
        return SweptUtterance(reply_id, await self.pool.acquire(), lost_after)


class SweptUtterance:
    def __init__(self, reply_id: int, lease: Lease[Connection], lost_after: int | None) -> None:
        self._reply_id, self._lease, self._lost_after = reply_id, lease, lost_after
        self._texts: asyncio.Queue[str | None] = asyncio.Queue()
        self._words = 0

    def say(self, text: str, *, last: bool = False) -> None:
        self._texts.put_nowait(text)
        if last:
            self._texts.put_nowait(None)

    async def sounds(self) -> AsyncGenerator[SpeechAudio | SpeechWords, None]:
        while (text := await self._texts.get()) is not None:
            for word in text.split():
                await asyncio.sleep(0.02)
                if self._words == self._lost_after:
                    raise failure("tts")
                began = self._words * WORD_MS
                self._words += 1
                yield SpeechAudio(self._reply_id, b"\x00\x20" * (bytes_for_ms(WORD_MS, SPEECH_HZ) // 2))
                yield SpeechWords(self._reply_id, (SpokenWord(word, began, began + WORD_MS),))

    async def cancel(self) -> None:
        self._lease.release()
        await asyncio.sleep(0)


# --- speech to speech --------------------------------------------------------------------------------------------


class SweptSocket:
    """The worker's end of a session in memory, as a provider's socket."""

    has_room = True
    goodbye: tuple[int | None, str] = (1001, "")

    def __init__(self, state: StandInState) -> None:
        self._loop = asyncio.get_running_loop()
        self._take: Callable[[bytes], None] | None = None
        self._early: list[bytes] = []
        self._there: deque[str] = deque()
        self._back: deque[bytes] = deque()
        self._lost: list[Callable[[], None]] = []
        self.is_open = True
        self._far = FarLink(self._arrives, self._ends)
        session = RealtimeSession(cast(Link, self._far), state, MODEL)
        self.serving = asyncio.create_task(session.run())

    def listen(self, take: Callable[[bytes], None]) -> None:
        self._take = take
        early, self._early = self._early, []
        for message in early:
            take(message)

    def on_close(self, call: Callable[[], None]) -> None:
        self._lost.append(call)

    def push(self, text: str) -> bool:
        if self.is_open:  # timers of one moment come in any order
            self._there.append(text)
            self._loop.call_later(ONE_WAY_S, lambda: self._far.takes(self._there.popleft()))
        return self.is_open

    def close(self) -> None:
        self.is_open = False
        self._far.gone.set()

    def _arrives(self, text: str) -> None:
        self._back.append(text.encode())
        self._loop.call_later(ONE_WAY_S, self._hand_on)

    def _hand_on(self) -> None:
        message = self._back.popleft()
        if self._take is None:
            self._early.append(message)
        elif self.is_open:
            self._take(message)

    def _ends(self) -> None:
        self._loop.call_later(ONE_WAY_S, self._lose)

    def _lose(self) -> None:
        if self.is_open:
            self.close()
            for call in self._lost:
                call()


class FarLink:
    """The stand-in's end. Stands for its ``Link``."""

    fault = None

    def __init__(self, send: Callable[[str], None], end: Callable[[], None]) -> None:
        self._send, self._end = send, end
        self._on_message: Callable[[str], None] = lambda message: None
        self._told = 0
        self._closing = False
        self.gone = asyncio.Event()
        self.error_message: object = None

    async def accept(self, on_message: Callable[[str], None], headers: object) -> None:
        self._on_message = on_message

    async def closed(self) -> None:
        await self.gone.wait()

    def takes(self, text: str) -> None:
        if not (self._closing or self.gone.is_set()):
            self._on_message(text)

    def send(self, text: str) -> None:
        self._told += 1
        if self._told > 1 and not self._closing:  # the pool has read the greeting
            self._send(text)

    def close(self, code: int, reason: str = "") -> None:
        self._closing = True
        self._end()


class SweptSession(Connection):
    """A pooled session."""

    def __init__(self, number: int, state: StandInState) -> None:
        super().__init__(number)
        self.socket = SweptSocket(state)
        self.opened_at = asyncio.get_running_loop().time()
        self.socket.on_close(self.lose)


class SweptDialler(ScriptedProvider):
    def __init__(self, state: StandInState) -> None:
        super().__init__()
        self._state = state
        self.away = False

    async def dial(self, *, urgent: bool) -> Connection:
        await asyncio.sleep(0.01)
        if self.away:
            raise failure("model")
        self.dialled.append(SweptSession(len(self.dialled), self._state))
        return self.dialled[-1]

    def close(self, connection: Connection) -> None:
        super().close(connection)
        cast(SweptSession, connection).socket.close()


class SweptSpeech:
    """Stands for ``OpenAIRealtime``: its lines are the product's, its far end the stand-in's."""

    model = MODEL

    def __init__(self) -> None:
        self.state = StandInState(
            load_profile("budget"), light_engines((Line("Where are you?", "In Mill Street."),))
        )
        self.dialler = SweptDialler(self.state)
        self.pool: Pool[Any] = Pool("sessions", self.dialler, POOL)

    async def open(self) -> RealtimeLine:
        await asyncio.sleep(0)
        return RealtimeLine(await self.pool.acquire(), LIFE_S)

    def lose_sessions(self) -> None:
        for session in list(self.state.realtime_sessions):
            session.expire()
