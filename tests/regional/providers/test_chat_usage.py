"""What a model's answer has used: told behind its end, at no cost to the answer."""

import asyncio
import contextlib

import openai
from tests.promptness import DEADLINE_S
from tests.regional.providers.scripted_http import DONE, END, HEAD, Script, delta, event, reply, scripted
from tests.regional.providers.test_openai_chat import ASKED, ask, brain_at, until

from repartee.providers.interfaces import Finished, TextDelta
from repartee.standins.server import Running
from repartee.turn.usage import TokenUsage

USED = event({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2}})


async def test_what_the_stand_in_counts_is_what_is_told(standins: Running) -> None:
    brain = brain_at(f"{standins.base_url}/v1")
    parts = await ask(brain)
    async with openai.AsyncOpenAI(api_key="key", base_url=f"{standins.base_url}/v1") as client:
        whole = await client.chat.completions.create(
            model="stand-in", messages=[{"role": "user", "content": ASKED.messages[0]["content"]}]
        )
    assert whole.usage is not None
    assert parts[-1] == TokenUsage(whole.usage.prompt_tokens, whole.usage.completion_tokens)
    await brain.aclose()


async def test_the_end_is_told_before_what_was_used() -> None:
    late = asyncio.Event()
    script: Script = [HEAD, delta(content="Yes."), delta(finish="stop"), late, USED, DONE, END]
    async with scripted(script) as server:
        brain = brain_at(server.base_url, usage_timeout_s=DEADLINE_S)
        async with contextlib.aclosing(brain.reply(ASKED)) as parts:
            assert await anext(parts) == TextDelta("Yes.")
            assert await anext(parts) == Finished("stop", usage_follows=True)
            late.set()
            assert await anext(parts) == TokenUsage(9, 2)
        await until(lambda: brain.pools()[0].leased == 0)
        assert brain.pools()[0].idle == 1, "the socket is kept"
        await brain.aclose()


async def test_a_server_that_counts_nothing_is_waited_for_twice() -> None:
    scripts: list[Script] = [
        [HEAD, delta(content="Yes."), delta(finish="stop"), asyncio.Event()] for _ in range(3)
    ]
    async with scripted(*scripts) as server:
        brain = brain_at(server.base_url, drain_timeout_s=0.05, usage_timeout_s=0.02)
        ends = [(await ask(brain))[-1] for _ in range(3)]
        awaited = Finished("stop", usage_follows=True)
        assert ends == [awaited, awaited, Finished("stop")]
        await brain.aclose()


async def test_a_server_that_refuses_to_count_answers_all_the_same() -> None:
    said = b'{"error": {"message": "Unrecognized request argument supplied: stream_options"}}'
    refusal = (
        b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        % len(said)
    )
    async with scripted([refusal, said], reply("Yes."), reply("Yes.")) as server:
        brain = brain_at(server.base_url)
        for _ in range(2):
            assert (await ask(brain))[-1] == Finished("stop")
        assert ["stream_options" in asked for asked in server.requests] == [True, False, False]
        await brain.aclose()
