"""What another worker would have to know of a call is written down as it changes."""

from typing import Any

import pytest
from tests.regional.session.relay_stage import Desk, on_stage

from repartee import Agent, Notices
from repartee.agent.said import Said
from repartee.agent.toolbox import Run
from repartee.agent.transcript import CallTranscript
from repartee.session.checkpointing import MOST_PIECES, Checkpointing
from repartee.turn.earlier import MOST_OUTPUT_CHARS, Earlier, SaidEarlier, ToolRanEarlier, unpacked

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
