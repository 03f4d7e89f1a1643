"""`repartee doctor --latency`: real requests with the deployment's keys, and what turns will take."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.promptness import DEADLINE_S, measured
from tests.regional.app.running import REPARTEE, clean_environment, stand_ins

CLOSE_MS = 20.0
"""The doctor's P50 and P90 are within so much of what calls take."""


def doctor(environment: dict[str, str], report: Path, *options: str) -> dict[str, Any]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    command = [REPARTEE, "doctor", "--latency", "--port", port, "--json", str(report), *options]
    ended = subprocess.run(
        command,
        env=clean_environment() | environment,
        capture_output=True,
        text=True,
        timeout=4 * DEADLINE_S,
        check=False,
    )
    assert "Traceback" not in ended.stderr, ended.stderr
    told: dict[str, Any] = json.loads(report.read_text())
    return told | {"said": " ".join(ended.stdout.split()), "status": ended.returncode}


@pytest.fixture(scope="module")
def instant() -> Iterator[dict[str, str]]:
    with stand_ins() as variables:
        yield variables


def counts(environment: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{environment['DEEPGRAM_BASE_URL']}/standins/stats").json()[
        "providers"
    ]
    return found


def test_so_many_requests_of_each_kind_are_placed(instant: dict[str, str], tmp_path: Path) -> None:
    before = counts(instant)
    told = doctor(instant, tmp_path / "report.json", "--requests", "6")
    after = counts(instant)
    grown = {name: after[name]["requests"] - before.get(name, {"requests": 0})["requests"] for name in after}
    assert told["status"] == 0
    assert told["requests"] == 6
    assert grown["deepgram"] == 6
    assert grown["openai"] >= 7, "one more goes before, and the doctor asks for a token"
    assert told["v2v_ms"].keys() == {"p50", "p90", "p99"}
    assert told["stages_ms"].keys() == {"eager_end_of_turn", "end_of_turn", "llm", "chunk", "tts"}
    assert "Turns will take about" in told["said"]


SLOW: dict[str, dict[str, dict[str, Any]]] = {
    "stt": {"stt": {"eager_end_of_turn_ms": 900, "end_of_turn_ms": 1000}},
    "llm": {"llm": {"ttft_ms": 900}},
    "tts": {"tts": {"ttfb_ms": 900}},
}
PROFILE: dict[str, dict[str, Any]] = {
    "stt": {"start_of_turn_ms": 60, "eager_end_of_turn_ms": 80, "end_of_turn_ms": 120},
    "llm": {"ttft_ms": 20, "tokens_per_s": None},
    "tts": {"ttfb_ms": 20, "speed": None},
}


@pytest.mark.parametrize(
    ("stage", "named"), [("stt", "Flux"), ("llm", "gpt-oss-120b at Groq"), ("tts", "Flash v2.5")]
)
def test_the_stage_to_change_is_named_with_the_alternatives_published_figures(
    stage: str, named: str, tmp_path: Path
) -> None:
    profile = {group: PROFILE[group] | SLOW[stage].get(group, {}) for group in PROFILE}
    path = tmp_path / "slow.json"
    path.write_text(json.dumps(profile))
    with stand_ins(str(path)) as environment:
        told = doctor(environment, tmp_path / "report.json", "--requests", "3")
    assert told["change"] == stage
    assert told["gains_ms"][stage] > 400
    assert any(named in one["model"] for one in told["alternatives"])
    assert all(one["source"] and one["p50_ms"] < 900 for one in told["alternatives"])
    assert named in told["said"]


def test_each_region_has_a_row(instant: dict[str, str], tmp_path: Path) -> None:
    regions = tmp_path / "regions.json"
    with stand_ins(str(_slow(tmp_path))) as far:
        entries = [
            {
                "name": name,
                "latitude": 1.0,
                "longitude": 1.0,
                "host": f"{name}.example.com",
                "enabled": enabled,
                "providers": providers,
            }
            for name, enabled, providers in (
                ("near", True, {}),
                ("far", True, {"openai": far["OPENAI_BASE_URL"]}),
                ("off", False, {}),
            )
        ]
        regions.write_text(json.dumps({"regions": entries}))
        told = doctor(instant, tmp_path / "report.json", "--requests", "3", "--regions", str(regions))
    assert [row["region"] for row in told["regions"]] == ["near", "far"]
    near, far_row = told["regions"]
    assert far_row["stages_ms"]["llm"]["p50"] > 800 > near["stages_ms"]["llm"]["p50"]
    assert far_row["change"] == "llm"


def _slow(folder: Path) -> Path:
    path = folder / "slow-model.json"
    path.write_text(json.dumps(PROFILE | {"llm": {"ttft_ms": 900, "tokens_per_s": None}}))
    return path


def test_a_provider_that_fails_is_said_and_no_figure_is_made_up(
    instant: dict[str, str], tmp_path: Path
) -> None:
    told = doctor(instant | {"OPENAI_API_KEY": "bad-key"}, tmp_path / "report.json")
    assert told["status"] == 1
    assert "v2v_ms" not in told


@pytest.mark.skipif(
    not os.environ.get("LONG_TESTS"), reason="takes minutes of a quiet machine: make foretell"
)
@pytest.mark.parametrize(
    ("profile", "requests", "turns"), [("budget", 40, 6), ("typical", 200, 30), ("heavy-tail", 100, 10)]
)
def test_the_doctor_foretells_what_calls_take(
    profile: str, requests: int, turns: int, tmp_path: Path
) -> None:
    """Of a profile with jitter, P90 is known to a few ms only after some hundred turns."""
    machine = measured()
    with stand_ins(profile) as environment:
        told = doctor(environment, tmp_path / "doctor.json", "--requests", str(requests), "--at-once", "10")
    command = [str(Path(sys.executable).parent / "repartee"), "bench", "latency", "--profile", profile]
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = int(one.getsockname()[1])
    report = tmp_path / "bench.json"
    options = ["--calls", "10", "--turns", str(turns), "--port", str(port), "--json", str(report)]
    own = {name: value for name, value in os.environ.items() if not name.startswith("REPARTEE_")}
    subprocess.run([*command, *options], env=own, capture_output=True, timeout=3 * DEADLINE_S, check=False)
    calls = json.loads(report.read_text())["v2v_ms"]
    for name in ("p50", "p90"):
        off = told["v2v_ms"][name] - calls[name]
        machine.promise(abs(off) <= CLOSE_MS, f"{profile}: the doctor's {name} is off by {off:.0f} ms")
