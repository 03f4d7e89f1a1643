"""What one turn, and one call, may cost: counted at a model that gives every reason to be asked again."""

import asyncio
from collections.abc import AsyncGenerator
from itertools import cycle

import pytest
from tests.regional.session.actors import Stage
from tests.regional.session.virtual_time import run_all

from repartee.agent.agent import Agent
from repartee.agent.limits import Limits
from repartee.errors import ProviderError
from repartee.latency.hedging import HedgePolicy, HedgeSettings
from repartee.providers.hedged_llm import HedgedLLM
from repartee.providers.interfaces import CalledTool, Finished, ReplyPart, ReplyRequest, TextDelta
from repartee.telemetry import events as t
from repartee.turn.events import EagerEndOfTurn, EndOfTurn, StartOfTurn, TurnResumed
from repartee.turn.policy import TurnPolicy

EAGER_TO_HEDGE = HedgeSettings(
    first_deadline_ms=1, least_deadline_ms=1, needed=10**6, budget=10, first_credit=10**6, burst=10**6
)


class Wasteful:
    """Late to begin, refuses, breaks off, and then calls a tool: every reply anew."""

    def __init__(self) -> None:
        self.requests = 0
        self.moods = cycle(("refuses", "breaks", "calls"))

    async def reply(self, request: ReplyRequest) -> AsyncGenerator[ReplyPart, None]:
        self.requests += 1
        number, mood = self.requests, next(self.moods)
        await asyncio.sleep(0.02)
        if mood == "refuses":
            raise ProviderError(
                "messages: roles must alternate", provider="x", stage="llm", retryable=False, status=400
            )
        if mood == "breaks":
            raise ProviderError("It broke.", provider="x", stage="llm", retryable=True)
        if request.tool_choice != "none":
            yield CalledTool(f"call_{number}", "look_up", "{}")
        yield Finished("tool_calls")


def agent(limit: int) -> Agent:
    served = Agent("Be kind.", limits=Limits(tool_calls_per_turn=limit))

    @served.tool
    async def look_up() -> str:
        """Look something up."""
        return "nothing"

    return served


def stage_with(model: Wasteful, limit: int, policy: TurnPolicy) -> Stage:
    stage = Stage(agent(limit), resources={"policy": policy})
    stage.llm = HedgedLLM(model, policy=HedgePolicy(EAGER_TO_HEDGE))
    return stage


@pytest.mark.parametrize("limit", [1, 2, 8])
async def test_no_turn_makes_more_than_twice_its_limit_and_eight(limit: int) -> None:
    model = Wasteful()
    async with stage_with(
        model, limit, TurnPolicy(extra_requests_per_turn=100, speculations_per_turn=50)
    ) as stage:
        ears = await stage.ears.opened()
        ears.hears(StartOfTurn("I"))
        for number in range(30):
            ears.hears(EagerEndOfTurn(f"I {number}"), TurnResumed())
        ears.hears(EndOfTurn("I would like to know."))
        await stage.bell.until(lambda: stage.notes.turns or None)
        assert model.requests <= 2 * limit + 8


def test_the_budget_is_a_setting_and_each_kind_is_counted() -> None:
    spent: dict[int, list[str]] = {}

    async def play() -> None:
        for most in (0, 3, 8):
            model = Wasteful()
            async with stage_with(model, 8, TurnPolicy(extra_requests_per_turn=most)) as stage:
                ears = await stage.ears.opened()
                ears.hears(
                    StartOfTurn("I"), EagerEndOfTurn("I think"), TurnResumed(), EndOfTurn("I think so.")
                )
                await stage.bell.until(lambda: stage.notes.turns or None)
                spent[most] = [made.kind for made in stage.notes.all(t.ExtraRequestMade)]

    run_all(play())
    assert spent[0] == []
    assert len(spent[3]) == 3
    assert 3 < len(spent[8]) <= 8
    assert {"speculation", "hedge"} <= set(spent[8])


