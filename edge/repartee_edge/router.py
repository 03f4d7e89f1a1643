"""What the edge does with a request: a decision, which the shells (Worker and self-hosted) carry out.

Owns paths, authorisation, which regions are tried, and the edge's own answers. Pure but for ids
(``identifiers``): clocks are arguments, ``now`` in seconds since the epoch and ``tick`` in seconds on a monotonic
clock.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from repartee_edge import credentials, heartbeats, identifiers, origins, tickets
from repartee_edge import request as incoming
from repartee_edge.credentials import Identity, Unauthorised
from repartee_edge.failover import RegionFault
from repartee_edge.health import Breaker, RegionStatus, Report, effective
from repartee_edge.placement import Caller, Placement, Ranked, place
from repartee_edge.regions import Region
from repartee_edge.replies import (
    EdgeReply,
    cors_headers,
    error,
    no_call,
    not_allowed,
    not_for_browsers,
    preflight,
    upgrade_required,
)
from repartee_edge.request import BadBody, EdgeRequest
from repartee_edge.settings import EdgeSettings
from repartee_edge.telephone.names import OUT_PATHS
from repartee_edge.telephone.names import PREFIX as TELEPHONE_PREFIX

if TYPE_CHECKING:
    from repartee_edge.telephone.desk import TelephoneDesk
    from repartee_edge.telephone.outcomes import AskOutcome, KeepOutcome

SESSION_PATHS = ("/v1/voice/session", "/v1/realtime")
_SIP_PATH = re.compile(r"/v1/realtime/calls/[^/]{1,200}/(accept|reject|refer)")
"""What OpenAI has for calls by SIP."""

CALL_PATHS = (incoming.CALLS_PATH, incoming.WHIP_PATH)
SECRETS_PATH = "/v1/realtime/client_secrets"
REGIONS_PATH = "/v1/regions"
HEARTBEAT_SUFFIX = "/heartbeat"
DEFAULT_MODEL = "repartee"


@dataclass(frozen=True, slots=True)
class ProxySession:
    """Connect the WebSocket to the first of ``placement`` that takes it, with a ticket for that region each."""

    placement: Placement
    identity: Identity


@dataclass(frozen=True, slots=True)
class ProxyCall:
    """Pass this request of a WebRTC call on, with a ticket: to the first of ``placement`` that takes it, if it
    ``begins`` the call, else to the one region that holds it, whatever that answers. What comes before a call (its
    TURN servers) is any region's that can be reached."""

    placement: Placement
    identity: Identity
    begins: bool


@dataclass(frozen=True, slots=True)
class ProxyPage:
    """Fetch this path (GET or HEAD) from the first of ``placement`` that answers."""

    placement: Placement


@dataclass(frozen=True, slots=True)
class AskRegions:
    """Ask every region what an operator asks, with an operator's ticket."""

    identity: Identity


@dataclass(frozen=True, slots=True)
class StoreReport:
    """Keep a worker's report under ``instance`` and answer ``reply``."""

    instance: str
    report: Report
    reply: EdgeReply


Action: TypeAlias = (
    "EdgeReply | ProxySession | ProxyCall | ProxyPage | AskRegions | StoreReport | KeepOutcome | AskOutcome"
)


@dataclass(frozen=True, slots=True)
class Decision:
    """An action, and the names (``ip:…``, ``key:…``) that it is charged to by the rate limit before it is done."""

    action: Action
    charged: tuple[str, ...] = ()


