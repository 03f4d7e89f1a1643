"""Call events for tests."""

from repartee.agent.prefetch import PrefetchFigures
from repartee.latency.timeline import TurnTrace
from repartee.telemetry import events as t
from repartee.turn.outcome import TurnOutcome

PROVIDERS = {"stt": "s", "llm": "l", "tts": "t"}


def turn_over(outcome: TurnOutcome, voice_to_voice_ms: float | None = None, turn_id: int = 1) -> t.TurnOver:
    """A turn's end; ``voice_to_voice_ms`` None: no answer was audible."""
    trace = None
    if voice_to_voice_ms is not None:
        trace = TurnTrace(turn_id, turn_id, voice_to_voice_ms, {"llm": voice_to_voice_ms}, False)
    return t.TurnOver(
        call_id="call",
        at_s=1_000.0,
        region="here",
        agent="desk:agent",
        turn_id=turn_id,
        outcome=outcome,
        trace=trace,
        providers=PROVIDERS,
    )


def call_ended(outcome: t.CallOutcome = "ended") -> t.CallEnded:
    """A call's end."""
    return t.CallEnded(
        call_id="call",
        at_s=1_060.0,
        region="here",
        agent="desk:agent",
        outcome=outcome,
        length_s=60.0,
        prefetched=PrefetchFigures(started=3, hits=1, misses=2, wasted=1, saved_ms=250.0),
    )
