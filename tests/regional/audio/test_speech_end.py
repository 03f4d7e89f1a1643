"""Where speech begins and ends: on real synthesised speech, clean, in noise and through a telephone's codec."""

import functools
import time

import numpy as np
import pytest

from repartee.audio import pcm
from repartee.audio.speech_end import CallerAudio, leading_silence_ms, speech_end_ms, speech_span
from repartee.audio.vad import FRAME_MS, VoiceActivity
from repartee.standins.synthesiser import synthesise

HZ = 16_000
QUESTIONS = ("What are your opening hours?", "I'd like to book a table for two", "Stop.", "Yes, six.")


@functools.cache
def spoken(text: str, hz: int = HZ) -> bytes:
    """Speech without the silence around it: its first and last samples are the first and last above a whisper."""
    samples = np.frombuffer(synthesise(text, voice="en-gb-x-rp", rate_hz=hz).pcm, dtype="<i2")
    loud = np.flatnonzero(np.abs(samples.astype(int)) >= 150)
    return samples[loud[0] : loud[-1] + 1].tobytes()


def noise(ms: float, level: float, hz: int = HZ, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, level, pcm.bytes_for_ms(ms, hz) // 2)


def recording(
    text: str, level: float, *, before_ms: float = 600, after_ms: float = 500
) -> tuple[bytes, float]:
    """Speech in noise with a pause before and after; and where it ends, in ms."""
    speech = np.frombuffer(spoken(text), dtype="<i2")
    quiet_before, quiet_after = (np.zeros(int(HZ * ms / 1000)) for ms in (before_ms, after_ms))
    clean = np.concatenate([quiet_before, speech, quiet_after])
    noisy = clean + noise(clean.size * 1000 / HZ + 1, level)[: clean.size]
    return np.clip(noisy, -32768, 32767).astype("<i2").tobytes(), before_ms + speech.size * 1000 / HZ


@pytest.mark.parametrize("text", QUESTIONS)
@pytest.mark.parametrize(("level", "tolerance_ms"), [(0, 12), (20, 15), (80, 40)])
def test_the_end_of_real_speech_is_found(text: str, level: float, tolerance_ms: float) -> None:
    audio, true_end_ms = recording(text, level)
    found = speech_end_ms(audio, HZ)
    assert found is not None
    assert abs(found - true_end_ms) <= tolerance_ms


@pytest.mark.parametrize("text", QUESTIONS)
def test_the_end_is_found_through_a_telephones_codec(text: str) -> None:
    audio, true_end_ms = recording(text, 10)
    down, up = pcm.resampler(HZ, 8000), pcm.resampler(8000, HZ)
    heard = up.feed(pcm.ulaw_to_pcm(pcm.pcm_to_ulaw(down.feed(audio) + down.flush()))) + up.flush()
    found = speech_end_ms(heard, HZ)
    assert found is not None
    assert abs(found - true_end_ms) <= 30


def test_silence_and_a_click_are_no_speech() -> None:
    assert speech_span(b"", HZ) is None
    assert speech_span(bytes(HZ), HZ) is None
    click = bytearray(HZ)
    click[8000:8010] = b"\x00\x40" * 5
    assert speech_span(bytes(click), HZ) is None


def test_an_end_at_the_end_of_the_audio_is_the_end_of_the_audio() -> None:
    speech = spoken(QUESTIONS[0])
    found = speech_end_ms(speech, HZ)
    assert found == pytest.approx(pcm.duration_ms(len(speech), HZ), abs=12)


@pytest.mark.parametrize("frame_ms", [10, 20, 100])
def test_the_last_sounds_arrival_is_told_to_the_sample(frame_ms: int) -> None:
    audio, _ = recording(QUESTIONS[0], 0)
    end_ms = speech_end_ms(audio, HZ)
    assert end_ms is not None
    caller = CallerAudio(HZ)
    size = pcm.bytes_for_ms(frame_ms, HZ)
    for number, at in enumerate(range(0, len(audio), size), start=1):
        caller.append(audio[at : at + size], 100 + number * frame_ms / 1000)
    assert caller.speech_ended_at() == pytest.approx(100 + end_ms / 1000, abs=0.0001)


def test_a_late_frame_counts_from_when_it_came() -> None:
    audio, _ = recording(QUESTIONS[0], 0, after_ms=400)
    caller = CallerAudio(HZ)
    end_ms = speech_end_ms(audio, HZ)
    assert end_ms is not None
    half = pcm.bytes_for_ms(end_ms - 100, HZ)
    caller.append(audio[:half], 5.0)
    caller.append(audio[half:], 7.0)
    after_ms = pcm.duration_ms(len(audio), HZ) - end_ms
    assert caller.speech_ended_at() == pytest.approx(7.0 - after_ms / 1000, abs=0.0001)


def test_memory_is_bounded_and_can_be_cleared() -> None:
    caller = CallerAudio(HZ, keep_ms=1000)
    for number in range(500):
        caller.append(bytes(640), number * 0.02)
    assert 980 <= caller.kept_ms <= 1020
    assert caller.speech_ended_at() is None
    caller.clear()
    assert caller.kept_ms == 0
    assert caller.speech_ended_at() is None


def test_remembering_costs_next_to_nothing() -> None:
    caller, frame = CallerAudio(HZ), bytes(640)
    started = time.process_time()
    for number in range(20_000):
        caller.append(frame, number * 0.02)
    assert (time.process_time() - started) / 20_000 < 20e-6  # 0.5 µs measured; the rest is a busy machine


@pytest.mark.parametrize("silence_ms", [0.0, 12.5, 80.0])
def test_leading_silence_of_a_chunk(silence_ms: float) -> None:
    chunk = pcm.silence(silence_ms, 24_000) + spoken(QUESTIONS[0], 24_000)[:4800]
    alone = leading_silence_ms(spoken(QUESTIONS[0], 24_000)[:4800], 24_000)
    assert leading_silence_ms(chunk, 24_000) == pytest.approx(silence_ms + alone, abs=0.5)
    assert alone < 5


def test_a_silent_chunk_is_silent_to_its_end() -> None:
    assert leading_silence_ms(pcm.silence(40, 24_000), 24_000) == 40
    assert leading_silence_ms(b"", 24_000) == 0


@pytest.mark.parametrize("text", QUESTIONS)
@pytest.mark.parametrize("level", [0, 20, 80])
def test_local_detection_ends_with_the_sound(text: str, level: float) -> None:
    audio, true_end_ms = recording(text, level)
    decisions = VoiceActivity(HZ).feed(audio)
    last = max(number for number, speech in enumerate(decisions) if speech)
    assert abs((last + 1) * FRAME_MS - true_end_ms) <= 60


@pytest.mark.parametrize("level", [0, 20, 80, 200])
def test_noise_is_not_speech(level: float) -> None:
    audio = noise(4000, level).astype("<i2").tobytes()
    assert sum(VoiceActivity(HZ).feed(audio)) <= 2
