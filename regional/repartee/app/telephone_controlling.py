"""OpenAI's paths for calls by SIP (`accept`, `reject`, `refer`, `hangup`), as far as a telephone call here has them.

When a carrier streams a call, its agent has already answered: the call can be transferred and hung up.
"""

import re
import time
from collections.abc import Callable
from typing import Annotated, Final

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from repartee.app.answers import error
from repartee.app.worker import Worker
from repartee.transport.telephone.line import TelephoneTransport
from repartee.wire import outside_json
from repartee_edge.tickets import TicketError

MOST_BYTES: Final = 4 * 1024
TARGET: Final = re.compile(r"tel:(\+?[0-9]{2,20})|(sips?:[^\s<>\"]{1,200})")


class ReferWish(msgspec.Struct, frozen=True):
    """The body of `refer`: ``tel:+15550123``, or a SIP address."""

    target_uri: Annotated[str, Meta(max_length=300)]


_wishes: outside_json.Decoder[ReferWish] = outside_json.Decoder(ReferWish)


async def no_sip(request: Request) -> Response:
    """POST …/calls/{call_id}/accept and reject, and refer of a call that is no telephone call here."""
    message = (
        "No calls come by SIP here: a carrier streams them to /v1/telephone/ (docs/telephone.md says how)."
    )
    return error(501, "sip_unavailable", message)


def telephone_call(request: Request) -> TelephoneTransport | None:
    """The telephone call that a path names by its carrier's id, if this process has it."""
    worker: Worker = request.state.worker
    return worker.telephone_lines.get(str(request.path_params["name"]))


async def hang_up_call(request: Request, line: TelephoneTransport) -> Response:
    """POST …/calls/{call_id}/hangup"""
    return _controlled(request, lambda: line.part(""))


async def refer_call(request: Request) -> Response:
    """POST …/calls/{call_id}/refer"""
    line = telephone_call(request)
    if line is None:
        return await no_sip(request)
    try:
        wish = _wishes.decode((await request.body())[:MOST_BYTES])
    except msgspec.DecodeError as fault:
        return error(400, "invalid_value", f"The call cannot be handed on: {fault}.")
    target = TARGET.fullmatch(wish.target_uri)
    if target is None:
        return error(400, "invalid_value", "target_uri must be as in tel:+15550123, or a SIP address.")
    return _controlled(request, lambda: line.refer(target[1] or target[2]))


def _controlled(request: Request, do: Callable[[], None]) -> Response:
    worker: Worker = request.state.worker
    try:
        worker.gate.check(request.headers, [], time.time())
    except TicketError as refusal:
        worker.metrics.tickets_refused.labels(refusal.reason).inc()
        return error(401, f"ticket_{refusal.reason}", str(refusal))
    do()
    return Response(status_code=200)
