"""What the edge answers a carrier: where a call's stream goes, and what follows it. Pure.

Every answer to a call's webhook is kept for a while, so that a carrier that asks again hears the same; and the id of
a ticket follows from the call, so that even two answers that differ let one stream in.
"""

import base64
import hashlib
import hmac
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from repartee_edge import tickets
from repartee_edge.credentials import presented
from repartee_edge.placement import FULL, Caller, Placement, Ranked
from repartee_edge.replies import EdgeReply, error
from repartee_edge.request import EdgeRequest
from repartee_edge.telephone import documents
from repartee_edge.telephone.names import PREFIX
from repartee_edge.telephone.outcomes import AskOutcome, KeepOutcome, LineOutcome, verify_outcome
from repartee_edge.telephone.settings import NumberEntry, TelephoneTable
from repartee_edge.telephone.signatures import BadSignature, Webhook, stream_token, webhook_fields
from repartee_edge.telephone.terms import FIELD, CallTerms, verify_terms
from repartee_edge.tickets import TicketKeys

MAX_HOPS: Final = 3
"""So many streams may follow a call's first; then the caller hears that nobody can take the call."""

KEPT_ANSWERS: Final = 4096
KEPT_S: Final = 600.0
PASSED_ON: Final = ("CallerName", "ForwardedFrom", "FromCountry", "StirVerstat")
"""What else a webhook says of the caller that the agent may know as verified, beside SIP headers of one's own."""

MAX_PASSED: Final = 10
MAX_PASSED_CHARS: Final = 120
OVER: Final = ("completed", "busy", "failed", "no-answer", "canceled", "hangup")
_PATH = re.compile(r"/v1/telephone/([a-z]+)/(incoming|status|outcome|next)(?:/(\d)/([a-z0-9-]+)/([\w-]+))?")

Place = Callable[[Caller, float], Placement]


TelephoneAction = EdgeReply | KeepOutcome | AskOutcome


@dataclass(frozen=True, slots=True)
class _CarriersCall:
    carrier: str
    call_id: str
    caller: str
    called: str
    entry: NumberEntry
    fields: Mapping[str, str]
    terms: CallTerms | None = None
    """Of a call that a region has placed."""


