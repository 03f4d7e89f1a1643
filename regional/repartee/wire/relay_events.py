"""What passes between the worker and a provider's Realtime socket: told apart without reading it, and written.

A message is read only as far as the relay acts on it: an answer's audio is known by how it begins, and passes as it
came. Pure: no time, no socket.
"""

import base64
from collections.abc import Mapping
from typing import Any

import msgspec

from repartee.wire.tolerant_json import TolerantDecoder

_TYPE = b'"type"'
_AUDIO_TYPE = b'"type":"response.output_audio.delta"'
_HEAD_BYTES = 400
"""The type of an audio delta stands within so many bytes from its start."""


class AudioDelta(msgspec.Struct, frozen=True, gc=False):
    """Audio of a response. ``delta`` is base64."""

    response_id: str
    item_id: str
    delta: str
    event_id: str = ""
    output_index: int = 0
    content_index: int = 0

    def audio(self) -> bytes:
        """The audio itself, in the format that the session asked for."""
        return base64.b64decode(self.delta)

    @property
    def size(self) -> int:
        """How many bytes the audio has."""
        return len(self.delta) * 3 // 4 - self.delta.endswith("=") - self.delta.endswith("==")

    def event(self) -> dict[str, Any]:
        """The event that the audio came in, without its ``delta``."""
        return {
            "type": "response.output_audio.delta",
            "event_id": self.event_id,
            "response_id": self.response_id,
            "item_id": self.item_id,
            "output_index": self.output_index,
            "content_index": self.content_index,
        }


class ContentSeen(msgspec.Struct, frozen=True):
    """Content of an item, as far as it is text."""

    type: str = ""
    text: str | None = None
    transcript: str | None = None


class ItemSeen(msgspec.Struct, frozen=True, kw_only=True):
    """An item of the provider's conversation."""

    id: str
    type: str
    status: str | None = None
    role: str | None = None
    content: list[ContentSeen] = []
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    output: str | None = None


class StatusDetails(msgspec.Struct, frozen=True, kw_only=True):
    """Why a response is not completed."""

    reason: str | None = None
    error: "ErrorSeen | None" = None


class TokenDetails(msgspec.Struct, frozen=True, kw_only=True):
    """What kinds of tokens those of one direction are."""

    audio_tokens: int = 0
    cached_tokens: int = 0
    cached_tokens_details: "TokenDetails | None" = None


class UsageSeen(msgspec.Struct, frozen=True, kw_only=True):
    """What a response has used, as the provider counts it."""

    input_tokens: int = 0
    output_tokens: int = 0
    input_token_details: TokenDetails = TokenDetails()
    output_token_details: TokenDetails = TokenDetails()


class ResponseSeen(msgspec.Struct, frozen=True, kw_only=True):
    """A response as its first and its last event tell it; ``conversation_id`` None: it is out of band."""

    id: str
    status: str = ""
    conversation_id: str | None = None
    output: list[ItemSeen] = []
    metadata: dict[str, Any] | None = None
    status_details: StatusDetails | None = None
    usage: UsageSeen | None = None

    @property
    def reason(self) -> str | None:
        """Why it is not completed: ``content_filter``, ``max_output_tokens``, an error's code or message."""
        details = self.status_details
        if details is None or details.error is None:
            return details.reason if details else None
        return details.reason or details.error.code or details.error.message


class ErrorSeen(msgspec.Struct, frozen=True, kw_only=True):
    """What an ``error`` event says."""

    message: str = "no reason given"
    type: str = ""
    code: str | None = None
    param: str | None = None
    event_id: str | None = None


class ProviderEvent(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of all server events on which a relay acts."""

    type: str = ""
    item_id: str | None = None
    previous_item_id: str | None = None
    response_id: str | None = None
    item: ItemSeen | None = None
    response: ResponseSeen | None = None
    error: ErrorSeen | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    delta: str | None = None
    transcript: str | None = None
    audio_end_ms: float | None = None


_audio_decoder: TolerantDecoder[AudioDelta] = TolerantDecoder(AudioDelta)
_event_decoder: TolerantDecoder[ProviderEvent] = TolerantDecoder(ProviderEvent)
_encoder = msgspec.json.Encoder()


def audio_in(message: bytes) -> AudioDelta | None:
    """The answer's audio, if this is some: told by the first key ``type``, whether or not spaces follow colons."""
    start = message.find(_TYPE, 0, _HEAD_BYTES)
    if start < 0 or not message[start : start + 40].replace(b" ", b"").startswith(_AUDIO_TYPE):
        return None
    try:
        return _audio_decoder.decode(message)
    except msgspec.MsgspecError:
        return None  # something else that holds such a key


def read(message: bytes) -> ProviderEvent:
    """Raises msgspec.MsgspecError."""
    return _event_decoder.decode(message)


def append_audio(audio: bytes) -> str:
    """The event that hands on the caller's audio."""
    return '{"type":"input_audio_buffer.append","audio":"' + base64.b64encode(audio).decode("ascii") + '"}'


def encode(type_: str, /, **fields: Any) -> str:
    """Any client event."""
    return _encoder.encode({"type": type_, **fields}).decode()


def saying(text: str, *, aside: bool) -> dict[str, Any]:
    """A response that says this text as it is; ``aside``: out of band, so that the conversation does not hold it."""
    words = text.replace('"', "'")
    wanted: dict[str, Any] = {
        "instructions": f'Say exactly the following words, in their language, and nothing else: "{words}"',
        "input": [],
        "tools": [],
        "tool_choice": "none",
    }
    return wanted | {"conversation": "none"} if aside else wanted


def function_output(call_id: str, output: str) -> dict[str, Any]:
    """A tool's result as an item."""
    return {"type": "function_call_output", "call_id": call_id, "output": output}


def merged(old: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with a change: objects are merged, all else is replaced."""
    new = dict(old)
    for key, value in change.items():
        known = new.get(key)
        both = isinstance(value, Mapping) and isinstance(known, Mapping)
        new[key] = merged(known, value) if both else value  # type: ignore[arg-type]
    return new
