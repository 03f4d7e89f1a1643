"""What may be asked of chat completions: OpenAI's checks of a request, as far as clients run into them. Pure.

What differs by family (reasoning, temperature, the limit's name) is refused in OpenAI's words.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

MODELS = (
    "gpt-6-luna",
    "gpt-6-sol",
    "gpt-5.6-luna",
    "gpt-5.6-terra",
    "gpt-5.4-mini",
    "gpt-4.1-mini",
    "gpt-4.1",
    "gpt-4o-mini",
    "gpt-4o",
    "stand-in",
)
GONE = ("gpt-4.1-nano", "gpt-3.5-turbo", "gpt-4", "gpt-4-turbo", "o1", "o3-mini", "o4-mini")
"""Models that OpenAI has shut down; their names are not served any more."""

UNKNOWN_MODEL = "no-such-model"
"""Any model name is served, so that settings for the real provider work here too, but for this one."""

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


class BadRequest(ValueError):
    """The request cannot be carried out; ``param`` names the field at fault."""

    def __init__(
        self, message: str, param: str | None = None, status: int = 400, code: str | None = None
    ) -> None:
        super().__init__(message)
        self.param = param
        self.status = status
        self.code = code


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


def read_request(body: bytes) -> ChatRequest:
    """The request of a body. Raises BadRequest."""
    try:
        document = json.loads(body)
    except ValueError as error:
        raise BadRequest("We could not parse the JSON body of your request.") from error
    if not isinstance(document, dict):
        raise BadRequest("The body must be a JSON object.")
    model, messages = document.get("model"), document.get("messages")
    if not isinstance(model, str) or not model:
        raise BadRequest("you must provide a model parameter", "model")
    if model == UNKNOWN_MODEL or model in GONE:
        raise BadRequest(f"The model `{model}` does not exist or you do not have access to it.", "model", 404)
    if not isinstance(messages, list) or not messages:
        raise BadRequest("messages must be a list that is not empty.", "messages")
    roles = {"system", "developer", "user", "assistant", "tool", "function"}
    for number, message in enumerate(messages):
        if not isinstance(message, dict) or message.get("role") not in roles:
            raise BadRequest(
                f"messages[{number}].role must be one of {sorted(roles)}.", f"messages[{number}].role"
            )
    tools = document.get("tools") or []
    if not isinstance(tools, list) or not all(
        isinstance(tool, dict) and isinstance((tool.get("function") or {}).get("name"), str) for tool in tools
    ):
        raise BadRequest('tools must be a list of {"type": "function", "function": {"name", …}}.', "tools")
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
