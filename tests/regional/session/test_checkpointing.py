"""What another worker would have to know of a call is written down as it changes."""

from typing import Any

import pytest
from tests.regional.app.running import until
from tests.regional.session.relay_stage import Desk, on_stage

from repartee import Agent, CallContext, Notices
from repartee.agent.said import Said
from repartee.agent.toolbox import Run
from repartee.agent.transcript import CallTranscript
from repartee.session.checkpointing import MOST_PIECES, Checkpointing
from repartee.turn.earlier import (
    MOST_OUTPUT_CHARS,
    Earlier,
    SaidEarlier,
    StateEarlier,
    ToolRanEarlier,
    noted_in,
    unpacked,
)

BEFORE = SaidEarlier("caller", "My name is Anna.", 1.0)


class Kept:
    """What was written last."""

    def __init__(self, *earlier: Earlier) -> None:
        self.texts: list[str] = []
        self.checkpointing = Checkpointing(self.texts.append, 32_000, earlier)

    @property
    def last(self) -> list[Earlier]:
        return list(unpacked(self.texts[-1]))


def test_words_and_tools_are_there_in_order_after_those_of_before() -> None:
    kept = Kept(BEFORE)
    kept.checkpointing.said(Said("q", 1, "caller", "Book it.", 2.0))
    kept.checkpointing.tool_ran(Run("book", 1, ok=True, arguments="{}", output="x" * 5_000))
    kept.checkpointing.said(Said("a", 1, "agent", "It is booked, for Monday.", 3.0))
    kept.checkpointing.said(Said("a", 1, "agent", "It is booked,", 3.0, True))
    assert kept.last == [
        BEFORE,
        SaidEarlier("caller", "Book it.", 2.0),
        ToolRanEarlier("book", "{}", "x" * MOST_OUTPUT_CHARS),
        SaidEarlier("agent", "It is booked,", 3.0, interrupted=True),
    ]
    kept.checkpointing.said(Said("a", 1, "agent", "", 3.0, True))
    assert kept.last[-1] == ToolRanEarlier("book", "{}", "x" * MOST_OUTPUT_CHARS), "nothing of it was heard"


def test_an_authors_state_begins_as_it_was_and_is_kept_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    kept = Kept(BEFORE, StateEarlier({"order": 7, "tries": 1}))
    state: dict[str, Any] = {}
    kept.checkpointing.serve(state, lambda: state, lambda text: text.replace("4711", "[secret 1]"))
    assert state == {"order": 7, "tries": 1}
    state |= {"tries": 2, "pin": {"digits": "4711"}, "socket": object()}
    kept.checkpointing.said(Said("q", 1, "caller", "Again.", 2.0))
    kept.checkpointing.write()
    assert kept.last == [BEFORE, SaidEarlier("caller", "Again.", 2.0), StateEarlier({"order": 7, "tries": 2})]
    assert caplog.text.count("1 values in ctx.state") == 1, "said once, and not again with every word"
    state["book"] = "x" * 20_000
    kept.checkpointing.write()
    assert kept.last[:2] == [BEFORE, SaidEarlier("caller", "Again.", 2.0)], "its words are not crowded out"


async def test_what_an_author_notes_with_a_key_is_kept_at_once_and_there_when_the_call_begins_elsewhere() -> (
    None
):
    agent = Agent("Be kind.", model="gpt-realtime")
    began: list[dict[str, Any]] = []

    @agent.on_call_start
    async def start(ctx: CallContext) -> None:
        began.append(dict(ctx.state))

    @agent.on_dtmf()
    async def keys(ctx: CallContext, digits: str) -> None:
        ctx.state["account"] = digits

    kept: list[str] = []
    earlier = (BEFORE, StateEarlier({"tries": 1}))
    async with on_stage(agent, earlier=earlier, keep=kept.append) as stage:
        await stage.hears("response.done")
        for digit in "42#":
            stage.sends("repartee.dtmf", digit=digit)
        await until(lambda: bool(kept) and "account" in kept[-1])
    assert began == [{"tries": 1}]
    assert noted_in(unpacked(kept[-1])) == {"tries": 1, "account": "42"}


def test_it_is_bounded_and_free_where_nobody_would_go_on() -> None:
    kept = Kept(BEFORE)
    for n in range(MOST_PIECES + 5):
        kept.checkpointing.said(Said(f"i{n}", n, "caller", "Yes.", n))
    assert len(kept.last) == MOST_PIECES and BEFORE not in kept.last
    nobody = Checkpointing()
    nobody.said(Said("q", 1, "caller", "Book it.", 2.0))
    assert repr(nobody) == "<Checkpointing: 0 pieces>"


def test_the_transcript_has_what_was_said_before_and_notes_none_of_it_again() -> None:
    noted: list[Said] = []
    transcript = CallTranscript(noted.append, lambda: 5.0)
    transcript.recall([BEFORE, ToolRanEarlier("book", "{}", "{}")])
    assert transcript.said == (Said("earlier_0", 0, "caller", "My name is Anna.", 1.0),)
    assert noted == []


@pytest.mark.parametrize("greeting", [None, "Good day."])
async def test_a_speech_to_speech_model_is_given_what_was_said_before(greeting: str | None) -> None:
    desk = Desk(greeting=greeting)
    earlier = (
        BEFORE,
        ToolRanEarlier("get_balance", "{}", '{"amount": 40}'),
        SaidEarlier("agent", "Forty.", 2.0),
    )
    async with on_stage(desk.agent, earlier=earlier) as stage:
        await stage.hears("response.done")
        sessions: set[Any] = stage.providers.state.realtime_sessions
        [items] = [one._conversation.items for one in sessions if one._conversation.items]
        assert [item.get("role") or item["type"] for item in items[:4]] == [
            "user",
            "function_call",
            "function_call_output",
            "assistant",
        ]
        assert items[0]["content"][0]["text"] == "My name is Anna."
        said = [event for event in stage.events if event["type"] == "response.output_audio_transcript.done"]
        assert said[0]["transcript"] == "Sorry, we were cut off. Where were we?"
        shown = [event["item"]["id"] for event in stage.events if event["type"] == "conversation.item.added"]
        assert not any(item_id.startswith("earlier_") for item_id in shown)


async def test_an_author_says_how_a_call_is_taken_up_again() -> None:
    agent = Agent("Be kind.", model="gpt-realtime", notices=Notices(resumed="There you are again."))
    async with on_stage(agent, earlier=(BEFORE,)) as stage:
        await stage.hears("response.done")
        [said] = [event for event in stage.events if event["type"] == "response.output_audio_transcript.done"]
        assert said["transcript"] == "There you are again."
