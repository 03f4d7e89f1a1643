"""What cheaper encoding takes from the agent's voice, in figures."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from repartee.bench.spectral_distance import RATE_HZ, delay_of, log_spectral_distance_db
from repartee.cli.main import application


def voice(seconds: float = 1.0) -> np.ndarray:
    """Harmonics of 120 Hz, as a voice has them."""
    at = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    harmonics = [np.sin(2 * np.pi * 120 * n * at) / n for n in range(1, 60)]
    return np.asarray(np.sum(harmonics, axis=0) / 8)


def test_a_sound_is_no_distance_from_itself_however_late() -> None:
    original = voice()
    late = np.concatenate([np.zeros(156), original])
    assert delay_of(original, late) == 156
    assert log_spectral_distance_db(original, late) == pytest.approx(0, abs=1e-6)


def test_half_the_amplitude_is_6_db_away() -> None:
    noise = np.random.default_rng(1).normal(0, 0.1, RATE_HZ)
    assert log_spectral_distance_db(noise, noise / 2) == pytest.approx(6.02, abs=0.05)


def test_the_distance_grows_with_the_noise() -> None:
    original, noise = voice(), np.random.default_rng(1).normal(0, 1, RATE_HZ)
    distances = [log_spectral_distance_db(original, original + level * noise) for level in (0, 0.001, 0.01)]
    assert distances == sorted(distances) and distances[0] < 0.1 < distances[1] < distances[2]


def test_where_nobody_speaks_there_is_no_distance() -> None:
    assert np.isnan(log_spectral_distance_db(np.zeros(RATE_HZ), np.zeros(RATE_HZ)))


def test_the_command_states_quality_and_cost_at_each_complexity(tmp_path: Path) -> None:
    report = tmp_path / "encoding.json"
    words = ["bench", "encoding", "--complexity", "0", "--complexity", "5", "--json", str(report)]
    shown = CliRunner().invoke(application(words), words)
    assert shown.exit_code == 0, shown.output
    told = json.loads(report.read_text())
    assert told["speech"] == "synthetic" and told["seconds"] > 10
    cheap, usual = told["rows"]
    assert (cheap["complexity"], usual["complexity"]) == (0, 5)
    assert 20 < cheap["kbit_s"] < 40 and cheap["us_per_frame"] > 0
    assert 0 < usual["log_spectral_distance_db"] < cheap["log_spectral_distance_db"] < 20
