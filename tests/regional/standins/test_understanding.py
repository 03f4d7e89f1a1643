"""What the ears take for nonsense: what recognition makes of anything but the front desk's sentences."""

import pytest

from repartee.standins.domain import SUGGESTED_QUESTIONS, sentences
from repartee.standins.understanding import is_understood

HEARD_OF_OTHERS = [
    "in when are half is fine",
    "could you o'clock will week for me an you repeat that get an are free o'clock",
    "want to you all were hello you",
    "want",
    "want to",
    "two thirty can am",
    "good you you",
    "can you are my victor me your would you",
    "i'm tom on on three all",
    "would on want can you come martin",
    "hello four on paul an three were the",
]
"""What recognition has made of recorded people who say other things, at their first pauses."""


@pytest.mark.parametrize("said", HEARD_OF_OTHERS)
def test_nonsense(said: str) -> None:
    assert not is_understood(said.split())


@pytest.mark.parametrize("said", [*SUGGESTED_QUESTIONS, "do me my balance please", "i'd o'clock on tuesday"])
def test_what_is_said_at_the_front_desk_even_with_a_word_misheard(said: str) -> None:
    assert is_understood(said.split())


def test_every_sentence_of_its_own_and_nothing() -> None:
    assert all(is_understood(sentence.split()) for sentence in sentences())
    assert is_understood([]), "nothing is known yet"
