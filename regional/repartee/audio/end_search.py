"""Where speech ends in audio with noise in it, which no single threshold tells.

Owns the search: levels in bands every 10 ms, what they say about whether speech goes on, and the place after which
it most probably does not. The weights were fitted to recorded people on eight kinds of line
(:mod:`repartee.audio.end_weights`, made by ``tools/fit_speech_end.py``). It takes 2 ms of CPU, once a turn.

After a voice's end nothing is as loud again, in any band. So each moment is described by the greatest level from
there to the end of the audio, between the band's own quiet (0) and its own loudness (1). How far those two lie
apart (in dB) says how much each of the descriptions is worth.
"""

import functools
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from repartee.audio.end_weights import WEIGHTS

Floats: TypeAlias = npt.NDArray[np.float64]

HOP_MS = 10
FRAME_MS = 25
BANDS = 20
LOWEST_HZ, HIGHEST_HZ = 120.0, 3_800.0
"""The telephone's band: what lies above says little, and many callers have none of it."""

GROUPS = ((4, 18), (1, 6), (5, 12), (12, 16), (16, 20))
"""Bands whose levels are looked at together: all of the voice's, and four parts."""

FLOOR_PERCENTILE, LOUD_PERCENTILE, QUIET_BAND_PERCENTILE = 12.0, 92.0, 15.0
DEEPEST_DB = 45.0
"""Quieter than the loud parts by more is silence, whether it is a room's or a codec's."""

LEAST_RANGE_DB = 3.0
SHORT, LONG = 3, 15
"""Frames over which levels are averaged."""

TAIL, AHEAD, BEHIND = 12, 15, 31
"""Frames: the end of the audio, and what follows and precedes each moment."""

CLIP = 3.0
"""No frame by itself says more than this (natural log of the odds)."""

UNHEARD_MS = 60
"""Nobody asks so soon after speech: the last of the audio is none."""

USUAL_MS, USUAL_SPREAD, USUAL_WEIGHT = 280.0, 0.5, 15.0
"""Recognisers tell of an end this long after it, give or take a factor; and what that is worth beside the levels."""

WORD_SPREAD_MS, WORD_WEIGHT = 80.0, 40.0
"""A recogniser's end of the last word: how far off it is, and what it is worth beside the levels."""

CORRELATION = 0.06
"""Neighbouring frames say the same thing: so much of each is news. For the certainty only."""

CERTAIN_MS, CERTAIN_SHARE = 100.0, 0.7
"""An end is certain if it lies within so much of the place found with at least this probability."""

SOFT_MS_PER_DB, SOFT_RANGE_DB, SOFT_WITH_WORD = 3.0, 35.0, 0.5
"""Noise covers the soft end of a word: by so much for each dB that the range lacks; less where a recogniser has
told when the word ended."""


@dataclass(frozen=True, slots=True)
class EndFound:
    """Where speech ends, in ms from the start of the audio, and whether that is sure. ``quiet``: silence follows it,
    so that it is exact."""

    ms: float
    certain: bool
    quiet: bool = False


