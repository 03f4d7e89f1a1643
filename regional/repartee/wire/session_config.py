"""The settings of one session, as the client sees and changes them.

A session.update is applied as a whole or not at all: settings are immutable, and what is not supported is refused
with the parameter's name.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import numpy as np
from msgspec import UNSET

from repartee.errors import ClientProtocolError
from repartee.wire.audio_format import WireFormat
from repartee.wire.client_events import (
    MAX_SCHEMA_DEPTH,
    Audio,
    AudioFormat,
    AudioInput,
    AudioOutput,
    CustomVoice,
    FunctionTool,
    MaxTokens,
    Modalities,
    ResponseParams,
    SessionPatch,
    ToolChoice,
    TurnDetection,
)

MAX_OUTPUT_TOKENS = 4096
"""The most tokens a session may ask for; ``inf`` means this."""

DEFAULT_VOICE = "default"
"""What the deployment's own voice is called."""

DEFAULT_FORMAT = WireFormat()
DEFAULT_TURN_DETECTION = TurnDetection("semantic_vad")


@dataclass(frozen=True, slots=True)
class SessionConfig:
    """All settings of a session. ``turn_detection`` None: the client takes the turns (manual)."""

    instructions: str = ""
    voice: str | None = None
    language: str = "en"
    model: str = ""
    spoken: bool = True
    input_format: WireFormat = DEFAULT_FORMAT
    output_format: WireFormat = DEFAULT_FORMAT
    turn_detection: TurnDetection | None = DEFAULT_TURN_DETECTION
    transcription_prompt: str | None = None
    tools: Sequence[FunctionTool] = ()
    tool_choice: ToolChoice = "auto"
    max_tokens: int = 200
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def updated(self, patch: SessionPatch) -> "SessionConfig":
        """These settings with a client's changes. Raises ClientProtocolError; then nothing is changed."""
        changes: dict[str, Any] = {}
        if patch.instructions is not UNSET:
            changes["instructions"] = patch.instructions
        if patch.model is not UNSET:
            changes["model"] = patch.model
        if patch.output_modalities is not UNSET:
            changes["spoken"] = is_spoken(patch.output_modalities, "session.output_modalities")
        if patch.tools is not UNSET:
            changes["tools"] = checked_tools(patch.tools, "session.tools")
        if patch.tool_choice is not UNSET:
            changes["tool_choice"] = patch.tool_choice
        if patch.max_output_tokens is not UNSET:
            changes["max_tokens"] = checked_tokens(patch.max_output_tokens, "session.max_output_tokens")
        if patch.metadata is not UNSET:
            changes["metadata"] = patch.metadata or {}
        if isinstance(patch.audio, Audio):
            changes |= _input_changes(patch.audio) | _output_changes(patch.audio)
        return replace(self, **changes)

    def as_json(self, session_id: str) -> dict[str, Any]:
        """The session object of session.created and session.updated."""
        return {
            "type": "realtime",
            "object": "realtime.session",
            "id": session_id,
            "model": self.model,
            "output_modalities": ["audio"] if self.spoken else ["text"],
            "instructions": self.instructions,
            "tools": list(self.tools),
            "tool_choice": msgspec.to_builtins(self.tool_choice),
            "max_output_tokens": self.max_tokens,
            "audio": {
                "input": {
                    "format": self.input_format.as_json(),
                    "transcription": {"language": self.language, "prompt": self.transcription_prompt},
                    "turn_detection": msgspec.to_builtins(self.turn_detection),
                },
                "output": {"format": self.output_format.as_json(), "voice": self.voice or DEFAULT_VOICE},
            },
            "metadata": dict(self.metadata),
        }


def is_spoken(modalities: Modalities, param: str) -> bool:
    """Whether replies are to be spoken. Raises ClientProtocolError for no modality, or both."""
    if len(modalities) != 1:
        raise ClientProtocolError(
            'Give one modality: ["audio"] (with its transcript) or ["text"].', param=param
        )
    return modalities[0] == "audio"


