"""What all stand-ins in one server share: the profile in force, its random streams, counts, faults and engines."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any, Protocol

from repartee.standins.detector import Detector
from repartee.standins.faults import FaultBoard
from repartee.standins.profiles import Distribution, Profile
from repartee.standins.recogniser import Recogniser
from repartee.standins.script import Line
from repartee.standins.stats import Stats
from repartee.standins.synthesiser import SpokenText
from repartee.standins.turns import TurnTimes

if TYPE_CHECKING:
    from repartee.standins.carrier.network import TelephoneNetwork

BAD_KEY = "bad-key"
"""The one API key that is refused; any other that is not empty is good."""


@dataclass(frozen=True, slots=True)
class Engines:
    """What hears and speaks: real engines, or the light mode's pretence."""

    light: bool
    recogniser: Callable[[], Recogniser]
    detector: Callable[[int], Detector]
    """Takes the sample rate in Hz at which :meth:`Detector.step` will be fed."""
    hearing_hz: Callable[[int], int]
    """The rate at which audio that comes in at a given rate is wanted."""
    speak: Callable[[str, str, int], "SpokenText | None"]
    """(text, voice, rate): speech at once if it costs nothing, None if it must be synthesised in a thread."""
    lines: Sequence[Line]
    hearing_health: Callable[[], Mapping[str, Any]] | None = None
    """How the processes that recognise speech are, where there are any: see ``SphinxPool.health``."""


class Expiring(Protocol):
    """A session that ends after its time."""

    def expire(self) -> None:
        """Its time is over."""


@dataclass(slots=True)
class StandInState:
    """Shared by all connections of one server."""

    profile: Profile
    engines: Engines
    stats: Stats = field(default_factory=Stats)
    faults: FaultBoard = field(default_factory=FaultBoard)
    randoms: dict[str, Random] = field(default_factory=dict)
    models: frozenset[str] = frozenset()
    """Language models that are served beside OpenAI's."""
    realtime_session_s: float = 3600.0
    """How long a Realtime session may last, as OpenAI's do."""
    realtime_sessions: set["Expiring"] = field(default_factory=set)
    """Those that are open."""
    telephone: "TelephoneNetwork | None" = None
    """The carriers, where calls by telephone are wanted."""

    def draw(self, stage: str, distribution: Distribution) -> float:
        """One value; each stage has a random stream of its own, so that one stage's use leaves the others' alone."""
        random = self.randoms.get(stage)
        if random is None:
            random = self.randoms[stage] = Random(f"{self.profile.seed}/{stage}")
        return distribution.draw(random)

    def turn_times(self) -> TurnTimes:
        """The delays of one turn of recognition."""
        stt = self.profile.stt
        eager_ms = self.draw("eager", stt.eager_end_of_turn_ms)
        end_ms = max(eager_ms, self.draw("end", stt.end_of_turn_ms))
        return TurnTimes(self.draw("start", stt.start_of_turn_ms), eager_ms, end_ms)

    def reset(self) -> None:
        """Counts, faults and random streams as at the start."""
        self.stats.reset()
        self.faults.clear()
        self.randoms.clear()


def key_is_good(key: str | None) -> bool:
    """Whether an API key is accepted."""
    return bool(key) and key != BAD_KEY
