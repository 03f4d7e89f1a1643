"""The tools that a conversation's model calls: what of a call is kept, who runs it, and which results are untold.

A call goes into the history in a form that every server takes back: some refuse a whole conversation for one name or
one id that they would not have written. What no one has declared is run by the agent's toolbox, which refuses it.
"""

import re
import zlib
from collections.abc import Callable

from repartee.turn import commands as c
from repartee.turn.events import ReplyToolCall, ToolFinished
from repartee.turn.filler import FillerChoice
from repartee.turn.foresight import as_items
from repartee.turn.history import FunctionCall, FunctionOutput, History
from repartee.turn.policy import TurnPolicy
from repartee.turn.reply import Reply
from repartee.turn.tool_wait import ToolWait

MAX_NAME_CHARS = 64
MAX_CALL_ID_CHARS = 40
"""OpenAI's limits of a function's name and of a call's id."""

_NO_NAME_CHARACTER = re.compile(r"[^a-zA-Z0-9_-]")


class ToolCalls:
    """The tool calls of one conversation."""

    def __init__(self, history: History, new_item_id: Callable[[], str], fillers: FillerChoice) -> None:
        self.wait: ToolWait[Reply] = ToolWait(fillers)
        self._history = history
        self._new_item_id = new_item_id

    def __len__(self) -> int:
        return len(self.wait)

    @property
    def untold(self) -> frozenset[str]:
        """The calls whose results no reply has told the caller of yet."""
        return self.wait.untold

    def told(self, call_ids: frozenset[str]) -> None:
        """A reply that was made with these results has been heard, or is all that will be heard of them."""
        self.wait.told(call_ids)

    def hush(self) -> None:
        """Nothing is to be told of what has run, or runs, of its own accord."""
        self.wait.hush()

    def made(self, event: ReplyToolCall) -> FunctionCall:
        """The call as it will stand in the history."""
        return FunctionCall(
            self._new_item_id(),
            _short_id(event.call_id or f"call_{self._new_item_id()}"),
            _NO_NAME_CHARACTER.sub("_", event.name)[:MAX_NAME_CHARS] or "unnamed",
            event.arguments,
            event.extra,
            event.reasoning,
        )

    def begin(self, reply: Reply, call: FunctionCall, policy: TurnPolicy, now: float) -> list[c.Command]:
        """A confirmed reply calls a tool: it runs, here or at the client."""
        number = 1
        while self._history.holds_call(call.call_id):  # some models number their calls anew in every reply
            number += 1
            call.call_id = _short_id(f"{call.call_id}_{number}")
        call.own = not is_clients(call.name, policy, reply)
        commands: list[c.Command] = [c.ToolRequested(reply.reply_id, call, self._history.append(call))]
        if call.own:
            self.wait.begin(reply, call.call_id, call.name, now, spoken=reply.message.spoken)
            commands.append(c.RunTool(reply.turn_id, call.call_id, call.name, call.arguments))
        else:
            reply.calls_client = True
        return commands

    def finish(self, event: ToolFinished) -> tuple[list[c.Command], bool]:
        """A result: it goes into the history in any case. Also, whether an answer awaited it."""
        awaited = len(self.wait)
        if not self.wait.end(event):
            return [], False
        output = FunctionOutput(self._new_item_id(), event.call_id, event.output, own=True)
        return [c.ItemAdded(output, self._history.append(output))], len(self.wait) != awaited

    def adopt(self, reply: Reply) -> list[c.Command]:
        """What was looked up ahead for this reply has been used: it stands in the history as if asked for."""
        commands: list[c.Command] = []
        for result in reply.foreseen:
            self.wait.prefetch = self.wait.prefetch or "hit"
            commands.append(c.LookupUsed(reply.turn_id, result))
            commands += [
                c.ItemAdded(item, self._history.append(item))
                for item in as_items(result, self._new_item_id())
            ]
        reply.foreseen = ()
        return commands


def is_clients(name: str, policy: TurnPolicy, reply: Reply) -> bool:
    """Whether the client runs it: a response's own tools come before the session's."""
    if name in policy.tools:
        return False
    asked_with = reply.request.client_tools if reply.request else None
    declared = policy.client_tools if asked_with is None else asked_with
    return declared is None or name in declared


def _short_id(call_id: str) -> str:
    if len(call_id) <= MAX_CALL_ID_CHARS:
        return call_id
    return f"{call_id[: MAX_CALL_ID_CHARS - 9]}_{zlib.crc32(call_id.encode()):08x}"
