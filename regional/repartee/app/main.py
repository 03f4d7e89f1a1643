"""The regional worker as an ASGI application: its routes, and its start and end."""

import logging
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypedDict

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket

from repartee.app import figures, telephone_out, webrtc_routes
from repartee.app.admission import Slots
from repartee.app.answers import error
from repartee.app.background import one_worker, reporting, watching
from repartee.app.call_audio import route
from repartee.app.call_audio.recorder import Recorder
from repartee.app.call_audio.service import recordings
from repartee.app.call_summaries import summing_up
from repartee.app.carrier_control import what_calls_lack
from repartee.app.exporting import exporting
from repartee.app.keeping import Lessons, keeping
from repartee.app.live_figures import LiveFigures
from repartee.app.own_machine import OwnMachine
from repartee.app.processes.arrivals import Settling
from repartee.app.processes.membership import Membership
from repartee.app.processes.shared_metrics import whole_region
from repartee.app.processes.siblings import telling_siblings
from repartee.app.recording import recording
from repartee.app.services import Services
from repartee.app.subjects import Subjects
from repartee.app.telephone import STREAM_PATH, stream
from repartee.app.webrtc_serving import webrtc_serving
from repartee.app.worker import Worker, WorkerParts, WorkerState
from repartee.errors import AdmissionRefused, TooManyCalls
from repartee.telemetry.prometheus import Metrics
from repartee.telemetry.stream import Stream
from repartee.transport.realtime import turned_away
from repartee.wire import doorstep, own_events
from repartee_edge.tickets import TICKET_TTL_S, TicketError, sign

log = logging.getLogger(__name__)

PAGE = Path(__file__).parent / "page"
DASHBOARD = Path(__file__).parent / "dashboard"
SUBPROTOCOLS = ("realtime", own_events.SUBPROTOCOL)
"""What is accepted, the first of them that is offered: OpenAI's clients offer ``realtime`` beside their token."""


PAGE_HEADERS = {"Cache-Control": "no-cache"}
"""Asked for anew each time (mostly answered by 304), so that an update never meets an old module."""


class _PageFiles(StaticFiles):
    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers.update(PAGE_HEADERS)
        return response


class Lasting(TypedDict):
    """What lives as long as the application does."""

    worker: Worker
    membership: Membership | None
    live: LiveFigures
    webrtc: object
    """The WebRtcService, or why there is none."""


def create_app(parts: WorkerParts, membership: Membership | None = None) -> Starlette:
    """One worker. Its providers are warmed when the application starts.

    ``membership``: its place, where it is one of several processes. It then shares call slots and tickets with them,
    and its routes speak for all of them.
    """

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[Lasting]:
        first = membership is None or membership.is_first
        kept = keeping(parts.settings, parts.agent_name, expires=first)
        async with (
            kept as lessons,
            exporting(parts.settings, parts.settings.region) as stream,
            recording(parts.settings, lessons.store, stream, delivers=first),
            recordings(parts.settings, lessons.store, expires=first) as recorder,
            serving(app, lessons, stream, recorder) as state,
        ):
            yield state

    @asynccontextmanager
    async def serving(
        app: Starlette, lessons: Lessons, stream: Stream, recorder: Recorder | None
    ) -> AsyncIterator[Lasting]:
        services = Services(parts.settings, parts.agent, lessons)
        metrics = Metrics(services.names)
        stream.count(metrics)
        worker = Worker(parts, services, metrics, stream)
        worker.recorder = recorder
        live = LiveFigures(metrics.loop_lag.observe, parts.settings.price_table())
        live.watch(stream)
        if membership:
            worker.slots = Slots(parts.settings.max_calls, membership)
            worker.subjects = Subjects(membership)
            worker.gate = replace(worker.gate, seen=membership)
        app.state.worker, app.state.live = worker, live
        for lack in what_calls_lack(parts.settings):
            log.info("not all can be done that agents may ask for: %s; taking the calls all the same", lack)
        await services.start()
        try:
            async with (
                webrtc_serving(worker, parts, membership) as webrtc,
                _beside(worker, parts, membership),
                live.measuring(),
                summing_up(services, lessons.store, parts.settings, stream),
                _telling(live, worker, membership),
            ):
                yield {"worker": worker, "membership": membership, "webrtc": webrtc, "live": live}
        finally:
            await services.aclose()

    routes = [
        Route("/", page),
        Route("/page/agent.json", agent_offered),
        Mount("/page", _PageFiles(directory=PAGE)),
        Route("/dashboard", dashboard),
        Mount("/dashboard", _PageFiles(directory=DASHBOARD)),
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        Route("/metrics", metrics),
        WebSocketRoute("/v1/voice/session", session),
        WebSocketRoute("/v1/realtime", session),
        WebSocketRoute(STREAM_PATH, stream),
        Route("/v1/voice/session", direct_session, methods=["POST"]),
        Route("/v1/voice/session", upgrade_required),
        Route("/v1/realtime", upgrade_required),
        Route("/v1/realtime/client_secrets", client_secret, methods=["POST"]),
        *figures.ROUTES,
        *route.ROUTES,
        *telephone_out.ROUTES,
        *webrtc_routes.ROUTES,
    ]
    middleware = [Middleware(Settling)] if membership else []
    if parts.allow_anonymous or parts.loopback_only:
        middleware.append(Middleware(OwnMachine, parts.settings.origins()))
    app = Starlette(routes=routes, lifespan=lifespan, middleware=middleware)
    app.state.settings = parts.settings
    return app


