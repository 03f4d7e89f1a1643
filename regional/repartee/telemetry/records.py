"""The record of each call, written while it goes on: from the stream of call events to the store.

Owns the records of the calls in progress. The stream holds words only if the operator keeps them
(``REPARTEE_RECORDS=words``).
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from repartee.store.call_records import keep_call
from repartee.store.interfaces import Store
from repartee.store.schema import Row
from repartee.telemetry import events as t
from repartee.telemetry.prices import PriceTable, VendorUse
from repartee.telemetry.redaction import Redaction
from repartee.telemetry.turn_log import turn_figures


@dataclass(slots=True)
class _Record:
    """A call in progress. ``numbered`` counts what happened in it, so that each thing has a name of its own."""

    began: t.CallBegan
    seen_at: float
    ended: str | None = None
    seconds: float = 0.0
    turns: int = 0
    unanswered: int = 0
    interruptions: int = 0
    faults: int = 0
    numbered: int = 0
    details: dict[str, Any] = field(default_factory=dict)
    uses: dict[tuple[str, str], VendorUse] = field(default_factory=dict)

    def use(self, used: t.VendorUsed) -> None:
        """Add what was used of a vendor."""
        use = self.uses.setdefault((used.stage, used.provider), VendorUse())
        use.input_tokens += used.input_tokens
        use.cached_tokens += used.cached_tokens
        use.output_tokens += used.output_tokens
        use.characters += used.characters
        use.audio_input_tokens += used.audio_input_tokens
        use.audio_output_tokens += used.audio_output_tokens
        use.estimated_tokens += (used.input_tokens + used.output_tokens) if used.estimated else 0

    def row(self, prices: PriceTable) -> Row:
        began = self.began
        uses = dict(self.uses)
        if recogniser := began.providers.get("stt"):
            uses["stt", recogniser] = VendorUse(seconds=self.seconds)
        cost, unpriced = prices.cost(uses)
        details = {
            "vendors": began.providers,
            "currency": prices.currency,
            "unpriced": unpriced,
            "usage": [
                {"stage": stage, "vendor": vendor, **msgspec.structs.asdict(use)}
                for (stage, vendor), use in uses.items()
            ],
            **self.details,
        }
        return {
            "call_id": began.call_id,
            "started_at": began.at_s,
            "seen_at": self.seen_at,
            "agent": began.agent,
            "version": began.version,
            "caller": began.caller or None,
            "transport": began.transport,
            "region": began.region,
            "ended": self.ended,
            "seconds": self.seconds,
            "turns": self.turns,
            "unanswered": self.unanswered,
            "interruptions": self.interruptions,
            "faults": self.faults,
            "cost": cost,
            "details": msgspec.json.encode(details).decode(),
        }


class CallRecords:
    """Implements :class:`~repartee.telemetry.stream.Counts`: it leaves what is to be written in the store's queue."""

    def __init__(
        self,
        store: Store,
        redact: Callable[[str], str] | None = None,
        prices: PriceTable | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._redact = redact or Redaction()
        self._prices = prices or PriceTable()
        self._clock = clock
        self._live: dict[str, _Record] = {}

    def __repr__(self) -> str:
        return f"<CallRecords: {len(self._live)} calls in progress>"

    def export(self, event: t.CallEvent) -> None:
        """Write down what has happened."""
        if isinstance(event, t.CallBegan):
            record = self._live[event.call_id] = _Record(event, event.at_s)
            keep_call(self._store, record.row(self._prices))
            return
        known = self._live.get(event.call_id)
        if known is None:
            return
        if isinstance(event, t.VendorUsed):
            known.use(event)
            return
        known.seen_at = event.at_s
        known.seconds = max(event.at_s - known.began.at_s, 0.0)
        entry = self._entry(known, event)
        if isinstance(event, t.CallEnded):
            del self._live[event.call_id]
        if entry is not None or isinstance(event, t.CallEnded):
            keep_call(self._store, known.row(self._prices), [entry] if entry else [])

    def seen(self) -> None:
        """Write that the calls in progress still are: one whose worker is gone is not written of."""
        now = self._clock()
        for record in self._live.values():
            record.seen_at = now
            record.seconds = max(now - record.began.at_s, 0.0)
            keep_call(self._store, record.row(self._prices))

    def _entry(self, record: _Record, event: t.CallEvent) -> Row | None:
        """What happened, as a row; counts it in the record."""
        match event:
            case t.TurnOver():
                record.turns += 1
                record.unanswered += event.outcome == "unanswered"
                return _row(
                    record, event, "turn", f"turn-{event.turn_id}", event.turn_id, turn_figures(event)
                )
            case t.AnswerHeard():
                heard = {
                    "capture_ms": event.capture_ms,
                    "network_ms": event.network_ms,
                    "playback_ms": event.playback_ms,
                }
                return _row(record, event, "heard", f"heard-{event.turn_id}", event.turn_id, heard)
            case t.Interrupted():
                record.interruptions += 1
                body: Mapping[str, Any] = {"heard_ms": event.heard_ms}
                return self._numbered(record, event, "interruption", event.turn_id, body)
            case t.ToolRan():
                return self._numbered(record, event, "tool", event.turn_id, self._tool(event))
            case t.WordsSaid():
                body = {"who": event.who, "text": self._redact(event.text), "interrupted": event.interrupted}
                said_at = msgspec.structs.replace(event, at_s=event.said_at_s)
                return _row(record, said_at, "said", f"said-{event.item_id}", event.turn_id, body)
            case t.ProviderFailed():
                record.faults += 1
                body = {"stage": event.stage, "vendor": event.provider}
                return self._numbered(record, event, "provider_failed", 0, body)
            case t.LineTroubled():
                return self._numbered(record, event, "line_troubled", 0, {"trouble": event.trouble})
            case t.AuthorFault():
                record.faults += 1
                body = {"function": event.what, "error": event.error, "place": event.place}
                return self._numbered(record, event, "author_fault", 0, body)
            case t.CallEnded():
                record.ended, record.seconds = event.outcome, event.length_s
                record.details["prefetch"] = msgspec.to_builtins(event.prefetched)
        return None

    def _tool(self, ran: t.ToolRan) -> Mapping[str, Any]:
        figures = {
            "tool": ran.tool,
            "ok": ran.ok,
            "prefetch": ran.prefetch,
            "waited_ms": ran.waited_ms,
            "saved_ms": ran.saved_ms,
        }
        if ran.words is None:
            return figures
        words = {"arguments": self._redact(ran.words.arguments), "result": self._redact(ran.words.result)}
        return figures | words

    def _numbered(
        self, record: _Record, event: t.CallEvent, kind: str, turn_id: int, body: Mapping[str, Any]
    ) -> Row:
        record.numbered += 1
        return _row(record, event, kind, f"{kind}-{record.numbered}", turn_id, body)


def _row(
    record: _Record, event: t.CallEvent, kind: str, entry: str, turn_id: int, body: Mapping[str, Any]
) -> Row:
    return {
        "call_id": event.call_id,
        "entry": entry,
        "at": event.at_s,
        "caller": record.began.caller or None,
        "kind": kind,
        "turn_id": turn_id,
        "body": msgspec.json.encode(body).decode(),
    }
