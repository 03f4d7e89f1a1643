"""What was said and done in a call before it came here: another worker had it, and is gone. Pure.

A worker writes it down during a call, the newest first if there is too much, and puts it into the history of the
call that goes on from there.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from repartee.turn.history import FunctionCall, FunctionOutput, Item, Message

MOST_OUTPUT_CHARS = 4_000
"""Of one tool's result."""


class SaidEarlier(msgspec.Struct, frozen=True, tag="said"):
    """Something that was said, as far as it was heard. ``at_s`` is seconds since 1970."""

    who: Literal["caller", "agent"]
    text: str
    at_s: float = 0.0
    interrupted: bool = False


class ToolRanEarlier(msgspec.Struct, frozen=True, tag="tool"):
    """A tool of the agent's own that was run: it must not be run again for the same wish."""

    tool: str
    arguments: str
    output: str


class StateEarlier(msgspec.Struct, frozen=True, tag="state"):
    """What the agent's author had noted of the call, by name."""

    noted: dict[str, Any]


Earlier = SaidEarlier | ToolRanEarlier | StateEarlier

_decoder = msgspec.json.Decoder(list[Earlier])


def packed(pieces: Iterable[Earlier], most_bytes: int) -> str:
    """As JSON: the newest, in their order, that fit into so many bytes."""
    kept: list[bytes] = []
    size = 2
    for piece in reversed(list(pieces)):
        written = msgspec.json.encode(piece)
        size += len(written) + 1
        if size > most_bytes:
            break
        kept.append(written)
    return f"[{b','.join(reversed(kept)).decode()}]"


def unpacked(text: str) -> tuple[Earlier, ...]:
    """What :func:`packed` wrote. Raises msgspec.DecodeError for anything else."""
    return tuple(_decoder.decode(text))


def noted_in(earlier: Sequence[Earlier]) -> dict[str, Any]:
    """What the agent's author had noted."""
    return {
        name: value
        for piece in earlier
        if isinstance(piece, StateEarlier)
        for name, value in piece.noted.items()
    }


def keepable(noted: Mapping[str, Any], most_bytes: int) -> dict[str, msgspec.Raw]:
    """What of an author's notes can be written down and read again as it was, as JSON: nothing of another kind, and
    no more than fits into so many bytes."""
    kept: dict[str, msgspec.Raw] = {}
    for name, value in list(noted.items()):
        if (written := _as_json({name: value})) is not None and len(written) <= most_bytes:
            most_bytes -= len(written)
            kept[name] = msgspec.Raw(msgspec.json.encode(value))
    return kept


def _as_json(value: Any) -> bytes | None:
    """The value as JSON; None for what would be something else when it is read again."""
    try:
        written = msgspec.json.encode(value)
        return written if bool(msgspec.json.decode(written) == value) else None
    except Exception:  # it is an author's object, which may do anything
        return None


def items_of(earlier: Sequence[Earlier]) -> list[Item]:
    """As a history has it."""
    items: list[Item] = []
    for number, piece in enumerate(earlier):
        item_id = f"earlier_{number}"
        if isinstance(piece, SaidEarlier):
            role: Literal["user", "assistant"] = "user" if piece.who == "caller" else "assistant"
            items.append(Message(item_id, role, piece.text))
        elif isinstance(piece, ToolRanEarlier):
            call_id = f"call_{item_id}"
            items.append(FunctionCall(item_id, call_id, piece.tool, piece.arguments, own=True))
            items.append(FunctionOutput(f"{item_id}_output", call_id, piece.output, own=True))
    return items
