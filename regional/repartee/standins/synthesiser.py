"""Speech from text: espeak-ng in this process (real), or a hum of the right length (light).

:func:`synthesise` is public: the command line speaks its questions with it. Knows nothing of the wire or of pacing.
"""

import ctypes
import threading
from dataclasses import dataclass, field
from functools import lru_cache

import espeakng_loader
import numpy as np
import soxr

from repartee.standins.pcm import Samples

ESPEAK_HZ = 22_050
SYNCHRONOUS = 2
CHARS_UTF8 = 1
EVENT_END_OF_LIST, EVENT_WORD = 0, 1
EDGE_LEVEL = 100
"""Samples quieter than this (of 32768) at either end of speech are silence."""

TAIL_MS = 200
"""Of the silence at the end of speech, this much is kept, so that sentences do not run into each other."""

AGENT_VOICE = "en-us"
CALLER_VOICE = "en-gb"
"""Another voice than the agent's; recognition makes a tenth of the errors on it that it makes on ``en-gb-x-rp``."""
HUM_MS_PER_CHARACTER = 62.0
HUM_LOOP_S = 4


class SynthesisUnavailable(RuntimeError):
    """Speech synthesis cannot be started here; the message says why."""


@dataclass(frozen=True, slots=True)
class SpokenText:
    """Speech: PCM16 little endian, mono, and its words as (text, start, end) in ms from the start of ``pcm``."""

    pcm: bytes
    words: list[tuple[str, float, float]]
    rate_hz: int

    @property
    def duration_ms(self) -> float:
        """How long it takes to say."""
        return len(self.pcm) / 2 / self.rate_hz * 1000


def synthesise(text: str, *, voice: str = AGENT_VOICE, rate_hz: int = 24_000) -> SpokenText:
    """Speak a text with espeak-ng: at once audible, a short silence at the end. About 2 ms a second of speech.

    ``voice`` is one of espeak-ng's, such as ``en-us`` or ``en-gb-x-rp``; unknown ones fall back to ``en-us``. Safe to
    call from any thread. Raises SynthesisUnavailable.
    """
    samples, words = _espeak().speak(text, voice)
    samples, cut = _trim(samples)
    if rate_hz != ESPEAK_HZ and len(samples):
        samples = soxr.resample(samples, ESPEAK_HZ, rate_hz).astype(np.int16)
    end_ms = len(samples) / rate_hz * 1000
    cut_ms = cut / ESPEAK_HZ * 1000
    starts = [min(max(0.0, start - cut_ms), end_ms) for _, start in words]
    ends = [*starts[1:], end_ms][: len(starts)]
    named = [(word, round(s, 1), round(e, 1)) for (word, _), s, e in zip(words, starts, ends, strict=True)]
    return SpokenText(samples.astype("<i2").tobytes(), named, rate_hz)


def _trim(samples: Samples) -> tuple[Samples, int]:
    """The samples without silence before the first sound and with little after the last; what was cut before."""
    loud = np.flatnonzero(np.abs(samples.astype(np.int32)) >= EDGE_LEVEL)
    if len(loud) == 0:
        return samples[:0], 0
    first, last = int(loud[0]), int(loud[-1])
    return samples[first : last + 1 + ESPEAK_HZ * TAIL_MS // 1000], first


class _Event(ctypes.Structure):
    """espeak_EVENT of speak_lib.h."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    )


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


@dataclass(slots=True)
class _Gathered:
    text: str = ""
    chunks: list[Samples] = field(default_factory=list)
    words: list[tuple[str, float]] = field(default_factory=list)


class _Espeak:
    """The engine, of which a process has only one: one synthesis at a time."""

    def __init__(self) -> None:
        try:
            self._lib = ctypes.CDLL(espeakng_loader.get_library_path())
        except OSError as error:
            raise SynthesisUnavailable(f"espeak-ng cannot be loaded: {error}.") from error
        self._lock = threading.Lock()
        self._voice = ""
        self._gathered = _Gathered()
        self._callback = _Callback(self._on_audio)
        path = espeakng_loader.get_data_path().encode()
        if self._lib.espeak_Initialize(SYNCHRONOUS, 0, path, 0) != ESPEAK_HZ:
            raise SynthesisUnavailable(
                "espeak-ng did not start: its data files are missing or of another version."
            )
        self._lib.espeak_SetSynthCallback(self._callback)

    def speak(self, text: str, voice: str) -> tuple[Samples, list[tuple[str, float]]]:
        """All samples at ESPEAK_HZ, and (word, start in ms)."""
        with self._lock:
            if voice != self._voice:
                if self._lib.espeak_SetVoiceByName(voice.encode()) != 0:
                    voice = AGENT_VOICE
                    self._lib.espeak_SetVoiceByName(voice.encode())
                self._voice = voice
            gathered = self._gathered = _Gathered(text)
            data = text.encode("utf-8", "replace").replace(b"\0", b" ")
            self._lib.espeak_Synth(data, len(data) + 1, 0, 0, 0, CHARS_UTF8, None, None)
            self._lib.espeak_Synchronize()
        empty: Samples = np.zeros(0, np.int16)
        return (np.concatenate(gathered.chunks) if gathered.chunks else empty), gathered.words

    def _on_audio(
        self, wav: "ctypes._Pointer[ctypes.c_short]", count: int, events: "ctypes._Pointer[_Event]"
    ) -> int:
        gathered = self._gathered
        if wav and count > 0:
            gathered.chunks.append(np.ctypeslib.as_array(wav, (count,)).copy())
        index = 0
        while events[index].type != EVENT_END_OF_LIST:
            event = events[index]
            if event.type == EVENT_WORD and event.length > 0:
                start = event.text_position - 1
                word = gathered.text[start : start + event.length].strip()
                if word:
                    gathered.words.append((word, float(event.audio_position)))
            index += 1
        return 0


@lru_cache(maxsize=1)
def _espeak() -> _Espeak:
    return _Espeak()


@lru_cache(maxsize=8)
def _hum(rate_hz: int) -> bytes:
    """Some seconds of a hum that swells like syllables, audible from its first sample, whole in its loop."""
    t = np.arange(rate_hz * HUM_LOOP_S) / rate_hz
    voice = sum(np.sin(2 * np.pi * 140 * k * t + 0.6 * k) / k for k in range(1, 5))
    swell = 0.65 + 0.35 * np.cos(2 * np.pi * 4 * t)
    return bytes((voice * swell * 5000).astype("<i2").tobytes())


def hum(text: str, rate_hz: int) -> SpokenText:
    """What the light mode says: a hum about as long as the text would take, its words spread evenly by length."""
    words = text.split()
    length = max(1, len(text.strip()))
    samples = int(rate_hz * length * HUM_MS_PER_CHARACTER / 1000) if words else 0
    loop = _hum(rate_hz)
    size = samples * 2
    pcm = (loop * (size // len(loop) + 1))[:size]
    timed: list[tuple[str, float, float]] = []
    at_ms = 0.0
    for word in words:
        end_ms = at_ms + (len(word) + 1) * HUM_MS_PER_CHARACTER
        timed.append((word, round(at_ms, 1), round(min(end_ms, length * HUM_MS_PER_CHARACTER), 1)))
        at_ms = end_ms
    return SpokenText(pcm, timed, rate_hz)
