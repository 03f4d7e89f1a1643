"""The settings of one session, as the client sees and changes them.

A session.update is applied as a whole or not at all: settings are immutable, and what is not supported is refused
with the parameter's name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
from msgspec import UNSET

from repartee.errors import ClientProtocolError
from repartee.wire import outside_json
from repartee.wire.audio_format import WireFormat
from repartee.wire.client_events import ResponseParams
from repartee.wire.settings_patch import (
    Audio,
    AudioFormat,
    AudioInput,
    AudioOutput,
    CustomVoice,
    FunctionChoice,
    FunctionTool,
    MaxTokens,
    Modalities,
    SemanticVad,
    SessionPatch,
    ToolChoice,
    TurnDetection,
)
from repartee.wire.tool_schema import checked_name, checked_schema
from repartee.wire.unmet import is_given

MAX_OUTPUT_TOKENS = 4096
"""The most tokens a session may ask for; ``inf`` means this."""

DEFAULT_VOICE = "default"
"""What the deployment's own voice is called."""

DEFAULT_FORMAT = WireFormat()
DEFAULT_TURN_DETECTION = SemanticVad()


@dataclass(frozen=True, slots=True)
class SessionSettings:
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
    transcription_model: str | None = None
    tracing: Any = None
    tools: Sequence[FunctionTool] = ()
    tool_choice: ToolChoice = "auto"
    max_tokens: int = 200
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def updated(self, patch: SessionPatch) -> "SessionSettings":
        """These settings with a client's changes. Raises ClientProtocolError; then nothing is changed."""
        changes: dict[str, Any] = {}
        if patch.type != "realtime":
            raise ClientProtocolError(
                "Unsupported parameter: 'session.type': sessions that only transcribe are not there: use 'realtime'.",
                code="unsupported_parameter",
                param="session.type",
            )
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
        if bytes(patch.tracing):
            changes["tracing"] = checked_tracing(patch.tracing)
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
            "tools": [tool.as_json() for tool in self.tools],
            "tool_choice": msgspec.to_builtins(self.tool_choice),
            "max_output_tokens": self.max_tokens,
            "audio": {
                "input": {
                    "format": self.input_format.as_json(),
                    "transcription": {
                        "language": self.language,
                        "prompt": self.transcription_prompt,
                        # Left out rather than null: Pipecat takes only a string, and stops listening otherwise.
                        **({"model": self.transcription_model} if self.transcription_model else {}),
                    },
                    "turn_detection": self.turn_detection and self.turn_detection.as_json(),
                },
                "output": {"format": self.output_format.as_json(), "voice": self.voice or DEFAULT_VOICE},
            },
            "tracing": self.tracing,
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
    """The functions among them, as a chat API takes them. Raises ClientProtocolError for one that it would refuse."""
    functions: dict[str, FunctionTool] = {}
    for place, tool in enumerate(tools):
        if tool.type != "function":
            continue
        where = f"{param}[{place}]"
        checked_name(tool.name, f"{where}.name")
        if tool.name in functions:
            raise ClientProtocolError(f"Two tools are called {tool.name!r}.", param=f"{where}.name")
        parameters = checked_schema(tool.parameters, tool.name, f"{where}.parameters")
        functions[tool.name] = FunctionTool(tool.name, description=tool.description, parameters=parameters)
    return tuple(functions.values())


def check_own(
    tools: Sequence[FunctionTool], choice: ToolChoice | None, own: frozenset[str], param: str
) -> None:
    """Raises ClientProtocolError for a function that is called like one of the agent's ``own`` tools, and for a
    choice of a tool that there is not. ``param`` is ``session`` or ``response``."""
    for place, tool in enumerate(tools):
        if tool.name in own:
            raise ClientProtocolError(
                f"The agent has a tool of its own called {tool.name!r}: give the function another name.",
                param=f"{param}.tools[{place}].name",
            )
    known = own | {tool.name for tool in tools}
    if isinstance(choice, FunctionChoice) and choice.name not in known:
        raise ClientProtocolError(
            f"Tool choice {choice.name!r} not found in '{param}.tools'.", param=f"{param}.tool_choice"
        )
    if choice == "required" and not known:
        raise ClientProtocolError(
            "Tool choice 'required' needs tools, and there are none.", param=f"{param}.tool_choice"
        )


class _Tracing(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    workflow_name: str | None = None
    group_id: str | None = None
    metadata: dict[str, Any] | None = None


MAX_TRACING_BYTES = 16_000


def checked_tracing(tracing: msgspec.Raw) -> Any:
    """How a client names what a call is part of; the session shows it. Raises ClientProtocolError."""
    text = bytes(tracing)
    if not is_given(tracing) or text == b'"auto"':
        return "auto" if text == b'"auto"' else None
    try:
        if len(text) <= MAX_TRACING_BYTES:
            return msgspec.to_builtins(outside_json.decode(text, _Tracing))
        fault = f"{MAX_TRACING_BYTES} bytes at most"
    except (msgspec.MsgspecError, UnicodeError) as error:
        fault = str(error)
    raise ClientProtocolError(f"Invalid 'session.tracing': {fault}.", param="session.tracing")


def chat_tools(tools: Sequence[FunctionTool]) -> list[dict[str, Any]]:
    """Tools in the form of OpenAI's chat API."""
    return [
        {
            "type": "function",
            "function": {
                "name": tool.name,
                "description": tool.description or "",
                "parameters": tool.parameters,
            },
        }
        for tool in tools
    ]


def chat_tool_choice(choice: ToolChoice) -> str:
    """``auto``, ``none``, ``required`` or a tool's name."""
    return choice if isinstance(choice, str) else choice.name


def checked_response(params: ResponseParams) -> ResponseParams:
    """The settings of a single response. Raises ClientProtocolError for what it cannot be given."""
    if params.output_modalities is not None:
        is_spoken(params.output_modalities, "response.output_modalities")
    if params.max_output_tokens is not None:
        checked_tokens(params.max_output_tokens, "response.max_output_tokens")
    if params.tools is None:
        return params
    return msgspec.structs.replace(params, tools=list(checked_tools(params.tools, "response.tools")))


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
        changes["transcription_model"] = audio.input.transcription.model
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
        changes["voice"] = None if name in (None, DEFAULT_VOICE) else name
    return changes
