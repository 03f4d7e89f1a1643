"""Turns on audio time alone: no sockets, no clock."""

import numpy as np
import pytest

from repartee.audio.speech_end import speech_span
from repartee.standins.detector import Detector, LevelDetector, SpeechDetector
from repartee.standins.synthesiser import synthesise
from repartee.standins.turns import UNFINISHED_MS, FluxTurns, NovaEvent, NovaTurns, TurnEvent, TurnTimes

RATE_HZ = 16_000
BUDGET = TurnTimes(start_ms=140, eager_ms=120, end_ms=250)


def quiet(ms: float, noise: float = 0.0, seed: int = 1) -> bytes:
    samples = np.random.default_rng(seed).normal(0, noise, int(ms * RATE_HZ / 1000)) if noise else None
    return samples.astype("<i2").tobytes() if samples is not None else bytes(int(ms * RATE_HZ / 1000) * 2)


def tone(ms: float) -> bytes:
    t = np.arange(int(ms * RATE_HZ / 1000)) / RATE_HZ
    return bytes((np.cos(2 * np.pi * 220 * t) * 6000).astype("<i2").tobytes())


class Story:
    """Plays audio in frames of 20 ms and notes at which frame's end each event came, in ms of audio."""

    def __init__(
        self,
        detector: Detector | None = None,
        *,
        eager: float | None = 0.5,
        eot: float = 0.7,
        timeout_ms: float = 5000,
        worded: bool = True,
    ) -> None:
        self.heard = detector or LevelDetector(RATE_HZ)
        self.turns = FluxTurns(lambda: BUDGET, eager, timeout_ms, eot)
        self.worded = worded
        self.events: list[tuple[TurnEvent, float]] = []

    def play(self, *audio: bytes, hold_ms: float = 0.0) -> "Story":
        data = b"".join(audio)
        for at in range(0, len(data), 640):
            self.heard.step(data[at : at + 640])
            for event in self.turns.step(self.heard, hold_ms=hold_ms, worded=self.worded):
                self.events.append((event, self.heard.position_ms))
                if event is TurnEvent.END:
                    self.turns.over()
                    self.heard.forget()
        return self

    @property
    def told(self) -> list[tuple[str, float]]:
        return [(event.value, at) for event, at in self.events if event is not TurnEvent.UPDATE]


def test_a_turn_with_eager_end() -> None:
    story = Story().play(quiet(200), tone(1000), quiet(400))
    assert story.told == [("StartOfTurn", 340), ("EagerEndOfTurn", 1320), ("EndOfTurn", 1460)]
    updates = [at for event, at in story.events if event is TurnEvent.UPDATE]
    assert updates == [600, 860, 1120]


def test_without_an_eager_threshold_there_is_no_eager_end() -> None:
    story = Story(eager=None).play(tone(500), quiet(400))
    assert [name for name, _ in story.told] == ["StartOfTurn", "EndOfTurn"]


def test_speech_that_goes_on_resumes_the_turn() -> None:
    story = Story().play(tone(500), quiet(160), tone(300), quiet(400))
    assert story.told == [
        ("StartOfTurn", 140),
        ("EagerEndOfTurn", 620),
        ("TurnResumed", 680),
        ("EagerEndOfTurn", 1080),
        ("EndOfTurn", 1220),
    ]


def test_an_end_in_mid_frame_is_rounded_up_to_the_frame() -> None:
    story = Story().play(tone(510), quiet(410))
    assert story.told[1:] == [("EagerEndOfTurn", 640), ("EndOfTurn", 760)]


def test_a_click_is_no_turn() -> None:
    assert Story().play(quiet(100), tone(20), quiet(600)).told == []


def test_a_stalled_sender_stalls_the_turn() -> None:
    story = Story().play(tone(500), quiet(100))
    assert [name for name, _ in story.told] == ["StartOfTurn"]


def test_unfinished_words_hold_the_end_back() -> None:
    story = Story().play(tone(500), quiet(400), hold_ms=UNFINISHED_MS)
    assert [name for name, _ in story.told] == ["StartOfTurn"]
    story.play(quiet(600), hold_ms=UNFINISHED_MS)
    assert story.told[1:] == [("EagerEndOfTurn", 1180), ("EndOfTurn", 1300)]


def test_the_timeout_ends_a_turn_that_is_held_back() -> None:
    story = Story(timeout_ms=500)
    story.play(tone(500), quiet(520), hold_ms=UNFINISHED_MS)
    assert story.told[-1] == ("EndOfTurn", 1000)


def test_turns_are_counted() -> None:
    story = Story().play(tone(500), quiet(400), tone(500), quiet(400))
    assert story.turns.turn_index == 2


