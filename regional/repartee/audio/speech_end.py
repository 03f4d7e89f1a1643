"""Where speech begins and ends in audio, to the sample: the two ends of every latency figure.

Owns the arithmetic that tells audible sound from the noise floor, and a short memory of the caller's audio with the
times it arrived. Nothing is computed while audio comes in; the work is done, vectorised, when a figure is asked for.
It measures; it does not decide whose turn it is (turn/endpointing does).

A sound counts as audible where the level of a 5 ms window reaches a threshold taken from the audio itself:

- 9 dB above the noise floor (the 5th percentile of the windows' levels), as speech 9 dB above the noise is heard;
- but at most 15 dB under the loud parts (the 95th percentile), for audio so full of speech that it shows no floor;
- never under -55 dBFS (a resampler's and a codec's own noise lies below) nor more than 42 dB under the loud parts
  (room echo and a synthesiser's fade-out).

A lone click is no speech: of the 12 windows around it (60 ms) at least 3 must be audible.

That is exact where silence follows, as it does on a quiet line. Where noise does, no threshold will do, and
:mod:`repartee.audio.end_search` looks for the end (:func:`find_end`).
"""

import math
from collections import deque
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from repartee.audio.end_search import EndFound, search_end
from repartee.audio.pcm import SAMPLE_BYTES, bytes_for_ms, duration_ms, peak

_Floats: TypeAlias = npt.NDArray[np.float32]

WINDOW_MS = 5
FULL_SCALE = 32768.0


@dataclass(frozen=True, slots=True)
class Audibility:
    """The thresholds that the module's docstring explains."""

    above_floor_db: float = 9.0
    floor_percentile: float = 5.0
    loud_percentile: float = 95.0
    at_most_below_loud_db: float = 15.0
    at_least_below_loud_db: float = 42.0
    least_dbfs: float = -55.0
    click_windows: int = 3
    click_span_windows: int = 12
    silent_below_loud_db: float = 30.0
    silent_below_end_db: float = 20.0
    """What follows the end of speech is silence if it lies so far under the loud parts, and under the last of it."""

    least_silence_windows: int = 10
    end_windows: int = 40
    breath_windows: int = 2
    """So much is no silence yet; so much before the end is the last of the speech; so much after it its echo."""


DEFAULT = Audibility()

CHUNK_THRESHOLD_DBFS = -50.0
"""For leading silence: a synthesiser's first chunk is too short to show a floor, and has none worth the name."""


def has_sound(pcm: bytes) -> bool:
    """Whether any of a piece of synthesised speech can be heard: its peak, which costs next to nothing."""
    return peak(pcm) >= FULL_SCALE * 10 ** (CHUNK_THRESHOLD_DBFS / 20)


