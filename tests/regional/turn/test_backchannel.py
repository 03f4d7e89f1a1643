"""A listener's sounds and a speaker's words."""

import pytest

from repartee.turn.backchannel import is_backchannel, words_of


@pytest.mark.parametrize(
    "text", ["mhm", "Mm-hmm.", "uh-huh", "Uh huh", "Yeah, yeah.", "OK!", "right", "Okay, sure, yes."]
)
def test_a_listener(text: str) -> None:
    assert is_backchannel(text)


@pytest.mark.parametrize(
    "text", ["", "…", "no", "stop", "wait", "yes but", "okay stop", "yes yes yes yes", "hello", "はい"]
)
def test_a_speaker(text: str) -> None:
    assert not is_backchannel(text)


def test_words_are_compared_without_their_dress() -> None:
    assert words_of("Well-known — I’m HERE!") == ["wellknown", "i'm", "here"]
    assert words_of("“What?”") == words_of("what")
    assert words_of("今日は。") == ["今日は"]