def search_end(samples: npt.NDArray[np.int16], hz: int, word_ends_ms: float | None = None) -> EndFound | None:
    """The end of the speech in audio that was asked about because speech is over; None if it is too short to tell.

    ``word_ends_ms``: where a recogniser says that the last word ends, in ms from the start; it may be negative.
    """
    powers = band_powers(samples, hz)
    if len(powers) <= TAIL:
        return None
    evidence, range_db = describe(powers)
    odds = np.clip(evidence @ WEIGHTS, -CLIP, CLIP)
    odds[-(UNHEARD_MS // HOP_MS) :] = -CLIP
    ends_ms = np.arange(len(odds) + 1) * float(HOP_MS)
    before = np.concatenate(([0.0], np.cumsum(odds)))
    since_ms = np.maximum(len(odds) * HOP_MS - ends_ms, HOP_MS / 2)
    score = before - USUAL_WEIGHT * (np.log(since_ms / USUAL_MS) / USUAL_SPREAD) ** 2 / 2
    soft_ms = SOFT_MS_PER_DB * max(0.0, SOFT_RANGE_DB - range_db)
    if word_ends_ms is not None:
        soft_ms *= SOFT_WITH_WORD
        apart = np.minimum(np.abs(ends_ms + soft_ms - word_ends_ms) / WORD_SPREAD_MS, 4.0)
        score = score - WORD_WEIGHT * apart**2 / 2
    found_ms = float(ends_ms[np.argmax(score)])
    likely = np.exp(CORRELATION * (score - score.max()))
    near = np.abs(ends_ms - found_ms) <= CERTAIN_MS
    certain = bool(likely[near].sum() >= CERTAIN_SHARE * likely.sum())
    return EndFound(min(found_ms + soft_ms, max(found_ms, float(ends_ms[-1]) - UNHEARD_MS)), certain)


def band_powers(samples: npt.NDArray[np.int16], hz: int) -> Floats:
    """Powers, a row every HOP_MS and a column a band."""
    hop, size = hz * HOP_MS // 1000, hz * FRAME_MS // 1000
    count = samples.size // hop
    if not count:
        return np.zeros((0, BANDS))
    before = (size - hop) // 2
    padded = np.zeros(before + count * hop + size, dtype=np.float32)
    padded[before : before + count * hop] = samples[: count * hop]
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop][:count]
    window, filters = _filters(hz)
    spectra = np.fft.rfft(frames * window, axis=1)[:, : filters.shape[0]]
    powers: Floats = ((spectra.real**2 + spectra.imag**2) @ filters + 1e-3).astype(np.float64)
    return powers


def describe(powers: Floats) -> tuple[Floats, float]:
    """A row of evidence for each frame (to be weighted), and the range between loud and quiet in dB."""
    bands = 10 * np.log10(powers)
    groups = [10 * np.log10(powers[:, slice(*group)].sum(axis=1)) for group in GROUPS]
    voice, quiet, loud = _bounded(groups[0])
    span = max(loud - quiet, LEAST_RANGE_DB)
    excess = np.clip(bands - _percentile(bands, QUIET_BAND_PERCENTILE), 0, 25).mean(axis=1)
    now = [level for group in (*groups, excess) for level in _scaled(group)]
    later = [np.maximum.accumulate(level[::-1])[::-1] for level in now]
    short = _mean(voice, SHORT)
    tail = float(short[-TAIL:].mean())
    behind, ahead = _surroundings(short)
    falls = [(short - tail) / span, (short - ahead) / span, (behind - ahead) / span]
    rows = np.stack([*now, *later, *falls], axis=1)
    worth = span / 20
    one = np.ones((len(rows), 1))
    return np.concatenate([rows, rows * worth, one, one * worth, one * worth**2], axis=1), span


def _scaled(level: Floats) -> tuple[Floats, Floats]:
    """A level over short and long times, 0 being quiet and 1 loud."""
    level, quiet, loud = _bounded(level)
    span = max(loud - quiet, LEAST_RANGE_DB)
    return (_mean(level, SHORT) - quiet) / span, (_mean(level, LONG) - quiet) / span


def _bounded(level: Floats) -> tuple[Floats, float, float]:
    """A level without what is deeper than silence; its quiet and its loud."""
    short = _mean(level, SHORT)
    loud = float(_percentile(short, LOUD_PERCENTILE))
    deepest = loud - DEEPEST_DB
    return np.maximum(level, deepest), max(float(_percentile(short, FLOOR_PERCENTILE)), deepest), loud


def _percentile(levels: Floats, percent: float) -> Floats:
    """The nearest level of each column; numpy's interpolating function takes ten times as long."""
    rank = round((len(levels) - 1) * percent / 100)
    found: Floats = np.partition(levels, rank, axis=0)[rank]
    return found


def _surroundings(level: Floats) -> tuple[Floats, Floats]:
    """The mean of what precedes each frame (with it), and of what follows."""
    total = np.concatenate(([0.0], np.cumsum(level)))
    at = np.arange(level.size)
    first = np.maximum(at + 1 - BEHIND, 0)
    behind = (total[at + 1] - total[first]) / (at + 1 - first)
    start = np.minimum(at + 1, level.size - 1)
    stop = np.maximum(np.minimum(at + 1 + AHEAD, level.size), start + 1)
    return behind, (total[stop] - total[start]) / (stop - start)


def _mean(level: Floats, frames: int) -> Floats:
    """The running mean over an odd number of frames; the ends count as if they went on."""
    half = frames // 2
    total = np.concatenate(([0.0], np.cumsum(np.pad(level, half, mode="edge"))))
    mean: Floats = (total[frames:] - total[:-frames]) / frames
    return mean


@functools.cache
def _filters(hz: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """A window, and triangles of equal width in mel over the bins of its spectrum."""
    size = hz * FRAME_MS // 1000
    mel = np.linspace(_mel(LOWEST_HZ), _mel(HIGHEST_HZ), BANDS + 2)
    edges = 700 * (10 ** (mel / 2595) - 1)
    bins = np.fft.rfftfreq(size, 1 / hz)
    bins = bins[bins <= HIGHEST_HZ]
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    rising = (bins[:, None] - low) / (middle - low)
    falling = (high - bins[:, None]) / (high - middle)
    triangles = np.clip(np.minimum(rising, falling), 1e-6, None)
    window = np.hanning(size)
    return window.astype(np.float32), (triangles / (window**2).sum()).astype(np.float32)


def _mel(hz: float) -> float:
    return float(2595 * np.log10(1 + hz / 700))
