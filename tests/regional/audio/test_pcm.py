"""Sample formats and rates."""

import math

import numpy as np
import pytest
import soxr
from hypothesis import given
from hypothesis import strategies as st

from repartee.audio import pcm


def tone(hz: int, ms: float, frequency: float = 440.0, amplitude: float = 8000.0) -> bytes:
    count = int(hz * ms / 1000)
    wave = amplitude * np.sin(2 * math.pi * frequency * np.arange(count) / hz)
    return wave.astype("<i2").tobytes()


def in_pieces(data: bytes, sizes: list[int]) -> list[bytes]:
    pieces, at, turn = [], 0, 0
    while at < len(data):
        size = sizes[turn % len(sizes)]
        pieces.append(data[at : at + size])
        at, turn = at + size, turn + 1
    return pieces


def test_durations_and_sizes() -> None:
    assert pcm.duration_ms(640, 16_000) == 20
    assert pcm.bytes_for_ms(20, 24_000) == 960
    assert pcm.bytes_for_ms(0.07, 16_000) == 2
    assert pcm.silence(100, 16_000) == bytes(3200)


@given(st.binary(max_size=400), st.lists(st.integers(1, 7), min_size=1, max_size=5))
def test_an_odd_byte_is_carried_to_the_next_piece(data: bytes, sizes: list[int]) -> None:
    aligner = pcm.SampleAligner()
    out = [aligner.feed(piece) for piece in in_pieces(data, sizes)]
    assert all(len(piece) % 2 == 0 for piece in out)
    assert b"".join(out) == data[: len(data) // 2 * 2]


@pytest.mark.parametrize("from_hz", pcm.SUPPORTED_HZ)
@pytest.mark.parametrize("to_hz", pcm.SUPPORTED_HZ)
def test_resampling_keeps_length_pitch_and_level(from_hz: int, to_hz: int) -> None:
    stream = pcm.resampler(from_hz, to_hz)
    pieces = [stream.feed(piece) for piece in in_pieces(tone(from_hz, 1000), [641, 37, 960])]
    result = np.frombuffer(b"".join([*pieces, stream.flush()]), dtype="<i2")
    assert abs(result.size - to_hz) <= 2
    middle = result[to_hz // 10 : -to_hz // 10].astype(float)
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(middle.size)))
    assert np.argmax(spectrum) * to_hz / middle.size == pytest.approx(440, abs=3)
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(8000 / math.sqrt(2), rel=0.02)


@pytest.mark.parametrize(
    ("from_hz", "to_hz"), [(24_000, 16_000), (48_000, 16_000), (16_000, 8_000), (24_000, 8_000)]
)
def test_what_a_lower_rate_cannot_hold_is_filtered_out(from_hz: int, to_hz: int) -> None:
    stream = pcm.resampler(from_hz, to_hz)
    result = np.frombuffer(stream.feed(tone(from_hz, 1000, frequency=to_hz / 2 * 1.15)), dtype="<i2").astype(
        float
    )
    assert np.sqrt(np.mean(result[400:-400] ** 2)) < 8000 * 10 ** (-60 / 20)


@pytest.mark.parametrize("from_hz", pcm.SUPPORTED_HZ)
@pytest.mark.parametrize("to_hz", pcm.SUPPORTED_HZ)
def test_it_sounds_as_the_best_of_libraries_makes_it_sound(from_hz: int, to_hz: int) -> None:
    rng = np.random.default_rng(1)
    spectrum = np.fft.rfft(rng.normal(0, 1, from_hz))
    frequencies = np.arange(spectrum.size)
    spectrum[(frequencies > 0.75 * min(from_hz, to_hz) / 2) | (frequencies < 80)] = 0
    wave = np.fft.irfft(spectrum)
    source = (wave / np.abs(wave).max() * 20_000).astype("<i2")
    ours_stream = pcm.resampler(from_hz, to_hz)
    ours = np.frombuffer(ours_stream.feed(source.tobytes()) + ours_stream.flush(), dtype="<i2").astype(float)
    best = soxr.resample(source, from_hz, to_hz, quality="VHQ").astype(float)
    middle = slice(to_hz // 20, -to_hz // 20)
    error = ours[middle] - best[middle]
    assert 10 * math.log10(np.mean(best[middle] ** 2) / np.mean(error**2)) > 60


@pytest.mark.parametrize("from_hz", [8_000, 24_000, 48_000])
def test_no_more_than_two_and_a_half_ms_are_held_back(from_hz: int) -> None:
    stream = pcm.resampler(from_hz, 16_000)
    frame = pcm.silence(20, from_hz)
    given = sum(len(stream.feed(frame)) for _ in range(50))
    assert pcm.duration_ms(given, 16_000) >= 1000 - (2.5 if from_hz == 8_000 else 1.5)


def test_the_loudest_sound_does_not_wrap_around() -> None:
    square = np.where(np.sin(np.arange(24_000) / 20) > 0, 32767, -32768).astype("<i2").tobytes()
    result = np.frombuffer(pcm.resampler(24_000, 16_000).feed(square), dtype="<i2").astype(int)
    assert np.abs(np.diff(np.sign(result[np.abs(result) > 16_000]))).sum() / 2 < 24_000 / 20 / math.pi + 4


def test_unsupported_rates_are_named() -> None:
    with pytest.raises(ValueError, match="11025 Hz; supported are 8000, 16000, 24000, 48000"):
        pcm.resampler(11_025, 16_000)


@pytest.mark.parametrize("law", ["u", "a"])
def test_g711_there_and_back_is_the_same_sound(law: str) -> None:
    there = {"u": pcm.pcm_to_ulaw, "a": pcm.pcm_to_alaw}[law]
    back = {"u": pcm.ulaw_to_pcm, "a": pcm.alaw_to_pcm}[law]
    original = tone(8000, 200)
    coded = there(original)
    assert len(coded) == len(original) // 2
    error = np.frombuffer(back(coded), dtype="<i2").astype(float) - np.frombuffer(original, dtype="<i2")
    assert np.sqrt(np.mean(error**2)) < 8000 / 30


def test_half_a_sample_cannot_be_coded() -> None:
    with pytest.raises(ValueError, match="whole samples; got 3 bytes"):
        pcm.pcm_to_ulaw(b"abc")
