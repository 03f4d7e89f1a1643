"""A relayed call whose client is a telephone line with marks: G.711, no settings of its own, no protocol."""

import asyncio
from typing import Any

from tests.promptness import DEADLINE_S
from tests.regional.app.running import until
from tests.regional.session.actors import Notes
from tests.regional.session.bell import Bell
from tests.regional.transport.line import TELEPHONE, FakeLine

from repartee.agent.agent import Agent
from repartee.agent.experience import Experience
from repartee.audio.pcm import bytes_for_ms
from repartee.providers.openai_realtime import OpenAIRealtime, RealtimeSettings, RealtimeTTS
from repartee.session.call import Call, CallParts, CallSettings
from repartee.session.phrases import Phrases
from repartee.session.relay import Relay, RelayResources
from repartee.standins.server import StandInSettings, serve
from repartee.standins.synthesiser import synthesise
from repartee.turn import commands as c
from repartee.wire.audio_format import AudioEncoder


async def learn(taught: object) -> None:
    pass


async def speak(line: FakeLine, text: str, quiet_ms: float) -> None:
    """In the stand-ins' voice, as the telephone has it."""
    encoder = AudioEncoder(TELEPHONE, 24_000)
    audio = encoder.feed(synthesise(text).pcm + bytes(bytes_for_ms(quiet_ms, 24_000))) + encoder.flush()
    for start in range(0, len(audio), 160):
        line.call.take_audio(audio[start : start + 160])
        await asyncio.sleep(0.02)


async def test_the_line_decides_the_formats_and_what_was_heard_is_what_it_says() -> None:
    agent = Agent("Be kind.", model="gpt-realtime")
    async with serve(StandInSettings(profile="budget", light=True)) as providers:
        speech = OpenAIRealtime(RealtimeSettings(f"{providers.base_url}/v1", "key"))
        await speech.start()
        line = FakeLine(Bell())
        phrases = Phrases(RealtimeTTS(speech))
        resources = RelayResources(speech, phrases, Experience(), learn)
        parts = CallParts(CallSettings("call", "here"), agent, resources, Notes().events.append, line)
        running = asyncio.create_task(Call(parts, lambda call: Relay(call, resources, line)).run())
        try:
            await until(lambda: bool(line.sessions))
            await speak(line, "Where are you?", quiet_ms=800)
            await until(lambda: any(len(audio) >= 8_000 for audio in line.audio.values()))
            sessions: set[Any] = providers.state.realtime_sessions
            [session] = [one for one in sessions if one.settings["instructions"]]
            formats = [session.settings["audio"][way]["format"]["type"] for way in ("input", "output")]
            assert formats == ["audio/pcmu", "audio/pcmu"], "nothing is converted"
            [started] = [told for told in line.told if isinstance(told, c.AnswerStarted)]
            line.call.take_played(started.message.item_id, 400.0)
            speaking = asyncio.create_task(speak(line, "Hello, wait a moment please.", quiet_ms=600))
            await until(lambda: started.reply_id in line.cleared)
            heard = session._spoken[started.message.item_id].message
            await until(lambda: heard is not None and heard.audio_ms == 400.0)
            await speaking
        finally:
            line.call.client_gone()
            await asyncio.wait_for(running, DEADLINE_S)
            await speech.aclose()
