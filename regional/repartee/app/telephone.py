"""The regions' side of telephone calls: a carrier's stream is checked, admitted, accepted, and becomes a call.

What comes before (webhooks, documents) is the edge's.
"""

import logging
import time
from collections.abc import Mapping
from contextlib import ExitStack

from starlette.websockets import WebSocket

from repartee.app.answers import error
from repartee.app.carrier_control import CarrierControl
from repartee.app.client_socket import shortcuts_of
from repartee.app.telephone_checkpoints import TelephoneCheckpoint
from repartee.app.worker import Connected, Worker, caller_of
from repartee.errors import AdmissionRefused, TooManyCalls
from repartee.transport.telephone.carriers import FRAMINGS
from repartee.transport.telephone.framing import Framing
from repartee.transport.telephone.line import TelephoneTransport, UnusableStream, opening
from repartee.transport.websocket import AsgiSocket, WebSocketLink
from repartee.wire.announcer import Announcer
from repartee.wire.own_events import OwnEvents
from repartee_edge.telephone.signatures import BadSignature, check_handshake
from repartee_edge.tickets import Ticket, TicketError, TicketForged

log = logging.getLogger(__name__)

STREAM_PATH = "/v1/telephone/{carrier}/stream/{ticket}"
UNUSABLE = 1003
"""How a stream is closed that no call can be held on (unsupported data)."""


async def stream(websocket: WebSocket) -> None:
    """A carrier's stream. Refusals come before the stream is accepted."""
    worker: Worker = websocket.state.worker
    carrier = str(websocket.path_params["carrier"])
    slot = ExitStack()
    try:
        slot.enter_context(worker.slots.one())
        with slot:
            worker.services.check("")
            ticket = admitted(worker, websocket, carrier)
            slot.enter_context(worker.subjects.one(ticket.subject, ticket.limit))
            await websocket.accept()
            await _hold(worker, websocket, FRAMINGS[carrier](), ticket, slot.pop_all())
    except AdmissionRefused as refusal:
        worker.metrics.calls.labels("refused").inc()
        full = not isinstance(refusal, TooManyCalls)
        status, code = (503, "server_busy") if full else (429, "too_many_calls")
        headers = {"Retry-After": str(refusal.retry_after_s)}
        await websocket.send_denial_response(error(status, code, str(refusal), headers))
    except BadSignature as refusal:
        worker.metrics.tickets_refused.labels("signature").inc()
        await websocket.send_denial_response(
            error(403, "bad_signature", f"The stream is refused: {refusal}.")
        )
    except TicketError as refusal:
        worker.metrics.tickets_refused.labels(refusal.reason).inc()
        await websocket.send_denial_response(error(401, f"ticket_{refusal.reason}", str(refusal)))


def admitted(worker: Worker, websocket: WebSocket, carrier: str) -> Ticket:
    """The ticket in the path, of a call of this carrier's. Raises BadSignature and TicketError."""
    settings = worker.settings
    if carrier not in FRAMINGS:
        raise BadSignature("there is no such carrier")
    public = settings.public_url.replace("http", "ws", 1)
    # The signature first: whoever cannot sign must not be able to use up a ticket.
    check_handshake(carrier, settings.carrier_keys(), public + websocket.url.path, websocket.headers)
    ticket = worker.gate.check({"x-repartee-ticket": str(websocket.path_params["ticket"])}, [], time.time())
    if ticket is None or ticket.metadata.get("carrier") != carrier:
        raise TicketForged("this ticket is for no call of this carrier's")
    return ticket


async def _hold(
    worker: Worker, websocket: WebSocket, framing: Framing, ticket: Ticket, slot: ExitStack
) -> None:
    """Wait for what the carrier says of its stream, then hold the call."""
    shortcuts = shortcuts_of(websocket.scope)
    link = WebSocketLink(AsgiSocket(websocket.receive, websocket.send, shortcuts.hand_over, shortcuts.push))
    with slot:
        try:
            started, format_ = await opening(link, framing, worker.settings.telephone_start_s)
        except UnusableStream as fault:
            log.warning("a stream of %s cannot be used: %s; closing it", framing.carrier, fault)
            await websocket.close(UNUSABLE, str(fault)[:120])
            return
        expected = ticket.metadata.get("carrier_call_id")
        if started.call_id and expected and started.call_id != expected:
            log.warning("a stream of %s is another call's than its ticket; closing it", framing.carrier)
            await websocket.close(UNUSABLE, "The stream is another call's than its ticket.")
            return

        named = started.call_id or str(expected or "")
        held: list[TelephoneTransport] = []

        def connect(call_id: str, providers: Mapping[str, str]) -> Connected:
            own_events = OwnEvents(call_id, worker.settings.region, providers)
            line = TelephoneTransport(link, framing, format_, Announcer(call_id, own_events))
            worker.telephone_lines[named] = line
            held.append(line)
            return line, CarrierControl(
                worker.settings, line, framing.carrier, named, str(ticket.metadata.get("called", ""))
            )

        checkpoint = checkpoint_for(worker, framing, ticket, named)
        earlier = await checkpoint.recall() if checkpoint and ticket.metadata.get("resumed") else ()
        writing = checkpoint.checkpointing(earlier) if checkpoint else None
        try:
            await worker.hold_telephone_call(ticket, slot.pop_all(), format_, connect, writing)
        finally:
            for line in held:
                # The call's next stream may be here before the one so far has ended.
                if worker.telephone_lines.get(named) is line:
                    del worker.telephone_lines[named]
                if checkpoint and line.over:
                    checkpoint.forget()


def checkpoint_for(
    worker: Worker, framing: Framing, ticket: Ticket, call_id: str
) -> TelephoneCheckpoint | None:
    """Where to keep the conversation; None: its carrier would never take the call elsewhere, or the settings keep
    nothing."""
    store, most_bytes = worker.services.store, worker.settings.telephone_checkpoint_bytes
    if store is None or not (framing.resumes and call_id and most_bytes):
        return None
    return TelephoneCheckpoint(store, f"{framing.carrier}:{call_id}", caller_of(ticket), most_bytes)
