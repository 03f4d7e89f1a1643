"""The others in a call, played by the test: a client, ears, a brain and a voice that do what they are told.

    async with Stage() as stage:
        await stage.client.says("Hello?")              # audio in, and the words for it
        thought = await stage.brain.asked()
        thought.says("Good day. ")
        utterance = await stage.voice.opened()
        utterance.speaks(200)
        await stage.client.hears("response.output_audio.delta")

Nothing here sleeps: whatever happens rings ``bell``, and waiting looks again at each ring, up to a deadline.
"""

import asyncio
import base64
import json
from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

from tests.clients.strict import faults_in
from tests.promptness import DEADLINE_S
from tests.regional.session.bell import Bell
from tests.regional.session.scripted_providers import (
    ScriptedBrain,
    ScriptedEars,
    ScriptedTranscriber,
    ScriptedVoice,
)

from repartee.agent.agent import Agent
from repartee.agent.experience import Experience, Transition
from repartee.agent.prefetch import PrefetchFigures
from repartee.audio.pcm import bytes_for_ms
from repartee.latency.timeline import TurnTrace
from repartee.providers.interfaces import (
    HEARING_HZ,
    LLM,
)
from repartee.session.call import Call, CallParts, CallSettings
from repartee.session.cascade import Cascade
from repartee.session.cascade_resources import CascadeResources
from repartee.session.hearing_policy import HearingPolicy
from repartee.session.phrases import Phrases
from repartee.telemetry import events as t
from repartee.transport.interfaces import CallEnd, Transport
from repartee.transport.realtime import OUTBOX_BYTES, WebSocketTransport
from repartee.transport.websocket import AsgiSocket, WebSocketLink
from repartee.turn.events import (
    EndOfTurn,
    PartialTranscript,
    StartOfTurn,
)
from repartee.wire.own_events import OwnEvents

_Kind = TypeVar("_Kind", bound=t.CallEvent)


class ScriptedClient:
    """The other end of the socket, in ASGI's terms."""

    def __init__(self, bell: Bell) -> None:
        self._bell = bell
        self._outgoing: asyncio.Queue[Mapping[str, Any]] = asyncio.Queue()
        self._reads = asyncio.Event()
        self._reads.set()
        self._read = 0
        self.events: list[dict[str, Any]] = []
        self.audio = bytearray()
        self.gone = False

    # --- the call's side -----------------------------------------------------------------------------------------

    async def receive(self) -> Mapping[str, Any]:
        return await self._outgoing.get()

    async def deliver(self, message: dict[str, Any]) -> None:
        await self._reads.wait()
        if self.gone:
            raise ConnectionResetError("gone")
        if "bytes" in message:
            self.audio += message["bytes"]
        else:
            self.events.append(json.loads(message["text"]))
            assert faults_in(self.events[-1]) == []
        self._bell.ring()

    # --- the test's side -----------------------------------------------------------------------------------------

    def sends(self, type_: str, /, **fields: Any) -> None:
        self.sends_text(json.dumps({"type": type_, **fields}))

    def sends_text(self, text: str) -> None:
        self._outgoing.put_nowait({"type": "websocket.receive", "text": text})

    def sends_bytes(self, data: bytes) -> None:
        self._outgoing.put_nowait({"type": "websocket.receive", "bytes": data})

    def sends_audio(self, audio: bytes) -> None:
        self.sends("input_audio_buffer.append", audio=base64.b64encode(audio).decode())

    def hangs_up(self) -> None:
        self._outgoing.put_nowait({"type": "websocket.disconnect", "code": 1000})

    def stops_reading(self) -> None:
        self._reads.clear()

    def vanishes(self) -> None:
        self.gone = True
        self._reads.set()

    @property
    def types(self) -> list[str]:
        return [event["type"] for event in self.events]

    async def hears(self, type_: str) -> dict[str, Any]:
        """The next event of this type, past those heard before."""

        def seen() -> dict[str, Any] | None:
            for place in range(self._read, len(self.events)):
                if self.events[place]["type"] == type_:
                    self._read = place + 1
                    return self.events[place]
            return None

        try:
            return await self._bell.until(seen)
        except AssertionError:
            raise AssertionError(f"no {type_} after {self.types[: self._read]} in {self.types}") from None