@pytest.mark.parametrize(
    ("kind", "status", "message"),
    [("mended", 400, "messages: roles must alternate"), ("retry", None, "It broke.")],
)
async def test_a_second_request_after_a_failure_is_counted(
    kind: str, status: int | None, message: str
) -> None:
    async with Stage() as stage:
        stage.client.sends(
            "conversation.item.create",
            item={
                "type": "message",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "Hello."}],
            },
        )
        await stage.turn("Hello?")
        first = await stage.brain.asked()
        first.stream.put(
            ProviderError(message, provider="x", stage="llm", retryable=status is None, status=status)
        )
        await stage.brain.asked(2)
        assert [made.kind for made in stage.notes.all(t.ExtraRequestMade)] == [kind]


async def test_a_call_that_has_guessed_wrong_too_often_waits_for_each_turns_end() -> None:
    async with Stage(resources={"speculation_tokens": 20}) as stage:
        ears = await stage.ears.opened()
        ears.hears(StartOfTurn("I"), EagerEndOfTurn("I would like to know"))
        await stage.brain.asked()
        ears.hears(
            TurnResumed(),
            EagerEndOfTurn("I would like to know when you open"),
            EndOfTurn("When do you open?"),
        )
        thought = await stage.brain.asked(2)
        assert thought.last_words == "When do you open?", "the second end was not taken for one"
        assert stage.notes.speculations == ["resumed"]
        [settled] = stage.notes.all(t.SpeculationSettled)
        assert settled.tokens > 20


async def test_within_its_budget_it_goes_on_guessing() -> None:
    async with Stage(resources={"speculation_tokens": 10_000}) as stage:
        ears = await stage.ears.opened()
        ears.hears(StartOfTurn("I"), EagerEndOfTurn("I would"))
        await stage.brain.asked()
        ears.hears(TurnResumed(), EagerEndOfTurn("I would like"))
        assert (await stage.brain.asked(2)).last_words == "I would like"


async def test_what_a_model_is_shown_is_a_setting() -> None:
    shown = {}
    for tokens in (500, 5_000):
        async with Stage(resources={"context_tokens": tokens}) as stage:
            for number in range(1, 8):
                await stage.turn(f"{number}. " + "I say it again. " * 20)
                thought = await stage.brain.asked(number)
                thought.says("Yes.")
                thought.ends()
                utterance = await stage.voice.opened(number)
                utterance.speaks(100)
                utterance.ends()
                await stage.client.hears("response.done")
            shown[tokens] = len(stage.brain.thoughts[-1].request.messages)
    assert shown[500] < shown[5_000] == 8, "the instructions and seven turns"


async def test_an_opener_that_is_recorded_costs_the_voice_nothing() -> None:
    async with Stage() as stage:
        recording = asyncio.create_task(stage.phrases.record(["Of course."], name=None, language="en"))
        once = await stage.voice.opened()
        once.speaks(200)
        once.ends()
        await recording
        await stage.turn("Can you help me?")
        thought = await stage.brain.asked()
        thought.says("Of course. ", "I am here. ")
        await stage.client.hears("response.output_audio.delta")
        utterance = await stage.voice.opened(2)
        await stage.bell.until(lambda: utterance.said)
        assert "".join(utterance.said).strip() == "I am here."
        thought.ends()
        utterance.speaks(300)
        utterance.ends()
        done = await stage.client.hears("response.done")
        [item] = done["response"]["output"]
        assert item["content"][0]["transcript"].strip() == "Of course. I am here."


async def test_an_answer_that_is_an_opener_alone_asks_for_no_voice() -> None:
    async with Stage() as stage:
        recording = asyncio.create_task(stage.phrases.record(["Sure!"], name=None, language="en"))
        once = await stage.voice.opened()
        once.speaks(200)
        once.ends()
        await recording
        await stage.turn("Can you help me?")
        thought = await stage.brain.asked()
        thought.stream.put(TextDelta("Sure!"))
        thought.ends()
        done = await stage.client.hears("response.done")
        assert done["response"]["status"] == "completed"
        assert all(not utterance.said for utterance in stage.voice.utterances[1:])
