"""A conversation under a virtual clock, written as a screenplay.

:class:`Conversation` plays the caller, the model, the voice, the tools and the client against a
:class:`~repartee.turn.machine.TurnMachine`, keeps its deadlines, and checks after every event what must hold in any
conversation (:class:`Rules`). Times are seconds; nothing sleeps.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypeVar

from repartee.turn import commands as c
from repartee.turn import events as e
from repartee.turn.filler import FillerChoice
from repartee.turn.foresight import Foreseen, as_messages
from repartee.turn.history import Message
from repartee.turn.machine import TurnMachine
from repartee.turn.policy import TurnPolicy

AnyCommand = TypeVar("AnyCommand", bound=c.Command)

MANUAL = TurnPolicy(automatic=False, reply_to_turns=False, interruptible=False, speculate=False)
"""Turn-taking by the client, as a session without turn detection has it."""

_BYTES_PER_MS = 48


def tone(ms: float) -> bytes:
    """Audible speech: PCM16, 24 kHz."""
    return b"\x00\x20" * round(ms * _BYTES_PER_MS / 2)


def silence(ms: float) -> bytes:
    return bytes(2 * round(ms * _BYTES_PER_MS / 2))


class Rules:
    """What holds in every conversation, whatever happens in it."""

    def __init__(self) -> None:
        self.begun: dict[int, bool] = {}
        self.stopped: set[int] = set()
        self.started: Counter[int] = Counter()
        self.ended: Counter[int] = Counter()
        self.turns_ended: set[int] = set()
        self.finished: Counter[int] = Counter()
        self.tools: set[str] = set()
        self.turn_of: dict[int, int] = {}
        self.last_said: set[int] = set()

    def check(self, command: c.Command) -> None:
        self._check_making(command)
        self._check_hearing(command)
        self._check_turns(command)

    def _check_making(self, command: c.Command) -> None:
        """How replies are begun and spoken, and tools run."""
        match command:
            case c.StartReply():
                assert command.reply_id not in self.begun, "a reply is begun once"
                self.begun[command.reply_id] = command.speculative
                self.turn_of[command.reply_id] = command.turn_id
                check_messages(command.messages)
            case c.Say():
                assert command.reply_id not in self.stopped, "nothing is said for a stopped reply"
                assert command.reply_id not in self.last_said, "nothing is said after the last piece"
                if command.last:
                    self.last_said.add(command.reply_id)
            case c.RunTool():
                assert command.call_id not in self.tools, "a tool runs once"
                assert any(self.started.values()), "a speculation runs no tools"
                self.tools.add(command.call_id)

    def _check_hearing(self, command: c.Command) -> None:
        """What reaches the caller, and what no longer may."""
        match command:
            case c.Play():
                assert command.reply_id not in self.stopped, "a stopped reply is never heard again"
                assert self.started[command.reply_id] == 1, "what is heard is known to the client"
                assert not self.ended[command.reply_id], "nothing is heard of a reply after its end"
                if self.begun.get(command.reply_id):
                    assert self.turn_of[command.reply_id] in self.turns_ended, (
                        "no sound before the turn's end"
                    )
            case c.StopReply() | c.StopPlaying():
                self.stopped.add(command.reply_id)
            case c.SpeculationEnded(outcome="released"):
                assert self.begun[command.reply_id]
            case c.SpeculationEnded():
                assert not self.started[command.reply_id], "the client never knew of it"
            case c.ReplyStarted():
                self.started[command.reply_id] += 1
                assert self.started[command.reply_id] == 1
            case c.ReplyEnded():
                self.ended[command.reply_id] += 1
                assert self.started[command.reply_id] == self.ended[command.reply_id] == 1

    def _check_turns(self, command: c.Command) -> None:
        """How turns end and are traced."""
        match command:
            case c.TurnEnded():
                assert command.turn_id not in self.turns_ended, "a turn ends once"
                self.turns_ended.add(command.turn_id)
            case c.TurnFinished():
                self.finished[command.turn_id] += 1
                assert self.finished[command.turn_id] == 1, "a turn is finished once"
            case c.TurnTraced():
                trace = command.trace
                assert abs(sum(trace.stages_ms.values()) - trace.voice_to_voice_ms) < 0.01
                assert all(ms >= 0 for ms in trace.stages_ms.values())

    def check_the_end(self) -> None:
        """The call is over: nothing is left undone."""
        for reply_id in self.begun:
            assert self.ended[reply_id] or reply_id in self.stopped, f"reply {reply_id} was never ended"
        assert self.started == self.ended


def check_messages(messages: object) -> None:
    """OpenAI's chat form: each tool message follows the assistant message that calls it, each call has its result."""
    assert isinstance(messages, list)
    open_calls: list[str] = []
    for message in messages:
        if message["role"] == "tool":
            assert message["tool_call_id"] in open_calls
            open_calls.remove(message["tool_call_id"])
            continue
        assert not open_calls, "a call without its result"
        assert message["role"] in {"user", "assistant", "system"}
        open_calls = [call["id"] for call in message.get("tool_calls", [])]
        assert open_calls or message["content"].strip()
    assert not open_calls


