"""Where speech begins and ends in a stream of audio. The only clock is the audio itself. No I/O.

Two detectors share one face: :class:`LevelDetector` takes whatever is loud enough for speech (the light mode);
:class:`SpeechDetector` follows the noise floor of a real microphone and asks a voice-activity model too.
"""

import math
from collections import deque
from typing import Protocol

import webrtcvad

from repartee.standins.pcm import peak, rms

STEP_MS = 20.0
"""Audio is looked at in steps of this length, or shorter ones at the end of a message."""

SLICES = 4
"""Each step or block is searched for the end of sound in this many parts: 5 ms of a step, 2.5 of a block."""


class Detector(Protocol):
    """The state of the audio so far; times are ms of audio from the start of the connection."""

    position_ms: float
    """How much audio has arrived."""

    onset_ms: float | None
    """Where the speech of the current turn began, or None."""

    last_sound_ms: float
    """Where the latest sound ended."""

    @property
    def confirmed(self) -> bool:
        """Whether there has been enough sound since the onset to call it speech. Short noises are forgotten."""

    def step(self, pcm: bytes | memoryview) -> None:
        """Take up to 20 ms of PCM16."""

    def forget(self) -> None:
        """The turn is over: what sounds next is a new onset."""


def _sound_end(pcm: bytes | memoryview, threshold: int) -> float:
    """Which share of the step (0…1) lies before the end of its last sound, to a quarter of it."""
    view = memoryview(pcm)
    samples = len(view) // 2
    size = max(1, samples // SLICES) * 2
    end = samples * 2
    while end > 0:
        start = max(0, end - size)
        if peak(view[start:end]) >= threshold:
            return end / (samples * 2)
        end = start
    return 0.0


class LevelDetector:
    """Takes everything above a fixed peak level for speech: exact on synthetic audio, and cheap."""

    enough_ms = 35.0
    dropout_ms = 200.0

    def __init__(self, rate_hz: int, threshold: int = 330) -> None:
        self.position_ms = 0.0
        self.onset_ms: float | None = None
        self.last_sound_ms = 0.0
        self._sounded_ms = 0.0
        self._ms_per_byte = 1000 / rate_hz / 2
        self._threshold = threshold

    @property
    def confirmed(self) -> bool:
        """Whether there has been enough sound since the onset to call it speech."""
        return self._sounded_ms >= self.enough_ms

    def step(self, pcm: bytes | memoryview) -> None:
        """Take up to 20 ms of PCM16."""
        length_ms = len(pcm) * self._ms_per_byte
        if peak(pcm) >= self._threshold:
            if self.onset_ms is None:
                self.onset_ms = self.position_ms
            sounded_ms = length_ms * _sound_end(pcm, self._threshold)
            self._sounded_ms += sounded_ms
            self.last_sound_ms = self.position_ms + sounded_ms
        self.position_ms += length_ms
        silent_ms = self.position_ms - self.last_sound_ms
        if self.onset_ms is not None and silent_ms > self.dropout_ms and not self.confirmed:
            self.forget()

    def forget(self) -> None:
        """The turn is over: what sounds next is a new onset."""
        self.onset_ms = None
        self._sounded_ms = 0.0


VAD_HZ = 16_000
BLOCK_MS = 10.0
QUIETEST_DB = -96.0


class SpeechDetector:
    """Finds speech in 16 kHz audio with noise in it.

    Speech must stand out from the noise floor by ``margin_db`` and be taken for speech by webrtcvad (its strictest
    mode). The end is where the level fell, to 2.5 ms: the model alone lags by 100 ms. Islands of sound shorter than
    ``island_ms`` (a click, a key) count only if they join speech within ``bridge_ms``. Sound that stays within
    ``steady_db`` for ``steady_ms`` and below ``steady_below_db`` is noise, however suddenly it came (a microphone
    being switched on): speech is never that even.
    """

    margin_db = 8.0
    least_db = -52.0
    rise_db_per_s = 4.0
    island_ms = 30.0
    bridge_ms = 50.0
    vad_memory_ms = 200.0
    dropout_ms = 300.0
    enough_ms = 60.0
    steady_db = 4.0
    steady_ms = 120.0
    steady_below_db = -35.0

    def __init__(self) -> None:
        self.position_ms = 0.0
        self.onset_ms: float | None = None
        self.last_sound_ms = 0.0
        self._sounded_ms = 0.0
        self._vad = webrtcvad.Vad(3)
        self._rest = b""
        self._looked_ms = 0.0
        self._floor_db = -60.0
        self._voiced_at_ms = -math.inf
        self._run_ms = 0.0
        self._run_start_ms = 0.0
        self._levels_db: deque[float] = deque(maxlen=int(self.steady_ms / BLOCK_MS))

    @property
    def confirmed(self) -> bool:
        """Whether there has been enough sound since the onset to call it speech."""
        return self._sounded_ms >= self.enough_ms

    def step(self, pcm: bytes | memoryview) -> None:
        """Take up to 20 ms of PCM16 at 16 kHz."""
        audio = self._rest + bytes(pcm)
        whole = int(VAD_HZ * BLOCK_MS / 1000) * 2
        at = 0
        while len(audio) - at >= whole:
            self._block(audio[at : at + whole])
            at += whole
        self._rest = audio[at:]
        self.position_ms = self._looked_ms + len(self._rest) * 1000 / VAD_HZ / 2

    def forget(self) -> None:
        """The turn is over: what sounds next is a new onset."""
        self.onset_ms = None
        self._sounded_ms = 0.0
        self._run_ms = 0.0

    def _block(self, block: bytes) -> None:
        start_ms = self._looked_ms
        self._looked_ms += BLOCK_MS
        level_db = max(QUIETEST_DB, 20 * math.log10(max(rms(block), 0.5) / 32768))
        if self._vad.is_speech(block, VAD_HZ):
            self._voiced_at_ms = self._looked_ms
        voiced = self._looked_ms - self._voiced_at_ms <= self.vad_memory_ms
        self._follow_floor(level_db, voiced)
        self._look_for_steady_noise(level_db)
        least_db = max(self._floor_db + self.margin_db, self.least_db)
        if voiced and level_db >= least_db:
            self._sound(start_ms, _sound_end(block, int(32768 * 10 ** (least_db / 20))))
        else:
            self._run_ms = 0.0
        silent_ms = self._looked_ms - self.last_sound_ms
        if self.onset_ms is not None and not self.confirmed and silent_ms > self.dropout_ms:
            self.forget()

    def _follow_floor(self, level_db: float, voiced: bool) -> None:
        """The floor falls to a quieter level within some blocks, and creeps up while louder than the noise."""
        if level_db < self._floor_db:
            self._floor_db += 0.3 * (max(level_db, -75.0) - self._floor_db)
        else:
            pace = 0.25 if voiced else 4.0
            self._floor_db = min(level_db, self._floor_db + pace * self.rise_db_per_s * BLOCK_MS / 1000)

    def _look_for_steady_noise(self, level_db: float) -> None:
        levels = self._levels_db
        levels.append(level_db)
        if level_db <= self._floor_db + self.margin_db / 2 or level_db >= self.steady_below_db:
            return
        if len(levels) == levels.maxlen and max(levels) - min(levels) < self.steady_db:
            self._floor_db = sum(levels) / len(levels)
            if self.onset_ms is not None and self._looked_ms - self.onset_ms <= self.steady_ms + BLOCK_MS:
                self.forget()

    def _sound(self, start_ms: float, share: float) -> None:
        """A block is loud, up to this share of it."""
        if self._run_ms == 0.0:
            self._run_start_ms = start_ms
        self._run_ms += BLOCK_MS
        joins = self.onset_ms is not None and self._run_start_ms - self.last_sound_ms <= self.bridge_ms
        if self._run_ms < self.island_ms and not joins:
            return
        if self.onset_ms is None:
            self.onset_ms = self._run_start_ms
        self._sounded_ms += BLOCK_MS if joins else self._run_ms
        self.last_sound_ms = start_ms + BLOCK_MS * share
