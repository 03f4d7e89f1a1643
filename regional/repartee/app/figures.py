"""The routes of figures and of calls that are kept: for the dashboard, and for whoever reads JSON.

``GET /v1/figures`` is the region's at this moment, ``GET /v1/figures/stream`` its parts as they change (server-sent
events), ``GET /v1/calls`` what the store keeps. All are for operators. They need the dashboard's key, or a ticket
for operators from the edge, unless the worker serves anybody on this machine.
"""

import asyncio
import hmac
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from repartee.app.admission import ticket_in
from repartee.app.answers import error
from repartee.app.live_figures import LiveFigures
from repartee.app.processes.membership import Membership
from repartee.app.processes.siblings import ask_siblings
from repartee.app.worker import Worker
from repartee.errors import StoreError
from repartee.store.call_records import call_with, calls_between
from repartee.store.call_views import record_of, summary_of
from repartee.wire import outside_json
from repartee_edge.selfhosted.merged_figures import BY, LABELS, answer
from repartee_edge.tickets import TicketError, for_operators

EVERY_S = 1.0
"""How often a stream says what has changed."""

STREAM_S = 20.0
"""How long a stream lasts: a client asks for the next one, ``since`` where this one ended. Shorter than the answer of
any other request may take."""

OVERLAP_S = 2.0
MOST_WATCHERS = 16
MOST_CALLS = 200


class Watchers:
    """Streams that this process serves."""

    def __init__(self) -> None:
        self.count = 0


_watchers = Watchers()


def _worker(request: Request) -> Worker:
    worker: Worker = request.state.worker
    return worker


def refused_operator(request: Request) -> Response | None:
    """The answer to whoever is no operator; None to an operator."""
    worker = _worker(request)
    token = ticket_in(request.headers, []) or ""
    key = worker.settings.dashboard_key.get_secret_value()
    if key and hmac.compare_digest(token.encode(), key.encode()):
        return None
    gate = replace(worker.gate, region=for_operators(worker.settings.region))
    if gate.keys is None and gate.allow_anonymous:
        return None
    try:
        gate.check(request.headers, [], time.time())
    except TicketError as refusal:
        worker.metrics.tickets_refused.labels(refusal.reason).inc()
        why = "Send REPARTEE_DASHBOARD_KEY as a bearer token, or ask the edge with an API key."
        return error(401, "invalid_api_key", why, {"WWW-Authenticate": "Bearer"})
    return None


def _since(request: Request) -> float:
    """From when on figures are asked for (seconds since 1970). Raises ValueError."""
    return float(request.query_params.get("since") or 0.0)


async def _parts(request: Request, since: float) -> list[bytes]:
    """What each process of the region says."""
    live: LiveFigures = request.state.live
    membership: Membership | None = request.state.membership
    index = membership.index if membership else 0
    own = await live.part(_worker(request), index, since)
    return [own, *(await ask_siblings(index, membership.processes, since) if membership else [])]


async def figures(request: Request) -> Response:
    """Percentiles and counts of the region's last minute, hour and day."""
    if refused := refused_operator(request):
        return refused
    try:
        since = _since(request)
    except ValueError:
        return error(400, "invalid_value", "since is a time in seconds since 1970")
    parts = await _parts(request, since)
    if request.query_params.get("form") == "parts":
        return Response(b'{"parts":[' + b",".join(parts) + b"]}", media_type="application/json")
    by = [name for name in request.query_params.get("by", "").split(",") if name] or BY
    where = {name: value for name in LABELS if (value := request.query_params.get(name)) is not None}
    try:
        body = await run_in_threadpool(lambda: answer([outside_json.decode(one) for one in parts], by, where))
    except KeyError as fault:
        return error(400, "invalid_value", str(fault.args[0]))
    return JSONResponse(body)


async def figures_stream(request: Request) -> Response:
    """The region's parts, all at first and then what changes."""
    if refused := refused_operator(request):
        return refused
    if _watchers.count >= MOST_WATCHERS:
        return error(503, "server_busy", "Too many watch these figures: try again.", {"Retry-After": "5"})
    try:
        since = _since(request)
    except ValueError:
        return error(400, "invalid_value", "since is a time in seconds since 1970")
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_events(request, since), media_type="text/event-stream", headers=headers)


async def _events(request: Request, since: float) -> AsyncIterator[bytes]:
    # A client that does not read is not written for: each event waits for the one before to be taken.
    _watchers.count += 1
    try:
        until = time.monotonic() + STREAM_S
        while True:
            began = time.time()
            for part in await _parts(request, since):
                yield b"data: " + part + b"\n\n"
            since = began - OVERLAP_S
            if time.monotonic() + EVERY_S > until:
                return
            await asyncio.sleep(EVERY_S)
    finally:
        _watchers.count -= 1


async def kept_calls(request: Request) -> Response:
    """The latest calls of the store, the newest first; ``before`` a time, for those before."""
    if refused := refused_operator(request):
        return refused
    store = _worker(request).services.store
    if store is None:
        return JSONResponse({"calls": []})
    try:
        limit = min(max(int(request.query_params.get("limit") or 50), 1), MOST_CALLS)
        before = float(request.query_params["before"]) if "before" in request.query_params else None
    except ValueError:
        return error(400, "invalid_value", "limit is a whole number, before a time in seconds since 1970")
    try:
        rows = await calls_between(store, None, before, limit=limit)
    except StoreError as fault:
        return error(503, "store_unavailable", str(fault), {"Retry-After": "5"})
    return JSONResponse({"calls": [summary_of(row, time.time()) for row in rows]})


async def kept_call(request: Request) -> Response:
    """One call, with all that happened in it."""
    if refused := refused_operator(request):
        return refused
    store = _worker(request).services.store
    call_id: Any = request.path_params["call_id"]
    try:
        found = await call_with(store, call_id) if store else None
    except StoreError as fault:
        return error(503, "store_unavailable", str(fault), {"Retry-After": "5"})
    if found is None:
        return error(404, "call_not_found", "No such call is kept here.")
    return JSONResponse(record_of(*found, time.time()))


ROUTES = (
    Route("/v1/figures", figures),
    Route("/v1/figures/stream", figures_stream),
    Route("/v1/calls", kept_calls),
    Route("/v1/calls/{call_id}", kept_call),
)
