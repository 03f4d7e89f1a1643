"""The caller's loudspeaker, as we work it out from here: how much of each reply has played by a given time.

Audio is sent faster than it plays. The caller's side plays it in order, at its own pace, and begins when the
first of it arrives; so what has been heard follows from what was sent when. Times are seconds, audio is ms.
"""

from dataclasses import dataclass


@dataclass(slots=True)
class _Stretch:
    """Audio of one reply, played without a gap."""

    reply_id: int
    starts_at: float
    length_ms: float

    @property
    def ends_at(self) -> float:
        return self.starts_at + self.length_ms / 1000


class Speaker:
    """What the caller hears, in order."""

    def __init__(self) -> None:
        self._stretches: list[_Stretch] = []
        self._sound_ends_at = 0.0

    def __repr__(self) -> str:
        total = sum(stretch.length_ms for stretch in self._stretches)
        return f"<Speaker: {len(self._stretches)} stretches, {total:.0f} ms>"

    @property
    def ends_at(self) -> float:
        """When everything sent so far will have been played (0.0: nothing was sent)."""
        return self._stretches[-1].ends_at if self._stretches else 0.0

    @property
    def sound_ends_at(self) -> float:
        """When the last of it that can be heard will have been played (0.0: there was none)."""
        return self._sound_ends_at

    def play(self, reply_id: int, length_ms: float, now: float, *, audible: bool = True) -> float:
        """Audio of this length is sent now; ``audible``: it is no silence. Returns when it starts to play."""
        starts_at = self._queue(reply_id, length_ms, now)
        if audible:
            self._sound_ends_at = starts_at + length_ms / 1000
        return starts_at

    def _queue(self, reply_id: int, length_ms: float, now: float) -> float:
        last = self._stretches[-1] if self._stretches else None
        if last and last.ends_at >= now:
            starts_at = last.ends_at
            if last.reply_id == reply_id:
                last.length_ms += length_ms
                return starts_at
        else:
            starts_at = now
        self._stretches.append(_Stretch(reply_id, starts_at, length_ms))
        return starts_at

    def heard_ms(self, reply_id: int, now: float) -> float:
        """How much of the reply's audio has been played."""
        return sum(
            min(max((now - stretch.starts_at) * 1000, 0.0), stretch.length_ms)
            for stretch in self._stretches
            if stretch.reply_id == reply_id
        )

    def sounding(self, now: float) -> int | None:
        """The reply that is being played."""
        return next((s.reply_id for s in self._stretches if s.starts_at <= now < s.ends_at), None)

    def stop(self, now: float) -> None:
        """Playing stops: what has not been played never will be."""
        kept = [stretch for stretch in self._stretches if stretch.starts_at < now]
        for stretch in kept:
            stretch.length_ms = min(stretch.length_ms, (now - stretch.starts_at) * 1000)
        self._stretches = kept
        self._sound_ends_at = min(self._sound_ends_at, now)

    def forget(self, before: float) -> None:
        """Drop what ended before this time; nothing will be asked about it again."""
        self._stretches = [stretch for stretch in self._stretches if stretch.ends_at >= before]
