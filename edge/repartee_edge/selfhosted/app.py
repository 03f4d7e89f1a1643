"""The self-hosted edge: the router's decisions carried out on Starlette.

``create_app`` makes the ASGI app; serve it with ``repartee_edge.selfhosted.server``, whose WebSocket protocol passes
frames through. Must not decide anything: that is the router's.
"""

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from repartee_edge.connecting import CallerAtFault, DialFailed, NoRegion, RegionConnector
from repartee_edge.failover import Attempt, FailoverPolicy, RegionFault, is_callers
from repartee_edge.health import UNKNOWN, Breaker, Report, summarise
from repartee_edge.placement import Placement, Ranked
from repartee_edge.ratelimit import RateLimiter
from repartee_edge.replies import EdgeReply, cors_headers, error, too_many_requests
from repartee_edge.request import TICKET_HEADER, EdgeRequest, forwarded, most_body_bytes
from repartee_edge.router import (
    Action,
    AskRegions,
    ProxyCall,
    ProxyPage,
    ProxySession,
    Router,
    StoreReport,
)
from repartee_edge.selfhosted.bridge import Bridge
from repartee_edge.selfhosted.clients import Locator, client_address
from repartee_edge.selfhosted.metrics import EdgeMetrics
from repartee_edge.selfhosted.operators import OperatorDesk, as_response
from repartee_edge.selfhosted.probes import Probes
from repartee_edge.selfhosted.telephone import KeptOutcomes
from repartee_edge.selfhosted.tunnel import Tunnel, tunnel_of
from repartee_edge.selfhosted.upstream import Dialler, Refusal, Upstream
from repartee_edge.settings import EdgeSettings
from repartee_edge.telephone.names import PREFIX as TELEPHONE_PREFIX
from repartee_edge.telephone.outcomes import AskOutcome, KeepOutcome

MAX_REPORTS = 4096
SUMMARY_S = 5.0
PAGE_TIMEOUT_S = 5.0
# A file of the page can wait, as a caller cannot; and a slow one says nothing about a region's calls.
PAGE_POLICY = FailoverPolicy(attempt_ms=5_000, attempt_longest_ms=5_000, hedge_ms=1_500, total_ms=12_000)
PAGE_REQUEST_HEADERS = (
    "accept",
    "accept-language",
    "if-none-match",
    "if-modified-since",
    "range",
    "user-agent",
)
PAGE_ANSWER_HEADERS = (
    "content-type",
    "cache-control",
    "etag",
    "last-modified",
    "content-security-policy",
    "permissions-policy",
    "referrer-policy",
    "x-content-type-options",
)
CALL_ANSWER_HEADERS = ("cache-control", "content-type", "link", "location", "retry-after")
logger = logging.getLogger(__name__)


