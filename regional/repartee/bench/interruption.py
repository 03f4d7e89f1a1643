"""A caller who interrupts: speaks again while the agent speaks, and times how soon the agent is silent.

Owns what an interruption is and when it is over. Must not know processes, profiles or files.
"""

import base64
import json
from dataclasses import dataclass, field

from repartee.audio.pcm import duration_ms
from repartee.audio.speech_end import leading_silence_ms
from repartee.bench.load import AUDIO_DELTA, FRAME_MS, RATE_HZ, TYPE_WITHIN, LoadSocket, Script

SPEECH_STARTED = b'"input_audio_buffer.speech_started"'


@dataclass(slots=True)
class Interruptions:
    """What came of them, in ms from the caller's first sound.

    ``told_ms``: until the client knew, and so stopped what it was playing. ``silent_ms``: until the last audio of the
    interrupted answer came, or the client knew, whichever was later. ``missed``: the client was never told.
    """

    told_ms: list[float] = field(default_factory=list)
    silent_ms: list[float] = field(default_factory=list)
    missed: int = 0
    unanswered: int = 0
    faults: list[str] = field(default_factory=list)


class InterruptingCall:
    """One call: a question, and then each answer is interrupted by the next. Times are seconds of one clock."""

    def __init__(
        self,
        script: Script,
        times: int,
        measured: Interruptions,
        *,
        listen_s: float = 0.6,
        patience_s: float = 5.0,
    ) -> None:
        self.socket: LoadSocket | None = None
        self._script = script
        self._left = times
        self._measured = measured
        self._listen_s = listen_s
        self._patience_s = patience_s
        self._frame = 0
        self._spoken_at_s: float | None = None
        self._heard_at_s: float | None = None
        self._onset_s: float | None = None
        self._told_at_s: float | None = None
        self._last_audio_s: float | None = None
        self.over = False

    def tick(self, now: float) -> None:
        """Send the frame that is due."""
        assert self.socket is not None
        frames, last = self._script.frames, self._script.last_speech_frame
        if self._frame > last and self._speaks_now(now):
            self._begin(now)
        self.socket.write(frames[min(self._frame, len(frames) - 1)])
        if self._frame == last:
            self._spoken(now)
        self._frame += 1

    def _speaks_now(self, now: float) -> bool:
        """Whether the answer has been listened to for long enough, or waited for in vain."""
        if self._heard_at_s is not None:
            return now - self._heard_at_s >= self._listen_s
        if self._spoken_at_s is not None and now - self._spoken_at_s >= self._patience_s:
            self._measured.unanswered += 1
            self.over = True
        return False

    def _begin(self, now: float) -> None:
        if self._left == 0:
            self.over = True
            return
        self._left -= 1
        self._frame = 0
        # A frame is sent when its last sample has been spoken.
        self._onset_s = now - FRAME_MS / 1000
        self._told_at_s = self._last_audio_s = self._spoken_at_s = self._heard_at_s = None

    def _spoken(self, now: float) -> None:
        """The caller has finished: what comes from now on is the next answer."""
        self._spoken_at_s, self._heard_at_s = now, None
        if self._onset_s is None:
            return
        if self._told_at_s is None:
            self._measured.missed += 1
            return
        silent_at_s = max(self._told_at_s, self._last_audio_s or 0.0)
        self._measured.told_ms.append((self._told_at_s - self._onset_s) * 1000)
        self._measured.silent_ms.append((silent_at_s - self._onset_s) * 1000)

    def receive(self, payload: bytes, is_text: bool, now: float) -> None:
        """A message from the server."""
        start = payload[:TYPE_WITHIN]
        if not is_text or AUDIO_DELTA in start:
            if self._spoken_at_s is None:
                self._last_audio_s = now
            elif self._heard_at_s is None and _audible(payload, is_text):
                self._heard_at_s = now
        elif SPEECH_STARTED in start:
            if self._onset_s is not None and self._told_at_s is None and self._spoken_at_s is None:
                self._told_at_s = now
        elif b'"error"' in start:
            self._measured.faults.append(str(json.loads(payload).get("error", {}).get("message")))


def _audible(payload: bytes, is_text: bool) -> bool:

    pcm = base64.b64decode(json.loads(payload)["delta"]) if is_text else payload
    return leading_silence_ms(pcm, RATE_HZ) < duration_ms(len(pcm), RATE_HZ)
