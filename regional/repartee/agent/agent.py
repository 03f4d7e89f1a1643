"""What a user writes: instructions, tools, fillers, predictions and hooks, in one object.

    agent = Agent(instructions="You are the front desk of ...", greeting="Hello!")

    @agent.tool(read_only=True, filler="Let me look ...")
    async def opening_hours(day: str) -> dict: ...

Owns the declaration and its check. Holds nothing of any call: one Agent serves all of them.
"""

import asyncio
import inspect
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar, overload

from repartee.agent.checks import agent_faults, hook_faults, tool_faults
from repartee.agent.context import CallContext, ReplyContext, ToolCall
from repartee.agent.faults import Fault, Place, place_of, place_of_call, refuse
from repartee.agent.limits import Limits
from repartee.agent.notices import Notices
from repartee.agent.predictions import Predictions, Rule, compile_predictions
from repartee.agent.signature import read_signature
from repartee.agent.tools import Tool

Function = TypeVar("Function", bound=Callable[..., Any])
Hook = Callable[[CallContext], Awaitable[None]]
ReplyFunction = Callable[[ReplyContext], AsyncGenerator[str | ToolCall, None]]

_log = logging.getLogger(__name__)


class Agent:
    """An agent that takes calls.

    ``voice`` and ``model`` are the providers' names (None: the deployment's). ``max_tokens`` bounds a reply; spoken
    ones should be short. ``keyterms`` are words that speech recognition should expect. ``predictions`` map
    ``"greeting"``, a tool's name or words of the caller to the read-only tools that are likely to follow;
    ``learn`` adds what past calls show. ``notices`` are said when an answer cannot be had.
    ``backchannels`` are words that do not interrupt, ``spoken_style`` is added to a spoken session's
    instructions (None: the language's). ``idle_s`` is how long a caller may be silent before the agent asks whether
    they are there (None: for ever).
    Nothing is raised here: :meth:`check` tells of all faults at once.
    """

    def __init__(
        self,
        instructions: str,
        *,
        voice: str | None = None,
        greeting: str | None = None,
        language: str = "en",
        model: str | None = None,
        max_tokens: int = 200,
        temperature: float | None = None,
        keyterms: Sequence[str] = (),
        limits: Limits | None = None,
        notices: Notices | None = None,
        backchannels: Collection[str] | None = None,
        spoken_style: str | None = None,
        idle_s: float | None = None,
        predictions: Predictions | None = None,
        learn: bool = True,
    ) -> None:
        self.instructions = instructions
        self.voice = voice
        self.greeting = greeting
        self.language = language
        self.model = model
        self.max_tokens = max_tokens
        self.temperature = temperature
        self.keyterms: Sequence[str] = keyterms
        self.limits = limits or Limits()
        self.notices = notices or Notices()
        self.backchannels = backchannels
        self.spoken_style = spoken_style
        self.idle_s = idle_s
        self.predictions: Predictions = predictions or {}
        self.learn = learn
        frame = inspect.currentframe()
        self.place: Place = place_of_call(frame.f_back if frame else None)
        self._tools: dict[str, Tool] = {}
        self._declared: dict[str, Place] = {}
        self._faults: list[Fault] = []
        self._hooks: dict[str, Hook] = {}
        self._reply: ReplyFunction | None = None
        self._rules: tuple[Rule, ...] | None = None

    def __repr__(self) -> str:
        return f"<Agent at {self.place}: {', '.join(self._tools) or 'no tools'}>"

    # --- declaring -----------------------------------------------------------------------------------------------

    @overload
    def tool(self, function: Function, /) -> Function: ...

    @overload
    def tool(
        self,
        /,
        *,
        name: str | None = None,
        read_only: bool = False,
        repeatable: bool = False,
        filler: str | Sequence[str] | None = None,
        timeout_s: float = 10.0,
    ) -> Callable[[Function], Function]: ...

    def tool(
        self,
        function: Function | None = None,
        /,
        *,
        name: str | None = None,
        read_only: bool = False,
        repeatable: bool = False,
        filler: str | Sequence[str] | None = None,
        timeout_s: float = 10.0,
    ) -> Any:
        """Declare an async function as a tool, as ``@agent.tool`` or ``@agent.tool(...)``.

        ``read_only``: it changes nothing, so it may run before it is asked for. ``repeatable``: calling it twice
        with the same arguments is meant to do it twice. ``filler``: one or more phrases for the caller to hear
        while it runs. The first parameter may be a :class:`CallContext`.
        """

        def declare(function: Function) -> Function:
            fillers = (filler,) if isinstance(filler, str) else tuple(filler or ())
            options = {
                "read_only": read_only,
                "repeatable": repeatable,
                "fillers": fillers,
                "timeout_s": timeout_s,
            }
            self._declare(function, name or str(getattr(function, "__name__", "tool")), options)
            return function

        return declare(function) if function is not None else declare

    def on_call_start(self, function: Function) -> Function:
        """Call this async function with the CallContext before the greeting."""
        return self._hook("on_call_start", function)

    def on_call_end(self, function: Function) -> Function:
        """Call this async function with the CallContext when the call is over."""
        return self._hook("on_call_end", function)

    def reply(self, function: Function) -> Function:
        """Make replies with this async generator of ReplyContext instead of a language model of the deployment.

        It yields text as it comes, and ToolCalls; after a tool's result it is called again.
        """
        place = place_of(function)
        if self._reply is not None:
            self._fault(place, "@agent.reply is used twice. An agent has one way to reply.")
        self._fault(place, *hook_faults("reply", function, generator=True))
        self._reply = function
        return function

    def _declare(self, function: Callable[..., Any], name: str, options: Mapping[str, Any]) -> None:
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

    def _hook(self, kind: str, function: Function) -> Function:
        place = place_of(function)
        if kind in self._hooks:
            self._fault(place, f"@agent.{kind} is used twice. Call one function from the other.")
        self._fault(place, *hook_faults(kind, function, generator=False))
        self._hooks[kind] = function
        return function

    def _fault(self, place: Place, *reasons: str) -> None:
        self._rules = None
        self._faults += [Fault(place, reason) for reason in reasons]

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
    def rules(self) -> tuple[Rule, ...]:
        """The predictions, compiled. Raises ConfigurationError as :meth:`check` does."""
        if self._rules is None:
            self.check()
        return self._rules or ()

    @property
    def phrases(self) -> tuple[str, ...]:
        """What is said word for word, each once: worth synthesising before the first call."""
        spoken = [self.greeting or "", *(filler for tool in self._tools.values() for filler in tool.fillers)]
        return tuple(dict.fromkeys(phrase for phrase in spoken if phrase))

    def check(self) -> None:
        """Raises ConfigurationError that names every fault with its file and line."""
        signatures = {name: tool.signature for name, tool in self._tools.items()}
        read_only = [name for name, tool in self._tools.items() if tool.read_only]
        broken = self._declared.keys() - self._tools.keys()
        rules, reasons = compile_predictions(self.predictions, signatures, read_only, broken)
        refuse([*self._faults, *(Fault(self.place, reason) for reason in [*agent_faults(self), *reasons])])
        self._rules = rules

    # --- calls ---------------------------------------------------------------------------------------------------

    def new_call(
        self,
        call_id: str,
        verified: Mapping[str, Any] | None = None,
        *,
        say: Callable[[str], None] | None = None,
    ) -> CallContext:
        """The context of a new call, with this agent's instructions, greeting, voice and language.

        ``verified`` is what the session's ticket says of the caller.
        """
        context = CallContext(call_id, verified, say=say)
        context.instructions, context.greeting = self.instructions, self.greeting
        context.voice, context.language = self.voice, self.language
        return context

    async def call_started(self, context: CallContext) -> None:
        """Run the hook, if there is one. What it raises is logged: the call goes on."""
        await self._run_hook("on_call_start", context)

    async def call_ended(self, context: CallContext) -> None:
        """Run the hook, if there is one. What it raises is logged."""
        await self._run_hook("on_call_end", context)

    async def _run_hook(self, kind: str, context: CallContext) -> None:
        hook = self._hooks.get(kind)
        if hook is None:
            return
        try:
            async with asyncio.timeout(self.limits.hook_s):
                await hook(context)
        except Exception as error:
            _log.warning("%s failed in call %s: %s", kind, context.call_id, type(error).__name__)
            _log.debug("%s failed", kind, exc_info=True)
