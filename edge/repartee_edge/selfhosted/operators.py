"""What operators ask of all regions at once: their figures, as one answer or as a stream, and the calls they keep.

Owns the asking. Must not know what the figures mean, nor who may ask: that is the router's.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from repartee_edge import bounded_json, tickets
from repartee_edge.credentials import Identity
from repartee_edge.regions import Region
from repartee_edge.replies import EdgeReply, error
from repartee_edge.request import FIGURES_PATH, FIGURES_STREAM_PATH, KEPT_CALLS_PATH, TICKET_HEADER
from repartee_edge.selfhosted.merged_figures import BY, LABELS, answer
from repartee_edge.settings import EdgeSettings

ANSWER_S = 3.0
STREAM_S = 22.0
"""A region ends its stream before."""

MOST_WATCHERS = 16
MOST_WAITING = 32
"""Events for one client; when it does not read them, the regions are not read either."""

MOST_CALLS = 200
PASSED_HEADERS = ("range", "accept")
ANSWER_HEADERS = ("content-type", "content-range", "accept-ranges", "cache-control", "content-disposition")

MOST_ANSWER_BYTES = 32 * 1024 * 1024
"""Of one region: its histograms by every label, or 200 calls, are far below."""

Ticket = Callable[[Region], str]
"""For an operator, to a region."""


class OperatorDesk:
    """Asks every enabled region. ``regions`` is what to ask with."""

    def __init__(self, settings: EdgeSettings, regions: httpx.AsyncClient) -> None:
        self._table = settings.table.enabled
        self._keys = settings.ticket_keys
        self._regions = regions
        self._watchers = 0

    async def answer(self, request: Request, identity: Identity) -> Response:
        """The answer to an operator."""
        path = request.url.path

        def ticket(region: Region) -> str:
            name = tickets.for_operators(region.name)
            return tickets.sign(self._keys, region=name, subject=identity.subject, now=time.time())

        if path == FIGURES_PATH:
            return await self._figures(request, ticket)
        if path == FIGURES_STREAM_PATH:
            return self._stream(request, ticket)
        if path == KEPT_CALLS_PATH:
            return await self._calls(request, ticket)
        return await self._call(request, ticket)

    async def _figures(self, request: Request, ticket: Ticket) -> Response:
        answers = await self._ask_all(FIGURES_PATH, {"form": "parts"}, ticket)
        by = [name for name in request.query_params.get("by", "").split(",") if name] or BY
        where = {name: value for name in LABELS if (value := request.query_params.get(name)) is not None}

        def merged() -> Any:
            return answer([part for one in answers for part in _read(one)["parts"]], by, where)

        try:
            return JSONResponse(await run_in_threadpool(merged))
        except KeyError as fault:
            return as_response(error(400, "invalid_value", str(fault.args[0])))

    async def _calls(self, request: Request, ticket: Ticket) -> Response:
        answers = await self._ask_all(KEPT_CALLS_PATH, dict(request.query_params), ticket)
        # Regions with one database keep the same calls.
        calls = {call["call_id"]: call for one in answers for call in _read(one)["calls"]}
        newest = sorted(calls.values(), key=lambda call: str(call["started_at"]), reverse=True)
        limit = request.query_params.get("limit", "50")
        return JSONResponse({"calls": newest[: int(limit) if limit.isdigit() else MOST_CALLS]})

    async def _call(self, request: Request, ticket: Ticket) -> Response:
        """A call, or what belongs to one, from the region that has it."""
        path = request.url.path
        headers = {name: request.headers[name] for name in PASSED_HEADERS if name in request.headers}
        found = await asyncio.gather(
            *(self._ask(region, path, dict(request.query_params), ticket, headers) for region in self._table)
        )
        for one in found:
            if one is not None and one.status_code < 300:
                kept = {name: one.headers[name] for name in ANSWER_HEADERS if name in one.headers}
                return Response(one.content, one.status_code, kept)
        return as_response(error(404, "call_not_found", "no region that answers keeps this"))

    async def _ask_all(self, path: str, query: dict[str, str], ticket: Ticket) -> list[httpx.Response]:
        found = await asyncio.gather(*(self._ask(region, path, query, ticket) for region in self._table))
        return [one for one in found if one is not None and one.status_code == 200]

    async def _ask(
        self,
        region: Region,
        path: str,
        query: dict[str, str],
        ticket: Ticket,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response | None:
        """What a region answers; None if it does not."""
        try:
            return await self._regions.get(
                region.origin + path,
                params=query,
                headers={**(headers or {}), TICKET_HEADER: ticket(region)},
                timeout=ANSWER_S,
            )
        except httpx.HTTPError:
            return None

    def _stream(self, request: Request, ticket: Ticket) -> Response:
        if self._watchers >= MOST_WATCHERS:
            why = "too many watch these figures: try again"
            return as_response(error(503, "server_busy", why, {"retry-after": "5"}))
        since = request.query_params.get("since", "0")
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(self._events(since, ticket), media_type="text/event-stream", headers=headers)

    async def _events(self, since: str, ticket: Ticket) -> AsyncIterator[bytes]:
        """All regions' events, as they come."""
        waiting: asyncio.Queue[bytes | None] = asyncio.Queue(MOST_WAITING)
        self._watchers += 1
        readers = [asyncio.create_task(self._read(one, since, ticket, waiting)) for one in self._table]
        try:
            left = len(readers)
            while left:
                event = await waiting.get()
                if event is None:
                    left -= 1
                else:
                    yield event
        finally:
            self._watchers -= 1
            for reader in readers:
                reader.cancel()
            await asyncio.gather(*readers, return_exceptions=True)

    async def _read(
        self, region: Region, since: str, ticket: Ticket, waiting: "asyncio.Queue[bytes | None]"
    ) -> None:
        headers = {TICKET_HEADER: ticket(region)}
        timeout = httpx.Timeout(ANSWER_S, read=ANSWER_S)
        try:
            async with AsyncExitStack() as stack:
                with contextlib.suppress(httpx.HTTPError, TimeoutError):
                    await stack.enter_async_context(asyncio.timeout(STREAM_S))
                    url = region.origin + FIGURES_STREAM_PATH
                    stream = self._regions.stream(
                        "GET", url, params={"since": since}, headers=headers, timeout=timeout
                    )
                    answer = await stack.enter_async_context(stream)
                    if answer.status_code == 200:
                        await _pass_on(answer, waiting)
                        return
            away = json.dumps({"region": region.name})
            await waiting.put(f"event: away\ndata: {away}\n\n".encode())
        finally:
            await waiting.put(None)


async def _pass_on(answer: httpx.Response, waiting: "asyncio.Queue[bytes | None]") -> None:
    """Whole events only: those of several regions must not mix."""
    held = bytearray()
    async for piece in answer.aiter_raw():
        held += piece
        *events, rest = held.split(b"\n\n")
        for event in events:
            await waiting.put(bytes(event) + b"\n\n")
        held = rest


def as_response(reply: EdgeReply) -> Response:
    """The edge's own answer."""
    return Response(reply.content(), reply.status, reply.all_headers())


def _read(answered: httpx.Response) -> Any:
    return bounded_json.read(answered.content, max_bytes=MOST_ANSWER_BYTES)
