"""`repartee region` as a process: its faults in one sentence, and how it ends."""

import asyncio
import os
import signal
import socket
import sys

import pytest
from tests.promptness import DEADLINE_S
from tests.regional.app.running import (
    TICKET_KEY,
    calling,
    clean_environment,
    region_process,
    run_region,
)
from websockets.exceptions import InvalidStatus

from repartee.cli.main import main

KEYS = {"DEEPGRAM_API_KEY": "a", "OPENAI_API_KEY": "b", "CARTESIA_API_KEY": "c"}


@pytest.mark.parametrize(
    ("environment", "arguments", "told"),
    [
        ({}, ["--allow-anonymous"], "Not set: DEEPGRAM_API_KEY, OPENAI_API_KEY, CARTESIA_API_KEY"),
        ({**KEYS, "REPARTEE_STT": "x", "REPARTEE_MAX_CALLS": "y"}, [], "REPARTEE_MAX_CALLS"),
        (KEYS, [], "REPARTEE_TICKET_KEY is not set"),
        (
            {**KEYS, "DATABASE_URL": "mysql://u:secret@host/d"},
            [],
            "DATABASE_URL: must begin with postgresql://",
        ),
        ({**KEYS, "DATABASE_URL": "postgresql://[u:secret"}, [], "DATABASE_URL: is no address"),
        (
            {**KEYS, "REPARTEE_STORE_KEEP_DAYS": "visits=soon"},
            [],
            "REPARTEE_STORE_KEEP_DAYS: there is no table",
        ),
        ({**KEYS, "REPARTEE_STORE_KEEP_DAYS": "transitions=soon"}, [], "days from 0 to 36500"),
        (KEYS, ["--allow-anonymous", "--host", "0.0.0.0"], "on loopback only, not on 0.0.0.0"),
        (KEYS, ["--allow-anonymous", "--agent", "no_such_module:agent"], "no_such_module"),
    ],
    ids=[
        "keys",
        "settings",
        "ticket key",
        "another database",
        "no address",
        "no table",
        "no days",
        "anonymous",
        "agent",
    ],
)
def test_a_users_mistake_is_told_in_words(
    environment: dict[str, str],
    arguments: list[str],
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In this process, as all of these are found before anything is started."""
    monkeypatch.setattr(os, "environ", clean_environment() | environment)
    monkeypatch.setattr(sys, "argv", ["repartee", "region", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    shown = capsys.readouterr().err
    assert told in shown
    assert "secret" not in shown


def test_a_port_that_is_taken_is_told_in_words() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = run_region(KEYS, "--allow-anonymous", "--port", port)
    assert ended.returncode == 1
    assert f"Cannot listen on 127.0.0.1:{port}" in ended.stderr
    assert "--port" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("REPARTEE_STORE_FILE", "/proc/store.sqlite3", "The store in /proc/store.sqlite3 cannot be used"),
        (
            "DATABASE_URL",
            "postgresql://u:secret@127.0.0.1:9/d",
            "The store in PostgreSQL (127.0.0.1, database d)",
        ),
    ],
)
def test_a_store_that_cannot_be_used_is_told_in_words(name: str, value: str, told: str, workers: str) -> None:
    arguments = ("--allow-anonymous", "--port", "0", "--workers", workers)
    ended = run_region({**KEYS, name: value}, *arguments)
    assert ended.returncode == 1
    assert told in ended.stderr
    assert "Traceback" not in ended.stderr and "secret" not in ended.stderr


async def refused(url: str) -> int:
    """The status of an upgrade that must not succeed."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            try:
                async with calling(url):
                    await asyncio.sleep(0.02)
            except InvalidStatus as error:
                return error.response.status_code


async def test_told_to_stop_it_lets_its_calls_end_and_takes_no_more(providers: dict[str, str]) -> None:
    with region_process(providers, "--allow-anonymous") as worker:
        async with calling(worker.url) as websocket:
            await websocket.recv()
            worker.signal(signal.SIGTERM)
            assert await refused(worker.url) == 503
            await websocket.send('{"type":"input_audio_buffer.clear"}')
            assert "input_audio_buffer.cleared" in str(await websocket.recv())
            assert worker.process.poll() is None
        assert await worker.exit_status() == 0


async def test_at_the_limit_it_closes_its_calls_and_ends(providers: dict[str, str]) -> None:
    settings = {**providers, "REPARTEE_DRAIN_S": "0.2"}
    with region_process(settings, "--allow-anonymous") as worker:
        async with calling(worker.url) as websocket:
            await websocket.recv()
            worker.signal(signal.SIGTERM)
            await asyncio.wait_for(websocket.wait_closed(), DEADLINE_S)
            assert websocket.close_code == 1012
        assert await worker.exit_status() == 0


@pytest.mark.parametrize(
    "signals", [[signal.SIGTERM, signal.SIGTERM], [signal.SIGINT]], ids=["SIGTERM twice", "Ctrl-C"]
)
async def test_it_can_be_ended_at_once(providers: dict[str, str], signals: list[signal.Signals]) -> None:
    settings = {**providers, "REPARTEE_TICKET_KEY": TICKET_KEY}
    with region_process(settings, "--allow-anonymous") as worker:
        async with calling(worker.url) as websocket:
            await websocket.recv()
            for number in signals:
                worker.signal(number)
                await asyncio.sleep(0.1)
            await asyncio.wait_for(websocket.wait_closed(), DEADLINE_S)
        assert await worker.exit_status() in (0, 130, -signal.SIGINT, -signal.SIGTERM)
        assert worker.process.stdout is not None
        assert "Traceback" not in worker.process.stdout.read()
