"""`repartee region --workers 2`: real processes behind one port, which is one worker to everybody outside."""

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import pytest
from tests.promptness import DEADLINE_S
from tests.regional.app.running import (
    TICKET_KEY,
    EcsAgent,
    RegionProcess,
    calling,
    line_with,
    metrics_of,
    region_process,
    run_region,
    spoken_turn,
    until,
)
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from repartee_edge.tickets import TicketKeys, sign

KEYS = {"DEEPGRAM_API_KEY": "a", "OPENAI_API_KEY": "b", "CARTESIA_API_KEY": "c"}
ACTIVE = "repartee_calls_active"


@contextmanager
def two_processes(settings: Mapping[str, str], *arguments: str) -> Iterator[RegionProcess]:
    """A region of two processes. Nothing of it is left when it has been killed."""
    with region_process(settings, "--allow-anonymous", "--workers", "2", *arguments) as region:
        yield region


async def until_ready(region: RegionProcess) -> None:
    async with httpx.AsyncClient(timeout=None) as client, asyncio.timeout(2 * DEADLINE_S):
        while (await client.get(f"{region.http}/readyz")).status_code != 200:  # noqa: ASYNC110 - a process's state
            await asyncio.sleep(0.02)


async def until_told(region: RegionProcess, name: str, value: float) -> dict[str, float]:
    """Until /metrics gives a sample this value; all that it says then."""
    async with asyncio.timeout(DEADLINE_S):
        while (figures := await metrics_of(region.http))[name] != value:  # noqa: ASYNC110 - a process's state
            await asyncio.sleep(0.02)
    return figures


async def until_active(region: RegionProcess, count: int) -> dict[str, float]:
    """Until so many calls are in progress; the metrics then."""
    return await until_told(region, ACTIVE, count)


def children(region: RegionProcess) -> list[int]:
    """The processes that the region has started."""
    pids = [int(entry.name) for entry in Path("/proc").glob("[0-9]*")]
    return [pid for pid in pids if stat_of(pid)[1] == str(region.process.pid)]


def is_alive(pid: int) -> bool:
    """Whether a process is there (one that has ended and that nobody has asked about is not)."""
    return stat_of(pid)[0] != "Z"


def stat_of(pid: int) -> tuple[str, str]:
    """A process's state and its parent; Z and nobody if it is gone."""
    try:
        state, parent, *_ = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return "Z", ""
    return state, parent


async def place(region: RegionProcess, calls: AsyncExitStack, count: int) -> list[ClientConnection]:
    """So many calls, one after another."""
    placed = []
    for _ in range(count):
        placed.append(await calls.enter_async_context(calling(region.url)))
        await placed[-1].recv()
    return placed


async def is_answered(call: ClientConnection) -> bool:
    """Whether a call goes on."""
    with suppress(ConnectionClosed):
        await call.send('{"type":"input_audio_buffer.clear"}')
        while "input_audio_buffer.cleared" not in str(await asyncio.wait_for(call.recv(), DEADLINE_S)):
            pass
        return True
    return False


async def test_while_its_processes_start_it_says_so_at_once(
    providers: dict[str, str], tmp_path: Path
) -> None:
    """An agent's file that takes its time holds up the start; the region's port answers meanwhile."""
    agent, go_on = tmp_path / "desk.py", tmp_path / "go on"
    agent.write_text(
        "import os, pathlib, time\n\nfrom repartee import Agent\n\n"
        f'while "PROMETHEUS_MULTIPROC_DIR" in os.environ and not pathlib.Path({str(go_on)!r}).exists():\n'
        '    time.sleep(0.02)\nagent = Agent(instructions="Be kind.")\n'
    )
    with two_processes(providers, "--agent", f"{agent}:agent") as region:
        async with httpx.AsyncClient(timeout=DEADLINE_S) as client:
            for _ in range(3):
                answer = await client.get(f"{region.http}/readyz")
                assert answer.status_code == 503
                assert answer.headers["retry-after"] == "1"
                assert answer.json() | {"ready": False, "admitting": False} == answer.json()
                assert answer.json()["why"] == "the region's processes are starting"
            assert (await client.get(f"{region.http}/healthz")).text == "alive\n"
            assert (await client.head(f"{region.http}/readyz")).status_code == 503
        with pytest.raises(InvalidStatus) as refusal:
            async with calling(region.url):
                pass
        assert refusal.value.response.status_code == 503
        async with AsyncExitStack() as idle:
            for _ in range(300):  # more than are answered at once, and they ask for nothing
                _, writer = await asyncio.open_connection("127.0.0.1", region.port)
                idle.callback(writer.close)
            go_on.touch()
            await until_ready(region)
            async with calling(region.url) as call:
                assert await is_answered(call)


