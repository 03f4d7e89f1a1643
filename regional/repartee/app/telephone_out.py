"""The routes of outgoing calls: placing them, who must not be called, and what carriers report.

Whoever has an API key may place them; a carrier's report is checked like any webhook.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from repartee.app.answers import error
from repartee.app.carrier_control import end_call
from repartee.app.carriers.document_links import linked_document
from repartee.app.telephone_placing import CallPlacer, CallWish, NotPlaced
from repartee.app.worker import Worker
from repartee.errors import StoreError
from repartee.store.interfaces import Store
from repartee.store.opt_outs import opt_in, opt_out
from repartee.store.placed_calls import placed_call_ended
from repartee.wire import outside_json
from repartee_edge.telephone.documents import XML
from repartee_edge.telephone.signatures import BadSignature, Webhook, webhook_fields
from repartee_edge.telephone.terms import FIELD, verify_terms
from repartee_edge.tickets import Ticket, TicketError, TicketKeys

log = logging.getLogger(__name__)

MOST_BYTES = 16 * 1024
PLACING_S = 20.0


class OptOutWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /v1/telephone/opt-outs. ``again``: the number may be called again."""

    number: Annotated[str, Meta(pattern=r"^\+[1-9][0-9]{6,14}$")]
    again: bool = False
    why: Annotated[str, Meta(max_length=200)] = ""


_wishes: outside_json.Decoder[CallWish] = outside_json.Decoder(CallWish)
_opt_outs: outside_json.Decoder[OptOutWish] = outside_json.Decoder(OptOutWish)


def _worker(request: Request) -> Worker:
    worker: Worker = request.state.worker
    return worker


def _store(worker: Worker) -> Store | None:
    return worker.services.store


def _admitted(request: Request, worker: Worker) -> Ticket | Response:
    """The API key's ticket, or why not."""
    try:
        ticket = worker.gate.check(request.headers, [], time.time())
    except TicketError as refusal:
        worker.metrics.tickets_refused.labels(refusal.reason).inc()
        return error(401, f"ticket_{refusal.reason}", str(refusal))
    if ticket is None:
        return error(401, "invalid_api_key", "Calls are placed with an API key, through the edge.")
    if ":" in ticket.subject:
        return error(403, "not_for_browsers", "A browser's token places no calls: use an API key.")
    return ticket


async def place_call(request: Request) -> Response:
    """POST /v1/telephone/calls"""
    worker = _worker(request)
    ticket, store = _admitted(request, worker), _store(worker)
    if isinstance(ticket, Response):
        return ticket
    if store is None:
        return error(501, "not_configured", "This region has no store, which says who must not be called.")
    try:
        wish = _wishes.decode((await request.body())[:MOST_BYTES])
    except msgspec.DecodeError as fault:
        return error(400, "invalid_value", f"The call cannot be placed: {fault}.")
    try:
        # Not given up with its request: a call that was placed must be known.
        placing = asyncio.ensure_future(CallPlacer(worker.settings, store).place(wish, ticket.subject))
        placed = await asyncio.shield(placing)
    except NotPlaced as refusal:
        headers = {"Retry-After": str(refusal.retry_after_s)} if refusal.retry_after_s is not None else {}
        return error(refusal.status, refusal.code, str(refusal), headers)
    except StoreError as fault:
        return error(
            503, "store_failed", f"Who must not be called cannot be read: {fault}.", {"Retry-After": "5"}
        )
    return JSONResponse(placed.as_json(), status_code=201)


async def opt_outs(request: Request) -> Response:
    """POST /v1/telephone/opt-outs"""
    worker = _worker(request)
    ticket, store = _admitted(request, worker), _store(worker)
    if isinstance(ticket, Response):
        return ticket
    if store is None:
        return error(501, "not_configured", "This region has no store.")
    try:
        wish = _opt_outs.decode((await request.body())[:MOST_BYTES])
    except msgspec.DecodeError as fault:
        return error(400, "invalid_value", f"The list is not changed: {fault}.")
    try:
        if wish.again:
            await opt_in(store, wish.number)
        else:
            await opt_out(store, wish.number, wish.why, time.time())
    except StoreError as fault:
        return error(503, "store_failed", f"The list cannot be changed: {fault}.", {"Retry-After": "5"})
    return JSONResponse({"number": wish.number, "called": wish.again}, status_code=201)


