"""The agent's part in a relayed call: its tools, what is said while they run, and when the model is asked to go on.

Keeps count of the provider's responses, since only one may answer the conversation at a time.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from repartee.relay.commands import FindRecording, ToProvider
from repartee.relay.items import ItemLedger
from repartee.relay.ledger import TurnLedger
from repartee.turn import commands as c
from repartee.turn.events import ToolFinished
from repartee.turn.history import FunctionOutput
from repartee.turn.tool_wait import ToolWait
from repartee.wire import relay_events as wire

ASIDE = "repartee"
"""The key in a response's metadata that marks it as one of the relay's own, said while a tool runs: a ``filler``, or
the agent's ``words``, which are not given up for an answer."""

TEXTS_TO_SAY = 16
"""Texts of the agent's own that may wait to be said; what comes beyond them is dropped, and logged."""


@dataclass(slots=True, eq=False)
class Response:
    """A response under way. ``aside``: said while a tool runs, and ``filler`` what fills that time; ``outside``: the
    conversation does not hold it. ``written``: it is over, whatever is still to be heard of it."""

    response_id: str
    outside: bool = False
    aside: bool = False
    filler: bool = False
    item_id: str | None = None
    sounded: bool = False
    written: bool = False
    speech_ended_at: float | None = None

    def ms_since_speech(self, at: float) -> float | None:
        """How long after the caller's last sample of speech this is; None if that is not known."""
        return None if self.speech_ended_at is None else round((at - self.speech_ended_at) * 1000, 3)


@dataclass(frozen=True, slots=True)
class Recital:
    """A text to be said word for word: a filler, or the agent's own words. ``aside``: while a tool runs."""

    text: str
    filler: bool
    aside: bool = False


