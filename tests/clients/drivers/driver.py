"""What the Python clients' programs share: a microphone that never stops, told over stdin what to say.

``say FILE`` has it say a file of PCM16 at 24 kHz; ``quit`` ends it. Whatever the client takes for an error goes to
stdout, a JSON line each. These run in the clients' own environment: nothing here imports the project.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

FRAME_MS = 20
FRAME_BYTES = 48 * FRAME_MS
TOOL_NAME = "weather_forecast"
TOOL_DESCRIPTION = "The weather forecast for a city."
FORECAST = json.dumps({"forecast": "sunny"})


def tell(kind: str, **fields: object) -> None:
    print(json.dumps({"kind": kind, **fields}, default=str), flush=True)


async def speak(send: Callable[[bytes], Awaitable[None]]) -> None:
    """The microphone, until ``quit``."""
    frames: list[bytes] = []
    over = asyncio.Event()

    async def listen() -> None:
        while line := await asyncio.to_thread(sys.stdin.readline):
            command, _, path = line.strip().partition(" ")
            if command == "say":
                pcm = await asyncio.to_thread(Path(path).read_bytes)
                frames.extend(pcm[at : at + FRAME_BYTES] for at in range(0, len(pcm), FRAME_BYTES))
            elif command == "quit":
                break
        over.set()

    listening = asyncio.create_task(listen())
    loop = asyncio.get_running_loop()
    due = loop.time()
    tell("ready")
    while not over.is_set():
        await send(frames.pop(0).ljust(FRAME_BYTES, b"\0") if frames else bytes(FRAME_BYTES))
        due += FRAME_MS / 1000
        await asyncio.sleep(max(due - loop.time(), 0))
    await listening
