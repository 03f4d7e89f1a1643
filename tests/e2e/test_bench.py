"""`repartee bench latency` over real processes: small, for its report and not for its figures."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.e2e.conftest import free_port, own_environment


def bench(*options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).parent / "repartee", "bench", "latency", *map(str, options)],
        env=own_environment(),
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def test_the_report_tells_what_was_measured(tmp_path: Path) -> None:
    report = tmp_path / "latency.json"
    ended = bench("--calls", 2, "--turns", 2, "--port", free_port(), "--json", report)
    # On a busy machine the run may be rejected for the generator's lateness, and then says so.
    assert ended.returncode == 0 or "does not count" in ended.stderr, ended.stdout + ended.stderr
    told = json.loads(report.read_text())
    assert (told["calls"], told["turns"], told["unanswered"], told["early"]) == (2, 4, 0, 0)
    assert told["floor_ms"] == pytest.approx(443, abs=1)
    assert told["v2v_ms"]["p50"] <= told["v2v_ms"]["p90"] <= told["v2v_ms"]["p99"]
    for name, ms in told["v2v_ms"].items():
        assert told["above_floor_ms"][name] == pytest.approx(ms - told["floor_ms"], abs=0.1)
    assert -5 < told["above_floor_ms"]["p50"] < 500
    assert told["generator_lateness_ms"]["p99"] >= 0
    assert told["cpu_s_per_call_minute"] > 0 and told["mb_per_call"] > 0
    assert told["faults"] == []


def test_a_profile_that_is_not_there_is_told(tmp_path: Path) -> None:
    ended = bench("--profile", "nonsense", "--port", free_port())
    assert ended.returncode == 1
    assert "The stand-ins stopped with exit status 1" in ended.stderr and "nonsense" in ended.stderr
