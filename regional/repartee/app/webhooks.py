"""Webhooks: `call.started` and `call.ended`, signed, and sent again until the address takes them.

They follow Standard Webhooks: `webhook-signature` is `v1,` and the base64 of HMAC-SHA256 over id, timestamp and
body. Each is delivered at least once: the same `webhook-id` may come twice.
"""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import logging
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import httpx

from repartee.errors import StoreError
from repartee.latency.backoff import backoff_s
from repartee.store.interfaces import Store
from repartee.store.webhook_outbox import WaitingWebhook, claim, keep_ended, keep_started, settle
from repartee.telemetry.events import CallBegan, CallEnded, CallEvent

log = logging.getLogger(__name__)

AT_ONCE = 50
LOOK_S = 0.5
TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class WebhookTarget:
    """Whom to tell, and the key that it checks signatures with. ``first_s``: the pause after a failure; it doubles
    up to ``most_s``."""

    url: str
    key: bytes
    first_s: float = 1.0
    most_s: float = 3_600.0


class CallWebhooks:
    """Implements :class:`~repartee.telemetry.stream.Counts`. Count it after the records, which it reads.
    ``call.ended`` waits ``summary_s`` for a summary."""

    def __init__(self, store: Store, summary_s: float = 0.0) -> None:
        self._store = store
        self._summary_s = summary_s

    def export(self, event: CallEvent) -> None:
        """Leave a webhook in the store."""
        if isinstance(event, CallBegan):
            keep_started(self._store, event.call_id, event.at_s)
        elif isinstance(event, CallEnded):
            keep_ended(self._store, event.call_id, event.at_s, self._summary_s)


def signature(key: bytes, webhook_id: str, timestamp: int, body: str) -> str:
    """Of one delivery."""
    signed = hmac.new(key, f"{webhook_id}.{timestamp}.{body}".encode(), hashlib.sha256).digest()
    return f"v1,{base64.b64encode(signed).decode()}"


class WebhookSender:
    """Delivers what waits in a store. ``clock`` is seconds since 1970."""

    def __init__(self, store: Store, target: WebhookTarget, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._target = target
        self._clock = clock
        self._was_refused = False

    async def run(self) -> None:
        """Deliver until cancelled."""
        async with httpx.AsyncClient(timeout=TIMEOUT_S) as client:
            while True:
                with contextlib.suppress(StoreError):  # the store has logged it
                    while await self._deliver_some(client):
                        pass
                await asyncio.sleep(LOOK_S)

    async def _deliver_some(self, client: httpx.AsyncClient) -> bool:
        waiting = await claim(self._store, self._clock(), AT_ONCE)
        results = await asyncio.gather(*(self._deliver(client, one) for one in waiting))
        delivered = [one for one, taken in zip(waiting, results, strict=True) if taken]
        failed = {one: self._next_try(one) for one, taken in zip(waiting, results, strict=True) if not taken}
        if waiting:
            await settle(self._store, delivered, failed)
        self._note(bool(failed))
        return bool(waiting)

    async def _deliver(self, client: httpx.AsyncClient, one: WaitingWebhook) -> bool:
        timestamp = int(self._clock())
        headers = {
            "content-type": "application/json",
            "webhook-id": one.id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signature(self._target.key, one.id, timestamp, one.body),
        }
        try:
            answer = await client.post(self._target.url, content=one.body.encode(), headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL):
            return False
        return answer.is_success

    def _next_try(self, one: WaitingWebhook) -> float:
        target = self._target
        return self._clock() + backoff_s(one.attempts + 1, first_s=target.first_s, most_s=target.most_s)

    def _note(self, refused: bool) -> None:
        if refused and not self._was_refused:
            log.warning("webhooks are not taken by %s; trying again until they are", self._target.url)
        self._was_refused = refused


@contextlib.asynccontextmanager
async def delivering(store: Store, target: WebhookTarget) -> AsyncIterator[None]:
    """Deliver for as long as the block lasts; the next start delivers what still waits."""
    task = asyncio.create_task(WebhookSender(store, target).run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
