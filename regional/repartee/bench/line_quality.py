"""A bad line, the same for the same seed: which packets are lost, alone or in bursts, when the others come. Pure."""

from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True)
class LineQuality:
    """``loss`` is the share of packets that is lost, each way; ``burst`` how many are lost in a row on average (1:
    each on its own). Half the round trip (ms) goes each way; ``jitter_ms``: any packet may take so much longer."""

    loss: float = 0.0
    rtt_ms: float = 0.0
    burst: float = 1.0
    jitter_ms: float = 0.0


class LossDice:
    """Says of each packet whether it is lost. Bursts are Gilbert's: within one, everything is."""

    def __init__(self, quality: LineQuality, seed: int) -> None:
        self._dice = Random(seed)
        self._losing = False
        loss, burst = quality.loss, quality.burst
        if burst <= 1:
            self._begins = self._goes_on = loss
        else:
            self._begins = loss / (burst * (1 - loss))
            self._goes_on = 1 - 1 / burst

    def lost(self) -> bool:
        """The next packet's fate."""
        self._losing = self._dice.random() < (self._goes_on if self._losing else self._begins)
        return self._losing


class LineDelay:
    """Says of each packet when it arrives (s, of the clock that ``now`` is of). None overtakes another."""

    def __init__(self, quality: LineQuality, seed: int) -> None:
        self._dice = Random(seed)
        self._least_s = quality.rtt_ms / 2_000
        self._jitter_s = quality.jitter_ms / 1_000
        self._last = 0.0

    def arrives_at(self, now: float, late_s: float = 0.0) -> float:
        """The next packet, sent now. ``late_s``: held up by so much besides."""
        jitter_s = self._dice.random() * self._jitter_s if self._jitter_s else 0.0
        self._last = max(self._last, now + self._least_s + jitter_s + late_s)
        return self._last
