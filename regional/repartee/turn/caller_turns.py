"""The caller's turns, one after the other: which is open, what was said in it, which words come too late for it.

Does not know whose turn it is: the machine does.
"""

from repartee.latency.timeline import Timeline
from repartee.turn import commands as c
from repartee.turn.backchannel import words_of
from repartee.turn.caller_turn import CallerTurn
from repartee.turn.history import History, Message
from repartee.turn.policy import TurnPolicy

COMMIT = "commit"
"""The deadline of a committed turn's last words."""


class CallerTurns:
    """The caller's turns in one conversation. ``new_item_id`` numbers what is said.

    ``commit_awaited``: the client has declared a turn over of which nothing may have been recognised yet;
    ``unended``: a turn was closed here whose end recognition has still to tell.
    """

    def __init__(self, history: History, call_id: str) -> None:
        self.current = CallerTurn(0, "")
        self.commit_awaited = False
        self.unended = False
        self._ended_words: list[str] | None = None
        self._kept: CallerTurn | None = None
        self._history = history
        self._call_id = call_id
        self._items = 0

    def __repr__(self) -> str:
        return f"<CallerTurns: {self.current}>"

    def new_item_id(self) -> str:
        """An id for the history's next item."""
        self._items += 1
        return f"item_{self._call_id}_{self._items}"

    def open(self, text: str, now: float, *, answers_agent: bool, over_agent: bool) -> None:
        """The caller begins to speak; what the client had committed before is this turn."""
        self.current = CallerTurn(
            self.current.turn_id + 1,
            self.new_item_id(),
            text,
            committing=self.commit_awaited,
            answers_agent=answers_agent,
            began_at=now,
            over_agent=over_agent,
        )
        self.commit_awaited = False

    def open_wordless(self) -> None:
        """The agent speaks without having been spoken to."""
        self.current = CallerTurn(self.current.turn_id + 1, self.new_item_id())

    def keep_back(self) -> None:
        """The turn was an answer to what the agent is still saying: the client is to know of it afterwards. Clients
        fall silent when they hear of a turn."""
        self._kept = self.current

    def let_out(self) -> list[c.Command]:
        """The turn that was kept back, if there is one: the client may know of it, and it goes into the history."""
        turn, self._kept = self._kept, None
        return [*self._announce(turn), *self._record(turn)] if turn else []

    def announce(self) -> list[c.Command]:
        """The client may know of the turn."""
        return self._announce(self.current)

    @staticmethod
    def _announce(turn: CallerTurn) -> list[c.Command]:
        turn.announced = True
        commands: list[c.Command] = [c.TurnStarted(turn.turn_id, turn.item_id)]
        if turn.text:
            commands.append(c.TurnHeard(turn.turn_id, turn.item_id, turn.text))
        return commands

    def note_words(self, text: str) -> list[c.Command]:
        """The turn's words so far."""
        turn = self.current
        return [c.TurnHeard(turn.turn_id, turn.item_id, turn.text)] if turn.heard(text) else []

    def record(self) -> list[c.Command]:
        """The turn is over: its words, if there are any, go into the history."""
        return self._record(self.current)

    def _record(self, turn: CallerTurn) -> list[c.Command]:
        if not turn.text.strip():
            return [c.TurnEnded(turn.turn_id, turn.item_id, None)]
        item = Message(turn.item_id, "user", turn.text.strip(), spoken=True)
        return [c.TurnEnded(turn.turn_id, turn.item_id, item, self._history.append(item))]

    def timeline(self, now: float) -> Timeline:
        """A timeline from the caller's last sample of speech (or from now, if that is not known)."""
        ended_at = self.current.speech_ended_at
        timeline = Timeline(
            now if ended_at is None else min(ended_at, now), certain=self.current.speech_end_certain
        )
        timeline.mark("end_of_turn", now)
        return timeline

    def awaits_commit(self, policy: TurnPolicy) -> bool:
        """Only the client's word ends the open turn."""
        return not policy.automatic and not self.current.committing

    def commit(self, now: float, wait_s: float) -> list[c.Command]:
        """The client has declared the open turn over: its last words are awaited for so long."""
        self.current.committing = True
        return [c.EndHearing(), c.SetDeadline(COMMIT, now + wait_s)]

    # --- what recognition says of turns that are over -------------------------------------------------------------

    def goes_on(self, *, anew: bool = False) -> None:
        """Recognition hears speech. ``anew``: it begins a turn, so the one before has ended for it, too."""
        self.unended = self.unended and not anew
        self._ended_words = None

    def ends(self, text: str) -> bool:
        """Recognition ends a turn with these words; whether it says so for the second time."""
        words = words_of(text)
        again, self._ended_words = self._ended_words == words, words
        return again
