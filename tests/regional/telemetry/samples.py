"""Call events for tests."""

from repartee.agent.prefetch import PrefetchFigures
from repartee.latency.kinds import TurnKind
from repartee.latency.timeline import TurnTrace
from repartee.telemetry import events as t
from repartee.turn.outcome import TurnOutcome

PROVIDERS = {"stt": "s", "llm": "l", "tts": "t"}


def turn_over(
    outcome: TurnOutcome,
    voice_to_voice_ms: float | None = None,
    turn_id: int = 1,
    *,
    kind: TurnKind | None = None,
    first: bool = False,
) -> t.TurnOver:
    """A turn's end; ``voice_to_voice_ms`` None: no answer was audible. If one was, the turn is plain unless said."""
    trace = None
    if voice_to_voice_ms is not None:
        kind = kind or "plain"
        stages = {"llm": voice_to_voice_ms}
        trace = TurnTrace(turn_id, turn_id, voice_to_voice_ms, stages, False, kind=kind)
    return t.TurnOver(
        call_id="call",
        at_s=1_000.0,
        region="here",
        agent="desk:agent",
        turn_id=turn_id,
        outcome=outcome,
        trace=trace,
        providers=PROVIDERS,
        kind=kind,
        first=first,
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