def checked_tokens(tokens: MaxTokens, param: str) -> int:
    """Raises ClientProtocolError unless the number is between 1 and MAX_OUTPUT_TOKENS."""
    if tokens == "inf":
        return MAX_OUTPUT_TOKENS
    if not 1 <= tokens <= MAX_OUTPUT_TOKENS:
        raise ClientProtocolError(f'A number from 1 to {MAX_OUTPUT_TOKENS}, or "inf".', param=param)
    return tokens


def checked_tools(tools: Sequence[FunctionTool], param: str) -> Sequence[FunctionTool]:
    """Raises ClientProtocolError if two tools have one name, one has none, or one's parameters are too deep."""
    names = [tool.name for tool in tools]
    if "" in names:
        raise ClientProtocolError("Each tool needs a name.", param=param)
    if len(set(names)) < len(names):
        raise ClientProtocolError("Two tools have the same name.", param=param)
    for tool in tools:
        schema = bytes(tool.parameters)
        if not schema.startswith(b"{"):
            raise ClientProtocolError(f"The parameters of {tool.name!r} are no JSON object.", param=param)
        if _is_too_deep(schema):
            raise ClientProtocolError(
                f"The parameters of {tool.name!r} are nested more than {MAX_SCHEMA_DEPTH} levels deep.",
                param=param,
            )
    # Raw JSON is a view of the whole event.
    return tuple(msgspec.structs.replace(tool, parameters=tool.parameters.copy()) for tool in tools)


_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"')
_BRACKETS = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def _is_too_deep(schema: bytes) -> bool:
    """Whether valid JSON is nested too deep; without reading it, which takes long for what is meant to take long."""
    rest = _STRING.sub(b"", schema).translate(_BRACKETS, _NO_BRACKETS)
    steps = ord("\\") - np.frombuffer(rest, dtype=np.int8)  # the character between the two brackets
    return int(np.cumsum(steps, dtype=np.int32).max()) > MAX_SCHEMA_DEPTH


def chat_tools(tools: Sequence[FunctionTool]) -> list[dict[str, Any]]:
    """Tools in the form of OpenAI's chat API."""
    return [
        {
            "type": "function",
            "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
        }
        for tool in tools
    ]


def chat_tool_choice(choice: ToolChoice) -> str:
    """``auto``, ``none``, ``required`` or a tool's name."""
    return choice if isinstance(choice, str) else choice.name


def checked_response(params: ResponseParams) -> ResponseParams:
    """Raises ClientProtocolError for what a single response cannot be given."""
    has_input = bytes(params.input) not in (b"", b"null")
    if params.conversation != "auto" or has_input:
        raise ClientProtocolError(
            "Responses outside the conversation are not supported: leave out 'conversation' and 'input'.",
            code="unsupported_parameter",
            param="response.conversation" if params.conversation != "auto" else "response.input",
        )
    if params.output_modalities is not None:
        is_spoken(params.output_modalities, "response.output_modalities")
    if params.max_output_tokens is not None:
        checked_tokens(params.max_output_tokens, "response.max_output_tokens")
    if params.tools is not None:
        checked_tools(params.tools, "response.tools")
    return params


def _format(wanted: AudioFormat, param: str) -> WireFormat:
    return WireFormat.checked(wanted.type, wanted.rate, param=param)


def _input_changes(audio: Audio) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if not isinstance(audio.input, AudioInput):
        return changes
    if isinstance(audio.input.format, AudioFormat):
        changes["input_format"] = _format(audio.input.format, "session.audio.input.format")
    if audio.input.turn_detection is not UNSET:
        changes["turn_detection"] = audio.input.turn_detection
    if audio.input.transcription is not UNSET and audio.input.transcription is not None:
        changes["transcription_prompt"] = audio.input.transcription.prompt
        if audio.input.transcription.language:
            changes["language"] = audio.input.transcription.language
    return changes


def _output_changes(audio: Audio) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if not isinstance(audio.output, AudioOutput):
        return changes
    if isinstance(audio.output.format, AudioFormat):
        changes["output_format"] = _format(audio.output.format, "session.audio.output.format")
    if audio.output.voice is not UNSET:
        voice = audio.output.voice
        name = voice.id if isinstance(voice, CustomVoice) else voice
        changes["voice"] = None if name == DEFAULT_VOICE else name
    return changes
