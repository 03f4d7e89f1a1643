"""Conversations through a call, with everybody but the call played by the test."""

import base64
import json
from typing import Any

import msgspec
import pytest
from tests.regional.session.actors import Stage, caller_audio, heard_ms
from tests.regional.session.scripted_providers import ScriptedUtterance

from repartee.agent.agent import Agent
from repartee.turn.events import (
    EagerEndOfTurn,
    EndOfTurn,
    PartialTranscript,
    SpokenWord,
    StartOfTurn,
    TurnResumed,
)
from repartee.wire.settings_patch import SessionPatch


async def answered(stage: Stage, text: str, number: int = 1) -> ScriptedUtterance:
    """The brain says this, the voice begins to speak it."""
    thought = await stage.brain.asked(number)
    thought.says(text)
    thought.ends()
    utterance = await stage.voice.opened(number)
    await stage.bell.until(lambda: utterance.complete)
    return utterance


def audio_of(delta: dict[str, Any]) -> bytes:
    return base64.b64decode(delta["delta"])


async def test_a_turn_is_answered_aloud() -> None:
    async with Stage() as stage:
        await stage.turn("What time is it?")
        thought = await stage.brain.asked()
        assert thought.last_words == "What time is it?"
        assert "Be kind." in thought.request.messages[0]["content"]
        utterance = await answered(stage, "It is noon. ")
        assert "".join(utterance.said).strip() == "It is noon."
        utterance.speaks(400)
        assert len(audio_of(await stage.client.hears("response.output_audio.delta"))) == 400 * 48
        latency = await stage.client.hears("repartee.turn.latency")
        assert sum(latency["stages_ms"].values()) == pytest.approx(latency["voice_to_voice_ms"], abs=1)
        utterance.ends()
        done = await stage.client.hears("response.done")
        assert done["response"]["status"] == "completed"
        assert (await stage.client.hears("repartee.turn.finished"))["outcome"] == "answered"
    assert [(turn, outcome) for turn, outcome, _ in stage.notes.turns] == [(1, "answered")]


async def test_words_that_are_told_only_once_they_are_over_have_the_times_of_their_audio() -> None:
    """Recognition tells of the turn's beginning with its end, after all of the audio."""
    async with Stage() as stage:
        ears = await stage.ears.opened()
        stage.client.sends_audio(bytes(48 * 200) + caller_audio(300) + bytes(48 * 500))
        await stage.bell.until(lambda: heard_ms(ears) >= 990)
        ears.hears(StartOfTurn(), EndOfTurn("What time is it?"))
        started = await stage.client.hears("input_audio_buffer.speech_started")
        assert started["audio_start_ms"] == pytest.approx(200, abs=15)
        stopped = await stage.client.hears("input_audio_buffer.speech_stopped")
        assert stopped["audio_end_ms"] == pytest.approx(1_000, abs=2)
        heard = await stage.client.hears("conversation.item.input_audio_transcription.completed")
        assert heard["usage"]["seconds"] == pytest.approx(1.0, abs=0.002), "all that recognition was given"


async def test_the_first_words_are_spoken_while_the_model_still_thinks() -> None:
    async with Stage() as stage:
        await stage.turn("Tell me a story.")
        thought = await stage.brain.asked()
        thought.says("Once upon a time. ", "There was a")
        utterance = await stage.voice.opened()
        await stage.bell.until(lambda: utterance.said)
        assert not utterance.complete
        utterance.speaks(20)
        await stage.client.hears("response.output_audio.delta")
        assert not thought.stream.closed


async def test_an_answer_made_on_an_eager_end_is_held_until_the_turn_is_confirmed() -> None:
    async with Stage() as stage:
        ears = await stage.ears.opened()
        stage.client.sends_audio(caller_audio(100))
        ears.hears(StartOfTurn(), EagerEndOfTurn("How are you?"))
        utterance = await answered(stage, "Very well. ")
        utterance.speaks(40)
        utterance.ends()
        await stage.client.hears("repartee.transcript.partial")
        assert "response.created" not in stage.client.types
        ears.hears(EndOfTurn("How are you?"))
        await stage.client.hears("response.output_audio.delta")
        assert len(stage.brain.thoughts) == 1
    assert stage.notes.speculations == ["released"]


