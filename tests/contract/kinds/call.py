"""A call of either kind with an agent that the test has written: over real sockets, with OpenAI's client.

    async with on(kind, agent) as call:
        await call.asks("What is the balance of my account?")
        assert await call.hears_said("1240")

The worker, the stand-ins and the client are in this process, so that a test can hold an agent's function back.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from openai import AsyncOpenAI
from tests.contract.caller import Caller, calling
from tests.regional.app.running import Region, region, until

from repartee.agent.agent import Agent
from repartee.providers.interfaces import LLM, STT, TTS, ReplyRequest
from repartee.standins.server import Running, StandInSettings, serve

CASCADE = "cascade"
SPEECH_TO_SPEECH = "speech to speech"
KINDS = (CASCADE, SPEECH_TO_SPEECH)

BALANCE = "What is the balance of my account?"
"""The stand-ins' model calls ``get_balance`` for this, where there is such a tool."""

HOURS = "What are your opening hours?"
"""Answered without a tool."""


def agent_for(kind: str, instructions: str = "You are a bank.", **options: Any) -> Agent:
    """The same agent for either kind: its model is all that differs."""
    return Agent(instructions, model="gpt-realtime" if kind == SPEECH_TO_SPEECH else None, **options)


@dataclass
class Wire:
    """What the providers of a cascade are asked for."""

    requests: list[ReplyRequest] = field(default_factory=list)
    languages: list[str] = field(default_factory=list)
    keyterms: list[Sequence[str]] = field(default_factory=list)
    voices: list[tuple[str | None, str]] = field(default_factory=list)


@dataclass
class BothKinds:
    """One call. ``wire`` is what a cascade's providers were asked for, ``provider`` the stand-ins' own state."""

    kind: str
    caller: Caller
    worker: Region
    provider: Running
    wire: Wire

    # --- the caller ----------------------------------------------------------------------------------------------

    async def writes(self, text: str) -> None:
        item: Any = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
        await self.caller.connection.conversation.item.create(item=item)

    async def asks(self, text: str = BALANCE) -> None:
        """In writing, and wants an answer."""
        await self.writes(text)
        await self.caller.connection.response.create()

    async def speaks(self) -> None:
        """What the script says."""
        await self.caller.says_something()

    async def updates(self, **settings: Any) -> None:
        """Other settings, which have been taken."""
        session: Any = {"type": "realtime", **settings}
        taken = self.caller.types.count("session.updated")
        await self.caller.connection.session.update(session=session)
        await until(lambda: self.caller.types.count("session.updated") > taken)

    # --- what the caller gets ------------------------------------------------------------------------------------

    @property
    def said(self) -> list[str]:
        """What each response that is over has said, in order."""
        return [
            text for event in self.caller.events if event.type == "response.done" for text in said_in(event)
        ]

    async def hears_said(self, text: str) -> str:
        """Until a response that is over has said this, or something that this is part of."""
        try:
            await until(lambda: any(text in said for said in self.said))
        except TimeoutError:
            raise AssertionError(f"{text!r} is not in {self.said}") from None
        return next(said for said in self.said if text in said)

    async def is_idle(self) -> None:
        """Every response that was begun is over, and stays so while the agent's code has had its turn."""
        types = self.caller.types
        await until(
            lambda: self.caller.types.count("response.created") == self.caller.types.count("response.done")
        )
        await asyncio.sleep(0.05)
        if len(self.caller.types) != len(types):
            await self.is_idle()

    @property
    def outputs(self) -> list[Any]:
        """What the agent's tools have answered."""
        answered = (e for e in self.caller.events if e.type == "repartee.tool.answered")
        return [json.loads(str(event.output)) for event in answered]

    async def gives(self, number: int = 1) -> Any:
        """The answer of a tool, of that number."""
        await until(lambda: len(self.outputs) >= number)
        return self.outputs[number - 1]

    @property
    def errors(self) -> list[Any]:
        return [event.error for event in self.caller.events if event.type == "error"]

    @property
    def worker_call_id(self) -> str:
        """The call's id, as logs have it."""
        return str(self.caller.events[0].session.id).removeprefix("sess_")

    # --- what the far end gets -----------------------------------------------------------------------------------

    @property
    def sessions(self) -> list[dict[str, Any]]:
        """The settings of the provider's sessions that serve a call, the latest last."""
        sessions: set[Any] = self.provider.state.realtime_sessions
        return [each.settings for each in sessions if each.settings["instructions"]]

    @property
    def instructions(self) -> str:
        """What the model was told of its part, at last."""
        if self.kind == CASCADE:
            return str(self.wire.requests[-1].messages[0]["content"])
        return str(self.sessions[-1]["instructions"])

    @property
    def tools_offered(self) -> set[str]:
        """The tools that the model was offered at last."""
        if self.kind == CASCADE:
            return {tool["function"]["name"] for tool in self.wire.requests[-1].tools}
        return {tool["name"] for tool in self.sessions[-1]["tools"]}

    @property
    def recognises(self) -> str:
        """The language that recognition was asked for at last."""
        if self.kind == CASCADE:
            return self.wire.languages[-1]
        return str(self.sessions[-1]["audio"]["input"]["transcription"]["language"])

    def lose_sessions(self) -> None:
        """Every session with a speech-to-speech model ends, as after 60 minutes."""
        for session in list(self.provider.state.realtime_sessions):
            session.expire()