async def test_calls_are_spread_and_one_that_dies_takes_only_its_own(providers: dict[str, str]) -> None:
    with two_processes(providers) as region:
        await until_ready(region)
        before = children(region)
        assert len(before) == 2
        async with AsyncExitStack() as calls:
            placed = await place(region, calls, 8)
            figures = await until_active(region, 8)
            assert figures["repartee_call_slots"] == 100
            os.kill(before[0], signal.SIGKILL)
            lost = [not await is_answered(call) for call in placed]
            assert sum(lost) == 4
            figures = await until_active(region, 4)
            await until_ready(region)
            after = children(region)
            assert len(after) == 2
            assert before[1] in after
            # The new process is idle: it gets the next calls.
            await place(region, calls, 4)
            os.kill(before[1], signal.SIGKILL)
            await until_active(region, 4)
            assert [await is_answered(call) for call in placed] == [False] * 8
        region.signal(signal.SIGTERM)
        assert await region.exit_status() == 0
        assert region.process.stdout is not None
        assert region.process.stdout.read().count("was ended by signal 9; a new one starts in") == 2


async def test_a_rush_gets_every_slot_there_is_and_not_one_more(providers: dict[str, str]) -> None:
    with two_processes({**providers, "REPARTEE_MAX_CALLS": "60"}) as region:
        await until_ready(region)
        async with AsyncExitStack() as calls:

            async def caller() -> int:
                try:
                    await calls.enter_async_context(calling(region.url))
                except InvalidStatus as refusal:
                    assert refusal.response.headers["Retry-After"] == "2"
                    return refusal.response.status_code
                return 101

            rush = Counter(await asyncio.gather(*(caller() for _ in range(60))))
            assert rush == {101: 60}
            late = Counter(await asyncio.gather(*(caller() for _ in range(10))))
            assert late == {503: 10}
        await until_active(region, 0)
        async with AsyncExitStack() as calls:
            rush = Counter(await asyncio.gather(*(caller() for _ in range(90))))
            assert rush == {101: 60, 503: 30}
            figures = await until_active(region, 60)
            assert figures['repartee_calls_total{outcome="refused"}'] == 40


async def test_metrics_and_the_latency_log_are_the_whole_regions(
    providers: dict[str, str], tmp_path: Path
) -> None:
    log = tmp_path / "latency.jsonl"
    with two_processes({**providers, "REPARTEE_LATENCY_LOG": str(log)}) as region:
        await until_ready(region)

        async def speaker() -> None:
            async with calling(f"{region.url}?audio=binary&events=repartee") as websocket:
                await spoken_turn(websocket)

        await asyncio.gather(*(speaker() for _ in range(4)))
        figures = await until_active(region, 0)
        assert figures['repartee_voice_to_voice_seconds_count{kind="plain"}'] == 4
        assert figures['repartee_calls_total{outcome="ended"}'] == 4
        # A busy machine may have turns that were taken up again as well, which are no answers, and write late.
        await until(lambda: log.read_text().count('"kind":"plain"') >= 4)
        assert log.read_text().count('"kind":"plain"') == 4
        await until_told(region, 'repartee_pool_hits_total{provider="deepgram"}', 4)
        # The four that are kept warm are two in each.
        await until_told(region, 'repartee_pool_connections{provider="deepgram",state="idle"}', 4)


async def test_a_ticket_lets_in_once(providers: dict[str, str]) -> None:
    settings = {**providers, "REPARTEE_TICKET_KEY": TICKET_KEY}
    with region_process(settings, "--workers", "2") as region:
        await until_ready(region)
        token = sign(TicketKeys(TICKET_KEY), region="local", subject="key_1", now=time.time())
        headers = {"x-repartee-ticket": token}
        async with calling(region.url, additional_headers=headers):
            for _ in range(4):
                with pytest.raises(InvalidStatus) as refusal:
                    async with calling(region.url, additional_headers=headers):
                        pass
                assert refusal.value.response.status_code == 401
                assert "ticket_replayed" in (refusal.value.response.body or b"").decode()


async def test_the_task_is_protected_from_the_first_call_of_all_to_the_last(
    providers: dict[str, str], agent: EcsAgent
) -> None:
    with two_processes({**providers, "ECS_AGENT_URI": agent.uri}) as region:
        await until_ready(region)
        async with AsyncExitStack() as calls:
            placed = await place(region, calls, 4)
            await until(lambda: agent.requests)
            for call in placed[:3]:
                await call.close()
            await until_active(region, 1)
            assert [asked["ProtectionEnabled"] for asked in agent.requests] == [True]
        await until(lambda: len(agent.requests) == 2)
        assert [asked["ProtectionEnabled"] for asked in agent.requests] == [True, False]


