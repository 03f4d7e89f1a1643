"""`repartee call` against a region that answers from a script."""

import json
import wave
from pathlib import Path

import numpy as np
import pytest
from tests.regional.client.scripted_region import Script, running_in_thread, tone
from typer.testing import CliRunner

from repartee.cli.main import application
from repartee.errors import VoiceError

runner = CliRunner()


def call(*words: str) -> str:
    """What `repartee call` prints; raises what it raises."""
    result = runner.invoke(application(["call"]), ["call", *words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def write_question(path: Path, rate_hz: int = 24_000) -> Path:
    with wave.open(str(path), "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(rate_hz)
        wav.writeframes(tone(300) + bytes(rate_hz // 5))
    return path


def test_a_call_prints_the_turns_and_writes_them(tmp_path: Path) -> None:
    question = write_question(tmp_path / "question.wav")
    with running_in_thread(Script(quiet_ms=420, answer_ms=[200, 200])) as url:
        told = call(
            "--url",
            url,
            "--say",
            "Where are you?",
            "--wav",
            str(question),
            "--json",
            str(tmp_path / "a/b.json"),
        )
    assert "Where are you?" in told and "Certainly, I can help with that." in told
    assert told.count("voice to voice") == 2 and "end of turn" in told and "P90" in told
    report = json.loads((tmp_path / "a/b.json").read_text())
    assert [turn["question"] for turn in report["turns"]] == ["Where are you?", "question.wav"]
    for turn in report["turns"]:
        assert sum(turn["stages_ms"].values()) == pytest.approx(turn["voice_to_voice_ms"], abs=1)
        assert {"call_id", "turn_id", "answer", "interrupted", "filler_ms", "prefetch"} <= turn.keys()
    assert report["p50_ms"] <= report["p90_ms"]


def test_a_recording_at_another_rate_is_resampled(tmp_path: Path) -> None:
    question = write_question(tmp_path / "question.wav", rate_hz=48_000)
    with running_in_thread(Script(answer_ms=[100])) as url:
        call("--url", url, "--wav", str(question), "--out", str(tmp_path / "call.wav"))
    with wave.open(str(tmp_path / "call.wav")) as wav:
        left = np.frombuffer(wav.readframes(wav.getnframes()), dtype="<i2").reshape(-1, 2)[:, 0]
    sounding_ms = np.flatnonzero(np.abs(left) > 1000) / 24
    # Written as 24 kHz audio with a header that says 48: it lasts half as long.
    assert sounding_ms[-1] - sounding_ms[0] == pytest.approx(150, abs=5)


def test_an_unanswered_question_is_a_failure() -> None:
    with (
        running_in_thread(Script(hang_up_after_turns=1)) as url,
        pytest.raises(VoiceError, match="close code 1011"),
    ):
        call("--url", url, "--say", "Hello?")


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("missing.wav", None, "There is no file"),
        ("text.wav", b"hello", "is not a WAV file"),
        ("empty.wav", b"", "is not a WAV file"),
    ],
)
def test_a_recording_that_is_none(tmp_path: Path, name: str, content: bytes | None, says: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(VoiceError, match=says):
        call("--wav", str(tmp_path / name))


def test_help_lists_every_command() -> None:
    listed = runner.invoke(application([]), ["--help"]).output
    for name in ("up", "demo", "call", "region", "standins", "edge", "route", "bench"):
        assert f" {name} " in listed
