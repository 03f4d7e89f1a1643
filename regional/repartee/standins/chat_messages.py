"""What OpenAI refuses of a conversation and of declared functions, in its words. Pure.

Whoever sends such things to the real service is refused for as long as they stay in the history; a stand-in that took
them would hide that.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from repartee.standins.bad_request import BadRequest

FIELDS = {
    "system": {"role", "content", "name"},
    "developer": {"role", "content", "name"},
    "user": {"role", "content", "name"},
    "assistant": {"role", "content", "name", "refusal", "audio", "tool_calls", "function_call"},
    "tool": {"role", "content", "tool_call_id"},
    "function": {"role", "content", "name"},
}
"""What a message may hold, by its role."""

NAME = re.compile(r"[a-zA-Z0-9_-]+")
NAME_CHARS = 64
CALL_ID_CHARS = 40
FUNCTIONS = 128
"""Tools in one request."""


def check_messages(messages: Sequence[Any]) -> None:
    """Each message by itself, and each tool's result behind its call. Raises BadRequest."""
    awaited: list[str] = []
    for number, message in enumerate(messages):
        place = f"messages[{number}]"
        if not isinstance(message, dict) or message.get("role") not in FIELDS:
            raise BadRequest(
                f"Invalid value: {_shown(message)}. Supported values are: {', '.join(map(repr, FIELDS))}.",
                f"{place}.role",
                code="invalid_value",
            )
        check_known(message, FIELDS[message["role"]], place)
        if message["role"] == "tool":
            _take_result(message, number, awaited)
            continue
        _refuse_unanswered(awaited)
        _check_content(message, place)
        awaited = _calls_of(message, place)
    _refuse_unanswered(awaited)


def check_known(given: Mapping[str, Any], known: Collection[str], place: str) -> None:
    """An object of a request has no fields but these. Raises BadRequest."""
    for name in given:
        if name not in known:
            path = f"{place}.{name}"
            raise BadRequest(f"Unknown parameter: '{path}'.", path, code="unknown_parameter")


def _shown(message: Any) -> str:
    return repr(message.get("role")) if isinstance(message, dict) else repr(message)[:40]


def _take_result(message: dict[str, Any], number: int, awaited: list[str]) -> None:
    call_id = message.get("tool_call_id")
    if not isinstance(call_id, str):
        raise BadRequest(
            f"Missing parameter 'tool_call_id': messages with role 'tool' must have a 'tool_call_id'. "
            f"(messages[{number}])",
            f"messages[{number}].tool_call_id",
            code="missing_required_parameter",
        )
    if call_id not in awaited:
        raise BadRequest(
            "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with "
            "'tool_calls'.",
            f"messages.[{number}].role",
        )
    _check_content(message, f"messages[{number}]")
    awaited.remove(call_id)


def _refuse_unanswered(awaited: Sequence[str]) -> None:
    if awaited:
        raise BadRequest(
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
            f"'tool_call_id'. The following tool_call_ids did not have response messages: {', '.join(awaited)}",
            "messages",
        )


def _check_content(message: dict[str, Any], place: str) -> None:
    content = message.get("content")
    if (
        content is None
        and message["role"] == "assistant"
        and (message.get("tool_calls") or "refusal" in message)
    ):
        return
    if isinstance(content, str):
        return
    if isinstance(content, list) and content and all(isinstance(part, dict) for part in content):
        return
    shown = "null" if content is None else type(content).__name__
    raise BadRequest(
        f"Invalid value for 'content': expected a string, got {shown}.",
        f"{place}.content",
        code="invalid_type",
    )