class Conversation:
    """Plays everyone but the core. ``reply`` arguments default to the newest reply asked for."""

    def __init__(
        self,
        policy: TurnPolicy | None = None,
        fillers: FillerChoice | None = None,
        look_up: Callable[[str], Sequence[Foreseen]] = lambda words: (),
    ) -> None:
        self.machine = TurnMachine("call", policy, fillers)
        self.look_up = look_up
        self.now = 0.0
        self.log: list[c.Command] = []
        self.deadlines: dict[str, float] = {}
        self.rules = Rules()

    # --- time ----------------------------------------------------------------------------------------------------

    def send(self, event: e.Event) -> list[c.Command]:
        """Let something happen now."""
        commands = self.machine.receive(event, self.now)
        for command in commands:
            self.rules.check(command)
            match command:
                case c.SetDeadline():
                    self.deadlines[command.name] = command.at
                case c.ClearDeadline():
                    self.deadlines.pop(command.name, None)
        self.log += commands
        for command in commands:
            if isinstance(command, c.StartReply) and (results := self.look_up(command.words)):
                check_messages([*command.messages, *as_messages(results, command.reply_id)])
                commands = [*commands, *self.send(e.LookedUp(command.reply_id, results))]
        return commands

    def wait(self, seconds: float) -> None:
        """Let time pass; deadlines come when they are due."""
        until = self.now + seconds
        while self.deadlines and (due := min(self.deadlines.items(), key=lambda item: item[1]))[1] <= until:
            name, at = due
            del self.deadlines[name]
            self.now = max(self.now, at)
            self.send(e.DeadlinePassed(name))
        self.now = until

    # --- the caller ----------------------------------------------------------------------------------------------

    def caller_starts(self, text: str = "") -> list[c.Command]:
        return self.send(e.StartOfTurn(text))

    def caller_goes_on(self, text: str) -> list[c.Command]:
        return self.send(e.PartialTranscript(text))

    def caller_pauses(self, text: str, ended_at: float | None = None) -> list[c.Command]:
        """An eager end of turn."""
        return self.send(e.EagerEndOfTurn(text, ended_at))

    def caller_resumes(self) -> list[c.Command]:
        return self.send(e.TurnResumed())

    def caller_ends(self, text: str, ended_at: float | None = None) -> list[c.Command]:
        return self.send(e.EndOfTurn(text, ended_at))

    def caller_says(self, text: str, *, lasting: float = 1.0) -> list[c.Command]:
        """A whole turn, without an eager end."""
        commands = self.caller_starts(text.partition(" ")[0])
        self.wait(lasting)
        ended_at = self.now
        self.wait(0.25)
        return commands + self.caller_ends(text, ended_at)

    # --- the model, the voice and the tools ----------------------------------------------------------------------

    @property
    def reply(self) -> int:
        """The newest reply asked for or recited."""
        ids = [cmd.reply_id for cmd in self.log if isinstance(cmd, c.StartReply | c.ReplyStarted)]
        return max(ids)

    def model_writes(self, text: str, reply: int | None = None) -> list[c.Command]:
        return self.send(e.ReplyText(reply or self.reply, text))

    def model_calls(
        self, call_id: str, name: str = "look_up", arguments: str = "{}", reply: int | None = None
    ) -> list[c.Command]:
        return self.send(e.ReplyToolCall(reply or self.reply, call_id, name, arguments))

    def model_ends(self, reason: str = "stop", reply: int | None = None) -> list[c.Command]:
        return self.send(e.ReplyDone(reply or self.reply, reason))

    def voice_speaks(self, ms: float, reply: int | None = None) -> list[c.Command]:
        return self.send(e.SpeechAudio(reply or self.reply, tone(ms)))

    def voice_tells_words(self, *words: tuple[str, float, float], reply: int | None = None) -> None:
        spoken = tuple(e.SpokenWord(*word) for word in words)
        self.send(e.SpeechWords(reply or self.reply, spoken))

    def voice_ends(self, reply: int | None = None) -> list[c.Command]:
        return self.send(e.SpeechDone(reply or self.reply))

    def agent_says(self, text: str, *, ms: float = 1000, reply: int | None = None) -> None:
        """The model writes it all, the voice speaks it all; it is yet to be played."""
        reply = reply or self.reply
        self.wait(0.14)
        self.model_writes(text, reply)
        self.model_ends(reply=reply)
        self.wait(0.1)
        self.voice_speaks(ms, reply)
        self.voice_ends(reply)

    def tool_gives(self, call_id: str, output: str) -> list[c.Command]:
        return self.send(e.ToolFinished(call_id, output))

    # --- what came of it -----------------------------------------------------------------------------------------

    @property
    def state(self) -> str:
        """The state's name (a name, so that a type checker does not take it for constant)."""
        return self.machine.state.name

    def all(self, kind: type[AnyCommand]) -> list[AnyCommand]:
        return [command for command in self.log if isinstance(command, kind)]

    def last(self, kind: type[AnyCommand]) -> AnyCommand:
        return self.all(kind)[-1]

    def said(self, reply: int | None = None) -> list[str]:
        """The pieces that went to the voice."""
        wanted = reply or self.reply
        return [say.text for say in self.all(c.Say) if say.reply_id == wanted and say.text]

    def played_ms(self, reply: int | None = None) -> float:
        """How much audio was sent to the caller, of one reply or of all."""
        plays = [play for play in self.all(c.Play) if reply is None or play.reply_id == reply]
        return sum(len(play.pcm) for play in plays) / _BYTES_PER_MS

    @property
    def told(self) -> list[str]:
        """The history as a model is told it: ``role: words``."""
        messages = self.machine.history.messages()
        check_messages(messages)
        return [f"{message['role']}: {message['content'] or 'calls'}" for message in messages]

    @property
    def outcomes(self) -> list[tuple[int, str]]:
        return [(command.turn_id, command.outcome) for command in self.all(c.TurnFinished)]

    @property
    def items(self) -> list[Message]:
        return [item for item in self.machine.history if isinstance(item, Message)]
