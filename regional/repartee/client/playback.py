"""A model of the listener's loudspeaker: what has been heard by when.

Owns the arithmetic of playing received audio in real time: when each sample is heard, where the audio ran dry, and
what is left unheard when playback is stopped. Pure: time (seconds, any monotonic clock) is an argument. Must not
know the session protocol or any socket.
"""

from dataclasses import dataclass, field

from repartee.audio.pcm import SAMPLE_BYTES, duration_ms
from repartee.audio.speech_end import leading_silence_ms


@dataclass(slots=True)
class Stretch:
    """Audio of one item that is heard without a gap, from ``starts_at_s`` on (PCM16 mono)."""

    item_id: str
    starts_at_s: float
    pcm: bytearray = field(default_factory=bytearray)


@dataclass(frozen=True, slots=True)
class Stopped:
    """What was being heard when playback was stopped, and how much of it had been."""

    item_id: str
    played_ms: int


class PlaybackClock:
    """Plays what it is given, in order and without a pause where there is audio, ``buffer_ms`` after it comes."""

    def __init__(self, rate_hz: int, *, buffer_ms: float = 0.0) -> None:
        self.rate_hz = rate_hz
        self.buffer_s = buffer_ms / 1000
        self.stretches: list[Stretch] = []
        self.underruns = 0
        self._audible_at_s: dict[str, float] = {}

    def add(self, item_id: str, pcm: bytes, now: float) -> None:
        """Queue audio that arrived at ``now``."""
        if not pcm:
            return
        last = self.stretches[-1] if self.stretches else None
        dry = last is None or self._end_s(last) < now
        if last is None or dry or last.item_id != item_id:
            if last is not None and dry and last.item_id == item_id:
                self.underruns += 1
            starts_at_s = now + self.buffer_s if last is None or dry else self._end_s(last)
            last = Stretch(item_id, starts_at_s)
            self.stretches.append(last)
        if item_id not in self._audible_at_s:
            silent_ms = leading_silence_ms(pcm, self.rate_hz)
            if silent_ms < duration_ms(len(pcm), self.rate_hz):
                self._audible_at_s[item_id] = self._end_s(last) + silent_ms / 1000
        last.pcm += pcm

    def audible_at_s(self, item_id: str) -> float | None:
        """When the item's first audible sample is heard; None while there is none."""
        return self._audible_at_s.get(item_id)

    def played_ms(self, item_id: str, now: float) -> float:
        """How much of the item has been heard by ``now``."""
        return 1000 * sum(
            min(max(now - stretch.starts_at_s, 0.0), self._length_s(stretch))
            for stretch in self.stretches
            if stretch.item_id == item_id
        )

    def playing(self, now: float) -> str | None:
        """The item that is being heard at ``now``, or is about to be."""
        for stretch in self.stretches:
            if self._end_s(stretch) > now:
                return stretch.item_id
        return None

    @property
    def ends_at_s(self) -> float:
        """When the last sample so far will have been heard; 0 if there has been none."""
        return self._end_s(self.stretches[-1]) if self.stretches else 0.0

    def stop(self, now: float) -> Stopped | None:
        """Drop all that is unheard at ``now``; None when nothing was being played."""
        item_id = self.playing(now)
        if item_id is None:
            return None
        played_ms = int(self.played_ms(item_id, now))
        for stretch in self.stretches:
            heard = max(0, round((now - stretch.starts_at_s) * self.rate_hz))
            del stretch.pcm[heard * SAMPLE_BYTES :]
        self.stretches = [stretch for stretch in self.stretches if stretch.pcm]
        return Stopped(item_id, played_ms)

    def _length_s(self, stretch: Stretch) -> float:
        return duration_ms(len(stretch.pcm), self.rate_hz) / 1000

    def _end_s(self, stretch: Stretch) -> float:
        return stretch.starts_at_s + self._length_s(stretch)
