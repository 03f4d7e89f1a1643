"""Signed heartbeats to the edge: how loaded this worker is, whether it drains, and its P90.

Owns when they are sent and what is in them; the edge owns what it makes of them (repartee_edge.health). Losing some
costs only a worse choice of region, so nobody repeats a failed one: the next comes soon.
"""

import asyncio
import logging
import secrets
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

import httpx

from repartee.app.worker import WorkerState
from repartee.telemetry.tally import TurnFigures, TurnTally, p90_ms
from repartee_edge.heartbeats import sign_heartbeat
from repartee_edge.tickets import TicketKeys

log = logging.getLogger(__name__)

ANSWER_S = 5.0
FAREWELL_S = 2.0
COLD_S = 1.0
"""How often a worker that is not warm yet looks whether it is."""

LOOK_S = 0.5
"""How often a worker looks whether its providers have failed or come back, which the edge must know at once."""

RECENT_S = 300.0
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class RecentLatency:
    """The P90 of the last five minutes' turns. ``now`` is seconds of one clock."""

    def __init__(self) -> None:
        self._batches: deque[tuple[float, tuple[float, ...]]] = deque()

    def add(self, turns: TurnFigures, now: float) -> None:
        """Turns that have just finished."""
        if turns.latencies_ms:
            self._batches.append((now, turns.latencies_ms))

    def p90_ms(self, now: float) -> float | None:
        """None when there was no turn."""
        while self._batches and now - self._batches[0][0] > RECENT_S:
            self._batches.popleft()
        return p90_ms([latency for _, batch in self._batches for latency in batch])


@dataclass(frozen=True, slots=True)
class HeartbeatSettings:
    """Where heartbeats go, who sends them and how they are signed."""

    edge_url: str
    region: str
    keys: TicketKeys
    every_s: float = 10.0

    @property
    def url(self) -> str:
        return f"{self.edge_url}/v1/regions/{quote(self.region, safe='')}/heartbeat"


class Heartbeat:
    """Sends a worker's heartbeats: regularly, and at once when a drain begins."""

    def __init__(
        self, settings: HeartbeatSettings, state: Callable[[], WorkerState], turns: TurnTally
    ) -> None:
        self._settings = settings
        self._state = state
        self._turns = turns
        self._recent = RecentLatency()
        self._instance = secrets.token_hex(8)
        self._wake = asyncio.Event()
        self._told_of_drain = False
        self._told_admitting = True
        self._failing = False

    def state_changed(self) -> None:
        """Look at the worker again, now: it may have begun to drain."""
        if self._state().draining and not self._told_of_drain:
            self._wake.set()

    async def run(self) -> None:
        """Send heartbeats until cancelled."""
        async with self._client(ANSWER_S) as client:
            while True:
                self._wake.clear()
                sent = await self._send(client)
                await self._until_due(self._settings.every_s if sent else COLD_S)

    async def _until_due(self, in_s: float) -> None:
        """Until the next is due, or there is something that the edge must know at once."""
        left_s = in_s
        while left_s > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left_s, LOOK_S)):
                    await self._wake.wait()
            left_s -= LOOK_S
            if self._wake.is_set() or (in_s > COLD_S and self._state().admitting != self._told_admitting):
                return

    async def farewell(self) -> None:
        """Tell the edge about a drain that ended before a heartbeat could say so."""
        if self._state().draining and not self._told_of_drain:
            async with self._client(FAREWELL_S) as client:
                await self._send(client)

    def _client(self, timeout_s: float) -> httpx.AsyncClient:
        near = urlsplit(self._settings.edge_url).hostname in LOOPBACK
        return httpx.AsyncClient(timeout=timeout_s, trust_env=not near)

    def _token(self, state: WorkerState) -> str:
        now = time.time()
        self._recent.add(self._turns.take(), now)
        return sign_heartbeat(
            self._settings.keys,
            region=self._settings.region,
            instance=self._instance,
            active=state.active,
            capacity=state.slots,
            draining=state.draining,
            p90_ms=self._recent.p90_ms(now),
            admitting=state.admitting,
            faults=[f"{fault.pool}: {fault.why} {fault.do}" for fault in state.faults],
            now=now,
        )

    async def _send(self, client: httpx.AsyncClient) -> bool:
        """Send one, if there is something to tell: a worker that is not warm yet is none that the edge counts on."""
        state = self._state()
        if not state.ready and not state.draining:
            return False
        # Before the request: one that fails is not repeated at once, or a dead edge would be asked in a tight loop.
        self._told_of_drain = state.draining
        self._told_admitting = state.admitting
        headers = {"Authorization": f"Bearer {self._token(state)}"}
        try:
            answer = await client.post(self._settings.url, headers=headers)
            fault = "" if answer.is_success else _told(answer)
        except httpx.HTTPError as error:
            fault = f"it cannot be reached: {str(error) or type(error).__name__}"
        if fault and not self._failing:
            log.warning("the edge does not take heartbeats: %s; sending on, without a line for each", fault)
        elif self._failing and not fault:
            log.info("the edge takes heartbeats again; sending on as before")
        self._failing = bool(fault)
        return True


def _told(answer: httpx.Response) -> str:
    """What to do about a refusal."""
    said = " ".join(answer.text.split())[:300]
    hints = {
        401: "is REPARTEE_TICKET_KEY the edge's own, and are both clocks right?",
        404: "REPARTEE_REGION is no region of the edge's table, or REPARTEE_EDGE_URL is not the edge",
        429: "too many come from this address: raise REPARTEE_HEARTBEAT_S",
    }
    return f"it answered {answer.status_code} ({hints.get(answer.status_code, 'see its log')}): {said}"
