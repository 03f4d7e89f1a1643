"""What a call says of itself: the same events, from both kinds of call."""

import asyncio
from collections.abc import Sequence
from typing import Any

from tests.promptness import DEADLINE_S
from tests.regional.app.running import until
from tests.regional.session.actors import Notes, Stage
from tests.regional.session.relay_stage import on_stage

from repartee.agent.agent import Agent
from repartee.standins.faults import Fault
from repartee.telemetry import events as t
from repartee.transport.interfaces import CallEnd
from repartee.turn.events import PartialTranscript, StartOfTurn

ALL_SIX = [t.CallBegan, t.ToolRan, t.Interrupted, t.TurnOver, t.ProviderFailed, t.CallEnded]


def bank(**options: Any) -> Agent:
    agent = Agent("You are a bank.", **options)

    @agent.tool
    async def get_balance() -> int:
        """See how much money is in the account."""
        return 1_240

    return agent


def kinds(notes: Notes) -> list[type[t.CallEvent]]:
    """The kinds of events, in the order of their first; but for what was used, which only a cascade tells."""
    return [kind for kind in dict.fromkeys(map(type, notes.events)) if kind is not t.VendorUsed]


def check_shared(events: Sequence[t.CallEvent]) -> None:
    """What all events of a call have in common."""
    assert {(event.call_id, event.region, event.agent) for event in events} == {
        ("call", "here", "bank:agent")
    }
    times = [event.at_s for event in events]
    assert times == sorted(times)
    assert times[0] > 1_700_000_000
    assert isinstance(events[0], t.CallBegan)
    assert isinstance(events[-1], t.CallEnded)


async def test_a_cascade_emits_all_six_in_order() -> None:
    async with Stage(bank()) as stage:
        await stage.turn("What is my balance?")
        thought = await stage.brain.asked()
        thought.calls("c1", "get_balance")
        thought.ends("tool_calls")
        thought = await stage.brain.asked(2)
        thought.says("It is 1,240. ")
        thought.ends()
        utterance = await stage.voice.opened()
        utterance.speaks(60_000)
        await stage.client.hears("response.output_audio.delta")
        ears = await stage.ears.opened()
        ears.hears(StartOfTurn(), PartialTranscript("Stop it please"))
        await stage.bell.until(lambda: stage.notes.turns)
        await stage.turn("Tell me a story.")
        (await stage.brain.asked(3)).fails(retryable=False)
        await stage.bell.until(lambda: stage.notes.failures)
        stage.client.hangs_up()
        assert await stage.ended() is CallEnd.CLIENT_GONE
    notes = stage.notes
    assert kinds(notes) == ALL_SIX
    check_shared(notes.events)
    [began] = notes.all(t.CallBegan)
    assert began.providers == {"stt": "s", "llm": "l", "tts": "t"}
    [ran] = notes.all(t.ToolRan)
    assert (ran.turn_id, ran.tool, ran.ok, ran.prefetch) == (1, "get_balance", True, None)
    [cut] = notes.all(t.Interrupted)
    assert cut.turn_id == 1
    assert 0 <= cut.heard_ms < 60_000
    assert [turn.outcome for turn in notes.all(t.TurnOver)] == ["interrupted", "unanswered"]
    [failed] = notes.all(t.ProviderFailed)
    assert (failed.stage, failed.provider) == ("llm", "l")
    [ended] = notes.all(t.CallEnded)
    assert ended.outcome == "ended"
    assert ended.length_s > 0


async def test_speech_to_speech_emits_all_six_in_order() -> None:
    async with on_stage(bank(model="gpt-realtime"), profile="budget") as stage:
        notes = stage.notes
        stage.asks("What is the balance of my account?")
        await until(lambda: notes.all(t.ToolRan))
        assert "1" in await stage.hears_words()
        for _ in range(2):  # the second time over the answer to the first
            await stage.speaks(pause_ms=900)
            await stage.hears("response.output_audio.delta")
        await until(lambda: notes.all(t.TurnOver))
        for _ in range(20):
            stage.providers.state.faults.put(Fault("server_error", "openai-realtime", count=20))
        for _ in range(3):
            stage.lose_sessions()
        assert await asyncio.wait_for(stage.running, DEADLINE_S) is CallEnd.PROVIDERS_GONE
    assert kinds(notes) == ALL_SIX
    check_shared(notes.events)
    assert list(notes.all(t.CallBegan)[0].providers) == ["model"]
    ran = notes.all(t.ToolRan)[0]
    assert (ran.tool, ran.ok) == ("get_balance", True)
    cut = next(cut for cut in notes.all(t.Interrupted) if cut.turn_id == 1)
    assert cut.heard_ms > 0
    assert notes.all(t.TurnOver)[0].outcome == "interrupted"
    assert {failed.stage for failed in notes.all(t.ProviderFailed)} == {"model"}
    assert notes.all(t.CallEnded)[0].outcome == "providers_gone"