def speech_span(pcm: bytes, hz: int, audibility: Audibility = DEFAULT) -> tuple[int, int] | None:
    """First sample of speech and the one after its last, as sample indices; None if nothing is audible."""
    samples, levels = _measured(pcm, hz)
    return _span(samples, levels, hz * WINDOW_MS // 1000, audibility)


def _span(
    samples: npt.NDArray[np.int16], levels: _Floats, window: int, audibility: Audibility
) -> tuple[int, int] | None:
    if not levels.size:
        return None
    threshold = _threshold_dbfs(levels, audibility)
    found = _without_clicks(np.flatnonzero(levels >= threshold).tolist(), audibility)
    if found is None:
        return None
    amplitude = FULL_SCALE * 10 ** (threshold / 20)
    first, last = found[0] * window, found[1] * window
    start = first + int(np.argmax(_reaching(samples[first : first + window], amplitude)))
    tail = _reaching(samples[last : last + window], amplitude)
    return start, last + len(tail) - int(np.argmax(tail[::-1]))


def speech_end_ms(pcm: bytes, hz: int, audibility: Audibility = DEFAULT) -> float | None:
    """Where the last sample of speech in a recording ends, in ms from its start; None if nothing is audible."""
    span = speech_span(pcm, hz, audibility)
    return None if span is None else span[1] * 1000 / hz


def find_end(
    pcm: bytes, hz: int, *, word_ends_ms: float | None = None, audibility: Audibility = DEFAULT
) -> EndFound | None:
    """Where the speech ends in audio that was asked about because speech is over; None if nothing is audible.

    ``word_ends_ms`` is where a recogniser says that the last word ends, in ms from the start of the audio. It settles
    nothing by itself (recognisers are off by a tenth of a second); it says where to look.
    """
    samples, levels = _measured(pcm, hz)
    span = _span(samples, levels, hz * WINDOW_MS // 1000, audibility)
    if span is None:
        return None
    heard_ms = span[1] * 1000 / hz
    if _silence_follows(levels, int(heard_ms) // WINDOW_MS, audibility):
        return EndFound(heard_ms, certain=True, quiet=True)
    return search_end(samples, hz, word_ends_ms) or EndFound(heard_ms, certain=False)


def leading_silence_ms(pcm: bytes, hz: int) -> float:
    """How long a chunk of synthesised speech is silent before its first audible sample; all of it, if it is."""
    samples = np.frombuffer(pcm, dtype="<i2", count=len(pcm) // SAMPLE_BYTES)
    window = hz * WINDOW_MS // 1000
    levels = _levels_dbfs(samples, window)
    loud = np.flatnonzero(levels >= CHUNK_THRESHOLD_DBFS)
    if not loud.size:
        return samples.size * 1000 / hz
    first = int(loud[0]) * window
    amplitude = FULL_SCALE * 10 ** (CHUNK_THRESHOLD_DBFS / 20)
    return (first + int(np.argmax(_reaching(samples[first : first + window], amplitude)))) * 1000 / hz


@dataclass(frozen=True, slots=True)
class SpeechEnd:
    """When the last sample of a caller's speech arrived (s), and whether that is sure; ``quiet``: silence follows."""

    at: float
    certain: bool
    quiet: bool = False


class CallerAudio:
    """The last ``keep_ms`` of a caller's audio, with the time each piece arrived.

    Appending stores two references and takes well under a microsecond; pieces older than ``keep_ms`` are let go.
    """

    __slots__ = ("_bytes", "_hz", "_keep_bytes", "_pieces", "total_bytes")

    def __init__(self, hz: int, *, keep_ms: float = 3_000) -> None:
        self._hz = hz
        self._keep_bytes = bytes_for_ms(keep_ms, hz)
        self._pieces: deque[tuple[bytes, float]] = deque()
        self._bytes = 0
        self.total_bytes = 0
        """How much there has been of it, with what was let go."""

    @property
    def kept_ms(self) -> float:
        return duration_ms(self._bytes, self._hz)

    @property
    def kept_since(self) -> float:
        """When the first of it that is still kept arrived (s); infinity if nothing is."""
        if not self._pieces:
            return math.inf
        first, arrived = self._pieces[0]
        return arrived - duration_ms(len(first), self._hz) / 1000

    def append(self, pcm: bytes, now: float) -> None:
        """Remember a piece (whole samples) whose last one arrived at ``now`` (seconds on the caller's own clock)."""
        self._pieces.append((pcm, now))
        self._bytes += len(pcm)
        self.total_bytes += len(pcm)
        while self._bytes > self._keep_bytes and len(self._pieces) > 1:
            self._bytes -= len(self._pieces.popleft()[0])

    def clear(self) -> None:
        """Forget everything, as when a turn has been answered and the next must be measured by itself."""
        self._pieces.clear()
        self._bytes = 0

    def speech_ended_at(self, *, silent_ms: float = 0.0) -> float | None:
        """When the last sample of speech arrived, on the clock given to :meth:`append`; None if there was none.

        ``silent_ms``: so much silence is known to follow; without any, speech to the very end shows no floor.
        """
        end = self.speech_end(silent_ms=silent_ms)
        return None if end is None else end.at

    def speech_end(self, *, word_ended_ms: float | None = None, silent_ms: float = 0.0) -> SpeechEnd | None:
        """The same, and whether it is sure. ``word_ended_ms``: so much audio ago the last word ended, as far as a
        recogniser can say.

        A piece arrives as a whole, but the figure is that of the sample: the piece's time less what follows in it.
        """
        word_ends_ms = None if word_ended_ms is None else self.kept_ms - word_ended_ms
        pcm = b"".join([*(piece for piece, _ in self._pieces), bytes(bytes_for_ms(silent_ms, self._hz))])
        end = find_end(pcm, self._hz, word_ends_ms=word_ends_ms)
        if end is None:
            return None
        after = max(self._bytes // SAMPLE_BYTES - round(end.ms * self._hz / 1000), 0)
        for piece, arrived in reversed(self._pieces):
            held = len(piece) // SAMPLE_BYTES
            if after < held:
                return SpeechEnd(arrived - after / self._hz, end.certain, end.quiet)
            after -= held
        return None


def _silence_follows(levels: _Floats, last: int, audibility: Audibility) -> bool:
    """Whether the last audible window ends loud sound, and nothing but silence comes after it."""
    after = levels[last + 1 + audibility.breath_windows :]
    if after.size < audibility.least_silence_windows:
        return False
    before = levels[max(0, last + 1 - audibility.end_windows) : last + 1]
    heard = _percentile(after, 95)
    loud = _percentile(levels, audibility.loud_percentile)
    falls = _percentile(before, 90) - heard >= audibility.silent_below_end_db
    return falls and loud - heard >= audibility.silent_below_loud_db


def _measured(pcm: bytes, hz: int) -> tuple[npt.NDArray[np.int16], _Floats]:
    """The samples, and the level of each window of them."""
    samples = np.frombuffer(pcm, dtype="<i2", count=len(pcm) // SAMPLE_BYTES)
    return samples, _levels_dbfs(samples, hz * WINDOW_MS // 1000)


def _levels_dbfs(samples: npt.NDArray[np.int16], window: int) -> _Floats:
    """RMS level of each window; the last, shorter one is padded with silence."""
    whole = samples.size // window * window
    rows = samples[:whole].astype(np.float32).reshape(-1, window)
    power = np.einsum("ij,ij->i", rows, rows)
    if whole < samples.size:
        rest = samples[whole:].astype(np.float32)
        power = np.append(power, rest @ rest)
    levels: _Floats = 10 * np.log10(power / (window * FULL_SCALE**2) + 1e-12)
    return levels


def _threshold_dbfs(levels: _Floats, audibility: Audibility) -> float:
    ranks = [_rank(levels, percent) for percent in (audibility.floor_percentile, audibility.loud_percentile)]
    ordered = np.partition(levels, ranks)
    floor, loud = (float(ordered[rank]) for rank in ranks)
    threshold = min(floor + audibility.above_floor_db, loud - audibility.at_most_below_loud_db)
    return max(threshold, loud - audibility.at_least_below_loud_db, audibility.least_dbfs)


def _percentile(levels: _Floats, percent: float) -> float:
    """The nearest level; numpy's interpolating function takes ten times as long."""
    rank = _rank(levels, percent)
    return float(np.partition(levels, rank)[rank])


def _rank(levels: _Floats, percent: float) -> int:
    return round((levels.size - 1) * percent / 100)


def _without_clicks(audible: list[int], audibility: Audibility) -> tuple[int, int] | None:
    """The first and the last of these windows (in order) that have company on one side, before or after."""

    def has_company(place: int) -> bool:
        before, after = place - others, place + others
        alone_before = before < 0 or audible[place] - audible[before] >= audibility.click_span_windows
        alone_after = (
            after >= len(audible) or audible[after] - audible[place] >= audibility.click_span_windows
        )
        return not (alone_before and alone_after)

    others = audibility.click_windows - 1
    first = next(filter(has_company, range(len(audible))), None)
    if first is None:
        return None
    last = next(filter(has_company, range(len(audible) - 1, -1, -1)))
    return audible[first], audible[last]


def _reaching(samples: npt.NDArray[np.int16], amplitude: float) -> npt.NDArray[np.bool_]:
    """Samples whose magnitude reaches an amplitude; a window's RMS reached it, so at least one does."""
    return np.abs(samples.astype(np.int32)) >= amplitude
