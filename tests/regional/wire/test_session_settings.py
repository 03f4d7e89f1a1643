"""A session's settings: partial updates, applied as a whole or not at all."""

import json
from typing import Any

import msgspec
import pytest
from openai.types.realtime import SessionUpdatedEvent
from pydantic import TypeAdapter

from repartee.errors import ClientProtocolError
from repartee.wire.audio_format import PCM_RATES_HZ, WireFormat
from repartee.wire.client_events import ResponseParams
from repartee.wire.session_settings import (
    DEFAULT_VOICE,
    MAX_OUTPUT_TOKENS,
    SessionSettings,
    chat_tool_choice,
    chat_tools,
    checked_response,
)
from repartee.wire.settings_patch import MAX_SCHEMA_DEPTH, FunctionTool, SessionPatch

BEFORE = SessionSettings(instructions="Be kind.", voice="ada", max_tokens=150)


def patch(**session: Any) -> SessionPatch:
    return msgspec.json.decode(json.dumps(session), type=SessionPatch)


def refused(**session: Any) -> ClientProtocolError:
    with pytest.raises(ClientProtocolError) as caught:
        BEFORE.updated(patch(**session))
    return caught.value


def test_an_empty_update_changes_nothing() -> None:
    assert BEFORE.updated(patch(type="realtime")) == BEFORE


def test_an_update_changes_what_it_names_and_nothing_else() -> None:
    after = BEFORE.updated(patch(instructions="Be brief."))
    assert (after.instructions, after.voice, after.max_tokens) == ("Be brief.", "ada", 150)
    assert BEFORE.instructions == "Be kind."


def test_updates_add_up() -> None:
    after = BEFORE.updated(patch(audio={"input": {"format": {"type": "audio/pcmu"}}}))
    after = after.updated(patch(audio={"output": {"format": {"type": "audio/pcma"}}}))
    assert (after.input_format.encoding, after.output_format.encoding) == ("audio/pcmu", "audio/pcma")


def test_an_update_with_one_fault_changes_nothing_at_all() -> None:
    error = refused(
        instructions="New.", output_modalities=["text"], audio={"input": {"format": {"rate": 44100}}}
    )
    assert error.param == "session.audio.input.format"
    assert "44100" in str(error)
    assert BEFORE.instructions == "Be kind."


def test_turn_detection_null_is_manual_and_absent_is_unchanged() -> None:
    manual = BEFORE.updated(patch(audio={"input": {"turn_detection": None}}))
    assert manual.turn_detection is None
    assert manual.updated(patch(audio={"input": {}})).turn_detection is None
    again = manual.updated(patch(audio={"input": {"turn_detection": {"type": "server_vad"}}}))
    assert again.turn_detection is not None
    assert again.turn_detection.replies


@pytest.mark.parametrize("rate", PCM_RATES_HZ)
def test_pcm_rates(rate: int) -> None:
    after = BEFORE.updated(patch(audio={"input": {"format": {"type": "audio/pcm", "rate": rate}}}))
    assert after.input_format == WireFormat("audio/pcm", rate)


def test_pcm_without_a_rate_is_24_khz() -> None:
    low = BEFORE.updated(patch(audio={"input": {"format": {"rate": 8000}}}))
    assert low.updated(patch(audio={"input": {"format": {"type": "audio/pcm"}}})).input_format.hz == 24_000


def test_g711_is_at_8_khz_and_at_nothing_else() -> None:
    for law in ("audio/pcmu", "audio/pcma"):
        assert BEFORE.updated(patch(audio={"output": {"format": {"type": law}}})).output_format.hz == 8_000
        error = refused(audio={"output": {"format": {"type": law, "rate": 16000}}})
        assert error.param == "session.audio.output.format"


@pytest.mark.parametrize("modalities", [[], ["text", "audio"]])
def test_exactly_one_modality(modalities: list[str]) -> None:
    assert refused(output_modalities=modalities).param == "session.output_modalities"


def test_text_only_and_back() -> None:
    text = BEFORE.updated(patch(output_modalities=["text"]))
    assert not text.spoken
    assert text.updated(patch(output_modalities=["audio"])).spoken


def test_tokens_are_bounded() -> None:
    assert BEFORE.updated(patch(max_output_tokens="inf")).max_tokens == MAX_OUTPUT_TOKENS
    for wrong in (0, -1, MAX_OUTPUT_TOKENS + 1, 10**40):
        assert refused(max_output_tokens=wrong).param == "session.max_output_tokens"


def test_tools_replace_those_before() -> None:
    one = BEFORE.updated(patch(tools=[{"type": "function", "name": "one"}]))
    two = one.updated(patch(tools=[{"type": "function", "name": "two", "description": "Second."}]))
    assert [tool.name for tool in two.tools] == ["two"]
    assert two.updated(patch(tools=[])).tools == ()


def test_tools_need_names_of_their_own() -> None:
    assert refused(tools=[{"name": "a"}, {"name": "a"}]).param == "session.tools[1].name"
    assert refused(tools=[{"name": ""}]).param == "session.tools[0].name"


