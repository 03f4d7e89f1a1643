"""Tells a backchannel ("mhm", "right") from an interruption.

A listener's sounds of agreement are not a wish to speak; an agent that stops for them is hard to talk to. Which words
they are depends on the language (:mod:`~repartee.turn.languages`).
"""

import re
from collections.abc import Set

from repartee.turn.languages import ENGLISH

MAX_WORDS = 3
"""More words than this are never a backchannel, whatever they are."""

MAX_THANKS = 6
"""More words than this are no mere thanks to an agent that lets the caller wait."""

_WORD = re.compile(r"[^\W_](?:[^\W_]|[\u0900-\u097f])*(?:['’\-][^\W_]+)*")


def words_of(text: str) -> list[str]:
    """The words, in lower case, without punctuation and hyphens; what two transcripts are compared by."""
    return [word.lower().replace("-", "").replace("’", "'") for word in _WORD.findall(text)]


def is_backchannel(text: str, backchannels: Set[str] = ENGLISH.backchannels) -> bool:
    """Whether the words are a listener's, not a speaker's. No words at all are not a backchannel."""
    words = words_of(text)
    return 0 < len(words) <= MAX_WORDS and all(word in backchannels for word in words)


def acknowledges(text: str, backchannels: Set[str], thanks: Set[str]) -> bool:
    """Whether the words say no more than that the caller waits: "okay, thank you"."""
    words = words_of(text)
    return 0 < len(words) <= MAX_THANKS and all(word in backchannels or word in thanks for word in words)
