"""What a client may send: OpenAI Realtime (GA) client events, decoded and checked.

One decoder turns a text frame into one of the structs below. What cannot be decoded becomes a ClientProtocolError
that names the event, the field and what was wrong, in the form of OpenAI's ``error`` event. Fields that mean
nothing to us are ignored, as the protocol grows.
"""

from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from repartee.errors import ClientProtocolError

MAX_EVENT_BYTES = 15 * 1024 * 1024
"""The longest client event, as in OpenAI's Realtime API."""

MAX_SCHEMA_DEPTH = 64
"""How deep a tool's parameters may be nested: they are written again for the model and for the client."""

MAX_INSTRUCTIONS_CHARS = 100_000
"""Longer instructions would not fit a model that answers in time."""


class _Part(msgspec.Struct, frozen=True):
    """The base of objects within events."""


class AudioFormat(_Part, frozen=True):
    type: Literal["audio/pcm", "audio/pcmu", "audio/pcma"] = "audio/pcm"
    rate: int | None = None


class TurnDetection(_Part, frozen=True):
    type: Literal["server_vad", "semantic_vad"]
    create_response: bool = True
    interrupt_response: bool = True


class Transcription(_Part, frozen=True):
    language: str | None = None
    prompt: str | None = None


class AudioInput(_Part, frozen=True):
    format: AudioFormat | UnsetType = UNSET
    turn_detection: TurnDetection | UnsetType | None = UNSET
    transcription: Transcription | UnsetType | None = UNSET


class CustomVoice(_Part, frozen=True):
    id: str


class AudioOutput(_Part, frozen=True):
    format: AudioFormat | UnsetType = UNSET
    voice: str | CustomVoice | UnsetType = UNSET


class Audio(_Part, frozen=True):
    input: AudioInput | UnsetType = UNSET
    output: AudioOutput | UnsetType = UNSET


class FunctionTool(_Part, frozen=True):
    name: str
    type: Literal["function"] = "function"
    description: str = ""
    parameters: dict[str, Any] = msgspec.field(default_factory=lambda: {"type": "object", "properties": {}})


class FunctionChoice(_Part, frozen=True):
    name: str
    type: Literal["function"] = "function"


ToolChoice = Literal["auto", "none", "required"] | FunctionChoice
Modalities = list[Literal["text", "audio"]]
MaxTokens = int | Literal["inf"]


class SessionPatch(_Part, frozen=True):
    """The settings of a session that an update changes; what is unset stays as it is."""

    type: Literal["realtime"] = "realtime"
    model: str | UnsetType = UNSET
    instructions: str | UnsetType = UNSET
    output_modalities: Modalities | UnsetType = UNSET
    audio: Audio | UnsetType = UNSET
    tools: list[FunctionTool] | UnsetType = UNSET
    tool_choice: ToolChoice | UnsetType = UNSET
    max_output_tokens: MaxTokens | UnsetType = UNSET
    metadata: dict[str, str] | UnsetType | None = UNSET


class Content(_Part, frozen=True):
    type: Literal["input_text", "input_audio", "output_text", "output_audio", "text", "audio"]
    text: str | None = None
    transcript: str | None = None


class NewItem(_Part, frozen=True):
    type: Literal["message", "function_call", "function_call_output"]
    id: str | None = None
    role: Literal["user", "assistant", "system"] | None = None
    content: list[Content] = []
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    output: str | None = None


class ResponseParams(_Part, frozen=True):
    """What one response is to be made with, beside the session's settings."""

    instructions: str | None = None
    output_modalities: Modalities | None = None
    tools: list[FunctionTool] | None = None
    tool_choice: ToolChoice | None = None
    max_output_tokens: MaxTokens | None = None
    metadata: dict[str, str] | None = None
    conversation: str = "auto"
    input: list[Any] | None = None


class _ClientEvent(msgspec.Struct, frozen=True, tag_field="type", kw_only=True):
    event_id: str | None = None


class SessionUpdate(_ClientEvent, frozen=True, tag="session.update", kw_only=True):
    session: SessionPatch


