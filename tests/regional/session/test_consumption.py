"""What a call's replies use of the model, discarded ones and hedges too."""

import pytest
from tests.regional.session.actors import Stage

from repartee.session.consumption import Consumption
from repartee.telemetry import events as t
from repartee.turn.context_window import estimated_tokens
from repartee.turn.usage import TokenUsage


class Noted:
    def __init__(self) -> None:
        self.all: list[tuple[TokenUsage, bool]] = []
        self.consumption = Consumption(lambda usage, estimated: self.all.append((usage, estimated)))


def test_what_the_server_counts_is_taken_and_no_estimate_beside_it() -> None:
    noted = Noted()
    noted.consumption.asked(1, 100)
    noted.consumption.wrote(1, "It is forty.")
    noted.consumption.used(1, TokenUsage(120, 7, 60))
    noted.consumption.used(1, TokenUsage(120, 7, 60))
    noted.consumption.over(1)
    assert noted.all == [(TokenUsage(120, 7, 60), False)]


@pytest.mark.parametrize("told", [True, False], ids=["told-that-it-will-not-say", "stopped"])
def test_what_no_server_counts_is_estimated(told: bool) -> None:
    noted = Noted()
    noted.consumption.asked(1, 100)
    noted.consumption.wrote(1, "It is ")
    noted.consumption.wrote(1, "forty.")
    if told:
        noted.consumption.used(1, None)
    noted.consumption.over(1)
    noted.consumption.over(1)
    assert noted.all == [(TokenUsage(100, estimated_tokens("It is forty.")), True)]


def test_of_a_hedge_both_requests_are_paid_for() -> None:
    noted = Noted()
    noted.consumption.asked(1, 100)
    noted.consumption.asked_again(1)
    noted.consumption.used(1, TokenUsage(110, 9))
    noted.consumption.over(1)
    assert noted.all == [(TokenUsage(110, 9), False), (TokenUsage(100, 0), True)]


def test_replies_that_nobody_knows_are_nothing() -> None:
    noted = Noted()
    noted.consumption.used(9, TokenUsage(1, 1))
    noted.consumption.asked_again(9)
    noted.consumption.over(9)
    assert noted.all == []
    assert repr(noted.consumption) == "<Consumption: 0 replies under way>"


async def test_a_call_tells_what_its_voice_was_given_and_its_model_has_used() -> None:
    async with Stage() as stage:
        await stage.turn("Hello?")
        thought = await stage.brain.asked()
        thought.says("It is forty. ")
        thought.ends()
        utterance = await stage.voice.opened()
        utterance.speaks(1_000)
        utterance.ends()
        await stage.client.hears("response.done")
        stage.client.hangs_up()
        await stage.ended()
    used = stage.notes.all(t.VendorUsed)
    assert sum(one.characters for one in used if one.stage == "tts") == len("".join(utterance.said))
    model = [one for one in used if one.stage == "llm"]
    assert {one.provider for one in model} == {"l"}
    assert sum(one.input_tokens for one in model) > 0
    assert isinstance(stage.notes.events[-1], t.CallEnded), "all of it before the call's end"
