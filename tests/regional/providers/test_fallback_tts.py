"""Several voices as one: nothing is said twice and nothing left out, whenever a voice is lost."""

import pytest
from tests.regional.providers.lineups import FallbackVoice, Noted, fault, lineup_of

from repartee.errors import PoolTimeout, ProviderError
from repartee.providers.fallback_tts import FallbackTTS
from repartee.turn.events import SpeechWords

TEXT = "We are open from nine to six every day."
WORDS = TEXT.split()


class Spoken:
    """What these voices make of a text."""

    def __init__(self, *voices: FallbackVoice) -> None:
        self.notes = Noted()
        self.tts = FallbackTTS(lineup_of("tts", voices)).for_call(self.notes)
        self.times: list[tuple[str, float]] = []

    async def words(self, *pieces: str, voice: str | None = None) -> list[str]:
        self.times = []
        utterance = await self.tts.speak(1, voice=voice)
        try:
            for place, piece in enumerate(pieces):
                utterance.say(piece, last=place == len(pieces) - 1)
            async for sound in utterance.sounds():
                if isinstance(sound, SpeechWords):
                    self.times += [(word.text, word.start_ms) for word in sound.words]
        finally:
            await utterance.cancel()
        return [word for word, _ in self.times]


CUTS = [
    *((cut, failure) for cut in range(len(WORDS) + 1) for failure in (fault("tts"), PoolTimeout("late"))),
    # A voice that leaves out the times of its last two words has not broken off.
    *((cut, None) for cut in range(len(WORDS) - 2)),
]


@pytest.mark.parametrize(
    ("cut", "failure"), CUTS, ids=[f"{cut}-{type(failure).__name__}" for cut, failure in CUTS]
)
async def test_the_next_voice_speaks_what_was_not_spoken(
    cut: int, failure: ProviderError | PoolTimeout | None
) -> None:
    first, second = FallbackVoice(cut, failure), FallbackVoice()
    spoken = Spoken(first, second)
    assert await spoken.words("We are open ", "from nine to six ", "every day.") == WORDS
    assert first.spoke + second.spoke == WORDS
    starts = [start for _, start in spoken.times]
    assert starts == sorted(starts)


async def test_three_voices_may_be_needed_for_one_reply() -> None:
    voices = FallbackVoice(2, fault("tts")), FallbackVoice(3, fault("tts")), FallbackVoice()
    assert await Spoken(*voices).words(TEXT) == WORDS


async def test_a_call_stays_with_the_voice_that_it_has_changed_to() -> None:
    first, second = FallbackVoice(2, fault("tts")), FallbackVoice()
    spoken = Spoken(first, second)
    for _ in range(3):
        assert await spoken.words(TEXT) == WORDS
    assert (len(first.voices), len(second.voices)) == (1, 3)
    assert spoken.notes.who == ["a", "b", "b", "b"]
    assert spoken.notes.whom == ["a"]


async def test_another_call_begins_with_the_first_voice() -> None:
    first, second = FallbackVoice(2, fault("tts")), FallbackVoice()
    spoken = Spoken(first, second)
    await spoken.words(TEXT)
    spoken.tts = spoken.tts.for_call(spoken.notes)
    await spoken.words(TEXT)
    assert len(first.voices) == 2


async def test_the_voice_that_is_named_is_the_first_vendors() -> None:
    first, second = FallbackVoice(2, fault("tts")), FallbackVoice()
    await Spoken(first, second).words(TEXT, voice="katie")
    assert (first.voices, second.voices) == (["katie"], [None])


async def test_when_no_voice_is_left_the_fault_is_told_as_one_that_no_second_try_mends() -> None:
    with pytest.raises(ProviderError) as caught:
        await Spoken(FallbackVoice(2, fault("tts")), FallbackVoice(1, fault("tts"))).words(TEXT)
    assert not caught.value.retryable


async def test_a_voice_that_cannot_be_opened_is_passed_over() -> None:
    second = FallbackVoice()
    assert await Spoken(FallbackVoice(0, fault("tts")), second).words(TEXT) == WORDS
    assert second.spoke == WORDS
