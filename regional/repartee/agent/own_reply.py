"""An agent's own way to reply, as the language model of its calls."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import msgspec

from repartee.agent.author_faults import note_trouble
from repartee.agent.cancelling import being_cancelled
from repartee.agent.context import CallContext, ReplyContext, ToolCall
from repartee.agent.declaration import ReplyFunction
from repartee.errors import ProviderError
from repartee.providers import interfaces as p

PROVIDER = "agent"
"""What stands in traces and errors in place of a provider's name."""


class OwnReplyLLM:
    """Implements :class:`repartee.providers.interfaces.LLM` for one call by the agent's ``@agent.reply``."""

    def __init__(self, function: ReplyFunction, context: CallContext) -> None:
        self._function = function
        self._context = context
        self._calls = 0

    async def reply(self, request: p.ReplyRequest) -> AsyncGenerator[p.ReplyPart, None]:
        """Stream one reply. Raises ProviderError when the agent's function fails; closing it closes that function."""
        context = ReplyContext(
            self._context, request.messages, request.tools, request.max_tokens, request.temperature
        )
        reason = "stop"
        try:
            async with aclosing(_generated(self._function(context))) as parts:
                async for part in parts:
                    if isinstance(part, ToolCall):
                        reason = "tool_calls"
                        yield self._call(part)
                    elif not isinstance(part, str):
                        raise TypeError(f"@agent.reply yields str and ToolCall, not {type(part).__name__}")
                    elif part:
                        yield p.TextDelta(part)
        except ProviderError:
            raise
        except (Exception, asyncio.CancelledError) as error:
            if being_cancelled():
                raise
            remedy = "The caller hears an apology, unless words had come before."
            note_trouble(self._context, "@agent.reply", error, remedy, given=_said_in(request))
            raise ProviderError(
                "The agent's own reply failed.",  # why is its author's business, and no client's
                provider=PROVIDER,
                stage="llm",
                retryable=False,
            ) from error
        yield p.Finished(reason)

    def _call(self, call: ToolCall) -> p.CalledTool:
        self._calls += 1
        arguments = msgspec.json.encode(dict(call.arguments)).decode()
        return p.CalledTool(f"call_{self._context.call_id}_{self._calls}", call.name, arguments)


def _generated(parts: AsyncIterator[str | ToolCall]) -> AsyncGenerator[str | ToolCall, None]:
    """An agent's check lets only generators through, whatever their authors have written as their type."""
    assert isinstance(parts, AsyncGenerator)
    return parts


def _said_in(request: p.ReplyRequest) -> list[object]:
    """What the agent's function was given of the conversation, as a whole and word by word."""
    texts = [str(message.get("content") or "") for message in request.messages if message["role"] != "system"]
    return [*texts, *(word for text in texts for word in text.split() if len(word) > 3)]
