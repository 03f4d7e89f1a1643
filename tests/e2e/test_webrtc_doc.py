"""What docs/webrtc.md says to do does what it says."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Playwright
from tests.e2e.conftest import launch, own_environment
from tests.e2e.speaking import write_questions
from tests.promptness import DEADLINE_S

from repartee.launch.exposure import KNOWN_KEY

PAGE = (Path(__file__).parents[2] / "docs/webrtc.md").read_text()
REPARTEE = Path(sys.executable).parent / "repartee"


@pytest.mark.parametrize("more", [[], ["--tcp"]])
def test_the_command_places_a_call(system: str, tmp_path: Path, more: list[str]) -> None:
    (command,) = re.findall(r"`repartee (call --webrtc [^`]+)`", PAGE)
    words = shlex.split(command.replace("ws://127.0.0.1:8787", system.replace("http", "ws", 1)))
    report = tmp_path / "call.json"
    ended = subprocess.run(
        [REPARTEE, *words, *more, "--json", report],
        env=own_environment(),
        timeout=DEADLINE_S,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    told = json.loads(report.read_text())
    assert told["transport"] == "webrtc"
    assert len(told["turns"]) == 1 and all(turn["answer"] for turn in told["turns"])


def test_the_code_for_browsers_calls(system: str, playwright: Playwright, tmp_path: Path) -> None:
    calling = re.findall(r"```js\n(.+?)```", PAGE, re.S)[0]
    browser = launch(playwright, write_questions(tmp_path / "silence.wav", []))
    page = browser.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.goto(system)
    with page.expect_console_message(
        lambda message: "session.created" in str(message.args[0].json_value()), timeout=DEADLINE_S * 1_000
    ):
        page.evaluate(
            f"async (token) => {{ document.body.append(new Audio()); {calling} window.peer = pc; }}",
            KNOWN_KEY,
        )
    assert page.evaluate("window.peer.connectionState") == "connected", said
    browser.close()
