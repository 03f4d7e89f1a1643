"""The agent's part in a relayed call: its tools, what is said while they run, and when the model is asked to go on.

Keeps count of the provider's responses, since only one may answer the conversation at a time. Sends events through
the function it is given; starts no task but through :class:`AgentCall`.
"""

import asyncio
import secrets
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from repartee.session.agent_call import AgentCall
from repartee.turn.commands import RunTool
from repartee.turn.events import ToolFinished
from repartee.turn.relayed_items import RelayedItems
from repartee.turn.relayed_turns import RelayedTurns
from repartee.wire import relay_events as wire

OURS = "rep_"
"""How the ids of events begin that the relay sends of its own accord."""

ASIDE = "repartee"
"""The key in a response's metadata that tells it for one of ours, said while a tool runs."""

MAX_TO_SAY = 16
"""So many texts may wait to be said."""


def own_event_id() -> str:
    """An id for an event of the relay's own."""
    return OURS + secrets.token_hex(8)


@dataclass(slots=True)
class Response:
    """A response under way. ``aside``: a filler; ``outside``: the conversation does not hear of it."""

    response_id: str
    outside: bool = False
    aside: bool = False
    item_id: str | None = None
    sounded: bool = False


class RelayAgent:
    """One call's. ``send`` takes events for the provider; ``say`` plays a phrase from memory, or
    returns None."""

    def __init__(
        self,
        agent: AgentCall,
        turns: RelayedTurns,
        items: RelayedItems,
        *,
        send: Callable[[str], None],
        say: Callable[[str], object],
    ) -> None:
        self._agent = agent
        self._turns = turns
        self._items = items
        self._send = send
        self._say = say
        self.spoken = True
        self.responses: dict[str, Response] = {}
        self._asked: str | None = None
        self._wanted = False
        self._to_say: deque[str] = deque(maxlen=MAX_TO_SAY)
        self._calling: str | None = None
        self._awaited: set[str] = set()
        self._prefetch: str | None = None
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<RelayAgent: {len(self.responses)} responses, {len(self._awaited)} tools awaited>"

    @property
    def answering(self) -> Response | None:
        """The response to the conversation that is under way."""
        return next((one for one in self.responses.values() if not one.outside), None)

    @property
    def idle(self) -> bool:
        """Nothing is being said, asked for or awaited."""
        return not (self.responses or self._asked or self._wanted or self._to_say or self._awaited)

    @property
    def owed(self) -> bool:
        """The provider is to begin a response, or to go on with one."""
        return bool(self.responses or self._asked)

    @property
    def more_to_come(self) -> bool:
        """The turn's answer is not over with the response that is: tools are to be answered."""
        return bool(self._awaited or self._wanted or self._calling)

    # --- what happens --------------------------------------------------------------------------------------------

    def created(self, response: wire.ResponseSeen) -> Response:
        """The provider has begun a response."""
        aside = ASIDE in (response.metadata or {})
        known = Response(response.id, outside=response.conversation_id is None, aside=aside)
        self.responses[response.id] = known
        self._asked = None
        return known

    def called(self, response_id: str, item: wire.ItemSeen) -> None:
        """The model calls a function, with all its arguments. Those of the client's are the client's business."""
        if item.name not in self._agent.tool_names or item.call_id is None:
            return
        now = time.monotonic()
        self._turns.called_tool(now)
        self._calling = response_id
        self._awaited.add(item.call_id)
        if self.spoken:
            self._agent.fillers.begin(item.call_id, item.name, now)
        self._agent.run(RunTool(self._turns.turn_id, item.call_id, item.name, item.arguments or "{}"))
        self._plan()

    def done(self, response: wire.ResponseSeen) -> None:
        """A response is over."""
        self.responses.pop(response.id, None)
        if response.id == self._calling:
            calls = {item.name for item in response.output if item.type == "function_call"}
            if calls - self._agent.tool_names:  # the client answers the rest, and asks for a response itself
                self._give_up()
        self._settle()
        self._plan()

    def finished(self, event: ToolFinished) -> None:
        """A tool has answered; the model is told, whether or not an answer awaits it."""
        item = wire.function_output(event.call_id, event.output)
        item_id = "item_" + secrets.token_hex(10)
        self._items.add(item_id, item)
        self._tell("conversation.item.create", item={"id": item_id, **item})
        if event.call_id in self._awaited:
            self._awaited.remove(event.call_id)
            self._agent.fillers.end(event.call_id)
            if event.prefetch:
                self._prefetch = "miss" if "miss" in (event.prefetch, self._prefetch) else event.prefetch
        self._settle()
        self._plan()

    def caller_spoke(self) -> None:
        """The caller goes on: no answer awaits the tools any more. They run on, and their results are kept."""
        self._give_up()
        for response in list(self.responses.values()):
            if response.aside:
                self._tell("response.cancel", response_id=response.response_id)

    def say(self, text: str) -> None:
        """Have the caller hear this as soon as nothing else is being said."""
        self._to_say.append(text)
        self._go_on()

    def refused(self, event_id: str) -> None:
        """The provider did not take an event of ours."""
        if event_id == self._asked:
            self._asked = None

    def restart(self, *, ask: bool) -> None:
        """There is a new session, in which nothing is under way. ``ask``: the caller waits for an answer."""
        owed = self._asked is not None or ask
        self._asked = None
        self.responses.clear()
        if owed and not self.more_to_come:
            self._wanted = True
        self._settle()

    def close(self) -> None:
        """The call is over."""
        self._give_up()

    # --- deciding ------------------------------------------------------------------------------------------------

    def _give_up(self) -> None:
        self._awaited.clear()
        self._calling = None
        self._wanted = False
        self._prefetch = None
        self._agent.fillers.cancel()
        self._plan()

    def _settle(self) -> None:
        """Have the results spoken about once all that were asked for are there."""
        if self._calling is not None and not self._awaited and self._calling not in self.responses:
            self._calling = None
            self._wanted = True
            self._agent.fillers.cancel()
            self._turns.tools_answered(time.monotonic(), self._prefetch)
            self._prefetch = None
        self._go_on()

    def _go_on(self) -> None:
        """Ask for a response, if one is wanted and none is in its way."""
        if self._asked or self.answering or not (self._wanted or self._to_say):
            return
        asides = [one for one in self.responses.values() if one.aside]
        for aside in asides:
            if not aside.sounded:  # nobody has heard of it: the answer need not wait for it
                self._tell("response.cancel", response_id=aside.response_id)
        if asides:
            return
        if self._wanted:
            self._wanted = False
            self._asked = self._tell("response.create")
        elif not self._turns.speaking and not self.more_to_come:
            text = wire.saying(self._to_say.popleft(), aside=False)
            self._asked = self._tell("response.create", response=text)

    def _tell(self, type_: str, **fields: object) -> str:
        event_id = own_event_id()
        self._send(wire.encode(type_, event_id=event_id, **fields))
        return event_id

    # --- fillers -------------------------------------------------------------------------------------------------

    def _plan(self) -> None:
        """Have a filler said when it is due; never into a response."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if not self._awaited or self.responses or self._asked:
            return
        due = self._agent.fillers.due_at(self._turns.speaker.ends_at)
        if due is not None:
            delay_s = max(due - time.monotonic(), 0.0)
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._fill)

    def _fill(self) -> None:
        self._timer = None
        now, until = time.monotonic(), self._turns.speaker.ends_at
        phrase = self._agent.fillers.take(max(now, self._agent.fillers.due_at(until) or now), until)
        if phrase is not None and not self._say(phrase):
            wanted = wire.saying(phrase, aside=True) | {"metadata": {ASIDE: "filler"}}
            self._asked = self._tell("response.create", response=wanted)
        self._plan()
