"""What `repartee region` and each of its processes do before they serve."""

import logging
from collections.abc import Mapping

from repartee.agent.agent import Agent
from repartee.agent.loader import load, load_others
from repartee.app.settings import Settings
from repartee.app.worker import asked_of
from repartee.errors import ConfigurationError
from repartee.providers.own import own_stages


def served_agent(settings: Settings, named: str) -> tuple[str, Agent]:
    """The agent to serve, and what it was named by; a plain one if none is. Raises ConfigurationError."""
    name = named or settings.agent
    return name, load(name) if name else Agent(instructions="You are a helpful voice assistant.")


def other_agents(name: str) -> Mapping[str, Agent]:
    """The agents by name, where several were named. They share what the first is served with. Raises
    ConfigurationError."""
    agents = load_others(name) if name else {}
    for other, agent in agents.items():
        if asked_of(agent) != asked_of(next(iter(agents.values()))) or own_stages(agent):
            raise ConfigurationError(
                f"The agents of one region share its model, its options and its providers: {other!r} has others. "
                "Give it a region of its own."
            )
    return agents


def set_up_logging(settings: Settings, who: str = "") -> None:
    """Log to standard error; ``who`` follows the level in each line."""
    logging.basicConfig(
        level=settings.log_level.upper(), format=f"%(asctime)s %(levelname)s{who} %(name)s: %(message)s"
    )
    for chatty in ("httpx", "httpx2", "httpcore", "httpcore2", "websockets", "uvicorn.error"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
