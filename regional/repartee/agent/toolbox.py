"""One call's tools: which calls to run, which to answer from what is known already, and what to run on a guess.

Starts no task: the session runs :meth:`Toolbox.run` and :meth:`Toolbox.prefetch` as tasks of its own and cancels
them when the call ends. A tool that is not read-only runs once for the same arguments in one conversation; a
read-only one never runs twice at the same time for the same arguments.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import msgspec

from repartee.agent.agent import Agent, worker_side
from repartee.agent.context import CallContext, facts_in, secrets_of
from repartee.agent.experience import END, GREETING, Experience, Transition
from repartee.agent.predictions import Predictor
from repartee.agent.prefetch import Key, Prefetch, PrefetchCache, PrefetchFigures, PrefetchPolicy
from repartee.agent.signature import Arguments, BadArguments
from repartee.agent.tools import Outcome, Tool, execute, refusal
from repartee.turn.foresight import Foreseen

MAX_ARGUMENTS_CHARS = 16_000
"""Longer arguments are not from a model in its right mind."""

Foresight = Literal["hit", "miss"]

_INTERRUPTED = refusal("The tool was interrupted. Whether it took effect is not known.")


@dataclass(frozen=True, slots=True)
class Run:
    """How a tool call was answered. ``prefetch`` is None for a tool that never runs on a guess.

    ``waited_ms`` is what the caller waited for it, ``saved_ms`` what prefetching took off that. ``arguments`` and
    ``output`` are JSON text.
    """

    tool: str
    turn_id: int
    ok: bool
    prefetch: Foresight | None = None
    waited_ms: float = 0.0
    saved_ms: float = 0.0
    arguments: str = field(default="", compare=False)
    output: str = field(default="", compare=False)


@dataclass(eq=False, slots=True)
class _Flight:
    """One run of a function, and those who wait for it.

    ``done`` holds None if it was cut off before anyone wanted it. ``predicted``: it runs on a guess; ``wanted``: the
    call that was guessed has come. ``stale``: something was changed since. ``applied``: what it learnt counts.
    """

    deadline: asyncio.Timeout
    started_at: float
    predicted: bool = False
    wanted: bool = False
    stale: bool = False
    applied: bool = False
    done: asyncio.Future[Outcome | None] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def join(self, timeout_s: float) -> bool:
        """Someone really wants it: from now on the tool's own time-out counts. False: the run is being
        abandoned."""
        if self.predicted and not self.wanted:
            if self.deadline.expired():
                return False
            self.wanted = True
            self.deadline.reschedule(asyncio.get_running_loop().time() + timeout_s)
        return True


class Toolbox:
    """Runs one call's tools.

    ``clock`` is seconds on a monotonic clock, ``wall_clock`` seconds since 1970."""

    def __init__(
        self,
        agent: Agent,
        context: CallContext,
        experience: Experience | None = None,
        policy: PrefetchPolicy | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._context = context
        self._secrets = secrets_of(context)
        self._tools = worker_side(agent).tools
        self._limits = agent.limits
        self._learn = agent.learn
        self._experience = experience or Experience()
        self._policy = policy or PrefetchPolicy()
        self._clock, self._wall_clock = clock, wall_clock
        self._cache: PrefetchCache[_Flight] = PrefetchCache(self._policy)
        signatures = {
            name: tool.signature for name, tool in worker_side(agent).tools.items() if tool.read_only
        }
        self._predictor = Predictor(worker_side(agent).rules, signatures, context, self._learnt)
        self._reading: dict[Key, _Flight] = {}
        self._once: dict[Key, _Flight] = {}
        self._writing = 0
        self._turn_id = 0
        self._calls_in_turn = 0
        self._runs: dict[str, Run] = {}
        self._offered: dict[Key, _Flight] = {}
        self._path = [GREETING]

    def __repr__(self) -> str:
        return f"<Toolbox {self._context.call_id}: {len(self._reading) + self._writing} running, {self._cache!r}>"

    @property
    def figures(self) -> PrefetchFigures:
        """What prefetching did in this call so far."""
        return self._cache.figures

    # --- what happens in the call; each returns what to run on a guess now ----------------------------------------

    def call_started(self) -> Sequence[Prefetch]:
        """The call has begun, and the context holds what is known about the caller."""
        return self._reserved(self._predictor.enter(GREETING))

    def told(self, metadata: Mapping[str, Any]) -> Sequence[Prefetch]:
        """The client has said something about the caller (``session.update``)."""
        self._context.tell(metadata)
        return self._reserved(self._predictor.reconsider())

    def heard(self, turn_id: int, text: str) -> Sequence[Prefetch]:
        """The caller's words in this turn so far."""
        return self._reserved(self._predictor.hear(turn_id, text))

    def asked(self, name: str, arguments: str) -> Sequence[Prefetch]:
        """A speculative reply asks for this tool: a guess, until the turn is confirmed."""
        tool = self._tools.get(name)
        if tool is None or not tool.read_only or len(arguments) > MAX_ARGUMENTS_CHARS:
            return ()
        try:
            canonical = tool.signature.read(self._secrets.reveal_arguments(name, arguments)).canonical
        except BadArguments:
            return ()
        return self._reserved([Prefetch((name, canonical), "model")])

    def answered(self, call_id: str) -> Sequence[Prefetch]:
        """A run has ended, and its result is in the conversation."""
        run = self._runs.get(call_id)
        if run is None or not run.ok:
            return ()
        self._path.append(run.tool)
        return self._reserved(self._predictor.enter(run.tool))

    # --- what was looked up before the model was asked (see turn/foresight.py) --------------------------------------

    def foreseen(self, turn_id: int, text: str) -> Sequence[Foreseen]:
        """The results that these words ask for, after those that their arguments came from; each only once in a
        conversation. Asking changes nothing."""
        ready = {
            key: flight for key, flight in self._cache.ready(self._clock()).items() if not flight.applied
        }
        meant = [key for key in self._predictor.foreseen(text) if key in ready]
        given = {fact for key in meant for fact in facts_in(msgspec.json.decode(key[1])).items()}
        found: list[Foreseen] = []
        for key, flight in ready.items():
            outcome = flight.done.result()
            if outcome is not None and (key in meant or given & set(outcome.facts.items())):
                self._offered[key] = flight
                found.append(Foreseen(*key, outcome.output))
        return found

    def used(self, turn_id: int, result: Foreseen) -> Run | None:
        """The turn is confirmed, and its answer was made with this result. Returns how it came about."""
        key = (result.name, result.arguments)
        self._cache.take(key, self._clock())
        flight = self._offered.pop(key, None)
        outcome = flight.done.result() if flight else None
        if flight is not None and outcome is not None:
            self._used(flight, outcome)
            self._path.append(result.name)
            self._predictor.enter(result.name)
            return Run(
                result.name,
                turn_id,
                outcome.ok,
                "hit",
                saved_ms=outcome.took_ms,
                arguments=self._secrets.hide_arguments(result.name, result.arguments),
                output=self._secrets.hide(outcome.output),
            )
        return None

    # --- running --------------------------------------------------------------------------------------------------

    async def run(self, turn_id: int, call_id: str, name: str, arguments: str) -> str:
        """Answer the model's call of a tool, with JSON text. Raises nothing but CancelledError."""
        tool = self._tools.get(name)
        read = self._read(turn_id, name, arguments)
        if tool is None or isinstance(read, str):
            output = refusal(str(read)).output
            given = self._secrets.hide_arguments(name, arguments)
            self._runs[call_id] = Run(name, turn_id, ok=False, arguments=given, output=output)
            return output
        given = self._secrets.hide_arguments(name, read.canonical)  # secret before the function has them
        began = self._clock()
        key = (name, read.canonical)
        prefetch: Foresight | None = None
        if tool.read_only:
            outcome, prefetch = await self._look_up(tool, key, read)
        else:
            outcome = await self._do(tool, key, read)
        waited_ms = (self._clock() - began) * 1000
        saved_ms = max(outcome.took_ms - waited_ms, 0.0) if prefetch == "hit" else 0.0
        output = self._secrets.hide(outcome.output)
        self._runs[call_id] = Run(name, turn_id, outcome.ok, prefetch, waited_ms, saved_ms, given, output)
        return output

    async def prefetch(self, predicted: Prefetch) -> None:
        """Run what was predicted, and what becomes possible by its result. Raises nothing but CancelledError."""
        waiting = [predicted]
        while waiting:
            await self._prefetch(waiting.pop(0).key)
            waiting += self._reserved(self._predictor.reconsider())

    def ran(self, call_id: str) -> Run | None:
        """How a tool call was answered; None while it is not."""
        return self._runs.get(call_id)

    def prefetched(self, turn_id: int) -> Foresight | None:
        """Whether prefetched results answered the turn's lookups; ``miss`` if any lookup had to run."""
        found = {run.prefetch for run in self._runs.values() if run.turn_id == turn_id}
        return "miss" if "miss" in found else "hit" if "hit" in found else None

    def must_finish(self, name: str) -> bool:
        """Whether a run of this tool should be let finish when the caller hangs up: it may change something."""
        tool = self._tools.get(name)
        return tool is not None and not tool.read_only

    def expected_ms(self, name: str) -> float | None:
        """How long the tool tends to take; None if it is not known."""
        return self._experience.expected_ms(name)

    def close(self) -> Sequence[Transition]:
        """The call is over, and its tasks are. Returns what it teaches, for the store.

        The process's own Experience knows it already.
        """
        self._cache.close()
        if not self._learn:
            return ()
        transitions = list(zip(self._path, [*self._path[1:], END], strict=True))
        self._experience.note(transitions, self._wall_clock())
        return transitions

    # --- inside ---------------------------------------------------------------------------------------------------

    def _learnt(self, state: str) -> Sequence[str]:
        if not self._learn:
            return ()
        return self._experience.likely(
            state,
            self._wall_clock(),
            min_probability=self._policy.min_probability,
            min_weight=self._policy.min_weight,
        )

    def _reserved(self, predicted: Sequence[Prefetch]) -> list[Prefetch]:
        """Those that are worth running now; from here on they count as running."""
        if self._writing:
            return []
        now = self._clock()
        chosen = [p for p in predicted if p.key not in self._reading and self._cache.reserve(p.key, now)]
        for prefetch in chosen:
            self._predictor.settle(prefetch.key)
        return chosen

    def _read(self, turn_id: int, name: str, arguments: str) -> Arguments | str:
        """The validated arguments, or what the model gets instead of a result."""
        self._calls_in_turn = self._calls_in_turn + 1 if turn_id == self._turn_id else 1
        self._turn_id = turn_id
        tool = self._tools.get(name)
        if tool is None:
            known = ", ".join(self._tools) or "none"
            return f"There is no tool {name!r}. The tools are: {known}."
        if self._calls_in_turn > self._limits.tool_calls_per_turn:
            return "Too many tool calls. Answer the caller with what is known."
        if len(arguments) > MAX_ARGUMENTS_CHARS:
            return "The arguments are too long."
        try:
            return tool.signature.read(self._secrets.reveal_arguments(name, arguments))
        except BadArguments as error:
            return f"The arguments are wrong: {error}. Correct them and call again."

    async def _do(self, tool: Tool, key: Key, arguments: Arguments) -> Outcome:
        """Run what changes something: once, unless it is repeatable."""
        known = None if tool.repeatable else self._once.get(key)
        if known is not None:
            await asyncio.wait([known.done])
            return known.done.result() or _INTERRUPTED
        flight = self._once[key] = self._flight(tool.timeout_s)
        self._writing += 1
        self._invalidate()
        try:
            outcome = await self._fly(flight, tool, arguments, self._context)
        finally:
            self._writing -= 1
            self._invalidate()
        if outcome.retry and self._once.get(key) is flight:
            del self._once[key]
        self._context.learn(outcome.facts)
        return outcome

    async def _look_up(self, tool: Tool, key: Key, arguments: Arguments) -> tuple[Outcome, Foresight | None]:
        """Answer from what was prefetched, from a run under way, or else by a run."""
        self._predictor.settle(key)
        ready = self._cache.take(key, self._clock())
        if ready is not None and (outcome := ready.done.result()) is not None:
            return self._used(ready, outcome), "hit"
        while (flight := self._reading.get(key)) is not None:
            if flight.join(tool.timeout_s):
                self._cache.join(key, self._clock())
            await asyncio.wait([flight.done])
            if (outcome := flight.done.result()) is not None:
                return self._used(flight, outcome), "hit" if flight.predicted else None
        self._cache.abandon(key)
        flight = self._reading[key] = self._flight(tool.timeout_s)
        flight.applied = True  # it works on the call's own context
        outcome = await self._fly(flight, tool, arguments, self._context)
        self._context.learn(outcome.facts)
        if not self._policy.per_call:
            return outcome, None
        self._cache.miss()
        return outcome, "miss"

    async def _prefetch(self, key: Key) -> None:
        tool = self._tools[key[0]]
        if key in self._reading or key not in self._cache.running:
            return  # the real call was quicker, or a change has made the guess void
        flight = self._reading[key] = self._flight(min(self._policy.limit_s, tool.timeout_s), predicted=True)
        outcome = None
        try:
            arguments = tool.signature.read(key[1])
            outcome = await self._fly(flight, tool, arguments, self._context.fork())
        finally:
            if not flight.stale:
                self._cache.finish(key, flight if outcome and outcome.ok else None, self._clock())
        if outcome.ok:
            self._context.learn(outcome.facts)

    def _flight(self, limit_s: float, *, predicted: bool = False) -> _Flight:
        return _Flight(asyncio.timeout(limit_s), self._clock(), predicted)

    async def _fly(self, flight: _Flight, tool: Tool, arguments: Arguments, context: CallContext) -> Outcome:
        """Run the function and tell those who wait."""
        told = None
        try:
            outcome = await execute(
                tool,
                arguments.values,
                context,
                deadline=flight.deadline,
                result_chars=self._limits.result_chars,
            )
            outcome = replace(outcome, took_ms=(self._clock() - flight.started_at) * 1000)
            if outcome.ok:
                self._experience.took(tool.name, outcome.took_ms)
            if outcome.ok or flight.wanted or not flight.predicted:
                told = outcome
            return outcome
        finally:
            flight.done.set_result(told)
            for key in [key for key, known in self._reading.items() if known is flight]:
                del self._reading[key]

    def _used(self, flight: _Flight, outcome: Outcome) -> Outcome:
        """A predicted run is taken as having happened: what it learnt and noted counts from now on."""
        if not flight.applied:
            flight.applied = True
            self._context.learn(outcome.facts)
            self._context.state.update(outcome.state)
        return outcome

    def _invalidate(self) -> None:
        """Something changes: what was read before must not be used, nor what is being read."""
        self._cache.invalidate()
        for flight in self._reading.values():
            flight.stale = True
        self._reading.clear()
