"""Telling a backchannel ("mhm", "right") from an interruption.

A listener's sounds of agreement are not a wish to speak; an agent that stops for them is hard to talk to.
"""

import re

# fmt: off
BACKCHANNELS = frozenset((
    "ah", "aha", "alright", "hm", "hmm", "huh", "mhm", "mhmm", "mm", "mmhm", "mmhmm", "mmm", "oh", "okay", "ok",
    "right", "sure", "uh", "uhhuh", "um", "yeah", "yep", "yes", "yup",
))
# fmt: on
"""Words that, alone, do not interrupt. Compared without case, hyphens and punctuation."""

MAX_WORDS = 3
"""More words than this are never a backchannel, whatever they are."""

_WORD = re.compile(r"[^\W_]+(?:['’\-][^\W_]+)*")


def words_of(text: str) -> list[str]:
    """The words, in lower case, without punctuation and hyphens; what two transcripts are compared by."""
    return [word.lower().replace("-", "").replace("’", "'") for word in _WORD.findall(text)]


def is_backchannel(text: str) -> bool:
    """Whether the words are a listener's, not a speaker's. No words at all are not a backchannel."""
    words = words_of(text)
    return 0 < len(words) <= MAX_WORDS and all(word in BACKCHANNELS for word in words)
