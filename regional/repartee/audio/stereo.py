"""A call as two channels, the caller left and the agent right, each where it was heard. Pure.

Times are seconds on any one clock. Audio comes in the order in which it arrived or was sent; the agent's is sent
faster than it is played, so it stands where it is played, and what is cut before that is not in it.
"""

import numpy as np

from repartee.audio.pcm import SAMPLE_BYTES

RATE_HZ = 24_000
SETTLED_S = 0.5
"""So long after it was sent or arrived, audio can only be what it is: it may be written."""

JITTER_S = 0.25
"""Audio of the caller's that comes no later than this follows what came before it without a gap."""


class StereoCall:
    """Two channels of PCM16 at 24 kHz, from the time ``began`` on."""

    def __init__(self, began: float) -> None:
        self._began = began
        self._written = 0
        self._caller = bytearray()
        self._agent = bytearray()

    def __repr__(self) -> str:
        return f"<StereoCall: {self._written / RATE_HZ:.1f} s written>"

    @property
    def seconds(self) -> float:
        """How much has been taken."""
        return self._written / RATE_HZ

    def heard(self, pcm: bytes, now: float) -> None:
        """The caller's audio, as it arrives."""
        self._place(self._caller, pcm, self._sample(now) - len(pcm) // SAMPLE_BYTES, JITTER_S)

    def sent(self, pcm: bytes, now: float) -> None:
        """The agent's audio, as it is sent: it is played after what was sent before, or at once."""
        self._place(self._agent, pcm, max(self._sample(now), 0), 0.0)

    def cut(self, now: float) -> None:
        """Nothing more of what the agent has said is played."""
        del self._agent[max(self._sample(now) - self._written, 0) * SAMPLE_BYTES :]

    def take(self, now: float) -> bytes:
        """What cannot change any more at this time, as interleaved PCM16."""
        return self._take(self._sample(now - SETTLED_S))

    def end(self, now: float) -> bytes:
        """The rest: the call is over."""
        self.cut(now)
        return self._take(max(self._sample(now), self._written + len(self._caller) // SAMPLE_BYTES))

    def _sample(self, at: float) -> int:
        return round((at - self._began) * RATE_HZ)

    def _place(self, lane: bytearray, pcm: bytes, start: int, jitter_s: float) -> None:
        end = self._written + len(lane) // SAMPLE_BYTES
        if start < 0 and end == 0:
            lane += pcm[-start * SAMPLE_BYTES :]  # the rest was heard before the beginning
            return
        if start - end > jitter_s * RATE_HZ:
            lane += bytes((start - end) * SAMPLE_BYTES)
        lane += pcm

    def _take(self, until: int) -> bytes:
        count = until - self._written
        if count <= 0:
            return b""
        both = np.zeros((count, 2), "<i2")
        for channel, lane in enumerate((self._caller, self._agent)):
            ready = min(len(lane) // SAMPLE_BYTES, count)
            both[:ready, channel] = np.frombuffer(lane, "<i2", ready)
            del lane[: ready * SAMPLE_BYTES]
        self._written = until
        return both.tobytes()
