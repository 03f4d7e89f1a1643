"""The turn core: every decision on whose turn it is.

``TurnMachine.receive(event, now)`` takes what happened and returns what to do about it. It holds the whole state of
the conversation and touches nothing else: no task, no socket, no clock.
"""

from collections import deque
from collections.abc import Callable
from typing import Any

from repartee.errors import ClientProtocolError
from repartee.latency.timeline import Timeline
from repartee.turn import commands as c
from repartee.turn import events as e
from repartee.turn.answering import CHUNK, FIRST_AUDIO, PLAYED_OUT, TURN_DETECTED, Answering
from repartee.turn.backchannel import acknowledges, is_backchannel, words_of
from repartee.turn.caller_turn import CallerTurn
from repartee.turn.echo import BEFORE_S, is_echo
from repartee.turn.filler import FillerChoice, NoFillers
from repartee.turn.history import History, Message
from repartee.turn.policy import TurnPolicy
from repartee.turn.silent_caller import IDLE, SILENT, Silence, SilentCaller
from repartee.turn.state import Cause, State, next_state
from repartee.turn.tool_wait import FILLER

COMMIT = "commit"

_OPEN = (State.HEARING, State.EAGER)


class TurnMachine:
    """One conversation. ``call_id`` makes item ids unique beyond it."""

    def __init__(
        self,
        call_id: str,
        policy: TurnPolicy | None = None,
        fillers: FillerChoice | None = None,
    ) -> None:
        policy = policy or TurnPolicy()
        self.history = History(policy.history)
        self.state = State.LISTENING
        self._call_id = call_id
        self._items = 0
        self._turn = CallerTurn(0, "")
        self._request: e.ReplyRequested | None = None
        self._to_say: deque[str] = deque()
        self._commit_awaited = False
        self._unended = False
        self._ended_words: list[str] | None = None
        self._silent = SilentCaller()
        self._over = False
        self._chunk_due: float | None = None
        self._answers = answers = Answering(self.history, self.new_item_id, fillers or NoFillers())
        self.policy = policy
        self._handlers: dict[type[e.Event], Callable[[Any, float], list[c.Command]]] = {
            e.StartOfTurn: self._on_start,
            e.PartialTranscript: self._on_partial,
            e.EagerEndOfTurn: self._on_eager_end,
            e.TurnResumed: self._on_resumed,
            e.EndOfTurn: self._on_end,
            e.HearingResumes: self._on_hearing_resumes,
            e.HearingLost: self._on_hearing_lost,
            e.LookedUp: answers.take_lookups,
            e.ReplyText: lambda ev, now: answers.take_text(ev.reply_id, ev.text, now),
            e.ReplyToolCall: answers.take_call,
            e.ReplyDone: lambda ev, now: self._after(answers.finish_text(ev.reply_id, ev.reason, now), now),
            e.ReplyFailed: lambda ev, now: self._after(
                answers.fail(ev.reply_id, ev.stage, ev.message, now), now
            ),
            e.SpeechAudio: lambda ev, now: self._after(answers.take_audio(ev.reply_id, ev.pcm, now), now),
            e.SpeechWords: answers.take_words,
            e.SpeechDone: lambda ev, now: self._after(answers.finish_speech(ev.reply_id, now), now),
            e.ToolFinished: self._on_tool_finished,
            e.SayRequested: self._on_say,
            e.TurnCommitted: self._on_committed,
            e.AudioCleared: self._on_cleared,
            e.ReplyRequested: self._on_requested,
            e.ReplyCancelled: self._on_cancelled,
            e.Truncated: self._on_truncated,
            e.Played: self._on_played,
            e.ItemCreated: self._on_item_created,
            e.ItemRetrieved: lambda ev, now: [c.ItemShown(self.history.get(ev.item_id))],
            e.ItemDeleted: self._on_item_deleted,
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

    @property
    def heard_until(self) -> float:
        """When the caller will have heard all that was sent, as far as is known now (s)."""
        return self._answers.ends_at

    def new_item_id(self) -> str:
        """An id for the history's next item."""
        self._items += 1
        return f"item_{self._call_id}_{self._items}"

    def receive(self, event: e.Event, now: float) -> list[c.Command]:
        """What to do about an event, in order. ``now`` is seconds on any monotonic clock.

        Raises IllegalTransition for an event that cannot happen in this state and ClientProtocolError for a
        client's request that cannot be met; in both cases nothing has changed.
        """
        if self._over:
            return []
        commands = self._handlers[type(event)](event, now)
        commands += [c.ItemRemoved(item_id) for item_id in self.history.forgotten()]
        due = self._answers.chunk_due
        if due == self._chunk_due:
            return commands
        self._chunk_due = due
        return [*commands, c.ClearDeadline(CHUNK) if due is None else c.SetDeadline(CHUNK, due)]

    def _move(self, cause: Cause) -> None:
        self.state = next_state(self.state, cause)

    # --- the caller speaks ---------------------------------------------------------------------------------------

    def _on_start(self, event: e.StartOfTurn, now: float) -> list[c.Command]:
        self._unended = False
        self._ended_words = None
        return self._hear(event.text, now)

    def _on_partial(self, event: e.PartialTranscript, now: float) -> list[c.Command]:
        self._ended_words = None
        return [] if self._is_late(event.text) else self._hear(event.text, now)

    def _is_late(self, text: str) -> bool:
        """Whether these are words of a turn that is over, or none at all and no turn to which they could belong."""
        if self.state in (*_OPEN, State.OVERLAP):
            return False
        return self.state is State.THINKING or self._unended or not text

    def _hear(self, text: str, now: float) -> list[c.Command]:
        """Speech, with its words so far: open a turn, go on with it, or interrupt."""
        if self.state in _OPEN:
            return self._note_words(text)
        if self.state is State.OVERLAP:
            self._turn.heard(text)
            return self._barge_in(now) if self._interrupts(now) else []
        self._open_turn(text, now)
        if self.state is State.SPEAKING and self._interrupts(now):
            return self._barge_in(now)
        waits = self._answers.awaiting_tools and not self._interrupts(now)
        if self.state is State.SPEAKING or (self.state is State.THINKING and (waits or not self._supersedes)):
            self._move(Cause.OVERLAP_STARTED)
            return []
        cut = self._give_way(now)
        self._move(Cause.SPEECH_STARTED)
        return self._announce_turn() + cut

    def _give_way(self, now: float) -> list[c.Command]:
        """The caller speaks before the answer is heard. If it was only a noise, the answer is still owed."""
        if self.state is State.LISTENING:
            return self._answers.abandon()
        lost = self._answers.due if self.state is State.THINKING else self._answers.unheard
        owing = self._answers.owing or lost
        commands = self._answers.cut(TURN_DETECTED, now)
        self._answers.owing = owing
        return commands

    @property
    def _supersedes(self) -> bool:
        """Whether the caller's speech stops an answer that is not heard yet."""
        return self.policy.interruptible or self._turn.committing

    def _is_echo(self, now: float) -> bool:
        """Whether the turn's words are the agent's own, come back."""
        turn = self._turn
        if not turn.over_agent or (
            turn.answers_agent and is_backchannel(turn.text, self.policy.backchannels)
        ):
            return False  # "yes" is an answer, even to "yes?"
        return is_echo(turn.text, turn.agent_said or self._said_meanwhile(now))

    def _said_meanwhile(self, now: float) -> str:
        """What the agent has been saying since the turn began."""
        return self._answers.said_since(self._turn.began_at - BEFORE_S, now)

    def _interrupts(self, now: float) -> bool:
        """Whether the caller's speech stops an answer that is being heard, or the wait for a tool.

        A wait is not ended by a cough, nor by thanks for what is being done.
        """
        policy, text = self.policy, self._turn.text
        if self._turn.committing:
            return True
        if self._is_echo(now):
            return False
        if self._answers.awaiting_tools and not self._answers.audible:
            return policy.interruptible and bool(text.strip()) and not self._is_acknowledgement(text)
        return policy.interruptible and not is_backchannel(text, policy.backchannels)

    def _is_acknowledgement(self, text: str) -> bool:
        return acknowledges(text, self.policy.backchannels, self.policy.thanks)

    def _barge_in(self, now: float) -> list[c.Command]:
        cut = self._give_way(now)
        self._move(Cause.BARGED_IN)
        # The caller's start comes first: it is what makes the client's side fall silent.
        return self._announce_turn() + cut

    def _open_turn(self, text: str, now: float) -> None:
        self._turn = CallerTurn(
            self._turn.turn_id + 1,
            self.new_item_id(),
            text,
            committing=self._commit_awaited,
            answers_agent=self._answers.invites_answer(now),
            began_at=now,
            over_agent=self._answers.audible and now <= self._answers.ends_at,
        )
        self._silent.spoke()
        self._commit_awaited = False

    def _announce_turn(self) -> list[c.Command]:
        turn = self._turn
        turn.announced = True
        commands: list[c.Command] = [c.TurnStarted(turn.turn_id, turn.item_id)]
        if turn.text:
            commands.append(c.TurnHeard(turn.turn_id, turn.item_id, turn.text))
        return commands

    def _note_words(self, text: str) -> list[c.Command]:
        turn = self._turn
        return [c.TurnHeard(turn.turn_id, turn.item_id, turn.text)] if turn.heard(text) else []

    # --- the caller's turn ends ----------------------------------------------------------------------------------

    def _on_eager_end(self, event: e.EagerEndOfTurn, now: float) -> list[c.Command]:
        if self._is_late(event.text):
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
        turn.timeline = self._new_timeline(now)
        tentative = Message(turn.item_id, "user", turn.text)
        return commands + self._answers.begin(
            turn.turn_id, now, tentative=tentative, timeline=turn.timeline, words=turn.text
        )

    def _on_resumed(self, event: e.TurnResumed, now: float) -> list[c.Command]:
        if self.state is not State.EAGER:
            return []  # it was a backchannel's, or the turn was not taken as ended
        self._move(Cause.TURN_RESUMED)
        self._turn.speech_ended_at = None
        return self._answers.drop("resumed")

    def _on_end(self, event: e.EndOfTurn, now: float) -> list[c.Command]:
        again = self.state not in (*_OPEN, State.OVERLAP) and self._ended_words == words_of(event.text)
        late = again or self._is_late(event.text)
        self._unended = False
        self._ended_words = words_of(event.text)
        if late:
            return self._on_nothing_heard(now)
        commands = self._hear(event.text, now)
        if event.speech_ended_at is not None:
            self._turn.speech_ended_at = event.speech_ended_at
            if self._turn.timeline:
                self._turn.timeline.start_at(event.speech_ended_at)
        if self._awaits_commit:
            self._turn.before = self._turn.text
            return commands + self._on_resumed(e.TurnResumed(), now)
        if self.state is State.OVERLAP:
            return commands + self._end_overlap(now)
        return commands + self._end_turn(now)

    @property
    def _awaits_commit(self) -> bool:
        """Only the client's word ends the open turn."""
        return not self.policy.automatic and not self._turn.committing

    def _end_overlap(self, now: float) -> list[c.Command]:
        """What was said over the agent did not interrupt it: a backchannel, or words to be answered after."""
        self._move(Cause.OVERLAP_ENDED)
        turn, policy = self._turn, self.policy
        commands: list[c.Command] = []
        if turn.text and self._answers.awaiting_tools and self._is_acknowledgement(turn.text):
            if turn.answers_agent:  # the filler asked something
                commands = [*self._announce_turn(), *self._record_turn()]
        elif (
            turn.text
            and not self._is_echo(now)
            and (turn.answers_agent or not is_backchannel(turn.text, policy.backchannels))
        ):
            commands = [*self._announce_turn(), *self._record_turn()]
            self._answers.owing = self.policy.reply_to_turns
            turn.speech_ended_at = None  # the wait for the agent to finish is no latency
        if self._answers.audible:
            return [*commands, c.SetDeadline(PLAYED_OUT, max(self._answers.ends_at, now))]
        self._move(Cause.MORE_AWAITED)
        return commands

    def _end_turn(self, now: float) -> list[c.Command]:
        turn, request = self._turn, self._request
        if not turn.committing and self._is_echo(now):
            turn.text = ""
        words = bool(turn.text.strip())
        wanted = words and self.policy.automatic and self.policy.reply_to_turns
        own_terms = request is not None and request != e.ReplyRequested()
        same_words = words_of(turn.speculated_text) == words_of(turn.text)
        if words:
            self._answers.take_rest()  # the caller wanted to speak
        if not words:
            self._move(Cause.TURN_EMPTY)
        else:
            self._move(Cause.TURN_ENDED if wanted or request else Cause.TURN_NOTED)
        commands: list[c.Command] = [c.ClearDeadline(COMMIT)]
        if self._answers.speculating and not (wanted and same_words and not own_terms):
            commands += self._answers.drop("reworded")
        commands += self._record_turn()
        if self.state is not State.THINKING:
            return commands + self._catch_up(now)
        self._request = None
        if self._answers.speculating:
            commands += self._answers.confirm(now)
        else:
            timeline = self._new_timeline(now)
            commands += self._answers.begin(
                turn.turn_id, now, timeline=timeline, request=request, words=turn.text
            )
        return self._after(commands, now)

    def _record_turn(self) -> list[c.Command]:
        turn = self._turn
        if not turn.text.strip():
            return [c.TurnEnded(turn.turn_id, turn.item_id, None)]
        item = Message(turn.item_id, "user", turn.text.strip())
        return [c.TurnEnded(turn.turn_id, turn.item_id, item, self.history.append(item))]

    def _new_timeline(self, now: float) -> Timeline:
        """A timeline from the caller's last sample of speech (or from now, if that is not known)."""
        ended_at = self._turn.speech_ended_at
        timeline = Timeline(now if ended_at is None else min(ended_at, now))
        timeline.mark("end_of_turn", now)
        return timeline

    def _on_hearing_resumes(self, event: e.HearingResumes, now: float) -> list[c.Command]:
        """Half a turn is not answered: its end is still to be heard."""
        if self.state in (*_OPEN, State.OVERLAP) and not event.anew:
            self._turn.before = self._turn.text
        return self._on_resumed(e.TurnResumed(), now)

    def _on_hearing_lost(self, event: e.HearingLost, now: float) -> list[c.Command]:
        """The words there are will not be added to: they are the turn."""
        if self.state not in (*_OPEN, State.OVERLAP):
            return self._on_nothing_heard(now)
        if self._awaits_commit:
            self._turn.before = self._turn.text
            return self._on_resumed(e.TurnResumed(), now)
        return self._end_overlap(now) if self.state is State.OVERLAP else self._end_turn(now)

    # --- the agent speaks ----------------------------------------------------------------------------------------

    def _after(self, commands: list[c.Command], now: float) -> list[c.Command]:
        """Follow the replies: whether the agent is heard, is still awaited, or has nothing to say."""
        if self.state is State.THINKING:
            if self._answers.audible:
                self._move(Cause.REPLY_AUDIBLE)
            elif not self._answers.busy:
                self._move(Cause.REPLY_OVER)
                return commands + self._catch_up(now)
        elif self.state is State.OVERLAP and not (self._answers.audible or self._answers.busy):
            return commands + self._hand_over(now)
        return commands + self._say_next(now)

    def _catch_up(self, now: float) -> list[c.Command]:
        """Nobody speaks: answer what had to wait for that, or go on with what a noise has stopped."""
        request, self._request = self._request, None
        rest, answers = self._answers.take_rest(), self._answers
        if request is None and not answers.owing and rest:
            self._move(Cause.REPLY_REQUESTED)
            return self._after(answers.recite(self._turn.turn_id, rest, now), now)
        if request is None and self._answers.owing:
            self._answers.owing = False
            if self.policy.automatic and self.policy.reply_to_turns:
                request = e.ReplyRequested()
        if request:
            return self._on_requested(request, now)
        if answers.untold and self._replies_by_itself:
            return self._tell(now)
        return self._say_next(now) or self._await_caller(now)

    @property
    def _replies_by_itself(self) -> bool:
        return self.policy.automatic and self.policy.reply_to_turns

    def _tell(self, now: float) -> list[c.Command]:
        """Speak about what tools have given that nobody awaited any more."""
        self._move(Cause.REPLY_REQUESTED)
        self._turn = CallerTurn(self._turn.turn_id + 1, self.new_item_id())
        return self._answers.tell(self._turn.turn_id, now)

    def _on_tool_finished(self, event: e.ToolFinished, now: float) -> list[c.Command]:
        commands = self._after(self._answers.finish_tool(event, now), now)
        at_rest = self.state is State.LISTENING and not (self._answers.busy or self._answers.awaiting_client)
        if at_rest and self._answers.untold and self._replies_by_itself and not self._commit_awaited:
            return commands + self._tell(now)
        return commands

    # --- a caller who falls silent -------------------------------------------------------------------------------

    def _await_caller(self, now: float) -> list[c.Command]:
        wait_s = self._silent.wait_s(self.policy)
        if wait_s is None or self._answers.awaiting_client or not self._replies_by_itself:
            return []
        return [c.SetDeadline(IDLE, now + wait_s)]

    def _on_idle(self, now: float) -> list[c.Command]:
        """Nobody has said anything for long: ask, and at last hang up."""
        policy = self.policy
        if self.state is not State.LISTENING or policy.idle_s is None:
            return []
        if self._silent.look(policy) is Silence.HANG_UP:
            return [c.HangUp(SILENT)]
        self._move(Cause.REPLY_REQUESTED)
        self._turn = CallerTurn(self._turn.turn_id + 1, self.new_item_id())
        if policy.still_there:
            said = self._answers.recite(self._turn.turn_id, policy.still_there, now)
            return self._after(said, now)
        timeline = Timeline(now)
        return self._answers.begin(self._turn.turn_id, now, timeline=timeline)

    def _on_say(self, event: e.SayRequested, now: float) -> list[c.Command]:
        """The agent's own words wait, in order, until nothing else is being said."""
        if len(self._to_say) >= self.policy.texts_to_say:
            return [c.SayDropped(event.text)]
        self._to_say.append(event.text)
        return self._say_next(now)

    def _say_next(self, now: float) -> list[c.Command]:
        """Say what waits longest, if it is time: behind what is still being played, or while tools run."""
        answers = self._answers
        if not self._to_say or self._request or self._commit_awaited or answers.generating:
            return []
        if self.state is State.LISTENING:
            self._move(Cause.REPLY_REQUESTED)
        elif self.state not in (State.THINKING, State.SPEAKING):
            return []
        commands = answers.recite(self._turn.turn_id, self._to_say.popleft(), now)
        return self._after(commands, now)

    def _on_deadline(self, event: e.DeadlinePassed, now: float) -> list[c.Command]:
        if event.name == FIRST_AUDIO:
            return self._after(self._answers.overdue(now), now)
        if event.name == PLAYED_OUT:
            return self._played_out(now)
        if event.name == CHUNK:
            self._chunk_due = None
            return self._answers.hurry(now)
        if event.name == FILLER:
            return self._after(self._answers.fill(now), now)
        if event.name == IDLE:
            return self._on_idle(now)
        if self.state not in _OPEN:
            return self._on_nothing_heard(now)
        if not self._turn.committing:
            return []
        self._unended = True
        return self._end_turn(now)

    def _played_out(self, now: float) -> list[c.Command]:
        overlapped = self.state is State.OVERLAP
        if not overlapped and self.state is not State.SPEAKING:
            return []
        if now < self._answers.ends_at:
            return [c.SetDeadline(PLAYED_OUT, self._answers.ends_at)]
        if self._answers.speaking_on:
            return []  # the voice is late; the deadline is set again when it is done
        if self._answers.busy:
            if overlapped:
                return []  # decided when the overlap ends
            self._move(Cause.MORE_AWAITED)
            return self._answers.played_out(now)
        if overlapped:
            return self._hand_over(now)
        self._move(Cause.PLAYED_OUT)
        return self._answers.played_out(now) + self._catch_up(now)

    def _hand_over(self, now: float) -> list[c.Command]:
        """The agent has finished while the caller speaks: what the caller says is a turn."""
        self._move(Cause.PLAYED_OUT)
        self._turn.agent_said = self._said_meanwhile(now)
        commands = self._answers.played_out(now) + self._answers.abandon() + self._announce_turn()
        return commands + (self._commit(now) if self._request and self._awaits_commit else [])

    # --- the client asks -----------------------------------------------------------------------------------------

    def _on_committed(self, event: e.TurnCommitted, now: float) -> list[c.Command]:
        if self.policy.automatic and self.state not in (State.LISTENING, *_OPEN):
            return []  # recognition ends such turns, and perhaps there is none
        if self.state in (State.THINKING, State.SPEAKING):
            # What the caller said may not have been recognised yet. If there is nothing, nothing stops for it.
            self._commit_awaited = True
            return [c.EndHearing(), c.SetDeadline(COMMIT, now + self.policy.commit_s)]
        commands: list[c.Command] = []
        if self.state is State.LISTENING:
            commands = self._hear("", now)
        elif self.state is State.OVERLAP:
            commands = self._barge_in(now)
        return commands + self._commit(now)

    def _on_cleared(self, event: e.AudioCleared, now: float) -> list[c.Command]:
        cleared: list[c.Command] = [c.InputCleared()]
        if self.state not in (*_OPEN, State.OVERLAP) or self.policy.automatic:
            return cleared
        self._turn.text = self._turn.before = ""
        self._unended = True
        return cleared + (self._end_overlap(now) if self.state is State.OVERLAP else self._end_turn(now))

    def _commit(self, now: float) -> list[c.Command]:
        self._turn.committing = True
        return [c.EndHearing(), c.SetDeadline(COMMIT, now + self.policy.commit_s)]

    def _on_nothing_heard(self, now: float) -> list[c.Command]:
        """No turn is open and none will come of what was committed."""
        if not self._commit_awaited:
            return []
        self._commit_awaited = False
        commands: list[c.Command] = [c.ClearDeadline(COMMIT)]
        return commands + (self._catch_up(now) if self.state is State.LISTENING else [])

    def _on_requested(self, event: e.ReplyRequested, now: float) -> list[c.Command]:
        answers = self._answers
        if self._request or answers.generating or answers.awaiting_tools:
            raise ClientProtocolError(
                "There is a response in progress: wait for response.done, or cancel it first.",
                code="conversation_already_has_active_response",
            )
        if self._commit_awaited or self.state in (*_OPEN, State.OVERLAP):
            self._request = event  # answered when the caller has finished
            return self._commit(now) if self.state in _OPEN and self._awaits_commit else []
        if self.state is State.LISTENING:
            self._move(Cause.REPLY_REQUESTED)
        if answers.finished(self._turn.turn_id):
            self._turn = CallerTurn(self._turn.turn_id + 1, self.new_item_id())
        timeline = None if answers.awaiting_client else self._new_timeline(now)
        return answers.begin(self._turn.turn_id, now, timeline=timeline, request=event)

    def _on_cancelled(self, event: e.ReplyCancelled, now: float) -> list[c.Command]:
        if self._request and event.reply_id is None:
            self._request = None
            return []
        answers = self._answers
        if event.reply_id is None:
            active = answers.generating or answers.awaiting_tools
        else:
            active = answers.knows(event.reply_id)
        if not active:
            raise ClientProtocolError(
                "There is no such response in progress.", code="response_cancel_not_active"
            )
        self._move(Cause.REPLY_OVER)
        commands = answers.cancel(now)
        return commands + (self._announce_turn() if self.state is State.HEARING else self._catch_up(now))

    def _on_truncated(self, event: e.Truncated, now: float) -> list[c.Command]:
        message = self.history.truncate(event.item_id, event.audio_end_ms)
        return [c.AnswerCut(message.item_id, event.audio_end_ms, message.heard_text)]

    def _on_played(self, event: e.Played, now: float) -> list[c.Command]:
        self._answers.note_played(event.item_id, event.played_ms)
        return []

    def _on_item_created(self, event: e.ItemCreated, now: float) -> list[c.Command]:
        item = event.item
        item.item_id = item.item_id or self.new_item_id()
        return [c.ItemAdded(item, self.history.add(item, after=event.after))]

    def _on_item_deleted(self, event: e.ItemDeleted, now: float) -> list[c.Command]:
        self.history.remove(event.item_id)
        return [c.ItemRemoved(event.item_id)]

    def _on_hung_up(self, event: e.HungUp, now: float) -> list[c.Command]:
        self._over = True
        dropped = self._answers.drop("resumed") if self._answers.speculating else []
        return [*dropped, *self._answers.cut("client_cancelled", now, "unanswered"), c.ClearDeadline(COMMIT)]
