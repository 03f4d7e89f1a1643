"""Where speech ends in noise, on the project's own voice; recorded people are measured by `repartee bench turns`."""

import functools
import time

import numpy as np
import pytest

from repartee.audio import pcm
from repartee.audio.speech_end import CallerAudio, find_end
from repartee.bench.conditions import babble, from_pcm, music, office, to_pcm
from repartee.bench.recordings import RATE_HZ, RecordedTurn
from repartee.standins.synthesiser import synthesise

QUESTIONS = (
    "What are your opening hours?",
    "I'd like to book a table for two",
    "Could you tell me the balance of my account",
    "Yes, the second one please",
)
NOISES = ("office", "babble", "music")


@functools.cache
def spoken(text: str, voice: str = "en-gb-x-rp") -> np.ndarray:
    """Speech without the silence around it."""
    samples = from_pcm(synthesise(text, voice=voice, rate_hz=RATE_HZ).pcm)
    loud = np.flatnonzero(np.abs(samples) >= 0.005)
    return samples[loud[0] : loud[-1] + 1]


@functools.cache
def crowd() -> tuple[RecordedTurn, ...]:
    said = [spoken(text, voice) for text in QUESTIONS for voice in ("en-us", "en-gb-scotland")]
    return tuple(
        RecordedTurn(str(number), samples, ((0.0, samples.size / RATE_HZ),), ())
        for number, samples in enumerate(said)
    )


def question(text: str, kind: str, db: float, *, before_ms: float = 600, after_ms: float = 300) -> bytes:
    """Speech on a noisy line, asked about ``after_ms`` after its end."""
    speech = spoken(text)
    quiet = [np.zeros(int(RATE_HZ * ms / 1000), dtype=np.float32) for ms in (before_ms, after_ms)]
    clean = np.concatenate([quiet[0], speech, quiet[1]])
    rng = np.random.default_rng(len(text))
    noise = {
        "office": lambda: office(clean.size, rng),
        "babble": lambda: babble(clean.size, rng, crowd()),
        "music": lambda: music(clean.size, rng),
    }[kind]()
    level = np.sqrt(np.mean(speech**2)) * 10 ** (-db / 20) / np.sqrt(np.mean(noise**2))
    return to_pcm(clean + noise * level)


def errors_ms(kind: str, db: float, *, after_ms: float, word_error_ms: float | None = None) -> list[float]:
    errors = []
    for text in QUESTIONS:
        audio = question(text, kind, db, after_ms=after_ms)
        true_ms = pcm.duration_ms(len(audio), RATE_HZ) - after_ms
        word = None if word_error_ms is None else true_ms + word_error_ms
        found = find_end(audio, RATE_HZ, word_ends_ms=word)
        assert found is not None
        errors.append(found.ms - true_ms)
    return errors


@pytest.mark.parametrize("kind", NOISES)
@pytest.mark.parametrize("after_ms", [250, 350])
def test_the_end_is_found_in_noise_20_db_under_the_speech(kind: str, after_ms: float) -> None:
    errors = errors_ms(kind, 20, after_ms=after_ms)
    assert abs(float(np.median(errors))) <= 60
    assert max(map(abs, errors)) <= 150


@pytest.mark.parametrize("kind", NOISES)
def test_noise_10_db_under_the_speech_is_not_taken_for_it(kind: str) -> None:
    errors = errors_ms(kind, 10, after_ms=250)
    assert abs(float(np.median(errors))) <= 100


@pytest.mark.parametrize("kind", NOISES)
@pytest.mark.parametrize("word_error_ms", [-60.0, 0.0, 60.0])
def test_a_recognisers_word_times_say_where_to_look(kind: str, word_error_ms: float) -> None:
    errors = errors_ms(kind, 10, after_ms=500, word_error_ms=word_error_ms)
    assert max(map(abs, errors)) <= 150


def test_word_times_settle_nothing_where_silence_follows() -> None:
    audio = to_pcm(np.concatenate([spoken(QUESTIONS[0]), np.zeros(RATE_HZ // 4, dtype=np.float32)]))
    found, misled = find_end(audio, RATE_HZ), find_end(audio, RATE_HZ, word_ends_ms=300.0)
    assert found == misled
    assert found is not None
    assert found.quiet
    assert found.certain


def test_what_noise_hides_is_marked_as_uncertain() -> None:
    steady = to_pcm(office(3 * RATE_HZ, np.random.default_rng(1)) * 0.05)
    found = find_end(steady, RATE_HZ)
    assert found is None or not found.certain


@pytest.mark.parametrize("hz", [8_000, 16_000, 24_000, 48_000])
def test_any_rate_gives_the_same_place(hz: int) -> None:
    audio = question(QUESTIONS[0], "office", 20)
    stream = pcm.resampler(RATE_HZ, hz)
    same, at_16 = find_end(stream.feed(audio) + stream.flush(), hz), find_end(audio, RATE_HZ)
    assert same is not None
    assert at_16 is not None
    assert abs(same.ms - at_16.ms) <= 30


@pytest.mark.parametrize("size", [0, 2, 200, 3_000])
def test_audio_that_is_too_short_is_no_fault(size: int) -> None:
    loud = np.full(size, 9_000, dtype="<i2")
    loud[::2] *= -1
    find_end(loud.tobytes(), 24_000)


def test_the_arrival_of_a_noisy_end_is_told_on_the_calls_clock() -> None:
    audio = question(QUESTIONS[1], "office", 20)
    caller, size = CallerAudio(RATE_HZ), pcm.bytes_for_ms(20, RATE_HZ)
    for number, at in enumerate(range(0, len(audio), size), start=1):
        caller.append(audio[at : at + size], 50 + number * 0.02)
    end = caller.speech_end()
    assert end is not None
    assert 50 + pcm.duration_ms(len(audio), RATE_HZ) / 1000 - end.at == pytest.approx(0.3, abs=0.15)


def test_a_call_minute_of_questions_costs_under_50_ms_of_cpu() -> None:
    """Five turns a minute, each looked at twice, in noise; where silence follows, a look costs a tenth."""
    audio = question(QUESTIONS[2], "office", 10, before_ms=1_500)
    stream = pcm.resampler(RATE_HZ, 24_000)
    audio = (stream.feed(audio) + stream.flush())[-pcm.bytes_for_ms(3_000, 24_000) :]
    costs = []
    for _ in range(5):
        started = time.process_time()
        for _ in range(10):
            find_end(audio, 24_000)
        costs.append(time.process_time() - started)
    assert min(costs) <= 0.05
