"""When which audio goes to a carrier, and what the caller has heard of it. Pure: ``now`` is seconds on any clock.

Audio goes out in whole frames, by the clock, a little ahead of what is played; marks between it come back when they
have been played. All marks come back at once after a cut: those of an earlier generation say nothing.
"""

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from repartee.wire.audio_format import WireFormat

FRAME_MS = 20
"""What carriers play at a time: half a frame crackles."""

ROUNDING_MS = 0.001
"""Times are floating-point numbers: the moment that was named has come when it is so near."""

_SILENCE = {"audio/pcm": b"\0", "audio/pcmu": b"\xff", "audio/pcma": b"\xd5"}


def silence_for(format_: WireFormat, ms: float) -> bytes:
    """So much silence in this format, in whole samples."""
    samples = int(format_.hz * ms / 1000)
    return _SILENCE[format_.encoding] * (samples * (2 if format_.encoding == "audio/pcm" else 1))


@dataclass(frozen=True, slots=True)
class PacingPolicy:
    """How far ahead audio goes out, and how finely its playing is followed."""

    least_lead_ms: float = 200.0
    """More is sent when no more than this is ahead of what is played ..."""

    most_lead_ms: float = 300.0
    """... and no more than makes this."""

    mark_ms: float = 100.0
    """A mark follows so much audio, or what goes out with it."""

    mark_late_ms: float = 2_000.0
    """A mark that is not back so long after its audio must have been played is late."""


@dataclass(frozen=True, slots=True)
class AudioDue:
    """Send this audio now: whole frames of one item."""

    item_id: str
    generation: int
    audio: bytes


@dataclass(frozen=True, slots=True)
class MarkDue:
    """Send this mark now."""

    name: str
    item_id: str
    generation: int


@dataclass(frozen=True, slots=True)
class PlayedTo:
    """The caller has heard so much of an item."""

    item_id: str
    ms: float


@dataclass(slots=True)
class _Waiting:
    """What is to be said of one item: ``sent_ms`` of ``given_ms`` have gone out."""

    item_id: str
    audio: bytearray = field(default_factory=bytearray)
    given_ms: float = 0.0
    sent_ms: float = 0.0
    unmarked_ms: float = 0.0
    ended: bool = False


@dataclass(frozen=True, slots=True)
class _OpenMark:
    name: str
    played: PlayedTo
    due_at: float


