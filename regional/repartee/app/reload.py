"""Reloads a user's agent while they work on it: when its file changes, the next call gets the new one.

For your own machine (`repartee up`). A faulty file changes nothing: the last good agent goes on taking calls, and
the log says why.
"""

import asyncio
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from repartee.agent.agent import Agent, worker_side
from repartee.agent.loader import load
from repartee.errors import ConfigurationError

log = logging.getLogger(__name__)

LOOK_S = 0.3
"""How often the file is looked at: soon enough for someone who saves it and then speaks."""

ANNOUNCEMENT = "agent: "
"""What each line for the user begins with; `repartee up` shows these whatever else it hides."""


class AgentWatch:
    """Watches one agent's file. ``serve`` is given each new agent."""

    def __init__(
        self, spec: str, agent: Agent, serve: Callable[[Agent], None], out: TextIO | None = None
    ) -> None:
        self._spec = spec
        self._file = Path(worker_side(agent).place.file)
        self._serve = serve
        self._out = out or sys.stdout
        self._seen = self._stamp()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            self.look()

    def look(self) -> None:
        """Load the agent anew if its file has changed."""
        stamp = self._stamp()
        if stamp is None or stamp == self._seen:
            return
        self._seen = stamp
        try:
            agent = load(self._spec, fresh=True)
        except ConfigurationError as error:
            self._tell(f"not reloaded, the one before goes on taking calls. {error}")
            return
        self._serve(agent)
        self._tell("reloaded; new calls get the new one")

    def _stamp(self) -> tuple[int, int] | None:
        """None while the file is being replaced."""
        try:
            found = self._file.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size

    def _tell(self, what: str) -> None:
        for line in what.splitlines():
            print(f"{ANNOUNCEMENT}{line}", file=self._out, flush=True)
