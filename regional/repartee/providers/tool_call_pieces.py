"""Puts a reply's tool calls together from the pieces in which servers stream them.

OpenAI numbers them; others give all of them one number, or none, or a whole call at once. A new id, or a new name
where there are no ids, is another call. Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from repartee.providers.interfaces import CalledTool, ReplyPart


@dataclass(slots=True)
class _Call:
    index: int | None
    call_id: str | None = None
    name: str = ""
    arguments: str = ""
    extra: Mapping[str, Any] | None = None


class ToolCallPieces:
    """One reply's."""

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._thoughts = ""

    def think(self, text: str) -> None:
        """Thoughts that the server wants back with the calls."""
        self._thoughts += text

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
        call.call_id = call.call_id or call_id
        call.name = call.name or name or ""
        call.extra = call.extra or extra
        if isinstance(arguments, str):
            call.arguments += arguments
        elif arguments is not None:
            call.arguments += msgspec.json.encode(arguments).decode()

    def complete(self) -> list[ReplyPart]:
        """The calls, now that there are no more pieces."""
        return [
            CalledTool(
                call.call_id or f"call_{number}",
                call.name,
                call.arguments or "{}",
                call.extra,
                self._thoughts or None,
            )
            for number, call in enumerate(self._calls)
        ]

    def _call_of(self, index: int | None, call_id: str | None, name: str | None) -> _Call:
        """The call that the piece belongs to: the newest of its number, unless its id or name is another's."""
        known = [call for call in self._calls if index is None or call.index == index]
        if call_id is not None and (same := next((one for one in known if one.call_id == call_id), None)):
            return same
        newest = known[-1] if known else None
        another_id = newest is not None and call_id is not None and newest.call_id is not None
        another_name = (
            newest is not None and call_id is None and bool(name and newest.name and newest.arguments)
        )
        if newest is None or another_id or another_name:
            newest = _Call(index)
            self._calls.append(newest)
        return newest
