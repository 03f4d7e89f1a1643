"""The server's events for scripted turns of a conversation: their order, and their shape as the openai SDK has it."""

from typing import Any

import pytest
from tests.regional.wire.announced_client import (
    CALLER_IS_DONE,
    CALLER_SPEAKS,
    NULLABLE,
    Client,
    answer,
    plain_turn,
)

from repartee.errors import ClientProtocolError
from repartee.turn import commands as c
from repartee.turn.history import FunctionCall, FunctionOutput, Message
from repartee.turn.usage import TokenUsage
from repartee.wire.client_events import ResponseParams
from repartee.wire.realtime_objects import reply_id_of
from repartee.wire.session_settings import SessionSettings


@pytest.fixture
def client() -> Client:
    return Client()


def test_a_plain_turn_is_told_in_openais_order(client: Client) -> None:
    plain_turn(client)
    assert [type_ for type_ in client.types if not type_.startswith("repartee.")] == [
        "input_audio_buffer.speech_started",
        "conversation.item.input_audio_transcription.delta",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "conversation.item.input_audio_transcription.delta",
        "conversation.item.input_audio_transcription.completed",
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_audio_transcript.delta",
        "response.output_audio.delta",
        "response.output_audio_transcript.delta",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]


def test_our_own_events_come_beside_it(client: Client) -> None:
    plain_turn(client)
    assert [type_ for type_ in client.types if type_.startswith("repartee.")] == [
        "repartee.transcript.partial",
        "repartee.transcript.partial",
        "repartee.turn.latency",
        "repartee.response.usage",
        "repartee.turn.finished",
    ]
    latency = client.one("repartee.turn.latency")
    assert latency["voice_to_voice_ms"] == sum(latency["stages_ms"].values())
    assert (latency["call_id"], latency["region"], latency["response_id"]) == ("abc", "eu-west", "resp_abc_1")
    assert latency["providers"]["stt"] == "deepgram/flux"
    assert client.one("repartee.turn.finished")["outcome"] == "answered"


def test_every_event_has_an_id_of_its_own(client: Client) -> None:
    plain_turn(client)
    ids = [event["event_id"] for event in client.raw]
    assert len(set(ids)) == len(ids)


def test_nothing_is_null_that_the_sdk_does_not_have_as_optional(client: Client) -> None:
    plain_turn(client)

    def nulls(value: Any) -> set[str]:
        if isinstance(value, dict):
            inner = [nulls(v) for v in value.values()]
            return {k for k, v in value.items() if v is None}.union(*inner)
        return set().union(*map(nulls, value)) if isinstance(value, list) else set()

    standard = [event for event in client.raw if not event["type"].startswith("repartee.")]
    assert nulls(standard) <= NULLABLE


def test_items_are_chained_to_those_before_them(client: Client) -> None:
    plain_turn(client)
    chained = [
        (event["item"]["id"], event["previous_item_id"])
        for event in client.raw
        if event["type"] in ("conversation.item.added", "conversation.item.done")
    ]
    assert chained == [("item_1", "item_0")] * 2 + [("item_2", "item_1")] * 2
    assert client.one("input_audio_buffer.committed")["previous_item_id"] == "item_0"


def test_times_are_those_of_the_clients_audio(client: Client) -> None:
    plain_turn(client)
    assert client.one("input_audio_buffer.speech_started")["audio_start_ms"] == 1_000
    assert client.one("input_audio_buffer.speech_stopped")["audio_end_ms"] == 2_750
    heard = client.one("conversation.item.input_audio_transcription.completed")
    assert heard["transcript"] == "What time is it?"
    assert heard["usage"] == {"type": "duration", "seconds": 2.75}, "all that recognition was given"


def test_a_response_tells_the_settings_it_was_made_with(client: Client) -> None:
    client.take(client.announcer.session("session.updated", SessionSettings(voice="ada", max_tokens=99)))
    plain_turn(client)
    for type_ in ("response.created", "response.done"):
        response = client.one(type_)["response"]
        assert response["id"] == "resp_abc_1"
        assert response["conversation_id"] == "conv_abc"
        assert response["output_modalities"] == ["audio"]
        assert response["max_output_tokens"] == 99
        assert response["audio"]["output"] == {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "ada"}
    assert client.one("response.created")["response"]["output"] == []


