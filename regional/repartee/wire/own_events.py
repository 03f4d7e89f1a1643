"""The events that OpenAI's protocol does not have, named ``repartee.*``: only clients that ask are sent them.

Takes a core's commands and gives types and fields; whoever sends them adds ids. Pure.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from repartee.turn import commands as c
from repartee.turn.history import FunctionCall, FunctionOutput, Item
from repartee.turn.usage import TokenUsage
from repartee.wire.realtime_objects import response_id

QUERY = "repartee"
"""The value of the URL's parameter ``events`` that asks for them."""

SUBPROTOCOL = "repartee.events"
"""The WebSocket subprotocol that asks for them."""

OwnEvent = tuple[str, dict[str, Any]]


def asked_for(query: Mapping[str, str], subprotocols: Sequence[str]) -> bool:
    """Whether a client that connects so wants these events."""
    return QUERY in query.get("events", "").split(",") or SUBPROTOCOL in subprotocols


@dataclass(frozen=True, slots=True)
class VendorLabel:
    """A vendor as people call it. ``stand_in``: something else speaks in its place."""

    label: str
    stand_in: bool = False


@dataclass(frozen=True, slots=True)
class AnsweringAgent:
    """Who answers a call: the agent, and the vendors that may serve it, by what their names in traces begin with."""

    agent: str = ""
    version: str = ""
    suggestions: Sequence[str] = ()
    vendors: Mapping[str, VendorLabel] = field(default_factory=dict)


class OwnEvents:
    """The own events of one session. ``providers`` are the names of those who serve it now, by stage."""

    def __init__(
        self, call_id: str, region: str, providers: Mapping[str, str], answering: AnsweringAgent | None = None
    ) -> None:
        self._call_id = call_id
        self._region = region
        self._providers = providers
        self._answering = answering or AnsweringAgent()

    def created(self) -> OwnEvent:
        """Who answers, and where."""
        answering = self._answering
        return "repartee.session.created", {
            "call_id": self._call_id,
            "region": self._region,
            "agent": {"name": answering.agent, "version": answering.version},
            "suggestions": list(answering.suggestions),
            "providers": dict(self._providers),
            "vendors": {
                name: {"label": vendor.label, "stand_in": vendor.stand_in}
                for name, vendor in answering.vendors.items()
            },
        }

    def ended(self, why: str, message: str) -> OwnEvent:
        """Why the call is over."""
        return "repartee.session.ended", {"why": why, "message": message}

    def of(self, command: c.Command, message_id: Callable[[int], str | None]) -> list[OwnEvent]:
        """What a client gets for a command beside OpenAI's. ``message_id`` gives the item of a reply under way."""
        match command:
            case c.TurnHeard(turn_id=turn_id, item_id=item_id, text=text):
                return [
                    ("repartee.transcript.partial", {"turn_id": turn_id, "item_id": item_id, "text": text})
                ]
            case c.TurnTraced():
                return [self._latency(command, message_id)]
            case c.TurnFinished(turn_id=turn_id, outcome=outcome, apology=apology):
                told = {"turn_id": turn_id, "outcome": outcome, "apology": apology}
                return [("repartee.turn.finished", told)]
            case c.ReplyEnded():
                return [("repartee.response.usage", self._usage(command))]
            case c.RunTool(call_id=call_id, name=name, arguments=arguments):
                return [_called(call_id, name, arguments)]
            case c.ItemAdded(item=item):
                return _tool_item(item)
        return []

    def _usage(self, command: c.ReplyEnded) -> dict[str, Any]:
        tokens, message = command.tokens or TokenUsage(), command.message
        return {
            "response_id": response_id(self._call_id, command.reply_id),
            **msgspec.structs.asdict(tokens),
            "characters": command.characters,
            "audio_seconds": round(message.audio_ms / 1000, 3) if message else 0.0,
        }

    def _latency(self, command: c.TurnTraced, message_id: Callable[[int], str | None]) -> OwnEvent:
        trace = command.trace
        return "repartee.turn.latency", {
            "call_id": self._call_id,
            "response_id": command.response_id or response_id(self._call_id, trace.reply_id),
            "item_id": command.item_id or message_id(trace.reply_id),
            "region": self._region,
            "providers": dict(self._providers),
            **msgspec.structs.asdict(trace),
        }


def _called(call_id: str, name: str, arguments: str) -> OwnEvent:
    return "repartee.tool.called", {"call_id": call_id, "name": name, "arguments": arguments}


def _tool_item(item: Item) -> list[OwnEvent]:
    """An item of a tool of the agent's own: a lookup made ahead, or a result."""
    match item:
        case FunctionCall(own=True):
            return [_called(item.call_id, item.name, item.arguments)]
        case FunctionOutput(own=True):
            return [("repartee.tool.answered", {"call_id": item.call_id, "output": item.output})]
    return []
