"""A call's record, from what happens in the call to the store's row: its ending, its words, what it cost."""

import json
from typing import Any

import pytest
from tests.regional.session.actors import Stage
from tests.regional.store.fake import FakeStore

from repartee.latency.hedging import HedgePolicy, HedgeSettings
from repartee.providers.hedged_llm import HedgedLLM
from repartee.session.call_notes import OUTCOMES
from repartee.session.prompt import request_tokens
from repartee.store.call_records import CALL_ENTRIES, CALLS
from repartee.store.schema import Row
from repartee.telemetry.prices import read_prices
from repartee.telemetry.records import CallRecords
from repartee.telemetry.report import CallOrigin
from repartee.transport.interfaces import CallEnd
from repartee.turn.context_window import estimated_tokens
from repartee.turn.events import (
    EagerEndOfTurn,
    EndOfTurn,
    PartialTranscript,
    SpokenWord,
    StartOfTurn,
    TurnResumed,
)

IN_USD, OUT_USD = 10, 100
"""A million tokens in, and out."""

PRICES = read_prices(
    json.dumps({"llm": {"l": {"million_input_tokens": IN_USD, "million_output_tokens": OUT_USD}}})
)


async def kept(stage: Stage) -> tuple[Row, list[dict[str, Any]]]:
    """The one record that a call has left, and what happened in it."""
    store = FakeStore([CALLS, CALL_ENTRIES])
    records = CallRecords(store, prices=PRICES)
    for event in stage.notes.events:
        records.export(event)
    [call] = await store.read(lambda reading: reading.rows(CALLS))
    rows = await store.read(lambda reading: reading.rows(CALL_ENTRIES))
    return call, [{"kind": row["kind"], **json.loads(str(row["body"]))} for row in rows]


def reckoned(*requests: Any, written: str) -> float:
    """What a hand makes of these requests, and of what was written of them all."""
    tokens = sum(request_tokens(request) for request in requests)
    return (tokens * IN_USD + estimated_tokens(written) * OUT_USD) / 1e6


@pytest.mark.parametrize("end", CallEnd, ids=lambda end: end.name.lower())
async def test_a_call_leaves_one_record_whichever_way_it_ends(end: CallEnd) -> None:
    async with Stage() as stage:
        stage.call.end(end)
        assert await stage.ended() is end
    call, _ = await kept(stage)
    assert call["ended"] == OUTCOMES[end]


def test_each_ending_has_a_word_of_its_own() -> None:
    assert len(set(OUTCOMES.values())) == len(CallEnd)


async def test_of_an_answer_that_was_cut_the_record_has_what_was_heard() -> None:
    async with Stage(origin=CallOrigin(words=True)) as stage:
        await stage.turn("Tell me a story.")
        thought = await stage.brain.asked()
        thought.says("One two three. ")
        thought.ends()
        utterance = await stage.voice.opened()
        utterance.speaks(
            2_000,
            SpokenWord("One", 0, 0),
            SpokenWord("two", 60_000, 60_500),
            SpokenWord("three.", 60_500, 61_000),
        )
        await stage.client.hears("response.output_audio.delta")
        ears = await stage.ears.opened()
        ears.hears(StartOfTurn(), PartialTranscript("Stop it please"), EndOfTurn("Stop it please"))
        await stage.brain.asked(2)
    _, happened = await kept(stage)
    said = [(one["who"], one["text"], one["interrupted"]) for one in happened if one["kind"] == "said"]
    assert said == [
        ("caller", "Tell me a story.", False),
        ("agent", "One", True),
        ("caller", "Stop it please", False),
    ]
    assert [one["kind"] for one in happened].count("interruption") == 1


async def test_a_reply_that_was_thrown_away_is_paid_for() -> None:
    async with Stage() as stage:
        ears = await stage.ears.opened()
        ears.hears(StartOfTurn(), EagerEndOfTurn("I would"))
        early = await stage.brain.asked()
        early.says("It is forty. ")
        await stage.bell.until(lambda: stage.voice.utterances)
        ears.hears(TurnResumed(), EndOfTurn("I would like to know"))
        late = await stage.brain.asked(2)
        late.says("It is fifty. ")
        late.ends()
        (await stage.voice.opened(2)).speaks(20)
        await stage.client.hears("response.output_audio.delta")
    call, _ = await kept(stage)
    written = reckoned(early.request, written="It is forty. ") + reckoned(
        late.request, written="It is fifty. "
    )
    assert call["cost"] == pytest.approx(written)


async def test_of_a_hedge_both_requests_are_paid_for() -> None:
    stage = Stage()
    stage.llm = HedgedLLM(stage.brain, policy=HedgePolicy(HedgeSettings(first_deadline_ms=1)))
    async with stage:
        await stage.turn("Hello?")
        first, second = await stage.brain.asked(), await stage.brain.asked(2)
        second.says("It is forty. ")
        second.ends()
        (await stage.voice.opened()).speaks(20)
        await stage.client.hears("response.output_audio.delta")
    call, _ = await kept(stage)
    assert call["cost"] == pytest.approx(reckoned(first.request, second.request, written="It is forty. "))
