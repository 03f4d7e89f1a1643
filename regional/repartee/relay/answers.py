"""What a caller of a relayed call hears when the provider gives nothing, and when nobody says anything.

The provider decides whose turn it is. It leaves the rest to us: whether its response can be heard and comes in
time, whether it calls tools without end, and whether the caller ever learns a result. The rules are those of a
cascade.
"""

from repartee.relay.items import ItemLedger
from repartee.relay.ledger import TurnLedger
from repartee.relay.response import Asked, Recital, Response
from repartee.relay.responses import Responses
from repartee.turn import commands as c
from repartee.turn.policy import TurnPolicy
from repartee.turn.silent_caller import IDLE, SILENT, Silence, SilentCaller
from repartee.turn.tool_wait import ToolWait
from repartee.turn.turn_effort import TurnEffort
from repartee.wire import relay_events as wire

OVERDUE = "overdue"
"""The deadline by which the caller must have heard something."""

PLAYED = "played"
"""The deadline by which the caller has heard everything."""

SLACK_S = 0.001
"""A deadline so near has come: timers are rounded."""


class Answers:
    """The answers of one call. ``owed``: the caller is to hear something."""

    def __init__(
        self, turns: TurnLedger, items: ItemLedger, responses: Responses, wait: ToolWait[Response]
    ) -> None:
        self.owed = False
        self._turns = turns
        self._items = items
        self._responses = responses
        self._wait = wait
        self._asked: Asked | None = None
        self._asked_at = 0.0
        self._apologising = False
        self._silent = SilentCaller()
        self._rests_since: float | None = None

    @property
    def policy(self) -> TurnPolicy:
        """How turns are taken."""
        return self._responses.policy

    # --- what is owed --------------------------------------------------------------------------------------------

    def caller_spoke(self) -> list[c.Command]:
        """Nothing is owed while the caller speaks."""
        self._silent.spoke()
        self._apologising = False
        return self._settled()

    def turn_ended(self, spoken_until: float, now: float) -> list[c.Command]:
        """The caller's turn is over: the provider answers it, if it is to."""
        self._take_on(spoken_until)
        return self._expect(now) if self.policy.reply_to_turns else []

    def requested(self, now: float) -> list[c.Command]:
        """The client asks for a response."""
        if not self._responses.client_calling:
            self._take_on(now)
        return self._expect(now)

    def began(self, now: float) -> list[c.Command]:
        """The provider has begun a response, perhaps one that nobody has asked for: it is to go on, too."""
        return [] if self.owed else self._expect(now)

    def _take_on(self, spoken_until: float) -> None:
        since = max(self._responses.effort.quiet_since, spoken_until)
        self._responses.effort = TurnEffort(self._turns.turn_id, quiet_since=since)

    def _expect(self, now: float) -> list[c.Command]:
        self.owed = True
        self._asked_at = now
        return [c.SetDeadline(OVERDUE, max(self._due_at(), now))]

    def _settled(self) -> list[c.Command]:
        owed, self.owed = self.owed, False
        return [c.ClearDeadline(OVERDUE)] if owed else []

    def _due_at(self) -> float:
        """When the caller has heard nothing for too long. All responses to a turn share its time."""
        policy, heard_until = self.policy, self._turns.speaker.ends_at
        if self._apologising:
            return max(self._asked_at, heard_until) + policy.apology_s
        if self._asked is not None and self._asked.recital is not None:
            return max(self._asked_at, heard_until) + policy.first_audio_s
        due = policy.overdue_at(self._responses.quiet_since, self._asked_at)
        # A provider may begin by itself, whenever it likes.
        return due if due > self._asked_at else self._asked_at + policy.reply_s

    def overdue(self, now: float) -> list[c.Command]:
        """It may be that nothing has been heard for too long."""
        if not self.owed:
            return []
        if self._due_at() > now + SLACK_S:
            return [c.SetDeadline(OVERDUE, self._due_at())]
        responses, asked = self._responses, self._responses.asked
        recital = asked.recital if asked else None
        late = responses.answering
        if late is not None:
            recital = late.recital
        beside = late is None and bool(responses.under_way)  # what is said while a tool runs
        if (tried := late or asked) is not None:
            self._wait.told(tried.tells)  # or it would be tried for ever
        commands = [*self._settled(), *responses.abandon()]
        responses.turn_waits = False
        if late is not None and not late.audible:
            commands += self._drop(late)
        if self._apologising:
            self._apologising = False
            return [*commands, c.GiveUp(f"Nothing came for {self.policy.apology_s:g} s.")]
        if recital is not None or beside:
            return [*commands, *responses.settle(now)]
        reason = f"Nothing came for {self.policy.first_audio_s:g} s."
        heard = late is not None and late.audible
        commands += look_again(self._turns.responded(now, more=False, failed=not heard))
        missing = c.AnswerMissing(0, self._turns.turn_id, reason, False)
        return [*commands, missing, *self._apologise(now)]

    # --- responses -----------------------------------------------------------------------------------------------

    def heard(self, response: Response) -> None:
        """Something of a response can be heard, or read."""
        response.audible = True
        if not response.outside:
            self._wait.told(response.tells)

    def said(self, recital: Recital) -> list[c.Command]:
        """It was said from memory."""
        if not recital.apology:
            return []
        self._apologising = False
        return self._settled()

    def done(self, response: Response, seen: wire.ResponseSeen, now: float) -> list[c.Command]:
        """A response is over: go on, or make up for it."""
        if response.outside:
            responses = self._responses
            awaited = responses.answering or responses.asked or responses.turn_waits
            return [*([] if awaited else self._settled()), *responses.settle(now)]
        commands = self._settled()
        reason, cancelled = seen.reason, seen.status == "cancelled"
        if not cancelled:
            self._wait.told(response.tells)
            self._responses.turn_waits = False  # it had begun before the turn's end, and answers it
        if not response.audible or reason == "content_filter":
            commands += self._drop(response)
        if lacks := _lacks(response, seen):
            return [*commands, *self._make_up_for(response, lacks, now)]
        if response.recital is not None and response.recital.apology:
            self._apologising = False
        failed = seen.status in ("failed", "cancelled")
        more = response.calls and not failed
        commands += look_again(self._turns.responded(now, more=more, failed=failed))
        if reason == "max_output_tokens" and self.policy.more and self.policy.spoken and not response.calls:
            self._responses.say_next(self.policy.more)
        return [*commands, *self._responses.settle(now)]

    def refused(self, event_id: str, error: wire.ErrorSeen, now: float) -> list[c.Command]:
        """The provider did not take an event of the relay's own."""
        asked, commands = self._responses.refused(event_id, error.code)
        if asked is None:
            return commands
        if asked.recital is not None:
            return [*commands, *self._settled(), c.GiveUp(error.message)]
        again = asked.may_call and not self._responses.effort.asked_again
        if not again:
            self._wait.told(asked.tells)
        return [*commands, *self._make_up_for(None, f"refused: {error.message}", now, asked.may_call)]

    def _drop(self, response: Response) -> list[c.Command]:
        """Nobody has heard it: it is no part of the conversation."""
        item_id, response.item_id = response.item_id, None
        if item_id is None or item_id not in self._items:
            return []
        self._items.remove(item_id)
        return [self._responses.delete(item_id)]

    def _make_up_for(
        self, response: Response | None, reason: str, now: float, may_call: bool = True
    ) -> list[c.Command]:
        """Ask once more, then apologise; a caller who cannot even be told that is not kept."""
        recital = response.recital if response else None
        may_call = response.may_call if response else may_call
        if recital is not None:
            if recital.apology:
                self._apologising = False
                return [c.GiveUp(reason)]
            return self._responses.settle(now)
        effort = self._responses.effort
        again = may_call and not effort.asked_again
        missing = c.AnswerMissing(0, self._turns.turn_id, reason, again)
        if again:
            effort.asked_again = True
            return [missing, self._responses.ask_again(response), *self._expect(now)]
        over = look_again(self._turns.responded(now, more=False, failed=True))
        return [missing, *over, *self._apologise(now)]

    def _apologise(self, now: float) -> list[c.Command]:
        if not (self.policy.apology and self.policy.spoken):
            return self._responses.settle(now)
        self._apologising = True
        return self._responses.recite(Recital(self.policy.apology, apology=True))

    # --- whenever something has happened -------------------------------------------------------------------------

    def after(self, now: float) -> list[c.Command]:
        """What follows from how things are now: what was asked for is owed; results are passed on when
        nobody speaks; a caller who is silent from now on will be asked."""
        asked, commands = self._responses.asked, list[c.Command]()
        if asked is not self._asked:
            self._asked = asked
            commands += self._expect(now) if asked else []
        resting = self._resting
        if resting and self._wait.untold:
            self._take_on(now)
            return [*commands, *self._responses.tell(), *self.after(now)]
        return commands + self._await_caller(now, resting)

    @property
    def _resting(self) -> bool:
        """Nobody says anything, nothing is awaited, and the agent may speak of its own accord."""
        responses = self._responses
        busy = self.owed or self._turns.speaking or responses.turn_waits or responses.client_calling
        return self.policy.automatic and self.policy.reply_to_turns and not busy and responses.idle

    def _await_caller(self, now: float, resting: bool) -> list[c.Command]:
        wait_s = self._silent.wait_s(self.policy)
        begun = self._turns.turn_id > 0 or self._turns.speaker.ends_at > 0
        if not (resting and begun) or wait_s is None or self.policy.idle_reported:  # then the provider asks
            waited, self._rests_since = self._rests_since, None
            return [] if waited is None else [c.ClearDeadline(IDLE)]
        if self._rests_since is not None:
            return []
        self._rests_since = now
        return [c.SetDeadline(IDLE, max(now, self._turns.speaker.ends_at) + wait_s)]

    def idle(self, now: float) -> list[c.Command]:
        """Nobody has said anything for long: ask, and at last hang up."""
        since, wait_s = self._rests_since, self._silent.wait_s(self.policy)
        if since is None or wait_s is None or not self._resting:
            return []
        due = max(since, self._turns.speaker.ends_at) + wait_s
        if due > now + SLACK_S:
            return [c.SetDeadline(IDLE, due)]
        self._rests_since = None
        if self._silent.look(self.policy) is Silence.HANG_UP:
            return [c.HangUp(SILENT)]
        self._take_on(now)
        if self.policy.still_there:
            return self._responses.recite(Recital(self.policy.still_there))
        return [self._responses.ask()]


def look_again(due: float | None) -> list[c.Command]:
    """Look whether everything has been played, then."""
    return [] if due is None else [c.SetDeadline(PLAYED, due)]


def _lacks(response: Response, seen: wire.ResponseSeen) -> str | None:
    """Why the response leaves the caller with nothing; None if it does not, or if somebody has stopped it."""
    if response.audible or response.calls or seen.status == "cancelled":
        return None
    if seen.status in ("failed", "incomplete"):
        return seen.reason or seen.status
    return "no sound" if response.said else "no words"
