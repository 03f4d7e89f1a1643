"""Conversations in which anything happens at any time: the turn core and a call's tools, joined by a fake session.

Eager ends of turn, barge-ins, tool results and hang-ups come in random order. No tool that changes something runs
twice or for a discarded speculation, none is left without a result, and no result is spoken in another turn.
"""

import asyncio
import json
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from repartee import Agent
from repartee.agent.agent import worker_side
from repartee.agent.fillers import Fillers
from repartee.agent.prefetch import Prefetch
from repartee.agent.toolbox import Toolbox
from repartee.turn import commands as c
from repartee.turn import events as e
from repartee.turn.history import FunctionCall, FunctionOutput
from repartee.turn.machine import TurnMachine
from repartee.turn.policy import TurnPolicy

SPEECH = b"\x00\x40" * 2400
"""100 ms of something loud."""

Plan = tuple[tuple[str, str], ...]

plans = st.sampled_from(
    [
        (("say", "All right, here it is. "),),
        (("call", "read"),),
        (("call", "write a"),),
        (("say", "Let me see, one moment please. "), ("call", "write a"), ("call", "read")),
        (("call", "write a"), ("call", "write a"), ("call", "write b")),
    ]
)
"""What the model does in a reply."""

CALLER = [
    ("start", "eager", "end"),
    ("start", "eager", "end"),
    ("start", "end"),
    ("start", "eager", "resume"),
    ("eager", "end"),
    ("eager", "end"),
    ("eager", "end other"),
    ("start",),
    ("start",),
    ("end",),
    (),
    (),
]
"""What the caller's speech recognition says in one scene."""

actions = st.one_of(
    st.tuples(st.just("model"), plans),
    st.tuples(st.just("model"), plans),
    st.tuples(st.just("voice"), st.integers(1, 3)),
    st.tuples(st.sampled_from(["tool", "time", "rest", "settle"]), st.integers(0, 3)),
)
scenes = st.tuples(st.sampled_from(CALLER), st.lists(actions, min_size=2, max_size=6))
scripts = st.lists(scenes, min_size=2, max_size=10)

Script = list[tuple[tuple[str, ...], list[tuple[str, Any]]]]


@dataclass
class ModelReply:
    """A reply that the fake model is making, and its speech."""

    turn_id: int
    speculative: bool
    done: bool = False
    unspoken: int = 0
    last: bool = False


