"""The turn core: every decision on whose turn it is.

``TurnMachine.receive(event, now)`` takes what happened and returns what to do about it. It holds the whole state of
the conversation and touches nothing else: no task, no socket, no clock.
"""

from collections.abc import Callable
from typing import Any

from repartee.turn import commands as c
from repartee.turn import events as e
from repartee.turn.agent_turns import AgentTurns
from repartee.turn.answering import CHUNK, FIRST_AUDIO, PLAYED_OUT, TURN_DETECTED, Answering
from repartee.turn.asides import Asides
from repartee.turn.backchannel import words_of
from repartee.turn.caller_turn import CallerTurn
from repartee.turn.caller_turns import COMMIT, CallerTurns
from repartee.turn.client_items import ClientItems
from repartee.turn.filler import FillerChoice, NoFillers
from repartee.turn.history import History, Message
from repartee.turn.overlap import OverlapJudge
from repartee.turn.policy import TurnPolicy
from repartee.turn.silent_caller import IDLE
from repartee.turn.state import Cause, Floor, State
from repartee.turn.tool_wait import FILLER


class TurnMachine:
    """One conversation. ``call_id`` makes item ids unique beyond it.

    Takes what the caller does, and puts together what keeps the rest: the caller's turns, the agent's answers and its
    turns, and the judge of what is said over them. All share one floor.
    """

    def __init__(
        self,
        call_id: str,
        policy: TurnPolicy | None = None,
        fillers: FillerChoice | None = None,
    ) -> None:
        policy = policy or TurnPolicy()
        self.history = History(policy.history)
        self._floor = Floor()
        self._call_id = call_id
        self._turns = CallerTurns(self.history, call_id)
        self._answers = Answering(self.history, self._turns.new_item_id, fillers or NoFillers())
        self._asides = Asides(self.history, self._answers.replies, self._answers.calls)
        self._judge = OverlapJudge(self._answers)
        self._agent = AgentTurns(self._floor, self._turns, self._answers, self._judge)
        self._over = False
        self._chunk_due: float | None = None
        self.policy = policy
        self._handlers = self._make_handlers()

    def _make_handlers(self) -> dict[type[e.Event], Callable[[Any, float], list[c.Command]]]:
        answers, telling = self._answers, self._answers.telling
        return {
            e.StartOfTurn: self._on_start,
            e.PartialTranscript: self._on_partial,
            e.EagerEndOfTurn: self._on_eager_end,
            e.TurnResumed: self._on_resumed,
            e.EndOfTurn: self._on_end,
            e.HearingResumes: self._on_hearing_resumes,
            e.HearingLost: self._on_hearing_lost,
            e.LookedUp: answers.take_lookups,
            e.ExtraRequest: self._on_extra,
            e.ReplyText: telling.take_text,
            e.ReplyToolCall: answers.take_call,
            e.ReplyDone: lambda event, now: self._agent.follow(answers.finish_text(event, now), now),
            e.ReplyUsed: lambda event, now: self._agent.follow(answers.count(event, now), now),
            e.VoiceUsed: answers.count,
            e.ReplyFailed: lambda event, now: self._agent.follow(answers.fail(event, now), now),
            e.SpeechAudio: lambda event, now: self._agent.follow(telling.take_audio(event, now), now),
            e.SpeechWords: telling.take_words,
            e.SpeechDone: lambda event, now: self._agent.follow(answers.finish_speech(event, now), now),
            e.ToolFinished: self._agent.finish_tool,
            e.Summarised: self._on_summarised,
            e.SayRequested: self._agent.say,
            e.NoticeSent: self._on_notice,
            e.TurnCommitted: self._on_committed,
            e.AudioCleared: self._on_cleared,
            e.ReplyRequested: self._agent.request,
            e.AsideRequested: lambda event, now: self._asides.request(event, self.policy, now),
            e.ReplyCancelled: self._agent.cancel,
            e.Played: self._on_played,
            **ClientItems(self.history, self.new_item_id, self._agent.agenda.note_item).handlers,
            e.DeadlinePassed: self._on_deadline,
            e.HungUp: self._on_hung_up,
        }

    def __repr__(self) -> str:
        return (
            f"<TurnMachine {self._call_id}: {self.state.name}, turn {self._turn.turn_id}, {self._answers!r}>"
        )

    @property
    def state(self) -> State:
        """Where the conversation stands."""
        return self._floor.state

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
        return self._answers.replies.confirmed is not None

    @property
    def heard_until(self) -> float:
        """When the caller will have heard all that was sent, as far as is known now (s)."""
        return self._answers.playout.ends_at

    def new_item_id(self) -> str:
        """An id for the history's next item."""
        return self._turns.new_item_id()

    def _on_notice(self, event: e.NoticeSent, now: float) -> list[c.Command]:
        self._answers.playout.note_notice(event.number, event.message, now)
        return []

    def receive(self, event: e.Event, now: float) -> list[c.Command]:
        """What to do about an event, in order. ``now`` is seconds on any monotonic clock.

        Raises IllegalTransition for an event that cannot happen in this state and ClientProtocolError for a
        client's request that cannot be met; in both cases nothing has changed.
        """
        if self._over:
            return []
        if self._asides.concerns(event):
            return self._asides.receive(event, self.policy, now)
        commands = self._handlers[type(event)](event, now)
        if self._answers.playout.has_notices and any(isinstance(each, c.TurnStarted) for each in commands):
            commands += self._answers.playout.cut_notices(now)
        commands += [c.ItemRemoved(item_id) for item_id in self.history.forgotten()]
        due = self._answers.replies.chunk_due
        if due == self._chunk_due:
            return commands
        self._chunk_due = due
        return [*commands, c.ClearDeadline(CHUNK) if due is None else c.SetDeadline(CHUNK, due)]

    @property
    def _turn(self) -> CallerTurn:
        return self._turns.current

    # --- the caller speaks ---------------------------------------------------------------------------------------

    def _on_start(self, event: e.StartOfTurn, now: float) -> list[c.Command]:
        self._turns.goes_on(anew=True)
        return self._hear(event.text, now)

    def _on_partial(self, event: e.PartialTranscript, now: float) -> list[c.Command]:
        self._turns.goes_on()
        return [] if self._is_late(event.text) else self._hear(event.text, now)

    def _is_late(self, text: str) -> bool:
        """Whether these are words of a turn that is over, or none at all and no turn to which they could belong."""
        if self._floor.taken:
            return False
        return self.state is State.THINKING or self._turns.unended or not text

    def _hear(self, text: str, now: float) -> list[c.Command]:
        """Speech, with its words so far: open a turn, go on with it, or interrupt."""
        if self._floor.open:
            return self._turns.note_words(text)
        if self.state is State.OVERLAP:
            self._turn.heard(text)
            return self._barge_in(now) if self._interrupts(now) else []
        kept = self._turns.let_out()
        self._open_turn(text, now)
        if self.state is State.SPEAKING and self._interrupts(now):
            return kept + self._barge_in(now)
        waits = self._answers.calls and not self._interrupts(now)
        stays = self.state is State.THINKING and (waits or not self._judge.supersedes(self._turn))
        if self.state is State.SPEAKING or stays:
            self._floor.move(Cause.OVERLAP_STARTED)
            return kept
        cut = self._give_way(now)
        self._floor.move(Cause.SPEECH_STARTED)
        return kept + self._turns.announce() + cut

    def _interrupts(self, now: float) -> bool:
        return self._judge.interrupts(self._turn, now)

    def _open_turn(self, text: str, now: float) -> None:
        judge = self._judge
        self._turns.open(text, now, answers_agent=judge.answers_agent(now), over_agent=judge.over_agent(now))
        self._agent.caller_spoke()

    def _give_way(self, now: float) -> list[c.Command]:
        """The caller speaks before the answer is heard. If it was only a noise, the answer is still owed."""
        owed = self._answers.owed
        if self.state is State.LISTENING:
            return self._answers.abandon()
        owing = owed.owing or (owed.due if self.state is State.THINKING else owed.unheard)
        commands = self._answers.cut(TURN_DETECTED, now)
        owed.owing = owing
        return commands

    def _barge_in(self, now: float) -> list[c.Command]:
        cut = self._give_way(now)
        self._floor.move(Cause.BARGED_IN)
        # The caller's start comes first: it is what makes the client's side fall silent.
        return self._turns.announce() + cut

    # --- the caller's turn ends ----------------------------------------------------------------------------------

    def _on_eager_end(self, event: e.EagerEndOfTurn, now: float) -> list[c.Command]:
        if self._is_late(event.text):
            return []
        commands = self._hear(event.text, now)
        turn, policy = self._turn, self.policy
        turn.speech_ended_at = event.speech_ended_at
        if self.state is not State.HEARING or not policy.automatic:
            return commands
        self._floor.move(Cause.EAGER_END)
        wanted = policy.speculate and policy.reply_to_turns and not turn.committing
        spent = turn.speculations >= policy.speculations_per_turn or not self._answers.owed.extra_left(
            turn.turn_id, policy
        )
        if not wanted or not turn.text.strip() or spent:
            return commands
        turn.speculations += 1
        turn.speculated_text = turn.text
        turn.timeline = self._turns.timeline(now)
        tentative = Message(turn.item_id, "user", turn.text)
        return commands + self._answers.begin(
            turn.turn_id, now, tentative=tentative, timeline=turn.timeline, words=turn.text
        )

    def _on_resumed(self, event: e.TurnResumed, now: float) -> list[c.Command]:
        if self.state is not State.EAGER:
            return []  # it was a backchannel's, or the turn was not taken as ended
        self._floor.move(Cause.TURN_RESUMED)
        self._turn.speech_ended_at = None
        return self._answers.drop("resumed")

    def _on_end(self, event: e.EndOfTurn, now: float) -> list[c.Command]:
        again = self._turns.ends(event.text) and not self._floor.taken
        late = again or self._is_late(event.text)
        self._turns.unended = False
        if late:
            return self._on_nothing_heard(now)
        commands = self._hear(event.text, now)
        if event.speech_ended_at is not None:
            self._turn.speech_ended_at = event.speech_ended_at
            self._turn.speech_end_certain = event.speech_end_certain
            if self._turn.timeline:
                self._turn.timeline.start_at(event.speech_ended_at, certain=event.speech_end_certain)
        if self._turns.awaits_commit(self.policy):
            self._turn.before = self._turn.text
            return commands + self._on_resumed(e.TurnResumed(), now)
        if self.state is State.OVERLAP:
            return commands + self._end_overlap(now)
        return commands + self._end_turn(now)

    def _end_overlap(self, now: float) -> list[c.Command]:
        """What was said over the agent did not interrupt it: a backchannel, or words to be answered after."""
        self._floor.move(Cause.OVERLAP_ENDED)
        turn, judge, playout = self._turn, self._judge, self._answers.playout
        if judge.is_acknowledgement(turn):
            if turn.answers_agent:  # the filler asked something
                self._turns.keep_back()
        elif judge.wants_answer(turn, now):
            self._turns.keep_back()
            self._answers.owed.owing = self.policy.reply_to_turns
            turn.speech_ended_at = None  # the wait for the agent to finish is no latency
        if playout.audible:
            return [c.SetDeadline(PLAYED_OUT, max(playout.ends_at, now))]
        self._floor.move(Cause.MORE_AWAITED)
        return self._turns.let_out()

    def _end_turn(self, now: float) -> list[c.Command]:
        turn, request = self._turn, self._agent.agenda.request
        if not turn.committing and self._judge.is_echo(turn, now):
            turn.text = ""
        words = bool(turn.text.strip())
        wanted = words and self.policy.replies_by_itself
        own_terms = request is not None and request != e.ReplyRequested()
        same_words = words_of(turn.speculated_text) == words_of(turn.text)
        if words:
            self._answers.playout.take_rest()  # the caller wanted to speak
        if not words:
            self._floor.move(Cause.TURN_EMPTY)
        else:
            self._floor.move(Cause.TURN_ENDED if wanted or request else Cause.TURN_NOTED)
        commands: list[c.Command] = [c.ClearDeadline(COMMIT)]
        if self._answers.replies.speculating and not (wanted and same_words and not own_terms):
            commands += self._answers.drop("reworded")
        commands += self._turns.record()
        if self.state is not State.THINKING:
            return commands + self._agent.catch_up(now)
        self._agent.agenda.settle()
        if self._answers.replies.speculating:
            commands += self._answers.confirm(now)
        else:
            timeline = self._turns.timeline(now)
            commands += self._answers.begin(
                turn.turn_id, now, timeline=timeline, request=request, words=turn.text
            )
        return self._agent.follow(commands, now)

    def _on_hearing_resumes(self, event: e.HearingResumes, now: float) -> list[c.Command]:
        """Half a turn is not answered: its end is still to be heard."""
        if self._floor.taken and not event.anew:
            self._turn.before = self._turn.text
        return self._on_resumed(e.TurnResumed(), now)

    def _on_hearing_lost(self, event: e.HearingLost, now: float) -> list[c.Command]:
        """The words there are will not be added to: they are the turn."""
        if not self._floor.taken:
            return self._on_nothing_heard(now)
        if self._turns.awaits_commit(self.policy):
            self._turn.before = self._turn.text
            return self._on_resumed(e.TurnResumed(), now)
        return self._end_overlap(now) if self.state is State.OVERLAP else self._end_turn(now)

    # --- the agent speaks ----------------------------------------------------------------------------------------

    def _on_deadline(self, event: e.DeadlinePassed, now: float) -> list[c.Command]:
        if event.name == FIRST_AUDIO:
            return self._agent.follow(self._answers.overdue(now), now)
        if event.name == PLAYED_OUT:
            return self._agent.played_out(now)
        if event.name == CHUNK:
            self._chunk_due = None
            return self._answers.telling.hurry(now)
        if event.name == FILLER:
            return self._agent.follow(self._answers.fill(now), now)
        if event.name == IDLE:
            return self._agent.ask_whether_there(now)
        if not self._floor.open:
            return self._on_nothing_heard(now)
        if not self._turn.committing:
            return []
        self._turns.unended = True
        return self._end_turn(now)

    # --- the client asks -----------------------------------------------------------------------------------------

    def _on_committed(self, event: e.TurnCommitted, now: float) -> list[c.Command]:
        if self.policy.automatic and not (self._floor.open or self.state is State.LISTENING):
            return []  # recognition ends such turns, and perhaps there is none
        if self.state in (State.THINKING, State.SPEAKING):
            # What the caller said may not have been recognised yet. If there is nothing, nothing stops for it.
            self._turns.commit_awaited = True
            return [c.EndHearing(), c.SetDeadline(COMMIT, now + self.policy.commit_s)]
        commands: list[c.Command] = []
        if self.state is State.LISTENING:
            commands = self._hear("", now)
        elif self.state is State.OVERLAP:
            commands = self._barge_in(now)
        return commands + self._turns.commit(now, self.policy.commit_s)

    def _on_cleared(self, event: e.AudioCleared, now: float) -> list[c.Command]:
        cleared: list[c.Command] = [c.InputCleared()]
        if not self._floor.taken or self.policy.automatic:
            return cleared
        self._turn.text = self._turn.before = ""
        self._turns.unended = True
        return cleared + (self._end_overlap(now) if self.state is State.OVERLAP else self._end_turn(now))

    def _on_nothing_heard(self, now: float) -> list[c.Command]:
        """No turn is open and none will come of what was committed."""
        if not self._turns.commit_awaited:
            return []
        self._turns.commit_awaited = False
        commands: list[c.Command] = [c.ClearDeadline(COMMIT)]
        return commands + (self._agent.catch_up(now) if self.state is State.LISTENING else [])

    def _on_extra(self, event: e.ExtraRequest, now: float) -> list[c.Command]:
        if reply := self._answers.replies.find(event.reply_id):
            self._answers.owed.note_extra(reply.turn_id)
        return []

    def _on_summarised(self, event: e.Summarised, now: float) -> list[c.Command]:
        self.history.summary = event.text
        return []

    def _on_played(self, event: e.Played, now: float) -> list[c.Command]:
        self._answers.playout.note_played(event.item_id, event.played_ms)
        return []

    def _on_hung_up(self, event: e.HungUp, now: float) -> list[c.Command]:
        self._over = True
        dropped = self._answers.drop("resumed") if self._answers.replies.speculating else []
        dropped += [*self._turns.let_out(), *self._answers.playout.cut_notices(now), *self._asides.close()]
        return [*dropped, *self._answers.cut("client_cancelled", now, "unanswered"), c.ClearDeadline(COMMIT)]
