"""`repartee demo --once`: what a new user sees first, and what other programs read of it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.e2e.conftest import free_port, own_environment

LIMIT_S = 180.0
"""It takes half a minute on a machine with nothing else to do; what takes this long hangs."""


def processes_on(port: int) -> list[str]:
    """The command lines of processes that were started for a system on this port."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes().decode().replace("\0", " ")
        except OSError:
            continue
        if "repartee.launch.tied" in command and any(f"--port {port + n} " in command for n in (0, 1, 2, 13)):
            found.append(command)
    return found


def test_the_demo_answers_three_questions_and_leaves_nothing_behind(tmp_path: Path) -> None:
    port = free_port()
    report, recording = tmp_path / "demo.json", tmp_path / "demo.wav"
    ended = subprocess.run(
        [
            *(Path(sys.executable).parent / "repartee", "demo", "--once", "--port", str(port)),
            *("--json", report, "--out", recording),
        ],
        env=own_environment(),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f"http://127.0.0.1:{port}/" in ended.stdout and "P90" in ended.stdout

    told = json.loads(report.read_text())
    assert len(told["turns"]) == 3
    assert [turn["interrupted"] for turn in told["turns"]] == [False, True, False]
    for number, turn in enumerate(told["turns"], 1):
        assert turn["question"] and turn["answer"] and turn["call_id"]
        assert turn["turn_id"] == number
        assert sum(turn["stages_ms"].values()) == pytest.approx(turn["voice_to_voice_ms"], abs=1)
    assert told["p50_ms"] <= told["p90_ms"]
    assert recording.stat().st_size > 24_000 * 4 * 10
    assert processes_on(port) == []


def test_up_ends_with_everything_on_ctrl_c() -> None:
    port = free_port()
    with subprocess.Popen(
        [Path(sys.executable).parent / "repartee", "up", "--port", str(port), "--regions", "1"],
        env=own_environment(),
        stdout=subprocess.PIPE,
        text=True,
    ) as up:
        assert up.stdout is not None
        assert any("Ctrl-C" in line for line in up.stdout)
        assert len(processes_on(port)) == 3
        os.kill(up.pid, 2)
        assert up.wait(10) == 0
    assert processes_on(port) == []
