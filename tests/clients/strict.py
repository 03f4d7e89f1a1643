"""An event of the server's against the types of OpenAI's SDK: what they do not know is a fault."""

from collections.abc import Iterator, Mapping
from typing import Any

from openai.types.realtime import RealtimeServerEvent
from openai.types.realtime.realtime_session_create_response import RealtimeSessionCreateResponse
from pydantic import BaseModel, TypeAdapter

EVENT: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)
SESSION: TypeAdapter[Any] = TypeAdapter(RealtimeSessionCreateResponse)
SAID_BESIDE = {"response.status_details.error.message"}
"""OpenAI says it too, but its types do not."""


def faults_in(event: Mapping[str, Any]) -> list[str]:
    """The fields that the SDK's types do not have. Raises pydantic.ValidationError for what they refuse."""
    if event["type"].startswith("repartee."):
        return []
    read = EVENT.validate_python(event)
    assert read.type == event["type"]
    found = list(_unknown(read, ""))
    if event["type"] in ("session.created", "session.updated"):
        # The SDK types what the server says of a session as what a client asks for, which has no id.
        found = [fault for fault in found if not fault.startswith("session.")]
        found += _unknown(SESSION.validate_python(event["session"]), "session.")
    return [fault for fault in found if fault not in SAID_BESIDE]


def _unknown(value: Any, place: str) -> Iterator[str]:
    if isinstance(value, BaseModel):
        yield from (f"{place}{name}" for name in value.model_extra or {})
        for name in type(value).model_fields:
            yield from _unknown(getattr(value, name, None), f"{place}{name}.")
    elif isinstance(value, list):
        for each in value:
            yield from _unknown(each, place)
