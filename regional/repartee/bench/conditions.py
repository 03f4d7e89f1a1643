"""What a line does to a caller's voice: a telephone's codec, an office, a crowd or music behind the speaker.

Owns the noises, which are made here by arithmetic from a seed, and how loud they are. The level of speech is that of
its segments; "20 dB" is noise 20 dB under it. All samples are float32 at RATE_HZ, full scale 1.0.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from repartee.audio.pcm import pcm_to_ulaw, resampler, ulaw_to_pcm
from repartee.bench.recordings import RATE_HZ, RecordedTurn

Samples = npt.NDArray[np.float32]

TELEPHONE_HZ = (300.0, 3_400.0)
LOUDEST = 0.95
VOICES_OF_BABBLE = 6


def telephone(samples: Samples) -> Samples:
    """The band of a telephone, and G.711 at 8 kHz."""
    narrow = _band(samples, *TELEPHONE_HZ)
    down, up = resampler(RATE_HZ, 8_000), resampler(8_000, RATE_HZ)
    pcm = down.feed(to_pcm(narrow)) + down.flush()
    heard = up.feed(ulaw_to_pcm(pcm_to_ulaw(pcm)))
    return _fitted(from_pcm(heard + up.flush()), samples.size)


def office(length: int, rng: np.random.Generator) -> Samples:
    """Air conditioning (noise that falls by 6 dB an octave, a mains hum) and somebody typing."""
    air = _shaped(length, rng, lambda hz: 1 / np.maximum(hz, 60.0))
    at = np.arange(length) / RATE_HZ
    hum = sum(np.sin(2 * np.pi * hz * at) / n for n, hz in enumerate((50.0, 100.0, 150.0), 1))
    noise = _unit(air) + 0.3 * _unit(np.asarray(hum, dtype=np.float32))
    key = _band(rng.normal(0, 1, RATE_HZ // 50).astype(np.float32), 1_500, 6_000)
    key *= np.exp(-np.arange(key.size) / (0.004 * RATE_HZ)).astype(np.float32)
    key *= 3.0 / max(float(np.abs(key).max()), 1e-6)
    position = 0
    while (position := position + int(rng.uniform(0.09, 0.5) * RATE_HZ)) < length - key.size:
        noise[position : position + key.size] += key * rng.uniform(0.5, 1.0)
    return noise


def babble(length: int, rng: np.random.Generator, others: Sequence[RecordedTurn]) -> Samples:
    """Other people of the same recordings, their speech without pauses, several at once."""
    mixed = np.zeros(length, dtype=np.float32)
    chosen = [others[i] for i in rng.permutation(len(others))]
    for voice in range(VOICES_OF_BABBLE):
        said = [_speech_of(turn) for turn in chosen[voice::VOICES_OF_BABBLE]] or [_speech_of(chosen[0])]
        stream = np.concatenate([_unit(speech) for speech in said])
        mixed += np.roll(np.resize(stream, length), int(rng.integers(length)))
    return mixed


def music(length: int, rng: np.random.Generator) -> Samples:
    """Music on hold: a chord every half second, a melody over it, each note dying away."""
    mixed = np.zeros(length, dtype=np.float32)
    roots = (0, 9, 5, 7)
    step = RATE_HZ // 4
    for number, start in enumerate(range(0, length, step)):
        root = roots[number // 8 % len(roots)]
        notes = [12 + root + int(rng.choice((0, 4, 7, 12, 16)))]
        notes += [root, root + 4, root + 7] if number % 2 == 0 else []
        size = min(length - start, 3 * step)
        at = np.arange(size) / RATE_HZ
        for note in notes:
            hz = 220 * 2 ** (note / 12)
            tone = sum(np.sin(2 * np.pi * hz * n * at) / n**1.5 for n in range(1, 6))
            mixed[start : start + size] += (tone * np.minimum(1, at / 0.01) * np.exp(-at / 0.3)).astype(
                np.float32
            )
    return mixed


Noise = Callable[[int, np.random.Generator, Sequence[RecordedTurn]], Samples]

NOISES: dict[str, Noise] = {
    "office": lambda length, rng, others: office(length, rng),
    "babble": babble,
    "music": lambda length, rng, others: music(length, rng),
}
DECIBELS = (20, 10)

CONDITIONS = ("clean", "telephone", *(f"{noise}-{db}" for db in DECIBELS for noise in NOISES))
"""What `repartee bench turns` knows; the number is how many dB the noise lies under the speech."""


def heard_in(turn: RecordedTurn, condition: str, others: Sequence[RecordedTurn]) -> Samples:
    """The turn as a line in this condition carries it; always the same for the same turn. Raises KeyError for a
    condition that is none of CONDITIONS."""
    if condition == "clean":
        return turn.samples
    if condition == "telephone":
        return telephone(turn.samples)
    kind, _, db = condition.partition("-")
    rng = np.random.default_rng([*turn.name.encode(), *condition.encode()])
    noise = NOISES[kind](turn.samples.size, rng, [other for other in others if other.name != turn.name])
    loudness = float(np.sqrt(np.mean(_speech_of(turn) ** 2)))
    mixed = turn.samples + _unit(noise) * loudness * 10 ** (-float(db) / 20)
    peak = float(np.abs(mixed).max())
    return (mixed * min(1.0, LOUDEST / peak)).astype(np.float32) if peak else mixed


def to_pcm(samples: Samples) -> bytes:
    """As PCM16."""
    return np.clip(np.rint(samples * 32768), -32768, 32767).astype("<i2").tobytes()


def from_pcm(pcm: bytes) -> Samples:
    """From PCM16."""
    return np.frombuffer(pcm, dtype="<i2").astype(np.float32) / np.float32(32768)


def _speech_of(turn: RecordedTurn) -> Samples:
    return np.concatenate([turn.samples[int(a * RATE_HZ) : int(b * RATE_HZ)] for a, b in turn.segments_s])


def _unit(samples: Samples) -> Samples:
    """Scaled to a mean square of 1."""
    rms = float(np.sqrt(np.mean(samples.astype(np.float64) ** 2)))
    return samples / max(rms, 1e-9)


def _fitted(samples: Samples, length: int) -> Samples:
    return np.concatenate([samples, np.zeros(max(0, length - samples.size), dtype=np.float32)])[:length]


def _band(samples: Samples, low_hz: float, high_hz: float) -> Samples:
    spectrum = np.fft.rfft(samples)
    hz = np.fft.rfftfreq(samples.size, 1 / RATE_HZ)
    spectrum[(hz < low_hz) | (hz > high_hz)] = 0
    return np.fft.irfft(spectrum, samples.size).astype(np.float32)


def _shaped(
    length: int, rng: np.random.Generator, gain: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]
) -> Samples:
    spectrum = np.fft.rfft(rng.normal(0, 1, length)) * gain(
        np.fft.rfftfreq(length, 1 / RATE_HZ).astype(np.float64)
    )
    return np.fft.irfft(spectrum, length).astype(np.float32)
