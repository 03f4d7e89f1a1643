"""What a call tells those who watch it: metrics and the latency log. The session knows only this much of them."""

from typing import Literal, Protocol

from repartee.agent.prefetch import PrefetchFigures
from repartee.errors import VoiceError
from repartee.latency.timeline import TurnTrace
from repartee.turn.outcome import TurnOutcome

SpeculationOutcome = Literal["released", "resumed", "reworded"]


class Observer(Protocol):
    """Told of each thing once, on the event loop; must not block."""

    def turn_finished(
        self, call_id: str, turn_id: int, outcome: TurnOutcome, trace: TurnTrace | None
    ) -> None:
        """A turn that wanted an answer is over."""

    def speculation_ended(self, outcome: SpeculationOutcome) -> None:
        """A reply begun before its turn was confirmed was used or thrown away."""

    def call_ended(self, prefetched: PrefetchFigures) -> None:
        """A call is over; what prefetching did in it."""

    def provider_failed(self, stage: str, error: VoiceError | str) -> None:
        """A provider failed in a way that cost the caller something."""