def test_nova_says_speech_final_after_its_endpointing_and_utterance_end_later() -> None:
    heard = LevelDetector(RATE_HZ)
    turns = NovaTurns(lambda: 100, endpointing_ms=200, utterance_end_ms=1000, interim=True)
    told: list[tuple[NovaEvent, float]] = []
    data = tone(600) + quiet(1500)
    for at in range(0, len(data), 640):
        heard.step(data[at : at + 640])
        for event in turns.step(heard):
            told.append((event, heard.position_ms))
            if event is NovaEvent.SPEECH_FINAL:
                turns.over(heard)
                heard.forget()
    assert told == [
        (NovaEvent.SPEECH_STARTED, 100),
        (NovaEvent.INTERIM, 120),
        (NovaEvent.INTERIM, 380),
        (NovaEvent.INTERIM, 640),
        (NovaEvent.SPEECH_FINAL, 800),
        (NovaEvent.UTTERANCE_END, 1600),
    ]


@pytest.mark.parametrize("noise", [0, 60, 250])
def test_real_speech_is_found_in_noise(noise: float) -> None:
    spoken = np.frombuffer(synthesise("What are your opening hours?", rate_hz=RATE_HZ).pcm, "<i2").astype(
        float
    )
    last = int(np.flatnonzero(np.abs(spoken) > 1000)[-1])
    samples = np.concatenate([np.zeros(RATE_HZ * 2), spoken[:last], np.zeros(RATE_HZ)])
    samples += np.random.default_rng(3).normal(0, noise, len(samples))
    story = Story(SpeechDetector()).play(np.clip(samples, -32768, 32767).astype("<i2").tobytes())
    names = [name for name, _ in story.told]
    assert names.count("StartOfTurn") == 1
    assert names[-1] == "EndOfTurn"
    start_ms, end_ms = story.told[0][1], story.told[-1][1]
    assert 2000 + 100 <= start_ms <= 2000 + 320
    assert end_ms == pytest.approx(2000 + last / 16 + 250, abs=60)


@pytest.mark.parametrize("shift_ms", range(0, 20, 3))
@pytest.mark.parametrize("first_ms", [0, 9], ids=["in whole frames", "after an odd piece"])
def test_the_end_of_real_speech_is_told_within_a_frame_of_its_silence(shift_ms: int, first_ms: int) -> None:
    spoken = synthesise("What is the balance of my account?", rate_hz=RATE_HZ).pcm
    pcm = quiet(1000 + shift_ms) + spoken + quiet(800)
    span = speech_span(pcm, RATE_HZ)
    assert span is not None
    story, given = Story(SpeechDetector()).play(pcm[: first_ms * 32]), first_ms * 32
    while "EagerEndOfTurn" not in dict(story.told):
        story.play(pcm[given : given + 640])
        given += 640
    late_ms = given / 32 - span[1] * 1000 / RATE_HZ - BUDGET.eager_ms
    assert -2 <= late_ms <= 20 + 2, "a frame, and what two ways of telling sound from silence differ by"


def test_noise_alone_is_no_turn() -> None:
    story = Story(SpeechDetector())
    story.play(quiet(100), quiet(2000, 30), quiet(3000, 200, seed=2), quiet(1000, 30, seed=3))
    keys = b"".join(tone(15) + quiet(165, 60, seed=n) for n in range(20))
    assert story.play(keys).told == []


@pytest.mark.parametrize(
    ("eager", "eot", "eager_at", "end_at"),
    [
        (0.5, 0.7, 1120, 1260),
        (0.3, 0.7, 1080, 1260),
        (0.5, 0.6, 1120, 1200),
        (0.5, 0.9, 1120, 1400),
        (0.7, 0.8, 1260, 1320),
        (0.9, 0.9, 1400, 1400),
    ],
)
def test_the_thresholds_move_the_ends(eager: float, eot: float, eager_at: float, end_at: float) -> None:
    story = Story(eager=eager, eot=eot).play(tone(1000), quiet(1000))
    assert story.told[1:] == [("EagerEndOfTurn", eager_at), ("EndOfTurn", end_at)]


def test_a_threshold_of_one_finds_no_end() -> None:
    story = Story(eager=None, eot=1.0, timeout_ms=3000).play(tone(1000), quiet(3200))
    assert story.told == [("StartOfTurn", 140), ("EndOfTurn", 4000)]
    assert Story(eager=None, eot=1.0, timeout_ms=3000).play(tone(1000), quiet(2900)).told[1:] == []


@pytest.mark.parametrize("timeout_ms", [500, 2000])
def test_the_timeout_is_the_clients(timeout_ms: float) -> None:
    story = Story(eot=1.0, eager=None, timeout_ms=timeout_ms).play(tone(1000), quiet(timeout_ms + 100))
    assert story.told[-1] == ("EndOfTurn", 1000 + timeout_ms)


def test_without_a_word_no_turn_begins_and_none_seems_to_end() -> None:
    story = Story(worded=False).play(tone(600))
    assert story.told == []
    story.worded = True
    story.play(tone(20))
    assert story.told == [("StartOfTurn", 620)]
    story.worded = False
    story.play(quiet(220))
    assert story.told == [("StartOfTurn", 620)]
    story.worded = True
    story.play(quiet(40))
    assert [name for name, _ in story.told] == ["StartOfTurn", "EagerEndOfTurn", "EndOfTurn"]