async def test_an_answer_made_too_early_is_thrown_away() -> None:
    async with Stage() as stage:
        ears = await stage.ears.opened()
        stage.client.sends_audio(caller_audio(100))
        ears.hears(StartOfTurn(), EagerEndOfTurn("I would like"))
        early = await stage.brain.asked()
        ears.hears(TurnResumed(), EndOfTurn("I would like a table."))
        thought = await stage.brain.asked(2)
        assert thought.last_words == "I would like a table."
        await stage.bell.until(lambda: early.stream.closed)
    assert stage.notes.speculations == ["resumed"]


async def test_the_caller_interrupts_and_only_what_was_heard_is_remembered() -> None:
    async with Stage() as stage:
        await stage.turn("Tell me a story.")
        utterance = await answered(stage, "One two three four five six. ")
        words = [
            SpokenWord(word, 60_000.0 * n, 60_000.0 * (n + 1))
            for n, word in enumerate(["one", "two", "three", "four", "five", "six"])
        ]
        utterance.speaks(2_000, *words)
        await stage.client.hears("response.output_audio.delta")
        ears = await stage.ears.opened()
        ears.hears(StartOfTurn(), PartialTranscript("Stop it please"))
        cancelled = await stage.client.hears("response.done")
        assert cancelled["response"]["status_details"]["reason"] == "turn_detected"
        await stage.bell.until(lambda: utterance.cancelled)
        ears.hears(EndOfTurn("Stop it please"))
        thought = await stage.brain.asked(2)
        assert "six" not in str(thought.request.messages)
    assert stage.notes.turns[0][:2] == (1, "interrupted")


async def test_a_greeting_opens_the_call() -> None:
    async with Stage(Agent(instructions="Be kind.", greeting="Good day.")) as stage:
        utterance = await stage.voice.opened()
        await stage.bell.until(lambda: utterance.complete)
        assert "".join(utterance.said) == "Good day."
        utterance.speaks(20)
        utterance.ends()
        done = await stage.client.hears("response.done")
        assert done["response"]["output"][0]["content"][0]["transcript"] == "Good day."
        assert stage.brain.thoughts == []


# --- what the client asks for ------------------------------------------------------------------------------------


def updates(stage: Stage, **session: Any) -> None:
    stage.client.sends("session.update", session={"type": "realtime", **session})


async def test_text_only_replies_open_no_voice() -> None:
    async with Stage() as stage:
        updates(stage, output_modalities=["text"])
        await stage.client.hears("session.updated")
        await stage.turn("Hello?")
        thought = await stage.brain.asked()
        thought.says("Good ", "day.")
        thought.ends()
        done = await stage.client.hears("response.done")
        assert done["response"]["output"][0]["content"] == [{"type": "output_text", "text": "Good day."}]
        assert stage.voice.asked == 0


async def test_one_response_may_be_text_only() -> None:
    async with Stage() as stage:
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello?"}]}
        stage.client.sends("conversation.item.create", item=item)
        stage.client.sends(
            "response.create", response={"output_modalities": ["text"], "instructions": "Rhyme."}
        )
        thought = await stage.brain.asked()
        assert "Rhyme." in thought.request.messages[0]["content"]
        thought.says("Hey.")
        thought.ends()
        assert (await stage.client.hears("response.output_text.done"))["text"] == "Hey."
        assert stage.voice.asked == 0


async def test_manual_turns_end_when_the_client_commits_and_are_answered_when_it_asks() -> None:
    async with Stage() as stage:
        updates(stage, audio={"input": {"turn_detection": None}})
        await stage.client.hears("session.updated")
        ears = await stage.ears.opened()
        stage.client.sends_audio(caller_audio(100))
        ears.hears(StartOfTurn(), PartialTranscript("Hello?"))
        await stage.client.hears("repartee.transcript.partial")
        stage.client.sends("input_audio_buffer.commit")
        await stage.bell.until(lambda: ears.turns_finished)
        ears.hears(EndOfTurn("Hello?"))
        await stage.client.hears("input_audio_buffer.committed")
        assert stage.brain.thoughts == []
        stage.client.sends("response.create")
        assert (await stage.brain.asked()).last_words == "Hello?"


