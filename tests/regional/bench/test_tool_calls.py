"""What a caller who times tools makes of what arrives, on times of the test's own."""

import base64
import json
from typing import Any

import numpy as np
import pytest

from repartee.bench.load import scripted
from repartee.bench.tool_calls import ToolCaller, ToolTimes


class Socket:
    closed = ""

    def write(self, frame: bytes) -> None:
        pass


def sound(ms: int, lead_in_ms: int = 0) -> dict[str, Any]:
    loud = np.full(24 * (ms - lead_in_ms), 5_000, "<i2").tobytes()
    audio = base64.b64encode(bytes(48 * lead_in_ms) + loud).decode()
    return {"type": "response.output_audio.delta", "delta": audio}


CALLED, ANSWERED = {"type": "repartee.tool.called"}, {"type": "repartee.tool.answered"}
TRACED = {"type": "repartee.turn.latency", "voice_to_voice_ms": 450.0, "kind": "tool"}


def turn_of(caller: ToolCaller, *events: tuple[float, dict[str, Any]]) -> None:
    for at, event in events:
        caller.receive(json.dumps(event).encode(), True, at)
    for _ in range(125):
        caller.tick(0.0)


@pytest.mark.parametrize(
    ("answered", "answer", "silence_ms"),
    [
        (11.0, 11.33, 10.0),  # the tool is the last to end: its end, and what an answer takes
        (10.1, 10.65, 30.0),  # the filler is: its end
        (10.1, 10.40, 0.0),  # sent while it still plays
    ],
)
def test_the_filler_and_the_silence_after_it(answered: float, answer: float, silence_ms: float) -> None:
    times = ToolTimes()
    caller = ToolCaller(scripted(125, binary_audio=False), 1, times, answer_ms=320.0, passed_over=1)
    caller.socket = Socket()  # type: ignore[assignment]
    turn_of(caller, (1.0, TRACED))
    assert times == ToolTimes(), "it does not count"
    turn_of(
        caller,
        (10.0, CALLED),
        (10.020, sound(300, lead_in_ms=1)),
        (10.030, sound(300)),
        (answered, ANSWERED),
        (answer, sound(500)),
        (answer, TRACED),
    )
    assert caller.over
    assert times.filler_ms == [pytest.approx(21.0)]
    assert times.silence_ms == [pytest.approx(silence_ms, abs=1.0)]
    assert times.v2v_ms == [450.0]