async def test_told_to_stop_it_lets_all_calls_end_and_takes_no_more(providers: dict[str, str]) -> None:
    with two_processes(providers) as region:
        await until_ready(region)
        async with AsyncExitStack() as calls:
            placed = await place(region, calls, 2)
            region.signal(signal.SIGTERM)
            async with httpx.AsyncClient() as client, asyncio.timeout(DEADLINE_S):
                while (  # noqa: ASYNC110 - a process's state
                    answer := await client.get(f"{region.http}/readyz")
                ).status_code == 200:
                    await asyncio.sleep(0.01)
                assert answer.json()["why"] == "draining"
            with pytest.raises(InvalidStatus) as refusal:
                async with calling(region.url):
                    pass
            assert refusal.value.response.status_code == 503
            assert [await is_answered(call) for call in placed] == [True, True]
            # One process is done and goes; the other's call does not.
            await placed[0].close()
            await until(lambda: len(children(region)) == 1)
            assert await is_answered(placed[1])
            assert region.process.poll() is None
        assert await region.exit_status() == 0


@pytest.mark.parametrize(
    ("signals", "status"),
    [([signal.SIGTERM, signal.SIGTERM], 143), ([signal.SIGINT], 130)],
    ids=["SIGTERM twice", "Ctrl-C"],
)
async def test_it_can_be_ended_at_once(
    providers: dict[str, str], signals: list[signal.Signals], status: int
) -> None:
    with two_processes(providers) as region:
        await until_ready(region)
        async with AsyncExitStack() as calls:
            placed = await place(region, calls, 2)
            for number in signals:
                region.signal(number)
                await asyncio.sleep(0.1)
            for call in placed:
                await asyncio.wait_for(call.wait_closed(), DEADLINE_S)
        assert await region.exit_status() == status
        assert region.process.stdout is not None
        assert "Traceback" not in region.process.stdout.read()


async def test_its_processes_end_when_it_is_gone(providers: dict[str, str]) -> None:
    with two_processes(providers) as region:
        await until_ready(region)
        left = children(region)
        async with calling(region.url) as call:
            await call.recv()
            region.signal(signal.SIGKILL)
            await asyncio.wait_for(call.wait_closed(), DEADLINE_S)
        await until(lambda: not any(is_alive(pid) for pid in left))


async def test_an_agent_under_ones_hands_is_loaded_anew_by_all_and_told_of_once(
    providers: dict[str, str], tmp_path: Path
) -> None:
    agent = tmp_path / "desk.py"
    text = 'from repartee import Agent\n\nagent = Agent(instructions="Be kind.", greeting="{}")\n'
    agent.write_text(text.format("Hello."))
    with two_processes(providers, "--agent", f"{agent}:agent", "--reload") as region:
        await until_ready(region)
        agent.write_text(text.format("Good evening."))
        assert region.process.stdout is not None
        await asyncio.wait_for(asyncio.to_thread(line_with, region.process, "reloaded"), DEADLINE_S)
        region.signal(signal.SIGTERM)
        assert await region.exit_status() == 0
        assert "reloaded" not in region.process.stdout.read()


def test_a_fault_that_only_its_processes_meet_ends_it(tmp_path: Path) -> None:
    agent = tmp_path / "desk.py"
    agent.write_text(
        "import os\n\nfrom repartee import Agent\n\n"
        'if "PROMETHEUS_MULTIPROC_DIR" in os.environ:\n    raise ValueError("the desk is closed")\n'
        'agent = Agent(instructions="Be kind.")\n'
    )
    arguments = ["--port", "0", "--allow-anonymous", "--workers", "2", "--agent", f"{agent}:agent"]
    ended = run_region(KEYS, *arguments)
    assert ended.returncode == 1
    assert "the desk is closed" in ended.stderr
    assert "before it had started; stopping the region" in ended.stderr


def test_how_many_is_told_once(providers: dict[str, str]) -> None:
    with region_process({**providers, "REPARTEE_WORKERS": "3"}, "--allow-anonymous") as region:
        assert len(children(region)) <= 3
        region.signal(signal.SIGTERM)
        region.process.wait(DEADLINE_S)
        assert region.process.stdout is not None
        assert "processes" not in region.process.stdout.read()
