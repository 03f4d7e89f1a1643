"""The agent's side of the conversation: the replies in the making, and the tools that they await.

Carries :class:`~repartee.turn.reply.Reply` objects from their request to their end, as the machine decides when one
begins, is confirmed or is cut. Their text and sound are taken by :class:`~repartee.turn.telling.Telling`; what is
heard of them is kept by the :class:`~repartee.turn.playout.Playout`, what the caller is owed by the
:class:`~repartee.turn.owed_answer.OwedAnswer`. What concerns a reply that is gone does nothing.
"""

from collections.abc import Callable

from repartee.latency.timeline import Timeline
from repartee.turn import commands as c
from repartee.turn import events as e
from repartee.turn.filler import FillerChoice
from repartee.turn.history import FunctionCall, History, Message
from repartee.turn.outcome import SpeculationOutcome, TurnOutcome
from repartee.turn.owed_answer import OwedAnswer
from repartee.turn.playout import Playout
from repartee.turn.policy import TurnPolicy
from repartee.turn.replies import Replies
from repartee.turn.reply import Reply
from repartee.turn.reply_end import end_of, lack_of, settled
from repartee.turn.telling import Telling
from repartee.turn.tool_calls import ToolCalls

FIRST_AUDIO = "first audio"
PLAYED_OUT = "played out"
CHUNK = "chunk"

TURN_DETECTED = "turn_detected"
"""Why a reply was cut: the caller speaks."""


