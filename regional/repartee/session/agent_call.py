"""The user's agent in one call: its hooks, its tools, what is run on a guess, and its own way to reply.

Runs the agent's code as tasks that the call owns; results go back to the turn core as events.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any

from repartee.agent.agent import Agent, worker_side
from repartee.agent.author_faults import AuthorTrouble
from repartee.agent.context import CallContext, CallHandle, secrets_of
from repartee.agent.experience import Experience, Transition
from repartee.agent.fillers import FillerPolicy, Fillers
from repartee.agent.keys import KeyCollector
from repartee.agent.own_reply import OwnReplyLLM
from repartee.agent.prefetch import Prefetch, PrefetchFigures
from repartee.agent.secret_values import Secrets
from repartee.agent.toolbox import Run, Toolbox
from repartee.agent.transcript import CallTranscript
from repartee.providers.interfaces import LLM
from repartee.session.call_summary import CallSummary
from repartee.session.consent import RecordedCall
from repartee.turn.commands import LookupUsed, PrepareTool, RunTool, SayDropped
from repartee.turn.events import Event, SayRequested, ToolFinished
from repartee.turn.foresight import Foreseen

log = logging.getLogger(__name__)

EARLY_TEXTS = 16
"""Texts that may wait to be said before the client knows of its session."""


KEYS_ROUNDING_S = 0.001
"""A timer's moment has come when the clock is so near to it."""


