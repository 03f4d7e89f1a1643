"""A session's settings as the provider of a speech-to-speech model wants them. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from repartee.errors import ClientProtocolError
from repartee.wire import outside_json
from repartee.wire.audio_format import WireFormat
from repartee.wire.relay_events import merged
from repartee.wire.session_settings import SessionSettings

PROVIDER_HZ = 24_000
"""The one rate at which the provider takes and gives PCM."""

AUDIO_TOKENS_PER_TOKEN = 7
"""The provider counts speech in tokens of 50 ms; a token of text takes 0.3 s to say, and is counted too."""

PASSED_ON = ("truncation", "tracing", "include", "prompt", "reasoning", "parallel_tool_calls")
PASSED_ON_INPUT = ("turn_detection", "noise_reduction", "transcription")
PASSED_ON_OUTPUT = ("speed",)
"""Settings that mean nothing to us, and something to the provider."""

MAX_PASSED_ON_BYTES = 16_000
"""Each of them, and ``audio``."""


def provider_format(wanted: WireFormat) -> WireFormat:
    """The format to speak to the provider in: the client's own where possible, so that nothing is converted."""
    return wanted if wanted.encoding != "audio/pcm" else WireFormat("audio/pcm", PROVIDER_HZ)


def own_settings(text: str) -> dict[str, Any]:
    """What of a client's session.update is for the provider alone. Raises ClientProtocolError if that is too much."""
    session: dict[str, msgspec.Raw] = outside_json.decode(text, _Update).session
    found = {key: _read(session[key], key) for key in PASSED_ON if key in session}
    audio: Any = _read(session["audio"], "audio") if "audio" in session else None
    parts = {"input": PASSED_ON_INPUT, "output": PASSED_ON_OUTPUT} if isinstance(audio, Mapping) else {}
    for way, keys in parts.items():
        given = audio.get(way)
        if isinstance(given, Mapping) and (kept := {key: given[key] for key in keys if key in given}):
            found.setdefault("audio", {})[way] = kept
    return found


class _Update(msgspec.Struct):
    session: dict[str, msgspec.Raw]


def _read(setting: msgspec.Raw, name: str) -> Any:
    if memoryview(setting).nbytes > MAX_PASSED_ON_BYTES:
        raise ClientProtocolError(
            f"{name!r} may be {MAX_PASSED_ON_BYTES} bytes long.", param=f"session.{name}"
        )
    return outside_json.decode(setting)


def provider_session(
    settings: SessionSettings,
    *,
    style: str,
    agent_tools: Sequence[Mapping[str, Any]],
    transcriber: str,
    keyterms: Sequence[str] = (),
    own: Mapping[str, Any],
) -> dict[str, Any]:
    """The ``session`` of a session.update. ``style`` is added to the instructions of spoken sessions,
    ``keyterms`` are the transcriber's prompt if the client gives none, ``own`` is what the client has set for the
    provider alone."""
    instructions = f"{settings.instructions}\n\n{style}".strip() if settings.spoken else settings.instructions
    prompt = settings.transcription_prompt or ", ".join(keyterms)
    transcription = {"model": transcriber, "prompt": prompt}
    if settings.language != "multi":
        transcription["language"] = settings.language.partition("-")[0]
    output: dict[str, Any] = {"format": provider_format(settings.output_format).as_json()}
    if settings.voice:
        output["voice"] = settings.voice
    session = {
        "type": "realtime",
        "instructions": instructions,
        "output_modalities": ["audio"] if settings.spoken else ["text"],
        "tools": [*agent_tools, *(tool.as_json() for tool in settings.tools)],
        "tool_choice": msgspec.to_builtins(settings.tool_choice),
        "max_output_tokens": settings.max_tokens,
        "audio": {
            "input": {
                "format": provider_format(settings.input_format).as_json(),
                "transcription": {key: value for key, value in transcription.items() if value},
                "turn_detection": settings.turn_detection and settings.turn_detection.as_json(),
            },
            "output": output,
        },
    }
    return merged(session, own)
