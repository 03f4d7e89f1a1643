"""Lookups made before anyone asked: they go to the model with the caller's words, as if it had asked for them."""

from collections.abc import Sequence
from typing import Any

import msgspec

from repartee.turn.history import FunctionCall, FunctionOutput, call_messages


class Foreseen(msgspec.Struct, frozen=True):
    """A read-only tool's result that is there already. ``arguments`` and ``output`` are JSON text."""

    name: str
    arguments: str
    output: str


def as_items(result: Foreseen, item_id: str) -> tuple[FunctionCall, FunctionOutput]:
    """The lookup in the form of one that the model asked for; ``item_id`` makes its ids unique."""
    call = FunctionCall(f"{item_id}_call", f"call_{item_id}", result.name, result.arguments, own=True)
    return call, FunctionOutput(item_id, call.call_id, result.output, own=True)


def as_messages(results: Sequence[Foreseen], reply_id: int) -> list[dict[str, Any]]:
    """The lookups in OpenAI's chat form, to follow the caller's words in the request for this reply."""
    calls = [as_items(result, f"ahead_{reply_id}_{n}") for n, result in enumerate(results)]
    return [message for call, output in calls for message in call_messages(call, output.output)]