async def test_nothing_can_be_committed_before_there_is_audio() -> None:
    async with Stage() as stage:
        stage.client.sends("input_audio_buffer.commit", event_id="mine")
        error = (await stage.client.hears("error"))["error"]
        assert (error["code"], error["event_id"]) == ("input_audio_buffer_commit_empty", "mine")


async def test_a_voice_named_in_mid_call_speaks_the_next_reply() -> None:
    async with Stage() as stage:
        updates(stage, audio={"output": {"voice": "ada"}})
        await stage.client.hears("session.updated")
        await stage.turn("Hello?")
        assert (await stage.voice.opened()).voice == "ada"


async def test_a_format_named_in_mid_call_holds_for_what_follows() -> None:
    async with Stage() as stage:
        ears = await stage.ears.opened()
        stage.client.sends_audio(caller_audio(100))
        await stage.bell.until(lambda: heard_ms(ears) > 90)
        before = heard_ms(ears)
        law = {"format": {"type": "audio/pcmu"}}
        updates(stage, audio={"input": law, "output": law})
        await stage.client.hears("session.updated")
        stage.client.sends_audio(b"\xff" * 800)
        await stage.bell.until(lambda: heard_ms(ears) > before + 90)
        assert heard_ms(ears) <= before + 100
        await stage.turn("Hello?")
        (await answered(stage, "Hi. ")).speaks(100)
        delta = await stage.client.hears("response.output_audio.delta")
        assert len(audio_of(delta)) == pytest.approx(800, abs=80)


async def test_a_token_may_bring_settings_along() -> None:
    patch = msgspec.convert(
        {
            "instructions": "From the token.",
            "audio": {"input": {"format": {"type": "audio/pcmu"}, "turn_detection": None}},
        },
        SessionPatch,
    )
    async with Stage(session=patch) as stage:
        session = stage.client.events[0]["session"]
        assert session["instructions"] == "From the token."
        ears = await stage.ears.opened()
        stage.client.sends_audio(b"\xff" * 1_600)
        await stage.bell.until(lambda: heard_ms(ears) > 190)
        ears.hears(StartOfTurn(), EndOfTurn("Hello?"))
        await stage.client.hears("repartee.transcript.partial")
        assert stage.brain.thoughts == []


async def test_the_clients_tools_are_asked_for_and_their_results_used() -> None:
    async with Stage() as stage:
        updates(stage, tools=[{"type": "function", "name": "balance", "parameters": {"type": "object"}}])
        await stage.client.hears("session.updated")
        await stage.turn("What is my balance?")
        thought = await stage.brain.asked()
        assert [tool["function"]["name"] for tool in thought.request.tools] == ["balance"]
        thought.calls("call_1", "balance", '{"account":7}')
        thought.ends("tool_calls")
        asked = await stage.client.hears("response.function_call_arguments.done")
        assert (asked["name"], asked["arguments"]) == ("balance", '{"account":7}')
        await stage.client.hears("response.done")
        output = {"type": "function_call_output", "call_id": "call_1", "output": "12 pounds"}
        stage.client.sends("conversation.item.create", item=output)
        stage.client.sends("response.create")
        follow_up = await stage.brain.asked(2)
        assert follow_up.request.messages[-1] == {
            "role": "tool",
            "tool_call_id": "call_1",
            "content": "12 pounds",
        }


async def test_a_response_can_be_cancelled() -> None:
    async with Stage() as stage:
        await stage.turn("Hello?")
        created = await stage.client.hears("response.created")
        stage.client.sends("response.cancel", response_id=created["response"]["id"])
        done = await stage.client.hears("response.done")
        assert done["response"]["status_details"]["reason"] == "client_cancelled"
        thought = await stage.brain.asked()
        await stage.bell.until(lambda: thought.stream.closed)
        stage.client.sends("response.cancel")
        assert (await stage.client.hears("error"))["error"]["code"] == "response_cancel_not_active"


