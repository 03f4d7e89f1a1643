"""Sums up a call afterwards, in a few sentences by the deployment's language model.

Summaries run beside the calls, a few at a time, each within a time limit; what one uses is part of its call's cost.
Where there is no summary, the record says why.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from repartee.app.services import Services
from repartee.app.telemetry_settings import TelemetrySettings
from repartee.errors import PoolTimeout, ProviderError, StoreError
from repartee.providers.interfaces import LLM, ReplyRequest, TextDelta
from repartee.store.call_summaries import Details, keep_summary, said_in
from repartee.store.interfaces import Store
from repartee.telemetry.events import CallEnded, CallEvent
from repartee.telemetry.prices import PriceTable, VendorUse
from repartee.telemetry.service_notes import CallServiceNotes
from repartee.telemetry.stream import Stream
from repartee.turn.context_window import estimated_tokens
from repartee.turn.usage import TokenUsage

log = logging.getLogger(__name__)

ASKED = (
    "Sum up this telephone call in two or three sentences, in its own language: what the caller wanted, what was "
    "done, and what is still to do. Say nothing that is not in it."
)
TIMEOUT_S = 20.0
MOST_TOKENS = 200
MOST_CHARS = 24_000
"""Of what was said: the end of a longer call."""

AT_ONCE = 4
MOST_WAITING = 200


@dataclass(frozen=True, slots=True)
class MadeSummary:
    """``text``, or in words why there is none; and what making it has used."""

    text: str | None
    why_none: str = ""
    vendor: str = ""
    used: TokenUsage | None = None
    estimated: bool = False


class CallSummaries:
    """Sums up calls that have ended. Implements :class:`~repartee.telemetry.stream.Counts`: count it after the
    records."""

    def __init__(self, services: Services, store: Store, prices: PriceTable, stream: Stream) -> None:
        self._services = services
        self._store = store
        self._prices = prices
        self._stream = stream
        self._free = asyncio.Semaphore(AT_ONCE)
        self._running: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<CallSummaries: {len(self._running)} under way>"

    def export(self, event: CallEvent) -> None:
        """Begin a summary, in a task of its own."""
        if not isinstance(event, CallEnded):
            return
        if len(self._running) >= MOST_WAITING:
            log.warning("too many calls wait to be summed up; leaving one without a summary")
            return
        task = asyncio.create_task(self._sum_up(event))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def aclose(self) -> None:
        """Give up the summaries in progress: their webhooks go out without one."""
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running)

    async def _sum_up(self, ended: CallEnded) -> None:
        async with self._free:
            try:
                said = await said_in(self._store, ended.call_id)
                made = await self._made(ended, said)
                await keep_summary(
                    self._store, ended.call_id, lambda details: self._add(details, made), time.time()
                )
            except StoreError as error:
                log.warning("call %s has no summary: %s; going on", ended.call_id, error)

    async def _made(self, ended: CallEnded, said: Sequence[Mapping[str, Any]]) -> MadeSummary:
        resources = self._services.resources
        if resources is None:
            return MadeSummary(None, "this deployment has no language model beside the speech-to-speech one")
        if not said:
            return MadeSummary(None, "nothing was said")
        notes = CallServiceNotes(
            ended.call_id, ended.region, ended.agent, self._services.names, self._stream.emit
        )
        made = await summed_up(resources.for_call(notes).llm, said)
        if made.text is None:
            log.warning("call %s has no summary: %s; going on", ended.call_id, made.why_none)
        return replace(made, vendor=notes.names["llm"])

    def _add(self, details: Details, made: MadeSummary) -> float | None:
        details["summary"] = made.text
        details.pop("no_summary", None)
        if made.text is None:
            details["no_summary"] = made.why_none
        uses = {
            (one["stage"], one["vendor"]): msgspec.convert(
                {name: value for name, value in one.items() if name not in ("stage", "vendor")}, VendorUse
            )
            for one in details.get("usage", [])
        }
        if made.used:
            use = uses.setdefault(("llm", made.vendor), VendorUse())
            use.input_tokens += made.used.input_tokens
            use.cached_tokens += made.used.cached_tokens
            use.output_tokens += made.used.output_tokens
            use.estimated_tokens += made.estimated * (made.used.input_tokens + made.used.output_tokens)
        cost, details["unpriced"] = self._prices.cost(uses)
        details["usage"] = [
            {"stage": stage, "vendor": vendor, **msgspec.structs.asdict(use)}
            for (stage, vendor), use in uses.items()
        ]
        return cost


async def summed_up(llm: LLM, said: Sequence[Mapping[str, Any]], timeout_s: float = TIMEOUT_S) -> MadeSummary:
    """Ask the model. Raises nothing but CancelledError."""
    lines = "\n".join(f"{str(one['who']).capitalize()}: {one['text']}" for one in said)[-MOST_CHARS:]
    messages = [{"role": "system", "content": ASKED}, {"role": "user", "content": lines}]
    request = ReplyRequest(messages, tool_choice="none", max_tokens=MOST_TOKENS)
    text, used, why = "", None, ""
    try:
        async with asyncio.timeout(timeout_s), aclosing(llm.reply(request)) as parts:
            async for part in parts:
                if isinstance(part, TextDelta):
                    text += part.text
                elif isinstance(part, TokenUsage):
                    used = part
    except TimeoutError:
        why = f"the model did not answer within {timeout_s:g} s"
    except (ProviderError, PoolTimeout) as error:
        why = f"the model failed: {error}"
    text = text.strip()
    estimated = used is None
    used = used or TokenUsage(estimated_tokens(ASKED + lines), estimated_tokens(text))
    if why or not text:
        return MadeSummary(None, why or "the model wrote nothing", used=used, estimated=estimated)
    return MadeSummary(text, used=used, estimated=estimated)


@contextlib.asynccontextmanager
async def summing_up(
    services: Services, store: Store | None, settings: TelemetrySettings, stream: Stream
) -> AsyncIterator[None]:
    """Sum up calls for as long as the block lasts, if the settings want that."""
    if not settings.summary or store is None:
        yield
        return
    summaries = CallSummaries(services, store, settings.price_table(), stream)
    stream.count(summaries, CallEnded)
    try:
        yield
    finally:
        await summaries.aclose()
