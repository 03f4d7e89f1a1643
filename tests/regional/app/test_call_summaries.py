"""What a call was about, asked of a model that answers, fails, or says nothing."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from repartee.app.call_summaries import MOST_CHARS, MadeSummary, summed_up
from repartee.errors import PoolTimeout, ProviderError
from repartee.providers.interfaces import Finished, ReplyPart, ReplyRequest, TextDelta
from repartee.turn.usage import TokenUsage

SAID = [{"who": "caller", "text": "Do you have rye?"}, {"who": "agent", "text": "Twelve loaves."}]


class Model:
    """Answers as the test says."""

    def __init__(self, *parts: ReplyPart | Exception, hangs: bool = False) -> None:
        self.parts, self.hangs = parts, hangs
        self.asked: list[ReplyRequest] = []

    async def reply(self, request: ReplyRequest) -> AsyncGenerator[ReplyPart, None]:
        self.asked.append(request)
        for part in self.parts:
            if isinstance(part, Exception):
                raise part
            yield part
        if self.hangs:
            await asyncio.Event().wait()


async def test_the_model_is_given_what_was_said_and_no_tools() -> None:
    used = TokenUsage(90, 12)
    model = Model(TextDelta("They asked "), TextDelta("for rye. "), Finished("stop"), used)
    assert await summed_up(model, SAID) == MadeSummary("They asked for rye.", used=used)
    [asked] = model.asked
    assert asked.messages[1]["content"] == "Caller: Do you have rye?\nAgent: Twelve loaves."
    assert (asked.tools, asked.tool_choice) == ((), "none")


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (Model(hangs=True), "the model did not answer within 0.05 s"),
        (Model(TextDelta("They"), hangs=True), "the model did not answer within 0.05 s"),
        (Model(PoolTimeout("Full.")), "the model failed: Full."),
        (
            Model(TextDelta("x"), ProviderError("Gone.", provider="p", stage="llm", retryable=True)),
            "the model failed: Gone.",
        ),
        (Model(TextDelta(" "), Finished("stop")), "the model wrote nothing"),
    ],
)
async def test_without_an_answer_there_are_words_for_why(model: Model, why: str) -> None:
    made = await summed_up(model, SAID, timeout_s=0.05)
    assert (made.text, made.why_none) == (None, why)
    assert made.estimated
    assert made.used is not None
    assert made.used.input_tokens > 10, "it is paid for"


async def test_of_a_long_call_the_end_is_summed_up() -> None:
    model = Model(TextDelta("Long."), Finished("stop"))
    await summed_up(model, [{"who": "caller", "text": f"{n} bottles"} for n in range(20_000)])
    told = model.asked[0].messages[1]["content"]
    assert len(told) == MOST_CHARS
    assert told.endswith("19999 bottles")
