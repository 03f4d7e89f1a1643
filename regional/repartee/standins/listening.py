"""One connection's hearing, shared by Flux and nova: audio in, words made out, messages out in order.

A message whose words are still being made out holds back those after it. Subclasses know the wire; this does not.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import soxr

from repartee.standins.detector import STEP_MS
from repartee.standins.link import Link
from repartee.standins.pcm import to_linear16
from repartee.standins.recogniser import Word
from repartee.standins.state import StandInState

FINISH_LEAD_MS = 40.0
"""Words are asked for this much silence before they are due, so that recognition's own time does not show."""

Message = Callable[[list[Word]], str | None]
"""Makes a message of the words; None: nothing is sent after all."""


@dataclass(frozen=True, slots=True)
class HeardFormat:
    """What the client sends: ``linear16``, ``mulaw`` or ``alaw`` at a rate in Hz, mono."""

    encoding: str
    rate_hz: int


@dataclass(slots=True)
class Wording:
    """The words of an utterance up to a pause: None until they have been made out."""

    words: list[Word] | None = None


@dataclass(frozen=True, slots=True)
class _Due:
    build: Message
    wording: Wording
    at_s: float


class Listening:
    """Feeds one connection's audio to its detector and recogniser."""

    def __init__(self, link: Link, state: StandInState, audio: HeardFormat) -> None:
        self.link = link
        self.state = state
        self.audio = audio
        wanted_hz = state.engines.hearing_hz(audio.rate_hz)
        self.heard = state.engines.detector(wanted_hz)
        self.recogniser = state.engines.recogniser()
        self._resampler = (
            soxr.ResampleStream(audio.rate_hz, wanted_hz, 1, dtype="int16", quality="LQ")
            if wanted_hz != audio.rate_hz
            else None
        )
        self._step_bytes = int(wanted_hz * STEP_MS / 1000) * 2
        self._begun = False
        self._asked: Wording | None = None
        self._waiting: deque[_Due] = deque()
        self._last_due_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def take_audio(self, message: bytes, on_step: Callable[[], None]) -> None:
        """One message of audio; ``on_step`` is called after each step of it."""
        pcm = to_linear16(message, self.audio.encoding)
        if self._resampler is not None:
            chunk = self._resampler.resample_chunk(np.frombuffer(pcm, "<i2"))
            pcm = chunk.astype("<i2").tobytes()
        self.recogniser.hear(pcm)
        size = self._step_bytes
        if len(pcm) <= size:
            self._step(pcm, on_step)
            return
        view = memoryview(pcm)
        for at in range(0, len(pcm), size):
            self._step(view[at : at + size], on_step)

    def _step(self, pcm: bytes | memoryview, on_step: Callable[[], None]) -> None:
        if len(pcm) == 0:
            return
        heard = self.heard
        heard.step(pcm)
        if heard.onset_ms is not None and not self._begun:
            self._begun = True
            self.recogniser.begin(heard.onset_ms)
        elif heard.onset_ms is None and self._begun:
            self.utterance_over()
        on_step()

    def ask_for_words(self) -> Wording:
        """Have all words so far made out, unless that is under way; they arrive in what is returned."""
        if self._asked is None:
            self._asked = wording = Wording()

            def done(words: list[Word]) -> None:
                wording.words = words
                self._pump()

            self.recogniser.finish(self.heard, done)
        return self._asked

    def known_words(self) -> Wording:
        """The words as far as they are known now."""
        return Wording(self.recogniser.partial(self.heard))

    def speech_goes_on(self, *, after_pause: bool = False) -> None:
        """What was made out is no longer all of the utterance; ``after_pause``: the client was told it was."""
        if self._asked is not None or after_pause:
            self._asked = None
            self.recogniser.resume(after_pause=after_pause)

    def utterance_over(self) -> None:
        """The utterance has ended, or was no speech at all."""
        self._begun = False
        self._asked = None
        self.heard.forget()
        self.recogniser.reset()

    def tell(self, build: Message, wording: Wording, extra_ms: float = 0.0) -> None:
        """Send a message in its turn, once its words are known and its extra delay is over."""
        self._last_due_s = max(self._last_due_s, time.monotonic() + extra_ms / 1000) if extra_ms > 0 else 0.0
        self._waiting.append(_Due(build, wording, self._last_due_s))
        self._pump()

    def _pump(self) -> None:
        while self._waiting:
            head = self._waiting[0]
            if head.wording.words is None:
                return
            left_s = head.at_s - time.monotonic() if head.at_s else 0.0
            if left_s > 0:
                if self._timer is None:
                    self._timer = asyncio.get_running_loop().call_later(left_s, self._released)
                return
            self._waiting.popleft()
            message = head.build(head.wording.words)
            if message is not None:
                self.link.send(message)

    def _released(self) -> None:
        self._timer = None
        self._pump()

    def close(self) -> None:
        """Free what it holds."""
        if self._timer is not None:
            self._timer.cancel()
        self._waiting.clear()
        self.recogniser.close()


class IdleWatch:
    """Calls ``on_idle`` once nothing has happened for ``limit_s`` seconds."""

    def __init__(self, limit_s: float, on_idle: Callable[[], None]) -> None:
        self._limit_s = limit_s
        self._on_idle = on_idle
        self._loop = asyncio.get_running_loop()
        self._active_s = time.monotonic()
        self._timer = self._loop.call_later(limit_s, self._look)

    def active(self) -> None:
        """Something has happened."""
        self._active_s = time.monotonic()

    def stop(self) -> None:
        """Watch no more."""
        self._timer.cancel()

    def _look(self) -> None:
        left_s = self._active_s + self._limit_s - time.monotonic()
        if left_s <= 0:
            self._on_idle()
        else:
            self._timer = self._loop.call_later(left_s, self._look)
