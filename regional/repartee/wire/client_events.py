"""What a client may send: OpenAI Realtime (GA) client events, decoded and checked.

One decoder turns a text frame into one of the structs below. What cannot be decoded becomes a ClientProtocolError
that names the event, the field and what was wrong, in the form of OpenAI's ``error`` event. Fields that mean
nothing to us are ignored, as the protocol grows.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from repartee.errors import ClientProtocolError
from repartee.wire import outside_json

MAX_EVENT_BYTES = 8 * 1024 * 1024
"""The longest client event: a minute of PCM at 48 kHz, in base64."""

MAX_OTHER_BYTES = 1024 * 1024
"""The longest client event that holds no audio, unless a setting says otherwise."""

MAX_SCHEMA_DEPTH = 64
"""How deep a tool's parameters may be nested: they are written again for the model and for the client."""

MAX_INSTRUCTIONS_CHARS = 100_000
"""Longer instructions would not fit a model that answers in time."""


MAX_TOOLS = 128
MAX_METADATA_PAIRS = 16
MAX_METADATA_KEY_CHARS = 64
MAX_METADATA_VALUE_CHARS = 512
MAX_TOOL_NAME_CHARS = 64
MAX_ID_CHARS = 512
"""Of ids, and of the names of models, voices and languages. These six are OpenAI's limits."""

MAX_CONTENT_PARTS = 1000
"""An item's parts."""

Short = Annotated[str, Meta(max_length=MAX_ID_CHARS)]
Instructions = Annotated[str, Meta(max_length=MAX_INSTRUCTIONS_CHARS)]
ToolName = Annotated[str, Meta(max_length=MAX_TOOL_NAME_CHARS)]
MetadataKey = Annotated[str, Meta(max_length=MAX_METADATA_KEY_CHARS)]
MetadataValue = Annotated[str, Meta(max_length=MAX_METADATA_VALUE_CHARS)]
Metadata = Annotated[dict[MetadataKey, MetadataValue], Meta(max_length=MAX_METADATA_PAIRS)]


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
    language: Short | None = None
    prompt: Instructions | None = None


class AudioInput(_Part, frozen=True):
    format: AudioFormat | UnsetType = UNSET
    turn_detection: TurnDetection | UnsetType | None = UNSET
    transcription: Transcription | UnsetType | None = UNSET


class CustomVoice(_Part, frozen=True):
    id: Short


class AudioOutput(_Part, frozen=True):
    format: AudioFormat | UnsetType = UNSET
    voice: Short | CustomVoice | UnsetType = UNSET


class Audio(_Part, frozen=True):
    input: AudioInput | UnsetType = UNSET
    output: AudioOutput | UnsetType = UNSET


class FunctionTool(_Part, frozen=True):
    name: ToolName
    type: Literal["function"] = "function"
    description: str = ""
    parameters: Raw = Raw(b'{"type":"object","properties":{}}')
    """JSON as it came: nobody here looks into it, and reading a megabyte of it takes a second."""


class FunctionChoice(_Part, frozen=True):
    name: ToolName
    type: Literal["function"] = "function"


Tools = Annotated[list[FunctionTool], Meta(max_length=MAX_TOOLS)]
ToolChoice = Literal["auto", "none", "required"] | FunctionChoice
Modalities = Annotated[list[Literal["text", "audio"]], Meta(max_length=2)]
MaxTokens = int | Literal["inf"]


class SessionPatch(_Part, frozen=True):
    """The settings of a session that an update changes; what is unset stays as it is."""

    type: Literal["realtime"] = "realtime"
    model: Short | UnsetType = UNSET
    instructions: Instructions | UnsetType = UNSET
    output_modalities: Modalities | UnsetType = UNSET
    audio: Audio | UnsetType = UNSET
    tools: Tools | UnsetType = UNSET
    tool_choice: ToolChoice | UnsetType = UNSET
    max_output_tokens: MaxTokens | UnsetType = UNSET
    metadata: Metadata | UnsetType | None = UNSET


class Content(_Part, frozen=True):
    type: Literal["input_text", "input_audio", "output_text", "output_audio", "text", "audio"]
    text: str | None = None
    transcript: str | None = None


class NewItem(_Part, frozen=True):
    type: Literal["message", "function_call", "function_call_output"]
    id: Short | None = None
    role: Literal["user", "assistant", "system"] | None = None
    content: Annotated[list[Content], Meta(max_length=MAX_CONTENT_PARTS)] = []
    call_id: Short | None = None
    name: ToolName | None = None
    arguments: str | None = None
    output: str | None = None


