"""The settings of one Realtime session: what they are at first, and what an update may make of them. Pure."""

import copy
from collections.abc import Mapping
from typing import Any

from repartee.standins.realtime_conversation import ItemFault

VOICES = ("alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar")
FORMATS = ("audio/pcm", "audio/pcmu", "audio/pcma")
PCM_HZ = 24_000
MAX_OUTPUT_TOKENS = 4096

TRANSCRIBERS = (
    "gpt-transcribe",
    "gpt-live-transcribe",
    "gpt-realtime-whisper",
    "gpt-4o-transcribe",
    "gpt-4o-mini-transcribe",
    "whisper-1",
)
EFFORTS = ("minimal", "low", "medium", "high", "xhigh")

Settings = dict[str, Any]


def first_settings(session_id: str, model: str, expires_at: int) -> Settings:
    """A session before it is updated."""
    return {
        "type": "realtime",
        "object": "realtime.session",
        "id": session_id,
        "model": model,
        "output_modalities": ["audio"],
        "instructions": "",
        "tools": [],
        "tool_choice": "auto",
        "max_output_tokens": "inf",
        "tracing": None,
        "truncation": "auto",
        "prompt": None,
        "include": None,
        "expires_at": expires_at,
        "audio": {
            "input": {
                "format": {"type": "audio/pcm", "rate": PCM_HZ},
                "transcription": None,
                "noise_reduction": None,
                "turn_detection": {
                    "type": "server_vad",
                    "create_response": True,
                    "interrupt_response": True,
                    "idle_timeout_ms": None,
                },
            },
            "output": {"format": {"type": "audio/pcm", "rate": PCM_HZ}, "voice": "marin", "speed": 1.0},
        },
    }


def updated(settings: Settings, change: object, *, has_spoken: bool) -> Settings:
    """The settings with a change, as a whole or not at all. Raises ItemFault."""
    if not isinstance(change, Mapping) or change.get("type") != "realtime":
        raise ItemFault(
            "Missing required parameter: 'session.type'.", "session.type", "missing_required_parameter"
        )
    fixed = {key: settings[key] for key in ("id", "object", "model", "expires_at")}
    new = _merged(settings, change) | fixed
    _check(new, "session")
    if has_spoken and new["audio"]["output"]["voice"] != settings["audio"]["output"]["voice"]:
        raise ItemFault(
            "Cannot update a conversation's voice if assistant audio is present.",
            "session.audio.output.voice",
            "cannot_update_voice",
        )
    return new


def for_response(settings: Settings, params: Mapping[str, Any]) -> Settings:
    """The settings of one response: its own before the session's. Raises ItemFault."""
    own = {key: value for key, value in params.items() if key not in ("conversation", "input")}
    new = _merged(settings, own)
    _check(new, "response")
    return new


def _merged(old: Any, change: Mapping[str, Any]) -> Settings:
    """Objects are merged, all else is replaced; a turn detection of another type starts afresh."""
    new: Settings = copy.copy(old)
    for key, value in change.items():
        known = new.get(key)
        if isinstance(value, Mapping) and isinstance(known, Mapping) and not _afresh(key, known, value):
            new[key] = _merged(known, value)
        else:
            new[key] = value
    if isinstance(detection := new.get("turn_detection"), Mapping):
        new["turn_detection"] = {"create_response": True, "interrupt_response": True, **detection}
    return new


def _afresh(key: str, known: Mapping[str, Any], value: Mapping[str, Any]) -> bool:
    return key == "format" or (key == "turn_detection" and value.get("type") != known.get("type"))


def _check(settings: Settings, at: str) -> None:
    if settings["output_modalities"] not in (["audio"], ["text"]):
        raise ItemFault(
            f"Invalid value for '{at}.output_modalities': use ['text'] or ['audio'].",
            f"{at}.output_modalities",
        )
    limit = settings["max_output_tokens"]
    if limit != "inf" and not (isinstance(limit, int) and 1 <= limit <= MAX_OUTPUT_TOKENS):
        raise ItemFault(
            f"Invalid '{at}.max_output_tokens': an integer from 1 to {MAX_OUTPUT_TOKENS}, or 'inf'.",
            f"{at}.max_output_tokens",
        )
    for number, tool in enumerate(settings["tools"] or []):
        if not isinstance(tool, Mapping) or tool.get("type") != "function" or not tool.get("name"):
            raise ItemFault(
                f"Missing required parameter: '{at}.tools[{number}].name'.", f"{at}.tools[{number}]"
            )
    audio = settings["audio"]
    _one_of(audio["output"]["voice"], VOICES, f"{at}.audio.output.voice")
    for way in ("input", "output") if "input" in audio else ("output",):
        form, name = audio[way]["format"], f"{at}.audio.{way}.format"
        _one_of(form.get("type"), FORMATS, f"{name}.type")
        if form["type"] == "audio/pcm" and form.get("rate", PCM_HZ) != PCM_HZ:
            raise ItemFault(
                f"Invalid value: '{form['rate']}'. Supported values are: '{PCM_HZ}'.", f"{name}.rate"
            )
    _check_reasoning(settings, at)
    transcription = audio["input"].get("transcription") if "input" in audio else None
    if transcription is not None:
        _one_of(transcription.get("model"), TRANSCRIBERS, f"{at}.audio.input.transcription.model")
    detection = audio["input"].get("turn_detection")
    if detection is not None:
        _one_of(
            detection.get("type"), ("server_vad", "semantic_vad"), f"{at}.audio.input.turn_detection.type"
        )
        _check_idle(detection, f"{at}.audio.input.turn_detection.idle_timeout_ms")


def _check_idle(detection: Mapping[str, Any], param: str) -> None:
    """Only the server's own detection has a timeout, within bounds."""
    timeout_ms = detection.get("idle_timeout_ms")
    if timeout_ms is None:
        return
    if detection["type"] != "server_vad":
        raise ItemFault(f"Unknown parameter: '{param}'.", param, "unknown_parameter")
    if not (isinstance(timeout_ms, int) and 5_000 <= timeout_ms <= 30_000):
        raise ItemFault(
            f"Invalid '{param}': expected an integer from 5000 to 30000, but got {timeout_ms}.", param
        )


def _check_reasoning(settings: Settings, at: str) -> None:
    """Only the models of the second generation reason."""
    reasoning = settings.get("reasoning")
    if reasoning is None:
        return
    if not str(settings["model"]).startswith("gpt-realtime-2"):
        raise ItemFault(
            f"'{at}.reasoning' is not supported with this model.", f"{at}.reasoning", "unsupported_parameter"
        )
    _one_of(reasoning.get("effort"), EFFORTS, f"{at}.reasoning.effort")


def _one_of(value: object, known: tuple[str, ...], param: str) -> None:
    if value not in known:
        supported = ", ".join(f"'{one}'" for one in known)
        raise ItemFault(f"Invalid value: '{value}'. Supported values are: {supported}.", param)
