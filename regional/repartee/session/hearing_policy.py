"""How a call's speech recognition is kept: the settings of :mod:`~repartee.session.hearing`, with their units."""

from dataclasses import dataclass, field

from repartee.audio.gap import GapPolicy
from repartee.audio.pace import PaceSettings
from repartee.session.end_timing import EndLooks
from repartee.turn.session_watch import WatchPolicy


@dataclass(frozen=True, slots=True)
class HearingPolicy:
    """Durations as the names say."""

    backlog_ms: float = 60_000
    """How much audio may wait; older audio is dropped. A client may send a minute at once; without a transcriber the
    call is over after 10 s."""

    feed_ms: float = 100
    """Audio that comes in longer pieces is passed on in pieces of this length."""

    pace: PaceSettings = field(default_factory=PaceSettings)
    """How fast audio that has waited is passed on."""

    turn_ms: float = 30_000
    """So much of the open turn is kept, to be played to another transcriber. Of a longer one, the words are kept."""

    preroll_ms: float = 1_500
    """So much is kept while no turn is open: one may have begun that recognition has not told of yet."""

    suspect_ms: float = 8_000
    """So much is kept of sound to which recognition has said nothing."""

    regain_s: float = 3.0
    """A wordless turn of which another transcriber hears nothing for so long is over."""

    gap: GapPolicy = field(default_factory=GapPolicy)
    """When silence is passed on instead of audio that does not come: recognition hears a turn's end only in audio."""

    late_ms: float = 1_000
    """A turn whose end is not heard so long after its speech: when that ended is noted before it is forgotten."""

    look_s: float = 0.25
    """How often the transcriber is looked at."""

    watch: WatchPolicy = field(default_factory=WatchPolicy)

    end_looks: EndLooks = field(default_factory=EndLooks)
    """When the place at which the caller's speech ended is sought."""
