"""What a client's event of a Realtime session may hold, by OpenAI's published specification. Pure.

A shape names an object's fields; a field's own shape is None where its value is no concern of this file, and a list
of one shape where the value is a list of such objects.
"""

from collections.abc import Mapping
from typing import Any, Final

from repartee.standins.realtime_conversation import ItemFault


def _leaves(*names: str) -> dict[str, Any]:
    return dict.fromkeys(names)


FORMAT: Final = _leaves("type", "rate")
DETECTION: Final = _leaves(
    *("type", "create_response", "interrupt_response", "idle_timeout_ms", "prefix_padding_ms"),
    *("silence_duration_ms", "threshold", "eagerness"),
)
TRANSCRIPTION: Final = _leaves("model", "language", "languages", "prompt", "delay", "keywords")
HEARD: Final = {
    "format": FORMAT,
    "noise_reduction": _leaves("type", "strength"),
    "transcription": TRANSCRIPTION,
    "turn_detection": DETECTION,
}
SPOKEN: Final = {"format": FORMAT, **_leaves("voice", "speed")}
TOOL: Final = _leaves(
    *("type", "name", "description", "parameters"),
    *("server_label", "server_url", "server_description", "connector_id", "authorization", "headers"),
    *("allowed_tools", "require_approval", "defer_loading"),
)
BOTH: Final = {
    "tools": [TOOL],
    "reasoning": _leaves("effort"),
    **_leaves("instructions", "output_modalities", "tool_choice", "parallel_tool_calls", "max_output_tokens"),
    **_leaves("prompt"),
}
"""What a session and a response both have."""

SESSION: Final = {
    **BOTH,
    "audio": {"input": HEARD, "output": SPOKEN},
    **_leaves("type", "object", "id", "model", "expires_at", "tracing", "truncation", "include"),
}
ITEM: Final = {
    "content": [_leaves("type", "text", "audio", "transcript", "image_url", "detail")],
    **_leaves("id", "object", "type", "status", "role", "name", "arguments", "call_id", "output"),
}
RESPONSE: Final = {
    **BOTH,
    "audio": {"output": SPOKEN},
    "input": [ITEM],
    **_leaves("conversation", "metadata"),
}
EVENTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "session.update": {"session": SESSION},
    "input_audio_buffer.append": _leaves("audio"),
    "input_audio_buffer.commit": {},
    "input_audio_buffer.clear": {},
    "conversation.item.create": {"item": ITEM, **_leaves("previous_item_id")},
    "conversation.item.retrieve": _leaves("item_id"),
    "conversation.item.delete": _leaves("item_id"),
    "conversation.item.truncate": _leaves("item_id", "content_index", "audio_end_ms"),
    "response.create": {"response": RESPONSE},
    "response.cancel": _leaves("response_id"),
}
"""By the event's type; each may have an ``event_id`` too."""


def check_event(event: Mapping[str, Any]) -> None:
    """The event is one of these, and has no fields but its own. Raises ItemFault."""
    shape = EVENTS.get(str(event.get("type")))
    if shape is None:
        supported = ", ".join(f"'{kind}'" for kind in EVENTS)
        raise ItemFault(f"Invalid value: '{event.get('type')}'. Supported values are: {supported}.", "type")
    _check({name: value for name, value in event.items() if name not in ("type", "event_id")}, shape, "")


def _check(given: object, shape: Any, at: str) -> None:
    if isinstance(shape, list) and isinstance(given, list):
        for number, one in enumerate(given):
            _check(one, shape[0], f"{at}[{number}]")
    elif isinstance(shape, Mapping) and isinstance(given, Mapping):
        for name, value in given.items():
            path = f"{at}.{name}" if at else str(name)
            if name not in shape:
                raise ItemFault(f"Unknown parameter: '{path}'.", path, "unknown_parameter")
            _check(value, shape[name], path)
