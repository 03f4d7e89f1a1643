"""Exact traces: the slowest turns, each that was over its budget and each that was not answered, with the cause.

Owns a ring of them in memory, and what is known of the calls in progress for naming causes. The store has all turns
where records are kept.
"""

import heapq
import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from repartee.latency.budgets import STAGE_BUDGETS_MS
from repartee.latency.kinds import BUDGET_MS
from repartee.telemetry import events as t
from repartee.telemetry.heard_turns import HeardTurns, client_stages_ms
from repartee.telemetry.labels import SERVED_BY, vendor_of
from repartee.telemetry.turn_log import turn_line

Cause = Literal[
    "tool",
    "event_loop",
    "cold_connection",
    "hedged",
    "speculation_missed",
    "vendor_tail",
    "vendor_slow",
    "provider_failed",
    "network_jitter",
    "client_buffer",
    "none",
]
"""Why a turn was slow. ``vendor_tail``: a vendor took longer than its stage usually does; ``vendor_slow``: longer
than its stage may, as it usually does; ``cold_connection``: no connection was warm; ``network_jitter`` and
``client_buffer``: as the caller's client reports; ``none``: all stages took what they may and usually take."""

MOST_TRACES = 1_000
MOST_SLOWEST = 100
TAIL = 1.5
"""Times what a stage usually takes is its tail ..."""

TAIL_MS = 50.0
"""... and so much more at least."""

LAG_MS = 20.0
"""An event loop that was so late has cost the turn something."""

COLD_MS = 20.0
"""Waiting so long for a connection has cost the turn something."""

USUAL_OF = 50
"""Turns whose median is what a stage usually takes."""


@dataclass(frozen=True, slots=True)
class KeptTrace:
    """A turn with the cause of its slowness. ``blamed`` is the stage, and ``vendor`` whose it is, where one is."""

    turn: t.TurnOver
    cause: Cause
    blamed: str = ""
    vendor: str = ""
    client_ms: Mapping[str, float] = field(default_factory=dict)
    """The stages of the client's own side, where it reported them."""

    def as_json(self) -> Mapping[str, object]:
        """The turn's line, when and with which agent it was, and why it was slow."""
        turn = self.turn
        why: dict[str, object] = {"cause": self.cause, "blamed": self.blamed, "vendor": self.vendor}
        why |= {"client_ms": self.client_ms}
        return {**turn_line(turn), "at": turn.at_s, "agent": turn.agent, **why}


@dataclass(slots=True)
class _Noted:
    """What has happened in a call since its last turn."""

    hedged: bool = False
    missed: bool = False
    failed: tuple[str, str] | None = None
    networks_ms: deque[float] = field(default_factory=lambda: deque(maxlen=USUAL_OF))
    """Of the call's turns before."""


