"""What may be asked of chat completions: OpenAI's checks of a request, as far as clients run into them. Pure.

What differs by family (reasoning, temperature, the limit's name) is refused in OpenAI's words.
"""

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from repartee.standins.bad_request import BadRequest
from repartee.standins.chat_messages import check_functions, check_known, check_messages

MODELS = (
    "gpt-6-luna",
    "gpt-6-sol",
    "gpt-6.1-sol",
    "gpt-5.6-luna",
    "gpt-5.6-terra",
    "gpt-5.4-mini",
    "gpt-5.4-nano",
    "gpt-5.3-chat-latest",
    "gpt-5.1",
    "gpt-5",
    "gpt-5-mini",
    "gpt-5-nano",
    "gpt-4.1-mini",
    "gpt-4.1",
    "gpt-4o-mini",
    "gpt-4o",
    "stand-in",
)
REALTIME_MODELS = (
    "gpt-realtime",
    "gpt-realtime-mini",
    "gpt-realtime-1.5",
    "gpt-realtime-2",
    "gpt-realtime-2.1",
    "stand-in",
)
# fmt: off
FIELDS = frozenset((
    "audio", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs",
    "max_completion_tokens", "max_tokens", "messages", "metadata", "modalities", "model", "moderation", "n",
    "parallel_tool_calls", "prediction", "presence_penalty", "prompt_cache_key", "prompt_cache_options",
    "prompt_cache_retention", "reasoning_effort", "response_format", "safety_identifier", "seed",
    "service_tier", "stop", "store", "stream", "stream_options", "temperature", "tool_choice", "tools",
    "top_logprobs", "top_p", "user", "verbosity", "web_search_options",
))
# fmt: on
"""All that a request may hold, by OpenAI's published specification."""

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A chat completion request, checked as far as the stand-in needs it."""

    model: str
    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]]
    tool_choice: Any
    max_tokens: int | None
    stream: bool
    include_usage: bool


def read_request(body: bytes, also_served: Collection[str] = ()) -> ChatRequest:
    """The request of a body; ``also_served`` are models beside OpenAI's. Raises BadRequest."""
    try:
        document = json.loads(body)
    except ValueError as error:
        raise BadRequest("We could not parse the JSON body of your request.") from error
    if not isinstance(document, dict):
        raise BadRequest("The body must be a JSON object.")
    model, messages = document.get("model"), document.get("messages")
    if not isinstance(model, str) or not model:
        raise BadRequest("you must provide a model parameter", "model")
    if not is_served(model, also_served):
        raise BadRequest(
            f"The model `{model}` does not exist or you do not have access to it.",
            "model",
            404,
            "model_not_found",
        )
    _check_fields(document)
    if not isinstance(messages, list) or not messages:
        raise BadRequest(
            "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array "
            "instead.",
            "messages",
            code="empty_array",
        )
    check_messages(messages)
    tools = document.get("tools") or []
    if document.get("tools") is not None:
        check_functions(document["tools"])
    _check_family(model, document)
    limit = document.get("max_completion_tokens", document.get("max_tokens"))
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 1):
        raise BadRequest("max_tokens must be a whole number of at least 1.", "max_tokens")
    options = document.get("stream_options") or {}
    return ChatRequest(
        model=model,
        messages=messages,
        tools=tools,
        tool_choice=document.get("tool_choice", "auto"),
        max_tokens=limit,
        stream=bool(document.get("stream", False)),
        include_usage=bool(options.get("include_usage")) if isinstance(options, dict) else False,
    )


def is_served(model: str, also_served: Collection[str] = (), *, models: Collection[str] = MODELS) -> bool:
    """A model of OpenAI's by its name, a dated version of one, or one that is served beside them."""
    return re.sub(r"-\d{4}-\d{2}-\d{2}$", "", model) in models or model in also_served


def _check_fields(document: dict[str, Any]) -> None:
    """What a request may hold, and what only together. Raises BadRequest."""
    if unknown := sorted(document.keys() - FIELDS):
        plural = "s" if len(unknown) > 1 else ""
        raise BadRequest(f"Unrecognized request argument{plural} supplied: {', '.join(unknown)}")
    if document.get("max_tokens") is not None and document.get("max_completion_tokens") is not None:
        raise BadRequest(
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
            "max_tokens",
        )
    for name in ("tool_choice", "parallel_tool_calls"):
        if document.get(name) is not None and not document.get("tools"):
            raise BadRequest(
                f"Invalid value for '{name}': '{name}' is only allowed when 'tools' are specified.", name
            )
    if document.get("stream_options") is not None and not document.get("stream"):
        raise BadRequest(
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.", "stream_options"
        )
    if isinstance(options := document.get("stream_options"), dict):
        check_known(options, ("include_usage", "include_obfuscation"), "stream_options")
    temperature = document.get("temperature")
    if temperature is not None and not (isinstance(temperature, int | float) and 0 <= temperature <= 2):
        raise BadRequest(
            f"Invalid 'temperature': {temperature} is not between 0 and 2.",
            "temperature",
            code="invalid_value",
        )


def _check_family(model: str, document: dict[str, Any]) -> None:
    """What a model of this name refuses. Raises BadRequest."""
    effort, temperature = document.get("reasoning_effort"), document.get("temperature")
    version = re.match(r"gpt-(\d+)(?:\.(\d+))?(?:-|$)", model)
    number = (int(version[1]), int(version[2] or 0)) if version else (0, 0)
    reasons = number >= (5, 0) and "-chat" not in model
    if effort is not None and model.startswith(("gpt-4", "gpt-3.5")):
        raise BadRequest("Unrecognized request argument supplied: reasoning_effort")
    if effort is not None and effort not in EFFORTS:
        raise BadRequest(
            f"Unsupported value: 'reasoning_effort' does not support '{effort}' with this model.",
            "reasoning_effort",
            code="unsupported_value",
        )
    if not reasons:
        return
    if "max_tokens" in document:
        raise BadRequest(
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' "
            "instead.",
            "max_tokens",
            code="unsupported_parameter",
        )
    if temperature not in (None, 1) and (number >= (5, 6) or number == (5, 0)):
        raise BadRequest(
            f"Unsupported value: 'temperature' does not support {temperature} with this model. Only the default (1) "
            "value is supported.",
            "temperature",
            code="unsupported_value",
        )
    if document.get("tools") and number >= (5, 6) and effort != "none":
        raise BadRequest(
            f"Function tools with reasoning_effort are not supported for {model} in /v1/chat/completions. To use "
            "function tools, use /v1/responses or set reasoning_effort to 'none'.",
            "reasoning_effort",
        )