class Router:
    """The edge's decisions for one table, with what this process or isolate has learnt about the regions.

    ``asks_regions``: the edge asks them by itself, so one that it knows nothing of is none it could send a call to.
    """

    def __init__(self, settings: EdgeSettings, *, asks_regions: bool = False) -> None:
        self.settings = settings
        self._asks_regions = asks_regions
        self.breaker = Breaker()
        self.statuses: Mapping[str, RegionStatus] = {}
        self._desk = self._new_desk()

    def decide(self, request: EdgeRequest, now: float, tick: float) -> Decision:
        """What to do with a request. Never raises on what a client can send."""
        decision = self._decide(request, now, tick)
        cors = cors_headers(request.origin, self.settings.allowed_origins)
        if cors and isinstance(decision.action, EdgeReply):
            return Decision(decision.action.with_headers(cors), decision.charged)
        return decision

    def _decide(self, request: EdgeRequest, now: float, tick: float) -> Decision:
        path, method = request.path, request.method
        if refusal := self._refusal(request):
            return Decision(refusal, _charged_ip(request))
        if path == "/healthz":
            return Decision(EdgeReply(200, {"status": "ok"}))
        if path == "/readyz":
            return Decision(self._ready(tick))
        if incoming.is_page(path) or (self._asks_regions and incoming.is_dashboard(path)):
            if method not in ("GET", "HEAD"):
                return Decision(not_allowed("GET, HEAD"))
            return Decision(ProxyPage(self._place(request, None, tick)), _charged_ip(request))
        named = incoming.named_call(path)
        answering_options = (
            *SESSION_PATHS,
            SECRETS_PATH,
            REGIONS_PATH,
            *CALL_PATHS,
            incoming.ICE_SERVERS_PATH,
        )
        if method == "OPTIONS" and (named or path in answering_options):
            return Decision(preflight(request.origin, self.settings.allowed_origins))
        if path in SESSION_PATHS and method == "GET" and not request.upgrade:
            return Decision(upgrade_required(path))
        if path.startswith(f"{REGIONS_PATH}/") and path.endswith(HEARTBEAT_SUFFIX):
            return self._heartbeat(request, now)
        if self._desk is not None and path.startswith(TELEPHONE_PREFIX) and path not in OUT_PATHS:
            action, known = self._desk.decide(request, now, tick)
            return Decision(action, ("key:telephone",) if known else _charged_ip(request))
        allowed = {
            REGIONS_PATH: "GET",
            SECRETS_PATH: "POST",
            SESSION_PATHS[0]: "GET, POST",
            SESSION_PATHS[1]: "GET",
            incoming.ICE_SERVERS_PATH: "GET, POST",
            **dict.fromkeys((*CALL_PATHS, *OUT_PATHS), "POST"),
            **({path: named[0]} if named else {}),
            **({path: "GET"} if self._asks_regions and incoming.is_operators(path) else {}),
        }
        if path not in allowed:
            return Decision(error(404, "not_found", f"there is nothing at {path[:200]}"))
        if method not in allowed[path].split(", "):
            return Decision(not_allowed(f"{allowed[path]}, OPTIONS"))
        return self._authorised(request, now, tick)

    def _refusal(self, request: EdgeRequest) -> EdgeReply | None:
        """The answer to a request that no region is asked about, whoever sends it."""
        if name := incoming.too_long(request.headers):
            most = incoming.MAX_HEADER_LINE_CHARS
            message = f"the header {name[:100]!r} is too long: a header may have {most} characters"
            return error(431, "header_too_long", message)
        if request.path in ("/healthz", "/readyz"):
            return None
        if request.method == "POST" and _SIP_PATH.fullmatch(request.path):
            message = "no calls come by SIP here: a carrier streams them to /v1/telephone/"
            return error(501, "sip_unavailable", message)
        return self.foreign(request.headers)

    def foreign(self, headers: Mapping[str, str]) -> EdgeReply | None:
        """The answer to a page or a name of elsewhere, where only this machine's own are served."""
        if not self.settings.own_machine_only:
            return None
        why = origins.refusal(headers.get("origin"), headers.get("host"), self.settings.allowed_origins)
        return None if why is None else error(403, "origin_refused", why)

    def _authorised(self, request: EdgeRequest, now: float, tick: float) -> Decision:
        try:
            identity = credentials.identify(
                request.headers, self.settings.api_keys, self.settings.ticket_keys, now
            )
        except Unauthorised as refused:
            reply = error(401, "invalid_api_key", str(refused), {"www-authenticate": "Bearer"})
            return Decision(reply, _charged_ip(request))
        charged = (*_charged_ip(request), f"key:{identity.subject}")
        try:
            if request.path == REGIONS_PATH:
                return Decision(self._regions(tick), charged)
            if incoming.is_operators(request.path):
                return Decision(_operators(identity), charged)
            if request.path == SECRETS_PATH:
                return Decision(self._client_secret(request, identity, now), charged)
            if request.path in OUT_PATHS:
                return self._placing(identity, tick, charged)
            placement = self._place(request, identity.subject, tick)
            if request.path == incoming.ICE_SERVERS_PATH:
                return Decision(ProxyCall(placement, identity, begins=False), charged)
            named = incoming.named_call(request.path)
            if (name := named[1] if named else request.call_name) is not None:
                placement = _holder(name, placement)
                if not placement.ranked:
                    return Decision(no_call(), charged)
            if named or request.path in CALL_PATHS:
                return Decision(ProxyCall(placement, identity, begins=name is None), charged)
            if request.method == "POST":
                return Decision(self._direct(request, identity, placement, now), charged)
        except (BadBody, tickets.TicketTooLong) as fault:
            reply = error(400, "invalid_value", str(fault))
            return Decision(reply, charged)
        return Decision(ProxySession(placement, identity), charged)

    def _placing(self, identity: Identity, tick: float, charged: tuple[str, ...]) -> Decision:
        """A telephone call is placed at the region nearest to where its carrier streams from."""
        if identity.by_client_secret:
            return Decision(not_for_browsers("places no calls"), charged)
        table = self.settings.telephone
        colo = (table.media.get("twilio") if table else None) or "IAD"
        return Decision(
            ProxyCall(self._place_caller(Caller(colo=colo), tick), identity, begins=False), charged
        )

    def ticket(
        self, region: Region, identity: Identity, now: float, metadata: Mapping[str, str] | None = None
    ) -> str:
        """A ticket that lets ``identity`` into ``region`` once."""
        return tickets.sign(
            self.settings.ticket_keys,
            region=region.name,
            subject=identity.caller,
            now=now,
            origin=identity.origin,
            metadata={**identity.metadata, **(metadata or {})},
            session=identity.session,
            limit=self.settings.calls_at_once(identity),
        )

    def no_region(
        self, placement: Placement, faults: tuple[RegionFault, ...], retry_after_s: int
    ) -> EdgeReply:
        """The answer when no region took the session: why, and when to come back."""
        why = [fault.words() for fault in faults] or ["no region may take this call"]
        if placement.excluded:
            why.append(placement.excluded)
        return error(
            503,
            "no_region_available",
            f"No region can take this call now: {'; '.join(why)}. Try again in {retry_after_s} s.",
            {"retry-after": str(retry_after_s)},
            regions=[
                {"region": f.region, "fault": f.kind, "status": f.status, "retry_after_s": f.retry_after_s}
                for f in faults
            ],
        )

    def _place(self, request: EdgeRequest, key: str | None, tick: float) -> Placement:
        return self._place_caller(request.caller, tick, key)

    def _new_desk(self) -> "TelephoneDesk | None":
        """What answers carriers, if any are to be answered."""
        settings = self.settings
        if settings.telephone is None:
            return None
        # Imported here because a Worker without telephone calls would pay for it at each cold start.
        from repartee_edge.telephone.desk import TelephoneDesk

        return TelephoneDesk(
            settings.telephone, settings.ticket_keys, self._place_caller, settings.calls_per_key
        )

    def _place_caller(self, caller: Caller, tick: float, key: str | None = None) -> Placement:
        names = [region.name for region in self.settings.table.enabled]
        statuses = effective(names, self.statuses, self.breaker, tick)
        return place(caller, self.settings.table, statuses, key=key)

    def _ready(self, tick: float) -> EdgeReply:
        """Ready is an edge that has a region to send a call to, be it full at the moment."""
        names = [region.name for region in self.settings.table.enabled if not region.draining]
        up = [
            name
            for name, status in effective(names, self.statuses, self.breaker, tick).items()
            if status.up and status.admitting and not status.draining
            if not self._asks_regions or status.reported_at is not None
        ]
        words = "ready" if up else "no region takes calls"
        return EdgeReply(200 if up else 503, {"status": words, "regions_up": up})

    def _regions(self, tick: float) -> EdgeReply:
        table = self.settings.table
        statuses = effective([region.name for region in table.enabled], self.statuses, self.breaker, tick)
        listed = [
            {
                "region": region.name,
                "aws_region": region.aws_region,
                "latitude": region.position.latitude,
                "longitude": region.position.longitude,
                "up": statuses[region.name].up,
                "draining": region.draining or statuses[region.name].draining,
                "admitting": statuses[region.name].admitting,
                "load": statuses[region.name].load,
                "p90_ms": statuses[region.name].p90_ms,
                "reported_at": statuses[region.name].reported_at,
            }
            for region in table.enabled
        ]
        return EdgeReply(200, {"regions": listed})

    def _client_secret(self, request: EdgeRequest, identity: Identity, now: float) -> EdgeReply:
        if identity.by_client_secret:
            return error(
                403, "forbidden", "a client secret can't make another: use the API key, on your server"
            )
        wishes = incoming.read_wishes(request.body)
        ttl_s = wishes.ttl_s or tickets.CLIENT_SECRET_TTL_S
        value = tickets.sign_client_secret(
            self.settings.ticket_keys,
            subject=identity.subject,
            now=now,
            ttl_s=ttl_s,
            origin=wishes.origin or request.origin,
            metadata=wishes.metadata,
            session=wishes.session,
        )
        shown: dict[str, Any] = {
            "type": "realtime",
            "object": "realtime.session",
            "id": identifiers.session_id(),
            "model": DEFAULT_MODEL,
            **(wishes.session or {}),
        }
        return EdgeReply(200, {"value": value, "expires_at": int(now) + ttl_s, "session": shown})

    def _direct(
        self, request: EdgeRequest, identity: Identity, placement: Placement, now: float
    ) -> EdgeReply:
        wishes = incoming.read_wishes(request.body)
        ranked = next(iter(placement.ranked), None)
        if ranked is None or ranked.tier > 0:
            faults = tuple(_as_fault(item) for item in placement.ranked)
            return self.no_region(placement, faults, 3)
        region = ranked.region
        return EdgeReply(
            200,
            {
                "url": f"{region.websocket_origin}{SESSION_PATHS[0]}",
                "token": self.ticket(region, identity, now, wishes.metadata),
                "region": region.name,
                "expires_at": int(now) + tickets.TICKET_TTL_S,
                "rtt_ms": round(ranked.rtt_ms, 1),
                "reason": ranked.reason,
            },
        )

    def _heartbeat(self, request: EdgeRequest, now: float) -> Decision:
        if request.method != "POST":
            return Decision(not_allowed("POST"))
        name = request.path.removeprefix(f"{REGIONS_PATH}/").removesuffix(HEARTBEAT_SUFFIX)
        region = self.settings.table.region(name)
        if region is None:
            return Decision(error(404, "not_found", "there is no such region"), _charged_ip(request))
        token = credentials.presented(request.headers) or ""
        try:
            instance, report = heartbeats.verify_heartbeat(
                self.settings.ticket_keys, token, region=region.name, now=now
            )
        except tickets.TicketError as refused:
            return Decision(error(401, "invalid_heartbeat", str(refused)), _charged_ip(request))
        return Decision(StoreReport(instance, report, EdgeReply(204)))


def _as_fault(ranked: Ranked) -> RegionFault:
    return RegionFault(ranked.region.name, ("unreachable", "full", "draining", "unreachable")[ranked.tier])


def _charged_ip(request: EdgeRequest) -> tuple[str, ...]:
    return (f"ip:{request.client_ip}",) if request.client_ip else ()


def _operators(identity: Identity) -> "EdgeReply | AskRegions":
    no = not_for_browsers("shows no figures and no calls")
    return no if identity.by_client_secret else AskRegions(identity)


def _holder(name: str, placement: Placement) -> Placement:
    """The region that holds a WebRTC call, alone."""
    region = incoming.region_in(name)
    return Placement(tuple(each for each in placement.ranked if each.region.name == region))
