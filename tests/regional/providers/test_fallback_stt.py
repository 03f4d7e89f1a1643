"""Several recognisers as one: whom a call listens through after one has failed it."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

import pytest
from tests.regional.providers.lineups import Noted, fault, lineup_of

from repartee.errors import ProviderError
from repartee.latency.breaker import BreakerState
from repartee.providers.fallback_stt import FallbackSTT
from repartee.providers.interfaces import STT, Hearing
from repartee.providers.lineup import FallbackPolicy, Lineup, Standing
from repartee.turn.events import EndOfTurn, StartOfTurn


class FallbackEars:
    """Hears a turn, then fails (or stays); ``opens_in_s``: how long a connection takes."""

    def __init__(self, *, failure: ProviderError | None = None, opens_in_s: float = 0.0) -> None:
        self.failure = failure
        self.opens_in_s = opens_in_s
        self.opened = 0
        self.languages: list[str] = []
        self.refusal: ProviderError | None = None

    async def listen(self, *, language: str = "en", keyterms: Sequence[str] = ()) -> "FallbackEarsStream":
        self.languages.append(language)
        await asyncio.sleep(self.opens_in_s)
        if self.refusal:
            raise self.refusal
        self.opened += 1
        return FallbackEarsStream(self)


class FallbackEarsStream:
    has_room = True
    owing_since = None

    def __init__(self, ears: FallbackEars) -> None:
        self._ears = ears
        self.closed = False

    def feed(self, pcm: bytes) -> None:
        pass

    def finish_turn(self) -> None:
        pass

    async def events(self) -> AsyncGenerator[Hearing, None]:
        yield StartOfTurn("hello")
        if self._ears.failure:
            raise self._ears.failure
        yield EndOfTurn("hello")

    async def aclose(self) -> None:
        self.closed = True


class Call:
    def __init__(self, *ears: FallbackEars, lineup: Lineup[STT] | None = None) -> None:
        self.notes = Noted()
        self.lineup: Lineup[STT] = lineup or lineup_of("stt", ears)
        self.stt = FallbackSTT(self.lineup, FallbackPolicy(open_s=0.02)).for_call(self.notes)

    async def hears(self, language: str = "en") -> int:
        """How much a transcriber hears before it fails."""
        transcriber = await self.stt.listen(language=language)
        heard = 0
        try:
            async for _ in transcriber.events():
                heard += 1
        except ProviderError as error:
            assert error.retryable
        await transcriber.aclose()
        return heard


@pytest.mark.parametrize("retryable", [True, False])
async def test_after_a_loss_the_next_one_listens(retryable: bool) -> None:
    first, second = FallbackEars(failure=fault("stt", retryable=retryable)), FallbackEars()
    call = Call(first, second)
    assert [await call.hears(), await call.hears()] == [1, 2]
    assert (first.opened, second.opened) == (1, 1)
    assert (call.notes.who, call.notes.whom) == (["a", "b"], ["a"])


async def test_one_that_fell_silent_and_was_closed_is_left_too() -> None:
    first, second = FallbackEars(), FallbackEars()
    call = Call(first, second)
    transcriber = await call.stt.listen()
    await transcriber.aclose()
    await call.stt.listen()
    assert (first.opened, second.opened) == (1, 1)
    assert call.notes.whom == ["a"]


async def test_one_that_was_closed_for_another_language_is_not() -> None:
    first, second = FallbackEars(), FallbackEars()
    call = Call(first, second)
    await (await call.stt.listen()).aclose()
    await call.stt.listen(language="de")
    assert (first.languages, second.opened) == (["en", "de"], 0)
    assert not call.notes.whom


async def test_when_all_have_failed_a_call_begins_anew_but_not_with_the_last() -> None:
    ears = [FallbackEars(failure=fault("stt")) for _ in range(2)]
    call = Call(*ears)
    for _ in range(4):
        assert await call.hears() == 1
    assert call.notes.who == ["a", "b", "a", "b"]


async def test_one_that_cannot_be_had_or_takes_too_long_is_passed_over() -> None:
    refuses, slow, third = FallbackEars(), FallbackEars(opens_in_s=0.1), FallbackEars()
    refuses.refusal = fault("stt", status=503)
    call = Call(refuses, slow, third)
    assert await call.hears() == 2
    assert call.notes.who == ["c"]


async def test_a_slow_one_is_waited_for_when_there_is_no_other() -> None:
    slow, refuses = FallbackEars(opens_in_s=0.1), FallbackEars()
    refuses.refusal = fault("stt", status=503)
    call = Call(slow, refuses)
    assert await call.hears() == 2
    assert call.notes.who == ["a"]


async def test_when_none_can_be_had_it_may_be_tried_again_if_any_may() -> None:
    first, second = FallbackEars(), FallbackEars()
    first.refusal, second.refusal = fault("stt", status=401, retryable=False), fault("stt", status=503)
    with pytest.raises(ProviderError) as caught:
        await Call(first, second).stt.listen()
    assert caught.value.retryable


async def test_whoever_has_not_the_language_is_passed_over() -> None:
    english, other = FallbackEars(), FallbackEars()
    call = Call(
        lineup=Lineup(
            "stt", [Standing("a", english, speaks=lambda language: language == "en"), Standing("b", other)]
        )
    )
    await call.stt.listen(language="de")
    await call.stt.listen(language="en")
    assert (english.languages, other.languages) == (["en"], ["de"])


async def test_a_turn_that_was_heard_closes_the_breaker() -> None:
    first = FallbackEars()
    call = Call(first, FallbackEars())
    for _ in range(2):
        call.lineup.standings[0].failed(fault("stt"))
    await call.hears()
    call.lineup.standings[0].failed(fault("stt"))
    assert call.lineup.standings[0].breaker.state(0.0) is BreakerState.CLOSED