class AgentCall:
    """One agent, one call. ``start`` starts a task of the call's, ``drop`` ends one; ``deliver`` takes events to the
    core; ``tool_ran`` hears of every tool that has answered, ``keys_done`` of every hook for keys that is through."""

    def __init__(
        self,
        agent: Agent,
        call_id: str,
        metadata: Mapping[str, Any],
        experience: Experience,
        *,
        start: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
        drop: Callable[[asyncio.Task[None]], None],
        deliver: Callable[[Event], None],
        tool_ran: Callable[[Run], None],
        keys_done: Callable[[], None] = lambda: None,
        handle: CallHandle | None = None,
        transcript: CallTranscript | None = None,
        note_fault: Callable[[AuthorTrouble], None] | None = None,
        secrets: Secrets | None = None,
    ) -> None:
        self._agent = agent
        self._start, self._drop = start, drop
        self._deliver = deliver
        self._tool_ran, self._keys_done = tool_ran, keys_done
        self.context: CallContext = worker_side(agent).new_call(
            call_id,
            metadata,
            say=self._say,
            handle=handle,
            transcript=transcript,
            note_fault=note_fault,
            secrets=secrets,
        )
        self.secrets = secrets_of(self.context)
        self._toolbox = Toolbox(agent, self.context, experience)
        self.fillers = Fillers(
            {name: tool.fillers for name, tool in worker_side(agent).tools.items()},
            FillerPolicy(after_ms=agent.filler_after_ms),
            expected_ms=experience.expected,
        )
        self._summary = CallSummary(
            worker_side(agent).summary_function, self.context, start=start, deliver=deliver
        )
        self._keys = KeyCollector(worker_side(agent).keys)
        self._pause: asyncio.TimerHandle | None = None
        self._early: list[str] | None = []
        self._prefetches: set[asyncio.Task[None]] = set()
        self._must_finish: set[asyncio.Task[None]] = set()

    @property
    def chat_tools(self) -> Sequence[dict[str, Any]]:
        """The agent's tools, in the form of OpenAI's chat API."""
        return [tool.as_chat() for tool in worker_side(self._agent).tools.values()]

    @property
    def tool_names(self) -> frozenset[str]:
        """The tools that the agent runs; the client runs all others."""
        return frozenset(worker_side(self._agent).tools)

    @property
    def prefetched(self) -> PrefetchFigures:
        """What prefetching did in this call."""
        return self._toolbox.figures

    def llm(self, deployed: LLM) -> LLM:
        """What replies are made by: the agent itself, if it does that, or the deployment's model."""
        own = worker_side(self._agent).reply_function
        return deployed if own is None else OwnReplyLLM(own, self.context)

    async def begin(self, told: Mapping[str, Any], *, resumed: bool = False) -> None:
        """Before the greeting: the agent's own beginning. ``told``: what the client has said of the caller in asking
        for the call; ``resumed``: the caller has talked to it before they were cut off. Raises nothing."""
        self.context.tell(told)
        if resumed and (words := self._agent.notices.in_language(self.context.language).resumed):
            self.context.greeting = words
        await worker_side(self._agent).call_started(self.context)
        self._guess(self._toolbox.call_started())

    def speak(self, language: str) -> None:
        """The caller is spoken to in this language from now on."""
        self.fillers.company = self._agent.notices.in_language(language).company or ""

    def speak_up(self, recorded: RecordedCall | None = None) -> None:
        """The client knows of its session: say what waited for that, and the greeting; but first that the call is
        recorded."""
        early, self._early = self._early or [], None
        notice = self._agent.notices.in_language(self.context.language).recorded or ""
        first = recorded.announce(notice) if recorded else ""
        for text in (first, *early, self.context.greeting or ""):
            self._say(text)

    def foreseen(self, turn_id: int, words: str) -> Sequence[Foreseen]:
        """What has been looked up before it was asked for, and belongs to these words of the caller's."""
        return self._toolbox.foreseen(turn_id, words) if words else ()

    def used(self, command: LookupUsed) -> None:
        """The turn is confirmed, and its answer was made with this result."""
        if run := self._toolbox.used(command.turn_id, command.result):
            self._tool_ran(run)

    def not_said(self, command: SayDropped) -> None:
        """Too much waits to be said."""
        log.warning(
            "call %s: ctx.say was given more texts than may wait; leaving one of %d characters unsaid",
            self.context.call_id,
            len(command.text),
        )

    def heard(self, turn_id: int, text: str) -> None:
        """The caller's words in this turn so far."""
        self._guess(self._toolbox.heard(turn_id, text))

    def learn(self, metadata: Mapping[str, Any]) -> None:
        """What the client tells of the caller in mid-call."""
        self._guess(self._toolbox.told(metadata))

    def left_out(self, messages: Sequence[Mapping[str, Any]]) -> None:
        """The model is no longer shown these: have them summed up, if the agent does that."""
        self._summary.cover(messages)

    def prepare(self, command: PrepareTool) -> None:
        """A speculative reply wants a tool: look it up on a guess, if it is one that may be."""
        self._guess(self._toolbox.asked(command.name, command.arguments))

    def run(self, command: RunTool) -> None:
        """Run a tool; its result follows as an event, whatever becomes of it."""
        task = self._start(self._run(command))
        if self._toolbox.must_finish(command.name):
            self._must_finish.add(task)
            task.add_done_callback(self._must_finish.discard)

    @property
    def takes_keys(self) -> bool:
        """Keys that the caller presses mean something to the agent."""
        return worker_side(self._agent).takes_keys

    def pressed(self, digit: str) -> None:
        """The caller has pressed a key."""
        loop = asyncio.get_running_loop()
        digits = self._keys.press(digit, loop.time())
        if self._pause:
            self._pause.cancel()
        if digits is not None:
            self._keyed(digits)
        elif self._keys.due_at is not None:
            self._pause = loop.call_at(self._keys.due_at, self._paused)

    def _paused(self) -> None:
        if digits := self._keys.paused(asyncio.get_running_loop().time() + KEYS_ROUNDING_S):
            self._keyed(digits)

    def _keyed(self, digits: str) -> None:
        if self.secrets.hides_digits:
            self.secrets.keep(digits)
        self._start(self._take_keys(digits))

    async def _take_keys(self, digits: str) -> None:
        await worker_side(self._agent).keys_pressed(self.context, digits)
        self._keys_done()

    async def end(self) -> Sequence[Transition]:
        """After the call: let finish what must not be cut off, then the agent's own end. Returns what it taught."""
        if self._pause:
            self._pause.cancel()
        for task in self._prefetches:
            self._drop(task)
        if self._must_finish:
            await asyncio.wait(self._must_finish)
        await worker_side(self._agent).call_ended(self.context)
        return self._toolbox.close()

    async def _run(self, command: RunTool) -> None:
        output = await self._toolbox.run(command.turn_id, command.call_id, command.name, command.arguments)
        run = self._toolbox.ran(command.call_id)
        if run:
            self._tool_ran(run)
        self._deliver(ToolFinished(command.call_id, output, run.prefetch if run else None))
        self._guess(self._toolbox.answered(command.call_id))

    def _guess(self, predicted: Iterable[Prefetch]) -> None:
        for wanted in predicted:
            task = self._start(self._toolbox.prefetch(wanted))
            self._prefetches.add(task)
            task.add_done_callback(self._prefetches.discard)

    def _say(self, text: str) -> None:
        if not text.strip():
            return
        if self._early is None:
            self._deliver(SayRequested(text))
        elif len(self._early) < EARLY_TEXTS:
            self._early.append(text)
        else:
            self.not_said(SayDropped(text))