class AppendAudio(_ClientEvent, frozen=True, tag="input_audio_buffer.append", kw_only=True):
    audio: bytes
    """Base64 on the wire."""


class CommitAudio(_ClientEvent, frozen=True, tag="input_audio_buffer.commit", kw_only=True):
    pass


class ClearAudio(_ClientEvent, frozen=True, tag="input_audio_buffer.clear", kw_only=True):
    pass


class ClearOutput(_ClientEvent, frozen=True, tag="output_audio_buffer.clear", kw_only=True):
    pass


class CreateItem(_ClientEvent, frozen=True, tag="conversation.item.create", kw_only=True):
    item: NewItem
    previous_item_id: str | None = None


class RetrieveItem(_ClientEvent, frozen=True, tag="conversation.item.retrieve", kw_only=True):
    item_id: str


class DeleteItem(_ClientEvent, frozen=True, tag="conversation.item.delete", kw_only=True):
    item_id: str


class TruncateItem(_ClientEvent, frozen=True, tag="conversation.item.truncate", kw_only=True):
    item_id: str
    audio_end_ms: float
    content_index: int = 0


class CreateResponse(_ClientEvent, frozen=True, tag="response.create", kw_only=True):
    response: ResponseParams | None = None


class CancelResponse(_ClientEvent, frozen=True, tag="response.cancel", kw_only=True):
    response_id: str | None = None


ClientEvent = (
    SessionUpdate
    | AppendAudio
    | CommitAudio
    | ClearAudio
    | ClearOutput
    | CreateItem
    | RetrieveItem
    | DeleteItem
    | TruncateItem
    | CreateResponse
    | CancelResponse
)


class _Envelope(msgspec.Struct):
    type: Any = None
    event_id: Any = None


_decoder: msgspec.json.Decoder[ClientEvent] = msgspec.json.Decoder(ClientEvent)
_envelope_decoder = msgspec.json.Decoder(_Envelope)
EVENT_TYPES = frozenset(str(struct.__struct_config__.tag) for struct in ClientEvent.__args__)
"""The ``type`` of every client event there is."""

_UNREADABLE = (msgspec.DecodeError, UnicodeError, RecursionError)
_MISSING = "Object missing required field `"


def decode(frame: str | bytes) -> ClientEvent:
    """A text frame as an event. Raises ClientProtocolError."""
    if len(frame) > MAX_EVENT_BYTES:
        raise ClientProtocolError(
            f"The event is longer than {MAX_EVENT_BYTES // 1024 // 1024} MiB: send audio in smaller pieces.",
            code="event_too_large",
        )
    try:
        return _decoder.decode(frame)
    except _UNREADABLE as error:
        raise _explained(frame, str(error)) from None


def _explained(frame: str | bytes, fault: str) -> ClientProtocolError:
    """Why a frame is not an event we know, as precisely as can be told."""
    try:
        envelope = _envelope_decoder.decode(frame)
    except _UNREADABLE:
        return ClientProtocolError("Each text frame must be one JSON object.", code="invalid_json")
    event_id = envelope.event_id if isinstance(envelope.event_id, str) else None
    if not isinstance(envelope.type, str):
        return ClientProtocolError(
            "The event has no 'type'.", code="missing_required_parameter", param="type", event_id=event_id
        )
    if envelope.type not in EVENT_TYPES:
        return ClientProtocolError(
            f"There is no event {envelope.type[:80]!r}. Supported: {', '.join(sorted(EVENT_TYPES))}.",
            code="invalid_value",
            param="type",
            event_id=event_id,
        )
    sentence, _, path = fault.partition(" - at `$")
    param = path.strip("`.")
    if not sentence.startswith(_MISSING):
        return ClientProtocolError(
            f"{sentence}.", code="invalid_value", param=param or None, event_id=event_id
        )
    param = f"{param}.{sentence.removeprefix(_MISSING).rstrip('`')}".lstrip(".")
    return ClientProtocolError(
        f"The event has no {param!r}.", code="missing_required_parameter", param=param, event_id=event_id
    )
