"""Recordings for a browser's microphone."""

import wave
from collections.abc import Sequence
from pathlib import Path

from repartee.standins.synthesiser import synthesise

RATE_HZ = 48_000
CALLER = "en-gb-x-rp"


def write_questions(
    path: Path, questions: Sequence[tuple[float, str]], silence_after_s: float = 20.0
) -> Path:
    """A WAV file with each question after so many seconds of silence."""
    pcm = b""
    for pause_s, text in questions:
        pcm += bytes(int(RATE_HZ * pause_s) * 2) + synthesise(text, voice=CALLER, rate_hz=RATE_HZ).pcm
    with wave.open(str(path), "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(RATE_HZ)
        wav.writeframes(pcm + bytes(int(RATE_HZ * silence_after_s) * 2))
    return path
