"""When a call may be recorded: once its caller has heard so, or its client has got an event that says so. Pure."""

import re
from typing import Literal

from repartee.agent.said import Said

MOST_TRIES = 3
"""A caller who speaks over the notice hears it again; then the call is not recorded."""

Wanted = Literal["nothing", "repeat", "give_up"]
_WORD = re.compile(r"\w+")


class SpokenConsent:
    """The notice of one call, until it was heard to its end."""

    def __init__(self, notice: str) -> None:
        self.notice = notice
        self.tries = 1
        self._ends_at: float | None = None

    def __repr__(self) -> str:
        return f"<SpokenConsent: {'heard' if self._ends_at is not None else 'not heard'}>"

    @property
    def ends_at(self) -> float | None:
        """When the notice will have been heard, as things stand."""
        return self._ends_at

    def said(self, said: Said, play_end: float) -> Wanted:
        """The agent has said something; all that was sent by now is played by ``play_end``."""
        if not self._is_notice(said):
            return "nothing"
        if not said.interrupted:
            self._ends_at = play_end
            return "nothing"
        self._ends_at = None
        if self.tries >= MOST_TRIES:
            return "give_up"
        self.tries += 1
        return "repeat"

    def _is_notice(self, said: Said) -> bool:
        if said.who != "agent":
            return False
        heard, whole = _words(said.text), _words(self.notice)
        return heard == (whole[: len(heard)] if said.interrupted else whole)


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())
