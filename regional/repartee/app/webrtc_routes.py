"""Calls by WebRTC over HTTP: OpenAI's `/v1/realtime/calls`, WHIP, and the side-band WebSocket of a call."""

import asyncio
import time
from contextlib import ExitStack
from typing import Any

from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.websockets import WebSocket

from repartee.app.answers import error
from repartee.app.telephone_controlling import hang_up_call, no_sip, refer_call, telephone_call
from repartee.app.turn_servers import turn_servers
from repartee.app.webrtc_body import BadOfferBody, read_offer
from repartee.app.webrtc_forwarding import forward_request, forward_socket
from repartee.app.worker import Worker
from repartee.errors import AdmissionRefused, TooManyCalls
from repartee.transport.webrtc.libraries import INSTALL
from repartee.transport.webrtc.names import read_call
from repartee.wire import own_events
from repartee_edge.tickets import Ticket, TicketError

CALLS = "/v1/realtime/calls"
WHIP = "/v1/realtime/whip"
ICE_SERVERS = "/v1/realtime/ice_servers"
MAX_OFFER_BYTES = 65_536
SIDE_BAND_MESSAGES = 1_000
"""So many events may wait for a side-band WebSocket that does not read; then it is closed."""

FORWARDED = "x-repartee-forwarded"
"""Set by a worker that passes a request on to the one that holds the call: it goes to no other worker from there."""


def _worker(connection: HTTPConnection) -> Worker:
    worker: Worker = connection.state.worker
    return worker


def _service(connection: HTTPConnection) -> Any:
    """The WebRtcService, or the sentence that says why there is none."""
    return connection.state.webrtc


async def begin(request: Request) -> Response:
    """POST /v1/realtime/calls: an offer in, 201 with the answer out. With ?call_id= a call is taken up again."""
    return await _begin(request, CALLS, data=True)


async def begin_whip(request: Request) -> Response:
    """POST /v1/realtime/whip (RFC 9725)."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/sdp":
        return error(415, "unsupported_media_type", "WHIP takes application/sdp.")
    answer = await _begin(request, WHIP, data=False)
    if answer.status_code == 201:
        for servers in await turn_servers(_worker(request).settings, "whip", time.time()):
            for link in servers.as_links():
                answer.headers.append("Link", link)
    return answer


async def _begin(request: Request, path: str, *, data: bool) -> Response:
    service = _service(request)
    if isinstance(service, str):
        return unavailable(service)
    known = request.query_params.get("call_id")
    if known and (passed := await _passed_on(request, known)):
        return passed
    worker, slot = _worker(request), ExitStack()
    try:
        with slot:
            if not known:
                slot.enter_context(worker.slots.one())
                worker.services.check(request.query_params.get("model", ""))
            ticket = worker.gate.check(request.headers, [], time.time())
            if ticket and not known:
                slot.enter_context(worker.subjects.one(ticket.subject, ticket.limit))
            if known:
                return await _resume(request, known, path)
            return await _answer(request, path, ticket, slot)
    except AdmissionRefused as refusal:
        worker.metrics.calls.labels("refused").inc()
        status, code = (429, "too_many_calls") if isinstance(refusal, TooManyCalls) else (503, "server_busy")
        return error(status, code, str(refusal), {"Retry-After": str(refusal.retry_after_s)})
    except TicketError as refusal:
        worker.metrics.tickets_refused.labels(refusal.reason).inc()
        return error(401, f"ticket_{refusal.reason}", str(refusal))


async def _answer(request: Request, path: str, ticket: Ticket | None, slot: ExitStack) -> Response:
    from repartee.app.webrtc_service import CallWishes  # the extra is there
    from repartee.transport.webrtc.peers import OfferRefused

    try:
        body = await _offer(request)
        model = request.query_params.get("model", "") or str((body.session or {}).get("model") or "")
        wishes = CallWishes(body.offer, model, body.session, own_events.asked_for(request.query_params, ()))
        kept = slot.pop_all()
        try:
            name, answer = _service(request).answer(wishes, ticket, kept)
        except BaseException:
            kept.close()
            raise
    except (BadOfferBody, OfferRefused) as refused:
        return error(400, "invalid_offer", str(refused))
    return _created(path, name, answer)


async def _resume(request: Request, name: str, path: str) -> Response:
    """A new offer to a held call: its restart after a change of network, or another connection of its caller."""
    from repartee.transport.webrtc.peers import OfferRefused

    held = _service(request).find(name)
    if held is None:
        return _no_call()
    try:
        answer = held.line.answer((await _offer(request)).offer)
    except (BadOfferBody, OfferRefused) as refused:
        return error(400, "invalid_offer", str(refused))
    return _created(path, name, answer)


async def _offer(request: Request) -> Any:
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_OFFER_BYTES:
            raise BadOfferBody(f"The offer is too long: {MAX_OFFER_BYTES} bytes are the most.")
    return read_offer(request.headers.get("content-type", ""), body)


def _created(path: str, name: str, answer: str) -> Response:
    headers = {"Location": f"{path}/{name}", "Access-Control-Expose-Headers": "Location"}
    return Response(answer, status_code=201, media_type="application/sdp", headers=headers)


async def hang_up(request: Request) -> Response:
    """POST …/calls/{call_id}/hangup, and WHIP's DELETE."""
    service, name = _service(request), request.path_params["name"]
    if line := telephone_call(request):
        return await hang_up_call(request, line)
    if isinstance(service, str):
        return unavailable(service)
    if passed := await _passed_on(request, name):
        return passed
    worker = _worker(request)
    try:
        worker.gate.check(request.headers, [], time.time())
    except TicketError as refusal:
        worker.metrics.tickets_refused.labels(refusal.reason).inc()
        return error(401, f"ticket_{refusal.reason}", str(refusal))
    held = service.find(name)
    if held is None:
        return _no_call()
    service.hang_up(held)
    return Response(status_code=200)


