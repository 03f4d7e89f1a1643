"""The words of a caller's turn, passed on as they come: pieces that only ever add to those before them.

Recognition thinks again: what it makes of the turn so far may change with every word. What a client has read
cannot be taken back, so it gets only words that recognition has made out twice in a row; the rest comes with the
turn's end. Pure.
"""

from repartee.turn.chunking import is_unspaced


class TranscriptDeltas:
    """The words of one turn.

    The pieces together are the beginning of its words; at its end all of them, unless recognition has
    changed its mind about words that it had made out twice."""

    def __init__(self) -> None:
        self._told = ""
        self._heard = ""

    def __repr__(self) -> str:
        return f"<TranscriptDeltas: {len(self._told)} of {len(self._heard)} characters told>"

    def heard(self, text: str) -> str:
        """Recognition makes this of the turn so far: what can be told now, if anything."""
        text = text.strip()
        before, self._heard = self._heard, text
        return self._tell(_agreed(before, text))

    def ended(self, text: str) -> str:
        """These are the turn's words: what is left to tell, if it follows from what was told."""
        return self._tell(text)

    def _tell(self, text: str) -> str:
        if not text.startswith(self._told):
            return ""
        more, self._told = text[len(self._told) :], text
        return more


def _agreed(before: str, text: str) -> str:
    """The words with which both begin and behind which the later goes on: its last word may be half of one."""
    place = 0
    for one, other in zip(before, text, strict=False):
        if one != other:
            break
        place += 1
    while place and not ((place == len(before) or _ends_word(before, place)) and _ends_word(text, place)):
        place -= 1
    return text[:place]


def _ends_word(text: str, place: int) -> bool:
    """Whether a word ends here, and more follows it."""
    return place < len(text) and (text[place].isspace() or is_unspaced(text[place - 1]))
