"""What was said in one call, as the caller experienced it: for the agent's author, and for records. Pure.

Built from the cores' commands. An answer that was cut short counts only as far as it was heard.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from repartee.agent.said import Said, Speaker
from repartee.turn import commands as c
from repartee.turn.earlier import Earlier, SaidEarlier
from repartee.turn.history import SPEECH_MS_PER_CHAR, Message, heard_part

MOST_SAID = 2_000
MOST_CHARS = 500_000
"""Of one call; the oldest are forgotten."""

MOST_PIECE_CHARS = 16_000
"""Nobody says so much at once: of what a client wrote, the rest is left out."""


class CallTranscript:
    """The words of one call.

    ``note`` takes each piece when it is complete, and again when less of it was heard; ``wall_clock``
    is seconds since 1970."""

    def __init__(self, note: Callable[[Said], None], wall_clock: Callable[[], float]) -> None:
        self._note = note
        self._wall_clock = wall_clock
        self._said: dict[str, Said] = {}
        self._chars = 0
        self._cut_ms: dict[int, float] = {}
        self._takers: Mapping[type[c.Command], Callable[[Any], None]] = {
            c.TurnEnded: self._turn_ended,
            c.ReplyEnded: self._reply_ended,
            c.AnswerCut: self._answer_cut,
            c.ItemAdded: self._item_added,
        }

    def __repr__(self) -> str:
        return f"<CallTranscript: {len(self._said)} pieces>"

    @property
    def said(self) -> tuple[Said, ...]:
        """All of it that was heard, in the order in which it was begun."""
        return tuple(said for said in self._said.values() if said.text)

    def recall(self, earlier: Sequence[Earlier]) -> None:
        """This was said before the call came here."""
        for number, piece in enumerate(earlier):
            if isinstance(piece, SaidEarlier):
                item_id = f"earlier_{number}"
                said = Said(item_id, 0, piece.who, piece.text, piece.at_s, piece.interrupted)
                self._said[item_id] = said
                self._chars += len(said.text)

    def take(self, command: c.Command) -> None:
        """A command of the core's, if it tells of words."""
        if taker := self._takers.get(type(command)):
            taker(command)

    def says(self, item_id: str, turn_id: int, who: Speaker, text: str) -> None:
        """All of an item's words are known."""
        cut_ms = self._cut_ms.get(turn_id) if who == "agent" else None
        heard = text if cut_ms is None else _heard(text, cut_ms)
        self._put(Said(item_id, turn_id, who, heard.strip(), self._at(item_id), cut_ms is not None))

    def cut(self, turn_id: int, heard_ms: float) -> None:
        """The answer to this turn was stopped after so much, by somebody who does not know its words' times."""
        self._cut_ms = {turn_id: heard_ms}
        said = next((one for one in reversed(self.said) if one.who == "agent"), None)
        if said is not None and said.turn_id == turn_id and not said.interrupted:
            self._put(replace(said, text=_heard(said.text, heard_ms), interrupted=True))

    def _turn_ended(self, ended: c.TurnEnded) -> None:
        if ended.item is not None and ended.item.text.strip():
            self._put(Said(ended.item_id, ended.turn_id, "caller", ended.item.text, self._at(ended.item_id)))

    def _reply_ended(self, ended: c.ReplyEnded) -> None:
        message = ended.message
        if message is None or not (text := message.heard_text.strip()):
            return
        interrupted = message.heard_ms is not None
        item_id = message.item_id
        self._put(Said(item_id, ended.turn_id, "agent", text, self._at(item_id), interrupted))

    def _answer_cut(self, cut: c.AnswerCut) -> None:
        if said := self._said.get(cut.item_id):
            self._put(replace(said, text=cut.heard_text.strip(), interrupted=True))

    def _item_added(self, added: c.ItemAdded) -> None:
        item = added.item
        if isinstance(item, Message) and item.role == "user" and item.text.strip():
            self._put(Said(item.item_id, 0, "caller", item.text, self._at(item.item_id)))

    def _at(self, item_id: str) -> float:
        known = self._said.get(item_id)
        return known.at_s if known else self._wall_clock()

    def _put(self, said: Said) -> None:
        if len(said.text) > MOST_PIECE_CHARS:
            said = replace(said, text=said.text[:MOST_PIECE_CHARS])
        known = self._said.get(said.item_id)
        if said == known:
            return
        self._said[said.item_id] = said
        self._chars += len(said.text) - (len(known.text) if known else 0)
        while len(self._said) > MOST_SAID or self._chars > MOST_CHARS:
            self._chars -= len(self._said.pop(next(iter(self._said))).text)
        self._note(said)


def _heard(text: str, heard_ms: float) -> str:
    return heard_part(text, [], math.ceil(len(text) * SPEECH_MS_PER_CHAR), heard_ms)
