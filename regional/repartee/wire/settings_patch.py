"""The settings of a session, as a client sends them: OpenAI's names, and nothing that they do not have.

What a field means to a call is for :mod:`repartee.wire.session_settings` to know; :mod:`repartee.wire.unmet` refuses
what a cascade cannot do.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

MAX_INSTRUCTIONS_CHARS = 100_000
"""Longer instructions would not fit a model that answers in time."""

MAX_DETECTION_MS = 60_000
MIN_IDLE_MS, MAX_IDLE_MS = 1_000, 600_000
"""Of ``turn_detection``'s durations."""

MAX_SCHEMA_DEPTH = 64
"""How deep a tool's parameters may be nested: they are written again for the model and for the client."""

MAX_TOOLS = 128
MAX_METADATA_PAIRS = 16
MAX_METADATA_KEY_CHARS = 64
MAX_METADATA_VALUE_CHARS = 512
MAX_TOOL_NAME_CHARS = 64
MAX_ID_CHARS = 512
"""Of ids, and of the names of models, voices and languages. These six are OpenAI's limits."""

Short = Annotated[str, Meta(max_length=MAX_ID_CHARS)]
Instructions = Annotated[str, Meta(max_length=MAX_INSTRUCTIONS_CHARS)]
ToolName = Annotated[str, Meta(max_length=MAX_TOOL_NAME_CHARS)]
MetadataKey = Annotated[str, Meta(max_length=MAX_METADATA_KEY_CHARS)]
MetadataValue = Annotated[str, Meta(max_length=MAX_METADATA_VALUE_CHARS)]
Metadata = Annotated[dict[MetadataKey, MetadataValue], Meta(max_length=MAX_METADATA_PAIRS)]


class EventPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The base of objects within events. A field that is not there is refused: it may be misspelt."""


class AudioFormat(EventPart, frozen=True):
    type: Literal["audio/pcm", "audio/pcmu", "audio/pcma"] = "audio/pcm"
    rate: int | None = None


class _Detection(EventPart, frozen=True, tag_field="type", kw_only=True):
    create_response: bool | None = None
    interrupt_response: bool | None = None

    @property
    def replies(self) -> bool:
        """Whether a turn is answered of its own accord."""
        return self.create_response is not False

    @property
    def interruptible(self) -> bool:
        """Whether the caller's speech stops the agent's."""
        return self.interrupt_response is not False

    def as_json(self) -> dict[str, Any]:
        """The settings as a session shows them."""
        settings: dict[str, Any] = msgspec.to_builtins(self)
        given = {key: value for key, value in settings.items() if value is not None}
        return {"create_response": True, "interrupt_response": True, **given}


class ServerVad(_Detection, frozen=True, tag="server_vad", kw_only=True):
    threshold: Annotated[float, Meta(ge=0, le=1)] | None = None
    prefix_padding_ms: Annotated[int, Meta(ge=0, le=MAX_DETECTION_MS)] | None = None
    silence_duration_ms: Annotated[int, Meta(ge=0, le=MAX_DETECTION_MS)] | None = None
    idle_timeout_ms: Annotated[int, Meta(ge=MIN_IDLE_MS, le=MAX_IDLE_MS)] | None = None


class SemanticVad(_Detection, frozen=True, tag="semantic_vad", kw_only=True):
    eagerness: Literal["low", "medium", "high", "auto"] | None = None


TurnDetection = ServerVad | SemanticVad


class Transcription(EventPart, frozen=True):
    """``keywords``, ``languages`` and ``delay`` mean something to a speech-to-speech model's provider alone."""

    language: Short | None = None
    prompt: Instructions | None = None
    model: Short | None = None
    languages: Raw = Raw()
    keywords: Raw = Raw()
    delay: Raw = Raw()


class AudioInput(EventPart, frozen=True):
    format: AudioFormat | UnsetType = UNSET
    turn_detection: TurnDetection | UnsetType | None = UNSET
    transcription: Transcription | UnsetType | None = UNSET
    noise_reduction: Raw = Raw()


class CustomVoice(EventPart, frozen=True):
    id: Short


class AudioOutput(EventPart, frozen=True):
    format: AudioFormat | UnsetType = UNSET
    voice: Short | CustomVoice | UnsetType | None = UNSET
    speed: float | None = None


class Audio(EventPart, frozen=True):
    input: AudioInput | UnsetType = UNSET
    output: AudioOutput | UnsetType = UNSET


class FunctionTool(EventPart, frozen=True):
    """A tool as a client declares it: a function, or what only OpenAI's servers can reach (``mcp``)."""

    name: ToolName = ""
    type: Literal["function", "mcp"] = "function"
    description: str | None = None
    parameters: Raw = Raw()
    """JSON as it came: nobody here looks into it, and reading a megabyte of it takes a second."""

    server_label: Raw = Raw()
    server_url: Raw = Raw()
    server_description: Raw = Raw()
    connector_id: Raw = Raw()
    authorization: Raw = Raw()
    headers: Raw = Raw()
    allowed_tools: Raw = Raw()
    require_approval: Raw = Raw()
    defer_loading: Raw = Raw()

    def as_json(self) -> dict[str, Any]:
        """A function in the Realtime protocol's form."""
        return {
            "type": "function",
            "name": self.name,
            "description": self.description or "",
            "parameters": self.parameters,
        }


class FunctionChoice(EventPart, frozen=True):
    name: ToolName
    type: Literal["function"] = "function"


Tools = Annotated[list[FunctionTool], Meta(max_length=MAX_TOOLS)]
ToolChoice = Literal["auto", "none", "required"] | FunctionChoice
Modalities = Annotated[list[Literal["text", "audio"]], Meta(max_length=2)]
MaxTokens = int | Literal["inf"]


class SessionPatch(EventPart, frozen=True):
    """The settings of a session that an update changes; what is unset stays as it is."""

    type: Literal["realtime", "transcription"] = "realtime"
    model: Short | UnsetType = UNSET
    instructions: Instructions | UnsetType = UNSET
    output_modalities: Modalities | UnsetType = UNSET
    audio: Audio | UnsetType = UNSET
    tools: Tools | UnsetType = UNSET
    tool_choice: ToolChoice | UnsetType = UNSET
    max_output_tokens: MaxTokens | UnsetType = UNSET
    metadata: Metadata | UnsetType | None = UNSET
    include: list[Short] | None = None
    tracing: Raw = Raw()
    truncation: Raw = Raw()
    prompt: Raw = Raw()
    reasoning: Raw = Raw()
    parallel_tool_calls: bool | None = None
