"""OpenAI's objects within Realtime events: a conversation's items and a response, as JSON. Pure."""

from dataclasses import dataclass, field
from typing import Any

from repartee.turn.history import FunctionCall, FunctionOutput, Item, Message
from repartee.turn.usage import TokenUsage
from repartee.wire.client_events import ResponseParams
from repartee.wire.session_settings import DEFAULT_VOICE, SessionSettings


@dataclass(eq=False, slots=True)
class AnnouncedResponse:
    """What a response has consisted of so far. ``about`` is what was settled about it at its start; ``aside``: the
    conversation does not hold it."""

    response_id: str
    about: dict[str, Any]
    aside: bool = False
    message: Message | None = None
    message_index: int = 0
    message_after: str | None = None
    transcript: str = ""
    outputs: list[dict[str, Any]] = field(default_factory=list)
    next_index: int = 0

    @property
    def is_spoken(self) -> bool:
        """Whether its message is speech."""
        return self.message is not None and self.message.spoken

    def part(self, text: str) -> dict[str, str]:
        """The message's only part, with this text."""
        return {"type": "audio", "transcript": text} if self.is_spoken else {"type": "text", "text": text}

    def as_json(self, status: str, reason: str | None = None) -> dict[str, Any]:
        """The response object."""
        details: dict[str, Any] | None = None
        if status == "failed":
            error = {"type": "server_error", "code": "provider_error", "message": reason}
            details = {"type": status, "error": error}
        elif status in ("cancelled", "incomplete"):
            details = {"type": status, "reason": reason}
        return {
            "object": "realtime.response",
            "id": self.response_id,
            "status": status,
            "status_details": details,
            "output": self.outputs,
            "usage": None,
            **self.about,
        }


def usage_json(tokens: TokenUsage | None) -> dict[str, Any]:
    """What a response has used, all of it text; zeros if that is not known, as clients read these fields of every
    response.done."""
    tokens = tokens or TokenUsage()
    read, written = tokens.input_tokens, tokens.output_tokens
    return {
        "total_tokens": read + written,
        "input_tokens": read,
        "output_tokens": written,
        "input_token_details": {
            "text_tokens": read,
            "audio_tokens": 0,
            "cached_tokens": tokens.cached_tokens,
        },
        "output_token_details": {"text_tokens": written, "audio_tokens": 0},
    }


def response_id(call_id: str, reply_id: int) -> str:
    """The id by which clients know a reply."""
    return f"resp_{call_id}_{reply_id}"


def reply_id_of(call_id: str, known_as: str) -> int | None:
    """The reply that clients know by this id; None if the call has given no such id."""
    number = known_as.removeprefix(response_id(call_id, 0)[:-1])
    return (
        int(number)
        if number.isascii() and number.isdigit() and response_id(call_id, int(number)) == known_as
        else None
    )


def item_json(
    item: Item,
    *,
    status: str = "completed",
    text: str | None = None,
    content: bool = True,
) -> dict[str, Any]:
    """An item as OpenAI's conversation item."""
    base = {"id": item.item_id, "object": "realtime.item", "status": status}
    if isinstance(item, FunctionCall):
        call = {"call_id": item.call_id, "name": item.name, "arguments": item.arguments}
        return base | {"type": "function_call"} | call
    if isinstance(item, FunctionOutput):
        return base | {"type": "function_call_output", "call_id": item.call_id, "output": item.output}
    said = item.heard_text if text is None else text
    if item.spoken:
        part = {"type": "output_audio" if item.role == "assistant" else "input_audio", "transcript": said}
    else:
        part = {"type": "output_text" if item.role == "assistant" else "input_text", "text": said}
    return base | {"type": "message", "role": item.role, "content": [part] if content else []}


def settled(settings: SessionSettings, options: ResponseParams | None) -> dict[str, Any]:
    """The settings that a response is made with: its own before the session's."""
    options = options or ResponseParams()
    output = {"format": settings.output_format.as_json(), "voice": settings.voice or DEFAULT_VOICE}
    return {
        "output_modalities": options.output_modalities or (["audio"] if settings.spoken else ["text"]),
        "max_output_tokens": options.max_output_tokens or settings.max_tokens,
        "audio": {"output": output},
        "metadata": options.metadata,
    }
