"""How a conversation takes turns: the settings of the turn core, with their units."""

from dataclasses import dataclass, field

from repartee.turn.chunking import ChunkPolicy
from repartee.turn.item_list import HistoryLimits
from repartee.turn.languages import ENGLISH

LONGEST_SILENCE_S = 8.0
"""Nobody to whom something is owed hears nothing for longer."""

EXTRA_BEYOND_TOOLS = 6
"""A turn has at most ``tool_calls_per_turn`` + 2 replies. With so many extra requests beyond as many again, it makes
twice its limit + 8 requests in all."""


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

    first_audio_s: float = 7.0
    """An answer has failed when the caller has heard nothing for so long since their last word, or since the agent's
    last sound. It leaves a second of the eight for the apology."""

    reply_s: float = 2.0
    """A reply has so long to be heard, however long the caller waited before it ..."""

    latest_apology_s: float = 7.8
    """... but an answer has failed so long after that word or sound."""

    apology_s: float = 2.0
    """The apology has failed when nothing of it has been heard for so long."""

    texts_to_say: int = 16
    """Texts of the agent's own that may wait to be said; what comes beyond them is dropped, and logged."""

    playout_reported: bool = False
    """The transport reports what the caller has heard (a telephone's marks); if not, it is reckoned."""

    commit_s: float = 1.5
    """How long a committed turn's last words are awaited."""

    apology: str = ENGLISH.apology
    """Said when there is no reply, from the language model or the voice. Empty: nothing is said."""

    company: str = ""
    """Said from memory before an answer that begins when the caller has heard nothing for ``first_audio_s`` already.
    Empty: it is not said, as when it is not in memory."""

    apology_at_hand: bool = True
    """The apology and the company are in memory, so that they are heard at once. If not, an answer has failed earlier
    by as much as it may take to say so: who cannot be told in time is not kept."""

    more: str = ENGLISH.more
    """Said when an answer has reached its greatest length. Empty: nothing is said."""

    backchannels: frozenset[str] = ENGLISH.backchannels
    """Words that, alone, do not interrupt."""

    thanks: frozenset[str] = ENGLISH.thanks
    """Words that, with backchannels, do not end the wait for a tool."""

    answer_window_s: float = 1.0
    """A backchannel's word in the last so many seconds of the agent's speech is an answer to it."""

    still_there: str = ENGLISH.still_there
    """Said to a caller who has been silent for ``idle_s``. Empty: the model is asked what to say."""

    idle_s: float | None = None
    """How long a caller may be silent before the agent asks; None: for ever."""

    idle_times: int = 2
    """So often the agent asks."""

    idle_reported: bool = False
    """The client has set ``idle_s``: it gets an event each time, the model is asked, and the agent never hangs up. A
    speech-to-speech model's provider does that by itself."""

    hang_up_s: float = 10.0
    """So long after it has asked for the last time it hangs up."""

    language: str = "en"
    """What is spoken, as a tag such as ``de-CH``: numbers and signs are said in it."""

    raw: bool = False
    """The voice is given what the model has written; if not, Markdown, addresses, emoji, numbers and amounts are
    written out as they are said."""

    tools: frozenset[str] = frozenset()
    """Tools that the agent runs."""

    client_tools: frozenset[str] | None = None
    """Tools that the client runs; what is asked for beside those and the agent's is refused. None: the client runs
    whatever the agent does not."""

    tool_calls_per_turn: int = 8
    """After so many the model is asked to answer without tools."""

    extra_requests_per_turn: int = 8
    """So many requests a turn may cost beside its replies: hedges, speculations, retries, mended ones, other vendors;
    never more than :data:`EXTRA_BEYOND_TOOLS` beyond ``tool_calls_per_turn``."""

    chunks: ChunkPolicy = field(default_factory=ChunkPolicy)

    history: HistoryLimits = field(default_factory=HistoryLimits)
    """How much of the conversation is kept."""

    @property
    def extra_requests(self) -> int:
        """How many a turn may cost beside its replies."""
        return min(self.extra_requests_per_turn, self.tool_calls_per_turn + EXTRA_BEYOND_TOOLS)

    @property
    def replies_by_itself(self) -> bool:
        """A turn that recognition has ended is answered without anyone's asking."""
        return self.automatic and self.reply_to_turns

    @property
    def patience_s(self) -> float:
        """How long a caller may hear nothing before an answer has failed."""
        return self._in_time(self.first_audio_s)

    def overdue_at(self, since: float, asked_at: float) -> float:
        """When a caller who has heard nothing since then has waited too long for what was asked for at that time (s).

        What was asked for late has a little more, as long as the apology is still heard in time. What nobody could
        ask for in time has its own: the turn was recognised too late, or a tool kept a caller waiting without a word.
        """
        own, latest = asked_at + self.reply_s, since + self._in_time(self.latest_apology_s)
        in_time = asked_at < since + LONGEST_SILENCE_S
        return max(since + self.patience_s, min(own, latest) if in_time else own)

    def _in_time(self, silence_s: float) -> float:
        return silence_s if self.apology_at_hand else min(silence_s, LONGEST_SILENCE_S - self.apology_s)