class Answering:
    """The replies of one conversation.

    Replies to one turn follow each other when tools are called: the later one is held until the earlier one's
    audio is complete, so they sound in order.
    """

    def __init__(self, history: History, new_item_id: Callable[[], str], fillers: FillerChoice) -> None:
        self.policy = TurnPolicy()
        self.playout = Playout()
        self.owed = OwedAnswer()
        self.replies = Replies(new_item_id)
        self.calls = ToolCalls(history, new_item_id, fillers)
        self._tools = self.calls.wait
        self.telling = Telling(history, self.replies, self.playout, self.owed, self.calls)
        self._told = self.telling.told
        self._history = history
        self._client_calling: Reply | None = None

    def __repr__(self) -> str:
        return f"<Answering: {list(self.replies)}, {len(self._tools)} tools awaited>"

    @property
    def busy(self) -> bool:
        """More of an answer is to come: a reply is being made, or a tool is awaited."""
        return bool(self.replies or self._tools)

    @property
    def awaiting_client(self) -> bool:
        """An answer waits for tools that the client runs, and for its asking to go on."""
        return self._client_calling is not None

    # --- beginning -----------------------------------------------------------------------------------------------

    def begin(
        self,
        turn_id: int,
        now: float,
        *,
        tentative: Message | None = None,
        timeline: Timeline | None = None,
        request: e.ReplyRequested | None = None,
        words: str = "",
    ) -> list[c.Command]:
        """Ask for a reply. With ``tentative`` it is a speculation: the words are not in the history yet.

        ``words`` are the caller's, in the turn that is answered: what was looked up for them goes along.
        """
        calling, self._client_calling = self._client_calling, None
        if calling and timeline is None and (timeline := calling.time_left()):
            timeline.mark("tool", now)
        reply = self.replies.new(turn_id, self.policy, timeline, request, speculated=tentative is not None)
        if reply.speculated:
            self.owed.note_extra(turn_id)
            return [self._ask(reply, tentative, words=words)]
        by_client = calling is not None or (request is not None and not self.policy.replies_by_itself)
        taken = self._take_on(turn_id, now if by_client or timeline is None else timeline.starts_at)
        return [*taken, *self._start(reply, now, words=words)]

    def tell(self, turn_id: int, now: float) -> list[c.Command]:
        """Have the model speak about results that nobody has told the caller of."""
        reply = self.replies.new(turn_id, self.policy)
        reply.follows_tools = True
        return [*self._take_on(turn_id, now), *self._start(reply, now)]

    def recite(
        self, turn_id: int, text: str, now: float, *, apologises: bool = False, resumes: bool = False
    ) -> list[c.Command]:
        """Say this text, without asking the model; ``resumes``: it is the rest of an answer, and still owed."""
        reply = self.replies.new(turn_id, self.policy)
        reply.apologises = reply.urgent = apologises
        reply.resumes = resumes
        return self._recite(reply, text, now)

    def _recite(self, reply: Reply, text: str, now: float) -> list[c.Command]:
        commands = self._open(reply, now)
        return commands + self._told(reply, reply.recite(text)) + self._settle(reply.reply_id, now)

    def confirm(self, now: float) -> list[c.Command]:
        """The speculation's turn has ended with the words it was made for."""
        reply = self.replies.newest
        assert reply is not None
        released = c.SpeculationEnded(reply.reply_id, "released")
        taken = self._take_on(reply.turn_id, reply.timeline.starts_at if reply.timeline else now)
        self.owed.note_speculation()
        return [*taken, released, *self.calls.adopt(reply), *self._release(reply, now)]

    def drop(self, outcome: SpeculationOutcome) -> list[c.Command]:
        """The speculation was wrong: it leaves no trace."""
        commands: list[c.Command] = []
        for reply in self.replies.take_all():
            commands += [c.StopReply(reply.reply_id), c.SpeculationEnded(reply.reply_id, outcome)]
        return commands

    def abandon(self) -> list[c.Command]:
        """The caller speaks instead of waiting for what the client's tools give."""
        self._client_calling = None
        return self._finished(self.owed.leave("superseded"))

    def _take_on(self, turn_id: int, spoken_until: float) -> list[c.Command]:
        self.playout.take_rest()
        return self._finished(self.owed.take_on(turn_id, spoken_until))

    def _ask(self, reply: Reply, tentative: Message | None = None, *, words: str = "") -> c.Command:
        """Have the model asked for a reply, by the conversation as it stands."""
        self.owed.ask(reply, self.policy.tool_calls_per_turn)
        reply.tells = self.calls.untold
        return c.StartReply(
            reply.reply_id,
            reply.turn_id,
            self._history.messages(*([tentative] if tentative else [])),
            reply.speculated,
            reply.options,
            words,
            follows_tools=reply.follows_tools,
            tools=reply.may_call,
            extra=self.owed.extra_left(reply.turn_id, self.policy),
        )

    def _start(self, reply: Reply, now: float, *, words: str = "") -> list[c.Command]:
        """Have the model asked for a reply that is heard next; behind a word of company if it comes too late."""
        company = self._accompany(reply, now)
        reply.confirmed = not company
        return [self._ask(reply, words=words), *(company or self._open(reply, now))]

    def _accompany(self, reply: Reply, now: float) -> list[c.Command]:
        """A caller who has heard nothing for so long that this reply comes too late hears a word before it."""
        turn_id, sound_until = reply.turn_id, self.playout.sound_ends_at
        if not reply.message.spoken or reply.has_audio:
            return []
        if not self.owed.takes_company(turn_id, sound_until, self.policy, now):
            return []
        company = self.replies.new(turn_id, self.policy, None, reply.request, first=True)
        company.message.filler = company.urgent = True
        return self._recite(company, self.policy.company, now)

    def _open(self, reply: Reply, now: float) -> list[c.Command]:
        """The client may know of the reply from now on."""
        reply.news_at = now
        return [
            c.ReplyStarted(reply.reply_id, reply.turn_id, reply.options),
            c.SetDeadline(FIRST_AUDIO, max(self._silent_until(reply), now)),
        ]

    def _silent_until(self, reply: Reply) -> float:
        return self.owed.silent_until(reply, self.playout.sound_ends_at, self.policy)

    def _release(self, reply: Reply, now: float) -> list[c.Command]:
        commands = self._open(reply, now) + self._told(reply, reply.confirm(self.playout.speaker, now))
        for call in reply.calls:
            commands += self._call(reply, call, now)
        return commands + self._settle(reply.reply_id, now)

    # --- what the model, the voice and the tools say -------------------------------------------------------------

    def take_lookups(self, event: e.LookedUp, now: float) -> list[c.Command]:
        """What the model was given with the caller's words."""
        reply = self.replies.find(event.reply_id)
        if reply is None:
            return []
        reply.foreseen = event.results
        return self.calls.adopt(reply) if reply.confirmed else []

    def take_call(self, event: e.ReplyToolCall, now: float) -> list[c.Command]:
        """A tool is asked for. Asked for by a speculation, it waits for the turn to be confirmed."""
        reply = self.replies.find(event.reply_id)
        if reply is None or reply.model_reason is not None or not reply.may_call:
            return []
        call = self.calls.made(event)
        commands = self._told(reply, reply.take_call(call, now))
        if reply.confirmed:
            return commands + self._call(reply, call, now)
        return [*commands, c.PrepareTool(call.name, call.arguments)]

    def finish_text(self, event: e.ReplyDone, now: float) -> list[c.Command]:
        """The model is done with the reply."""
        self.replies.await_usage(event)
        reply = self.replies.find(event.reply_id)
        if reply is None:
            return []
        return self._told(reply, reply.finish_text(event.reason, now)) + self._settle(event.reply_id, now)

    def count(self, event: e.ReplyUsed | e.VoiceUsed, now: float) -> list[c.Command]:
        """What a reply has used. One that has only waited for that is over."""
        return self._settle(event.reply_id, now) if self.replies.count(event) else []

    def finish_speech(self, event: e.SpeechDone, now: float) -> list[c.Command]:
        """All speech of the reply is there."""
        reply = self.replies.find(event.reply_id)
        if reply is None:
            return []
        reply.speech_done = reply.message.audio_complete = True
        return self._settle(reply.reply_id, now)

    def fail(self, event: e.ReplyFailed, now: float) -> list[c.Command]:
        """The reply has failed, or a part of it.

        What the voice already has when the model fails is spoken to its end.
        """
        reply = self.replies.find(event.reply_id)
        if reply is None:
            return []
        if reply.speculated and not reply.confirmed:
            self.replies.remove(reply)  # when the turn is confirmed, it is asked for anew
            return [c.StopReply(reply.reply_id)]
        reply.failure = event.message
        if event.stage == "llm" and reply.said:
            return self._told(reply, reply.break_off(now)) + self._settle(reply.reply_id, now)
        reply.give_up()
        return [c.StopReply(reply.reply_id), *self._settle(reply.reply_id, now)]

    def overdue(self, now: float) -> list[c.Command]:
        """It may be that nothing has been heard for too long."""
        late = self.replies.confirmed
        if late is None:
            return []
        due = self._silent_until(late)
        if now < due:
            return [c.SetDeadline(FIRST_AUDIO, due)]
        if late.written and late.speech_done:  # nobody has counted it
            return self.count(e.ReplyUsed(late.reply_id, None), now)
        why = f"Nothing came for {self.policy.patience_s:g} s."
        return self.fail(e.ReplyFailed(late.reply_id, "tts" if late.in_history else "llm", why), now)

    def finish_tool(self, event: e.ToolFinished, now: float) -> list[c.Command]:
        """A tool's result: it goes into the history in any case, and into the answer if that still waits."""
        commands, awaited = self.calls.finish(event)
        return commands + self._plan_filler(now) + self._go_on(now) if awaited else commands

    def fill(self, now: float) -> list[c.Command]:
        """A tool keeps the caller waiting: say what was prepared for that, unless something is being said."""
        calling = self._tools.calling
        if calling is None or not self._tools or self.replies:
            return []  # while a reply is active nothing else can sound; when it is over, it is planned anew
        by = self.owed.company_by(self.playout.sound_ends_at, self.policy)
        phrase = self._tools.take_filler(self.playout.ends_at, now, by=by)
        if phrase is None:
            return self._plan_filler(now)
        reply = self.replies.new(calling.turn_id, self.policy, None, calling.request)
        reply.message.filler = True
        return self._recite(reply, phrase, now)

    def _plan_filler(self, now: float) -> list[c.Command]:
        by = self.owed.company_by(self.playout.sound_ends_at, self.policy)
        return self._tools.plan(self.playout.ends_at, now, by=by)

    # --- ending --------------------------------------------------------------------------------------------------

    def cut(self, reason: str, now: float, unheard: TurnOutcome = "superseded") -> list[c.Command]:
        """Stop everything. The history keeps what was heard; tools go on running, for their effects' sake.

        ``unheard`` is the turn's outcome if nothing of its answer was audible.
        """
        commands: list[c.Command] = [c.ClearDeadline(FIRST_AUDIO), c.ClearDeadline(PLAYED_OUT)]
        self._tools.cancel()
        making = self.replies.take_all()
        commands += [c.StopReply(reply.reply_id) for reply in making]
        reported, barged_in = self.policy.playout_reported, reason == TURN_DETECTED
        commands += self.playout.cut(now, making=making, reported=reported, barged_in=barged_in)
        commands += [end_of(reply, "cancelled", reason) for reply in making if reply.confirmed]
        commands += self._plan_filler(now)
        self._client_calling = None
        return commands + self._finished(self.owed.cut(unheard))

    def cancel(self, now: float) -> list[c.Command]:
        """The client wants to hear no more of it, nor of what the tools under way will give."""
        commands = self.cut("client_cancelled", now, "unanswered")
        self.playout.take_rest()
        self.calls.hush()
        return commands

    def played_out(self, now: float) -> list[c.Command]:
        """All that was sent has been heard."""
        self.playout.finish(now)
        return [] if self.busy or self.awaiting_client else self._finished(self.owed.close("answered"))

    # --- inside --------------------------------------------------------------------------------------------------

    def _finished(self, finished: list[c.Command]) -> list[c.Command]:
        """What was noted of a turn's tools is forgotten with the turn."""
        if finished:
            self._tools.forget_turn()
        return finished

    def _call(self, reply: Reply, call: FunctionCall, now: float) -> list[c.Command]:
        self.owed.note_call()
        return self.calls.begin(reply, call, self.policy, now) + self._plan_filler(now)

    def _settle(self, reply_id: int, now: float) -> list[c.Command]:
        """End the reply if all of it is there, and go on with what waited for that."""
        reply = self.replies.find(reply_id)
        if reply is None or not reply.confirmed:
            return []
        if not reply.over:
            return self._go_on(now)
        self.replies.remove(reply)
        self.calls.told(reply.tells)
        commands = settled(reply, asked_again=self.owed.asks_again(reply))
        if self.playout.audible:
            commands.append(c.SetDeadline(PLAYED_OUT, max(self.playout.ends_at, now)))
        if following := next(iter(self.replies), None):
            return commands + (self._accompany(following, now) or self._release(following, now))
        commands += self._go_on(now)
        if self.replies:
            return commands
        commands.append(c.ClearDeadline(FIRST_AUDIO))
        if self._tools:
            return commands + self._wait_on(reply, now)
        return commands + self._conclude(reply, now)

    def _wait_on(self, reply: Reply, now: float) -> list[c.Command]:
        """Tools are still awaited. If no voice could speak, memory does; whom neither reaches in time is not kept."""
        if reply.failure and (company := self._accompany(reply, now)):
            return company
        reason, sound_until = lack_of(reply), self.playout.sound_ends_at
        if (
            reason
            and reply.message.filler
            and self.owed.too_late(reply.turn_id, sound_until, self.policy, now)
        ):
            return [c.GiveUp(reason)]
        return self._plan_filler(now)

    def _conclude(self, reply: Reply, now: float) -> list[c.Command]:
        """Nothing follows the reply, unless nobody could hear anything of it: then make up for that."""
        if reason := lack_of(reply):
            return self._make_up_for(reply, reason, now)
        if reply.calls_client:
            self._client_calling = reply
            return []
        if self.playout.audible:
            return []
        return self._finished(
            self.owed.close("answered") if reply.in_history else self.owed.leave("unanswered")
        )

    def _make_up_for(self, reply: Reply, reason: str, now: float) -> list[c.Command]:
        """Ask once more, then apologise; a caller who cannot even be told that is not kept."""
        again = self.owed.asks_again(reply)
        missing = c.AnswerMissing(reply.reply_id, reply.turn_id, reason, again)
        if again:
            self.owed.note_asked_again()
            another = self.replies.new(reply.turn_id, self.policy, reply.time_left(), reply.request)
            another.follows_tools = reply.follows_tools
            return [missing, *self._start(another, now)]
        owed = reply.resumes or not reply.recited
        apology = bool(self.policy.apology) and reply.message.spoken and owed
        commands = [missing, *self._finished(self.owed.close("unanswered", apology=apology))]
        if reply.apologises:
            return [*commands, c.GiveUp(reason)]
        if apology:
            commands += self.recite(reply.turn_id, self.policy.apology, now, apologises=True)
        return commands

    def _go_on(self, now: float) -> list[c.Command]:
        """Once the tools' results are there, have the model speak about them."""
        calling = self._tools.release()
        if calling is None:
            return []
        self.owed.owing = False
        if timeline := calling.time_left():
            timeline.mark("tool", now)
        held = bool(self.replies)
        reply = self.replies.new(calling.turn_id, self.policy, timeline, calling.request, held=held)
        reply.follows_tools = True
        return [self._ask(reply)] if held else self._start(reply, now)
