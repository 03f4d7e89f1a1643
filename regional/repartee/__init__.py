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

__all__ = ["Agent", "CallContext", "Limits", "Notices", "ReplyContext", "ToolCall", "ToolError"]

_HOMES = {
    "Agent": "repartee.agent.agent",
    "CallContext": "repartee.agent.context",
    "Limits": "repartee.agent.limits",
    "Notices": "repartee.agent.notices",
    "ReplyContext": "repartee.agent.context",
    "ToolCall": "repartee.agent.context",
    "ToolError": "repartee.agent.tools",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