def test_tools_reach_the_model_in_its_own_form() -> None:
    parameters = msgspec.Raw(b'{"type":"object"}')
    tool = FunctionTool("lookup", description="Looks up.", parameters=parameters)
    assert msgspec.json.decode(msgspec.json.encode(chat_tools([tool]))) == [
        {
            "type": "function",
            "function": {"name": "lookup", "description": "Looks up.", "parameters": {"type": "object"}},
        }
    ]
    chosen = BEFORE.updated(patch(tool_choice={"type": "function", "name": "lookup"}))
    assert chat_tool_choice(chosen.tool_choice) == "lookup"
    assert chat_tool_choice(BEFORE.tool_choice) == "auto"


def test_voices_by_name_or_by_id_and_the_default_again() -> None:
    assert BEFORE.updated(patch(audio={"output": {"voice": "grace"}})).voice == "grace"
    assert BEFORE.updated(patch(audio={"output": {"voice": {"id": "v1"}}})).voice == "v1"
    assert BEFORE.updated(patch(audio={"output": {"voice": DEFAULT_VOICE}})).voice is None


def test_language_and_prompt_of_the_transcription() -> None:
    after = BEFORE.updated(patch(audio={"input": {"transcription": {"language": "de", "prompt": "Namen"}}}))
    assert (after.language, after.transcription_prompt) == ("de", "Namen")
    assert after.updated(patch(audio={"input": {"transcription": None}})).language == "de"


def test_the_session_object_is_the_sdks() -> None:
    config = BEFORE.updated(
        patch(
            tools=[{"name": "lookup"}],
            tool_choice="required",
            audio={
                "input": {"format": {"type": "audio/pcma"}, "turn_detection": {"type": "server_vad"}},
                "output": {"format": {"type": "audio/pcmu"}},
            },
        )
    )
    told = {"type": "session.updated", "event_id": "e", "session": config.as_json("sess_1")}
    session = TypeAdapter(SessionUpdatedEvent).validate_json(msgspec.json.encode(told)).session
    assert session.type == "realtime"
    assert session.instructions == "Be kind."
    assert session.max_output_tokens == 150
    assert session.tool_choice == "required"
    assert session.audio is not None
    assert session.audio.input is not None
    assert session.audio.output is not None
    assert session.audio.input.format is not None
    assert session.audio.input.format.type == "audio/pcma"
    assert session.audio.output.voice == "ada"


def test_the_session_object_can_be_sent_back_as_an_update() -> None:
    for config in (BEFORE, SessionSettings()):
        told = {key: value for key, value in config.as_json("sess_1").items() if key not in ("id", "object")}
        assert config.updated(patch(**told)).as_json("sess_1") == config.as_json("sess_1")


def test_a_tools_parameters_are_an_object() -> None:
    assert refused(tools=[{"name": "x", "parameters": [1]}]).param == "session.tools[0].parameters"


def test_brackets_in_texts_are_not_nested() -> None:
    text = r"[{\\" * 100 + r"\"[["
    BEFORE.updated(patch(tools=[{"name": "x", "parameters": {"type": "object", text: [text, {}, [[]]]}}]))


@pytest.mark.parametrize("depth", [MAX_SCHEMA_DEPTH + 1, 500])
def test_tools_may_be_nested_only_so_deep(depth: int) -> None:
    def nested(levels: int) -> SessionPatch:
        inner = '{"type":"object","properties":' + '{"a":' * (levels - 1) + "true" + "}" * levels
        return msgspec.json.decode(f'{{"tools":[{{"name":"x","parameters":{inner}}}]}}', type=SessionPatch)

    fine = BEFORE.updated(nested(MAX_SCHEMA_DEPTH - 1))
    assert msgspec.json.encode(fine.as_json("sess_1"))
    with pytest.raises(ClientProtocolError, match="nested more than 64 levels") as caught:
        BEFORE.updated(nested(depth))
    assert caught.value.param == "session.tools[0].parameters"


def test_a_response_may_have_settings_of_its_own() -> None:
    params = ResponseParams(output_modalities=["text"], max_output_tokens=20, instructions="Short.")
    assert checked_response(params) is params


@pytest.mark.parametrize(
    ("params", "param"),
    [
        (ResponseParams(output_modalities=["text", "audio"]), "response.output_modalities"),
        (ResponseParams(max_output_tokens=0), "response.max_output_tokens"),
        (ResponseParams(tools=[FunctionTool("a"), FunctionTool("a")]), "response.tools[1].name"),
    ],
)
def test_what_a_response_cannot_be_given_is_named(params: ResponseParams, param: str) -> None:
    with pytest.raises(ClientProtocolError) as caught:
        checked_response(params)
    assert caught.value.param == param


def test_a_transcription_model_is_named_where_one_was_chosen_and_is_never_null() -> None:
    """Pipecat's session refuses null there, and listens to nothing that comes after it."""
    assert "model" not in BEFORE.as_json("sess_1")["audio"]["input"]["transcription"]
    chosen = BEFORE.updated(patch(audio={"input": {"transcription": {"model": "whisper-1"}}}))
    assert chosen.as_json("sess_1")["audio"]["input"]["transcription"]["model"] == "whisper-1"
