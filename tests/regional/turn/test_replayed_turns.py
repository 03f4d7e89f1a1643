"""Turns made of a recogniser's results while the audio runs ahead of them: what another recogniser has lost is played
faster than it was spoken. Every word is in a turn, once, however far the results are behind."""

import random
from dataclasses import dataclass, field

import pytest

from repartee.turn.endpointing import Endpointer, EndpointingSettings, Finalize, Output, Transcript
from repartee.turn.events import EndOfTurn

FRAME_S = 0.02
INTERIM_S = 0.26
ENDPOINTING_S = 0.3
UTTERANCE_END_S = 1.0


@dataclass
class Nova:
    """Hears words by their places in the audio, and tells of them as nova does: what it tells, in order."""

    words: list[tuple[str, float, float]]
    at_s: float = 0.0
    told: int = 0
    begun: bool = False
    interim_at_s: float = 0.0
    quiet_since_s: float = 0.0
    asked: list[float] = field(default_factory=list)

    def step(self, rule: Endpointer, now: float) -> list[Output]:
        """It hears one more frame."""
        self.at_s = round(self.at_s + FRAME_S, 3)
        outputs: list[Output] = []
        if self.asked and self.at_s >= self.asked[0]:
            self.asked.pop(0)
            outputs += rule.transcript(self._result(final=True, finalized=True), now)
        sounding = any(start < self.at_s <= end for _, start, end in self.words)
        if sounding:
            if not self.begun:
                self.begun, self.interim_at_s = True, self.at_s
                outputs += rule.speech_started()
            self.quiet_since_s = self.at_s
        if self.begun and self.at_s >= self.interim_at_s:
            self.interim_at_s = self.at_s + INTERIM_S
            outputs += rule.transcript(self._result(), now)
        if self.begun and self.at_s - self.quiet_since_s >= ENDPOINTING_S:
            self.begun = False
            outputs += rule.transcript(self._result(final=True, speech_final=True), now)
        elif self.quiet_since_s and round(self.at_s - self.quiet_since_s, 3) == UTTERANCE_END_S:
            outputs += rule.utterance_end(self.at_s)
        return outputs

    def _result(self, **flags: bool) -> Transcript:
        heard = [word for word in self.words[self.told :] if word[2] <= self.at_s]
        text = " ".join(word for word, _, _ in heard)
        start_s = heard[0][1] if heard else self.at_s
        if flags.get("final"):
            self.told += len(heard)
        return Transcript(text, start_s, self.at_s, **flags)


def spoken(dice: random.Random) -> list[tuple[str, float, float]]:
    """Words and pauses, some of them long enough to part nova's utterances."""
    words, at_s = [], dice.choice([0.0, 0.2])
    for number in range(dice.randint(1, 9)):
        length_s = dice.choice([0.1, 0.2, 0.3, 0.5])
        words.append((f"w{number}", at_s, round(at_s + length_s, 3)))
        at_s = round(at_s + length_s + dice.choice([0.0, 0.0, 0.04, 0.1, 0.2, 0.4, 0.7, 1.2]), 3)
    return words


def texts_of(words: list[tuple[str, float, float]], dice: random.Random, *, burst_s: float) -> list[str]:
    """What the turns are made of when so much is played at once, and the rest ten times as fast as it was said."""
    rule = Endpointer(EndpointingSettings(), frame_ms=FRAME_S * 1000)
    nova = Nova(words)
    texts: list[str] = []
    fed_s, played_s, now = 0.0, words[-1][2] + dice.choice([0.3, 1.0, 1.5, 2.0]), 0.0

    def note(outputs: list[Output]) -> None:
        texts.extend(event.text for event in outputs if isinstance(event, EndOfTurn) and event.text)
        nova.asked.extend(fed_s for event in outputs if isinstance(event, Finalize))

    def feed() -> None:
        nonlocal fed_s
        fed_s = round(fed_s + FRAME_S, 3)
        note(rule.frame(any(start < fed_s <= end for _, start, end in words), now))

    while nova.at_s < played_s + 3.0:
        fast = 10 if fed_s < played_s else 1
        while fed_s < min(burst_s, played_s):
            feed()
        for _ in range(fast):
            feed()
        lag_s = dice.choice([0.0, 0.04, 0.1])  # of the network and of recognition, in steps of the clock
        for _ in range(dice.randint(0, 30)):
            if nova.at_s < fed_s - lag_s:
                note(nova.step(rule, now))
        now += FRAME_S
    return texts


@pytest.mark.parametrize("burst_s", [0.0, 2.0, 60.0])
def test_no_word_is_lost_or_heard_twice(burst_s: float) -> None:
    for seed in range(300):
        dice = random.Random(seed)
        words = spoken(dice)
        heard = " ".join(texts_of(words, dice, burst_s=burst_s)).split()
        assert heard == [word for word, _, _ in words], f"seed {seed}: {words}"
