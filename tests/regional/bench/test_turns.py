"""`repartee bench turns`, on recordings made of the project's own voice with pauses in it."""

import json
import wave
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from repartee.bench.conditions import CONDITIONS, heard_in
from repartee.bench.recordings import RATE_HZ, read_recordings
from repartee.bench.turn_trial import POLICIES, run_trial
from repartee.bench.turns import measure
from repartee.cli.main import application
from repartee.errors import VoiceError
from repartee.standins.synthesiser import synthesise

SENTENCES = {
    "short": [("Book a room", 0.0)],
    "paused": [("I would like to", 0.7), ("book a table for two", 0.0)],
    "counted": [("one two three", 0.4), ("four five six", 0.0)],
    "opened": [("Please tell me when the office opens", 0.0)],
    "named": [("My name is Anna", 0.0)],
    "timed": [("What time is it now", 0.0)],
    "ordered": [("A large pizza with cheese", 0.0)],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Turns as the command reads them; the second and third have a pause in them."""
    where = tmp_path_factory.mktemp("recordings")
    entries = []
    for name, parts in SENTENCES.items():
        pcm, segments, words = [np.zeros(int(0.6 * RATE_HZ), dtype="<i2")], [], []
        for text, pause_s in parts:
            spoken = np.frombuffer(synthesise(text, voice="en-us", rate_hz=RATE_HZ).pcm, dtype="<i2")
            loud = np.flatnonzero(np.abs(spoken.astype(int)) >= 150)
            spoken = spoken[loud[0] : loud[-1] + 1]
            start_s = sum(piece.size for piece in pcm) / RATE_HZ
            end_s = start_s + spoken.size / RATE_HZ
            step = (end_s - start_s) / len(text.split())
            words += [
                [word, start_s + n * step, start_s + (n + 1) * step] for n, word in enumerate(text.split())
            ]
            segments.append([start_s, end_s])
            pcm += [spoken, np.zeros(int((pause_s or 3.0) * RATE_HZ), dtype="<i2")]
        with wave.open(str(where / f"{name}.wav"), "wb") as out:
            out.setnchannels(1)
            out.setsampwidth(2)
            out.setframerate(RATE_HZ)
            out.writeframes(np.concatenate(pcm).tobytes())
        entries.append({"name": name, "cat": "short", "segments_s": segments, "words": words})
    (where / "turns.json").write_text(json.dumps(entries))
    return where


def test_the_command_writes_what_its_contract_says(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "turns.json"
    given = ["--recordings", str(folder), "--conditions", "clean,office-20", "--json", str(out)]
    done = CliRunner().invoke(application(["bench", "turns"]), ["bench", "turns", *given])
    assert done.exit_code == 0, done.output
    report = json.loads(out.read_text())
    assert {"p50", "p90"} <= set(report["in_noise"]["reported_minus_measured_ms"])
    assert list(report["conditions"]) == ["clean", "office-20"]
    for figures in report["conditions"].values():
        assert figures["turns"] == len(SENTENCES)
        for share in ("cut_off", "spoken_over", "last_words_lost", "off_by_100"):
            assert 0 <= figures[share] <= 1
        assert {"p50", "p90"} <= set(figures["delay_ms"])
        assert {"p10", "p50", "p90"} == set(figures["speech_end_error_ms"])
        assert {"p50", "p90"} <= set(figures["reported_minus_measured_ms"])
        assert {"speech_end_error_ms", "off_by_100"} <= set(figures["without_word_times"])


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("condition", ["clean", "telephone", "office-20"])
def test_the_end_of_speech_is_right(folder: Path, condition: str, policy: str) -> None:
    figures = measure(read_recordings(folder), [condition], policy)["conditions"][condition]
    assert abs(figures["speech_end_error_ms"]["p50"]) <= 40
    assert figures["off_by_100"] <= 0.2


def test_a_pause_that_is_longer_than_the_policy_waits_is_a_cut(folder: Path) -> None:
    recorded = {turn.name: turn for turn in read_recordings(folder)}
    heard = {name: heard_in(turn, "clean", list(recorded.values())) for name, turn in recorded.items()}
    trials = {name: run_trial(turn, heard[name], POLICIES["nova"]) for name, turn in recorded.items()}
    assert trials["paused"].cut_off
    assert not trials["short"].cut_off
    patient = run_trial(recorded["counted"], heard["counted"], POLICIES["nova-700"])
    assert trials["counted"].cut_off
    assert patient.final is not None


def test_the_same_figures_come_again(folder: Path) -> None:
    recorded = read_recordings(folder)
    assert measure(recorded, ["babble-10"], "flux") == measure(recorded, ["babble-10"], "flux")


def test_every_condition_changes_the_line_and_keeps_its_length(folder: Path) -> None:
    recorded = read_recordings(folder)
    for condition in CONDITIONS:
        heard = heard_in(recorded[0], condition, recorded)
        assert heard.size == recorded[0].samples.size
        assert (condition == "clean") == bool(np.array_equal(heard, recorded[0].samples))


@pytest.mark.parametrize(
    ("text", "says"),
    [("", "cannot be read"), ("[]", "lists no turns"), ("{}", "no list of turns")],
)
def test_a_folder_that_holds_no_turns_is_refused(tmp_path: Path, text: str, says: str) -> None:
    if text:
        (tmp_path / "turns.json").write_text(text)
    with pytest.raises(VoiceError, match=says):
        read_recordings(tmp_path)


def test_an_unknown_condition_or_policy_is_refused(folder: Path) -> None:
    command = application(["bench", "turns"])
    for extra in (["--conditions", "rain"], ["--policy", "hasty"]):
        done = CliRunner().invoke(command, ["bench", "turns", "--recordings", str(folder), *extra])
        assert isinstance(done.exception, VoiceError)
