"""`repartee up`: a provider that cannot be connected to is named at once, and not when the start is given up."""

import asyncio
import io
import json
import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import httpx
from rich.console import Console
from tests.free_ports import free_port
from tests.promptness import DEADLINE_S, measured
from tests.regional.app.running import REPARTEE, calling, clean_environment, stand_ins

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


FAULTY = """from collections.abc import AsyncIterator

from repartee import Agent, CallContext, ReplyContext, ToolCall

agent = Agent("You are a bank.")


@agent.on_call_start
async def begin(ctx: CallContext) -> None:
    raise LookupError("the hook has no database")


@agent.tool
async def lookup(name: str) -> str:
    \"\"\"Look somebody up.\"\"\"
    raise KeyError(f"nobody here is called {name}")


@agent.reply
async def reply(ctx: ReplyContext) -> AsyncIterator[str | ToolCall]:
    if ctx.messages[-1]["role"] == "user":
        yield ToolCall("lookup", {"name": "Anna Maier"})
    else:
        raise ZeroDivisionError("the brain is away")
"""

FAULTS = [
    ("on_call_start", "LookupError", "the hook has no database", "in begin: raise LookupError("),
    ("Tool lookup", "KeyError", "nobody here is called ", "in lookup: raise KeyError("),
    ("@agent.reply", "ZeroDivisionError", "the brain is away", "in reply: raise ZeroDivisionError("),
]


async def test_it_shows_what_a_hook_a_tool_and_a_brain_have_raised_and_the_caller_hears_none_of_it(
    tmp_path: Path,
) -> None:
    (tmp_path / "faulty.py").write_text(FAULTY)
    port = free_port(3)
    command = (REPARTEE, "up", "--port", str(port), "--regions", "1", "--agent", "faulty.py")
    up = await asyncio.create_subprocess_exec(
        *command,
        env=clean_environment() | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        cwd=tmp_path,
        start_new_session=True,
    )
    shown: list[str] = []
    told: list[str] = []

    async def until_shown(words: str) -> None:
        assert up.stdout is not None
        async with asyncio.timeout(DEADLINE_S):
            while not any(words in line for line in shown):
                line = await up.stdout.readline()
                assert line, "".join(shown)
                shown.append(line.decode())

    try:
        await until_shown("Ctrl-C")
        address = f"ws://127.0.0.1:{port}/v1/voice/session?events=repartee"
        async with calling(address, additional_headers={"Authorization": "Bearer dev"}) as call:
            content = [{"type": "input_text", "text": "Who is Anna Maier?"}]
            item = {"type": "message", "role": "user", "content": content}
            await call.send(json.dumps({"type": "conversation.item.create", "item": item}))
            await call.send(json.dumps({"type": "response.create"}))
            async with asyncio.timeout(DEADLINE_S):
                while sum('"type":"response.done"' in line.replace(" ", "") for line in told) < 2:
                    told.append(str(await call.recv()))
            for *_, trace in FAULTS:
                await until_shown(trace)
    finally:
        os.killpg(up.pid, signal.SIGINT)
        await up.communicate()
    for what, error, message, trace in FAULTS:
        [line] = [line for line in shown if line.startswith(f"✗ {what} failed in call ")]
        assert f": {error} at faulty.py:" in line and message in line
        assert any(line.startswith(TRACE_MARK) and trace in line for line in shown)
        assert not any(error in frame or message in frame for frame in told)
    assert "Anna Maier" not in "".join(shown), "what it was given is left out"


def until_alive(url: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        with suppress(httpx.HTTPError):
            if httpx.get(url, trust_env=False).status_code == 200:
                return
        time.sleep(0.01)
    raise AssertionError(f"{url} does not answer")


def test_a_refused_key_is_named_within_two_seconds_of_a_regions_start(tmp_path: Path) -> None:
    port = free_port(3)
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
