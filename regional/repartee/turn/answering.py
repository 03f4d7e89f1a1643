"""The agent's side of the conversation: the replies under way, the tools they await, and what was heard of them.

Does the bookkeeping of :class:`~repartee.turn.reply.Reply` objects for the machine, which decides when a reply
begins, is confirmed or is cut. Methods return commands; what concerns a reply that is gone returns none.
"""

from collections.abc import Callable
from typing import Literal

from repartee.latency.timeline import Timeline, TurnTrace
from repartee.turn import commands as c
from repartee.turn.events import ReplyRequested, ReplyToolCall, SpeechWords, ToolFinished
from repartee.turn.history import FunctionCall, FunctionOutput, History, Message
from repartee.turn.policy import TurnPolicy
from repartee.turn.reply import Reply
from repartee.turn.speaker import Speaker

FIRST_AUDIO = "first audio"
PLAYED_OUT = "played out"

SpeculationOutcome = Literal["released", "resumed", "reworded"]


class Answering:
    """The replies of one conversation.

    Replies to one turn follow each other when tools are called: the later one is held until the earlier one's
    audio is complete, so they sound in order.
    """

    def __init__(self, history: History, new_item_id: Callable[[], str]) -> None:
        self.policy = TurnPolicy()
        self._history = history
        self._new_item_id = new_item_id
        self._replies = 0
        self._active: list[Reply] = []
        self._sounding: list[Reply] = []
        self._speaker = Speaker()
        self._running: dict[str, int] = {}
        self._awaited: set[str] = set()
        self._calling: Reply | None = None
        self._carried: Timeline | None = None
        self._due: int | None = None
        self._trace: TurnTrace | None = None

    def __repr__(self) -> str:
        return f"<Answering: {self._active}, {len(self._awaited)} tools awaited>"

    @property
    def busy(self) -> bool:
        """More of an answer is to come: a reply is being made, or a tool is awaited."""
        return bool(self._active or self._awaited)

    @property
    def generating(self) -> bool:
        """A reply that the client knows of is being made."""
        return any(reply.confirmed for reply in self._active)

    @property
    def audible(self) -> bool:
        """Something of an answer has been sent to the caller and not been stopped."""
        return bool(self._sounding)

    @property
    def speculating(self) -> bool:
        """A reply is being made to a turn that is not confirmed."""
        return any(reply.speculated and not reply.confirmed for reply in self._active)

    @property
    def carries_time(self) -> bool:
        """A turn's time still runs: its answer waits for a tool that the client runs."""
        return self._carried is not None

    @property
    def ends_at(self) -> float:
        """When all that was sent will have been played (seconds)."""
        return self._speaker.ends_at

    def knows(self, reply_id: int) -> bool:
        """Whether the reply is still being made."""
        return self._find(reply_id) is not None

    # --- beginning -----------------------------------------------------------------------------------------------

    def begin(
        self,
        turn_id: int,
        now: float,
        *,
        tentative: Message | None = None,
        timeline: Timeline | None = None,
        request: ReplyRequested | None = None,
    ) -> list[c.Command]:
        """Ask for a reply. With ``tentative`` it is a speculation: the words are not in the history yet."""
        if timeline is None and self._carried is not None:
            timeline, self._carried = self._carried, None
            timeline.mark("tool", now)
        reply = self._new_reply(turn_id, timeline, request, speculated=tentative is not None)
        messages = self._history.messages(*([tentative] if tentative else []))
        start = c.StartReply(reply.reply_id, turn_id, messages, reply.speculated, reply.options)
        if reply.speculated:
            return [start]
        self._due = turn_id
        return [start, *self._open(reply, now)]

    def recite(self, turn_id: int, text: str, now: float) -> list[c.Command]:
        """Say this text, without asking the model."""
        reply = self._new_reply(turn_id, None, None)
        reply.recited = True
        commands = self._open(reply, now)
        commands += self._told(reply, reply.take_text(text, now))
        return commands + self._told(reply, reply.finish_text("stop", now))

    def confirm(self, now: float) -> list[c.Command]:
        """The speculation's turn has ended with the words it was made for."""
        reply = self._active[-1]
        self._due = reply.turn_id
        released = c.SpeculationEnded(reply.reply_id, "released")
        return [released, *self._release(reply, now)]

    def drop(self, outcome: SpeculationOutcome) -> list[c.Command]:
        """The speculation was wrong: it leaves no trace."""
        commands: list[c.Command] = []
        for reply in self._active:
            commands += [c.StopReply(reply.reply_id), c.SpeculationEnded(reply.reply_id, outcome)]
        self._active.clear()
        return commands

    def _new_reply(
        self,
        turn_id: int,
        timeline: Timeline | None,
        request: ReplyRequested | None,
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
        return [
            c.ReplyStarted(reply.reply_id, reply.turn_id, reply.options),
            c.SetDeadline(FIRST_AUDIO, now + self.policy.first_audio_s),
        ]

    def _release(self, reply: Reply, now: float) -> list[c.Command]:
        commands = self._open(reply, now)
        commands += self._told(reply, reply.confirm(self._speaker, now))
        for call in reply.calls:
            commands += self._call(reply, call)
        return commands + self._settle(reply, now)

    # --- what the model, the voice and the tools say -------------------------------------------------------------

    def take_text(self, reply_id: int, text: str, now: float) -> list[c.Command]:
        """Tokens."""
        reply = self._find(reply_id)
        return self._told(reply, reply.take_text(text, now)) if reply else []

    def take_call(self, event: ReplyToolCall, now: float) -> list[c.Command]:
        """A tool is asked for. Asked for by a speculation, it waits for the turn to be confirmed."""
        reply = self._find(event.reply_id)
        if reply is None:
            return []
        call = FunctionCall(self._new_item_id(), event.call_id, event.name, event.arguments)
        reply.take_call(call, now)
        return self._call(reply, call) if reply.confirmed else []

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

    def take_words(self, event: SpeechWords) -> None:
        """When words are spoken."""
        for reply in {*self._active, *self._sounding}:
            if reply.reply_id == event.reply_id:
                reply.message.words.extend(event.words)

    def finish_speech(self, reply_id: int, now: float) -> list[c.Command]:
        """All speech of the reply is there."""
        reply = self._find(reply_id)
        if reply is None:
            return []
        reply.speech_done = True
        return self._settle(reply, now)

    def fail(self, reply_id: int, stage: str, why: str, now: float) -> list[c.Command]:
        """The reply cannot be had, or not all of it. If nothing of it was heard, say so instead."""
        reply = self._find(reply_id)
        if reply is None:
            return []
        commands: list[c.Command] = [c.StopReply(reply_id)]
        if reply.audible:
            reply.failure = why
            reply.speech_done = True
            return commands + self._told(reply, reply.finish_text("stop", now)) + self._settle(reply, now)
        self._active.remove(reply)
        if not reply.confirmed:
            return commands
        commands += [c.ClearDeadline(FIRST_AUDIO), self._ended(reply, "failed", why)]
        if stage == "llm" and self.policy.apology and reply.message.spoken and not reply.in_history:
            return commands + self.recite(reply.turn_id, self.policy.apology, now)
        return commands + self.close_turn("unanswered")

    def overdue(self, now: float) -> list[c.Command]:
        """Nothing was audible in time."""
        late = next((reply for reply in self._active if reply.confirmed), None)
        if late is None:
            return []
        stage = "tts" if late.in_history else "llm"
        return self.fail(late.reply_id, stage, f"No answer within {self.policy.first_audio_s:g} s.", now)

    def finish_tool(self, event: ToolFinished, now: float) -> list[c.Command]:
        """A tool's result: it goes into the history in any case, and into the answer if that still waits."""
        if self._running.pop(event.call_id, None) is None:
            return []
        output = FunctionOutput(self._new_item_id(), event.call_id, event.output)
        commands: list[c.Command] = [c.ToolAnswered(output, self._history.add(output))]
        if event.call_id not in self._awaited:
            return commands
        self._awaited.discard(event.call_id)
        return commands + self._go_on(now)

    # --- ending --------------------------------------------------------------------------------------------------

    def cut(self, reason: str, now: float) -> list[c.Command]:
        """Stop everything. The history keeps what was heard; tools go on running, for their effects' sake."""
        commands: list[c.Command] = [c.ClearDeadline(FIRST_AUDIO), c.ClearDeadline(PLAYED_OUT)]
        commands += [c.StopReply(reply.reply_id) for reply in self._active]
        for reply in self._sounding:
            message = reply.message
            heard_ms = self._speaker.heard_ms(reply.reply_id, now)
            if reply in self._active or heard_ms < message.audio_ms:
                message.heard_ms = heard_ms
                commands.append(c.StopPlaying(reply.reply_id))
                commands.append(c.AnswerCut(message.item_id, heard_ms, message.heard_text))
        for reply in self._active:
            if reply.in_history and reply not in self._sounding:
                reply.message.heard_ms = 0.0
            if reply.confirmed:
                commands.append(self._ended(reply, "cancelled", reason))
        self._speaker.stop(now)
        outcome: c.TurnOutcome = "interrupted" if self._trace else "superseded"
        self._active.clear()
        self._sounding.clear()
        self._awaited.clear()
        self._calling = self._carried = None
        return commands + self.close_turn(outcome)

    def played_out(self, now: float) -> list[c.Command]:
        """All that was sent has been heard."""
        self._sounding.clear()
        self._speaker.forget(now)
        return [] if self.busy else self.close_turn("answered")

    def close_turn(self, outcome: c.TurnOutcome) -> list[c.Command]:
        """The turn that awaited an answer awaits it no longer."""
        if self._due is None:
            return []
        finished = c.TurnFinished(self._due, outcome, self._trace)
        self._due = self._trace = None
        return [finished]

    # --- inside --------------------------------------------------------------------------------------------------

    def _find(self, reply_id: int) -> Reply | None:
        return next((reply for reply in self._active if reply.reply_id == reply_id), None)

    def _told(self, reply: Reply, commands: list[c.Command]) -> list[c.Command]:
        """Enter the reply in the history with its first words, and note when it becomes audible."""
        if not reply.in_history and any(isinstance(command, c.ReplyWords) for command in commands):
            reply.in_history = True
            previous = self._history.add(reply.message)
            commands.insert(0, c.AnswerStarted(reply.reply_id, reply.message, previous))
        if reply not in self._sounding and any(isinstance(command, c.Play) for command in commands):
            self._sounding.append(reply)
            commands.append(c.ClearDeadline(FIRST_AUDIO))
        if reply.trace and reply.trace is not self._trace and self._trace is None:
            self._trace = reply.trace
            commands.append(c.TurnTraced(reply.trace))
        return commands

    def _call(self, reply: Reply, call: FunctionCall) -> list[c.Command]:
        commands: list[c.Command] = [c.ToolRequested(reply.reply_id, call, self._history.add(call))]
        if call.name in self.policy.tools:
            self._running[call.call_id] = reply.turn_id
            self._awaited.add(call.call_id)
            self._calling = reply
            commands.append(c.RunTool(reply.turn_id, call.call_id, call.name, call.arguments))
        return commands

    def _settle(self, reply: Reply, now: float) -> list[c.Command]:
        """End the reply if all of it is there, and go on with what waited for that."""
        if not reply.confirmed:
            return []
        if not reply.over:
            return self._go_on(now)
        self._active.remove(reply)
        commands: list[c.Command] = [self._outcome(reply)]
        if self._active:
            return commands + self._release(self._active[0], now)
        commands += self._go_on(now)
        if self._active:
            return commands
        commands.append(c.ClearDeadline(FIRST_AUDIO))
        if self._sounding:
            commands.append(c.SetDeadline(PLAYED_OUT, max(self._speaker.ends_at, now)))
        elif not self._awaited:
            commands += self._silent_end(reply)
        return commands

    def _silent_end(self, reply: Reply) -> list[c.Command]:
        """The reply was made of text or of tool calls for the client, or of nothing at all."""
        if reply.calls:
            self._carried = reply.timeline
            return []
        return self.close_turn("answered" if reply.in_history else "unanswered")

    def _go_on(self, now: float) -> list[c.Command]:
        """Once the tools' results are there, have the model speak about them."""
        calling = self._calling
        if calling is None or self._awaited or calling.model_reason is None:
            return []
        self._calling = None
        if calling.timeline and calling.trace is None:
            calling.timeline.mark("tool", now)
        reply = self._new_reply(
            calling.turn_id, calling.timeline, calling.request, held=calling in self._active
        )
        start = c.StartReply(reply.reply_id, reply.turn_id, self._history.messages(), False, reply.options)
        return [start, *(self._open(reply, now) if reply.confirmed else [])]

    def _outcome(self, reply: Reply) -> c.Command:
        if reply.failure:
            return self._ended(reply, "failed", reply.failure)
        if reply.model_reason == "length":
            return self._ended(reply, "incomplete", "max_output_tokens")
        return self._ended(reply, "completed", None)

    def _ended(self, reply: Reply, status: c.ReplyStatus, reason: str | None) -> c.Command:
        message = reply.message if reply.in_history else None
        return c.ReplyEnded(reply.reply_id, reply.turn_id, status, message, reason)
