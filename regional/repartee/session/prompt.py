"""What a language model is asked: the session's settings, a response's own, and the conversation. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from repartee.providers.interfaces import ReplyRequest
from repartee.wire.client_events import ResponseParams
from repartee.wire.session_config import (
    MAX_OUTPUT_TOKENS,
    SessionConfig,
    chat_tool_choice,
    chat_tools,
)

SPOKEN_STYLE = (
    "You are speaking with a caller. Answer in two or three short sentences of plain spoken language, without lists, "
    "markup or emoji, unless the caller asks for more. Say the most important thing first."
)
"""Added to the instructions of sessions that are spoken."""


def reply_request(
    config: SessionConfig,
    messages: Sequence[Mapping[str, Any]],
    *,
    options: ResponseParams | None,
    agent_tools: Sequence[dict[str, Any]] = (),
    temperature: float | None = None,
    follows_tools: bool = False,
) -> ReplyRequest:
    """The request for one reply. A response's own settings come before the session's.

    A reply that follows its tools' results is free not to call one again, whatever the first was told.
    """
    options = options or ResponseParams()
    spoken = is_spoken(config, options)
    instructions = config.instructions if options.instructions is None else options.instructions
    if spoken:
        instructions = f"{instructions}\n\n{SPOKEN_STYLE}".strip()
    tools = config.tools if options.tools is None else options.tools
    max_tokens = options.max_output_tokens
    if max_tokens is None:
        max_tokens = config.max_tokens
    return ReplyRequest(
        messages=[*([{"role": "system", "content": instructions}] if instructions else []), *messages],
        tools=[*agent_tools, *chat_tools(tools)],
        tool_choice="auto" if follows_tools else chat_tool_choice(options.tool_choice or config.tool_choice),
        max_tokens=MAX_OUTPUT_TOKENS if max_tokens == "inf" else max_tokens,
        temperature=temperature,
    )


def is_spoken(config: SessionConfig, options: ResponseParams | None) -> bool:
    """Whether a reply is to be spoken, and not text only."""
    if options is None or options.output_modalities is None:
        return config.spoken
    return options.output_modalities == ["audio"]
