"""What `repartee region` and each of its processes do before they serve."""

import logging

from repartee.agent.agent import Agent
from repartee.agent.loader import load
from repartee.app.settings import Settings


def served_agent(settings: Settings, named: str) -> tuple[str, Agent]:
    """The agent to serve, and what it was named by; a plain one if none is. Raises ConfigurationError."""
    name = named or settings.agent
    return name, load(name) if name else Agent(instructions="You are a helpful voice assistant.")


def set_up_logging(settings: Settings, who: str = "") -> None:
    """Log to standard error; ``who`` follows the level in each line."""
    logging.basicConfig(
        level=settings.log_level.upper(), format=f"%(asctime)s %(levelname)s{who} %(name)s: %(message)s"
    )
    for chatty in ("httpx", "httpx2", "httpcore", "httpcore2", "websockets", "uvicorn.error"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
