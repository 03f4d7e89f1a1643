"""What the adapters' tests share: the stand-ins in their light mode, and audio for them to hear."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np
import pytest
from tests.promptness import DEADLINE_S

from repartee.audio.pcm import silence
from repartee.standins.faults import Fault
from repartee.standins.server import Running, StandInSettings, serve


@pytest.fixture
async def standins() -> AsyncIterator[Running]:
    """All providers on one port, without delays; utterances are those of the default script, in order."""
    async with serve(StandInSettings(profile="instant", light=True)) as running:
        yield running


@pytest.fixture
def fault(standins: Running) -> Callable[..., None]:
    """Arm a fault: ``fault("close", after_messages=2)``."""

    def put(kind: str, **settings: Any) -> None:
        standins.state.faults.put(Fault(kind, **settings))

    return put


@pytest.fixture(autouse=True)
async def nothing_is_left_behind() -> AsyncIterator[None]:
    """No task of an adapter outlives its test, and nothing is reported to the loop as unhandled."""
    unhandled: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: unhandled.append(context))
    before = asyncio.all_tasks()
    yield
    ours = {asyncio.current_task()}
    async with asyncio.timeout(DEADLINE_S):
        while left := asyncio.all_tasks() - before - ours:
            await asyncio.wait(left)
    assert unhandled == []


def speech(ms: float, hz: int = 16_000) -> bytes:
    """A tone that the light mode's detector, and a real one, take for a voice."""
    times = np.arange(int(hz * ms / 1000)) / hz
    voice = sum(np.sin(2 * np.pi * 140 * harmonic * times) / harmonic for harmonic in range(1, 12))
    syllables = 0.6 + 0.4 * np.sin(2 * np.pi * 4 * times)
    return (5000 * voice * syllables).astype("<i2").tobytes()


def question(ms: float = 600, pause_ms: float = 800) -> bytes:
    """Something said, and the silence after it."""
    return speech(ms) + silence(pause_ms, 16_000)


def frames(pcm: bytes, ms: float = 20, hz: int = 16_000) -> list[bytes]:
    size = int(hz * ms / 1000) * 2
    return [pcm[at : at + size] for at in range(0, len(pcm), size)]
