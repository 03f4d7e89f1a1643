"""How a conversation takes turns: the settings of the turn core, with their units."""

from dataclasses import dataclass, field

from repartee.turn.chunking import ChunkPolicy
from repartee.turn.item_list import HistoryLimits


@dataclass(frozen=True, slots=True)
class TurnPolicy:
    """Durations are seconds."""

    automatic: bool = True
    """A turn ends when speech recognition hears its end; if not, when the client commits it."""

    reply_to_turns: bool = True
    """A turn's end asks for a reply; if not, the client does."""

    interruptible: bool = True
    """The caller's speech stops the agent's."""

    speculate: bool = True
    """An eager end of turn starts the reply."""

    speculations_per_turn: int = 3
    """Eager replies to one turn at most: each costs what a reply costs."""

    speculative_chunks: int = 1
    """Chunks that go to the voice before the turn is confirmed."""

    spoken: bool = True
    """Replies are spoken; if not, they are text only."""

    first_audio_s: float = 8.0
    """A confirmed reply has failed when the caller has heard nothing for so long: before it, or in its midst."""

    texts_to_say: int = 16
    """Texts of the agent's own that may wait to be said; what comes beyond them is dropped, and logged."""

    playout_reported: bool = False
    """The transport reports what the caller has heard (a telephone's marks); if not, it is reckoned."""

    commit_s: float = 1.5
    """How long a committed turn's last words are awaited."""

    apology: str = "Sorry, something went wrong on my side. Could you say that again?"
    """Said when nothing of a reply can be had, from the language model or the voice. Empty: nothing is said."""

    tools: frozenset[str] = frozenset()
    """Tools that the agent runs; the client runs all others."""

    chunks: ChunkPolicy = field(default_factory=ChunkPolicy)

    history: HistoryLimits = field(default_factory=HistoryLimits)
    """How much of the conversation is kept."""
