"""Asks every region again and again whether it takes calls: what a self-hosted edge knows of them before it dials.

Owns the pace of the questions and when a region that does not answer counts as down. Must not know of callers.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import NoReturn

import httpx

from repartee_edge.health import MAX_PROBE_BYTES, Report, report_of_probe
from repartee_edge.regions import Region

PROBE_TIMEOUT_S = 2.0
FAILURES_TO_BE_DOWN = 2
"""One question may be lost, on a busy machine or while a worker is replaced."""


class Probes:
    """The regions' latest answers at /readyz."""

    def __init__(self, regions: Iterable[Region], every_s: float, changed: Callable[[], None]) -> None:
        """``changed`` is called after each question."""
        self._regions = tuple(regions)
        self._every_s = every_s
        self._changed = changed
        self._reports: dict[str, Report] = {}
        self._failures: dict[str, int] = {}

    @property
    def reports(self) -> tuple[Report, ...]:
        """What the regions answered last; a region that never did is left out."""
        return tuple(self._reports.values())

    @property
    def down(self) -> frozenset[str]:
        """The regions that have not answered the last questions."""
        return frozenset(name for name, count in self._failures.items() if count >= FAILURES_TO_BE_DOWN)

    def heard_of(self, region: str) -> None:
        """A region has reported by itself, so it is not down."""
        self._failures.pop(region, None)

    async def run(self, known: asyncio.Event) -> NoReturn:
        """Ask until cancelled; ``known`` is set when every region has been asked once."""
        timeout = httpx.Timeout(PROBE_TIMEOUT_S)
        async with httpx.AsyncClient(timeout=timeout, follow_redirects=False, trust_env=False) as client:
            while True:
                await asyncio.gather(*(self._ask(client, region) for region in self._regions))
                known.set()
                await asyncio.sleep(self._every_s)

    async def _ask(self, client: httpx.AsyncClient, region: Region) -> None:
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                status, body = await _answer(client, f"{region.origin}/readyz")
            report = report_of_probe(region.name, status, body, time.time())
        except (httpx.HTTPError, TimeoutError):
            report = Report(region.name, time.time(), up=False)
        if report.up:
            self._failures.pop(region.name, None)
            self._reports[region.name] = report
        else:
            self._failures[region.name] = self._failures.get(region.name, 0) + 1
        self._changed()


async def _answer(client: httpx.AsyncClient, url: str) -> tuple[int, str]:
    """Status and body, of which no more is read than can count. On a connection of its own, as a caller's is."""
    body = bytearray()
    async with client.stream("GET", url, headers={"connection": "close"}) as answer:
        async for piece in answer.aiter_raw():
            body += piece
            if len(body) > MAX_PROBE_BYTES:
                break
    return answer.status_code, body.decode("utf-8", "replace")