def test_a_responses_own_settings_come_first(client: Client) -> None:
    options = ResponseParams(output_modalities=["text"], max_output_tokens=5, metadata={"topic": "time"})
    client.tell(c.ReplyStarted(1, 1, options), c.ReplyEnded(1, 1, "completed", None))
    for type_ in ("response.created", "response.done"):
        response = client.one(type_)["response"]
        assert response["output_modalities"] == ["text"]
        assert response["max_output_tokens"] == 5
        assert response["metadata"] == {"topic": "time"}


def test_the_last_word_holds_the_whole_answer(client: Client) -> None:
    plain_turn(client)
    [item] = client.one("response.done")["response"]["output"]
    assert item["content"] == [{"type": "output_audio", "transcript": "It is noon."}]
    assert item["status"] == "completed"
    assert client.one("response.done")["response"]["status"] == "completed"


def test_a_response_tells_what_it_has_used(client: Client) -> None:
    client.tell(c.ReplyStarted(1, 1), c.AnswerStarted(1, answer(), None), c.ReplyWords(1, "Noon."))
    message = answer("Noon.")
    message.audio_ms = 480.0
    tokens = TokenUsage(input_tokens=120, output_tokens=7, cached_tokens=64)
    client.tell(c.ReplyEnded(1, 1, "completed", message, tokens=tokens, characters=5))
    assert client.one("response.done")["response"]["usage"] == {
        "total_tokens": 127,
        "input_tokens": 120,
        "output_tokens": 7,
        "input_token_details": {"text_tokens": 120, "audio_tokens": 0, "cached_tokens": 64},
        "output_token_details": {"text_tokens": 7, "audio_tokens": 0},
    }
    own = client.one("repartee.response.usage")
    assert (own["response_id"], own["characters"], own["audio_seconds"]) == ("resp_abc_1", 5, 0.48)
    assert (own["input_tokens"], own["output_tokens"], own["cached_tokens"]) == (120, 7, 64)


def test_what_nobody_has_counted_is_zero_for_clients_that_read_it(client: Client) -> None:
    client.tell(c.ReplyStarted(1, 1), c.ReplyEnded(1, 1, "completed", None))
    usage = client.one("response.done")["response"]["usage"]
    assert usage["total_tokens"] == usage["input_tokens"] == usage["output_tokens"] == 0


def test_each_second_of_audio_is_counted_in_one_turn(client: Client) -> None:
    client.tell(*CALLER_SPEAKS, audio_ms=1_000)
    client.tell(CALLER_IS_DONE, audio_ms=2_750)
    client.tell(c.TurnStarted(2, "item_5"), c.TurnEnded(2, "item_5", None), audio_ms=5_000)
    client.tell(c.TurnStarted(3, "item_6"), audio_ms=6_000)
    client.tell(c.TurnEnded(3, "item_6", Message("item_6", "user", "And now?"), None), audio_ms=7_500)
    told = [event["usage"]["seconds"] for event in client.raw if "usage" in event]
    assert told == [2.75, 4.75]
    assert sum(told) == 7.5


def test_a_turn_without_words_makes_no_item(client: Client) -> None:
    client.tell(c.TurnStarted(1, "item_1"), c.TurnEnded(1, "item_1", None))
    assert client.types == ["input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped"]


def test_text_only(client: Client) -> None:
    client.tell(
        c.ReplyStarted(1, 1), c.AnswerStarted(1, answer(spoken=False), None), c.ReplyWords(1, "Noon.")
    )
    client.tell(c.ReplyEnded(1, 1, "completed", answer("Noon.", spoken=False)))
    assert client.types == [
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
        "repartee.response.usage",
    ]
    assert client.one("response.output_text.done")["text"] == "Noon."
    assert client.one("response.content_part.added")["part"] == {"type": "text", "text": ""}
    [item] = client.one("response.done")["response"]["output"]
    assert item["content"] == [{"type": "output_text", "text": "Noon."}]