class Responses:
    """One call's. ``tools`` are those that the agent runs; the client runs all others."""

    def __init__(
        self,
        turns: TurnLedger,
        items: ItemLedger,
        wait: ToolWait[Response],
        tools: frozenset[str],
        new_event_id: Callable[[], str],
    ) -> None:
        self._turns = turns
        self._items = items
        self._wait = wait
        self._tools = tools
        self._new_event_id = new_event_id
        self.spoken = True
        self._under_way: dict[str, Response] = {}
        self._asked: str | None = None
        self._asked_to_say: str | None = None
        self._wanted = False
        self._to_say: deque[str] = deque()
        self._recitals: dict[int, Recital] = {}
        self._tokens = 0

    def __repr__(self) -> str:
        return f"<Responses: {len(self._under_way)} under way, {len(self._wait)} tools awaited>"

    @property
    def under_way(self) -> Mapping[str, Response]:
        """By the provider's id."""
        return self._under_way

    @property
    def answering(self) -> Response | None:
        """The response to the conversation that is under way."""
        return next((one for one in self._under_way.values() if not one.outside), None)

    @property
    def idle(self) -> bool:
        """Nothing is being said, asked for or awaited."""
        return not (
            self._under_way
            or self._asked
            or self._wanted
            or self._to_say
            or self._recitals
            or len(self._wait)
        )

    @property
    def owed(self) -> bool:
        """The provider is to begin a response, or to go on with one."""
        return bool(self._under_way or self._asked)

    @property
    def more_to_come(self) -> bool:
        """The turn's answer is not over with the response that is: tools are to be answered."""
        return bool(len(self._wait) or self._wanted or self._wait.calling)

    # --- what happens --------------------------------------------------------------------------------------------

    def created(self, seen: wire.ResponseSeen) -> None:
        """The provider has begun a response."""
        aside = (seen.metadata or {}).get(ASIDE)
        self._under_way[seen.id] = Response(
            seen.id,
            outside=seen.conversation_id is None,
            aside=aside is not None,
            filler=aside == "filler",
            speech_ended_at=self._turns.speech_ended_at,
        )
        self._asked = self._asked_to_say = None

    def called(self, response_id: str, item: wire.ItemSeen, now: float) -> list[c.Command]:
        """The model calls a function, with all its arguments. Those of the client's are the client's business."""
        response = self._under_way.get(response_id)
        if item.name not in self._tools or item.call_id is None or response is None:
            return []
        self._turns.called_tool(now)
        self._wait.begin(response, item.call_id, item.name, now, spoken=self.spoken)
        return [c.RunTool(self._turns.turn_id, item.call_id, item.name, item.arguments or "{}")]

    def done(self, seen: wire.ResponseSeen, now: float) -> list[c.Command]:
        """A response is over."""
        response = self._under_way.pop(seen.id, None)
        if response is None:
            return self._settle(now)
        response.written = True
        calls = {item.name for item in seen.output if item.type == "function_call"}
        if response is self._wait.calling and calls - self._tools:
            self._give_up()  # the client answers the rest, and asks for a response itself
        return self._settle(now)

    def finished(self, event: ToolFinished, item_id: str, now: float) -> list[c.Command]:
        """A tool has answered; the model is given the result, whether or not an answer awaits it."""
        if not self._wait.end(event):
            return []
        item = wire.function_output(event.call_id, event.output)
        self._items.add(item_id, item)
        created = self._event("conversation.item.create", item={"id": item_id, **item})
        answered = c.ItemAdded(FunctionOutput(item_id, event.call_id, event.output, own=True), None)
        return [created, answered, *self._settle(now)]

    def caller_spoke(self) -> list[c.Command]:
        """The caller goes on: no answer awaits the tools any more. They run on, and their results are kept."""
        self._give_up()
        return [self._cancel(one) for one in self._under_way.values() if one.aside]

    def say(self, text: str) -> list[c.Command]:
        """Have the caller hear this as soon as nothing else is being said."""
        if len(self._to_say) >= TEXTS_TO_SAY:
            return [c.SayDropped(text)]
        self._to_say.append(text)
        return self._go_on()

    def refused(self, event_id: str) -> None:
        """The provider did not take an event of the relay's own, as when it has just begun a response by itself: what
        was to be said waits for that one's end."""
        if event_id == self._asked:
            if self._asked_to_say is not None:
                self._to_say.appendleft(self._asked_to_say)
            self._asked = self._asked_to_say = None

    def restart(self, *, ask: bool, now: float) -> list[c.Command]:
        """There is a new session, in which nothing is under way. ``ask``: the caller waits for an answer."""
        if self._asked_to_say is not None:
            self._to_say.appendleft(self._asked_to_say)
        owed = (self._asked is not None and self._asked_to_say is None) or ask
        self._asked = self._asked_to_say = None
        for response in self._under_way.values():
            response.written = True
        self._under_way.clear()
        if owed and not self.more_to_come:
            self._wanted = True
        return self._settle(now)

    def close(self) -> None:
        """The call is over."""
        self._give_up()
        self._to_say.clear()

    # --- fillers, and what the agent says ------------------------------------------------------------------------

    def plan(self, now: float) -> list[c.Command]:
        """Have :meth:`fill` asked when a filler is due; never into a response."""
        silent = not (self._under_way or self._asked or self._recitals)
        return self._wait.plan(self._turns.speaker.ends_at, now, silent=silent)

    def fill(self, now: float) -> list[c.Command]:
        """A tool keeps the caller waiting: say what was prepared for that."""
        phrase = self._wait.take_filler(self._turns.speaker.ends_at, now)
        return [] if phrase is None else self._recite(Recital(phrase, filler=True, aside=True))

    def take_recital(self, token: int) -> Recital | None:
        """What was to be said, once it is known whether it is recorded; None if it is not wanted any more."""
        return self._recitals.pop(token, None)

    def have_it_said(self, recital: Recital) -> list[c.Command]:
        """It is not recorded: the model says it."""
        words = wire.saying(recital.text, aside=recital.aside)
        kind = "filler" if recital.filler else "words"
        asking = self._ask(words | {"metadata": {ASIDE: kind}} if recital.aside else words)
        self._asked_to_say = None if recital.filler else recital.text
        return [asking]

    def go_on(self) -> list[c.Command]:
        """Something has been said: say what waits."""
        return self._go_on()

    def _recite(self, recital: Recital) -> list[c.Command]:
        if not self.spoken:
            return self.have_it_said(recital)
        self._tokens += 1
        self._recitals[self._tokens] = recital
        return [FindRecording(self._tokens, recital.text)]

    # --- deciding ------------------------------------------------------------------------------------------------

    def _give_up(self) -> None:
        self._wait.cancel()
        self._wanted = False
        self._recitals = {token: one for token, one in self._recitals.items() if not one.filler}

    def _settle(self, now: float) -> list[c.Command]:
        """Have the results spoken about once all that were asked for are there."""
        if self._wait.release() is not None:
            self._wanted = True
            self._turns.tools_answered(now)
        return self._go_on()

    def _go_on(self) -> list[c.Command]:
        """Ask for a response, if one is wanted and none is in its way."""
        if self._asked or self.answering or self._recitals or not (self._wanted or self._to_say):
            return []
        asides = [one for one in self._under_way.values() if one.aside]
        if asides:  # one that nobody has heard of need not be waited for
            return [self._cancel(aside) for aside in asides if aside.filler and not aside.sounded]
        if self._wanted:
            self._wanted = False
            return [self._ask(None)]
        if self._turns.speaking:
            return []
        return self._recite(Recital(self._to_say.popleft(), filler=False, aside=self.more_to_come))

    def _ask(self, response: Mapping[str, object] | None) -> c.Command:
        self._asked = self._new_event_id()
        given = {} if response is None else {"response": response}
        return ToProvider(wire.encode("response.create", event_id=self._asked, **given))

    def _cancel(self, response: Response) -> c.Command:
        return self._event("response.cancel", response_id=response.response_id)

    def _event(self, type_: str, **fields: object) -> c.Command:
        return ToProvider(wire.encode(type_, event_id=self._new_event_id(), **fields))
