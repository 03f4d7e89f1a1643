"""A caller who times tools: when a call of one is decided, when the filler sounds and ends, and when the answer does.

Owns what is measured in one turn. Must not know processes, profiles or files. Times are seconds of one clock,
as things arrive at the caller's socket.
"""

import base64
from dataclasses import dataclass, field
from typing import Any

import msgspec

from repartee.audio.pcm import duration_ms
from repartee.audio.speech_end import leading_silence_ms
from repartee.bench.load import RATE_HZ, LoadSocket, Script


@dataclass(slots=True)
class ToolTimes:
    """What came of it, in ms. ``silence_ms`` is what lies between the filler's end, or the end of what the tool and
    the answer need at least, whichever is later, and the answer."""

    filler_ms: list[float] = field(default_factory=list)
    silence_ms: list[float] = field(default_factory=list)
    v2v_ms: list[float] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Turn:
    called_at: float | None = None
    answered_at: float | None = None
    filler_at: float | None = None
    filler_ms: float = 0.0
    answer_at: float | None = None


class ToolCaller:
    """One call of so many turns. ``answer_ms``: the least that an answer takes once the tool's result is there;
    ``passed_over`` turns come before those that count."""

    def __init__(
        self, script: Script, turns: int, times: ToolTimes, *, answer_ms: float, passed_over: int = 2
    ) -> None:
        self.socket: LoadSocket | None = None
        self._script = script
        self._left = turns + passed_over
        self._passed_over = passed_over
        self._times = times
        self._answer_ms = answer_ms
        self._frame = 0
        self._turn = _Turn()
        self.over = False

    def tick(self, now: float) -> None:
        """Send the frame that is due."""
        assert self.socket is not None
        self.socket.write(self._script.frames[self._frame])
        self._frame += 1
        if self._frame == len(self._script.frames):
            self._frame = 0
            self._end_turn()

    def _end_turn(self) -> None:
        turn, self._turn = self._turn, _Turn()
        self._left -= 1
        self.over = self._left == 0
        if self._passed_over:
            self._passed_over -= 1
            self._times.v2v_ms.clear()
            self._times.kinds.clear()
            return
        if (
            turn.called_at is None
            or turn.filler_at is None
            or turn.answered_at is None
            or turn.answer_at is None
        ):
            return
        self._times.filler_ms.append((turn.filler_at - turn.called_at) * 1000)
        filler_end = turn.filler_at + turn.filler_ms / 1000
        least = max(filler_end, turn.answered_at + self._answer_ms / 1000)
        self._times.silence_ms.append((max(turn.answer_at, filler_end) - least) * 1000)

    def receive(self, payload: bytes, is_text: bool, now: float) -> None:
        """A message from the server."""
        event: dict[str, Any] = msgspec.json.decode(payload)
        turn = self._turn
        match event["type"]:
            case "repartee.tool.called":
                turn.called_at = now
            case "repartee.tool.answered":
                turn.answered_at = now
            case "response.output_audio.delta":
                self._sound(base64.b64decode(event["delta"]), now)
            case "repartee.turn.latency":
                self._times.v2v_ms.append(event["voice_to_voice_ms"])
                self._times.kinds.append(event["kind"])
            case "error":
                self._times.faults.append(str(event["error"].get("message")))

    def _sound(self, pcm: bytes, now: float) -> None:
        turn, length_ms = self._turn, duration_ms(len(pcm), RATE_HZ)
        lead_in_ms = leading_silence_ms(pcm, RATE_HZ)
        audible = lead_in_ms < length_ms
        if turn.called_at is not None and turn.answered_at is None:
            if turn.filler_at is None and audible:
                turn.filler_at = now + lead_in_ms / 1000
                turn.filler_ms -= lead_in_ms
            if turn.filler_at is not None:
                turn.filler_ms += length_ms
        elif turn.answer_at is None and audible:
            turn.answer_at = now + lead_in_ms / 1000
