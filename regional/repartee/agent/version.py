"""An agent's version, in twelve letters, so that records tell one from the next."""

import hashlib

import msgspec

from repartee.agent.agent import Agent, worker_side


def version_of(agent: Agent) -> str:
    """A digest of the agent's instructions and of what it can do, but not of its functions' bodies."""
    stated = [
        agent.instructions,
        agent.greeting,
        agent.model,
        agent.voice,
        agent.language,
        [tool.as_chat() for tool in worker_side(agent).tools.values()],
    ]
    return hashlib.sha256(msgspec.json.encode(stated, enc_hook=dict)).hexdigest()[:12]
