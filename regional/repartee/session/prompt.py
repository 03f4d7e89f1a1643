"""What a language model is asked: the session's settings, a response's own, and the conversation. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from repartee.providers.interfaces import ReplyRequest
from repartee.turn.context_window import estimated_tokens, tokens_of
from repartee.turn.languages import language_of
from repartee.wire.client_events import ResponseParams
from repartee.wire.session_settings import (
    MAX_OUTPUT_TOKENS,
    SessionSettings,
    chat_tool_choice,
    chat_tools,
)


def reply_request(
    settings: SessionSettings,
    messages: Sequence[Mapping[str, Any]],
    *,
    options: ResponseParams | None,
    agent_tools: Sequence[dict[str, Any]] = (),
    temperature: float | None = None,
    follows_tools: bool = False,
    may_call: bool = True,
    style: str | None = None,
) -> ReplyRequest:
    """The request for one reply. A response's own settings come before the session's.

    A reply that follows its tools' results is free not to call one again, whatever the first was told; ``may_call``
    False forbids it. ``style`` is how to speak (None: as the language's row says).
    """
    options = options or ResponseParams()
    spoken = is_spoken(settings, options)
    instructions = settings.instructions if options.instructions is None else options.instructions
    if spoken:
        instructions = (
            f"{instructions}\n\n{language_of(settings.language).style if style is None else style}".strip()
        )
    tools = settings.tools if options.tools is None else options.tools
    max_tokens = options.max_output_tokens
    if max_tokens is None:
        max_tokens = settings.max_tokens
    return ReplyRequest(
        messages=[*([{"role": "system", "content": instructions}] if instructions else []), *messages],
        tools=[*agent_tools, *chat_tools(tools)],
        tool_choice=_tool_choice(settings, options, follows_tools=follows_tools) if may_call else "none",
        max_tokens=MAX_OUTPUT_TOKENS if max_tokens == "inf" else max_tokens,
        temperature=temperature,
    )


def _tool_choice(settings: SessionSettings, options: ResponseParams, *, follows_tools: bool) -> str:
    return "auto" if follows_tools else chat_tool_choice(options.tool_choice or settings.tool_choice)


def request_tokens(request: ReplyRequest) -> int:
    """About how many tokens a request takes."""
    return tokens_of(request.messages) + estimated_tokens("".join(map(str, request.tools)))


def is_spoken(settings: SessionSettings, options: ResponseParams | None) -> bool:
    """Whether a reply is to be spoken, and not text only."""
    if options is None or options.output_modalities is None:
        return settings.spoken
    return options.output_modalities == ["audio"]
