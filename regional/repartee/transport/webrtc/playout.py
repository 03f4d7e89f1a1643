"""One call's audio on its way out: paces it by the clock, takes it back on a barge-in, and knows how much the
caller has heard.

Owns one timer, which runs while there is audio. Reports to a :class:`PlayoutUser`.
"""

import asyncio
import time
from dataclasses import dataclass
from typing import Protocol

from repartee.rtc.heard import HeardClock
from repartee.rtc.opus import RATE_HZ, SAMPLE_BYTES
from repartee.rtc.pacing import AudioFrame, Pacer

BYTES_PER_MS = RATE_HZ * SAMPLE_BYTES // 1000


@dataclass(frozen=True, slots=True)
class SpokenItem:
    """Audio of one item of one response."""

    response_id: str
    item_id: str


class PlayoutUser(Protocol):
    """Who has the audio sent, and knows the line."""

    @property
    def playout_delay_ms(self) -> float:
        """From sending a sample until it is heard."""

    def send_frame(self, frame: AudioFrame, now: float) -> None:
        """A frame is due."""

    def sound_began(self, spoken: SpokenItem) -> None:
        """The first of it was sent."""

    def sound_ended(self, spoken: SpokenItem) -> None:
        """All of it was sent, and nothing more is to come."""

    def was_heard(self, spoken: SpokenItem, heard_ms: float) -> None:
        """So much of it has been heard."""


class PacedPlayout:
    """One call's audio."""

    def __init__(self, user: PlayoutUser, *, frame_ms: int) -> None:
        self._user = user
        self._frame_s = frame_ms / 1000
        self._pacer = Pacer(BYTES_PER_MS, frame_ms)
        self._heard = HeardClock()
        self._sounding: dict[SpokenItem, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._wakes_at = 0.0
        self._held = True

    def __repr__(self) -> str:
        return f"<PacedPlayout: {self._pacer.waiting_ms:.0f} ms wait, {self._heard!r}>"

    @property
    def unfinished(self) -> list[SpokenItem]:
        """What has not been sent to its end."""
        return [item for item in self._pacer.items if isinstance(item, SpokenItem)]

    def release(self) -> None:
        """The line is there: begin."""
        self._held = False
        self._set_timer()

    def hold(self) -> None:
        """The line is away: send nothing for now."""
        self._held = True
        self.stop()

    def put(self, spoken: SpokenItem, pcm: bytes) -> bool:
        """More audio. False: too much waits already."""
        taken = self._pacer.put(spoken, pcm, time.monotonic())
        self._set_timer()
        return taken

    def end(self, spoken: SpokenItem) -> None:
        """Nothing more comes of this."""
        self._pacer.end(spoken, time.monotonic())
        self._settle(spoken)
        self._set_timer()

    def clear(self, spoken: SpokenItem) -> bool:
        """Take back what was not sent; whether any of it had been."""
        self._pacer.clear(spoken)
        began = self._sounding.pop(spoken, spoken) is None
        self._pacer.forget(spoken)
        return began

    def stop(self) -> None:
        """The call is over, or its line is away."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self) -> None:
        """Wake for the next frame; else for what is being heard, which no new frame awaits."""
        due = self._pacer.due
        if self._held or (self._timer is not None and (due is None or due >= self._wakes_at)):
            return
        now = time.monotonic()
        if due is None:
            if not self._heard.pending:
                return
            due = now + self._frame_s
        if self._timer is not None:
            self._timer.cancel()
        self._wakes_at = due
        self._timer = asyncio.get_running_loop().call_later(max(0.0, due - now), self._tick)

    def _tick(self) -> None:
        self._timer = None
        now = time.monotonic()
        while (frame := self._pacer.take(now)) is not None:
            self._user.send_frame(frame, now)
            for spoken, _ in frame.parts:
                assert isinstance(spoken, SpokenItem)
                if spoken not in self._sounding:
                    self._sounding[spoken] = None
                    self._user.sound_began(spoken)
                self._heard.sent(spoken, self._pacer.paced_ms(spoken), now)
                self._settle(spoken)
        for heard, ms in self._heard.heard(self._user.playout_delay_ms, now).items():
            assert isinstance(heard, SpokenItem)
            self._user.was_heard(heard, ms)
        self._set_timer()

    def _settle(self, spoken: SpokenItem) -> None:
        if spoken in self._sounding and self._pacer.is_through(spoken):
            del self._sounding[spoken]
            self._pacer.forget(spoken)
            self._user.sound_ended(spoken)