def test_a_barge_in(client: Client) -> None:
    client.tell(
        c.ReplyStarted(1, 1), c.AnswerStarted(1, answer(), None), c.ReplyWords(1, "Once upon a time.")
    )
    client.tell(c.AnswerCut("item_2", 812.4, "Once upon"))
    client.tell(c.ReplyEnded(1, 1, "cancelled", answer("Once upon a time."), "turn_detected"))
    client.tell(c.TurnFinished(1, "interrupted", None), c.TurnStarted(2, "item_3"), audio_ms=9_000)
    assert client.one("conversation.item.truncated")["audio_end_ms"] == 812
    done = client.one("response.done")["response"]
    assert (done["status"], done["status_details"]) == (
        "cancelled",
        {"type": "cancelled", "reason": "turn_detected"},
    )
    assert [item["status"] for item in done["output"]] == ["incomplete"]
    assert client.one("response.output_item.done")["item"]["status"] == "incomplete"
    assert client.types[-1] == "input_audio_buffer.speech_started"


def test_a_response_cancelled_before_its_first_word(client: Client) -> None:
    client.tell(c.ReplyStarted(1, 1), c.ReplyEnded(1, 1, "cancelled", None, "client_cancelled"))
    assert client.types == ["response.created", "response.done", "repartee.response.usage"]
    assert client.one("response.done")["response"]["output"] == []


def test_a_response_cut_at_its_length(client: Client) -> None:
    client.tell(c.ReplyStarted(1, 1), c.AnswerStarted(1, answer(), None), c.ReplyWords(1, "And so"))
    client.tell(c.ReplyEnded(1, 1, "incomplete", answer("And so"), "max_output_tokens"))
    done = client.one("response.done")["response"]
    assert done["status_details"] == {"type": "incomplete", "reason": "max_output_tokens"}


def test_a_failure_is_told_in_words(client: Client) -> None:
    client.tell(c.ReplyStarted(1, 1), c.ReplyEnded(1, 1, "failed", None, "openai did not answer in time."))
    done = client.one("response.done")["response"]
    assert done["status"] == "failed"
    assert done["status_details"]["error"]["message"] == "openai did not answer in time."


def test_a_tool_call_and_its_result(client: Client) -> None:
    call = FunctionCall("item_2", "call_1", "lookup", '{"id":7}')
    client.tell(
        c.ReplyStarted(1, 1), c.ToolRequested(1, call, "item_1"), c.ReplyEnded(1, 1, "completed", None)
    )
    client.tell(c.ItemAdded(FunctionOutput("item_3", "call_1", "Ada"), "item_2"))
    assert client.types == [
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
        "repartee.response.usage",
        "conversation.item.added",
        "conversation.item.done",
    ]
    added = next(event for event in client.raw if event["type"] == "response.output_item.added")
    assert (added["item"]["arguments"], added["item"]["status"]) == ("", "in_progress")
    done = client.one("response.function_call_arguments.done")
    assert (done["name"], done["arguments"], done["call_id"]) == ("lookup", '{"id":7}', "call_1")
    [item] = client.one("response.done")["response"]["output"]
    assert (item["type"], item["arguments"]) == ("function_call", '{"id":7}')
    assert client.raw[-1]["item"]["type"] == "function_call_output"
    assert client.raw[-1]["previous_item_id"] == "item_2"


def test_words_before_a_tool_call_keep_their_place(client: Client) -> None:
    call = FunctionCall("item_3", "call_1", "lookup", "{}")
    client.tell(c.ReplyStarted(1, 1), c.AnswerStarted(1, answer(), None), c.ReplyWords(1, "One moment."))
    client.tell(c.ToolRequested(1, call, "item_2"), c.ReplyEnded(1, 1, "completed", answer("One moment.")))
    added = [event for event in client.raw if event["type"] == "response.output_item.added"]
    assert [(event["output_index"], event["item"]["type"]) for event in added] == [
        (0, "message"),
        (1, "function_call"),
    ]
    done = client.one("response.done")["response"]
    assert [item["type"] for item in done["output"]] == ["message", "function_call"]
    assert client.one("response.output_audio.done")["output_index"] == 0


