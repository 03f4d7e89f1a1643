"""The agent's side of the conversation: the replies under way, the tools they await, and what was heard of them.

Does the bookkeeping of :class:`~repartee.turn.reply.Reply` objects for the machine, which decides when a reply
begins, is confirmed or is cut. Methods return commands; what concerns a reply that is gone returns none.
"""

from collections.abc import Callable

import msgspec

from repartee.latency.timeline import Timeline, TurnTrace
from repartee.turn import commands as c
from repartee.turn.chunking import is_question, last_sentence
from repartee.turn.echo import AHEAD_S
from repartee.turn.events import LookedUp, ReplyRequested, ReplyToolCall, SpeechWords, ToolFinished
from repartee.turn.filler import FillerChoice
from repartee.turn.foresight import as_items
from repartee.turn.history import (
    HEARD_SLACK_MS,
    SPEECH_MS_PER_CHAR,
    FunctionCall,
    History,
    Message,
    heard_part,
)
from repartee.turn.outcome import SpeculationOutcome, TurnOutcome, when_cut, when_left
from repartee.turn.policy import TurnPolicy
from repartee.turn.reply import Reply
from repartee.turn.speaker import Speaker
from repartee.turn.tool_calls import ToolCalls
from repartee.turn.turn_effort import TurnEffort

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

    def __init__(
        self,
        history: History,
        new_item_id: Callable[[], str],
        fillers: FillerChoice,
    ) -> None:
        self.policy = TurnPolicy()
        self._calls = ToolCalls(history, new_item_id, fillers)
        self._tools = self._calls.wait
        self._history = history
        self._new_item_id = new_item_id
        self._replies = 0
        self._active: list[Reply] = []
        self._sounding: list[Reply] = []
        self._speaker = Speaker()
        self._client_calling: Reply | None = None
        self._due: int | None = None
        self._finished = -1
        self._effort = TurnEffort()
        self._rest = ""
        self.owing = False
        self._trace: TurnTrace | None = None

    def __repr__(self) -> str:
        return f"<Answering: {self._active}, {len(self._tools)} tools awaited>"

    @property
    def busy(self) -> bool:
        """More of an answer is to come: a reply is being made, or a tool is awaited."""
        return bool(self._active or self._tools)

    @property
    def generating(self) -> bool:
        """A reply that the client knows of is being made."""
        return any(reply.confirmed for reply in self._active)

    @property
    def awaiting_tools(self) -> bool:
        """An answer waits for tools that the agent runs."""
        return bool(self._tools)

    @property
    def untold(self) -> bool:
        """A tool has given a result that no reply has told the caller of."""
        return bool(self._calls.untold)

    @property
    def awaiting_client(self) -> bool:
        """An answer waits for tools that the client runs, and for its asking to go on."""
        return self._client_calling is not None

    @property
    def unheard(self) -> bool:
        """A turn's answer is to come of which the caller has heard nothing; a filler is no answer."""
        return self._due is not None and self._trace is None

    @property
    def due(self) -> bool:
        """A turn's answer is not over."""
        return self._due is not None

    @property
    def audible(self) -> bool:
        """Something of an answer has been sent to the caller and not been stopped."""
        return bool(self._sounding)

    @property
    def speculating(self) -> bool:
        """A reply is being made to a turn that is not confirmed."""
        return any(reply.speculated and not reply.confirmed for reply in self._active)

    @property
    def speaking_on(self) -> bool:
        """A reply is heard of which more is to come."""
        return any(reply in self._active for reply in self._sounding)

    @property
    def ends_at(self) -> float:
        """When all that was sent will have been played (seconds)."""
        return self._speaker.ends_at

    @property
    def chunk_due(self) -> float | None:
        """When to :meth:`hurry` if nothing happens before; only one reply is being written at a time."""
        return self._active[-1].chunk_due if self._active else None

    def invites_answer(self, now: float) -> bool:
        """Whether what the caller says now is said in answer to the agent: it has all but finished, or its last
        sentence, which is being heard, is a question."""
        if not self._sounding or (not self._tools and self._active):
            return False
        message = self._sounding[-1].message
        last = last_sentence(message.text)
        left_s = self._speaker.ends_at - now
        asked_s = message.audio_ms / 1000 * len(last) / max(len(message.text), 1)
        if is_question(last) and left_s <= asked_s:
            return True
        return not message.filler and left_s <= self.policy.answer_window_s

    def said_since(self, since: float, now: float) -> str:
        """What the caller has heard since then of what the agent is saying, and is about to hear."""
        said = []
        for reply in self._sounding:
            message = reply.message
            audio_ms = max(message.audio_ms, len(message.text) * SPEECH_MS_PER_CHAR)
            parts = [
                heard_part(message.text, message.words, audio_ms, self._speaker.heard_ms(reply.reply_id, at))
                for at in (since, now + AHEAD_S)
            ]
            said.append(parts[1][len(parts[0]) :])
        return " ".join(said)

    def take_rest(self) -> str:
        """What a noise has kept the caller from hearing: once."""
        rest, self._rest = self._rest, ""
        return rest

    def knows(self, reply_id: int) -> bool:
        """Whether the reply is still being made, and the client knows of it."""
        return any(reply.confirmed and reply.reply_id == reply_id for reply in self._active)

    def finished(self, turn_id: int) -> bool:
        """Whether the turn has had its answer."""
        return turn_id <= self._finished

    # --- beginning -----------------------------------------------------------------------------------------------

    def begin(
        self,
        turn_id: int,
        now: float,
        *,
        tentative: Message | None = None,
        timeline: Timeline | None = None,
        request: ReplyRequested | None = None,
        words: str = "",
    ) -> list[c.Command]:
        """Ask for a reply. With ``tentative`` it is a speculation: the words are not in the history yet.

        ``words`` are the caller's, in the turn that is answered: what was looked up for them goes along.
        """
        calling, self._client_calling = self._client_calling, None
        if calling and timeline is None and (timeline := calling.time_left()):
            timeline.mark("tool", now)
        reply = self._new_reply(turn_id, timeline, request, speculated=tentative is not None)
        if reply.speculated:
            return [self._ask(reply, tentative, words=words)]
        taken = self._take_on(turn_id, timeline.starts_at if timeline else now)
        return [*taken, self._ask(reply, words=words), *self._open(reply, now)]

    def tell(self, turn_id: int, now: float) -> list[c.Command]:
        """Have the model speak about results that nobody has told the caller of."""
        reply = self._new_reply(turn_id, None)
        reply.follows_tools = True
        return [*self._take_on(turn_id, now), self._ask(reply), *self._open(reply, now)]

    def _ask(self, reply: Reply, tentative: Message | None = None, *, words: str = "") -> c.Command:
        """Have the model asked for a reply, by the conversation as it stands."""
        effort = self._effort
        if effort.turn_id == reply.turn_id:
            reply.may_call = effort.may_call(self.policy.tool_calls_per_turn)
            effort.requests += 1
        reply.tells = self._calls.untold
        return c.StartReply(
            reply.reply_id,
            reply.turn_id,
            self._history.messages(*([tentative] if tentative else [])),
            reply.speculated,
            reply.options,
            words,
            follows_tools=reply.follows_tools,
            tools=reply.may_call,
        )

    def take_lookups(self, event: LookedUp, now: float) -> list[c.Command]:
        """What the model was given with the caller's words."""
        reply = self._find(event.reply_id)
        if reply is None:
            return []
        reply.foreseen = event.results
        return self._adopt(reply) if reply.confirmed else []

    def recite(self, turn_id: int, text: str, now: float, *, apologises: bool = False) -> list[c.Command]:
        """Say this text, without asking the model."""
        reply = self._new_reply(turn_id, None)
        reply.apologises = apologises
        commands = self._open(reply, now)
        return commands + self._told(reply, reply.recite(text)) + self._settle(reply, now)

    def confirm(self, now: float) -> list[c.Command]:
        """The speculation's turn has ended with the words it was made for."""
        reply = self._active[-1]
        released = c.SpeculationEnded(reply.reply_id, "released")
        taken = self._take_on(reply.turn_id, reply.timeline.starts_at if reply.timeline else now)
        self._effort.requests += 1
        return [*taken, released, *self._adopt(reply), *self._release(reply, now)]

    def drop(self, outcome: SpeculationOutcome) -> list[c.Command]:
        """The speculation was wrong: it leaves no trace."""
        commands: list[c.Command] = []
        for reply in self._active:
            commands += [c.StopReply(reply.reply_id), c.SpeculationEnded(reply.reply_id, outcome)]
        self._active.clear()
        return commands

    def abandon(self) -> list[c.Command]:
        """The caller speaks instead of waiting for what the client's tools give."""
        self._client_calling = None
        return self.close_turn(self._left("superseded"))

    def _take_on(self, turn_id: int, spoken_until: float) -> list[c.Command]:
        """This turn is the one to be answered; the answer to the one before is complete."""
        self.owing = False
        self._rest = ""
        if self._effort.turn_id != turn_id:
            self._effort = TurnEffort(turn_id)
        self._effort.quiet_since = max(self._effort.quiet_since, spoken_until)
        finished = [] if self._due == turn_id else self.close_turn(self._left("unanswered"))
        self._due = turn_id
        return finished

    def _adopt(self, reply: Reply) -> list[c.Command]:
        """What was looked up ahead for this reply has been used: it stands in the history as if asked for."""
        commands: list[c.Command] = []
        for result in reply.foreseen:
            self._tools.prefetch = self._tools.prefetch or "hit"
            commands.append(c.LookupUsed(reply.turn_id, result))
            commands += [
                c.ItemAdded(item, self._history.append(item))
                for item in as_items(result, self._new_item_id())
            ]
        reply.foreseen = ()
        return commands

    def _new_reply(
        self,
        turn_id: int,
        timeline: Timeline | None,
        request: ReplyRequested | None = None,
        *,
        speculated: bool = False,
        held: bool = False,
    ) -> Reply:
        self._replies += 1
        wanted = request.spoken if request else None
        spoken = self.policy.spoken if wanted is None else wanted
        message = Message(self._new_item_id(), "assistant", "", spoken=spoken)
        reply = Reply(
            self._replies,
            turn_id,
            message,
            self.policy,
            timeline,
            request,
            speculated=speculated,
            held=held,
        )
        self._active.append(reply)
        return reply

    def _open(self, reply: Reply, now: float) -> list[c.Command]:
        """The client may know of the reply from now on."""
        reply.news_at = now
        return [
            c.ReplyStarted(reply.reply_id, reply.turn_id, reply.options),
            c.SetDeadline(FIRST_AUDIO, max(self._due_at(reply), now)),
        ]

    def _due_at(self, reply: Reply) -> float:
        """When the caller has heard nothing for too long. All replies to a turn share its time."""
        if reply.apologises:
            return max(reply.news_at, self._speaker.ends_at) + self.policy.apology_s
        own_time = reply.recited or not reply.message.spoken or self._effort.turn_id != reply.turn_id
        since = reply.news_at if own_time else self._effort.quiet_since
        due = max(since, self._speaker.ends_at) + self.policy.first_audio_s
        return max(due, reply.news_at + self.policy.reply_s)

    def _release(self, reply: Reply, now: float) -> list[c.Command]:
        commands = self._open(reply, now)
        commands += self._told(reply, reply.confirm(self._speaker, now))
        for call in reply.calls:
            commands += self._call(reply, call, now)
        return commands + self._settle(reply, now)

    # --- what the model, the voice and the tools say -------------------------------------------------------------

    def take_text(self, reply_id: int, text: str, now: float) -> list[c.Command]:
        """Tokens."""
        reply = self._find(reply_id)
        return self._told(reply, reply.take_text(text, now)) if reply else []

    def hurry(self, now: float) -> list[c.Command]:
        """Text has waited long enough for the end of its clause."""
        reply = self._active[-1] if self._active else None
        return self._told(reply, reply.hurry(now)) if reply else []

    def take_call(self, event: ReplyToolCall, now: float) -> list[c.Command]:
        """A tool is asked for. Asked for by a speculation, it waits for the turn to be confirmed."""
        reply = self._find(event.reply_id)
        if reply is None or reply.model_reason is not None or not reply.may_call:
            return []
        call = self._calls.made(event)
        commands = self._told(reply, reply.take_call(call, now))
        if reply.confirmed:
            return commands + self._call(reply, call, now)
        return [*commands, c.PrepareTool(call.name, call.arguments)]

    def finish_text(self, reply_id: int, reason: str, now: float) -> list[c.Command]:
        """The model is done with the reply."""
        reply = self._find(reply_id)
        if reply is None:
            return []
        return self._told(reply, reply.finish_text(reason, now)) + self._settle(reply, now)

    def take_audio(self, reply_id: int, pcm: bytes, now: float) -> list[c.Command]:
        """Speech."""
        reply = self._find(reply_id)
        if reply is None:
            return []
        return self._told(reply, reply.take_audio(pcm, self._speaker, now))

    def take_words(self, event: SpeechWords, now: float) -> list[c.Command]:
        """When words are spoken."""
        for reply in {*self._active, *self._sounding}:
            if reply.reply_id == event.reply_id:
                reply.message.words.extend(event.words)
        return []

    def note_played(self, item_id: str, played_ms: float) -> None:
        """The transport says how much of an answer the caller has heard."""
        for reply in self._sounding:
            if reply.message.item_id == item_id:
                reply.played_ms = max(reply.played_ms, played_ms)

    def finish_speech(self, reply_id: int, now: float) -> list[c.Command]:
        """All speech of the reply is there."""
        reply = self._find(reply_id)
        if reply is None:
            return []
        reply.speech_done = reply.message.audio_complete = True
        return self._settle(reply, now)

    def fail(self, reply_id: int, stage: str, why: str, now: float) -> list[c.Command]:
        """The reply cannot be had, or not all of it.

        What the voice already has when the model fails is spoken to its end.
        """
        reply = self._find(reply_id)
        if reply is None:
            return []
        if reply.speculated and not reply.confirmed:
            self._active.remove(reply)  # when the turn is confirmed, it is asked for anew
            return [c.StopReply(reply_id)]
        reply.failure = why
        if stage == "llm" and reply.said:
            return self._told(reply, reply.break_off(now)) + self._settle(reply, now)
        reply.give_up()
        return [c.StopReply(reply_id), *self._settle(reply, now)]

    def overdue(self, now: float) -> list[c.Command]:
        """It may be that nothing has been heard for too long."""
        late = next((reply for reply in self._active if reply.confirmed), None)
        if late is None:
            return []
        due = self._due_at(late)
        if now < due:
            return [c.SetDeadline(FIRST_AUDIO, due)]
        stage = "tts" if late.in_history else "llm"
        return self.fail(late.reply_id, stage, f"Nothing came for {self.policy.first_audio_s:g} s.", now)

    def finish_tool(self, event: ToolFinished, now: float) -> list[c.Command]:
        """A tool's result: it goes into the history in any case, and into the answer if that still waits."""
        commands, awaited = self._calls.finish(event)
        return commands + self._plan_filler(now) + self._go_on(now) if awaited else commands

    def fill(self, now: float) -> list[c.Command]:
        """A tool keeps the caller waiting: say what was prepared for that, unless something is being said."""
        calling = self._tools.calling
        if calling is None or not self._tools or self._active:
            return []  # while a reply is active nothing else can sound; when it is over, it is planned anew
        phrase = self._tools.take_filler(self._speaker.ends_at, now)
        if phrase is None:
            return self._plan_filler(now)
        reply = self._new_reply(calling.turn_id, None, calling.request)
        reply.message.filler = True
        commands = self._open(reply, now)
        return commands + self._told(reply, reply.recite(phrase)) + self._settle(reply, now)

    def _plan_filler(self, now: float) -> list[c.Command]:
        return self._tools.plan(self._speaker.ends_at, now)

    # --- ending --------------------------------------------------------------------------------------------------

    def cut(self, reason: str, now: float, unheard: TurnOutcome = "superseded") -> list[c.Command]:
        """Stop everything. The history keeps what was heard; tools go on running, for their effects' sake.

        ``unheard`` is the turn's outcome if nothing of its answer was audible.
        """
        commands: list[c.Command] = [c.ClearDeadline(FIRST_AUDIO), c.ClearDeadline(PLAYED_OUT)]
        self._tools.cancel()
        self._rest = ""
        commands += [c.StopReply(reply.reply_id) for reply in self._active]
        barged_in = reason == TURN_DETECTED
        for reply in self._sounding:
            message = reply.message
            reckoned_ms = self._speaker.heard_ms(reply.reply_id, now)
            heard_ms = reply.played_ms if self.policy.playout_reported else reckoned_ms
            if message.heard_ms is not None:
                heard_ms = min(heard_ms, message.heard_ms)  # the client has told already where it stopped
            if reply in self._active or heard_ms < message.audio_ms - HEARD_SLACK_MS:
                message.heard_ms = heard_ms
                if barged_in:  # what sounds now is the first; what follows it had not begun
                    commands.append(c.SpeechCut(reply.turn_id, heard_ms))
                    barged_in = False
                commands.append(c.StopPlaying(reply.reply_id))
                commands.append(c.AnswerCut(message.item_id, heard_ms, message.heard_text))
                if not message.filler:
                    self._rest += reply.text[len(message.heard_text) :]
        for reply in self._active:
            if reply.message.spoken and reply not in self._sounding:
                reply.message.heard_ms = 0.0
            if reply.confirmed:
                commands.append(self._ended(reply, "cancelled", reason))
        self._speaker.stop(now)
        outcome = when_cut(audible=self._trace is not None, unheard=unheard)
        self._active.clear()
        self._sounding.clear()
        commands += self._plan_filler(now)
        self._client_calling = None
        return commands + self.close_turn(outcome)

    def cancel(self, now: float) -> list[c.Command]:
        """The client wants to hear no more of it, nor of what the tools under way will give."""
        commands = self.cut("client_cancelled", now, "unanswered")
        self._rest = ""
        self._calls.hush()
        return commands

    def played_out(self, now: float) -> list[c.Command]:
        """All that was sent has been heard."""
        self._sounding.clear()
        self._speaker.forget(now)
        return [] if self.busy or self.awaiting_client else self.close_turn("answered")

    def close_turn(self, outcome: TurnOutcome) -> list[c.Command]:
        """The turn that awaited an answer awaits it no longer."""
        if self._due is None:
            return []
        finished = c.TurnFinished(self._due, outcome, self._trace)
        self._finished = self._due
        self._due = self._trace = None
        self._tools.forget_turn()
        return [finished]

    def _left(self, otherwise: TurnOutcome) -> TurnOutcome:
        return when_left(answered=self._trace is not None, otherwise=otherwise)

    # --- inside --------------------------------------------------------------------------------------------------

    def _find(self, reply_id: int) -> Reply | None:
        return next((reply for reply in self._active if reply.reply_id == reply_id), None)

    def _told(self, reply: Reply, commands: list[c.Command]) -> list[c.Command]:
        """Enter the reply in the history with its first words, and note when it becomes audible."""
        if not reply.in_history and any(isinstance(command, c.ReplyWords) for command in commands):
            reply.in_history = True
            previous = self._history.append(reply.message)
            commands.insert(0, c.AnswerStarted(reply.reply_id, reply.message, previous))
        if reply not in self._sounding and any(isinstance(command, c.Play) for command in commands):
            self._sounding.append(reply)
        if reply.message.filler and reply.audible_at is not None:
            self._tools.note_filler(reply.audible_at)
        if reply.audible:
            self._calls.told(reply.tells)
        if reply.trace and self._trace is None:
            self._trace = msgspec.structs.replace(
                reply.trace, filler_ms=self._tools.filler_ms, prefetch=self._tools.prefetch
            )
            commands.append(c.TurnTraced(self._trace))
        return commands

    def _call(self, reply: Reply, call: FunctionCall, now: float) -> list[c.Command]:
        self._effort.calls += 1
        return self._calls.begin(reply, call, self.policy, now) + self._plan_filler(now)

    def _settle(self, reply: Reply, now: float) -> list[c.Command]:
        """End the reply if all of it is there, and go on with what waited for that."""
        if not reply.confirmed:
            return []
        if not reply.over:
            return self._go_on(now)
        self._active.remove(reply)
        self._calls.told(reply.tells)
        commands = self._outcome(reply)
        if self._sounding:
            commands.append(c.SetDeadline(PLAYED_OUT, max(self._speaker.ends_at, now)))
        if self._active:
            return commands + self._release(self._active[0], now)
        commands += self._go_on(now)
        if self._active:
            return commands
        commands.append(c.ClearDeadline(FIRST_AUDIO))
        if self._tools:
            return commands + self._plan_filler(now)
        return commands + self._conclude(reply, now)

    def _conclude(self, reply: Reply, now: float) -> list[c.Command]:
        """Nothing follows the reply, unless nobody could hear anything of it: then make up for that."""
        if self._lacks(reply):
            return self._make_up_for(reply, now)
        if reply.calls_client:
            self._client_calling = reply
            return []
        if self._sounding:
            return []
        return self.close_turn("answered" if reply.in_history else self._left("unanswered"))

    def _lacks(self, reply: Reply) -> str | None:
        """Why the reply, which is over, leaves the caller with nothing: no sound, no client's tool to wait for."""
        if reply.failure:
            return None if reply.audible else reply.failure
        return None if reply.calls else reply.missing

    def _asks_again(self, reply: Reply) -> bool:
        """Whether the model is asked once more. One that failed was already; one that calls tools will not stop."""
        may = reply.may_call and not (reply.failure or reply.recited or self._effort.asked_again)
        return may and self._effort.turn_id == reply.turn_id

    def _make_up_for(self, reply: Reply, now: float) -> list[c.Command]:
        """Ask once more, then apologise; a caller who cannot even be told that is not kept."""
        reason = self._lacks(reply) or ""
        again = self._asks_again(reply)
        missing = c.AnswerMissing(reply.reply_id, reply.turn_id, reason, again)
        if again:
            self._effort.asked_again = True
            another = self._new_reply(reply.turn_id, reply.time_left(), reply.request)
            another.follows_tools = reply.follows_tools
            return [missing, self._ask(another), *self._open(another, now)]
        commands = [missing, *self.close_turn("unanswered")]
        if reply.apologises:
            return [*commands, c.GiveUp(reason)]
        if self.policy.apology and reply.message.spoken and not reply.recited:
            commands += self.recite(reply.turn_id, self.policy.apology, now, apologises=True)
        return commands

    def _go_on(self, now: float) -> list[c.Command]:
        """Once the tools' results are there, have the model speak about them."""
        calling = self._tools.release()
        if calling is None:
            return []
        self.owing = False
        if timeline := calling.time_left():
            timeline.mark("tool", now)
        held = bool(self._active)
        reply = self._new_reply(calling.turn_id, timeline, calling.request, held=held)
        reply.follows_tools = True
        return [self._ask(reply), *([] if held else self._open(reply, now))]

    def _outcome(self, reply: Reply) -> list[c.Command]:
        """How the reply ended. What nobody heard of it is not in the history."""
        unheard: list[c.Command] = []
        if reply.message.spoken and reply.in_history and not reply.audible:
            reply.message.heard_ms = 0.0
            unheard.append(c.AnswerCut(reply.message.item_id, 0.0, ""))
        if reply.failure:
            return [*unheard, self._ended(reply, "failed", reply.failure)]
        if reply.model_reason == "content_filter":
            return [*unheard, self._ended(reply, "incomplete", "content_filter")]
        if reply.model_reason == "length":
            return [*unheard, self._ended(reply, "incomplete", "max_output_tokens")]
        if not self._asks_again(reply) and not reply.recited and (reason := self._lacks(reply)):
            return [*unheard, self._ended(reply, "failed", f"There is nothing to hear: {reason}.")]
        return [*unheard, self._ended(reply, "completed", None)]

    def _ended(self, reply: Reply, status: c.ReplyStatus, reason: str | None) -> c.Command:
        message = reply.message if reply.in_history else None
        return c.ReplyEnded(reply.reply_id, reply.turn_id, status, message, reason)
