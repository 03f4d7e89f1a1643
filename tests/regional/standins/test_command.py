"""``repartee standins`` as a user starts and stops it."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from tests.promptness import DEADLINE_S

COMMAND = [sys.executable, "-c", "from repartee.cli.main import main; main()", "standins"]


def start(*options: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "COLUMNS": "200"}
    return subprocess.Popen(
        [*COMMAND, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


@pytest.mark.parametrize("options", [["--light"], []])
def test_it_prints_what_to_export_and_ends_on_ctrl_c(options: list[str]) -> None:
    process = start("--port", "0", "--profile", "instant", *options)
    assert process.stdout is not None
    exported: dict[str, str] = {}
    for line in process.stdout:
        if found := re.fullmatch(r"export (\w+)=(\S+)\n", line):
            exported[found[1]] = found[2]
        if "Ctrl-C" in line:
            break
    assert httpx.get(f"{exported['DEEPGRAM_BASE_URL']}/standins/profile").json()["name"] == "instant"
    assert exported["OPENAI_BASE_URL"] == f"{exported['CARTESIA_BASE_URL']}/v1"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=DEADLINE_S)
    assert (process.returncode, errors) == (0, "")


def test_a_taken_port_is_said_in_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = start("--light", "--port", str(taken.getsockname()[1]))
        _, errors = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 1
    assert "choose another with --port" in errors
    assert "Traceback" not in errors


def test_wrong_settings_are_said_in_sentences(tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text('{"utterances": []}')
    for options, complaint in (
        (["--profile", "no-such"], "budget"),
        (["--light", "--script", str(script)], "at least one"),
    ):
        process = start(*options)
        _, errors = process.communicate(timeout=DEADLINE_S)
        assert process.returncode == 1
        assert complaint in errors
        assert "Traceback" not in errors
