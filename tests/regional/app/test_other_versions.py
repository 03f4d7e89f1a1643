"""A worker with other versions of the libraries it reaches into: calls go on, and a warning says what is lacking."""

import asyncio
import signal
from collections.abc import Mapping
from pathlib import Path

import httpx
from tests.altered import altered
from tests.promptness import DEADLINE_S
from tests.regional.app.running import RegionProcess, calling, region_process, spoken_turn, stand_ins


async def until_ready(region: RegionProcess) -> None:
    async with httpx.AsyncClient(timeout=DEADLINE_S) as client, asyncio.timeout(2 * DEADLINE_S):
        while (await client.get(f"{region.http}/readyz")).status_code != 200:  # noqa: ASYNC110 - a process's state
            await asyncio.sleep(0.05)


UVICORN = {"handle_websocket_upgrade": "upgrade_to_websocket", "send_receive_event_to_app": "deliver"}
UVICORN |= {"server_state": "shared_state"}


async def output_of_a_call(environment: Mapping[str, str], other: Path, *arguments: str) -> str:
    """Have two calls answered by a worker that finds these packages first; what the worker wrote."""
    variables = {**environment, "PYTHONPATH": str(other)}
    with region_process(variables, "--allow-anonymous", *arguments) as region:
        await until_ready(region)
        for _ in range(2):
            async with calling(f"{region.url}?audio=binary&events=repartee") as call:
                assert (await spoken_turn(call))[-1]["type"] == "repartee.turn.latency"
        region.signal(signal.SIGTERM)
        assert await region.exit_status() == 0
        assert region.process.stdout is not None
        return region.process.stdout.read()


async def test_without_the_insides_of_websockets(providers: dict[str, str], tmp_path: Path) -> None:
    renamed = {"process_event": "pass_event_on", "apply_mask": "mask_off"}
    output = await output_of_a_call(providers, altered(tmp_path, "websockets", renamed))
    assert output.count("has no function to take off a mask; passing each frame of a client through") == 1
    assert output.count("a task reads from each connection to a provider") == 1
    assert output.count("WARNING") == 2


async def test_without_the_insides_of_uvicorn(providers: dict[str, str], tmp_path: Path) -> None:
    output = await output_of_a_call(providers, altered(tmp_path, "uvicorn", UVICORN))
    assert output.count("connections are served by uvicorn's own HTTP") == 1
    assert output.count("each message of a call wakes a task") == 1
    assert output.count("WARNING") == 2


async def test_several_processes_without_the_insides_of_uvicorn(
    providers: dict[str, str], tmp_path: Path
) -> None:
    """They accept connections by themselves; each process says once what it lacks, and so does their parent."""
    other = altered(tmp_path, "uvicorn", UVICORN)
    output = await output_of_a_call(providers, other, "--workers", "2")
    assert output.count("processes accept connections themselves") == 3
    assert output.count("each message of a call wakes a task") == 2


async def test_a_server_that_only_a_signal_stops(providers: dict[str, str], tmp_path: Path) -> None:
    """It drains all the same; only its exit status is the signal's."""
    other = altered(tmp_path, "uvicorn", {"should_exit": "must_exit", "force_exit": "must_exit_at_once"})
    with region_process({**providers, "PYTHONPATH": str(other)}, "--allow-anonymous") as region:
        await until_ready(region)
        async with calling(f"{region.url}?audio=binary&events=repartee") as call:
            await spoken_turn(call)
            region.signal(signal.SIGTERM)
            assert (await spoken_turn(call))[-1]["type"] == "repartee.turn.latency"
        assert await region.exit_status() in (130, -signal.SIGINT)
        assert region.process.stdout is not None
        assert region.process.stdout.read().count("a server is stopped by a signal") == 1


async def test_stand_ins_without_the_insides_of_uvicorn(tmp_path: Path) -> None:
    other = altered(tmp_path, "uvicorn", UVICORN)
    with stand_ins(variables={"PYTHONPATH": str(other)}) as providers:
        assert "WARNING" not in await output_of_a_call(providers, tmp_path / "none")


async def test_with_the_versions_that_are_installed_nothing_is_lacking(
    providers: dict[str, str], tmp_path: Path
) -> None:
    assert "WARNING" not in await output_of_a_call(providers, tmp_path)
