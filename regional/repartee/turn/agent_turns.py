"""The agent's turns: when it is heard, when it has finished, and what it says once nobody speaks.

Answers what is owed, tells what tools have given, says what waits on the agenda. What the caller does is the
machine's business; both change the one floor.
"""

from repartee.errors import ClientProtocolError, ReplyInProgress
from repartee.latency.timeline import Timeline
from repartee.turn import commands as c
from repartee.turn import events as e
from repartee.turn.agenda import Agenda
from repartee.turn.answering import PLAYED_OUT, Answering
from repartee.turn.caller_turns import CallerTurns
from repartee.turn.overlap import OverlapJudge
from repartee.turn.policy import TurnPolicy
from repartee.turn.silent_caller import IDLE, SILENT, Silence, SilentCaller
from repartee.turn.state import Cause, Floor, State


class AgentTurns:
    """What the agent does in one conversation. ``agenda`` is what waits until nobody speaks."""

    def __init__(self, floor: Floor, turns: CallerTurns, answers: Answering, judge: OverlapJudge) -> None:
        self.agenda = Agenda()
        self._silent = SilentCaller()
        self._floor = floor
        self._turns = turns
        self._answers = answers
        self._judge = judge

    def __repr__(self) -> str:
        return f"<AgentTurns: {self._floor}, {self.agenda}>"

    @property
    def _policy(self) -> TurnPolicy:
        return self._answers.policy

    @property
    def _generating(self) -> bool:
        """A reply that the client knows of is being made."""
        return self._answers.replies.confirmed is not None

    def follow(self, commands: list[c.Command], now: float) -> list[c.Command]:
        """Follow the replies: whether the agent is heard, is still awaited, or has nothing to say."""
        if self._floor.state is State.THINKING:
            if self._answers.playout.audible:
                self._floor.move(Cause.REPLY_AUDIBLE)
            elif not self._answers.busy:
                self._floor.move(Cause.REPLY_OVER)
                return commands + self.catch_up(now)
        elif self._floor.state is State.OVERLAP and not (self._answers.playout.audible or self._answers.busy):
            return commands + self._hand_over(now)
        return commands + self._say_next(now)

    def played_out(self, now: float) -> list[c.Command]:
        """All that was sent should have been heard by now."""
        overlapped = self._floor.state is State.OVERLAP
        if not overlapped and self._floor.state is not State.SPEAKING:
            return []
        playout = self._answers.playout
        if now < playout.ends_at:
            return [c.SetDeadline(PLAYED_OUT, playout.ends_at)]
        if playout.holds_any(self._answers.replies):
            return []  # the voice is late; the deadline is set again when it is done
        if self._answers.busy:
            if overlapped:
                return []  # decided when the overlap ends
            self._floor.move(Cause.MORE_AWAITED)
            return self._turns.let_out() + self._answers.played_out(now)
        if overlapped:
            return self._hand_over(now)
        self._floor.move(Cause.PLAYED_OUT)
        return self._answers.played_out(now) + self.catch_up(now)

    def _hand_over(self, now: float) -> list[c.Command]:
        """The agent has finished while the caller speaks: what the caller says is a turn."""
        self._floor.move(Cause.PLAYED_OUT)
        self._turns.current.agent_said = self._judge.said_meanwhile(self._turns.current, now)
        commands = self._answers.played_out(now) + self._answers.abandon() + self._turns.announce()
        if self.agenda.request and self._turns.awaits_commit(self._policy):
            commands += self._turns.commit(now, self._policy.commit_s)
        return commands

    def caller_spoke(self) -> None:
        """The caller is there."""
        self._silent.spoke()

    # --- nobody speaks -------------------------------------------------------------------------------------------

    def catch_up(self, now: float) -> list[c.Command]:
        """Nobody speaks: answer what had to wait for that, or go on with what a noise has stopped."""
        kept = self._turns.let_out()
        return kept + self._go_on(now)

    def _go_on(self, now: float) -> list[c.Command]:
        request, answers = self.agenda.take_request(), self._answers
        rest, owed = answers.playout.take_rest(), answers.owed
        if request is None and not owed.owing and rest:
            self._floor.move(Cause.REPLY_REQUESTED)
            resumed = answers.recite(self._turns.current.turn_id, rest, now, resumes=True)
            return self.follow(resumed, now)
        if request is None and owed.owing:
            owed.owing = False
            request = e.ReplyRequested() if self._policy.replies_by_itself else None
        if request:
            return self.request(request, now)
        if answers.calls.untold and self._policy.replies_by_itself:
            return self._tell(now)
        return self._say_next(now) or self._await_caller(now)

    def _tell(self, now: float) -> list[c.Command]:
        """Speak about what tools have given that nobody awaited any more."""
        self._floor.move(Cause.REPLY_REQUESTED)
        self._turns.open_wordless()
        return self._answers.tell(self._turns.current.turn_id, now)

    def finish_tool(self, event: e.ToolFinished, now: float) -> list[c.Command]:
        """A tool's result: the model gets it at once if nobody speaks and no answer waits for it."""
        commands = self.follow(self._answers.finish_tool(event, now), now)
        answers, listening = self._answers, self._floor.state is State.LISTENING
        at_rest = listening and not (answers.busy or answers.awaiting_client or self._turns.commit_awaited)
        tells = at_rest and answers.calls.untold and self._policy.replies_by_itself
        return commands + self._tell(now) if tells else commands

    def say(self, event: e.SayRequested, now: float) -> list[c.Command]:
        """The agent's own words wait, in order, until nothing else is being said."""
        if not self.agenda.add_text(event.text, self._policy.texts_to_say):
            return [c.SayDropped(event.text)]
        return self._say_next(now)

    def _say_next(self, now: float) -> list[c.Command]:
        """Say what waits longest, if it is time: behind what is still being played, or while tools run."""
        agenda = self.agenda
        if not agenda.has_texts or agenda.request or self._turns.commit_awaited or self._generating:
            return []
        if self._floor.state is State.LISTENING:
            self._floor.move(Cause.REPLY_REQUESTED)
        elif self._floor.state not in (State.THINKING, State.SPEAKING):
            return []
        return self.follow(self._answers.recite(self._turns.current.turn_id, agenda.take_text(), now), now)

    def _await_caller(self, now: float) -> list[c.Command]:
        wait_s = self._silent.wait_s(self._policy)
        if wait_s is None or self._answers.awaiting_client or not self._policy.replies_by_itself:
            return []
        return [c.SetDeadline(IDLE, now + wait_s)]

    def ask_whether_there(self, now: float) -> list[c.Command]:
        """Nobody has said anything for long: ask, and at last hang up."""
        policy, answers = self._policy, self._answers
        if self._floor.state is not State.LISTENING or policy.idle_s is None:
            return []
        if self._silent.look(policy) is Silence.HANG_UP:
            return [c.HangUp(SILENT)]
        self._floor.move(Cause.REPLY_REQUESTED)
        self._turns.open_wordless()
        if policy.idle_reported:
            idle = c.CallerIdle(self._turns.current.item_id, policy.idle_s * 1000)
            return [idle, *answers.begin(self._turns.current.turn_id, now, timeline=Timeline(now))]
        if policy.still_there:
            return self.follow(answers.recite(self._turns.current.turn_id, policy.still_there, now), now)
        return answers.begin(self._turns.current.turn_id, now, timeline=Timeline(now))

    # --- the client asks -----------------------------------------------------------------------------------------

    def request(self, event: e.ReplyRequested, now: float) -> list[c.Command]:
        """The client asks for a reply. Raises ClientProtocolError while another is made."""
        answers = self._answers
        if self.agenda.request or self._generating or answers.calls:
            raise ReplyInProgress(answers.replies.latest_id)
        if self._turns.commit_awaited or self._floor.taken:
            self.agenda.request = event  # answered when the caller has finished
            commits = self._floor.open and self._turns.awaits_commit(self._policy)
            return self._turns.commit(now, self._policy.commit_s) if commits else []
        if self._floor.state is State.LISTENING:
            self._floor.move(Cause.REPLY_REQUESTED)
        left = answers.abandon() if self.agenda.words else []  # whatever it answers next, it is not that call
        if self.agenda.words or answers.owed.finished(self._turns.current.turn_id):
            self._turns.open_wordless()
        self.agenda.settle()
        timeline = None if answers.awaiting_client else self._turns.timeline(now)
        return left + answers.begin(self._turns.current.turn_id, now, timeline=timeline, request=event)

    def cancel(self, event: e.ReplyCancelled, now: float) -> list[c.Command]:
        """The client wants to hear no more. Raises ClientProtocolError if nothing is made."""
        if event.reply_id is None and self.agenda.take_request():
            return []
        answers = self._answers
        if event.reply_id is None:
            active = self._generating or bool(answers.calls)
        else:
            reply = answers.replies.find(event.reply_id)
            active = reply is not None and reply.confirmed
        if not active:
            raise ClientProtocolError(
                "Cancellation failed: no active response found", code="response_cancel_not_active"
            )
        self._floor.move(Cause.REPLY_OVER)
        commands = answers.cancel(now)
        hearing = self._floor.state is State.HEARING
        return commands + (self._turns.announce() if hearing else self.catch_up(now))
