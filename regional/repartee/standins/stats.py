"""What the stand-ins have counted, for tests and benchmarks: connections, requests, lateness of their timers."""

from collections import deque
from dataclasses import asdict, dataclass, field

from repartee.standins.faults import PROVIDERS

KEPT = 5000
"""How many of the latest lateness samples percentiles are taken over."""


@dataclass(slots=True)
class ProviderStats:
    """Counts for one provider. A *request* is an utterance recognised, a chat completion or a synthesis context."""

    opened: int = 0
    active: int = 0
    closed: int = 0
    refused: int = 0
    requests: int = 0
    finished: int = 0
    cancelled: int = 0
    messages_in: int = 0
    audio_bytes_in: int = 0
    messages_out: int = 0


@dataclass(slots=True)
class Stats:
    """Counts since the start or the last reset; ``active`` survives a reset."""

    providers: dict[str, ProviderStats] = field(
        default_factory=lambda: {name: ProviderStats() for name in PROVIDERS}
    )
    lateness_ms: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT))

    def of(self, provider: str) -> ProviderStats:
        """The counts of one provider."""
        return self.providers[provider]

    def reset(self) -> None:
        """Begin anew; connections open now stay counted as active."""
        for name, counts in self.providers.items():
            self.providers[name] = ProviderStats(active=counts.active)
        self.lateness_ms.clear()

    def report(self) -> dict[str, object]:
        """A JSON object: per provider its counts, and the lateness of timed messages (first tokens, first audio)."""
        late = sorted(self.lateness_ms)
        return {
            "providers": {name: asdict(counts) for name, counts in self.providers.items()},
            "timer_lateness_ms": {
                "count": len(late),
                "p50": round(late[len(late) // 2], 3) if late else None,
                "p99": round(late[int(len(late) * 0.99)], 3) if late else None,
                "max": round(late[-1], 3) if late else None,
            },
        }
