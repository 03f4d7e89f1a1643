"""What a client may send: OpenAI Realtime (GA) client events, decoded and checked.

One decoder turns a text frame into one of the structs below. What cannot be decoded becomes a ClientProtocolError
that names the event, the field and what was wrong, in the form of OpenAI's ``error`` event. A field that is not the
protocol's is refused as OpenAI refuses it: a setting that is misspelt must not be taken in silence.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Raw

from repartee.errors import ClientProtocolError
from repartee.wire import outside_json
from repartee.wire.settings_patch import (
    MAX_ID_CHARS,
    AudioOutput,
    EventPart,
    FunctionTool,
    Instructions,
    MaxTokens,
    Metadata,
    Modalities,
    SessionPatch,
    Short,
    ToolChoice,
    ToolName,
    Tools,
)

MAX_EVENT_BYTES = 8 * 1024 * 1024
"""The longest client event: a minute of PCM at 48 kHz, in base64."""

MAX_OTHER_BYTES = 1024 * 1024
"""The longest client event that holds no audio, unless a setting says otherwise."""

MAX_CONTENT_PARTS = 1000
"""An item's parts."""

MAX_INPUT_ITEMS = 200
"""Of a response that has an input of its own."""


class Content(EventPart, frozen=True):
    type: Literal["input_text", "input_audio", "input_image", "output_text", "output_audio", "text", "audio"]
    text: str | None = None
    transcript: str | None = None
    audio: Raw = Raw()
    image_url: Raw = Raw()
    detail: Raw = Raw()


class NewItem(EventPart, frozen=True):
    type: Literal["message", "function_call", "function_call_output", "item_reference"]
    id: Short | None = None
    object: Literal["realtime.item"] | None = None
    status: Literal["completed", "incomplete", "in_progress"] | None = None
    role: Literal["user", "assistant", "system"] | None = None
    content: Annotated[list[Content], Meta(max_length=MAX_CONTENT_PARTS)] = msgspec.field(
        default_factory=list
    )
    call_id: Short | None = None
    name: ToolName | None = None
    arguments: str | None = None
    output: str | None = None


class ResponseAudio(EventPart, frozen=True):
    output: AudioOutput | None = None


class ResponseParams(EventPart, frozen=True):
    """What one response is to be made with, beside the session's settings."""

    instructions: Instructions | None = None
    output_modalities: Modalities | None = None
    tools: Tools | None = None
    tool_choice: ToolChoice | None = None
    max_output_tokens: MaxTokens | None = None
    metadata: Metadata | None = None
    conversation: Short = "auto"
    input: Annotated[list[NewItem], Meta(max_length=MAX_INPUT_ITEMS)] | None = None
    audio: ResponseAudio | None = None
    prompt: Raw = Raw()
    reasoning: Raw = Raw()
    parallel_tool_calls: bool | None = None


class _ClientEvent(msgspec.Struct, frozen=True, tag_field="type", kw_only=True, forbid_unknown_fields=True):
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


class PressKey(_ClientEvent, frozen=True, tag="repartee.dtmf", kw_only=True):
    """The caller has pressed a key of a keypad that the client shows. An event of our own."""

    digit: Annotated[str, Meta(pattern=r"^[0-9A-D*#]$")]


Lag = Annotated[float, Meta(ge=0, le=60_000)]


class HeardStages(EventPart, frozen=True, kw_only=True):
    """What a turn took on the client's side, in ms."""

    capture: Lag
    network: Lag
    playback: Lag


class ReportHeard(_ClientEvent, frozen=True, tag="repartee.turn.heard", kw_only=True):
    """The caller has begun to hear a turn's answer. An event of our own."""

    turn_id: Annotated[int, Meta(ge=1)]
    stages_ms: HeardStages


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
    | PressKey
    | ReportHeard
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
_UNKNOWN = "Object contains unknown field `"
_LISTS: dict[str, type[EventPart]] = {
    "session.tools": FunctionTool,
    "response.tools": FunctionTool,
    "item.content": Content,
}
"""What the lists in events hold: a fault in one is named with its place."""


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
    param = _placed(frame, place.rpartition("$")[2].strip("`."))
    for start, code, words in _NAMED:
        if sentence.startswith(start):
            param = f"{param}.{sentence.removeprefix(start).rstrip('`')}".lstrip(".")
            return ClientProtocolError(words.format(param), code=code, param=param, event_id=event_id)
    return ClientProtocolError(f"{sentence}.", code="invalid_value", param=param or None, event_id=event_id)


_NAMED = (
    (_MISSING, "missing_required_parameter", "Missing required parameter: '{}'."),
    (_UNKNOWN, "unknown_parameter", "Unknown parameter: '{}'."),
)
"""How faults begin that name a field, with OpenAI's code and words for each."""


def _placed(frame: str | bytes, param: str) -> str:
    """The parameter, with the place in a list that a fault is in; msgspec does not tell it."""
    name, dots, rest = param.partition("[...]")
    kind = _LISTS.get(name)
    if not dots or kind is None:
        return param
    event = outside_json.decode(frame)
    outer, inner = name.split(".")
    for place, each in enumerate(event[outer][inner]):
        try:
            outside_json.decode(msgspec.json.encode(each), kind)
        except _UNREADABLE:
            return f"{name}[{place}]{rest}"
    return param