class TelephoneDesk:
    """The edge's telephone calls. ``limit`` is how many may be under way at once, of all carriers'."""

    def __init__(self, table: TelephoneTable, keys: TicketKeys, place: Place, limit: int) -> None:
        self._table = table
        self._keys = keys
        self._place = place
        self._limit = limit
        self._answers: OrderedDict[tuple[str, str, str], tuple[float, EdgeReply]] = OrderedDict()

    def decide(self, request: EdgeRequest, now: float, tick: float) -> tuple[TelephoneAction, bool]:
        """What to do with a request for a path under PREFIX, and whether it is the carrier's or a region's."""
        found = _PATH.fullmatch(request.path)
        if found is None or (found[2] == "next") != (found[3] is not None):
            return error(404, "not_found", f"there is nothing at {request.path[:200]}"), False
        carrier, kind = found[1], found[2]
        if request.method != "POST" and (carrier, kind, request.method) != ("exotel", "incoming", "GET"):
            return error(405, "method_not_allowed", "use POST here", {"allow": "POST"}), False
        if kind == "outcome":
            return self._outcome(carrier, request, now)
        query = f"?{request.query}" if request.query else ""
        webhook = Webhook(self._table.public_url + request.path + query, request.headers, request.body, now)
        try:
            fields = webhook_fields(carrier, self._table.keys, webhook)
            call = self._call(carrier, fields, now)
        except (BadSignature, tickets.TicketError) as refused:
            return error(403, "bad_signature", f"This webhook is refused: {refused}."), False
        if kind == "status":
            return self._status(call), True
        if kind == "next":
            return self._next(call, (int(found[3]), found[4], found[5]), request, now, tick)
        return self._once(call, request.path, now, lambda: self._incoming(call, request, now, tick)), True

    # --- a call --------------------------------------------------------------------------------------------------

    def _call(self, carrier: str, fields: Mapping[str, str], now: float) -> _CarriersCall:
        call_id = _first(fields, "CallSid", "CallUUID", "uuid")
        caller, called = _first(fields, "From", "CallFrom", "from"), _first(fields, "To", "CallTo", "to")
        if not call_id:
            raise BadSignature("it names no call")
        if _first(fields, "Direction", "direction").startswith("outbound"):
            caller, called = called, caller
        entry = self._table.entry(called) or NumberEntry(agent="", media="-")
        terms = verify_terms(self._keys, fields[FIELD], now) if fields.get(FIELD) else None
        if terms is not None:
            entry = NumberEntry(agent=terms.agent or entry.agent)
        return _CarriersCall(carrier, call_id, caller, called, entry, fields, terms)

    def _incoming(self, call: _CarriersCall, request: EdgeRequest, now: float, tick: float) -> EdgeReply:
        if call.entry.media == "-":
            return documents.reject(call.carrier)
        if _is_over(call):
            return documents.hang_up(call.carrier)
        return self._connect(call, 0, "", request, now, tick)

    def _next(
        self, call: _CarriersCall, at: tuple[int, str, str], request: EdgeRequest, now: float, tick: float
    ) -> tuple[TelephoneAction, bool]:
        hop, region, mac = at
        if not hmac.compare_digest(mac.encode(), self._next_mac(call, hop, region).encode()):
            return error(403, "bad_signature", "This webhook is refused: it is for another call."), False

        def answer(outcome: LineOutcome | None) -> EdgeReply:
            return self._once(call, request.path, now, lambda: follow(outcome))

        def follow(outcome: LineOutcome | None) -> EdgeReply:
            if outcome is not None and outcome.next == "transfer":
                return documents.dial(call.carrier, outcome.to)
            if outcome is not None or _is_over(call):
                return documents.hang_up(call.carrier)
            if hop >= MAX_HOPS:
                return documents.say_and_hang_up(call.carrier, self._table.busy)
            return self._connect(call, hop + 1, region, request, now, tick)

        return AskOutcome(outcome_name(call.carrier, call.call_id), answer), True

    def _connect(
        self, call: _CarriersCall, hop: int, avoided: str, request: EdgeRequest, now: float, tick: float
    ) -> EdgeReply:
        home = request.headers.get("x-home-region", "")
        colo = self._table.media_colo(call.carrier, call.entry, home)
        near = Caller(colo=colo) if colo else replace(request.caller, direct=True)
        ranked = _other_than(avoided, self._place(near, tick).ranked, call.terms.region if call.terms else "")
        if ranked is None:
            return documents.say_and_hang_up(call.carrier, self._table.busy)
        region = ranked.region
        url = f"{region.websocket_origin}{PREFIX}{call.carrier}/stream/{self._ticket(call, region.name, hop, now)}"
        base = f"{self._table.public_url}{PREFIX}{call.carrier}"
        secret = self._table.keys.secret(call.carrier)
        terms = f"?{FIELD}={call.fields[FIELD]}" if call.terms else ""
        place = documents.StreamPlace(
            url,
            f"{base}/next/{hop}/{region.name}/{self._next_mac(call, hop, region.name)}{terms}",
            f"{base}/status",
            call.call_id,
            stream_token(secret, url),
            secret if call.carrier == "exotel" else "",
        )
        return documents.connect(call.carrier, place)

    def _ticket(self, call: _CarriersCall, region: str, hop: int, now: float) -> str:
        metadata = {
            **(call.terms.metadata if call.terms else {}),
            "phone": call.caller[:64],
            "called": call.called[:64],
            "carrier": call.carrier,
            # Exotel takes addresses of 600 characters, and its call is in no follow-up.
            **({"carrier_call_id": call.call_id[:128]} if call.carrier != "exotel" else {}),
            **({"agent": call.entry.agent} if call.entry.agent else {}),
            **({"resumed": str(hop)} if hop else {}),
            **({"direction": "outbound"} if call.terms else {}),
        }
        wanted = [n for n in sorted(call.fields) if n in PASSED_ON or n.startswith("SipHeader_X-")]
        if call.carrier != "exotel":
            metadata |= {name: call.fields[name][:MAX_PASSED_CHARS] for name in wanted[:MAX_PASSED]}
        return tickets.sign(
            self._keys,
            region=region,
            subject="telephone",
            now=now,
            metadata=metadata,
            limit=self._limit,
            jti=self._mac(f"ticket:{call.carrier}:{call.call_id}:{hop}"),
        )

    def _next_mac(self, call: _CarriersCall, hop: int, region: str) -> str:
        return self._mac(f"next:{call.carrier}:{call.call_id}:{hop}:{region}")

    def _mac(self, words: str) -> str:
        digest = hmac.new(self._keys.current.encode(), words.encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest[:18]).decode()

    # --- what is known of calls ----------------------------------------------------------------------------------

    def _once(self, call: _CarriersCall, path: str, now: float, make: Callable[[], EdgeReply]) -> EdgeReply:
        key = (call.carrier, call.call_id, path)
        kept = self._answers.get(key)
        if kept is not None and now - kept[0] < KEPT_S:
            return kept[1]
        answer = make()
        self._answers[key] = (now, answer)
        while len(self._answers) > KEPT_ANSWERS:
            self._answers.popitem(last=False)
        return answer

    def _status(self, call: _CarriersCall) -> TelephoneAction:
        if _is_over(call) and not call.fields.get("StreamEvent"):
            name = outcome_name(call.carrier, call.call_id)
            return KeepOutcome(name, LineOutcome("hang_up"), EdgeReply(204))
        return EdgeReply(204)

    def _outcome(self, carrier: str, request: EdgeRequest, now: float) -> tuple[TelephoneAction, bool]:
        try:
            call_id, outcome = verify_outcome(
                self._keys, presented(request.headers) or "", carrier=carrier, now=now
            )
        except tickets.TicketError as refused:
            return error(401, "invalid_outcome", str(refused)), False
        return KeepOutcome(outcome_name(carrier, call_id), outcome, EdgeReply(204)), True


def outcome_name(carrier: str, call_id: str) -> str:
    """What a call's outcome is kept under."""
    return f"{carrier}:{hashlib.sha256(call_id.encode()).hexdigest()[:32]}"


def _is_over(call: _CarriersCall) -> bool:
    return _first(call.fields, "CallStatus", "status").lower() in OVER


def _first(fields: Mapping[str, str], *names: str) -> str:
    return next((fields[name] for name in names if fields.get(name)), "")


def _other_than(avoided: str, ranked: tuple[Ranked, ...], wanted: str = "") -> Ranked | None:
    """The best region that may take a call: ``wanted`` if it can, and not ``avoided`` if there is another."""
    usable = [item for item in ranked if item.tier < FULL] or [item for item in ranked if item.tier == FULL]
    others = [item for item in usable if item.region.name != avoided]
    placing = [item for item in others if item.region.name == wanted]
    return next(iter(placing or others or usable), None)
