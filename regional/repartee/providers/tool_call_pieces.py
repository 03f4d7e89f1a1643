"""Puts a reply's tool calls together from the pieces in which servers stream them.

OpenAI numbers them; others give all of them one number, or none, or a whole call at once. A new id, or a new name
where there are no ids, is another call. Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from repartee.providers.interfaces import CalledTool, ReplyPart

MAX_CALLS = 128
"""Calls in one reply; what comes beyond them is dropped."""

MAX_CHARS = 1_000_000
"""Of one call's arguments, and of the thoughts before the calls; what comes beyond them is dropped, and arguments
that were cut are refused as too long."""


class _Pieces:
    """Text in pieces, joined once."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._length = 0

    def __bool__(self) -> bool:
        return self._length > 0

    def __str__(self) -> str:
        return "".join(self._pieces)

    def add(self, text: str) -> None:
        """Take more of it, as far as there is room."""
        room = MAX_CHARS - self._length
        if text and room > 0:
            self._pieces.append(text[:room])
            self._length += len(self._pieces[-1])


@dataclass(slots=True)
class _Call:
    index: int | None
    call_id: str | None = None
    name: str = ""
    arguments: _Pieces = field(default_factory=_Pieces)
    extra: Mapping[str, Any] | None = None


class ToolCallPieces:
    """Puts the tool calls of one reply together."""

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._thoughts = _Pieces()

    def think(self, text: str) -> None:
        """Thoughts that the server wants back with the calls."""
        self._thoughts.add(text)

    def take(
        self,
        index: int | None,
        call_id: str | None,
        name: str | None,
        arguments: str | Mapping[str, Any] | None,
        extra: Mapping[str, Any] | None,
    ) -> None:
        """One piece."""
        call = self._call_of(index, call_id, name)
        if call is None:
            return
        call.call_id = call.call_id or call_id
        call.name = call.name or name or ""
        call.extra = call.extra or extra
        if isinstance(arguments, str):
            call.arguments.add(arguments)
        elif arguments is not None:
            call.arguments.add(msgspec.json.encode(arguments).decode())

    def complete(self) -> list[ReplyPart]:
        """The calls, now that there are no more pieces."""
        return [
            CalledTool(
                call.call_id or f"call_{number}",
                call.name,
                str(call.arguments) or "{}",
                call.extra,
                str(self._thoughts) or None,
            )
            for number, call in enumerate(self._calls)
        ]

    def _call_of(self, index: int | None, call_id: str | None, name: str | None) -> _Call | None:
        """The call that the piece belongs to; None: there are too many.

        It is the newest of its number, unless its id or name is another's.
        """
        known = [call for call in self._calls if index is None or call.index == index]
        if call_id is not None and (same := next((one for one in known if one.call_id == call_id), None)):
            return same
        newest = known[-1] if known else None
        another_id = newest is not None and call_id is not None and newest.call_id is not None
        another_name = (
            newest is not None and call_id is None and bool(name and newest.name and newest.arguments)
        )
        if newest is None or another_id or another_name:
            if len(self._calls) >= MAX_CALLS:
                return None
            newest = _Call(index)
            self._calls.append(newest)
        return newest
