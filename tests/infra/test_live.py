"""`make live`: only if asked for, never beyond its cap, with an output that can be published."""

import os
import subprocess
import sys
from pathlib import Path

from tests.regional.app.running import clean_environment, stand_ins

ROOT = Path(__file__).parents[2]
KEY = "sk-live-0123456789abcdef"


def live(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "tests/live", "-rs", "-q", "-p", "no:cacheprovider"]
    own = {name: value for name, value in clean_environment().items() if not name.startswith("PYTEST")}
    return subprocess.run(
        command, cwd=ROOT, env=own | environment, capture_output=True, text=True, timeout=240, check=False
    )


def with_keys(variables: dict[str, str]) -> dict[str, str]:
    return {name: KEY if name.endswith("_KEY") else value for name, value in variables.items()}


def test_each_live_test_passes_against_the_stand_ins_and_tells_no_secret() -> None:
    with stand_ins("instant") as variables:
        done = live(with_keys(variables) | {"LIVE_TESTS": "1"})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
    assert "voice to voice: P50" in done.stdout
    said = done.stdout + done.stderr
    hosts = [value.removeprefix("http://") for name, value in variables.items() if name.endswith("_URL")]
    for secret in (KEY, *hosts, "opening hours", "We open"):
        assert secret not in said, secret


def test_without_being_asked_for_nothing_is_collected() -> None:
    done = live({"OPENAI_API_KEY": KEY})
    assert "no tests ran" in done.stdout


def test_without_keys_it_says_so() -> None:
    done = live({"LIVE_TESTS": "1"})
    assert done.returncode == 0
    assert "not set: CARTESIA_API_KEY, DEEPGRAM_API_KEY, OPENAI_API_KEY" in done.stdout
    assert "2 skipped" in done.stdout


def test_it_stops_at_the_cap_and_says_so() -> None:
    with stand_ins("instant") as variables:
        done = live(with_keys(variables) | {"LIVE_TESTS": "1", "LIVE_TESTS_USD": "0.02"})
    assert "1 passed, 1 skipped" in done.stdout, done.stdout
    assert "the spending cap is reached: 0.01 of 0.02 USD" in done.stdout


def test_the_cap_is_a_dollar_unless_another_is_asked_for() -> None:
    from tests.live.purse import CAP_USD, Purse

    assert CAP_USD == 1.0
    assert Purse.of({}).cap_usd == 1.0
    assert Purse.of({"LIVE_TESTS_USD": "5"}).cap_usd == 5.0


def test_make_test_and_ci_never_run_it() -> None:
    makefile = (ROOT / "Makefile").read_text()
    asking = [line for line in makefile.splitlines() if "LIVE_TESTS=1" in line]
    assert len(asking) == 1
    assert "tests/live" in asking[0]
    assert "LIVE_TESTS" not in "".join(
        path.read_text() for path in (ROOT / ".ci").rglob("*") if path.is_file()
    )
    assert "LIVE_TESTS" not in os.environ
