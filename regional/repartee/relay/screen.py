"""The provider's events that the client sees: none of the agent's own tools, which are none of its business, nor
calls of functions that nobody has.

A hidden item leaves no gap: what follows it is shown to follow the item before it.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from repartee.relay.commands import PassOn
from repartee.turn.commands import Command
from repartee.wire import outside_json
from repartee.wire import relay_events as wire

MAX_HIDDEN = 4_000
"""So many hidden items are known, the newest; a conversation's oldest items are forgotten before."""


class Screen:
    """Screens the events of one call.

    ``runs`` says whether the agent answers a call of this name in a response of this id (None: the
    response that is under way)."""

    def __init__(self, runs: Callable[[str, str | None], bool]) -> None:
        self._runs = runs
        self._hidden: dict[str, str | None] = {}
        self._calls: dict[str, None] = {}

    def hides(self, item_id: str) -> bool:
        """Whether the client knows nothing of this item."""
        return item_id in self._hidden

    def passing(self, commands: Iterable[Command], said: wire.ProviderEvent) -> list[Command]:
        """The commands that an event has led to; what is passed on of it is what the client may see."""
        hidden = self.look(said)
        return [
            PassOn(self._mended(command.event, said)) if isinstance(command, PassOn) else command
            for command in commands
            if not (hidden and isinstance(command, PassOn))
        ]

    def look(self, said: wire.ProviderEvent) -> bool:
        """Whether an event is about what the client does not see. Calls are known from their first event on."""
        item = said.item
        for output in said.response.output if said.response else ():
            if output.type == "function_call" and self._is_own(
                output, said.response.id if said.response else None
            ):
                self._hide(output.id, None)
        if item is None:
            return said.item_id is not None and said.item_id in self._hidden
        if item.type == "function_call" and item.name and self._is_own(item, said.response_id):
            self._hide(item.id, said.previous_item_id)
            if item.call_id:
                _remember(self._calls, item.call_id, None)
        elif item.type == "function_call_output" and item.call_id in self._calls:
            self._hide(item.id, said.previous_item_id)
        return item.id in self._hidden

    def _is_own(self, item: wire.ItemSeen, response_id: str | None) -> bool:
        known = item.id in self._hidden or item.call_id in self._calls
        return known or self._runs(item.name or "", response_id)

    def _hide(self, item_id: str, previous: str | None) -> None:
        _remember(self._hidden, item_id, previous or self._hidden.get(item_id))

    def _mended(self, event: str, said: wire.ProviderEvent) -> str:
        """The event, without what is hidden."""
        changes: dict[str, Any] = {}
        previous = said.previous_item_id
        if previous in self._hidden:
            while previous in self._hidden:
                previous = self._hidden[previous]
            changes["previous_item_id"] = previous
        output: Sequence[wire.ItemSeen] = said.response.output if said.response else ()
        hidden = {item.id for item in output if item.id in self._hidden}
        if not (changes or hidden):
            return event
        whole: dict[str, Any] = outside_json.decode(event)
        if hidden:
            kept = [item for item in whole["response"]["output"] if item.get("id") not in hidden]
            changes["response"] = whole["response"] | {"output": kept}
        return wire.encode(whole.pop("type"), **(whole | changes))


def _remember(known: dict[str, Any], key: str, value: str | None) -> None:
    known[key] = value
    while len(known) > MAX_HIDDEN:
        del known[next(iter(known))]