async def ice_servers(request: Request) -> Response:
    """GET /v1/realtime/ice_servers: an RTCConfiguration with the TURN servers that this caller may use."""
    service, worker, now = _service(request), _worker(request), time.time()
    if isinstance(service, str):
        return unavailable(service)
    try:
        ticket = worker.gate.read(request.headers, [], now)
    except TicketError as refusal:
        worker.metrics.tickets_refused.labels(refusal.reason).inc()
        return error(401, f"ticket_{refusal.reason}", str(refusal))
    found = await turn_servers(worker.settings, ticket.subject if ticket else "anonymous", now)
    body = {
        "iceServers": [servers.as_json() for servers in found],
        "expires_at": int(now) + worker.settings.turn_credentials_s,
    }
    return JSONResponse(body, headers={"Cache-Control": "no-store"})


async def no_patch(request: Request) -> Response:
    """WHIP's PATCH: a lite side needs no candidates, and an ICE restart is a POST with the call's id."""
    message = f"There is no PATCH here: candidates are not needed, and a restart is POST {CALLS}?call_id=…"
    return error(501, "not_implemented", message)


async def side_band(websocket: WebSocket) -> None:
    """A WebSocket on a call's events: gets what the caller's data channel gets, and may send events."""
    service, name = _service(websocket), websocket.query_params["call_id"]
    worker, offered = _worker(websocket), websocket.scope["subprotocols"]
    telephoned = worker.telephone_lines.get(name)
    if telephoned is None and isinstance(service, str):
        await websocket.send_denial_response(unavailable(service))
        return
    called = read_call(name)
    if called and not isinstance(service, str):
        holder = service.holder(called, forwarded=FORWARDED in websocket.headers)
        if holder:
            await forward_socket(websocket, holder, FORWARDED)
            return
    try:
        worker.gate.check(websocket.headers, offered, time.time())
    except TicketError as refusal:
        worker.metrics.tickets_refused.labels(refusal.reason).inc()
        await websocket.send_denial_response(error(401, f"ticket_{refusal.reason}", str(refusal)))
        return
    held = None if isinstance(service, str) else service.find(name)
    call = telephoned or (held.transport if held else None)
    if call is None:
        await websocket.send_denial_response(_no_call())
        return
    await websocket.accept("realtime" if "realtime" in offered else None)
    await _join(websocket, call)


async def _join(websocket: WebSocket, call: Any) -> None:
    waiting: asyncio.Queue[str | None] = asyncio.Queue(SIDE_BAND_MESSAGES)

    def take(text: str | None) -> None:
        try:
            waiting.put_nowait(text)
        except asyncio.QueueFull:
            reader.cancel()

    async def read() -> None:
        while (message := await websocket.receive())["type"] != "websocket.disconnect":
            call.take_from_listener(message.get("text") or "", take)

    reader = asyncio.ensure_future(read())
    leave = call.listen(take, lambda: take(None))
    writer = asyncio.ensure_future(_write(websocket, waiting))
    try:
        await asyncio.wait([reader, writer], return_when=asyncio.FIRST_COMPLETED)
    finally:
        leave()
        for task in (reader, writer):
            task.cancel()
        await asyncio.gather(reader, writer, return_exceptions=True)


async def _write(websocket: WebSocket, waiting: "asyncio.Queue[str | None]") -> None:
    while (text := await waiting.get()) is not None:
        await websocket.send_text(text)
    await websocket.close(1000, "the call is over")


async def _passed_on(request: Request, name: str) -> Response | None:
    """The answer of the worker or process that holds a call, if it is another one."""
    called = read_call(name)
    if called is None:
        return None
    holder = _service(request).holder(called, forwarded=FORWARDED in request.headers)
    return await forward_request(request, holder, FORWARDED) if holder else None


def unavailable(why: str) -> Response:
    """There is no WebRTC here."""
    missing = INSTALL in why
    return error(501 if missing else 503, "webrtc_not_installed" if missing else "webrtc_unavailable", why)


def _no_call() -> Response:
    return error(404, "call_not_found", "There is no such call here: it has ended, or its id is wrong.")


ROUTES = [
    Route(CALLS, begin, methods=["POST"]),
    Route(f"{CALLS}/{{name}}/hangup", hang_up, methods=["POST"]),
    *(Route(f"{CALLS}/{{name}}/{wish}", no_sip, methods=["POST"]) for wish in ("accept", "reject")),
    Route(f"{CALLS}/{{name}}/refer", refer_call, methods=["POST"]),
    Route(ICE_SERVERS, ice_servers, methods=["GET", "POST"]),
    Route(WHIP, begin_whip, methods=["POST"]),
    Route(f"{WHIP}/{{name}}", hang_up, methods=["DELETE"]),
    Route(f"{WHIP}/{{name}}", no_patch, methods=["PATCH"]),
]
