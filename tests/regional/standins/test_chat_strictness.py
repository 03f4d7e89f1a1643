"""What the stand-in for chat completions refuses, as OpenAI does and in its words."""

import json
from typing import Any

import pytest

from repartee.standins.bad_request import BadRequest
from repartee.standins.chat_request import ChatRequest, is_served, read_request

USER = {"role": "user", "content": "What is my balance?"}
FUNCTION: dict[str, Any] = {"name": "get_balance", "parameters": {"type": "object", "properties": {}}}
TOOL = {"type": "function", "function": FUNCTION}


def call(call_id: str = "call_1", name: str = "get_balance", arguments: Any = "{}") -> dict[str, Any]:
    entry = {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
    return {"role": "assistant", "content": None, "tool_calls": [entry]}


def result(call_id: str = "call_1") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": "ten"}


def read(*messages: Any, **fields: Any) -> ChatRequest:
    document = {"model": "gpt-4.1-mini", "messages": list(messages or (USER,)), **fields}
    return read_request(json.dumps(document).encode())


def refused(*messages: Any, **fields: Any) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        read(*messages, **fields)
    return caught.value


def test_a_whole_conversation_is_taken() -> None:
    request = read(USER, call(), result(), {"role": "assistant", "content": "Ten."}, USER, tools=[TOOL])
    assert len(request.messages) == 5


@pytest.mark.parametrize(
    "messages",
    [
        (USER, result()),
        (USER, call("call_1"), result("call_2")),
        (USER, call(), result(), result()),
        (USER, call(), result(), USER, result()),
    ],
)
def test_a_result_without_its_call(messages: tuple[Any, ...]) -> None:
    error = refused(*messages)
    assert str(error).startswith("Invalid parameter: messages with role 'tool' must be a response to a prec")
    assert error.status == 400
    assert error.param == f"messages.[{len(messages) - 1}].role"


@pytest.mark.parametrize("behind", [(), (USER,), ({"role": "system", "content": "Be kind."},)])
def test_a_call_without_its_result(behind: tuple[Any, ...]) -> None:
    error = refused(USER, call(), *behind)
    assert str(error) == (
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. "
        "The following tool_call_ids did not have response messages: call_1"
    )


@pytest.mark.parametrize("name", ["get balance", "get.balance", "größe", "a" * 65, "", None])
def test_names_outside_the_pattern(name: Any) -> None:
    declared = refused(tools=[TOOL | {"function": FUNCTION | {"name": name}}])
    assert declared.param == "tools[0].function.name"
    called = refused(USER, call(name=name), result())
    assert called.param == "messages[1].tool_calls[0].function.name"


def test_ids_over_40_characters() -> None:
    error = refused(USER, call("c" * 41), result("c" * 41))
    assert error.code == "string_above_max_length"
    assert "maximum length 40, but got a string with length 41" in str(error)
    read(USER, call("c" * 40), result("c" * 40))


@pytest.mark.parametrize("arguments", [{}, None, 3])
def test_arguments_that_are_no_text(arguments: Any) -> None:
    assert refused(USER, call(arguments=arguments), result()).param == (
        "messages[1].tool_calls[0].function.arguments"
    )


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "string"}, "got 'type: \"string\"'"),
        ({"properties": {}}, "got 'type: \"None\"'"),
        ({"type": "object", "properties": {"days": {"type": "array"}}}, "array schema missing items"),
    ],
)
def test_schemas(schema: dict[str, Any], words: str) -> None:
    error = refused(tools=[TOOL | {"function": FUNCTION | {"parameters": schema}}])
    assert error.code == "invalid_function_parameters"
    assert words in str(error)


def test_fields_that_there_are_not() -> None:
    assert str(refused(max_token=3)) == "Unrecognized request argument supplied: max_token"
    assert str(refused(top_k=3, think=True)) == "Unrecognized request arguments supplied: think, top_k"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"max_tokens": 3, "max_completion_tokens": 3}, "max_tokens"),
        ({"tool_choice": "auto"}, "tool_choice"),
        ({"parallel_tool_calls": False}, "parallel_tool_calls"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"temperature": 2.1}, "temperature"),
        ({"tools": []}, "tools"),
    ],
)
def test_fields_that_do_not_go_together(fields: dict[str, Any], param: str) -> None:
    error = refused(**fields)
    assert error.param == param


@pytest.mark.parametrize("model", ["gpt-6-luna", "gpt-5.4-mini"])
def test_the_limit_has_another_name_for_models_that_reason(model: str) -> None:
    error = refused(model=model, max_tokens=3)
    assert error.param == "max_tokens"
    assert "Use 'max_completion_tokens' instead" in str(error)


@pytest.mark.parametrize("model", ["gpt-4.1-nano", "gpt-9", "claude", "no-such-model", "gpt-4.1-mini-2025"])
def test_models_that_there_are_not(model: str) -> None:
    error = refused(model=model)
    assert (error.status, error.code, error.param) == (404, "model_not_found", "model")
    assert f"`{model}`" in str(error)


def test_a_dated_model_and_one_served_beside_openais() -> None:
    assert is_served("gpt-4.1-mini-2025-04-14")
    assert is_served("llama", ["llama"])
    assert not is_served("llama")


@pytest.mark.parametrize("content", [None, 3, []])
def test_a_message_without_content(content: Any) -> None:
    assert refused({"role": "user", "content": content}).param == "messages[0].content"


@pytest.mark.parametrize("message", ["hello", {"role": "bot", "content": ""}, {"content": "hello"}])
def test_a_message_of_nobodys(message: Any) -> None:
    assert refused(message).param == "messages[0].role"