async def test_a_second_response_is_refused_while_one_is_in_progress() -> None:
    async with Stage() as stage:
        await stage.turn("Hello?")
        await stage.brain.asked()
        await stage.client.hears("response.created")
        stage.client.sends("response.create")
        code = (await stage.client.hears("error"))["error"]["code"]
        assert code == "conversation_already_has_active_response"


async def test_what_the_client_played_is_what_was_heard() -> None:
    async with Stage() as stage:
        await stage.turn("Count.")
        utterance = await answered(stage, "One two three four. ")
        words = [
            SpokenWord(word, 500.0 * n, 500.0 * (n + 1))
            for n, word in enumerate(["One", "two", "three", "four"])
        ]
        utterance.speaks(2_000, *words)
        utterance.ends()
        item_id = (await stage.client.hears("response.output_audio.delta"))["item_id"]
        await stage.client.hears("response.done")
        stage.client.sends("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=1_000)
        assert (await stage.client.hears("conversation.item.truncated"))["audio_end_ms"] == 1_000
        stage.client.sends("conversation.item.retrieve", item_id=item_id)
        item = (await stage.client.hears("conversation.item.retrieved"))["item"]
        assert item["content"][0]["transcript"] == "One two"


@pytest.mark.parametrize(
    ("event", "code"),
    [
        ({"type": "conversation.item.retrieve"}, "item_retrieve_invalid_item_id"),
        ({"type": "conversation.item.delete"}, "item_delete_invalid_item_id"),
        ({"type": "conversation.item.truncate", "audio_end_ms": 5}, "item_truncate_invalid_item_id"),
    ],
)
async def test_items_that_are_not_there(event: dict[str, Any], code: str) -> None:
    async with Stage() as stage:
        stage.client.sends_text(json.dumps({"item_id": "nowhere", **event}))
        assert (await stage.client.hears("error"))["error"]["code"] == code


async def test_items_can_be_added_read_and_taken_away() -> None:
    async with Stage() as stage:
        for item_id, text in (("b", "second"), ("a", "first")):
            stage.client.sends(
                "conversation.item.create",
                previous_item_id="root",
                item={
                    "id": item_id,
                    "type": "message",
                    "role": "user",
                    "content": [{"type": "input_text", "text": text}],
                },
            )
        await stage.client.hears("conversation.item.done")
        stage.client.sends("conversation.item.delete", item_id="b")
        await stage.client.hears("conversation.item.deleted")
        stage.client.sends("response.create")
        thought = await stage.brain.asked()
        assert [m["content"] for m in thought.request.messages if m["role"] == "user"] == ["first"]


# --- binary mode -------------------------------------------------------------------------------------------------


async def test_in_binary_mode_audio_is_bare_both_ways() -> None:
    async with Stage(binary=True) as stage:
        ears = await stage.ears.opened()
        stage.client.sends_bytes(caller_audio(100))
        await stage.bell.until(lambda: heard_ms(ears) > 90)
        await stage.turn("Hello?")
        (await answered(stage, "Hi. ")).speaks(50)
        await stage.bell.until(lambda: stage.client.audio)
        assert len(stage.client.audio) == 50 * 48
        assert "response.output_audio.delta" not in stage.client.types


async def test_events_with_base64_audio_are_taken_in_binary_mode_too() -> None:
    async with Stage(binary=True) as stage:
        ears = await stage.ears.opened()
        stage.client.sends_audio(caller_audio(100))
        await stage.bell.until(lambda: heard_ms(ears) > 90)


async def test_a_binary_frame_in_an_ordinary_session_is_a_mistake_and_the_call_goes_on() -> None:
    async with Stage() as stage:
        stage.client.sends_bytes(b"\x00\x00")
        error = (await stage.client.hears("error"))["error"]
        assert error["code"] == "unexpected_binary_frame"
        assert "?audio=binary" in error["message"]
        await stage.turn("Hello?")
        await stage.brain.asked()
