"""Flux and nova, over real sockets to their stand-ins."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from unittest.mock import ANY

import pytest
from tests.promptness import DEADLINE_S
from tests.regional.providers.conftest import frames, question, speech

from repartee.errors import PoolTimeout, ProviderError
from repartee.pool.settings import PoolSettings
from repartee.providers.deepgram import FluxSettings, FluxSTT, NovaSettings, NovaSTT
from repartee.providers.interfaces import Hearing, Transcriber
from repartee.providers.sockets import SocketSettings
from repartee.standins.server import Running
from repartee.turn.events import EagerEndOfTurn, EndOfTurn, PartialTranscript, StartOfTurn

SCRIPT = ["Hello, can you hear me?", "What are your opening hours?"]
POOL = PoolSettings(spare=1, single_use=True, keepalive_s=4, backoff_first_s=0.01, acquire_timeout_s=2)
QUICK = SocketSettings(open_timeout_s=0.5, ping_interval_s=0.1, ping_timeout_s=0.1, close_timeout_s=0.1)

Fault = Callable[..., None]


def flux(standins: Running, **changes: Any) -> FluxSTT:
    return FluxSTT(replace(FluxSettings(standins.base_url, "key", pool=POOL), **changes))


def nova(standins: Running, **changes: Any) -> NovaSTT:
    return NovaSTT(replace(NovaSettings(standins.base_url, "key", pool=POOL), **changes))


BOTH = pytest.mark.parametrize("make", [flux, nova])


async def until_end(transcriber: Transcriber) -> list[Hearing]:
    heard = []
    async with asyncio.timeout(DEADLINE_S):
        async for event in transcriber.events():
            heard.append(event)
            if isinstance(event, EndOfTurn):
                break
    return heard


async def say(transcriber: Transcriber, pcm: bytes, *, faster: float = 4) -> None:
    """Speak at four times the speed of speech, frame by frame."""
    for frame in frames(pcm):
        transcriber.feed(frame)
        await asyncio.sleep(0.02 / faster)


@BOTH
async def test_two_questions_are_heard(standins: Running, make: Callable[..., Any]) -> None:
    ears = make(standins)
    await ears.start()
    await ears.wait_warm(2)
    transcriber = await ears.listen()
    for text in SCRIPT:
        reading = asyncio.create_task(until_end(transcriber))
        await say(transcriber, question(), faster=1 if make is nova else 4)
        heard = await reading
        assert isinstance(heard[0], StartOfTurn)
        assert [event.text for event in heard if isinstance(event, EndOfTurn)] == [text]
        eager = [event.text for event in heard if isinstance(event, EagerEndOfTurn)]
        assert eager == [text]
        assert all(text.startswith(event.text) for event in heard if isinstance(event, PartialTranscript))
    await transcriber.aclose()
    await transcriber.aclose()
    assert ears.pools()[0].hits == 1
    assert ears.pools()[0].leased == 0
    await ears.aclose()


@BOTH
async def test_each_call_has_a_connection_of_its_own_used_once(
    standins: Running, make: Callable[..., Any]
) -> None:
    ears = make(standins)
    await ears.start()
    await ears.wait_warm(2)
    first, second = await ears.listen(), await ears.listen()
    await first.aclose()
    await second.aclose()
    third = await ears.listen()
    await third.aclose()
    await ears.aclose()
    assert standins.state.stats.of("deepgram").opened >= 3
    async with asyncio.timeout(DEADLINE_S):
        while standins.state.stats.of("deepgram").active:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


@BOTH
async def test_an_empty_pool_dials_at_once(standins: Running, make: Callable[..., Any]) -> None:
    ears = make(standins)
    transcriber = await ears.listen()
    assert ears.pools()[0].misses == 1
    await transcriber.aclose()
    await ears.aclose()


@BOTH
async def test_a_bad_key_is_told_in_plain_words(standins: Running, make: Callable[..., Any]) -> None:
    ears = make(standins, api_key="bad-key")
    with pytest.raises(ProviderError, match=r"Deepgram refused the connection with status 401") as told:
        await ears.listen()
    assert (told.value.retryable, told.value.stage, told.value.status) == (False, "stt", 401)
    await ears.aclose()


@BOTH
async def test_too_many_connections_is_a_fault_that_may_pass(
    standins: Running, fault: Fault, make: Callable[..., Any]
) -> None:
    fault("rate_limited", provider="deepgram")
    ears = make(standins)
    with pytest.raises(ProviderError, match="429") as told:
        await ears.listen()
    assert told.value.retryable
    await (await ears.listen()).aclose()
    await ears.aclose()


@BOTH
async def test_a_provider_that_is_not_there(make: Callable[..., Any], standins: Running) -> None:
    ears = make(standins, base_url="http://127.0.0.1:9")
    with pytest.raises(ProviderError, match=r"http://127.0.0.1:9 could not be reached") as told:
        await ears.listen()
    assert told.value.retryable
    await ears.aclose()


@BOTH
async def test_a_server_that_hangs_at_connect(
    standins: Running, fault: Fault, make: Callable[..., Any]
) -> None:
    fault("hang_at_connect", provider="deepgram")
    ears = make(standins, socket=replace(QUICK, open_timeout_s=0.1))
    with pytest.raises((ProviderError, PoolTimeout), match="did not answer in time"):
        await ears.listen()
    await ears.aclose()


@BOTH
@pytest.mark.parametrize("kind", ["close", "drop", "malformed", "error", "half_open"])
async def test_whatever_breaks_in_mid_turn_is_told_to_the_call(
    standins: Running, fault: Fault, make: Callable[..., Any], kind: str
) -> None:
    ears = make(standins, socket=QUICK)
    fault(kind, provider="deepgram", after_messages=2 if make is flux else 1)
    transcriber = await ears.listen()
    with pytest.raises(ProviderError) as told:
        await asyncio.gather(until_end(transcriber), say(transcriber, speech(2000)))
    assert told.value.retryable
    assert told.value.provider == "deepgram"
    transcriber.feed(bytes(640))
    transcriber.finish_turn()
    await transcriber.aclose()
    assert ears.pools()[0].leased == 0
    await ears.aclose()


@BOTH
async def test_a_connection_that_falls_silent_while_its_caller_speaks_is_noticed(
    standins: Running, fault: Fault, make: Callable[..., Any]
) -> None:
    ears = make(standins)
    fault("silent", provider="deepgram", after_messages=2 if make is flux else 1)
    transcriber = await ears.listen()
    loop, begun_at = asyncio.get_running_loop(), asyncio.get_running_loop().time()
    await say(transcriber, speech(4000))
    owing_since = transcriber.owing_since
    assert owing_since is not None
    assert begun_at <= owing_since <= loop.time()
    await transcriber.aclose()
    await ears.aclose()


@BOTH
async def test_a_turn_can_be_ended_by_hand(standins: Running, make: Callable[..., Any]) -> None:
    ears = make(standins)
    transcriber = await ears.listen()
    await say(transcriber, speech(600))
    await asyncio.sleep(0.1)
    transcriber.finish_turn()
    heard = await until_end(transcriber)
    assert isinstance(heard[-1], EndOfTurn)
    await transcriber.aclose()
    await ears.aclose()


@BOTH
async def test_frames_of_any_length_are_heard_whole(standins: Running, make: Callable[..., Any]) -> None:
    ears = make(standins)
    transcriber = await ears.listen(keyterms=["Linden"])
    reading = asyncio.create_task(until_end(transcriber))
    pcm = question()
    sizes = [1, 7, 641, 1280, 3]
    at, turn = 0, 0
    while at < len(pcm):
        transcriber.feed(pcm[at : at + sizes[turn % 5]])
        at, turn = at + sizes[turn % 5], turn + 1
        if turn % 5 == 0:
            await asyncio.sleep(0.01)
    assert (await reading)[-1] == EndOfTurn(SCRIPT[0], word_ended_ms=ANY)
    await transcriber.aclose()
    await ears.aclose()


@BOTH
async def test_another_language_is_dialled_for(standins: Running, make: Callable[..., Any]) -> None:
    ears = make(standins)
    await ears.start()
    await ears.wait_warm(2)
    transcriber = await ears.listen(language="de")
    assert ears.pools()[0].hits == 0
    await transcriber.aclose()
    await ears.aclose()


async def test_a_quiet_nova_call_is_kept_alive(standins: Running) -> None:
    ears = nova(standins, keepalive_s=0.15)
    transcriber = await ears.listen()
    await asyncio.sleep(0.7)
    assert standins.state.stats.of("deepgram").messages_in >= 4
    await transcriber.aclose()
    await ears.aclose()


@BOTH
async def test_a_caller_who_hangs_up_while_dialling_leaks_nothing(
    standins: Running, fault: Fault, make: Callable[..., Any]
) -> None:
    fault("hang_at_connect", provider="deepgram", count=5)
    ears = make(standins, socket=QUICK)
    call = asyncio.create_task(ears.listen())
    await asyncio.sleep(0.05)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await ears.aclose()
    assert repr(ears.pools()[0].leased) == "0"


@BOTH
async def test_a_reader_can_be_cancelled_and_another_take_over(
    standins: Running, make: Callable[..., Any]
) -> None:
    ears = make(standins)
    transcriber = await ears.listen()
    reader = asyncio.create_task(until_end(transcriber))
    await asyncio.sleep(0.05)
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    _, heard = await asyncio.gather(say(transcriber, question(), faster=2), until_end(transcriber))
    assert heard[-1] == EndOfTurn(SCRIPT[0], word_ended_ms=ANY)
    await transcriber.aclose()
    await ears.aclose()


@pytest.mark.parametrize(
    ("wrong", "allowed"),
    [
        ({"eager_eot_threshold": 0.2}, "from 0.3 to 0.9"),
        ({"eot_threshold": 0.4}, "from 0.5 to 1.0"),
        ({"eot_timeout_ms": 100}, "from 500 to 60000"),
    ],
)
def test_thresholds_that_would_fail_the_handshake_are_refused_at_once(
    wrong: dict[str, Any], allowed: str
) -> None:
    with pytest.raises(ValueError, match=allowed):
        FluxSettings("http://127.0.0.1:1", "key", **wrong)
