"""One recorded turn through the worker's own turn-taking, on a clock of its own: nothing waits, and it is exact.

Owns feeding the audio, frame by frame, to what decides on turns and to what finds the end of speech. Both are the
worker's; only the recogniser is scripted. What is heard of the agent is reckoned from the delays of its providers.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from repartee.audio.pcm import resampler
from repartee.audio.vad import FRAME_MS as VAD_FRAME_MS
from repartee.audio.vad import VoiceActivity
from repartee.bench.conditions import Samples, to_pcm
from repartee.bench.recordings import RATE_HZ, RecordedTurn
from repartee.bench.scripted_recogniser import RecogniserSettings, ScriptedNova, flux_events
from repartee.providers.interfaces import HEARING_HZ, Hearing
from repartee.session.end_timing import EndTiming
from repartee.turn.endpointing import Endpointer, EndpointingSettings, Finalize, Output
from repartee.turn.events import EagerEndOfTurn, EndOfTurn, TurnResumed

FRAME_MS = 20
REPLY_S = 0.3233
"""From the request to the model to the answer's first sound, by the profile `budget`: 140 ms to the first token,
five more of them at 60 a second, 100 ms to the first audio."""

EARLY_S = 0.05
"""A turn that ends this much before its speech does is not cut off: the last of a word is soft."""

QUIET_AFTER_S = 3.0
"""So much is heard after the recording, of the line's own noise."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How turns end: by our own rule over nova's words and silences, or (None) when Flux says so."""

    endpointing: EndpointingSettings | None


POLICIES: dict[str, Policy] = {
    "flux": Policy(None),
    "nova": Policy(EndpointingSettings()),
    "nova-700": Policy(EndpointingSettings(end_silence_ms=700.0)),
}


@dataclass(frozen=True, slots=True)
class Ended:
    """A turn's end with words: when it was heard, when the answer would sound, where speech was found to end."""

    at_s: float
    audible_s: float
    text: str
    speech_ended_s: float | None
    certain: bool


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of one recording. Times are seconds of the recording."""

    turn: RecordedTurn
    ends: tuple[Ended, ...]

    @property
    def cut_off(self) -> bool:
        """A turn was ended while its speech went on."""
        return any(end.at_s < self.turn.ends_s - EARLY_S for end in self.ends)

    @property
    def spoken_over(self) -> bool:
        """The agent would have been heard before the caller had finished."""
        return any(end.audible_s < self.turn.ends_s for end in self.ends)

    @property
    def last_word_lost(self) -> bool:
        """The last words became a turn of their own, or none."""
        if not self.turn.words:
            return not self.ends
        last = self.turn.words[-1].text
        ending = [end for end in self.ends if end.text.endswith(last)]
        return not ending or (ending[-1].text == last and len(self.turn.words) > 1)

    @property
    def final(self) -> Ended | None:
        """The end of the turn that was no cut."""
        late = [end for end in self.ends if end.at_s >= self.turn.ends_s - EARLY_S]
        return late[0] if late else None


class _Clock:
    """Callbacks at times of the recording."""

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[tuple[float, int, _Timer]] = []

    def call_later(self, seconds: float, call: Callable[[], None]) -> "_Timer":
        timer = _Timer(call)
        heapq.heappush(self._due, (self.now + seconds, id(timer), timer))
        return timer

    def advance(self, now: float) -> None:
        self.now = now
        while self._due and self._due[0][0] <= now:
            heapq.heappop(self._due)[2].run()


class _Timer:
    def __init__(self, call: Callable[[], None]) -> None:
        self._call: Callable[[], None] | None = call

    def cancel(self) -> None:
        self._call = None

    def run(self) -> None:
        if self._call is not None:
            self._call()


def run_trial(turn: RecordedTurn, heard: Samples, policy: Policy, *, word_times: bool = True) -> Trial:
    """The recording, as a line carries it, through the turn-taking."""
    return _Run(turn, policy, word_times=word_times).over(heard)


class _Run:
    def __init__(self, turn: RecordedTurn, policy: Policy, *, word_times: bool) -> None:
        self._turn = turn
        self._clock = _Clock()
        self._timing = EndTiming(HEARING_HZ, self._clock.call_later)
        self._nova: ScriptedNova | None = None
        self._flux: list[tuple[float, Hearing]] = []
        if policy.endpointing is not None:
            self._nova = ScriptedNova(turn, word_times=word_times)
            self._endpointer = Endpointer(policy.endpointing, frame_ms=VAD_FRAME_MS)
            self._vad = VoiceActivity(HEARING_HZ)
        else:
            self._flux = list(flux_events(turn, RecogniserSettings()))
        self._eager_at: float | None = None
        self._ends: list[Ended] = []

    def over(self, heard: Samples) -> Trial:
        stream = resampler(RATE_HZ, HEARING_HZ)
        pcm = stream.feed(to_pcm(_with_more(heard, QUIET_AFTER_S)))
        size = HEARING_HZ * FRAME_MS // 1000 * 2
        for number, at in enumerate(range(0, len(pcm) - size + 1, size), start=1):
            frame, now = pcm[at : at + size], number * FRAME_MS / 1000
            self._clock.advance(now)
            self._timing.feed(frame, now)
            self._hear(frame, now)
        return Trial(self._turn, tuple(self._ends))

    def _hear(self, frame: bytes, now: float) -> None:
        if self._nova is None:
            while self._flux and self._flux[0][0] <= now:
                self._take(self._flux.pop(0)[1], now)
            return
        for speech in self._vad.feed(frame):
            self._carry_out(self._endpointer.frame(speech, now), now)
        for result in self._nova.due(now):
            self._carry_out(self._endpointer.transcript(result, now), now)

    def _carry_out(self, outputs: list[Output], now: float) -> None:
        for output in outputs:
            if isinstance(output, Finalize):
                assert self._nova is not None
                self._nova.finalize(now)
            else:
                self._take(output, now)

    def _take(self, event: Hearing, now: float) -> None:
        event = self._timing.timed(event)
        if isinstance(event, EagerEndOfTurn):
            self._eager_at = now
        elif isinstance(event, TurnResumed):
            self._eager_at = None
        elif isinstance(event, EndOfTurn):
            asked_at, self._eager_at = self._eager_at, None
            if event.text.strip():
                audible_s = max(now, (now if asked_at is None else asked_at) + REPLY_S)
                ended = Ended(now, audible_s, event.text, event.speech_ended_at, event.speech_end_certain)
                self._ends.append(ended)


def _with_more(heard: Samples, seconds: float) -> Samples:
    """The line goes on as it was in the last half second, played back and forth."""
    last = heard[-RATE_HZ // 2 :]
    more = np.resize(np.concatenate([last[::-1], last]), int(seconds * RATE_HZ))
    return np.concatenate([heard, more]).astype(np.float32)