def said_in(done: Any) -> list[str]:
    """The words of a response's messages."""
    parts = (item.content[0] for item in done.response.output if item.type == "message" and item.content)
    return [part.transcript or part.text or "" for part in parts]


def spied(worker: Region) -> Wire:
    """Note what a cascade's providers are asked for, and have them do it."""
    wire = Wire()
    resources = worker.worker.services.resources
    if resources is None:  # all its calls are with a speech-to-speech model
        return wire
    ears: STT = resources.stt
    brain: LLM = resources.llm
    voice: TTS = resources.tts
    listen, reply, speak = ears.listen, brain.reply, voice.speak

    def listens(*, language: str = "en", keyterms: Sequence[str] = ()) -> Any:
        wire.languages.append(language)
        wire.keyterms.append(keyterms)
        return listen(language=language, keyterms=keyterms)

    def replies(request: ReplyRequest) -> Any:
        wire.requests.append(request)
        return reply(request)

    def speaks(reply_id: int, *, voice: str | None = None, language: str = "en") -> Any:
        wire.voices.append((voice, language))
        return speak(reply_id, voice=voice, language=language)

    for one, name, noted in ((ears, "listen", listens), (brain, "reply", replies), (voice, "speak", speaks)):
        setattr(one, name, noted)
    return wire


@asynccontextmanager
async def on(
    kind: str,
    agent: Agent,
    *,
    profile: str = "instant",
    hears: str = BALANCE,
    asks: bool = True,
    session: dict[str, Any] | None = None,
    **settings: str,
) -> AsyncIterator[BothKinds]:
    """A call with this agent. ``hears`` is what recognition makes of whatever the caller speaks; ``asks``: the client
    asks for the events that are not OpenAI's."""
    with TemporaryDirectory() as folder:
        script = Path(folder) / "script.json"
        script.write_text(json.dumps({"utterances": [{"say": hears, "reply": "It is fine."}]}))
        async with serve(StandInSettings(profile=profile, light=True, script=script)) as provider:
            # The ears are scripted; the model is the stand-ins' own, which calls tools.
            provider.state.engines = replace(provider.state.engines, lines=())
            async with (
                region({**provider.environment(), **settings}, agent=agent) as worker,
                AsyncOpenAI(api_key="dev", websocket_base_url=f"ws://127.0.0.1:{worker.port}/v1") as client,
            ):
                wire = spied(worker) if kind == CASCADE else Wire()
                async with calling(client, asks=asks, **(session or {})) as caller:
                    yield BothKinds(kind, caller, worker, provider, wire)
                await worker.until_idle()
