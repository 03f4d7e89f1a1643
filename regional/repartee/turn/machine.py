"""The turn core: every decision on whose turn it is.

``TurnMachine.receive(event, now)`` takes what happened and returns what to do about it. It holds the whole state of
the conversation and touches nothing else: no task, no socket, no clock.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from repartee.errors import ClientProtocolError
from repartee.latency.timeline import Timeline
from repartee.turn import commands as c
from repartee.turn import events as e
from repartee.turn.answering import FIRST_AUDIO, PLAYED_OUT, Answering
from repartee.turn.backchannel import is_backchannel, words_of
from repartee.turn.history import History, Message
from repartee.turn.policy import TurnPolicy
from repartee.turn.state import Cause, State, next_state

COMMIT = "commit"

_OPEN = (State.HEARING, State.EAGER)


@dataclass(slots=True)
class _Turn:
    """The caller's turn that is open, or the last one.

    ``before`` are words that speech recognition has ended already while the client has yet to commit the turn.
    """

    turn_id: int
    item_id: str
    text: str = ""
    before: str = ""
    announced: bool = False
    committing: bool = False
    speculations: int = 0
    speculated_text: str = ""
    speech_ended_at: float | None = None


class TurnMachine:
    """One conversation. ``call_id`` makes item ids unique beyond it."""

    def __init__(self, call_id: str, policy: TurnPolicy | None = None) -> None:
        self.history = History()
        self.state = State.LISTENING
        self._call_id = call_id
        self._items = 0
        self._turn = _Turn(0, "")
        self._request: e.ReplyRequested | None = None
        self._owes_reply = False
        self._over = False
        self._answers = Answering(self.history, self.new_item_id)
        self.policy = policy or TurnPolicy()
        self._handlers: dict[type[e.Event], Callable[[Any, float], list[c.Command]]] = {
            e.StartOfTurn: self._on_start,
            e.PartialTranscript: self._on_partial,
            e.EagerEndOfTurn: self._on_eager_end,
            e.TurnResumed: self._on_resumed,
            e.EndOfTurn: self._on_end,
            e.HearingLost: self._on_hearing_lost,
            e.ReplyText: lambda event, now: self._answers.take_text(event.reply_id, event.text, now),
            e.ReplyToolCall: self._answers.take_call,
            e.ReplyDone: self._on_text_done,
            e.ReplyFailed: self._on_failed,
            e.SpeechAudio: self._on_audio,
            e.SpeechWords: self._on_words,
            e.SpeechDone: self._on_speech_done,
            e.ToolFinished: self._answers.finish_tool,
            e.TurnCommitted: self._on_committed,
            e.AudioCleared: self._on_cleared,
            e.ReplyRequested: self._on_requested,
            e.ReplyCancelled: self._on_cancelled,
            e.Truncated: self._on_truncated,
            e.DeadlinePassed: self._on_deadline,
            e.HungUp: self._on_hung_up,
        }

    def __repr__(self) -> str:
        return (
            f"<TurnMachine {self._call_id}: {self.state.name}, turn {self._turn.turn_id}, {self._answers!r}>"
        )

    @property
    def policy(self) -> TurnPolicy:
        """How turns are taken; may be replaced at any time."""
        return self._answers.policy

    @policy.setter
    def policy(self, policy: TurnPolicy) -> None:
        self._answers.policy = policy

    @property
    def generating(self) -> bool:
        """A reply that the client knows of is being made."""
        return self._answers.generating

    def new_item_id(self) -> str:
        """An id for the history's next item."""
        self._items += 1
        return f"item_{self._call_id}_{self._items}"

    def receive(self, event: e.Event, now: float) -> list[c.Command]:
        """What to do about an event, in order. ``now`` is seconds on any monotonic clock.

        Raises IllegalTransition for an event that cannot happen in this state and ClientProtocolError for a
        client's request that cannot be met; in both cases nothing has changed.
        """
        return [] if self._over else self._handlers[type(event)](event, now)

    def _move(self, cause: Cause) -> None:
        self.state = next_state(self.state, cause)

    # --- the caller speaks ---------------------------------------------------------------------------------------

    def _on_start(self, event: e.StartOfTurn, now: float) -> list[c.Command]:
        return self._hear(event.text, now)

    def _on_partial(self, event: e.PartialTranscript, now: float) -> list[c.Command]:
        if self.state is State.THINKING:
            return []  # late words of the turn that has just ended
        return self._hear(event.text, now)

    def _hear(self, text: str, now: float) -> list[c.Command]:
        """Speech, with its words so far: open a turn, go on with it, or interrupt."""
        if self.state in _OPEN:
            return self._note_words(text)
        if self.state is State.OVERLAP:
            self._turn.text = text or self._turn.text
            return self._barge_in(now) if self._interrupts(self._turn.text) else []
        if self.state is State.SPEAKING:
            if self._interrupts(text):
                self._open_turn(text)
                return self._barge_in(now)
            self._move(Cause.BACKCHANNEL_STARTED)
            self._open_turn(text)
            return []
        commands = []
        if self.state is State.THINKING:
            commands = self._answers.cut("turn_detected", now)
        self._move(Cause.SPEECH_STARTED)
        self._open_turn(text)
        return commands + self._announce_turn()

    def _interrupts(self, text: str) -> bool:
        return self.policy.interruptible and not is_backchannel(text)

    def _barge_in(self, now: float) -> list[c.Command]:
        self._move(Cause.BARGED_IN)
        return self._answers.cut("turn_detected", now) + self._announce_turn()

    def _open_turn(self, text: str) -> None:
        self._turn = _Turn(self._turn.turn_id + 1, self.new_item_id(), text)

    def _announce_turn(self) -> list[c.Command]:
        turn = self._turn
        turn.announced = True
        commands: list[c.Command] = [c.TurnStarted(turn.turn_id, turn.item_id)]
        if turn.text:
            commands.append(c.TurnHeard(turn.turn_id, turn.item_id, turn.text))
        return commands

    def _note_words(self, text: str) -> list[c.Command]:
        turn = self._turn
        text = _join(turn.before, text)
        if not text or text == turn.text:
            return []
        turn.text = text
        return [c.TurnHeard(turn.turn_id, turn.item_id, text)]

    # --- the caller's turn ends ----------------------------------------------------------------------------------

    def _on_eager_end(self, event: e.EagerEndOfTurn, now: float) -> list[c.Command]:
        if self.state is State.THINKING:
            return []
        commands = self._hear(event.text, now)
        turn, policy = self._turn, self.policy
        turn.speech_ended_at = event.speech_ended_at
        if self.state is not State.HEARING or not policy.automatic:
            return commands
        self._move(Cause.EAGER_END)
        wanted = policy.speculate and policy.reply_to_turns and not turn.committing
        if not wanted or not turn.text.strip() or turn.speculations >= policy.speculations_per_turn:
            return commands
        turn.speculations += 1
        turn.speculated_text = turn.text
        tentative = Message(turn.item_id, "user", turn.text)
        return commands + self._answers.begin(
            turn.turn_id, now, tentative=tentative, timeline=self._new_timeline(now)
        )

    def _on_resumed(self, event: e.TurnResumed, now: float) -> list[c.Command]:
        if self.state is not State.EAGER:
            return []  # it was a backchannel's, or the turn was not taken as ended
        self._move(Cause.TURN_RESUMED)
        return self._answers.drop("resumed")

    def _on_end(self, event: e.EndOfTurn, now: float) -> list[c.Command]:
        if self.state is State.THINKING or (
            not event.text and self.state in (State.LISTENING, State.SPEAKING)
        ):
            return []
        commands = self._hear(event.text, now)
        if event.speech_ended_at is not None:
            self._turn.speech_ended_at = event.speech_ended_at
        if not self.policy.automatic and not self._turn.committing:
            self._turn.before = self._turn.text
            return commands
        if self.state is State.OVERLAP:
            return commands + self._end_overlap(now)
        return commands + self._end_turn(now)

    def _end_overlap(self, now: float) -> list[c.Command]:
        """What was said over the agent did not interrupt it: a backchannel, or words to be answered after."""
        self._move(Cause.BACKCHANNEL_ENDED)
        commands: list[c.Command] = []
        if self._turn.text and not is_backchannel(self._turn.text):
            commands = [*self._announce_turn(), *self._record_turn()]
            self._owes_reply = self.policy.reply_to_turns
        if not self._answers.generating:
            commands.append(c.SetDeadline(PLAYED_OUT, max(self._answers.ends_at, now)))
        return commands

    def _end_turn(self, now: float) -> list[c.Command]:
        turn = self._turn
        speculation_holds = words_of(turn.speculated_text) == words_of(turn.text)
        request, self._request = self._request, None
        wanted = bool(turn.text.strip()) and self.policy.automatic and self.policy.reply_to_turns
        if not turn.text.strip():
            self._move(Cause.TURN_EMPTY)
        else:
            self._move(Cause.TURN_ENDED if wanted or request else Cause.TURN_NOTED)
        commands: list[c.Command] = [c.ClearDeadline(COMMIT)]
        if self._answers.speculating and not (wanted and speculation_holds):
            commands += self._answers.drop("reworded")
        commands += self._record_turn()
        if self.state is not State.THINKING:
            return commands + (self._on_requested(request, now) if request else [])
        if self._answers.speculating:
            commands += self._answers.confirm(now)
        else:
            commands += self._answers.begin(
                turn.turn_id, now, timeline=self._new_timeline(now), request=request
            )
        return self._after(commands)

    def _record_turn(self) -> list[c.Command]:
        turn = self._turn
        if not turn.text.strip():
            return [c.TurnEnded(turn.turn_id, turn.item_id, None)]
        item = Message(turn.item_id, "user", turn.text.strip())
        return [c.TurnEnded(turn.turn_id, turn.item_id, item, self.history.add(item))]

    def _new_timeline(self, now: float) -> Timeline:
        """A timeline from the caller's last sample of speech (or from now, if that is not known)."""
        ended_at = self._turn.speech_ended_at
        timeline = Timeline(now if ended_at is None else min(ended_at, now))
        timeline.mark("end_of_turn", now)
        return timeline

    def _on_hearing_lost(self, event: e.HearingLost, now: float) -> list[c.Command]:
        """The words there are will not be added to: they are the turn."""
        if self.state is State.OVERLAP:
            return self._end_overlap(now)
        return self._end_turn(now) if self.state in _OPEN else []

    # --- the agent speaks ----------------------------------------------------------------------------------------

    def _after(self, commands: list[c.Command]) -> list[c.Command]:
        """Follow the replies: whether the agent is heard, is still awaited, or has nothing to say."""
        if self.state is State.THINKING:
            if self._answers.audible:
                self._move(Cause.REPLY_AUDIBLE)
            elif not self._answers.busy:
                self._move(Cause.REPLY_OVER)
        return commands

    def _on_text_done(self, event: e.ReplyDone, now: float) -> list[c.Command]:
        return self._after(self._answers.finish_text(event.reply_id, event.reason, now))

    def _on_failed(self, event: e.ReplyFailed, now: float) -> list[c.Command]:
        return self._after(self._answers.fail(event.reply_id, event.stage, event.message, now))

    def _on_audio(self, event: e.SpeechAudio, now: float) -> list[c.Command]:
        return self._after(self._answers.take_audio(event.reply_id, event.pcm, now))

    def _on_words(self, event: e.SpeechWords, now: float) -> list[c.Command]:
        self._answers.take_words(event)
        return []

    def _on_speech_done(self, event: e.SpeechDone, now: float) -> list[c.Command]:
        return self._after(self._answers.finish_speech(event.reply_id, now))

    def _on_deadline(self, event: e.DeadlinePassed, now: float) -> list[c.Command]:
        if event.name == FIRST_AUDIO:
            return self._after(self._answers.overdue(now))
        if event.name == COMMIT:
            return self._end_turn(now) if self.state in _OPEN else []
        return self._played_out(now)

    def _played_out(self, now: float) -> list[c.Command]:
        if self.state not in (State.SPEAKING, State.OVERLAP):
            return []
        if now < self._answers.ends_at:
            return [c.SetDeadline(PLAYED_OUT, self._answers.ends_at)]
        if self._answers.busy:
            if self.state is State.OVERLAP:
                return []  # decided when the overlap ends
            self._move(Cause.MORE_AWAITED)
            return self._answers.played_out(now)
        overlapped = self.state is State.OVERLAP
        self._move(Cause.PLAYED_OUT)
        commands = self._answers.played_out(now)
        if overlapped:
            return commands + self._announce_turn()
        if self._owes_reply:
            self._owes_reply = False
            return commands + self._on_requested(e.ReplyRequested(), now)
        return commands

    # --- the client asks -----------------------------------------------------------------------------------------

    def _on_committed(self, event: e.TurnCommitted, now: float) -> list[c.Command]:
        commands: list[c.Command] = []
        if self.state is State.THINKING:
            return commands
        if self.state not in _OPEN:
            commands += self._hear("", now)
        if self.state is State.OVERLAP:
            commands += self._barge_in(now)
        self._turn.committing = True
        return [*commands, c.EndHearing(), c.SetDeadline(COMMIT, now + self.policy.commit_s)]

    def _on_cleared(self, event: e.AudioCleared, now: float) -> list[c.Command]:
        if self.state is not State.HEARING or self.policy.automatic:
            return []
        self._turn.text = self._turn.before = ""
        return self._end_turn(now)

    def _on_requested(self, event: e.ReplyRequested, now: float) -> list[c.Command]:
        if self._answers.generating:
            raise ClientProtocolError(
                "There is a response in progress: wait for response.done, or cancel it first.",
                code="conversation_already_has_active_response",
            )
        if self.state in (State.HEARING, State.EAGER, State.OVERLAP):
            self._request = event  # answered when the caller has finished
            return []
        if self.state is State.LISTENING:
            self._move(Cause.REPLY_REQUESTED)
        if event.say is not None:
            return self._after(self._answers.recite(self._turn.turn_id, event.say, now))
        timeline = None if self._answers.carries_time else Timeline(now)
        return self._answers.begin(self._turn.turn_id, now, timeline=timeline, request=event)

    def _on_cancelled(self, event: e.ReplyCancelled, now: float) -> list[c.Command]:
        unknown = event.reply_id is not None and not self._answers.knows(event.reply_id)
        if unknown or not self._answers.busy:
            raise ClientProtocolError(
                "There is no such response in progress.", code="response_cancel_not_active"
            )
        if self.state in _OPEN:
            return []
        self._move(Cause.REPLY_OVER)
        commands = self._answers.cut("client_cancelled", now)
        return commands + (self._announce_turn() if self.state is State.HEARING else [])

    def _on_truncated(self, event: e.Truncated, now: float) -> list[c.Command]:
        message = self.history.truncate(event.item_id, event.audio_end_ms)
        return [c.AnswerCut(message.item_id, event.audio_end_ms, message.heard_text)]

    def _on_hung_up(self, event: e.HungUp, now: float) -> list[c.Command]:
        self._over = True
        if self._answers.speculating:
            return [*self._answers.drop("resumed"), c.ClearDeadline(COMMIT)]
        return [*self._answers.cut("client_cancelled", now), c.ClearDeadline(COMMIT)]


def _join(before: str, text: str) -> str:
    return f"{before} {text}".strip() if before else text
