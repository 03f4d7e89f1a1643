"""An agent with an STT, an LLM and a TTS of its own: the example of docs/extending.md, over a real call."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.regional.app.running import calling, region, spoken_turn, until

from repartee.agent.agent import Agent
from repartee.agent.loader import load
from repartee.app.settings import read_settings
from repartee.app.vendors_in_use import check_keys
from repartee.errors import ConfigurationError, PoolTimeout, ProviderError
from repartee.providers.interfaces import ReplyRequest
from repartee.providers.own import own_llm, own_stt, own_tts

PAGE = (Path(__file__).parents[3] / "docs" / "extending.md").read_text()


@pytest.fixture
def example(tmp_path: Path) -> Agent:
    """The agent of the document, from a file."""
    found = re.search(
        r"<!-- own providers -->\n```python\n(.*?)```\n<!-- /own providers -->", PAGE, re.DOTALL
    )
    assert found
    (tmp_path / "tones.py").write_text(found[1])
    return load(f"{tmp_path}/tones.py")


async def test_the_example_as_pasted_holds_a_call_without_any_vendor(example: Agent) -> None:
    async with region({}, agent=example) as worker:
        async with calling(f"{worker.url}?audio=binary&events=repartee") as websocket:
            events = await spoken_turn(websocket)
        await worker.until_idle()
        metrics = await worker.metrics()
    said = [event["delta"] for event in events if event["type"] == "response.output_audio_transcript.delta"]
    assert "".join(said).strip() == "You said hello."
    traced = events[-1]
    assert traced["providers"] == {"stt": "Parakeet", "llm": "Parrot", "tts": "Whistle"}
    assert metrics['repartee_voice_to_voice_seconds_count{kind="plain"}'] == 1
    assert metrics["repartee_admitting"] == 1


@pytest.mark.parametrize("stage", ["stt", "llm", "tts"])
async def test_each_may_be_brought_without_the_others(
    example: Agent, stage: str, providers: dict[str, str]
) -> None:
    keys = {"stt": "DEEPGRAM_API_KEY", "llm": "OPENAI_API_KEY", "tts": "CARTESIA_API_KEY"}
    environment = {name: value for name, value in providers.items() if name != keys[stage]}
    one: Any = {stage: getattr(example, stage)}
    agent = Agent("Be kind.", **one)
    async with region(environment, agent=agent) as worker:
        async with calling(f"{worker.url}?audio=binary&events=repartee") as websocket:
            traced = (await spoken_turn(websocket))[-1]
        await worker.until_idle()
    own = {"stt": "Parakeet", "llm": "Parrot", "tts": "Whistle"}[stage]
    assert traced["providers"] == {"stt": "deepgram/flux", "llm": "openai", "tts": "cartesia", stage: own}


def test_only_the_keys_of_what_is_not_brought_are_needed() -> None:
    check_keys(read_settings({}), own={"stt", "llm", "tts"})
    with pytest.raises(ConfigurationError, match=r"Not set: OPENAI_API_KEY\."):
        check_keys(read_settings({}), own={"stt", "tts"})
    with pytest.raises(ConfigurationError, match=r"Not set: OPENAI_API_KEY\."):
        check_keys(read_settings({"REPARTEE_SPEECH_TO_SPEECH": "on"}), own={"stt", "llm", "tts"})


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        ({"stt": 5}, "stt must be what makes one, e.g. its class, not int."),
        (
            {"tts": object, "model": "gpt-realtime"},
            "tts would never be used: gpt-realtime hears and speaks itself",
        ),
    ],
)
def test_what_cannot_be_meant_is_a_fault_of_the_agents(stated: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(said)):
        Agent("Hi.", **stated).check()


def test_an_llm_beside_a_reply_of_ones_own_is_a_fault(example: Agent) -> None:
    agent = Agent("Hi.", llm=example.llm)

    @agent.reply
    async def reply(ctx: object) -> AsyncIterator[str]:
        yield "Hello."

    with pytest.raises(ConfigurationError, match=r"llm would never be used: @agent.reply makes the replies"):
        agent.check()


def broken() -> Any:
    raise OSError("no such model")


@pytest.mark.parametrize(
    ("factory", "said"),
    [
        (object, "makes something that has no"),
        (broken, "could not be made: OSError: no such model"),
    ],
)
def test_a_factory_that_makes_none_stops_the_start(factory: Any, said: str) -> None:
    agent = Agent("Hi.", stt=factory, llm=factory, tts=factory)
    for make in (own_stt, own_llm, own_tts):
        with pytest.raises(ConfigurationError, match=said):
            make(agent)


class Breaks:
    """Raises whatever it is asked for; ``error`` says what."""

    error: Exception = ValueError("nonsense")
    closed = 0

    async def listen(self, **_: Any) -> Any:
        raise self.error

    async def reply(self, request: ReplyRequest) -> AsyncIterator[Any]:
        if request.max_tokens:
            raise self.error
        yield None

    async def speak(self, reply_id: int, **_: Any) -> Any:
        raise self.error

    async def aclose(self) -> None:
        Breaks.closed += 1
        raise self.error


async def test_what_an_authors_code_raises_is_a_providers_fault(caplog: pytest.LogCaptureFixture) -> None:
    make: Any = Breaks
    agent = Agent("Hi.", stt=make, llm=make, tts=make)
    stt, llm, tts = own_stt(agent), own_llm(agent), own_tts(agent)
    assert stt
    assert llm
    assert tts

    async def ask() -> None:
        async for _ in llm.reply(ReplyRequest(())):
            pass

    for stage, what in (("stt", stt.listen()), ("llm", ask()), ("tts", tts.speak(1))):
        with pytest.raises(ProviderError, match=f"The agent's own {stage} failed: ValueError") as failed:
            await what
        assert (failed.value.stage, failed.value.provider, failed.value.retryable) == (stage, "Breaks", False)
    assert "nonsense" in caplog.text
    for one in (stt, llm, tts):
        await one.aclose()
    assert Breaks.closed == 3


async def test_what_is_said_in_our_words_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    make: Any = Breaks
    stt = own_stt(Agent("Hi.", stt=make))
    assert stt
    for error in (ProviderError("Busy.", provider="x", stage="stt", retryable=True), PoolTimeout("Full.")):
        monkeypatch.setattr(Breaks, "error", error)
        with pytest.raises(type(error)) as raised:
            await stt.listen()
        assert raised.value is error


async def test_an_stt_that_breaks_ends_its_call_in_words_and_no_other(example: Agent) -> None:
    make: Any = Breaks
    agent = Agent("Hi.", stt=make, llm=example.llm, tts=example.tts)
    async with region({"REPARTEE_AWAY_S": "2"}, agent=agent) as worker:
        async with calling(worker.url) as websocket:
            said = ""
            async with asyncio.timeout(60):
                while "stt_failed" not in said:
                    said = str(await websocket.recv())
        await worker.until_idle()
        await until(lambda: worker.worker.slots.taken == 0)
        assert (await worker.metrics())['repartee_calls_total{outcome="providers_gone"}'] == 1
