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
    from repartee.agent.tools import ToolError
    from repartee.errors import ConfigurationError
    from repartee.providers.interfaces import Brain as LLM
    from repartee.providers.interfaces import Ears as STT
    from repartee.providers.interfaces import Voice as TTS

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
    "ToolCall",
    "ToolError",
]

_HOMES = {
    "LLM": ("repartee.providers.interfaces", "Brain"),
    "STT": ("repartee.providers.interfaces", "Ears"),
    "TTS": ("repartee.providers.interfaces", "Voice"),
    "Agent": ("repartee.agent.agent", "Agent"),
    "CallContext": ("repartee.agent.context", "CallContext"),
    "ConfigurationError": ("repartee.errors", "ConfigurationError"),
    "Limits": ("repartee.agent.limits", "Limits"),
    "Notices": ("repartee.agent.notices", "Notices"),
    "ReplyContext": ("repartee.agent.context", "ReplyContext"),
    "ToolCall": ("repartee.agent.context", "ToolCall"),
    "ToolError": ("repartee.agent.tools", "ToolError"),
}
"""Each name's module, and what it is called there."""


if not TYPE_CHECKING:  # or a type checker would take any name for one of these

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module, there = _HOMES[name]
        return getattr(importlib.import_module(module), there)