class ResponseParams(_Part, frozen=True):
    """What one response is to be made with, beside the session's settings."""

    instructions: Instructions | None = None
    output_modalities: Modalities | None = None
    tools: Tools | None = None
    tool_choice: ToolChoice | None = None
    max_output_tokens: MaxTokens | None = None
    metadata: Metadata | None = None
    conversation: Short = "auto"
    input: Raw = Raw()


class _ClientEvent(msgspec.Struct, frozen=True, tag_field="type", kw_only=True):
    event_id: Short | None = None


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
    previous_item_id: Short | None = None


class RetrieveItem(_ClientEvent, frozen=True, tag="conversation.item.retrieve", kw_only=True):
    item_id: Short


class DeleteItem(_ClientEvent, frozen=True, tag="conversation.item.delete", kw_only=True):
    item_id: Short


class TruncateItem(_ClientEvent, frozen=True, tag="conversation.item.truncate", kw_only=True):
    item_id: Short
    audio_end_ms: float
    content_index: int = 0


class CreateResponse(_ClientEvent, frozen=True, tag="response.create", kw_only=True):
    response: ResponseParams | None = None


class CancelResponse(_ClientEvent, frozen=True, tag="response.cancel", kw_only=True):
    response_id: Short | None = None


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
    type: Raw = Raw()
    event_id: Raw = Raw()


_decoder: outside_json.Decoder[ClientEvent] = outside_json.Decoder(ClientEvent)
_envelope_decoder: outside_json.Decoder[_Envelope] = outside_json.Decoder(_Envelope)
EVENT_TYPES = frozenset(str(struct.__struct_config__.tag) for struct in ClientEvent.__args__)
"""The ``type`` of every client event there is."""

_UNREADABLE = (msgspec.DecodeError, UnicodeError)
_MISSING = "Object missing required field `"


def decode(frame: str | bytes, other_bytes: int = MAX_OTHER_BYTES) -> ClientEvent:
    """A text frame as an event. ``other_bytes``: how long one without audio may be. Raises ClientProtocolError."""
    if len(frame) > other_bytes:
        _check_length(frame, other_bytes)
    try:
        return _decoder.decode(frame)
    except _UNREADABLE as error:
        raise _explained(frame, str(error)) from None


def _check_length(frame: str | bytes, other_bytes: int) -> None:
    """Only audio may be longer than this, and that not as long as one likes. Raises ClientProtocolError."""
    if len(frame) > MAX_EVENT_BYTES:
        raise ClientProtocolError(
            f"The event is longer than {MAX_EVENT_BYTES // 1024 // 1024} MiB: send audio in smaller pieces.",
            code="event_too_large",
        )
    try:
        envelope = _envelope_decoder.decode(frame)
    except _UNREADABLE as error:
        raise _explained(frame, str(error)) from None
    name = _text(envelope.type)
    if name != AppendAudio.__struct_config__.tag:
        raise ClientProtocolError(
            f"{(name or 'An event')[:80]} may be {other_bytes} bytes long; only audio may be longer.",
            code="event_too_large",
            event_id=_event_id(envelope),
        )


def _text(raw: Raw) -> str | None:
    """A JSON value as text, if it is text."""
    value = bytes(raw)
    try:
        return outside_json.decode(value, str) if value.startswith(b'"') else None
    except _UNREADABLE:
        return "?"


def _event_id(envelope: _Envelope) -> str | None:
    event_id = _text(envelope.event_id)
    return event_id if event_id is not None and len(event_id) <= MAX_ID_CHARS else None


def _explained(frame: str | bytes, fault: str) -> ClientProtocolError:
    """Why a frame is not an event we know, as precisely as can be told."""
    try:
        envelope = _envelope_decoder.decode(frame)
    except outside_json.TooDeep as error:
        return ClientProtocolError(f"{error}.", code="event_too_deep")
    except _UNREADABLE:
        return ClientProtocolError("Each text frame must be one JSON object.", code="invalid_json")
    event_id = _event_id(envelope)
    name = _text(envelope.type)
    if name is None:
        return ClientProtocolError(
            "The event has no 'type'.", code="missing_required_parameter", param="type", event_id=event_id
        )
    if name not in EVENT_TYPES:
        return ClientProtocolError(
            f"There is no event {name[:80]!r}. Supported: {', '.join(sorted(EVENT_TYPES))}.",
            code="invalid_value",
            param="type",
            event_id=event_id,
        )
    sentence, _, place = fault.partition(" - at `")
    param = place.rpartition("$")[2].strip("`.")
    if not sentence.startswith(_MISSING):
        return ClientProtocolError(
            f"{sentence}.", code="invalid_value", param=param or None, event_id=event_id
        )
    param = f"{param}.{sentence.removeprefix(_MISSING).rstrip('`')}".lstrip(".")
    return ClientProtocolError(
        f"The event has no {param!r}.", code="missing_required_parameter", param=param, event_id=event_id
    )
