"""The agent's audio by the clock: what comes while older sound is still on its way to the ear is sent at once."""

import asyncio
import time

import pytest
from tests.regional.session import virtual_time

from repartee.rtc.pacing import AudioFrame
from repartee.transport.webrtc.playout import BYTES_PER_MS, PacedPlayout, SpokenItem

FRAME_MS = 20


class Line:
    """Implements PlayoutUser; notes when frames were sent (s)."""

    playout_delay_ms = 200.0

    def __init__(self) -> None:
        self.sent: list[float] = []
        self.heard: list[tuple[SpokenItem, float]] = []

    def send_frame(self, frame: AudioFrame, now: float) -> None:
        self.sent.append(now)

    def sound_began(self, spoken: SpokenItem) -> None: ...

    def sound_ended(self, spoken: SpokenItem) -> None: ...

    def was_heard(self, spoken: SpokenItem, heard_ms: float) -> None:
        self.heard.append((spoken, heard_ms))


@pytest.mark.parametrize("pause_ms", [31, 47, 58, 103, 150])
def test_a_frame_does_not_wait_for_the_next_look_at_what_was_heard(pause_ms: int) -> None:
    line = Line()
    filler, answer = SpokenItem("r1", "filler"), SpokenItem("r2", "answer")

    came: list[float] = []

    async def play() -> None:
        playout = PacedPlayout(line, frame_ms=FRAME_MS)
        playout.release()
        playout.put(filler, bytes(FRAME_MS * BYTES_PER_MS))
        playout.end(filler)
        await asyncio.sleep(pause_ms / 1000)
        came.append(time.monotonic())
        playout.put(answer, bytes(FRAME_MS * BYTES_PER_MS))
        playout.end(answer)
        await asyncio.sleep(1.0)

    virtual_time.run_all(play())
    assert len(line.sent) == 2
    assert line.sent[1] - came[0] <= 0.001
    assert line.heard == [(filler, 20.0), (answer, 20.0)]
