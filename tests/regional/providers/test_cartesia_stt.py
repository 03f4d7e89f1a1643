"""ink-2, over real sockets to its stand-in."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from cartesia import AsyncCartesia
from tests.promptness import DEADLINE_S
from tests.regional.providers.conftest import frames, question, speech

from repartee.audio.pcm import silence
from repartee.errors import ProviderError
from repartee.pool.settings import PoolSettings
from repartee.providers.cartesia_stt import InkSettings, InkSTT, open_ink
from repartee.providers.interfaces import Hearing, Transcriber
from repartee.providers.vendor import Opening
from repartee.providers.vendors import CARTESIA
from repartee.standins.server import Running
from repartee.standins.state import StandInState
from repartee.standins.turns import TurnTimes
from repartee.turn.events import EagerEndOfTurn, EndOfTurn, PartialTranscript, StartOfTurn, TurnResumed

SCRIPT = ["Hello, can you hear me?", "What are your opening hours?"]
POOL = PoolSettings(spare=1, single_use=True, keepalive_s=4, backoff_first_s=0.01, acquire_timeout_s=2)

Fault = Callable[..., None]


def ink(standins: Running, **changes: Any) -> InkSTT:
    return InkSTT(replace(InkSettings(standins.base_url, "key", pool=POOL), **changes))


async def until_end(transcriber: Transcriber) -> list[Hearing]:
    heard = []
    async with asyncio.timeout(DEADLINE_S):
        async for event in transcriber.events():
            heard.append(event)
            if isinstance(event, EndOfTurn):
                break
    return heard


async def say(transcriber: Transcriber, pcm: bytes) -> None:
    """Speak at four times the speed of speech, frame by frame."""
    for frame in frames(pcm):
        transcriber.feed(frame)
        await asyncio.sleep(0.005)


async def test_two_questions_are_heard_with_an_early_word_of_their_ends(standins: Running) -> None:
    ears = ink(standins)
    await ears.start()
    await ears.wait_warm(2)
    transcriber = await ears.listen()
    for text in SCRIPT:
        reading = asyncio.create_task(until_end(transcriber))
        await say(transcriber, question())
        heard = await reading
        assert isinstance(heard[0], StartOfTurn)
        assert [event.text for event in heard if isinstance(event, EagerEndOfTurn)] == [text]
        assert [event.text for event in heard if isinstance(event, EndOfTurn)] == [text]
        assert all(text.startswith(event.text) for event in heard if isinstance(event, PartialTranscript))
    await transcriber.aclose()
    assert (ears.pools()[0].hits, ears.pools()[0].leased) == (1, 0)
    await ears.aclose()


async def test_a_caller_who_goes_on_takes_the_early_word_back(
    standins: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StandInState, "turn_times", lambda state: TurnTimes(0.0, 100.0, 1_200.0))
    ears = ink(standins)
    transcriber = await ears.listen()
    reading = asyncio.create_task(until_end(transcriber))
    await say(transcriber, speech(600, 24_000) + silence(400, 24_000) + speech(600, 24_000))
    transcriber.finish_turn()
    kinds = [type(event) for event in await reading if not isinstance(event, PartialTranscript)]
    assert kinds == [StartOfTurn, EagerEndOfTurn, TurnResumed, EagerEndOfTurn, EndOfTurn]
    await transcriber.aclose()
    await ears.aclose()


async def test_the_client_ends_a_turn_with_silence(standins: Running) -> None:
    ears = ink(standins)
    transcriber = await ears.listen()
    reading = asyncio.create_task(until_end(transcriber))
    await say(transcriber, speech(600))
    transcriber.finish_turn()
    assert (await reading)[-1] == EndOfTurn(SCRIPT[0])
    await transcriber.aclose()
    await ears.aclose()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"api_key": "bad-key"}, "Cartesia refused the connection with status 401"),
        ({"model": "ink-1"}, "model must be ink-2"),
    ],
)
async def test_what_is_refused_is_told_in_its_words(
    standins: Running, changes: dict[str, str], told: str
) -> None:
    ears = ink(standins, **changes)
    with pytest.raises(ProviderError, match=told) as caught:
        await ears.listen()
    assert not caught.value.retryable
    await ears.aclose()


@pytest.mark.parametrize(
    ("kind", "settings", "retryable"),
    [
        ("close", {"code": 1011}, True),
        ("close", {"code": 1008}, False),
        ("drop", {}, True),
        ("malformed", {}, True),
        ("error", {"status": 429}, True),
        ("error", {"status": 401}, False),
    ],
)
async def test_a_stream_that_ends_in_mid_turn_says_why(
    standins: Running, fault: Fault, kind: str, settings: dict[str, int], retryable: bool
) -> None:
    fault(kind, provider="cartesia-stt", after_messages=2, **settings)
    ears = ink(standins)
    transcriber = await ears.listen()
    reading = asyncio.create_task(until_end(transcriber))
    await say(transcriber, speech(1_500))
    with pytest.raises(ProviderError, match="Cartesia") as caught:
        await reading
    assert (caught.value.stage, caught.value.retryable) == ("stt", retryable)
    await transcriber.aclose()
    await ears.aclose()


async def test_one_that_stalls_owes_an_answer_to_speech_alone(standins: Running, fault: Fault) -> None:
    fault("silent", provider="cartesia-stt", after_messages=2)
    ears = ink(standins)
    transcriber = await ears.listen()
    reading = asyncio.create_task(until_end(transcriber))
    await say(transcriber, speech(1_000, 24_000))
    assert transcriber.owing_since is not None
    reading.cancel()
    await asyncio.wait([reading])
    await transcriber.aclose()
    await ears.aclose()


@pytest.mark.parametrize(
    "changes",
    [
        {"eager_end_threshold": 0.7},
        {"end_threshold": 0.45},
        {"end_threshold": 0.01},
        {"end_timeout_ms": 500},
        {"keyterms": ("word",) * 101},
        {"keyterms": ("x" * 1_201,)},
    ],
)
def test_what_cartesia_would_refuse_is_refused_here(changes: Any) -> None:
    with pytest.raises(ValueError, match="Cartesia's"):
        replace(InkSettings("http://h", "key"), **changes)


async def test_the_agents_keyterms_go_into_the_stream_as_many_as_it_takes(
    standins: Running, caplog: pytest.LogCaptureFixture
) -> None:
    values = {CARTESIA.key_variable: "key", CARTESIA.url_variable: standins.base_url}
    terms = tuple(f"term{number}" for number in range(120))
    ears = open_ink(Opening(CARTESIA, values, keyterms=terms))
    await (await ears.listen()).aclose()
    await ears.aclose()
    assert "ink-2 takes 100 of the agent's 120 keyterms" in caplog.text


async def test_the_official_sdk_against_the_stand_in(standins: Running) -> None:
    client = AsyncCartesia(
        api_key="key",
        base_url=standins.base_url,
        websocket_base_url=standins.base_url.replace("http", "ws", 1),
    )
    async with client.stt.auto_finalize.websocket(
        model="ink-2", encoding="pcm_s16le", sample_rate=16_000
    ) as connection:
        for frame in frames(question()):
            await connection.send_raw(frame)
        await connection.send({"type": "close"})
        heard = [event async for event in connection]
    kinds = [event.type for event in heard]
    assert kinds[0] == "connected"
    assert [kind for kind in kinds if kind != "turn.update"][1:] == [
        "turn.start",
        "turn.eager_end",
        "turn.end",
    ]
    assert heard[-1].to_dict()["transcript"] == SCRIPT[0]
    await client.close()


@pytest.mark.parametrize("command", ['{"type": "finalize"}', "{", '{"type": "config", "turn": {"start": 1}}'])
async def test_the_stand_in_refuses_what_it_does_not_know(standins: Running, command: str) -> None:
    ears = ink(standins)
    transcriber = await ears.listen()
    transcriber.socket.push(command)
    with pytest.raises(ProviderError):
        await until_end(transcriber)
    await transcriber.aclose()
    await ears.aclose()
