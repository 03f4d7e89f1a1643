"""What of OpenAI's settings a cascade of providers cannot do: refused by name, never taken in silence.

A relayed call hands these to the model's provider instead. Pure.
"""

from collections.abc import Iterable, Sequence

import msgspec
from msgspec import UNSET, Raw

from repartee.errors import ClientProtocolError
from repartee.wire.client_events import ResponseParams
from repartee.wire.settings_patch import (
    Audio,
    AudioInput,
    AudioOutput,
    FunctionTool,
    SessionPatch,
    Transcription,
)

NOTHING = (b"", b"null")
"""A setting that is not there, or is taken back."""

AUTOMATIC = (*NOTHING, b'"auto"')


def check_session(patch: SessionPatch) -> None:
    """Raises ClientProtocolError for the first setting that a cascade cannot do."""
    if patch.include:
        raise _refusal("session.include", "there are no log probabilities to include")
    _check(
        [
            (
                "session.truncation",
                patch.truncation,
                AUTOMATIC,
                "the conversation is kept within its bounds: 'auto'",
            ),
            ("session.prompt", patch.prompt, NOTHING, "prompts are stored at OpenAI: send 'instructions'"),
            ("session.reasoning", patch.reasoning, NOTHING, "the deployment decides how its model reasons"),
        ]
    )
    _check_parallel(patch.parallel_tool_calls, "session")
    if isinstance(patch.audio, Audio):
        if isinstance(patch.audio.input, AudioInput):
            _check_input(patch.audio.input)
        if isinstance(patch.audio.output, AudioOutput):
            _check_speed(patch.audio.output, "session")


def check_response(params: ResponseParams) -> None:
    """Raises ClientProtocolError for what a cascade cannot do in a single response."""
    _check(
        [
            ("response.prompt", params.prompt, NOTHING, "prompts are stored at OpenAI: send 'instructions'"),
            ("response.reasoning", params.reasoning, NOTHING, "the deployment decides how its model reasons"),
        ]
    )
    _check_parallel(params.parallel_tool_calls, "response")
    output = params.audio.output if params.audio else None
    if output is not None:
        _check_speed(output, "response")
        if output.format is not UNSET:
            raise _refusal("response.audio.output.format", "set the format for the session")


def check_aside(params: ResponseParams, *, spoken: bool, may_speak: bool) -> None:
    """Raises ClientProtocolError for what a response outside the conversation cannot be, or only such a one can.
    ``may_speak``: the client could tell its audio from the conversation's."""
    if params.conversation not in ("auto", "none"):
        raise ClientProtocolError(
            "A response belongs to the conversation ('auto') or to none ('none').",
            param="response.conversation",
        )
    if params.conversation == "auto" and params.input is not None:
        raise _refusal("response.input", "only a response outside the conversation has an input of its own")
    if params.conversation == "none" and spoken and not may_speak:
        raise _refusal(
            "response.output_modalities",
            "here, audio outside the conversation could not be told from the conversation's: ask for ['text']",
        )


def mcp_tools(tools: Sequence[FunctionTool], param: str) -> ClientProtocolError | None:
    """The refusal of tools that only OpenAI's servers reach, if there are any; the functions beside them hold."""
    places = [place for place, tool in enumerate(tools) if tool.type == "mcp"]
    if not places:
        return None
    return _refusal(
        f"{param}[{places[0]}]",
        f"MCP servers are not reached from here; {len(places)} of the tools were left out, and all else was taken. "
        "Declare functions, or give the agent tools of its own",
    )


def _check_input(given: AudioInput) -> None:
    _check(
        [
            (
                "session.audio.input.noise_reduction",
                given.noise_reduction,
                NOTHING,
                "recognition takes the audio as it comes",
            )
        ]
    )
    wanted = given.transcription
    if isinstance(wanted, Transcription):
        where = "session.audio.input.transcription"
        _check(
            [
                (f"{where}.languages", wanted.languages, NOTHING, "set one 'language'"),
                (
                    f"{where}.keywords",
                    wanted.keywords,
                    NOTHING,
                    "the agent's 'keyterms' are what is listened for",
                ),
                (f"{where}.delay", wanted.delay, NOTHING, "words come as they are recognised"),
            ]
        )


def _check(settings: Iterable[tuple[str, Raw, Sequence[bytes], str]]) -> None:
    for param, value, fine, why in settings:
        if bytes(value) not in fine:
            raise _refusal(param, why)


def _check_parallel(wanted: bool | None, of: str) -> None:
    if wanted is False:
        raise _refusal(f"{of}.parallel_tool_calls", "a model may call several tools at once")


def _check_speed(output: AudioOutput, of: str) -> None:
    if output.speed not in (None, 1.0):
        raise _refusal(f"{of}.audio.output.speed", "a voice speaks at its own speed: 1.0")


def _refusal(param: str, why: str) -> ClientProtocolError:
    return ClientProtocolError(
        f"Unsupported parameter: '{param}': {why}.", code="unsupported_parameter", param=param
    )


def is_given(value: msgspec.Raw) -> bool:
    """Whether a client has set this."""
    return bytes(value) not in NOTHING
