"""The agent's part in a relayed call: its tools, what is said while they run, and when the model is asked to go on.

Keeps count of the provider's responses, since only one may answer the conversation at a time.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace

from repartee.relay.commands import CutResponse, FindRecording, ToProvider
from repartee.relay.items import ItemLedger
from repartee.relay.ledger import TurnLedger
from repartee.relay.response import Asked, Recital, Response
from repartee.turn import commands as c
from repartee.turn.events import ToolFinished
from repartee.turn.history import FunctionOutput
from repartee.turn.policy import TurnPolicy
from repartee.turn.tool_wait import ToolWait
from repartee.turn.turn_effort import TurnEffort
from repartee.wire import relay_events as wire

ASIDE = "repartee"
"""The key in a response's metadata that marks it as one of the relay's own, said while a tool runs: a ``filler``, or
the agent's ``words``, which are not given up for an answer."""

ENOUGH = '{"error": "That was the last tool call of this turn. Answer the caller with what there is."}'
"""The output of a call that the model was told not to make."""

REMEMBERED = 256
"""So many of the latest calls and responses are known when they come twice."""

ACTIVE = "conversation_already_has_active_response"
"""OpenAI's code for a response that is asked for while there is one."""


class Responses:
    """The responses of one call.

    ``effort`` is what has been tried to answer the turn; ``asked`` what the provider has been asked
    for and has not begun; ``client_calling``: the client runs a function, and asks for the next response itself;
    ``turn_waits``: the caller's turn is over and the provider has not begun to answer it."""

    def __init__(
        self,
        turns: TurnLedger,
        items: ItemLedger,
        wait: ToolWait[Response],
        new_event_id: Callable[[], str],
        new_item_id: Callable[[], str],
    ) -> None:
        self.policy = TurnPolicy()
        self.effort = TurnEffort()
        self.asked: Asked | None = None
        self.client_calling = False
        self.turn_waits = False
        self._turns = turns
        self._items = items
        self._wait = wait
        self._new_event_id = new_event_id
        self._new_item_id = new_item_id
        self._under_way: dict[str, Response] = {}
        self._over: deque[str] = deque(maxlen=REMEMBERED)
        self._called: deque[str] = deque(maxlen=REMEMBERED)
        self._wanted = False
        self._telling = False
        self._to_say: deque[Recital] = deque()
        self._recitals: dict[int, Recital] = {}
        self._tokens = 0
        self._outputs: dict[str, str] = {}

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
            self.owed or self._wanted or self._telling or self._to_say or self._recitals or len(self._wait)
        )

    @property
    def owed(self) -> bool:
        """The provider is to begin a response, or to go on with one."""
        return bool(self._under_way or self.asked)

    @property
    def more_to_come(self) -> bool:
        """The turn's answer is not over with the response that is: tools are to be answered."""
        return bool(len(self._wait) or self._wanted or self._telling or self._wait.calling)

    # --- what happens --------------------------------------------------------------------------------------------

    def known(self, response_id: str) -> bool:
        """Whether the response has begun or is over: then it does not begin."""
        return response_id in self._under_way or response_id in self._over

    def is_over(self, response_id: str) -> bool:
        """Whether it has ended already, or is not wanted any more."""
        return response_id in self._over

    def created(
        self, seen: wire.ResponseSeen, request: str | None, client_tools: frozenset[str] | None
    ) -> Response:
        """The provider has begun a response; ``request`` is the client's event that waits for one."""
        aside = (seen.metadata or {}).get(ASIDE)
        asked, self.asked = self.asked, None
        if asked is None:
            self.effort.requests += 1
            settled = self._wait.untold - frozenset(self._outputs.values())
            asked = Asked("", tells=settled)
        response = self._under_way[seen.id] = Response(
            seen.id,
            outside=seen.conversation_id is None,
            aside=aside is not None,
            filler=aside == "filler",
            speech_ended_at=self._turns.speech_ended_at,
            request=request,
            client_tools=client_tools if request else None,
            recital=asked.recital,
            may_call=asked.may_call,
            tells=asked.tells,
            asked=asked,
        )
        if not response.outside:
            self.client_calling = self.turn_waits = self._wanted = False
        return response

    def acknowledged(self, item_id: str) -> None:
        """The provider's conversation holds this item: a response that begins now knows of it."""
        self._outputs.pop(item_id, None)

    def runs(self, name: str, response_id: str | None) -> bool:
        """Whether the agent answers a call of this function in this response (None: the one that is under way); one
        that nobody has declared, it refuses."""
        if name in self.policy.tools:
            return True
        response = self._under_way.get(response_id) if response_id else self.answering
        asked_with = response.client_tools if response else None
        declared = self.policy.client_tools if asked_with is None else asked_with
        return declared is not None and name not in declared

    def called(self, response_id: str, item: wire.ItemSeen, now: float) -> list[c.Command]:
        """The model calls a function, with all its arguments. Those of the client's are the client's business."""
        response, name = self._under_way.get(response_id), item.name or ""
        if response is None or item.call_id is None or item.call_id in self._called:
            return []
        self._called.append(item.call_id)
        response.calls = True
        if not self.runs(name, response_id):
            response.calls_client = True
            return []
        if not response.may_call:
            response.calls = False  # it was told to answer
            return self._give(item.call_id, ENOUGH)
        self.effort.calls += 1
        self._turns.called_tool(now)
        self._wait.begin(response, item.call_id, name, now, spoken=self.policy.spoken)
        return [c.RunTool(self._turns.turn_id, item.call_id, name, item.arguments or "{}")]

    def ended(self, response_id: str) -> Response | None:
        """A response is over; :meth:`settle` goes on."""
        response = self._under_way.pop(response_id, None)
        self._over.append(response_id)
        if response is None:
            return None
        response.written = True
        if response.calls_client:
            self.client_calling = True
            if response is self._wait.calling:
                self._give_up()  # the client answers the rest, and asks for a response itself
        return response

    def finished(self, event: ToolFinished, now: float) -> list[c.Command]:
        """A tool has answered; the model is given the result, whether or not an answer awaits it."""
        if not self._wait.end(event):
            return []
        return [*self._give(event.call_id, event.output), *self.settle(now)]

    def _give(self, call_id: str, output: str) -> list[c.Command]:
        item, item_id = wire.function_output(call_id, output), self._new_item_id()
        self._items.add(item_id, item)
        self._outputs[item_id] = call_id
        created = self._event("conversation.item.create", item={"id": item_id, **item})
        return [created, c.ItemAdded(FunctionOutput(item_id, call_id, output, own=True), None)]

    def caller_spoke(self) -> list[c.Command]:
        """The caller speaks: nothing is said aside. Whether they end the wait for tools, their words decide."""
        self.client_calling = False
        self._recitals = {token: one for token, one in self._recitals.items() if not one.filler}
        return [self._cancel(one) for one in self._under_way.values() if one.aside]

    def caller_said(self) -> None:
        """The caller wants something else: no answer awaits the tools any more. They run on, and their results are
        told when there is time."""
        self._give_up()

    def hush(self) -> None:
        """The client wants to hear no more of it, nor of what tools will give."""
        self._give_up()
        self._wait.hush()

    def say(self, text: str) -> list[c.Command]:
        """Have the caller hear this as soon as nothing else is being said."""
        if len(self._to_say) >= self.policy.texts_to_say:
            return [c.SayDropped(text)]
        self._to_say.append(Recital(text))
        return self.go_on()

    def refused(self, event_id: str, code: str | None) -> tuple[Asked | None, list[c.Command]]:
        """The provider did not take an event of the relay's own. Returns the answer that will not come, if that is
        what was asked for: if there is another under way, what was wanted waits for that one's end."""
        asked, self.asked = self.asked, None
        if asked is None or event_id != asked.event_id:
            self.asked = asked
            asked = self._disown(event_id)
        if asked is None:
            return None, []
        recital = asked.recital
        if code == ACTIVE:
            if recital is None:
                self._telling = bool(self._wait.untold)
            elif not recital.filler:
                self._to_say.appendleft(recital)
            return None, []
        if recital is None or recital.apology:
            return asked, []
        if recital.filler:
            return None, []
        if recital.refused:
            return None, [c.SayDropped(recital.text), *self.go_on()]
        self._to_say.appendleft(replace(recital, refused=True))
        return None, self.go_on()

    def _disown(self, event_id: str) -> Asked | None:
        """A response was taken for what was asked for; the provider had begun it by itself."""
        for response in self._under_way.values():
            asked = response.asked
            if asked is not None and asked.event_id == event_id:
                response.asked = response.recital = None
                response.tells, response.may_call = frozenset(), True
                return asked
        return None

    def restart(self, *, ask: bool, now: float) -> list[c.Command]:
        """There is a new session, in which nothing is under way. ``ask``: the caller waits for an answer."""
        asked, self.asked = self.asked, None
        if asked and asked.recital and not asked.recital.filler:
            self._to_say.appendleft(asked.recital)
        owed = (asked is not None and asked.recital is None) or ask
        for response in self._under_way.values():
            response.written = True
            self._over.append(response.response_id)
        self._under_way.clear()
        self._outputs.clear()
        if owed and not self.more_to_come:
            self._wanted = True
        return self.settle(now)

    def abandon(self) -> list[c.Command]:
        """Nothing is awaited any more of what the provider has been asked for: what still comes is dropped."""
        commands: list[c.Command] = []
        for response in self._under_way.values():
            response.written = True
            self._over.append(response.response_id)
            commands += [self._cancel(response), CutResponse(response.response_id, True, "answer_overdue")]
        self._under_way.clear()
        self.asked = None
        return commands

    def close(self) -> None:
        """The call is over."""
        self._give_up()
        self._to_say.clear()

    # --- fillers, and what the agent says ------------------------------------------------------------------------

    def plan(self, now: float) -> list[c.Command]:
        """Have :meth:`fill` asked when a filler is due; never into a response, nor over the caller."""
        silent = not (self.owed or self._recitals or self._turns.speaking)
        return self._wait.plan(self._turns.speaker.ends_at, now, by=self.due_at(), silent=silent)

    def due_at(self) -> float:
        """When the caller has heard nothing for too long, if nothing is said until then."""
        return self.quiet_since + self.policy.first_audio_s

    @property
    def quiet_since(self) -> float:
        """Since when the caller hears nothing, or will."""
        return max(self.effort.quiet_since, self._turns.speaker.ends_at)

    def fill(self, now: float) -> list[c.Command]:
        """A tool keeps the caller waiting: say what was prepared for that."""
        phrase = self._wait.take_filler(self._turns.speaker.ends_at, now, by=self.due_at())
        return [] if phrase is None else self.recite(Recital(phrase, filler=True, aside=True))

    def take_recital(self, token: int) -> Recital | None:
        """What was to be said, once it is known whether it is recorded; None if it is not wanted any more."""
        return self._recitals.pop(token, None)

    def have_it_said(self, recital: Recital) -> list[c.Command]:
        """It is not recorded: the model says it."""
        words = wire.saying(recital.text, aside=recital.aside)
        if recital.aside:
            words["metadata"] = {ASIDE: "filler" if recital.filler else "words"}
        return [self._create(words, Asked(self._new_event_id(), recital))]

    def say_next(self, text: str) -> None:
        """Say this before whatever else waits to be said."""
        self._to_say.appendleft(Recital(text))

    def recite(self, recital: Recital) -> list[c.Command]:
        """Say it now: from memory, or else the model does."""
        if not self.policy.spoken:
            return self.have_it_said(recital)
        self._tokens += 1
        self._recitals[self._tokens] = recital
        return [FindRecording(self._tokens, recital.text, recital.apology)]

    # --- deciding ------------------------------------------------------------------------------------------------

    def _give_up(self) -> None:
        self._wait.cancel()
        self._wanted = self._telling = False
        self._recitals = {token: one for token, one in self._recitals.items() if not one.filler}

    def settle(self, now: float) -> list[c.Command]:
        """Have the results spoken about once all that were asked for are there."""
        if self._wait.release() is not None:
            self._telling = True
            self._turns.tools_answered(now)
        return self.go_on()

    def tell(self) -> list[c.Command]:
        """Speak about what tools have given that nobody awaits any more."""
        self._telling = True
        return self.go_on()

    def go_on(self) -> list[c.Command]:
        """Ask for a response, if one is wanted and none is in its way."""
        self._telling = self._telling and bool(self._wait.untold)
        wanted = self._wanted or self._telling
        if self.asked or self.answering or self._recitals or not (wanted or self._to_say):
            return []
        if self._turns.speaking or (self.turn_waits and self.policy.reply_to_turns):
            return []
        asides = [one for one in self._under_way.values() if one.aside]
        if asides:  # one that nobody has heard of need not be waited for
            return [self._cancel(aside) for aside in asides if aside.filler and not aside.sounded]
        if wanted:
            return [self.ask()]
        return self.recite(replace(self._to_say.popleft(), aside=self.more_to_come))

    def ask(self) -> c.Command:
        """Have the model answer the conversation as it stands; without tools, once it has called enough."""
        self._wanted = self._telling = False
        effort = self.effort
        may_call = effort.may_call(self.policy.tool_calls_per_turn)
        effort.requests += 1
        given = None if may_call else {"tool_choice": "none"}
        return self._create(given, Asked(self._new_event_id(), may_call=may_call, tells=self._wait.untold))

    def ask_again(self, response: Response | None) -> c.Command:
        """Ask once more for what nobody could hear: as the client had asked, if it had."""
        if response is None or response.request is None:
            return self.ask()
        self.effort.requests += 1
        return ToProvider(response.request)

    def _create(self, response: Mapping[str, object] | None, asked: Asked) -> c.Command:
        self.asked = asked
        given = {} if response is None else {"response": response}
        return ToProvider(wire.encode("response.create", event_id=asked.event_id, **given))

    def delete(self, item_id: str) -> c.Command:
        """Have the provider's conversation be without this item."""
        return self._event("conversation.item.delete", item_id=item_id)

    def _cancel(self, response: Response) -> c.Command:
        return self._event("response.cancel", response_id=response.response_id)

    def _event(self, type_: str, **fields: object) -> c.Command:
        return ToProvider(wire.encode(type_, event_id=self._new_event_id(), **fields))
