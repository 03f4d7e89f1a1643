"""Writes a call to a WAV file: the caller on the left, the agent as it was heard on the right."""

import wave
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from repartee.client.playback import Stretch


def write_wav(
    path: Path, caller: bytes, stretches: Iterable[Stretch], started_at_s: float, rate_hz: int
) -> None:
    """``caller`` is everything sent since ``started_at_s``. Raises OSError when the file cannot be written."""
    left = np.frombuffer(caller, dtype="<i2")
    placed = [
        (
            max(0, round((stretch.starts_at_s - started_at_s) * rate_hz)),
            np.frombuffer(stretch.pcm, dtype="<i2"),
        )
        for stretch in stretches
    ]
    length = max([left.size, *(start + samples.size for start, samples in placed)])
    mixed = np.zeros((length, 2), dtype="<i2")
    mixed[: left.size, 0] = left
    for start, samples in placed:
        mixed[start : start + samples.size, 1] = samples
    with wave.open(str(path), "wb") as wav:
        wav.setnchannels(2)
        wav.setsampwidth(2)
        wav.setframerate(rate_hz)
        wav.writeframes(mixed.tobytes())
