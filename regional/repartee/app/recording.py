"""A worker's records of its calls: from the stream of call events to its store, as the settings say."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext, suppress

from repartee.app.telemetry_settings import TelemetrySettings
from repartee.app.webhooks import CallWebhooks, WebhookTarget, delivering
from repartee.store.interfaces import Store
from repartee.telemetry.events import CallBegan, CallEnded
from repartee.telemetry.records import CallRecords
from repartee.telemetry.stream import Stream

SUMMARY_S = 60.0
"""`call.ended` waits no longer than this for the call's summary."""

SEEN_EVERY_S = 30.0
"""A third of the time after which a call that is not written of counts as lost."""


@asynccontextmanager
async def recording(
    settings: TelemetrySettings, store: Store | None, stream: Stream, *, delivers: bool = True
) -> AsyncIterator[None]:
    """Keep records for as long as the block lasts, if they are wanted. ``delivers``: this process sends webhooks."""
    if store is None or settings.call_records == "off":
        yield
        return
    records = CallRecords(store, settings.redaction(), settings.price_table())
    stream.count(records)
    target = webhook_target(settings)
    if target:
        stream.count(CallWebhooks(store, SUMMARY_S if settings.summary else 0.0), CallBegan, CallEnded)
    task = asyncio.create_task(_keep_seeing(records))
    try:
        async with delivering(store, target) if target and delivers else nullcontext():
            yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def webhook_target(settings: TelemetrySettings) -> WebhookTarget | None:
    """Whom to tell of calls, if anybody is to be."""
    key = settings.webhook_key.get_secret_value().encode()
    return WebhookTarget(settings.webhook_url, key) if settings.webhook_url else None


async def _keep_seeing(records: CallRecords) -> None:
    while True:
        await asyncio.sleep(SEEN_EVERY_S)
        records.seen()
