"""What a user writes: instructions, tools, fillers, predictions and hooks, in one object.

    agent = Agent(instructions="You are the front desk of ...", greeting="Hello!")

    @agent.tool(read_only=True, filler="Let me look ...")
    async def opening_hours(day: str) -> dict: ...

Owns the declaration and its check. Holds nothing of any call: one Agent serves all of them.
"""

import inspect
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from typing import Any, Literal, TypeVar, overload

from repartee.agent.declaration import Declaration, Hook, KeyHook, ReplyFunction, SummaryFunction
from repartee.agent.faults import place_of_call
from repartee.agent.fillers import FILLER_AFTER_MS
from repartee.agent.keys import KeyPolicy
from repartee.agent.limits import Limits
from repartee.agent.notices import Notices
from repartee.agent.predictions import Predictions
from repartee.providers.interfaces import LLM, STT, TTS

ToolFunction = TypeVar("ToolFunction", bound=Callable[..., Coroutine[Any, Any, Any]])
Summaries = TypeVar("Summaries", bound=SummaryFunction)
HookFunction = TypeVar("HookFunction", bound=Hook)
KeyFunction = TypeVar("KeyFunction", bound=KeyHook)
Replies = TypeVar("Replies", bound=ReplyFunction)


class Agent:
    """An agent that takes calls.

    ``voice`` and ``model`` are the providers' names (None: the deployment's). ``max_tokens`` bounds a reply; spoken
    ones should be short. ``reasoning_effort``, ``service_tier`` and ``extra_body`` go to the language model with
    each request, ``voice_options`` (``model``, ``speed``, ``volume``, ``emotion``, ``pronunciation``) to the voice,
    as far as its vendor takes them. ``keyterms`` are words that speech recognition should expect. ``predictions``
    map ``"greeting"``, a tool's name or words of the caller to the read-only tools that are likely to follow;
    ``learn`` adds what past calls show. The agent says ``notices`` when there is no answer. ``backchannels`` are
    words that do not interrupt, ``spoken_style`` is added to a spoken session's instructions (None: the
    language's). ``idle_s`` is how long a caller may be silent before the agent asks whether they are there (None:
    for ever). ``voice_text`` says how the voice gets numbers, amounts, addresses and Markdown: as they are
    ``"spoken"``, or ``"raw"``, as the model has written them. Transcripts always have the latter.
    ``filler_after_ms`` is how long a tool may run before its filler is said. ``record`` has the deployment record
    calls, if it keeps recordings: once the caller has heard so (``"spoken"``), or the client has got an event
    (``"signalled"``). ``stt``, ``llm`` and ``tts`` make providers of the agent's own, once a worker, in place of
    the deployment's. ``name`` is what callers' pages call it (None: what records do), ``suggestions`` are what they
    offer to say. Raises nothing: :meth:`check` reports all faults at once.
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
        reasoning_effort: str | None = None,
        service_tier: str | None = None,
        extra_body: Mapping[str, Any] | None = None,
        voice_options: Mapping[str, str | float] | None = None,
        keyterms: Sequence[str] = (),
        limits: Limits | None = None,
        notices: Notices | None = None,
        backchannels: Collection[str] | None = None,
        spoken_style: str | None = None,
        voice_text: Literal["spoken", "raw"] = "spoken",
        idle_s: float | None = None,
        filler_after_ms: float = FILLER_AFTER_MS,
        predictions: Predictions | None = None,
        learn: bool = True,
        stt: Callable[[], STT] | None = None,
        llm: Callable[[], LLM] | None = None,
        tts: Callable[[], TTS] | None = None,
        name: str | None = None,
        suggestions: Sequence[str] = (),
        record: Literal["spoken", "signalled"] | None = None,
    ) -> None:
        self.instructions = instructions
        self.voice = voice
        self.greeting = greeting
        self.language = language
        self.model = model
        self.max_tokens = max_tokens
        self.temperature = temperature
        self.reasoning_effort = reasoning_effort
        self.service_tier = service_tier
        self.extra_body: Mapping[str, Any] = extra_body or {}
        self.voice_options: Mapping[str, str | float] = voice_options or {}
        self.keyterms: Sequence[str] = keyterms
        self.limits = limits or Limits()
        self.notices = notices or Notices()
        self.backchannels = backchannels
        self.spoken_style = spoken_style
        self.voice_text = voice_text
        self.idle_s = idle_s
        self.filler_after_ms = filler_after_ms
        self.predictions: Predictions = predictions or {}
        self.learn = learn
        self.stt, self.llm, self.tts = stt, llm, tts
        self.name = name
        self.suggestions: Sequence[str] = suggestions
        self.record: Literal["spoken", "signalled"] | None = record
        frame = inspect.currentframe()
        self._declaration = Declaration(self, place_of_call(frame.f_back if frame else None))

    def __repr__(self) -> str:
        return f"<Agent {self._declaration!r}>"

    # --- declaring -----------------------------------------------------------------------------------------------

    @overload
    def tool(self, function: ToolFunction, /) -> ToolFunction: ...

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
    ) -> Callable[[ToolFunction], ToolFunction]: ...

    def tool(
        self,
        function: ToolFunction | None = None,
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

        def declare(function: ToolFunction) -> ToolFunction:
            fillers = (filler,) if isinstance(filler, str) else tuple(filler or ())
            options = {
                "read_only": read_only,
                "repeatable": repeatable,
                "fillers": fillers,
                "timeout_s": timeout_s,
            }
            self._declaration.add_tool(function, name or str(getattr(function, "__name__", "tool")), options)
            return function

        return declare(function) if function is not None else declare

    def on_call_start(self, function: HookFunction) -> HookFunction:
        """Call this async function with the CallContext before the greeting."""
        self._declaration.add_hook("on_call_start", function)
        return function

    def on_call_end(self, function: HookFunction) -> HookFunction:
        """Call this async function with the CallContext when the call is over."""
        self._declaration.add_hook("on_call_end", function)
        return function

    def summary(self, function: Summaries) -> Summaries:
        """Sum up what the model is no longer shown of a long call, with this async function.

        It gets the CallContext and the words (the last summary, if there is one, and what has been left out since,
        a line each), and returns the text that the model sees in their place, from the next reply on. The call does
        not wait for it. Only a cascade has this.
        """
        self._declaration.set_summary(function)
        return function

    def on_dtmf(self, *, digits: int = 0, pause_s: float = 2.0) -> Callable[[KeyFunction], KeyFunction]:
        """Call this async function with the CallContext and the keys that a caller has pressed, as text: at ``#``,
        when there are ``digits``, or ``pause_s`` seconds after the last. A key stops what the agent is saying."""

        def declare(function: KeyFunction) -> KeyFunction:
            self._declaration.set_key_hook(function, KeyPolicy(digits, pause_s))
            return function

        return declare

    def reply(self, function: Replies) -> Replies:
        """Make replies with this async generator of ReplyContext instead of a language model of the deployment.

        It yields text as it comes, and ToolCalls; after a tool's result it is called again.
        """
        self._declaration.set_reply(function)
        return function

    def check(self) -> None:
        """Raises ConfigurationError that names every fault with its file and line."""
        self._declaration.check()


def worker_side(agent: Agent) -> Declaration:
    """What a worker reads of an agent; authors do not use it."""
    return agent._declaration