@dataclass(slots=True)
class _Usual:
    """What a stage has taken lately (ms)."""

    recent: deque[float] = field(default_factory=lambda: deque(maxlen=USUAL_OF))

    @property
    def ms(self) -> float | None:
        return sorted(self.recent)[len(self.recent) // 2] if len(self.recent) >= 5 else None


class TurnTraces:
    """The traces of one worker.

    Implements :class:`~repartee.telemetry.stream.Counts`. ``lag`` is the event loop's longest lag
    between two times, in ms."""

    def __init__(self, lag: Callable[[float, float], float] = lambda since, until: 0.0) -> None:
        self._lag = lag
        self._calls: dict[str, _Noted] = {}
        self._usual: dict[tuple[str, str], _Usual] = {}
        self._ring: deque[KeptTrace] = deque(maxlen=MOST_TRACES)
        self._slowest: list[tuple[float, int, KeptTrace]] = []
        self._heard = HeardTurns()
        self._turns = 0

    def __repr__(self) -> str:
        return f"<TurnTraces: {len(self._ring)} kept of {self._turns} turns>"

    def export(self, event: t.CallEvent) -> None:
        """Note what may explain a turn, and keep it if it is to be explained."""
        self._note(event)
        if pair := self._heard.take(event):
            self._heard_by_client(*pair)

    def _note(self, event: t.CallEvent) -> None:
        if isinstance(event, t.CallEnded):
            self._calls.pop(event.call_id, None)
            return
        noted = self._calls.setdefault(event.call_id, _Noted())
        match event:
            case t.ExtraRequestMade(kind="hedge" | "retry" | "vendor"):
                noted.hedged = True
            case t.SpeculationSettled(outcome="resumed" | "reworded"):
                noted.missed = True
            case t.ProviderFailed():
                noted.failed = (event.stage, event.provider)
            case t.TurnOver():
                self._turn_over(event, noted)
                self._calls[event.call_id] = _Noted(networks_ms=noted.networks_ms)

    def slowest(self, count: int = MOST_SLOWEST) -> list[KeptTrace]:
        """The slowest turns since the start, the slowest first."""
        return [kept for _, _, kept in heapq.nlargest(count, self._slowest)]

    def find(self, call_id: str, turn_id: int) -> KeptTrace | None:
        """A turn that is kept."""
        return next(
            (kept for kept in self if (kept.turn.call_id, kept.turn.turn_id) == (call_id, turn_id)), None
        )

    def __iter__(self) -> Iterator[KeptTrace]:
        """All that are kept, the newest first; those over budget or unanswered, then the slowest."""
        yield from reversed(self._ring)
        yield from self.slowest()

    def latest(self, count: int) -> Sequence[KeptTrace]:
        """The newest that were over budget or not answered."""
        return list(self._ring)[: -count - 1 : -1]

    def since(self, at: float, count: int) -> list[KeptTrace]:
        """Those of turns that were over at this time or later, so many of each sort at most."""
        found = {
            (kept.turn.call_id, kept.turn.turn_id): kept
            for kept in (*self.slowest(count), *self.latest(count))
        }
        return [kept for kept in found.values() if kept.turn.at_s >= at]

    def _turn_over(self, turn: t.TurnOver, noted: _Noted) -> None:
        self._turns += 1
        kept = self._explained(turn, noted)
        trace = turn.trace
        if turn.outcome == "unanswered" or (trace and trace.over_budget):
            self._ring.append(kept)
        if trace is None:
            return
        entry = (trace.voice_to_voice_ms, self._turns, kept)
        if len(self._slowest) < MOST_SLOWEST:
            heapq.heappush(self._slowest, entry)
        else:
            heapq.heappushpop(self._slowest, entry)
        for stage, ms in trace.stages_ms.items():
            self._usual.setdefault((stage, vendor_of(turn, stage)), _Usual()).recent.append(ms)

    def _heard_by_client(self, turn: t.TurnOver, heard: t.AnswerHeard) -> None:
        """Keep a turn that is slow only at the client, or that has no cause on the server's side."""
        assert turn.trace is not None
        known, client_ms = self._calls.setdefault(turn.call_id, _Noted()).networks_ms, client_stages_ms(heard)
        cause, stage = _client_cause(client_ms, known)
        known.append(heard.network_ms)
        whole_ms = turn.trace.voice_to_voice_ms + sum(client_ms.values())
        if cause == "none" or whole_ms <= BUDGET_MS:
            return
        kept = self.find(turn.call_id, turn.turn_id)
        if kept is None or kept not in self._ring:
            self._ring.append(KeptTrace(turn, cause, stage, client_ms=client_ms))
        elif kept.cause == "none":
            self._ring[self._ring.index(kept)] = KeptTrace(turn, cause, stage, client_ms=client_ms)

    def _explained(self, turn: t.TurnOver, noted: _Noted) -> KeptTrace:
        trace = turn.trace
        if trace is None:
            stage, vendor = noted.failed or ("", "")
            return KeptTrace(turn, "provider_failed" if noted.failed else "none", stage, vendor)
        since = turn.at_s if trace is None else _began_at(turn)
        if trace.kind == "tool" and trace.stages_ms.get("tool", 0.0) >= trace.voice_to_voice_ms / 2:
            return KeptTrace(turn, "tool", "tool")
        if self._lag(since, since + trace.voice_to_voice_ms / 1000) >= LAG_MS:
            return KeptTrace(turn, "event_loop")
        if noted.failed:
            return KeptTrace(turn, "provider_failed", *noted.failed)
        if found := _cold(turn):
            return KeptTrace(turn, "cold_connection", *found)
        if noted.hedged:
            return KeptTrace(turn, "hedged", "llm", vendor_of(turn, "llm"))
        if stage := self._tail(turn):
            return KeptTrace(turn, "vendor_tail", stage, vendor_of(turn, stage))
        if noted.missed and not trace.speculative:
            return KeptTrace(turn, "speculation_missed", "llm")
        if stage := _over_budget(trace.stages_ms):
            return KeptTrace(turn, "vendor_slow", stage, vendor_of(turn, stage))
        return KeptTrace(turn, "none")

    def _tail(self, turn: t.TurnOver) -> str:
        """The vendor's stage that took longest beyond what it usually takes, if that is worth the name."""
        assert turn.trace is not None
        over: dict[str, float] = {}
        for stage, ms in turn.trace.stages_ms.items():
            usual = self._usual.get((stage, vendor_of(turn, stage)))
            usual_ms = usual.ms if usual else None
            if stage in SERVED_BY and usual_ms is not None and ms > max(usual_ms * TAIL, usual_ms + TAIL_MS):
                over[stage] = ms - usual_ms
        return max(over, key=lambda stage: over[stage], default="")


def _cold(turn: t.TurnOver) -> tuple[str, str] | None:
    """The stage and the vendor whose connection had to be waited for."""
    pool = max(turn.cold_ms, key=lambda name: turn.cold_ms[name], default="")
    if turn.cold_ms.get(pool, 0.0) < COLD_MS:
        return None
    stages = [stage for stage in SERVED_BY if vendor_of(turn, stage).partition("/")[0] == pool]
    return (stages[0], vendor_of(turn, stages[0])) if stages else ("", pool)


def _client_cause(client_ms: Mapping[str, float], networks_ms: Sequence[float]) -> tuple[Cause, str]:
    """Which of the client's stages is to blame: the network where it is slow, or slower than before in the call."""
    usual_ms = sorted(networks_ms)[len(networks_ms) // 2] if len(networks_ms) >= 3 else math.inf
    network_ms = min(STAGE_BUDGETS_MS["network"], max(usual_ms * TAIL, usual_ms + TAIL_MS))
    over = {
        "network": client_ms["network"] - network_ms,
        "playback": client_ms["playback"] - STAGE_BUDGETS_MS["playback"],
    }
    stage = max(over, key=lambda name: over[name])
    if over[stage] <= 0:
        return "none", ""
    return ("network_jitter" if stage == "network" else "client_buffer"), stage


def _over_budget(stages_ms: Mapping[str, float]) -> str:
    """The vendor's stage that is most over its budget, if one is."""
    over = {
        stage: ms - STAGE_BUDGETS_MS[stage]
        for stage, ms in stages_ms.items()
        if stage in SERVED_BY and ms > STAGE_BUDGETS_MS.get(stage, math.inf)
    }
    return max(over, key=lambda stage: over[stage], default="")


def _began_at(turn: t.TurnOver) -> float:
    """When the caller had finished, in seconds since 1970."""
    assert turn.trace is not None
    return (turn.audible_at_s or turn.at_s) - turn.trace.voice_to_voice_ms / 1000
