"""Gathers a caller's audio for a recogniser: a frame at a time where a turn may begin or end, more where it cannot.

Each message to a recogniser costs a call's worker more than the samples in it. Sending them at once gains nothing
while the caller speaks on, or while nobody has said anything: only a change can begin or end a turn. A change goes
out the moment it comes, with all that was held.
"""

from dataclasses import dataclass

from repartee.audio.loudness import LoudnessGate
from repartee.audio.pcm import SampleAligner, bytes_for_ms, level


@dataclass(frozen=True, slots=True)
class GatherSettings:
    """Lengths of audio."""

    least_ms: float = 20.0
    """Sent in pieces of at least this length. Deepgram advises 80 ms; what is above 20 is latency."""

    most_ms: float = 60.0
    """In pieces of this length while nothing can come of them: by up to 40 ms late, where nobody waits for it."""

    begun_ms: float = 300.0
    """Sound that has lasted so long has been noticed as a turn's beginning, if it is one."""

    def __post_init__(self) -> None:
        if not 10 <= self.least_ms <= self.most_ms <= 100:
            raise ValueError("audio is gathered into pieces of 10 to 100 ms, least_ms being the smaller")


class Gatherer:
    """One stream of audio. Pieces may have any length; nothing is lost, and only whole samples leave."""

    __slots__ = ("_aligner", "_begun", "_gate", "_held", "_least", "_loud", "_most", "_run", "_size")

    def __init__(self, hz: int, settings: GatherSettings) -> None:
        self._least = bytes_for_ms(settings.least_ms, hz)
        self._most = bytes_for_ms(settings.most_ms, hz)
        self._begun = bytes_for_ms(settings.begun_ms, hz)
        self._gate = LoudnessGate()
        self._aligner = SampleAligner()
        self._held: list[bytes] = []
        self._size = 0
        self._loud = False
        self._run = 0

    def feed(self, pcm: bytes, *, in_turn: bool) -> bytes:
        """What is due now, perhaps nothing. ``in_turn``: the recogniser has heard a turn begin, and not end."""
        pcm = self._aligner.feed(pcm)
        if not pcm:
            return b""
        loud = self._gate.is_open(level(pcm))
        if loud is not self._loud:
            self._loud, self._run = loud, 0
        self._run += len(pcm)
        idle = in_turn and self._run > self._begun if loud else not in_turn
        wanted = self._most if idle else self._least
        if not self._held and len(pcm) >= wanted:
            return pcm
        self._held.append(pcm)
        self._size += len(pcm)
        return self.flush() if self._size >= wanted else b""

    def flush(self) -> bytes:
        """What is held back, but for half a sample."""
        held, self._held, self._size = b"".join(self._held), [], 0
        return held
