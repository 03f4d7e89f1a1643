"""A relayed call on a stage: the client is the test, the provider its stand-in, over real sockets."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
from tests.promptness import DEADLINE_S
from tests.regional.app.running import until
from tests.regional.session.actors import Notes

from repartee.agent.agent import Agent, worker_side
from repartee.agent.context import CallContext
from repartee.agent.experience import Experience
from repartee.providers.openai_realtime import OpenAIRealtime, RealtimeSettings, RealtimeTTS
from repartee.session.call import Call, CallParts, CallSettings
from repartee.session.checkpointing import Checkpointing
from repartee.session.phrases import Phrases
from repartee.session.provider_line import LinePolicy
from repartee.session.relay import Relay, RelayResources
from repartee.standins.faults import Fault
from repartee.standins.server import Running, StandInSettings, serve
from repartee.standins.synthesiser import synthesise
from repartee.transport.interfaces import CallEnd
from repartee.transport.realtime import WebSocketTransport
from repartee.transport.websocket import AsgiSocket, WebSocketLink
from repartee.turn.earlier import Earlier
from repartee.turn.session_watch import WatchPolicy
from repartee.wire.own_events import OwnEvents

QUICK = LinePolicy(watch=WatchPolicy(away_s=1.0, tell_after_s=0.6), look_s=0.02, watch_s=0.02, quiet_s=0.3)


class Stage:
    """One relayed call."""

    def __init__(
        self,
        providers: Running,
        speech: OpenAIRealtime,
        agent: Agent,
        phrases: Phrases,
        line: LinePolicy = QUICK,
        earlier: Sequence[Earlier] = (),
        keep: Callable[[str], None] | None = None,
    ) -> None:
        self.providers, self.notes = providers, Notes()
        self.events: list[dict[str, Any]] = []
        self._read = 0
        self._came = asyncio.Event()
        self._sent: asyncio.Queue[Mapping[str, Any]] = asyncio.Queue()
        resources = RelayResources(speech, phrases, Experience(), self._learn, line=line)
        settings = CallSettings(
            "call",
            "here",
            agent="bank:agent",
            metadata={"account": "savings"},
            checkpointing=Checkpointing(keep, 32_000, earlier),
        )
        transport = WebSocketTransport(
            WebSocketLink(AsgiSocket(self._sent.get, self._receive)),
            call_id="call",
            own_events=OwnEvents("call", "here", resources.names),
        )
        parts = CallParts(settings, agent, resources, self.notes.events.append, transport)
        self.relay = Call(parts, lambda call: Relay(call, resources, transport))
        self.running = asyncio.create_task(self.relay.run())

    async def _learn(self, taught: object) -> None:
        pass

    async def _receive(self, message: dict[str, Any]) -> None:
        self.events.append(json.loads(message["text"]))
        self._came.set()

    def sends(self, type_: str, **fields: Any) -> None:
        self._sent.put_nowait({"type": "websocket.receive", "text": json.dumps({"type": type_, **fields})})

    def asks(self, text: str) -> None:
        """In writing, and wants an answer."""
        content = [{"type": "input_text", "text": text}]
        self.sends("conversation.item.create", item={"type": "message", "role": "user", "content": content})
        self.sends("response.create")

    async def speaks(self, ms: int = 500, pause_ms: int = 300) -> None:
        times = np.arange(24 * ms) / 24_000
        audio = (8_000 * np.sin(2 * np.pi * 180 * times)).astype("<i2").tobytes() + bytes(48 * pause_ms)
        for start in range(0, len(audio), 960):
            frame = base64.b64encode(audio[start : start + 960]).decode()
            self.sends("input_audio_buffer.append", audio=frame)
            await asyncio.sleep(0.02)

    async def says(self, text: str, *, quiet_ms: int) -> None:
        """In the stand-ins' voice."""
        audio = synthesise(text).pcm + bytes(48 * quiet_ms)
        for start in range(0, len(audio), 960):
            frame = base64.b64encode(audio[start : start + 960]).decode()
            self.sends("input_audio_buffer.append", audio=frame)
            await asyncio.sleep(0.02)

    async def hears(
        self, type_: str, where: Callable[[dict[str, Any]], bool] = lambda event: True
    ) -> dict[str, Any]:
        """The next event of this type, past those heard before."""
        try:
            async with asyncio.timeout(DEADLINE_S):
                while True:
                    for place in range(self._read, len(self.events)):
                        event = self.events[place]
                        if event["type"] == type_ and where(event):
                            self._read = place + 1
                            return event
                    self._came.clear()
                    await self._came.wait()
        except TimeoutError:
            raise AssertionError(f"no {type_} in {[e['type'] for e in self.events[self._read :]]}") from None

    async def hears_words(self) -> str:
        """What the next response that says anything says."""
        done = await self.hears(
            "response.done", lambda e: any(i["type"] == "message" for i in e["response"]["output"])
        )
        return said_in(done)

    async def hangs_up(self) -> CallEnd:
        self._sent.put_nowait({"type": "websocket.disconnect"})
        return await asyncio.wait_for(self.running, DEADLINE_S)

    @property
    def types(self) -> list[str]:
        return [event["type"] for event in self.events]

    def lose_sessions(self) -> None:
        for session in list(self.providers.state.realtime_sessions):
            session.expire()


def said_in(done: dict[str, Any]) -> str:
    return str(done["response"]["output"][0]["content"][0].get("transcript"))


@asynccontextmanager
async def on_stage(
    agent: Agent,
    *,
    profile: str = "instant",
    recorded: bool = False,
    silent: Fault | None = None,
    line: LinePolicy = QUICK,
    earlier: Sequence[Earlier] = (),
    keep: Callable[[str], None] | None = None,
    **config: Any,
) -> AsyncIterator[Stage]:
    """A call with this agent, and nothing left of it afterwards. ``silent`` strikes the call's first session."""
    before = asyncio.all_tasks()
    async with serve(StandInSettings(profile=profile, light=True)) as providers:
        speech = OpenAIRealtime(RealtimeSettings(f"{providers.base_url}/v1", "key", **config))
        if silent is not None and not recorded:
            providers.state.faults.put(silent)
        await speech.start()
        phrases = Phrases(RealtimeTTS(speech))
        if recorded:
            await phrases.record(
                (*worker_side(agent).phrases, *agent.notices.phrases("en")), name=None, language="en"
            )
            if silent is not None:
                await until(lambda: all(pool.idle and not pool.dialling for pool in speech.pools()))
                providers.state.faults.put(silent)
                for session in list(providers.state.realtime_sessions):
                    session.expire()
                await until(lambda: not any(pool.idle for pool in speech.pools()))
        speech.expect(1)  # as a worker says before the call begins: its dials are under the higher ceiling
        stage = Stage(providers, speech, agent, phrases, line, earlier, keep)
        try:
            yield stage
        finally:
            if not stage.running.done():
                await stage.hangs_up()
            await speech.aclose()
    async with asyncio.timeout(DEADLINE_S):
        while left := asyncio.all_tasks() - before - {asyncio.current_task()}:
            await asyncio.wait(left)


class Desk:
    """An agent with a tool that answers when it is told to."""

    def __init__(self, **options: Any) -> None:
        self.agent = Agent("You are a bank.", model="gpt-realtime", **options)
        self.release = asyncio.Event()
        self.calls = 0

        @self.agent.tool(filler="One moment, please.")
        async def get_balance(ctx: CallContext) -> dict[str, Any]:
            """See how much money is in the account."""
            self.calls += 1
            await self.release.wait()
            return {"balance": 1240, "account": ctx.metadata["account"]}
