"""Lets one model go on with an answer that another began: what to ask it, and what of its answer is new. Pure.

A model that sees the answer so far and the wish to go on mostly does go on. Some begin again, or repeat the last
words: this drops what the caller already has.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

GO_ON = (
    "[Your answer was cut off there. Go on with it from exactly where it stopped, in the same tone and language. Do "
    "not repeat any of it, do not begin anew, do not apologise, and do not mention this.]"
)
"""The last message of such a request. Its role is ``user``: some models' templates want roles that alternate."""

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
LEAST_HALF = 3
"""A cut word that nothing else is repeated with has at least so many letters, to be known again in the whole one."""

LEAST_ANEW = 2
"""So many words that repeat a part of what was said, and nothing after them, are no news."""


def continued(messages: Sequence[Mapping[str, Any]], said: str) -> list[Mapping[str, Any]]:
    """The conversation, with the answer so far and the wish that it go on."""
    return [*messages, {"role": "assistant", "content": said}, {"role": "user", "content": GO_ON}]


class Continuation:
    """What is new in an answer that follows ``said``. Feed it pieces; each gives what may be passed on."""

    def __init__(self, said: str) -> None:
        self._said = said
        found = list(_WORD.finditer(said))
        self._words = [match[0].lower() for match in found]
        self._tail = said[found[-1].end() :].strip() if found else ""
        self._held: str | None = "" if found else None
        """What is not decided yet; None: all that comes is new."""

    def feed(self, text: str) -> str:
        """The next piece."""
        if self._held is None:
            return text
        self._held += text
        return self._decided(self._held, over=False)

    def finish(self) -> str:
        """No more comes."""
        return "" if self._held is None else self._decided(self._held, over=True)

    def _decided(self, held: str, *, over: bool) -> str:
        found = list(_WORD.finditer(held))
        whole = found if over or (found and found[-1].end() < len(held)) else found[:-1]
        repeated, open_end = self._overlap([match[0].lower() for match in whole])
        if not over and (open_end or not whole):
            return ""
        self._held = None
        if not repeated:
            begun_anew = open_end and len(whole) >= LEAST_ANEW
            return "" if begun_anew else self._joined(held)
        last = whole[repeated - 1]
        half = self._words[-1]
        rest = held[last.end() :]
        if last[0].lower() != half:  # the word that was cut, now whole
            return last[0][len(half) :] + rest
        if self._tail and rest.lstrip().startswith(self._tail):
            rest = rest.lstrip()[len(self._tail) :]
        return rest.lstrip() if self._said[-1].isspace() else rest

    def _overlap(self, new: list[str]) -> tuple[int, bool]:
        """How many of the new words repeat what was said, up to its end; and whether more of them may yet."""
        repeated, open_end, count = 0, False, len(self._words)
        for start in range(count):
            length = count - start
            if all(self._same(start, start + place, word) for place, word in enumerate(new[:length])):
                open_end = open_end or len(new) < length
                repeated = max(repeated, length if len(new) >= length else 0)
        return repeated, open_end

    def _same(self, start: int, place: int, word: str) -> bool:
        known = self._words[place]
        at_end = place == len(self._words) - 1 and not self._tail and not self._said[-1].isspace()
        half = at_end and (place > start or len(known) >= LEAST_HALF)
        return word == known or (half and word.startswith(known))

    def _joined(self, text: str) -> str:
        """The text, with a space before it where two words would run together."""
        apart = text[:1].isspace() or self._said[-1:].isspace() or not text[:1].isalnum()
        return text if apart else f" {text}"
