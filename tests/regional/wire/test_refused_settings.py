"""Settings that the protocol no longer has, or never had, are refused by name."""

import json
from typing import Any

import pytest
from tests.regional.wire.test_client_events import event, refusal

from repartee.wire import client_events as w
from repartee.wire import settings_patch

BEFORE_GA = {
    "session": (
        "modalities",
        "voice",
        "input_audio_format",
        "output_audio_format",
        "input_audio_transcription",
        "input_audio_noise_reduction",
        "turn_detection",
        "temperature",
        "speed",
        "max_response_output_tokens",
        "client_secret",
    ),
    "response": ("modalities", "voice", "output_audio_format", "temperature"),
}
"""The settings of the API before 2025-08 that have other names or places now."""


@pytest.mark.parametrize(
    ("outer", "field"), [(outer, field) for outer, fields in BEFORE_GA.items() for field in fields]
)
def test_settings_of_the_beta_are_refused_by_name(outer: str, field: str) -> None:
    type_ = {"session": "session.update", "response": "response.create"}[outer]
    error = refusal(json.dumps({"type": type_, "event_id": "mine", outer: {field: None}}))
    assert str(error) == f"Unknown parameter: '{outer}.{field}'."
    assert (error.code, error.param, error.event_id) == ("unknown_parameter", f"{outer}.{field}", "mine")


def test_the_beta_event_of_transcription_sessions_is_refused() -> None:
    assert refusal('{"type":"transcription_session.update","session":{}}').param == "type"


@pytest.mark.parametrize(
    ("session", "param"),
    [
        ({"instruction": "x"}, "session.instruction"),
        ({"audio": {"inptu": {}}}, "session.audio.inptu"),
        (
            {"audio": {"input": {"turn_detection": {"type": "server_vad", "silence_ms": 5}}}},
            "turn_detection.silence_ms",
        ),
        ({"audio": {"input": {"turn_detection": {"type": "semantic_vad", "threshold": 0.5}}}}, "threshold"),
        ({"audio": {"output": {"voices": "x"}}}, "session.audio.output.voices"),
    ],
)
def test_misspelt_settings_are_refused_by_name(session: dict[str, Any], param: str) -> None:
    error = refusal(json.dumps({"type": "session.update", "session": session}))
    assert error.code == "unknown_parameter"
    assert error.param is not None
    assert error.param.endswith(param)


def test_what_may_be_null_may_be_null() -> None:
    tool = {"type": "function", "name": "f", "description": None, "parameters": None}
    detection = {
        "type": "server_vad",
        "create_response": None,
        "interrupt_response": None,
        "idle_timeout_ms": None,
    }
    audio = {"input": {"turn_detection": detection, "noise_reduction": None}, "output": {"speed": None}}
    update = event(
        "session.update", session={"tools": [tool], "audio": audio, "tracing": None, "prompt": None}
    )
    assert isinstance(update, w.SessionUpdate)
    assert isinstance(update.session.audio, settings_patch.Audio)
    assert isinstance(update.session.audio.input, settings_patch.AudioInput)
    found = update.session.audio.input.turn_detection
    assert isinstance(found, settings_patch.ServerVad)
    assert found.replies and found.interruptible
