"""What the agent owes the caller: the turn whose answer is due, what has been tried for it, and by when they must
hear it.

Decides how often a model may be asked and when silence has lasted too long. Knows nothing of sound.
"""

import msgspec

from repartee.latency.kinds import kind_of
from repartee.latency.timeline import TurnTrace
from repartee.turn import commands as c
from repartee.turn.outcome import TurnOutcome, when_cut, when_left
from repartee.turn.policy import TurnPolicy
from repartee.turn.reply import Reply
from repartee.turn.turn_effort import TurnEffort


class OwedAnswer:
    """What one caller is still owed.

    ``owing``: an answer is still owed to words that a noise has kept from being answered."""

    def __init__(self) -> None:
        self.owing = False
        self._due: int | None = None
        self._finished = -1
        self._extra_turn = -1
        self._extra = 0
        self._effort = TurnEffort()
        self._trace: TurnTrace | None = None

    def __repr__(self) -> str:
        return f"<OwedAnswer: turn {self._due}, {self._effort}>"

    @property
    def due(self) -> bool:
        """A turn's answer is not over."""
        return self._due is not None

    @property
    def unheard(self) -> bool:
        """A turn's answer is to come of which the caller has heard nothing; a filler is no answer."""
        return self._due is not None and self._trace is None

    def finished(self, turn_id: int) -> bool:
        """Whether the turn has had its answer."""
        return turn_id <= self._finished

    def take_on(self, turn_id: int, spoken_until: float) -> list[c.Command]:
        """This turn is the one to be answered; the answer to the one before is complete."""
        self.owing = False
        if self._effort.turn_id != turn_id:
            self._effort = TurnEffort(turn_id)
        self._effort.quiet_since = max(self._effort.quiet_since, spoken_until)
        finished = [] if self._due == turn_id else self.leave("unanswered")
        self._due = turn_id
        return finished

    # --- what it may cost ---------------------------------------------------------------------------------------

    def extra_left(self, turn_id: int, policy: TurnPolicy) -> int:
        """How many requests this turn may still cost beside its replies."""
        used = self._extra if self._extra_turn == turn_id else 0
        return max(policy.extra_requests - used, 0)

    def note_extra(self, turn_id: int) -> None:
        """One was made."""
        if self._extra_turn != turn_id:
            self._extra_turn, self._extra = turn_id, 0
        self._extra += 1

    # --- what is tried -------------------------------------------------------------------------------------------

    def ask(self, reply: Reply, limit: int) -> None:
        """The model is asked for this reply; after ``limit`` tools and requests it may call no more."""
        effort = self._effort
        if effort.turn_id == reply.turn_id:
            reply.may_call = effort.may_call(limit)
            effort.requests += 1

    def note_speculation(self) -> None:
        """The request that was made before the turn had ended counts as one of its own."""
        self._effort.requests += 1

    def note_call(self) -> None:
        """A tool was called."""
        self._effort.calls += 1

    def asks_again(self, reply: Reply) -> bool:
        """Whether the model is asked once more. One that failed was already; one that calls tools will not stop."""
        may = reply.may_call and not (reply.failure or reply.recited or self._effort.asked_again)
        return may and self._effort.turn_id == reply.turn_id

    def note_asked_again(self) -> None:
        """It is."""
        self._effort.asked_again = True

    def company_by(self, sound_until: float, policy: TurnPolicy) -> float:
        """When somebody who waits for a tool must have heard something."""
        return max(self._effort.quiet_since, sound_until) + policy.patience_s

    def takes_company(self, turn_id: int, sound_until: float, policy: TurnPolicy, now: float) -> bool:
        """Whether whoever waits for this turn's answer must hear a word at once: what begins now comes too late. True
        once in a silence."""
        effort = self._effort
        since = max(effort.quiet_since, sound_until)
        owed = self.due and effort.turn_id == turn_id
        if not owed or not policy.company or now < since + policy.patience_s or effort.accompanied == since:
            return False
        effort.accompanied = since
        return True

    def too_late(self, turn_id: int, sound_until: float, policy: TurnPolicy, now: float) -> bool:
        """Whether nothing that begins now is heard in time by whoever waits for this turn's answer."""
        since = max(self._effort.quiet_since, sound_until)
        return self.due and self._effort.turn_id == turn_id and now >= since + policy.latest_apology_s

    def silent_until(self, reply: Reply, sound_until: float, policy: TurnPolicy) -> float:
        """When the caller has heard nothing for too long; they hear the last sound until ``sound_until``. All replies
        to a turn share its time; one that begins late has a little more. What is recited when none is left has its
        own: nothing else could be heard any sooner."""
        if reply.urgent:
            return max(reply.news_at, sound_until) + policy.apology_s
        of_turn = self._effort.turn_id == reply.turn_id and (self.due or not reply.recited)
        own_time = not (reply.message.spoken and (of_turn or reply.resumes))
        since = reply.news_at if own_time else self._effort.quiet_since
        due = policy.overdue_at(max(since, sound_until), reply.news_at)
        return reply.news_at + policy.reply_s if reply.recited and due <= reply.news_at else due

    # --- how it ends ---------------------------------------------------------------------------------------------

    def trace(self, reply: Reply, *, filler_ms: float | None, prefetch: str | None) -> list[c.Command]:
        """The answer's first sound, if this reply has just had it."""
        if reply.trace is None or self._trace is not None:
            return []
        kind = kind_of(reply.trace.stages_ms, prefetch)
        self._trace = msgspec.structs.replace(reply.trace, filler_ms=filler_ms, prefetch=prefetch, kind=kind)
        return [c.TurnTraced(self._trace)]

    def cut(self, unheard: TurnOutcome) -> list[c.Command]:
        """The answer was stopped; ``unheard`` is the outcome if nothing of it was audible."""
        return self.close(when_cut(audible=self._trace is not None, unheard=unheard))

    def leave(self, otherwise: TurnOutcome) -> list[c.Command]:
        """Nothing more of it is to come; ``otherwise`` is the outcome if nothing of it was audible."""
        return self.close(when_left(answered=self._trace is not None, otherwise=otherwise))

    def close(self, outcome: TurnOutcome, *, apology: bool = False) -> list[c.Command]:
        """The turn that awaited an answer awaits it no longer; ``apology``: the caller hears one instead."""
        if self._due is None:
            return []
        finished = c.TurnFinished(self._due, outcome, self._trace, apology)
        self._finished = self._due
        self._due = self._trace = None
        return [finished]