@asynccontextmanager
async def _beside(worker: Worker, parts: WorkerParts, membership: Membership | None) -> AsyncIterator[None]:
    """What goes on beside the calls. Of several processes, the parent reports."""
    told = membership.publishing(worker) if membership else reporting(parts.settings, one_worker(worker))
    async with told, watching(worker, parts, announce=membership is None or membership.is_first):
        yield


@asynccontextmanager
async def _telling(live: LiveFigures, worker: Worker, membership: Membership | None) -> AsyncIterator[None]:
    """Of several processes, each tells the others its figures when they are asked for the region's."""
    if membership is None:
        yield
        return
    index = membership.index
    async with telling_siblings(index, lambda since: live.part(worker, index, since)):
        yield


def _worker(connection: HTTPConnection) -> Worker:
    worker: Worker = connection.state.worker
    return worker


def _state(connection: HTTPConnection) -> WorkerState:
    """Of this worker, or of all processes that it is one of."""
    membership: Membership | None = connection.state.membership
    own = _worker(connection).state()
    return replace(membership.state(), faults=own.faults) if membership else own


async def page(request: Request) -> Response:
    """The browser page."""
    return FileResponse(PAGE / "index.html", headers=PAGE_HEADERS)


async def agent_offered(request: Request) -> Response:
    """Who would answer a call from the page, and what the page may offer to say."""
    answering = _worker(request).answering()
    offered = {"name": answering.agent, "suggestions": list(answering.suggestions)}
    return JSONResponse(offered, headers=PAGE_HEADERS)


async def dashboard(request: Request) -> Response:
    """The dashboard's page; what it shows is asked for with a key."""
    return FileResponse(DASHBOARD / "index.html", headers=PAGE_HEADERS)


async def healthz(request: Request) -> Response:
    """The process is alive."""
    return PlainTextResponse("alive\n")


async def readyz(request: Request) -> Response:
    """Whether calls may be sent here; the body says whether one would be taken now, and what is wrong.

    Once the worker has been ready, no provider's fault changes the status: that would replace the worker, and lose
    the calls in it.
    """
    state = _state(request)
    body: dict[str, object] = {
        "ready": state.ready,
        "admitting": state.ready and state.admitting,
        "draining": state.draining,
        "faults": [fault.as_json() for fault in state.faults],
    }
    if state.ready:
        return JSONResponse(body)
    body["why"] = "draining" if state.draining else "the pools are not warm yet"
    return JSONResponse(body, status_code=503, headers={"Retry-After": "1"})


async def metrics(request: Request) -> Response:
    """Prometheus metrics."""
    if request.state.membership:
        body = await run_in_threadpool(whole_region)
    else:
        body = generate_latest(_worker(request).metrics.registry)
    return Response(body, media_type=CONTENT_TYPE_LATEST)


async def session(websocket: WebSocket) -> None:
    """A call: admitted before it is accepted, so that a refused caller can go elsewhere at once."""
    if "call_id" in websocket.query_params:
        await webrtc_routes.side_band(websocket)
        return
    worker = _worker(websocket)
    offered = websocket.scope["subprotocols"]
    slot = ExitStack()
    try:
        slot.enter_context(worker.slots.one())
        with slot:
            worker.services.check(websocket.query_params.get("model", ""))
            ticket = worker.gate.check(websocket.headers, offered, time.time())
            if ticket:
                slot.enter_context(worker.subjects.one(ticket.subject, ticket.limit))
            await websocket.accept(next((one for one in SUBPROTOCOLS if one in offered), None))
            fault = doorstep.refusal(websocket.query_params, websocket.headers, offered)
            if fault is not None:
                slot.close()
                await turned_away(websocket, fault)
                return
            await worker.hold_call(websocket, ticket, slot.pop_all())
    except AdmissionRefused as refusal:
        worker.metrics.calls.labels("refused").inc()
        headers = {"Retry-After": str(refusal.retry_after_s)}
        is_callers = isinstance(refusal, TooManyCalls)
        status, code = (429, "too_many_calls") if is_callers else (503, "server_busy")
        await websocket.send_denial_response(error(status, code, str(refusal), headers))
    except TicketError as refusal:
        worker.metrics.tickets_refused.labels(refusal.reason).inc()
        await websocket.send_denial_response(error(401, f"ticket_{refusal.reason}", str(refusal)))


async def direct_session(request: Request) -> Response:
    """Where and with what token to open a session. A region answers this only for anonymous sessions."""
    return _anonymous_token(request, key="token")


async def client_secret(request: Request) -> Response:
    """A token for a browser. A region gives one only for anonymous sessions; otherwise the edge does."""
    return _anonymous_token(request, key="value")


async def upgrade_required(request: Request) -> Response:
    """A plain GET on the session's path."""
    return error(426, "upgrade_required", "Open a WebSocket here.", {"Upgrade": "websocket"})


def _anonymous_token(request: Request, *, key: str) -> Response:
    worker = _worker(request)
    gate = worker.gate
    if not gate.allow_anonymous:
        return error(401, "no_tickets_here", "Ask the edge: a region gives no tickets.")
    now = time.time()
    token = sign(gate.keys, region=gate.region, subject="anonymous", now=now) if gate.keys else "anonymous"
    url = str(request.url.replace(scheme="ws", path="/v1/voice/session", query=""))
    return JSONResponse(
        {key: token, "url": url, "region": gate.region, "expires_at": int(now) + TICKET_TTL_S}
    )
