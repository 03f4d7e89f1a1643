"""What an agent has declared, as the worker reads it: its tools, hooks, predictions and fixed phrases.

The worker's side of :class:`~repartee.agent.agent.Agent`, which is the author's. Holds nothing of any call.
"""

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from typing import Any, Protocol

from repartee.agent.author_faults import AuthorTrouble, note_trouble
from repartee.agent.cancelling import being_cancelled
from repartee.agent.checks import Declared, agent_faults, hook_faults, never_used, tool_faults
from repartee.agent.context import CallContext, CallHandle, ReplyContext, SaidSoFar, ToolCall
from repartee.agent.faults import AgentFault, Place, place_of, refuse
from repartee.agent.keys import KeyPolicy, key_faults
from repartee.agent.predictions import Predictions, Rule, compile_predictions
from repartee.agent.secret_values import Secrets
from repartee.agent.signature import read_signature
from repartee.agent.tools import Tool

Hook = Callable[[CallContext], Coroutine[Any, Any, object]]
SummaryFunction = Callable[[CallContext, str], Coroutine[Any, Any, str]]
KeyHook = Callable[[CallContext, str], Coroutine[Any, Any, object]]
ReplyFunction = Callable[[ReplyContext], AsyncIterator[str | ToolCall]]


class Stated(Declared, Protocol):
    """What an agent's author has stated of it."""

    predictions: Predictions