def test_replies_can_be_found_by_the_clients_name_for_them(client: Client) -> None:
    client.tell(c.ReplyStarted(4, 1))
    assert reply_id_of("abc", client.one("response.created")["response"]["id"]) == 4


@pytest.mark.parametrize(
    "name",
    ["", "resp_abc_", "resp_abc_04", "resp_abc_-1", "resp_xyz_4", "resp_abc_4 ", "4", "resp_abc_\u0664"],
)
def test_other_names_are_no_replies(name: str) -> None:
    assert reply_id_of("abc", name) is None


def test_audio_of_a_reply_that_is_over_is_not_told(client: Client) -> None:
    assert client.announcer.audio_delta(1) is None
    client.tell(c.ReplyStarted(1, 1))
    assert client.announcer.audio_delta(1) is None
    client.tell(c.AnswerStarted(1, answer(), None))
    assert client.announcer.audio_delta(1) is not None
    client.tell(c.ReplyEnded(1, 1, "completed", answer("")))
    assert client.announcer.audio_delta(1) is None


@pytest.mark.parametrize("role", ["user", "system", "assistant"])
def test_items_that_the_client_adds(client: Client, role: Any) -> None:
    client.tell(c.ItemAdded(Message("mine", role, "Hello."), None))
    assert client.types == ["conversation.item.added", "conversation.item.done"]
    assert client.raw[0]["item"]["role"] == role


def test_the_session(client: Client) -> None:
    client.take(client.announcer.session("session.created", SessionSettings()))
    assert client.raw[0]["session"]["id"] == "sess_abc"


def test_mistakes_and_failures_have_openais_shape(client: Client) -> None:
    mistake = ClientProtocolError("No.", code="invalid_value", param="session", event_id="mine")
    client.take(client.announcer.error(mistake), client.announcer.failure("Gone.", "stt_failed"))
    first, second = (event["error"] for event in client.raw)
    assert first == {
        "type": "invalid_request_error",
        "code": "invalid_value",
        "message": "No.",
        "param": "session",
        "event_id": "mine",
    }
    assert (second["type"], second["code"]) == ("server_error", "stt_failed")


def test_commands_that_are_not_the_clients_business_are_not_told(client: Client) -> None:
    client.tell(
        c.Play(1, b""),
        c.Say(1, "x"),
        c.StopReply(1),
        c.EndHearing(),
        c.SetDeadline("x", 1.0),
        c.ClearDeadline("x"),
        c.SpeculationEnded(1, "released"),
    )
    assert client.raw == []


def own_tool_turn() -> list[c.Command]:
    """A turn in which the agent runs a tool of its own before it answers."""
    call = FunctionCall("item_2", "call_1", "lookup", '{"id":7}', own=True)
    return [
        c.TurnHeard(1, "item_1", "Who is 7?"),
        c.ReplyStarted(1, 1),
        c.ToolRequested(1, call, "item_1"),
        c.RunTool(1, "call_1", "lookup", '{"id":7}'),
        c.ReplyEnded(1, 1, "completed", None),
        c.ItemAdded(FunctionOutput("item_3", "call_1", "Ada", own=True), "item_1"),
        c.ItemRemoved("item_3"),
        c.TurnFinished(1, "answered", None),
    ]


def test_an_own_tools_call_and_result_are_no_events_of_openais(client: Client) -> None:
    client.tell(*own_tool_turn())
    assert client.types == [
        "repartee.transcript.partial",
        "response.created",
        "repartee.tool.called",
        "response.done",
        "repartee.response.usage",
        "repartee.tool.answered",
        "repartee.turn.finished",
    ]
    called, answered = client.one("repartee.tool.called"), client.one("repartee.tool.answered")
    assert (called["name"], called["arguments"]) == ("lookup", '{"id":7}')
    assert (called["call_id"], answered["call_id"], answered["output"]) == ("call_1", "call_1", "Ada")
    assert client.one("response.done")["response"]["output"] == []


def test_a_client_that_does_not_ask_gets_openais_events_alone() -> None:
    client = Client(asks=False).tell(*own_tool_turn())
    assert client.types == ["response.created", "response.done"]
