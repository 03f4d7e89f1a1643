"""A tool, and one run of it: how long it may take, what becomes of its result, and what a model gets if there is
none.

Knows nothing about other runs: toolbox.py decides whether a call runs at all.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from pydantic_core import PydanticSerializationError, to_jsonable_python

from repartee.agent.author_faults import note_trouble
from repartee.agent.cancelling import being_cancelled
from repartee.agent.context import CallContext, Fact, facts_in
from repartee.agent.signature import Signature

_log = logging.getLogger(__name__)

REMEDY = (
    'The model was told that the tool failed. To say no in words that it passes on, raise ToolError("...").'
)


class ToolError(Exception):
    """Raised by a tool to say no in words that the model passes on, e.g. ``ToolError("That slot is taken.")``.

    ``retry``: nothing was done, so the same call may be made again; without it a tool that is not read-only
    answers the same call with the same refusal for the rest of the conversation.
    """

    def __init__(self, message: str, *, retry: bool = False) -> None:
        super().__init__(message)
        self.retry = retry


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool of an agent.

    ``read_only``: it changes nothing, so it may run on a guess. ``repeatable``: the same call again means to do the
    same thing again, so it runs again. The caller hears ``fillers`` while it runs.
    """

    signature: Signature
    function: Callable[..., Awaitable[Any]]
    read_only: bool = False
    repeatable: bool = False
    fillers: tuple[str, ...] = ()
    timeout_s: float = 10.0

    @property
    def name(self) -> str:
        """What the model calls it."""
        return self.signature.name

    def as_chat(self) -> dict[str, Any]:
        """In the form of OpenAI's chat completions."""
        return {"type": "function", "function": self._described()}

    def as_realtime(self) -> dict[str, Any]:
        """In the form of OpenAI's Realtime sessions."""
        return {"type": "function", **self._described()}

    def _described(self) -> dict[str, Any]:
        signature = self.signature
        return {
            "name": signature.name,
            "description": signature.description,
            "parameters": dict(signature.schema),
        }


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run gave: ``output`` is JSON text for the model; ``facts`` and ``state`` are what the call learns by it.

    ``ok``: the tool has answered. ``retry``: nothing was done, and the same call may be made again.
    """

    output: str
    ok: bool = True
    retry: bool = False
    took_ms: float = 0.0
    facts: Mapping[str, Fact] = field(default_factory=dict)
    state: Mapping[str, Any] = field(default_factory=dict)


def refusal(message: str, *, retry: bool = False) -> Outcome:
    """An outcome that tells the model what went wrong."""
    output = msgspec.json.encode({"error": message}).decode()
    return Outcome(output, ok=False, retry=retry)


async def execute(
    tool: Tool,
    values: Mapping[str, Any],
    context: CallContext,
    *,
    deadline: asyncio.Timeout,
    result_chars: int,
) -> Outcome:
    """Run the tool's function until the deadline. Raises nothing but CancelledError."""
    before = dict(context.state)
    given = (context,) if tool.signature.wants_context else ()
    try:
        async with deadline:
            value = await tool.function(*given, **values)
        plain = to_jsonable_python(value)
        output = _fitted(msgspec.json.encode({"status": "done"} if plain is None else plain), result_chars)
    except ToolError as error:
        return refusal(str(error) or "The tool refused.", retry=error.retry)
    except asyncio.CancelledError as error:
        if being_cancelled():
            raise
        return _failed(tool, context, error, values)
    except TimeoutError as error:
        if deadline.expired():
            _log.warning(
                "Tool %s did not answer in time in call %s; telling the model", tool.name, context.call_id
            )
            return refusal(_too_late(tool))
        return _failed(tool, context, error, values)
    except PydanticSerializationError as error:
        _log.warning(
            "Tool %s returned what cannot be written as JSON: %s; telling the model that it ran",
            tool.name,
            error,
        )
        return refusal("The tool ran, but its result cannot be read.")
    except (Exception, SystemExit) as error:
        return _failed(tool, context, error, values)
    changed = {k: v for k, v in context.state.items() if k not in before or before[k] is not v}
    return Outcome(output, facts=facts_in(plain), state=changed)


def _failed(tool: Tool, context: CallContext, error: BaseException, values: Mapping[str, Any]) -> Outcome:
    given = [*values.values(), *context.verified.values()]
    note_trouble(context, f"Tool {tool.name}", error, REMEDY, given=given)
    effect = "" if tool.read_only else " Whether it took effect is not known."
    return refusal(f"The tool failed.{effect} Apologise; do not guess the result.")


def _too_late(tool: Tool) -> str:
    effect = "" if tool.read_only else " Whether it took effect is not known."
    return f"The tool did not answer within {tool.timeout_s:g} s.{effect} Apologise; do not guess the result."


def _fitted(output: bytes, limit: int) -> str:
    """What a model can take; the rest of a longer result is cut off, and that is said."""
    text = output.decode()
    if len(text) <= limit:
        return text
    cut = {"truncated": True, "length": len(text), "beginning": text[:limit]}
    return msgspec.json.encode(cut).decode()
