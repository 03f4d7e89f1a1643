"""Callers in a process of their own, who time how long a region takes to answer them while others flood it.

    python honest_caller.py URL CALLS

Says "ready" once all calls are open; when its standard input ends, it ends the calls and says in JSON how many round
trips there were and how long the longest took, in ms. The next goes out 10 ms after an answer.
"""

import asyncio
import json
import sys
import threading
import time

from websockets.asyncio.client import connect

PROBE = '{"type": "nonsense", "event_id": "probe"}'


async def timed(url: str, opened: asyncio.Barrier, over: asyncio.Event) -> list[float]:
    """The round trips of one call, in ms."""
    trips: list[float] = []
    async with connect(url, compression=None, max_size=None, ping_interval=None) as call:
        while json.loads(await call.recv())["type"] != "session.created":
            pass
        await opened.wait()
        while not over.is_set():
            began = time.monotonic()
            await call.send(PROBE)
            while json.loads(await call.recv())["type"] != "error":
                pass
            trips.append((time.monotonic() - began) * 1000)
            await asyncio.sleep(0.01)
    return trips


async def main(url: str, calls: int) -> None:
    loop, over, opened = asyncio.get_running_loop(), asyncio.Event(), asyncio.Barrier(calls + 1)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(timed(url, opened, over)) for _ in range(calls)]
        await opened.wait()
        print("ready", flush=True)
        threading.Thread(
            target=lambda: (sys.stdin.read(), loop.call_soon_threadsafe(over.set)), daemon=True
        ).start()
    trips = [trip for task in tasks for trip in task.result()]
    print(json.dumps({"trips": len(trips), "longest_ms": max(trips)}))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
