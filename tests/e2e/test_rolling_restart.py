"""Workers come and go behind the edge, and no caller is the worse for it. Real processes, real sockets."""

import asyncio
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.e2e.fleet import API_KEY, Fleet, Process, fleet, running, since
from tests.promptness import DEADLINE_S, measured
from tests.regional.app.running import calling, speech, stand_ins, until
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from repartee.client.call import CallOptions, place_call
from repartee.client.faults import CallFailed
from repartee.client.speech import Question

CALLERS = 20
QUESTION = Question("Hello, can you hear me?", speech(500))


class Callers:
    """Callers who place one call after another, each of two questions, until they are told to stop."""

    def __init__(self, url: str) -> None:
        self._options = CallOptions(url, API_KEY, open_timeout_s=DEADLINE_S, answer_timeout_s=DEADLINE_S)
        self._stop = asyncio.Event()
        self.calls = 0
        self.faults: list[str] = []

    async def run(self) -> None:
        """All of them, to the end of their last calls."""
        await asyncio.gather(*(self._caller(number) for number in range(CALLERS)))

    def stop(self) -> None:
        self._stop.set()

    async def _caller(self, number: int) -> None:
        await asyncio.sleep(number * 0.05)
        while not self._stop.is_set():
            try:
                await self._call()
            except CallFailed as fault:
                self.faults.append(str(fault))
            self.calls += 1

    async def _call(self) -> None:
        async with place_call(self._options) as call:
            for _ in range(2):
                turn = await call.say(QUESTION)
                if not await call.heard(turn, ms=400):
                    raise CallFailed(f"no answer: {turn.failed or call.dialogue.errors}")
                await call.pause(500)


async def test_a_rolling_restart_drops_no_call_and_refuses_none(tmp_path: Path) -> None:
    async with fleet(tmp_path) as system:
        callers = Callers(system.url)
        calling_all = asyncio.create_task(callers.run())
        try:
            await until(lambda: callers.calls >= 1)
            busiest = await system.busiest()
            other = next(region for region in system.regions.values() if region is not busiest)
            for region in (busiest, other):
                assert await region.calls() > 0
                region.signal(signal.SIGTERM)
                assert await region.ended() == 0
                region.start()
                await region.ready()
            after = callers.calls
            await until(lambda: callers.calls >= after + CALLERS)
            callers.stop()
            await calling_all
        finally:
            callers.stop()
            calling_all.cancel()
            await asyncio.wait([calling_all])
        assert Counter(callers.faults) == {}
        assert callers.calls > 2 * CALLERS


@asynccontextmanager
async def held(system: Fleet, calls: int) -> AsyncIterator[list[ClientConnection]]:
    """So many calls through the edge, all in sound and hearing."""
    opened = [
        await connect(system.url, additional_headers={"Authorization": f"Bearer {API_KEY}"}, compression=None)
        for _ in range(calls)
    ]
    await asyncio.gather(*(socket.recv() for socket in opened))
    yield opened
    await asyncio.gather(*(socket.close() for socket in opened))


async def test_the_callers_of_a_killed_worker_know_at_once_and_are_taken_elsewhere(tmp_path: Path) -> None:
    async with fleet(tmp_path) as system, held(system, CALLERS) as calls:
        victim = await system.busiest()
        assert await victim.calls() == CALLERS
        survivor = next(name for name, region in system.regions.items() if region is not victim)
        known_after_s: list[float] = []

        async def talk(socket: ClientConnection) -> None:
            try:
                while True:
                    await socket.send(bytes(960))
                    await asyncio.sleep(0.02)
            except ConnectionClosed:
                known_after_s.append(since(killed_s))

        talking = [asyncio.create_task(talk(socket)) for socket in calls]
        await asyncio.sleep(0.5)
        machine = measured()
        killed_s = time.monotonic()
        victim.signal(signal.SIGKILL)
        again = await connect(system.url, additional_headers={"Authorization": f"Bearer {API_KEY}"})
        connected_after_s = since(killed_s)
        assert again.response is not None
        assert again.response.headers["x-repartee-region"] == survivor
        assert '"session.created"' in str(await again.recv())
        await again.close()
        await asyncio.wait_for(asyncio.gather(*talking), DEADLINE_S)
        assert len(known_after_s) == CALLERS
        slowest_s = max(known_after_s)
        machine.promise(slowest_s < 1, f"a caller of the killed worker knew it after {slowest_s:.2f} s")
        machine.promise(connected_after_s < 1, f"the next call was taken after {connected_after_s:.2f} s")


async def test_a_rush_on_a_worker_is_answered_within_two_seconds() -> None:
    answers: Counter[int] = Counter()
    over = asyncio.Event()

    async def caller(url: str) -> None:
        try:
            async with calling(url, open_timeout=DEADLINE_S) as socket:
                await socket.recv()
                answers[101] += 1
                await over.wait()
        except InvalidStatus as refusal:
            assert int(refusal.response.headers["Retry-After"]) >= 1
            answers[refusal.response.status_code] += 1

    with stand_ins() as providers:
        environment = {**providers, "REPARTEE_MAX_CALLS": "50", "REPARTEE_LATENCY_LOG": "/dev/null"}
        with running(Process(["region", "--allow-anonymous"], environment)) as worker:
            await worker.ready()
            machine, started_s = measured(), time.monotonic()
            rush = [asyncio.create_task(caller(worker.url)) for _ in range(500)]
            await until(lambda: answers[503] >= 450)
            refused_after_s = since(started_s)
            await until(lambda: answers.total() == 500)
            over.set()
            await asyncio.gather(*rush)
    assert answers == {101: 50, 503: 450}
    machine.promise(refused_after_s < 2, f"the last of the rush was refused after {refused_after_s:.2f} s")