class StreamPacer:
    """One stream's audio, outwards. ``least_ms`` and ``most_ms`` bound a message's audio."""

    def __init__(
        self,
        format_: WireFormat,
        policy: PacingPolicy | None = None,
        *,
        least_ms: int = 20,
        most_ms: int = 1_000,
    ) -> None:
        self.policy = policy or PacingPolicy()
        self._format = format_
        self._frame_bytes = int(format_.bytes_per_ms * FRAME_MS)
        step_ms = self.policy.most_lead_ms - self.policy.least_lead_ms
        self._frames = max(1, int(min(most_ms, max(step_ms, least_ms)) // FRAME_MS))
        self._least_frames = max(1, math.ceil(least_ms / FRAME_MS))
        self._queue: deque[_Waiting] = deque()
        self._cut: deque[str] = deque(maxlen=64)
        self._marks: deque[_OpenMark] = deque()
        self._number = 0
        self._ends_at = -math.inf
        self.generation = 0

    def __repr__(self) -> str:
        waiting_ms = sum(item.given_ms - item.sent_ms for item in self._queue)
        return f"<StreamPacer: {waiting_ms:.0f} ms wait, {len(self._marks)} marks open, generation {self.generation}>"

    # --- in ------------------------------------------------------------------------------------------------------

    def put(self, item_id: str, audio: bytes) -> None:
        """Audio of an item, of any length; nothing if the item has been cut."""
        if not audio or item_id in self._cut:
            return
        item = self._waiting(item_id)
        item.audio += audio
        item.given_ms += len(audio) / self._format.bytes_per_ms

    def end(self, item_id: str) -> None:
        """No more of the item will come."""
        if item_id not in self._cut:
            self._waiting(item_id).ended = True

    def cut(self, item_id: str, now: float) -> bool:
        """Nothing more of an item may be heard. Whether the carrier has any, and must be told to drop it."""
        held = self._ends_at > now or any(mark.played.item_id == item_id for mark in self._marks)
        self._queue = deque(item for item in self._queue if item.item_id != item_id)
        self._cut.append(item_id)
        if held:
            self.generation += 1
            self._marks.clear()
            self._ends_at = now
        return held

    def returned(self, name: str) -> PlayedTo | None:
        """A mark has come back: what has been heard; None if that says nothing."""
        if not any(mark.name == name for mark in self._marks):
            return None
        while (mark := self._marks.popleft()).name != name:
            pass
        return mark.played

    # --- out -----------------------------------------------------------------------------------------------------

    def due(self, now: float) -> list[AudioDue | MarkDue]:
        """What is to be sent now, in order."""
        out: list[AudioDue | MarkDue] = []
        while self._queue:
            item = self._queue[0]
            frames = self._ready_frames(item)
            if frames and self._lead_ms(now) > self.policy.least_lead_ms + ROUNDING_MS:
                break
            if frames:
                out += self._send(item, frames, now)
                continue
            if not item.ended:
                break
            if item.unmarked_ms:
                out.append(self._mark(item))
            self._queue.popleft()
        return out

    def wake_at(self) -> float | None:
        """When :meth:`due` will have more; None: not before more is put."""
        if not self._queue or not self._ready_frames(self._queue[0]):
            return None
        return self._ends_at - self.policy.least_lead_ms / 1000

    def late_mark(self, now: float) -> bool:
        """A mark has not come back in time."""
        return bool(self._marks) and now > self._marks[0].due_at + self.policy.mark_late_ms / 1000

    @property
    def items(self) -> list[str]:
        """The items that are not played yet, as far as marks say."""
        open_ = [mark.played.item_id for mark in self._marks] + [item.item_id for item in self._queue]
        return list(dict.fromkeys(open_))

    @property
    def idle(self) -> bool:
        """All that was put has been sent, and heard as far as marks say."""
        return not self._queue and not self._marks

    @property
    def plays_until(self) -> float:
        """When what was sent so far will have been played."""
        return self._ends_at

    # --- inside --------------------------------------------------------------------------------------------------

    def _waiting(self, item_id: str) -> _Waiting:
        for item in self._queue:
            if item.item_id == item_id:
                return item
        self._queue.append(_Waiting(item_id))
        return self._queue[-1]

    def _lead_ms(self, now: float) -> float:
        return max(self._ends_at - now, 0.0) * 1000

    def _ready_frames(self, item: _Waiting) -> int:
        """How many frames can go in one message: whole ones, until the item has ended."""
        frames = len(item.audio) // self._frame_bytes
        if item.ended and item.audio:
            frames = max(math.ceil(len(item.audio) / self._frame_bytes), self._least_frames)
        if frames < self._least_frames:
            return 0
        return min(frames, self._frames)

    def _send(self, item: _Waiting, frames: int, now: float) -> Iterator[AudioDue | MarkDue]:
        size = frames * self._frame_bytes
        audio = bytes(item.audio[:size])
        del item.audio[:size]
        if missing := size - len(audio):
            audio += _SILENCE[self._format.encoding] * missing
        length_ms = frames * FRAME_MS
        item.sent_ms = min(item.sent_ms + length_ms, item.given_ms)
        item.unmarked_ms += length_ms
        self._ends_at = max(self._ends_at, now) + length_ms / 1000
        yield AudioDue(item.item_id, self.generation, audio)
        if item.unmarked_ms >= self.policy.mark_ms or (item.ended and not item.audio):
            yield self._mark(item)

    def _mark(self, item: _Waiting) -> MarkDue:
        self._number += 1
        name = f"{self.generation}.{self._number}"
        item.unmarked_ms = 0.0
        self._marks.append(_OpenMark(name, PlayedTo(item.item_id, item.sent_ms), self._ends_at))
        return MarkDue(name, item.item_id, self.generation)