async def call_ended(request: Request) -> Response:
    """POST /v1/telephone/<carrier>/placed: a call that was placed here is over."""
    told = await _told(request)
    if isinstance(told, Response):
        return told
    store = _store(_worker(request))
    if store is not None:
        try:
            await placed_call_ended(store, _placed_id(told), time.time())
        except StoreError as fault:
            log.warning("the end of a call was not kept: %s; asking the carrier to tell it again", fault)
            return error(503, "store_failed", "Tell it again.", {"Retry-After": "5"})
    return Response(status_code=204)


async def machine_answered(request: Request) -> Response:
    """POST /v1/telephone/<carrier>/machine: whether a person or a machine has answered."""
    told, worker = await _told(request), _worker(request)
    if isinstance(told, Response):
        return told
    keys = TicketKeys(worker.settings.ticket_key.get_secret_value())
    try:
        wish = verify_terms(keys, told.get(FIELD, ""), time.time()).metadata
    except TicketError as refusal:
        return error(403, "bad_signature", f"This webhook is refused: {refusal}.")
    answered_by, call_id = told.get("AnsweredBy", ""), told.get("CallSid") or told.get("CallUUID", "")
    if told.get("Machine", "").lower() == "true":  # as Plivo says it
        answered_by = "machine_start"
    if answered_by.startswith(("machine", "fax")):
        say = wish.get("message", "") if wish.get("on_machine") == "message" else ""
        line = worker.telephone_lines.get(call_id)
        if line is not None:
            line.part(say if answered_by.startswith("machine") else "")
        else:  # it is over, or another process of this region has it
            await end_call(worker.settings, str(request.path_params["carrier"]), call_id, say)
    return Response(status_code=204)


def _placed_id(told: Mapping[str, str]) -> str:
    """The id that the carrier gave the call when it was placed: Plivo's is the request's."""
    return told.get("CallSid") or told.get("RequestUUID") or told.get("ALegRequestUUID", "")


async def call_document(request: Request) -> Response:
    """POST /v1/telephone/<carrier>/document: what is to become of a call, as its address says."""
    told, worker = await _told(request), _worker(request)
    if isinstance(told, Response):
        return told
    keys = TicketKeys(worker.settings.ticket_key.get_secret_value())
    try:
        document = linked_document(keys, told.get(FIELD, ""), time.time())
    except TicketError as refusal:
        return error(403, "bad_signature", f"This webhook is refused: {refusal}.")
    return Response(document.text(str(request.path_params["carrier"])), media_type=XML)


async def _told(request: Request) -> dict[str, str] | Response:
    """What a carrier says, once it is certain that it does."""
    settings, body = _worker(request).settings, await request.body()
    query = f"?{request.url.query}" if request.url.query else ""
    webhook = Webhook(settings.public_url + request.url.path + query, request.headers, body, time.time())
    try:
        return webhook_fields(str(request.path_params["carrier"]), settings.carrier_keys(), webhook)
    except (BadSignature, KeyError) as refused:
        return error(403, "bad_signature", f"This webhook is refused: {refused}.")


ROUTES = [
    Route("/v1/telephone/calls", place_call, methods=["POST"]),
    Route("/v1/telephone/opt-outs", opt_outs, methods=["POST"]),
    Route("/v1/telephone/{carrier}/placed", call_ended, methods=["POST"]),
    Route("/v1/telephone/{carrier}/machine", machine_answered, methods=["POST"]),
    Route("/v1/telephone/{carrier}/document", call_document, methods=["POST"]),
]
