"""What a cascade cannot do is refused by its name; what a chat API would refuse later, at once."""

import json
from typing import Any

import msgspec
import pytest

from repartee.errors import ClientProtocolError
from repartee.wire import doorstep
from repartee.wire.client_events import ResponseParams
from repartee.wire.session_settings import SessionSettings, check_own, checked_response, checked_tools
from repartee.wire.settings_patch import FunctionChoice, FunctionTool, SessionPatch
from repartee.wire.unmet import check_response, check_session, mcp_tools


def session(**fields: Any) -> SessionPatch:
    return msgspec.json.decode(json.dumps(fields), type=SessionPatch)


def tools(*declared: dict[str, Any]) -> list[FunctionTool]:
    return msgspec.json.decode(json.dumps(declared), type=list[FunctionTool])


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"audio": {"output": {"speed": 1.2}}}, "session.audio.output.speed"),
        (
            {"audio": {"input": {"noise_reduction": {"type": "near_field"}}}},
            "session.audio.input.noise_reduction",
        ),
        (
            {"audio": {"input": {"transcription": {"delay": "low"}}}},
            "session.audio.input.transcription.delay",
        ),
        (
            {"audio": {"input": {"transcription": {"keywords": ["a"]}}}},
            "session.audio.input.transcription.keywords",
        ),
        ({"truncation": "disabled"}, "session.truncation"),
        ({"truncation": {"type": "retention_ratio", "retention_ratio": 0.8}}, "session.truncation"),
        ({"include": ["item.input_audio_transcription.logprobs"]}, "session.include"),
        ({"prompt": {"id": "pmpt_1"}}, "session.prompt"),
        ({"reasoning": {"effort": "low"}}, "session.reasoning"),
        ({"parallel_tool_calls": False}, "session.parallel_tool_calls"),
    ],
)
def test_a_setting_that_cannot_be_met_is_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(ClientProtocolError, match=param.replace(".", r"\.")) as refused:
        check_session(session(**fields))
    assert (refused.value.code, refused.value.param) == ("unsupported_parameter", param)


@pytest.mark.parametrize(
    "fields",
    [
        {"audio": {"output": {"speed": 1.0}, "input": {"noise_reduction": None, "transcription": None}}},
        {"truncation": "auto"},
        {"include": []},
        {"include": None, "prompt": None, "reasoning": None, "parallel_tool_calls": True},
    ],
)
def test_what_changes_nothing_is_taken(fields: dict[str, Any]) -> None:
    check_session(session(**fields))


def test_transcription_sessions_are_refused() -> None:
    with pytest.raises(ClientProtocolError) as refused:
        SessionSettings().updated(session(type="transcription"))
    assert refused.value.param == "session.type"


@pytest.mark.parametrize(
    "tracing", [None, "auto", {"workflow_name": "shop", "group_id": "g", "metadata": {"a": 1}}]
)
def test_tracing_is_shown_as_it_was_set(tracing: Any) -> None:
    assert SessionSettings().updated(session(tracing=tracing)).as_json("s")["tracing"] == tracing