class Edge:
    """One edge process: the router, the connections it opens, and what the regions reported."""

    def __init__(self, settings: EdgeSettings, locator: Locator) -> None:
        self._settings = settings
        self._locator = locator
        self._router = Router(settings, asks_regions=True)
        self._probes = Probes(
            settings.table.enabled, settings.probe_s, lambda: self._summarise(time.monotonic())
        )
        self._limiter = RateLimiter({"key": settings.rate_per_key, "ip": settings.rate_per_ip})
        self._dialler = Dialler()
        self._reports: dict[str, Report] = {}
        self._summarised_at = 0.0
        self._metrics = EdgeMetrics()
        self._page_breaker = Breaker()
        self._under_way: Counter[str] = Counter()
        self._outcomes = KeptOutcomes()
        self._pages: httpx.AsyncClient | None = None
        self._operators: OperatorDesk | None = None

    @contextlib.asynccontextmanager
    async def lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        """Opens what the edge holds open while it serves, and asks the regions once before it does."""
        async with (
            self._asking(),
            httpx.AsyncClient(timeout=PAGE_TIMEOUT_S, follow_redirects=False, trust_env=False) as pages,
        ):
            self._pages = pages
            self._operators = OperatorDesk(self._settings, pages)
            yield
        self._locator.close()

    @contextlib.asynccontextmanager
    async def _asking(self) -> AsyncIterator[None]:
        known = asyncio.Event()
        asking = asyncio.create_task(self._probes.run(known))
        waiting = asyncio.create_task(known.wait())
        try:
            await asyncio.wait((asking, waiting), return_when=asyncio.FIRST_COMPLETED)
            yield
        finally:
            waiting.cancel()
            asking.cancel()
            await asyncio.gather(asking, waiting, return_exceptions=True)

    async def http(self, request: Request) -> Response:
        """Every request that is not a WebSocket handshake."""
        if request.url.path == "/metrics" and request.method == "GET":
            if refused := self._router.foreign(request.headers):
                return as_response(refused)
            return Response(self._metrics.exposition(), media_type=self._metrics.content_type)
        body = await _body(request) if request.method in ("POST", "PATCH") else b""
        incoming = self._incoming(request, request.method, body)
        decision = self._decide(incoming)
        if isinstance(decision, ProxyPage):
            return await self._page(decision.placement, request)
        if isinstance(decision, ProxyCall):
            return await self._call(decision, request, body)
        if isinstance(decision, AskRegions):
            assert self._operators is not None
            return await self._operators.answer(request, decision.identity)
        if isinstance(decision, StoreReport):
            self._store(decision)
            return as_response(decision.reply)
        if isinstance(decision, KeepOutcome | AskOutcome):
            decision = self._outcomes.carry_out(decision, time.monotonic())
        assert isinstance(decision, EdgeReply)
        if incoming.path.startswith(TELEPHONE_PREFIX):
            self._metrics.telephone(incoming.path, decision.status)
        return as_response(decision)

    async def websocket(self, websocket: WebSocket) -> None:
        """Every WebSocket handshake: denied with the router's answer, or joined to a region."""
        tunnel = tunnel_of(websocket)
        await websocket.receive()
        decision = self._decide(self._incoming(websocket, "GET", b""))
        if not isinstance(decision, ProxySession):
            reply = decision if isinstance(decision, EdgeReply) else EdgeReply(404)
            await websocket.send_denial_response(as_response(reply))
            return
        calls, most = decision.identity.caller, self._settings.calls_at_once(decision.identity)
        if self._under_way[calls] >= most:
            await websocket.send_denial_response(as_response(_too_many_calls(most)))
            return
        self._under_way[calls] += 1
        try:
            await self._hold(websocket, tunnel, decision)
        finally:
            self._under_way[calls] -= 1
            if not self._under_way[calls]:
                del self._under_way[calls]

    async def _hold(self, websocket: WebSocket, tunnel: Tunnel | Bridge, decision: ProxySession) -> None:
        """Connect the call to a region, and carry it to its end."""
        started = time.perf_counter()
        try:
            ranked, upstream, faults = await self._connect(websocket, tunnel, decision)
        except NoRegion as refused:
            self._metrics.refused(refused.faults)
            reply = self._router.no_region(decision.placement, refused.faults, refused.retry_after_s)
            await websocket.send_denial_response(as_response(reply))
            return
        except CallerAtFault as refused:
            answer: Refusal = refused.answer
            denial = Response(answer.body, answer.status, {"content-type": answer.content_type})
            await websocket.send_denial_response(denial)
            return
        name = ranked.region.name
        with self._metrics.session(name, faults, time.perf_counter() - started):
            await tunnel.join(upstream, name)

    async def _connect(
        self, websocket: WebSocket, tunnel: Tunnel | Bridge, decision: ProxySession
    ) -> tuple[Ranked, Upstream, tuple[RegionFault, ...]]:
        headers = forwarded(
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in websocket.headers.raw
            if tunnel.passes_on(name)
        )
        query = websocket.scope["query_string"].decode("latin-1")
        # The path as the router read it: in another spelling, what stands before a region might not know it.
        target = websocket.scope["path"] + (f"?{query}" if query else "")

        async def dial(attempt: Attempt) -> Upstream:
            ticket = self._router.ticket(attempt.ranked.region, decision.identity, time.time())
            return await self._dialler.dial(
                attempt.ranked.region, target, [*headers, (TICKET_HEADER, ticket)]
            )

        connector = RegionConnector(dial, Upstream.discard, self._router.breaker, self._settings.failover)
        return await connector.connect(decision.placement.ranked)

    async def _call(self, decision: ProxyCall, request: Request, body: bytes) -> Response:
        """A request of a WebRTC call. Its media goes to the region directly."""
        assert self._pages is not None
        regions, query = self._pages, request.url.query
        target = request.url.path + (f"?{query}" if query else "")
        kind = request.headers.get("content-type")

        async def ask(attempt: Attempt) -> httpx.Response:
            region = attempt.ranked.region
            headers = {TICKET_HEADER: self._router.ticket(region, decision.identity, time.time())}
            if kind:
                headers["content-type"] = kind
            try:
                answer = await regions.request(
                    request.method, region.origin + target, headers=headers, content=body
                )
            except httpx.HTTPError:
                raise DialFailed(RegionFault(region.name, "unreachable")) from None
            if decision.begins and answer.status_code != 201 and not is_callers(answer.status_code):
                raise DialFailed(RegionFault(region.name, "status", answer.status_code))
            return answer

        connector = RegionConnector(ask, lambda _late: None, self._router.breaker, self._settings.failover)
        cors = cors_headers(request.headers.get("origin"), self._settings.allowed_origins)
        try:
            ranked, answer, _ = await connector.connect(decision.placement.ranked)
        except NoRegion as refused:
            reply = self._router.no_region(decision.placement, refused.faults, refused.retry_after_s)
            return as_response(reply.with_headers(cors))
        kept = {name: answer.headers[name] for name in CALL_ANSWER_HEADERS if name in answer.headers}
        headers = {**kept, **cors, "x-repartee-region": ranked.region.name}
        return Response(answer.content, answer.status_code, headers)

    async def _page(self, placement: Placement, request: Request) -> Response:
        """The browser page and its files, as the nearest region that answers serves them."""
        assert self._pages is not None
        pages = self._pages
        headers = {name: request.headers[name] for name in PAGE_REQUEST_HEADERS if name in request.headers}
        headers["accept-encoding"] = "identity"

        async def fetch(attempt: Attempt) -> httpx.Response:
            region = attempt.ranked.region
            try:
                answer = await pages.request(
                    request.method, region.origin + request.url.path, headers=headers
                )
            except httpx.HTTPError:
                raise DialFailed(RegionFault(region.name, "unreachable")) from None
            if answer.status_code >= 500 or answer.has_redirect_location:
                raise DialFailed(RegionFault(region.name, "status", answer.status_code))
            return answer

        connector = RegionConnector(fetch, lambda _late: None, self._page_breaker, PAGE_POLICY)
        try:
            _, answer, _ = await connector.connect(placement.ranked)
        except NoRegion as refused:
            return as_response(self._router.no_region(placement, refused.faults, refused.retry_after_s))
        kept = {name: answer.headers[name] for name in PAGE_ANSWER_HEADERS if name in answer.headers}
        return Response(answer.content, answer.status_code, kept)

    def _incoming(self, connection: HTTPConnection, method: str, body: bytes) -> EdgeRequest:
        headers = dict(connection.headers)
        peer = connection.client.host if connection.client else ""
        address = client_address(peer, headers, self._settings.trusted_proxies)
        caller = self._locator.locate(address, direct=method == "POST")
        return EdgeRequest(method, connection.url.path, headers, caller, address, body, connection.url.query)

    def _decide(self, incoming: EdgeRequest) -> Action:
        tick = time.monotonic()
        if tick - self._summarised_at > SUMMARY_S:
            self._summarise(tick)
        decision = self._router.decide(incoming, time.time(), tick)
        for name in decision.charged:
            wait_s = self._limiter.allow(name, tick)
            if wait_s > 0:
                self._metrics.limited(name.partition(":")[0])
                return too_many_requests(int(wait_s) + 1)
        return decision.action

    def _store(self, stored: StoreReport) -> None:
        key = f"{stored.report.region}/{stored.instance}"
        self._reports.pop(key, None)
        self._reports[key] = stored.report
        self._probes.heard_of(stored.report.region)
        while len(self._reports) > MAX_REPORTS:
            self._reports.pop(next(iter(self._reports)))
        self._summarise(time.monotonic())

    def _summarise(self, tick: float) -> None:
        self._summarised_at = tick
        found = summarise([*self._reports.values(), *self._probes.reports], time.time())
        for name in self._probes.down:
            found[name] = replace(found.get(name, UNKNOWN), up=False)
        self._router.statuses = found


def create_app(settings: EdgeSettings, mmdb: Path | None = None) -> Starlette:
    """The edge as an ASGI app. Raises DatabaseError if ``mmdb`` can't be used."""
    edge = Edge(settings, Locator(mmdb, settings.colo))
    return Starlette(
        routes=[
            Route(
                "/{path:path}",
                edge.http,
                methods=["GET", "HEAD", "POST", "OPTIONS", "PUT", "PATCH", "DELETE"],
            ),
            WebSocketRoute("/{path:path}", edge.websocket),
        ],
        lifespan=edge.lifespan,
    )


async def _body(request: Request) -> bytes:
    """The request's body, cut off just past what the router accepts."""
    chunks, most = bytearray(), most_body_bytes(request.url.path)
    async for chunk in request.stream():
        chunks += chunk
        if len(chunks) > most:
            break
    return bytes(chunks[: most + 1])


def _too_many_calls(most: int) -> EdgeReply:
    message = f"{most} calls at once are all that this token or key may have: end one, or ask for more"
    return error(429, "too_many_calls", message, {"retry-after": "2"})
