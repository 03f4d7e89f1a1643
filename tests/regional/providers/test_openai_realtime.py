"""OpenAI's Realtime sessions, against the stand-in: pooled, warm, one a call, their faults in our words."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.promptness import DEADLINE_S

from repartee.errors import ProviderError
from repartee.pool.settings import PoolSettings
from repartee.providers.openai_realtime import OpenAIRealtime, RealtimeLine, RealtimeSettings, RealtimeTTS
from repartee.session.phrases import Phrases
from repartee.standins.server import Running
from repartee.wire import relay_events as wire

Put = Callable[..., None]


@asynccontextmanager
async def realtime(
    standins: Running, *, key: str = "key", spare: int = 0, **options: Any
) -> AsyncIterator[OpenAIRealtime]:
    pool = PoolSettings(spare=spare, single_use=True, keepalive_s=None)
    speech = OpenAIRealtime(RealtimeSettings(f"{standins.base_url}/v1", key, pool=pool, **options))
    await speech.start()
    try:
        yield speech
    finally:
        await speech.aclose()


class Listener:
    """Takes what a line says."""

    def __init__(self, line: RealtimeLine) -> None:
        self.events: list[dict[str, Any]] = []
        self.lost: list[ProviderError] = []
        self._rung = asyncio.Event()
        line.listen(self._take, self._end)

    def _take(self, message: bytes) -> None:
        self.events.append(json.loads(message))
        self._rung.set()

    def _end(self, error: ProviderError) -> None:
        self.lost.append(error)
        self._rung.set()

    async def until(self, seen: Callable[[], object]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not seen():
                self._rung.clear()
                await self._rung.wait()

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == kind]


async def test_a_warm_session_is_there_at_once_and_serves_one_call(standins: Running) -> None:
    async with realtime(standins, spare=2) as speech:
        await speech.wait_warm(DEADLINE_S)
        line = await speech.open()
        [figures] = speech.pools()
        assert (figures.name, figures.hits, figures.misses) == ("openai-realtime", 1, 0)
        assert 3590 < line.left_s <= 3600
        heard = Listener(line)
        line.send(wire.encode("session.update", session={"type": "realtime", "instructions": "Be kind."}))
        await heard.until(lambda: heard.of("session.updated"))
        assert heard.of("session.created") == []
        assert heard.events[0]["session"]["instructions"] == "Be kind."
        line.close()
        line.close()
        assert speech.pools()[0].leased == 0
        assert heard.lost == []


async def test_a_bad_key_is_told_in_words(standins: Running) -> None:
    async with realtime(standins, key="bad-key") as speech:
        with pytest.raises(ProviderError, match="status 401") as failed:
            await speech.open()
        assert (failed.value.retryable, failed.value.status, failed.value.stage) == (False, 401, "model")


async def test_a_model_that_there_is_not_is_told_in_words(standins: Running) -> None:
    async with realtime(standins, model="no-such-model") as speech:
        with pytest.raises(ProviderError, match="model_not_found") as failed:
            await speech.open()
        assert not failed.value.retryable


async def test_a_server_that_is_down_is_worth_another_try(standins: Running, fault: Put) -> None:
    fault("server_error", provider="openai-realtime")
    async with realtime(standins) as speech:
        with pytest.raises(ProviderError) as failed:
            await speech.open()
        assert failed.value.retryable
        (await speech.open()).close()


async def test_a_session_that_never_begins_is_given_up(standins: Running, fault: Put) -> None:
    fault("silent", provider="openai-realtime")
    async with realtime(standins, greeting_timeout_s=0.1) as speech:
        with pytest.raises(ProviderError, match="then said nothing"):
            await speech.open()


async def test_the_end_of_a_session_is_told_once(standins: Running) -> None:
    async with realtime(standins) as speech:
        line = await speech.open()
        heard = Listener(line)
        for session in list(standins.state.realtime_sessions):
            session.expire()
        await heard.until(lambda: heard.lost)
        assert (heard.lost[0].status, heard.lost[0].retryable) == (1001, True)
        assert heard.of("error")[0]["error"]["code"] == "session_expired"
        line.send("{}")
        line.close()
        assert len(heard.lost) == 1


async def test_what_is_left_of_an_old_session_is_not_handed_on(standins: Running) -> None:
    async with realtime(standins) as speech:
        line = await speech.open()
        heard = Listener(line)
        line.send(wire.encode("response.create"))
        line.close()
        other = await speech.open()
        again = Listener(other)
        other.send(wire.encode("response.create"))
        await again.until(lambda: again.of("response.done"))
        assert heard.events == []
        other.close()


async def test_phrases_are_recorded_in_the_models_voice(standins: Running) -> None:
    async with realtime(standins) as speech:
        phrases = Phrases(RealtimeTTS(speech))
        await phrases.record(["One moment, please."], name="cedar", language="en")
        recording = phrases.get("One moment, please.", name="cedar", language="en")
        assert recording is not None
        assert len(recording.pcm) == pytest.approx(48 * 62 * len("One moment, please."), rel=0.02)
        assert speech.pools()[0].leased == 0


async def test_a_phrase_that_cannot_be_had_is_left_out(standins: Running, fault: Put) -> None:
    fault("close", provider="openai-realtime", after_messages=3)
    async with realtime(standins) as speech:
        phrases = Phrases(RealtimeTTS(speech))
        await phrases.record(["One moment, please."], name=None, language="en")
        assert phrases.get("One moment, please.", name=None, language="en") is None
        await phrases.record(["Hello."], name="nobody", language="en")
        assert phrases.get("Hello.", name="nobody", language="en") is None


def test_audio_is_told_from_everything_else_by_how_it_begins() -> None:
    fields = {"event_id": "e", "response_id": "r", "item_id": "i", "output_index": 0, "content_index": 0}
    delta = {"type": "response.output_audio.delta", **fields, "delta": "AAAAAAA="}
    for message in (json.dumps(delta), json.dumps(delta, separators=(",", ":"))):
        read = wire.audio_in(message.encode())
        assert read is not None
        assert (read.response_id, read.item_id, read.size, read.audio()) == ("r", "i", 5, bytes(5))
    others: list[dict[str, Any]] = [
        {"type": "response.output_audio_transcript.delta", **fields, "delta": "response.output_audio.delta"},
        {"type": "response.output_text.delta", "delta": '"type":"response.output_audio.delta"'},
        {"event_id": "e", "response": {"metadata": {"type": "response.output_audio.delta"}}, "type": "x"},
        {"event_id": "e"},
    ]
    for other in others:
        assert wire.audio_in(json.dumps(other).encode()) is None
    assert wire.audio_in(b"") is None