@dataclass
class Notes:
    """Keeps a call's events."""

    events: list[t.CallEvent] = field(default_factory=list)

    def all(self, kind: type[_Kind]) -> list[_Kind]:
        """The events of this kind, in order."""
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def turns(self) -> list[tuple[int, str, TurnTrace | None]]:
        return [(turn.turn_id, turn.outcome, turn.trace) for turn in self.all(t.TurnOver)]

    @property
    def speculations(self) -> list[str]:
        return [settled.outcome for settled in self.all(t.SpeculationSettled)]

    @property
    def failures(self) -> list[tuple[str, str]]:
        return [(failed.stage, failed.message) for failed in self.all(t.ProviderFailed)]

    @property
    def prefetched(self) -> PrefetchFigures | None:
        return next((ended.prefetched for ended in self.all(t.CallEnded)), None)


class LooseTasks:
    """Starts tasks that nobody looks after but the test."""

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return asyncio.create_task(work)

    start_awaited = start

    def drop(self, task: asyncio.Task[None]) -> None:
        task.cancel()


class Stage:
    """A call, and everybody in it. Leaving the block hangs up and waits for the call's end."""

    def __init__(
        self,
        agent: Agent | None = None,
        hearing: HearingPolicy | None = None,
        *,
        binary: bool = False,
        outbox_bytes: int = OUTBOX_BYTES,
        resources: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        self.bell = Bell()
        self.client = ScriptedClient(self.bell)
        self.ears = ScriptedEars(self.bell)
        self.brain = ScriptedBrain(self.bell)
        self.llm: LLM = self.brain
        self.voice = ScriptedVoice(self.bell)
        self.notes = Notes()
        self.learned: list[Transition] = []
        self._agent = agent or Agent(instructions="Be kind.")
        self._hearing = hearing or HearingPolicy()
        self.phrases = Phrases(self.voice)
        self._settings = CallSettings("call", "here", agent="bank:agent", **settings)
        self._resources = resources or {}
        self._binary, self._outbox_bytes = binary, outbox_bytes
        self._others: set[asyncio.Task[Any]] = set()
        self._running: asyncio.Task[CallEnd]

    async def __aenter__(self) -> Self:
        self._others = asyncio.all_tasks()
        resources = CascadeResources(
            self.ears,
            self.llm,
            self.voice,
            names={"stt": "s", "llm": "l", "tts": "t"},
            phrases=self.phrases,
            experience=Experience(),
            learn=self._learn,
            hearing=self._hearing,
            **self._resources,
        )
        transport = self.connect(resources.names)
        parts = CallParts(self._settings, self._agent, resources, self.notes.events.append, transport)
        self.call = Call(parts, lambda call: Cascade(call, resources))
        self._running = asyncio.create_task(self.call.run())
        self._running.add_done_callback(lambda _: self.bell.ring())
        await self.begun()
        return self

    def connect(self, names: Mapping[str, str]) -> Transport:
        """The client's connection: OpenAI's protocol over a WebSocket."""
        return WebSocketTransport(
            WebSocketLink(AsgiSocket(self.client.receive, self.client.deliver)),
            call_id="call",
            own_events=OwnEvents("call", "here", names),
            binary=self._binary,
            outbox_bytes=self._outbox_bytes,
        )

    async def begun(self) -> None:
        """The client knows of its session."""
        await self.client.hears("session.created")

    def hang_up(self) -> None:
        """The client does."""
        self.client.hangs_up()

    async def __aexit__(self, *exc: object) -> None:
        self.hang_up()
        await self.ended()
        assert self.left_behind() == set()

    async def ended(self) -> CallEnd:
        """How the call ended, once it has."""
        async with asyncio.timeout(DEADLINE_S):
            return await asyncio.shield(self._running)

    async def is_cancelled(self) -> None:
        """The server cancels the call from outside."""
        self._running.cancel()
        await asyncio.wait([self._running], timeout=DEADLINE_S)
        assert self._running.cancelled()

    async def _learn(self, transitions: Iterable[Transition]) -> None:
        self.learned += transitions

    def left_behind(self) -> set[asyncio.Task[Any]]:
        """Tasks of the call that still run."""
        return asyncio.all_tasks() - self._others - {self._running}

    async def turn(self, text: str, transcriber: int = 1) -> None:
        """The caller says this, and is heard to have finished."""
        ears = await self.ears.opened(transcriber)
        self.client.sends_audio(caller_audio(100))
        ears.hears(StartOfTurn(), PartialTranscript(text), EndOfTurn(text))


def caller_audio(ms: float, hz: int = 24_000) -> bytes:
    """So much of the caller's voice, on the wire."""
    return b"\x00\x10" * (bytes_for_ms(ms, hz) // 2)


def heard_ms(transcriber: ScriptedTranscriber) -> float:
    """How much audio has reached the ears."""
    return len(transcriber.fed) * 1000 / (2 * HEARING_HZ)
