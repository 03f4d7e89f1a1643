"""What of the provider's events the client sees: nothing of the agent's own tools, which are none of its business.

A hidden item leaves no gap: what follows it is told to follow the item before it.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from repartee.relay.commands import PassOn
from repartee.turn.commands import Command
from repartee.wire import outside_json
from repartee.wire import relay_events as wire

MAX_HIDDEN = 4_000
"""So many hidden items are known, the newest; a conversation's oldest items are forgotten before."""


class Screen:
    """One call's. ``tools`` are those that the agent runs."""

    def __init__(self, tools: frozenset[str]) -> None:
        self._tools = tools
        self._hidden: dict[str, str | None] = {}
        self._calls: dict[str, None] = {}

    def hides(self, item_id: str) -> bool:
        """Whether the client knows nothing of this item."""
        return item_id in self._hidden

    def passing(self, commands: Iterable[Command], said: wire.ProviderEvent) -> list[Command]:
        """The commands that an event has led to; what is passed on of it is what the client may see."""
        hidden = self._is_hidden(said)
        return [
            PassOn(self._mended(command.event, said)) if isinstance(command, PassOn) else command
            for command in commands
            if not (hidden and isinstance(command, PassOn))
        ]

    def _is_hidden(self, said: wire.ProviderEvent) -> bool:
        item = said.item
        if item is None:
            return said.item_id is not None and said.item_id in self._hidden
        if item.type == "function_call" and item.name in self._tools:
            self._hide(item.id, said.previous_item_id)
            if item.call_id:
                _remember(self._calls, item.call_id, None)
        elif item.type == "function_call_output" and item.call_id in self._calls:
            self._hide(item.id, said.previous_item_id)
        return item.id in self._hidden

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
        hidden = {item.id for item in output if item.type == "function_call" and item.name in self._tools}
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
