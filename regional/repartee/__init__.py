"""Repartee: voice agents that answer in under half a second.

What an agent's file needs is here; it is imported when it is first used, so that the rest of the package does not
pay for it.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from repartee.agent.agent import Agent
    from repartee.agent.context import CallContext, ReplyContext, ToolCall
    from repartee.agent.limits import Limits
    from repartee.agent.notices import Notices
    from repartee.agent.secret_values import Secret
    from repartee.agent.tools import ToolError
    from repartee.errors import ConfigurationError
    from repartee.providers.interfaces import LLM, STT, TTS

__all__ = [
    "LLM",
    "STT",
    "TTS",
    "Agent",
    "CallContext",
    "ConfigurationError",
    "Limits",
    "Notices",
    "ReplyContext",
    "Secret",
    "ToolCall",
    "ToolError",
]

_HOMES = {
    "LLM": "repartee.providers.interfaces",
    "STT": "repartee.providers.interfaces",
    "TTS": "repartee.providers.interfaces",
    "Agent": "repartee.agent.agent",
    "CallContext": "repartee.agent.context",
    "ConfigurationError": "repartee.errors",
    "Limits": "repartee.agent.limits",
    "Notices": "repartee.agent.notices",
    "ReplyContext": "repartee.agent.context",
    "Secret": "repartee.agent.secret_values",
    "ToolCall": "repartee.agent.context",
    "ToolError": "repartee.agent.tools",
}


if not TYPE_CHECKING:  # or a type checker would take any name for one of these

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(_HOMES[name]), name)