class Declaration:
    """What was declared with an agent's decorators, and what follows from it."""

    def __init__(self, agent: Stated, place: Place) -> None:
        self.place = place
        self._agent = agent
        self._tools: dict[str, Tool] = {}
        self._declared: dict[str, Place] = {}
        self._faults: list[AgentFault] = []
        self._hooks: dict[str, Hook] = {}
        self._key_hook: KeyHook | None = None
        self.keys = KeyPolicy()
        self._reply: ReplyFunction | None = None
        self._summary: SummaryFunction | None = None
        self._rules: tuple[Rule, ...] | None = None

    def __repr__(self) -> str:
        return f"at {self.place}: {', '.join(self._tools) or 'no tools'}"

    # --- declaring -----------------------------------------------------------------------------------------------

    def add_tool(self, function: Callable[..., Any], name: str, options: Mapping[str, Any]) -> None:
        """A tool of this name; ``options`` are those of :class:`~repartee.agent.tools.Tool`."""
        place = place_of(function)
        self._fault(place, *tool_faults(name, function, options))
        if name in self._declared:
            self._fault(place, f"there are two tools named {name!r}; the other is at {self._declared[name]}.")
            return
        self._declared[name] = place
        if not inspect.isfunction(function):
            return
        signature, faults = read_signature(function, name)
        self._fault(place, *faults)
        if signature is not None:
            self._tools[name] = Tool(signature, function, **options)

    def add_hook(self, kind: str, function: Hook) -> None:
        """What is to be called at this moment of a call."""
        place = place_of(function)
        if kind in self._hooks:
            self._fault(place, f"@agent.{kind} is used twice. Call one function from the other.")
        self._fault(place, *hook_faults(kind, function, generator=False))
        self._hooks[kind] = function

    def set_key_hook(self, function: KeyHook, keys: KeyPolicy) -> None:
        """What is to be called with the keys that a caller has pressed."""
        place = place_of(function)
        if self._key_hook is not None:
            self._fault(place, "@agent.on_dtmf is used twice. Call one function from the other.")
        self._fault(
            place,
            *hook_faults("on_dtmf", function, generator=False, takes="the context and the keys"),
            *key_faults(keys),
        )
        self._key_hook, self.keys = function, keys

    def set_reply(self, function: ReplyFunction) -> None:
        """The agent's own way to reply."""
        place = place_of(function)
        if self._reply is not None:
            self._fault(place, "@agent.reply is used twice. An agent has one way to reply.")
        self._fault(place, *hook_faults("reply", function, generator=True))
        self._reply = function

    def set_summary(self, function: SummaryFunction) -> None:
        """The agent's own way to sum up a long call."""
        place = place_of(function)
        if self._summary is not None:
            self._fault(place, "@agent.summary is used twice. A call has one summary.")
        self._fault(
            place, *hook_faults("summary", function, generator=False, takes="the context and the words")
        )
        self._summary = function

    def _fault(self, place: Place, *reasons: str) -> None:
        self._rules = None
        self._faults += [AgentFault(place, reason) for reason in reasons]

    # --- reading -------------------------------------------------------------------------------------------------

    @property
    def tools(self) -> Mapping[str, Tool]:
        """By name, in the order of declaration."""
        return self._tools

    @property
    def reply_function(self) -> ReplyFunction | None:
        """The agent's own way to reply, if it has one."""
        return self._reply

    @property
    def summary_function(self) -> SummaryFunction | None:
        """The agent's own way to sum up a long call, if it has one."""
        return self._summary

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The predictions, compiled. Raises ConfigurationError as :meth:`check` does."""
        if self._rules is None:
            self.check()
        return self._rules or ()

    @property
    def phrases(self) -> tuple[str, ...]:
        """The fixed phrases, each once: worth synthesising before the first call."""
        spoken = [
            self._agent.greeting or "",
            self._consent_notice,
            *(filler for tool in self._tools.values() for filler in tool.fillers),
        ]
        return tuple(dict.fromkeys(phrase for phrase in spoken if phrase))

    @property
    def _consent_notice(self) -> str:
        spoken = self._agent.record == "spoken"
        return self._agent.notices.in_language(self._agent.language).recorded or "" if spoken else ""

    def check(self) -> None:
        """Raises ConfigurationError that names every fault with its file and line."""
        signatures = {name: tool.signature for name, tool in self._tools.items()}
        read_only = [name for name, tool in self._tools.items() if tool.read_only]
        broken = self._declared.keys() - self._tools.keys()
        rules, reasons = compile_predictions(self._agent.predictions, signatures, read_only, broken)
        if self._reply is not None and self._agent.llm is not None:
            reasons = [
                *reasons,
                "llm would never be used: @agent.reply makes the replies. Use one of the two.",
            ]
        has = {"replies": self._reply is not None, "sums_up": self._summary is not None}
        reasons = [*reasons, *never_used(self._agent, **has)]
        refuse(
            [
                *self._faults,
                *(AgentFault(self.place, reason) for reason in [*agent_faults(self._agent), *reasons]),
            ]
        )
        self._rules = rules

    # --- calls ---------------------------------------------------------------------------------------------------

    def new_call(
        self,
        call_id: str,
        verified: Mapping[str, Any] | None = None,
        *,
        say: Callable[[str], None] | None = None,
        handle: CallHandle | None = None,
        transcript: SaidSoFar | None = None,
        note_fault: Callable[[AuthorTrouble], None] | None = None,
        secrets: Secrets | None = None,
    ) -> CallContext:
        """The context of a new call, with the agent's instructions, greeting, voice and language.

        ``verified`` is what the session's ticket says of the caller.
        """
        secrets = secrets or Secrets()
        secrets.parameters = {
            name: tool.signature.secret for name, tool in self._tools.items() if tool.signature.secret
        }
        context = CallContext(
            call_id,
            verified,
            say=say,
            handle=handle,
            transcript=transcript,
            note_fault=note_fault,
            secrets=secrets,
        )
        agent = self._agent
        context.instructions, context.greeting = agent.instructions, agent.greeting
        context.voice, context.language = agent.voice, agent.language
        return context

    async def call_started(self, context: CallContext) -> None:
        """Run the hook, if there is one. What it raises is logged: the call goes on."""
        await self._run_hook("on_call_start", context)

    async def call_ended(self, context: CallContext) -> None:
        """Run the hook, if there is one. What it raises is logged."""
        await self._run_hook("on_call_end", context)

    @property
    def takes_keys(self) -> bool:
        """Keys that a caller presses mean something to the agent."""
        return self._key_hook is not None

    async def keys_pressed(self, context: CallContext, digits: str) -> None:
        """Run the hook for keys. What it raises is logged: the call goes on."""
        if self._key_hook is not None:
            hook = self._key_hook
            await self._run("on_dtmf", context, lambda: hook(context, digits), place_of(hook), given=[digits])

    async def _run_hook(self, kind: str, context: CallContext) -> None:
        hook = self._hooks.get(kind)
        if hook is not None:
            await self._run(kind, context, lambda: hook(context), place_of(hook))

    async def _run(
        self,
        kind: str,
        context: CallContext,
        hook: Callable[[], Coroutine[Any, Any, object]],
        place: Place,
        given: Sequence[str] = (),
    ) -> None:
        try:
            async with asyncio.timeout(self._agent.limits.hook_s):
                await hook()
        except (Exception, asyncio.CancelledError) as error:
            if being_cancelled():
                raise
            remedy = f"The call goes on; mend @agent.{kind}, or catch it there."
            left_out = [*context.verified.values(), *given]
            note_trouble(context, kind, error, remedy, given=left_out, declared_at=str(place))