@pytest.mark.parametrize("tracing", ["on", {"workflow": "shop"}, [1], {"metadata": {"a": "x" * 20_000}}])
def test_other_tracing_is_refused(tracing: Any) -> None:
    with pytest.raises(ClientProtocolError) as refused:
        SessionSettings().updated(session(tracing=tracing))
    assert refused.value.param == "session.tracing"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": {"id": "p"}}, "response.prompt"),
        ({"reasoning": {"effort": "high"}}, "response.reasoning"),
        ({"parallel_tool_calls": False}, "response.parallel_tool_calls"),
        ({"audio": {"output": {"speed": 0.5}}}, "response.audio.output.speed"),
        ({"audio": {"output": {"format": {"type": "audio/pcmu"}}}}, "response.audio.output.format"),
    ],
)
def test_so_is_a_responses_own(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(ClientProtocolError) as refused:
        check_response(msgspec.json.decode(json.dumps(fields), type=ResponseParams))
    assert refused.value.param == param


@pytest.mark.parametrize("name", ["get weather", "get.weather", "wetter_für", "a/b", "x\n"])
def test_a_name_that_a_chat_api_refuses_is_refused_at_once(name: str) -> None:
    with pytest.raises(ClientProtocolError, match=r"does not match pattern") as refused:
        checked_tools(tools({"name": "fine"}, {"name": name}), "session.tools")
    assert refused.value.param == "session.tools[1].name"


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string"},
        {"type": "array", "items": {}},
        {"properties": {}},
        {"type": "object", "properties": []},
        {"type": "object", "properties": {"a": {"type": "text"}}},
        {"type": "object", "properties": {"a": {"type": "array"}}},
        {"type": "object", "properties": {"a": {"anyOf": [{"type": "array"}]}}},
        {"type": "object", "properties": {}, "required": "a"},
        {"type": "object", "properties": {"a": {"enum": []}}},
    ],
)
def test_so_is_a_schema(schema: Any) -> None:
    with pytest.raises(ClientProtocolError, match="Invalid schema for function 'f'") as refused:
        checked_tools(tools({"name": "f", "parameters": schema}), "session.tools")
    assert (refused.value.code, refused.value.param) == (
        "invalid_function_parameters",
        "session.tools[0].parameters",
    )


@pytest.mark.parametrize("schema", [None, {}, {"type": "object"}, {"type": "object", "properties": {}}])
def test_a_function_without_parameters_has_none(schema: Any) -> None:
    [tool] = checked_tools(tools({"name": "f", "parameters": schema}), "session.tools")
    assert json.loads(bytes(tool.parameters)) == {"type": "object", "properties": {}}


def test_an_agents_own_tool_keeps_its_name() -> None:
    with pytest.raises(ClientProtocolError) as refused:
        check_own(tools({"name": "a"}, {"name": "book"}), None, frozenset(["book"]), "session")
    assert refused.value.param == "session.tools[1].name"


@pytest.mark.parametrize("choice", [FunctionChoice("nobody"), "required"])
def test_a_choice_is_one_that_there_is(choice: Any) -> None:
    with pytest.raises(ClientProtocolError) as refused:
        check_own([], choice, frozenset(), "response")
    assert refused.value.param == "response.tool_choice"
    check_own([], choice, frozenset(["nobody"]), "response")


def test_an_mcp_tool_is_named_and_the_others_hold() -> None:
    declared = tools({"name": "f"}, {"type": "mcp", "server_label": "x", "server_url": "https://x.example"})
    assert [tool.name for tool in checked_tools(declared, "session.tools")] == ["f"]
    refusal = mcp_tools(declared, "session.tools")
    assert refusal is not None
    assert (refusal.code, refusal.param) == ("unsupported_parameter", "session.tools[1]")
    assert mcp_tools(declared[:1], "session.tools") is None


def test_a_response_keeps_its_settings() -> None:
    params = ResponseParams(tools=tools({"name": "f"}), metadata={"a": "b"})
    assert checked_response(params).metadata == {"a": "b"}


@pytest.mark.parametrize(
    ("query", "headers", "offered", "code"),
    [
        ({}, {"openai-beta": "realtime=v1"}, [], "beta_api_shape_disabled"),
        ({}, {"openai-beta": "assistants=v2, realtime=v1"}, [], "beta_api_shape_disabled"),
        ({}, {}, ["realtime", "openai-beta.realtime-v1"], "beta_api_shape_disabled"),
        ({"intent": "transcription"}, {}, [], "unsupported_parameter"),
        ({"call_id": "rtc_1"}, {}, [], "call_id_not_found"),
    ],
)
def test_what_is_not_there_is_refused_at_the_door(
    query: dict[str, str], headers: dict[str, str], offered: list[str], code: str
) -> None:
    refusal = doorstep.refusal(query, headers, offered)
    assert refusal is not None
    assert refusal.code == code


def test_others_come_in() -> None:
    assert doorstep.refusal({"model": "x", "intent": "realtime"}, {"openai-beta": "x"}, ["realtime"]) is None
