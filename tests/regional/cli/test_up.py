"""`repartee up`: a provider that cannot be connected to is named at once, and not when the start is given up."""

import io
import os
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import httpx
from rich.console import Console
from tests.promptness import DEADLINE_S, measured
from tests.regional.app.running import REPARTEE, clean_environment, stand_ins

from repartee.agent.author_faults import AUTHOR_LOG, TRACE_MARK
from repartee.launch.whole_system import announcements

LINE = (
    "2026-11-26 07:50:03,871 WARNING repartee.pool.fault_log: cannot connect to deepgram: deepgram refused the "
    "connection with status 401 (dg-error: Invalid credentials.; dg-request-id: {id}). Put a valid key into "
    "DEEPGRAM_API_KEY."
)


def test_a_fault_that_every_region_meets_is_shown_once() -> None:
    out = io.StringIO()
    show = announcements(Console(file=out, width=400))
    show("region us-east", LINE.format(id="ab2d4917-a7f9-4a6a-8463-2f32cafa45a4"))
    show("region eu-west", LINE.format(id="0adf8433-031e-4bb1-a90b-d84a3ab21fbc"))
    show("region eu-west", "2026-11-26 07:50:03,871 INFO repartee.app.worker: drained in 0.1 s; stopping")
    [line] = out.getvalue().splitlines()
    assert line.startswith("✗ Cannot connect to deepgram: ")
    assert line.endswith("Put a valid key into DEEPGRAM_API_KEY.")


def test_what_an_agents_function_raises_is_shown_with_its_traceback() -> None:
    out = io.StringIO()
    show = announcements(Console(file=out, width=400))
    head = "Tool lookup failed in call c1: KeyError at bank.py:3: nobody. Mend it."
    show("region us-east", f"2026-11-26 07:50:03,871 WARNING {AUTHOR_LOG}: {head}")
    show("region eu-west", f"{TRACE_MARK}of another region's")
    show("region us-east", f"{TRACE_MARK}bank.py:3 in lookup: raise KeyError(name)")
    show("region us-east", "2026-11-26 07:50:03,871 INFO repartee.app.worker: drained in 0.1 s; stopping")
    assert out.getvalue().splitlines() == [
        f"✗ {head}",
        f"{TRACE_MARK}bank.py:3 in lookup: raise KeyError(name)",
    ]


def free_port() -> int:
    """The first of three ports in a row that nobody listens on now."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as first:
            port = int(first.getsockname()[1])
        with suppress(OSError):
            for other in (port + 1, port + 2):
                socket.create_server(("127.0.0.1", other)).close()
            return port


def until_alive(url: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        with suppress(httpx.HTTPError):
            if httpx.get(url, trust_env=False).status_code == 200:
                return
        time.sleep(0.01)
    raise AssertionError(f"{url} does not answer")


def test_a_refused_key_is_named_within_two_seconds_of_a_regions_start(tmp_path: Path) -> None:
    port = free_port()
    with stand_ins() as providers:
        process = subprocess.Popen(
            [REPARTEE, "up", "--port", str(port), "--regions", "1"],
            env=clean_environment() | providers | {"OPENAI_API_KEY": "bad-key", "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            start_new_session=True,
        )
        try:
            until_alive(f"http://127.0.0.1:{port + 1}/healthz")
            machine, started = measured(), time.monotonic()
            assert process.stdout is not None
            line = process.stdout.readline()
            machine.promise(time.monotonic() - started < 2, "named within 2 s of the region's start")
        finally:
            os.killpg(process.pid, signal.SIGINT)
            process.communicate(timeout=DEADLINE_S)
    assert line.startswith("✗ Cannot connect to openai: openai refused the API key (status 401)")
    assert line.endswith("Put a valid key into OPENAI_API_KEY.\n")
    assert "bad-key" not in line
