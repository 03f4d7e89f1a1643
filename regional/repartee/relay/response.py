"""A response of the provider's, what it was asked for, and what is said word for word. Plain data."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Recital:
    """A text to be said word for word: a filler, or the agent's own words. ``aside``: while a tool runs;
    ``apology``: it makes up for an answer; ``refused``: the provider has refused it once."""

    text: str
    filler: bool = False
    aside: bool = False
    apology: bool = False
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """A ``response.create`` of the relay's own that the provider has not taken yet: an answer, without a recital."""

    event_id: str
    recital: Recital | None = None
    may_call: bool = True
    tells: frozenset[str] = frozenset()


@dataclass(slots=True, eq=False)
class Response:
    """A response under way. ``aside``: said while a tool runs, and ``filler`` what fills that time; ``outside``: the
    conversation does not hold it. ``written``: it is over, whatever is still to be heard of it.

    ``sounded``: audio of it has come, ``audible``: some that is no silence, or words in writing. ``request`` is the
    client's event that asked for it, ``asked`` the relay's, ``recital`` what it is to say, ``tells`` are the calls
    whose results it was made with. ``calls``: it calls functions, ``calls_client``: some of the client's.
    """

    response_id: str
    outside: bool = False
    aside: bool = False
    filler: bool = False
    item_id: str | None = None
    sounded: bool = False
    written: bool = False
    speech_ended_at: float | None = None
    audible: bool = False
    said: bool = False
    request: str | None = None
    client_tools: frozenset[str] | None = None
    recital: Recital | None = None
    may_call: bool = True
    tells: frozenset[str] = frozenset()
    asked: Asked | None = None
    calls: bool = False
    calls_client: bool = False

    def ms_since_speech(self, at: float) -> float | None:
        """How long after the caller's last sample of speech this is; None if that is not known."""
        return None if self.speech_ended_at is None else round((at - self.speech_ended_at) * 1000, 3)