def _calls_of(message: dict[str, Any], place: str) -> list[str]:
    calls = message.get("tool_calls")
    if calls is None:
        return []
    if message["role"] != "assistant" or not isinstance(calls, list):
        raise BadRequest(
            f"Invalid type for '{place}.tool_calls'.", f"{place}.tool_calls", code="invalid_type"
        )
    if not calls:
        raise BadRequest(
            f"Invalid '{place}.tool_calls': empty array. Expected an array with minimum length 1, but got an empty "
            "array instead.",
            f"{place}.tool_calls",
            code="empty_array",
        )
    return [_call_id(call, f"{place}.tool_calls[{number}]") for number, call in enumerate(calls)]


def _call_id(call: Any, place: str) -> str:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(call.get("id"), str):
        raise BadRequest(f"Invalid type for '{place}'.", place, code="invalid_type")
    check_known(call, ("id", "type", "function"), place)
    check_known(function, ("name", "arguments"), f"{place}.function")
    _check_length(call["id"], CALL_ID_CHARS, f"{place}.id")
    check_name(function.get("name"), f"{place}.function.name")
    if not isinstance(function.get("arguments"), str):
        raise BadRequest(
            f"Invalid type for '{place}.function.arguments': expected a string.",
            f"{place}.function.arguments",
            code="invalid_type",
        )
    return str(call["id"])


def check_name(name: Any, place: str) -> None:
    """A function's name. Raises BadRequest."""
    if not isinstance(name, str):
        raise BadRequest(f"Missing required parameter: '{place}'.", place, code="missing_required_parameter")
    _check_length(name, NAME_CHARS, place)
    if not NAME.fullmatch(name):
        raise BadRequest(
            f"Invalid '{place}': string does not match pattern. Expected a string that matches the pattern "
            "'^[a-zA-Z0-9_-]+$'.",
            place,
            code="invalid_value",
        )


def _check_length(text: str, limit: int, place: str) -> None:
    if len(text) > limit:
        raise BadRequest(
            f"Invalid '{place}': string too long. Expected a string with maximum length {limit}, but got a string "
            f"with length {len(text)} instead.",
            place,
            code="string_above_max_length",
        )


def check_functions(tools: Any) -> None:
    """The declared functions. Raises BadRequest."""
    if not isinstance(tools, list):
        raise BadRequest("Invalid type for 'tools': expected an array.", "tools", code="invalid_type")
    if not tools:
        raise BadRequest("[] is too short - 'tools'", "tools", code="empty_array")
    if len(tools) > FUNCTIONS:
        raise BadRequest(
            f"Invalid 'tools': array too long. Expected an array with maximum length {FUNCTIONS}, but got an array "
            f"with length {len(tools)} instead.",
            "tools",
            code="array_above_max_length",
        )
    for number, tool in enumerate(tools):
        function = tool.get("function") if isinstance(tool, dict) else None
        if not isinstance(function, dict) or tool.get("type") != "function":
            raise BadRequest(
                f"Missing required parameter: 'tools[{number}].function'.",
                f"tools[{number}].function",
                code="missing_required_parameter",
            )
        check_known(tool, ("type", "function"), f"tools[{number}]")
        check_known(function, ("name", "description", "parameters", "strict"), f"tools[{number}].function")
        check_name(function.get("name"), f"tools[{number}].function.name")
        _check_schema(function, f"tools[{number}].function.parameters")


def _check_schema(function: dict[str, Any], place: str) -> None:
    schema = function.get("parameters")
    if schema in (None, {}):
        return  # a function without parameters
    kind = schema.get("type") if isinstance(schema, dict) else None
    if kind != "object":
        raise BadRequest(
            f"Invalid schema for function '{function['name']}': schema must be a JSON Schema of 'type: \"object\"', "
            f"got 'type: \"{kind}\"'.",
            place,
            code="invalid_function_parameters",
        )
    for name, property_ in (schema.get("properties") or {}).items():
        if isinstance(property_, dict) and property_.get("type") == "array" and "items" not in property_:
            raise BadRequest(
                f"Invalid schema for function '{function['name']}': In context=('properties', '{name}'), array "
                "schema missing items.",
                place,
                code="invalid_function_parameters",
            )
