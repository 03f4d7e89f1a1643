"""Is this frame louder than the line's noise? A gate over a floor that it learns as it goes.

It shows silence within the frame in which it begins, and costs a comparison or two. It does not know whether a loud
sound is speech (vad does).
"""

GATE_OVER_FLOOR = 3.0
"""A frame's RMS level must be this many times the noise floor's (9.5 dB)."""

LEAST_GATE = 40.0
"""RMS level (of 32768) under which nothing is heard: -58 dBFS."""

FLOOR_RISE = 1.005
"""The floor falls at once and rises by this factor a frame (2 dB a second), so that speech does not become noise."""

HIGHEST_FLOOR = 200.0
"""-44 dBFS; a call that begins in mid-word must not take the word for the noise."""


class LoudnessGate:
    """One stream's noise floor. Frames are of 20 ms or so: the floor's rise is counted in them."""

    __slots__ = ("_floor",)

    def __init__(self) -> None:
        self._floor = HIGHEST_FLOOR

    def is_open(self, level: float) -> bool:
        """Whether a frame of this RMS level (of 32768) is heard over the noise."""
        # Asked fifty times a second and call: comparisons take half as long as min and max.
        floor = self._floor * FLOOR_RISE
        if floor > level:
            floor = level if level > 1.0 else 1.0
        self._floor = floor = floor if floor < HIGHEST_FLOOR else HIGHEST_FLOOR
        return level >= LEAST_GATE and level >= floor * GATE_OVER_FLOOR