@dataclass
class Session:
    """Carries out the core's commands, and remembers what must be true."""

    now: float = 0.0
    replies: dict[int, ModelReply] = field(default_factory=dict)
    turn_of: dict[int, int] = field(default_factory=dict)
    turn: int = 0
    heard: int = 0
    writes: Counter[str] = field(default_factory=Counter)
    asked_by: dict[str, int] = field(default_factory=dict)
    discarded: set[int] = field(default_factory=set)
    waiting: list[asyncio.Future[None]] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    deadlines: dict[str, float] = field(default_factory=dict)
    calls: int = 0
    events: deque[e.Event] = field(default_factory=deque)

    def __post_init__(self) -> None:
        agent = Agent("Hi.", predictions={"number": "read"}, learn=False)

        @agent.tool(read_only=True)
        async def read() -> str:
            """Read."""
            await self._wait()
            return "read"

        @agent.tool
        async def write(what: str) -> str:
            """Write."""
            self.writes[what] += 1
            await self._wait()
            return what

        self.toolbox = Toolbox(agent, worker_side(agent).new_call("c1"), clock=lambda: self.now)
        fillers = Fillers({"read": ["Let me read that."], "write": ["I am writing.", "Nearly there."]})
        self.machine = TurnMachine("c1", TurnPolicy(tools=frozenset(worker_side(agent).tools)), fillers)

    async def _wait(self) -> None:
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append(waiting)
        try:
            await waiting
        finally:
            self.waiting.remove(waiting)

    def receive(self, event: e.Event) -> None:
        self.events.append(event)
        if len(self.events) > 1:
            return
        while self.events:
            for command in self.machine.receive(self.events[0], self.now):
                self.carry_out(command)
            self.events.popleft()

    def carry_out(self, command: c.Command) -> None:  # noqa: C901
        match command:
            case c.StartReply():
                assert command.turn_id >= self.turn, "a reply to a turn that is over"
                self.turn_of[command.reply_id] = command.turn_id
                self.replies[command.reply_id] = ModelReply(command.turn_id, command.speculative)
                if foreseen := self.toolbox.foreseen(command.turn_id, command.words):
                    self.receive(e.LookedUp(command.reply_id, foreseen))
            case c.LookupUsed():
                self.toolbox.used(command.turn_id, command.result)
            case c.StopReply():
                self.replies.pop(command.reply_id, None)
            case c.Say():
                if reply := self.replies.get(command.reply_id):
                    reply.unspoken += bool(command.text)
                    reply.last = reply.last or command.last
            case c.Play():
                assert self.turn_of[command.reply_id] >= self.turn, "spoken in another turn"
            case c.TurnStarted():
                self.turn = command.turn_id
            case c.ToolRequested():
                assert command.reply_id not in self.discarded
                self.asked_by[command.item.call_id] = command.reply_id
            case c.SpeculationEnded():
                if command.outcome != "released":
                    self.discarded.add(command.reply_id)
                    assert command.reply_id not in self.asked_by.values(), "a tool of a discarded speculation"
            case c.RunTool():
                assert command.call_id in self.asked_by
                self.tasks.append(asyncio.create_task(self.run(command)))
            case c.TurnHeard():
                self.guess(self.toolbox.heard(command.turn_id, command.text))
            case c.PrepareTool():
                self.guess(self.toolbox.asked(command.name, command.arguments))
            case _:
                self.note_deadline(command)

    def guess(self, predicted: Sequence[Prefetch]) -> None:
        self.tasks += [asyncio.create_task(self.toolbox.prefetch(each)) for each in predicted]

    def note_deadline(self, command: c.Command) -> None:
        if isinstance(command, c.SetDeadline):
            self.deadlines[command.name] = command.at
        elif isinstance(command, c.ClearDeadline):
            self.deadlines.pop(command.name, None)

    async def run(self, command: c.RunTool) -> None:
        output = await self.toolbox.run(command.turn_id, command.call_id, command.name, command.arguments)
        self.receive(e.ToolFinished(command.call_id, output))

    async def step(self, kind: str, detail: Any) -> None:
        if kind == "model":
            self.model(detail)
        elif kind == "voice":
            for _ in range(detail):
                self.voice()
        elif kind == "tool" and self.waiting:
            if not (waiting := self.waiting[detail % len(self.waiting)]).done():
                waiting.set_result(None)
        elif kind == "time":
            self.now += (0.05, 0.5, 2.0, 9.0)[detail]
            for name, at in sorted(self.deadlines.items()):
                if at <= self.now and self.deadlines.pop(name, None) is not None:
                    self.receive(e.DeadlinePassed(name))
        elif kind == "settle":
            await self.end_tools()
        elif kind == "rest":
            for _ in range(detail):
                await asyncio.sleep(0)

    def caller(self, kind: str) -> None:
        if kind == "start":
            self.heard += 1
        text = f"please do number {self.heard} for me"
        event = {
            "start": e.StartOfTurn(text),
            "eager": e.EagerEndOfTurn(text, self.now),
            "resume": e.TurnResumed(),
            "end": e.EndOfTurn(text, self.now),
            "end other": e.EndOfTurn(f"{text} and more", self.now),
        }[kind]
        self.receive(event)

    def model(self, plan: Plan) -> None:
        """The latest reply that has not begun is made, all at once."""
        for reply_id, reply in reversed(self.replies.items()):
            if not reply.done:
                reply.done = True
                for part in plan:
                    self.part(reply_id, *part)
                self.receive(e.ReplyDone(reply_id))
                return

    def part(self, reply_id: int, kind: str, what: str) -> None:
        if kind == "say":
            self.receive(e.ReplyText(reply_id, what))
            return
        self.calls += 1
        name, _, argument = what.partition(" ")
        arguments = json.dumps({"what": argument} if argument else {})
        self.receive(e.ReplyToolCall(reply_id, f"call_{self.calls}", name, arguments))

    def voice(self) -> None:
        for reply_id, reply in list(self.replies.items()):
            if reply.unspoken:
                reply.unspoken -= 1
                self.receive(e.SpeechAudio(reply_id, SPEECH))
            elif reply.last:
                del self.replies[reply_id]
                self.receive(e.SpeechDone(reply_id))

    async def end_tools(self) -> None:
        for _ in range(100):
            for waiting in self.waiting:
                if not waiting.done():
                    waiting.set_result(None)
            await asyncio.sleep(0)
            if all(task.done() for task in self.tasks):
                return
        raise AssertionError("a tool hangs")


async def play(script: Script) -> Session:
    session = Session()
    for said, happens in script:
        for event in said:
            session.caller(event)
        for kind, detail in happens:
            await session.step(kind, detail)
    return session


TOO_MANY = {"error": "Too many tool calls. Answer the caller with what is known."}


@settings(max_examples=200, deadline=None)
@given(scripts)
def test_no_tool_runs_twice_and_every_call_gets_its_result(script: Script) -> None:
    async def converse() -> Session:
        session = await play(script)
        await session.end_tools()
        return session

    session = asyncio.run(converse())
    assert all(count == 1 for count in session.writes.values())
    assert not any(task.exception() for task in session.tasks)
    history = list(session.machine.history)
    called = Counter(item.call_id for item in history if isinstance(item, FunctionCall))
    answered = Counter(item.call_id for item in history if isinstance(item, FunctionOutput))
    assert called == answered, "a tool is left in progress"
    for item in history:
        if isinstance(item, FunctionOutput):
            # The last: more calls than a turn may have are refused.
            assert json.loads(item.output) in ("read", "a", "b", TOO_MANY)


@settings(max_examples=80, deadline=None)
@given(scripts)
def test_a_hang_up_lets_what_changes_something_finish_and_nothing_more_is_said(
    script: Script,
) -> None:
    async def converse() -> Session:
        session = await play(script)
        session.receive(e.HungUp())
        session.turn = 1_000_000  # whatever is played from now on is wrong
        asked = dict(session.asked_by)
        await session.end_tools()
        assert session.asked_by == asked
        return session

    session = asyncio.run(converse())
    assert all(count == 1 for count in session.writes.values())
    assert not any(task.exception() for task in session.tasks)
