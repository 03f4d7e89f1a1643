"""The Worker: Cloudflare's requests and bindings in, responses out. The only file that imports ``js`` or ``workers``.

It carries out what ``repartee_edge.router`` decides. No Python runs per frame: the region's answer to the handshake
is handed back untouched, and the runtime pumps the frames.

Hazards of the runtime: an instance lives for one request, so what is learnt about regions is kept per isolate, in
``_isolate``; at import time there is no randomness and no clock; request headers can't be changed, so new ones are
made.
"""

import asyncio
import time
from urllib.parse import urlsplit

import js
from workers import Response, WorkerEntrypoint, fetch

import repartee_edge.lean_jwt  # noqa: F401
from repartee_edge.connecting import CallerAtFault, DialFailed, NoRegion, RegionConnector
from repartee_edge.failover import RegionFault, is_callers
from repartee_edge.health import (
    Report,
    report_from_words,
    report_of_probe,
    report_to_words,
    summarise,
)
from repartee_edge.placement import Caller
from repartee_edge.replies import EdgeReply, cors_headers, error, too_many_requests
from repartee_edge.request import TICKET_HEADER, EdgeRequest, forwarded, most_body_bytes
from repartee_edge.router import ProxyCall, ProxyPage, ProxySession, Router, StoreReport
from repartee_edge.settings import SETTING_NAMES, SettingsError, read_settings
from repartee_edge.telephone.names import KEEP_S

REPORT_PREFIX = "report:"
REPORT_TTL_S = 120
OUTCOME_PREFIX = "outcome:"
REFRESH_S = 10.0
PROBE_TIMEOUT_S = 3.0
RATE_PERIOD_S = 60
LIMIT_BINDINGS = {"key": "LIMIT_PER_KEY", "ip": "LIMIT_PER_IP"}
PAGE_REQUEST_HEADERS = ("accept", "if-none-match", "if-modified-since")
CALL_ANSWER_HEADERS = ("cache-control", "content-type", "link", "location", "retry-after")
NOT_MODIFIED = 304
CALLER_FIELDS = ("colo", "country", "continent", "latitude", "longitude")


class _Isolate:
    """What one isolate keeps between requests."""

    router: Router | None = None
    refreshed_at: float | None = None


_isolate = _Isolate()


class Default(WorkerEntrypoint):
    """One request's entry, or the cron's."""

    async def fetch(self, request):
        try:
            router = _router(self.env)
        except SettingsError as faults:
            print(f"the edge is not configured:\n{faults}")
            return _response(
                error(503, "not_configured", "The edge is not configured: its log says what is missing.")
            )
        await self._refresh(router)
        incoming = await _incoming(request)
        decision = router.decide(incoming, time.time(), time.monotonic())
        for name in decision.charged:
            if not await self._within_limit(name):
                return _response(too_many_requests(RATE_PERIOD_S))
        action = decision.action
        if isinstance(action, ProxySession):
            return await self._session(router, action, request)
        if isinstance(action, ProxyCall):
            return await self._call(router, action, incoming)
        if isinstance(action, ProxyPage):
            return await self._page(router, action, request)
        if isinstance(action, StoreReport):
            await self._store(f"{action.report.region}:{action.instance}", action.report)
            action = action.reply
        if not isinstance(action, EdgeReply):
            action = await self._telephone(action)
        return _response(action)

    async def scheduled(self, controller, env=None, ctx=None):
        """Ask every region for its health; cron runs this once a minute."""
        router = _router(self.env)
        await asyncio.gather(*(self._probe(region) for region in router.settings.table.enabled))

    async def _session(self, router, action, request):
        parts = urlsplit(request.js_object.url)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        headers = forwarded((pair[0], pair[1]) for pair in request.js_object.headers)

        async def dial(attempt):
            region = attempt.ranked.region
            ticket = router.ticket(region, action.identity, time.time())
            answer = await _ask(region, target, [*headers, (TICKET_HEADER, ticket)])
            if is_callers(answer.status):
                raise CallerAtFault(region.name, answer)
            if answer.status != 101:
                fault = RegionFault(region.name, "status", answer.status, _retry_after_s(answer))
                await _drop(answer)
                raise DialFailed(fault)
            return answer

        return await self._connect(router, action.placement, dial, _hang_up)

    async def _call(self, router, action, incoming):
        """A request of a WebRTC call. Its media goes to the region directly."""
        target = incoming.path + (f"?{incoming.query}" if incoming.query else "")
        kind = incoming.headers.get("content-type")

        async def dial(attempt):
            region = attempt.ranked.region
            ticket = router.ticket(region, action.identity, time.time())
            headers = [(TICKET_HEADER, ticket), *([("content-type", kind)] if kind else [])]
            answer = await _ask(region, target, headers, incoming.method, incoming.body)
            if action.begins and answer.status != 201 and not is_callers(answer.status):
                await _drop(answer)
                raise DialFailed(RegionFault(region.name, "status", answer.status))
            return answer

        answer = await self._connect(router, action.placement, dial, lambda _late: None)
        cors = cors_headers(incoming.origin, router.settings.allowed_origins)
        kept = [(name, answer.headers.get(name)) for name in CALL_ANSWER_HEADERS]
        headers = {**{name: value for name, value in kept if value}, **cors}
        return Response(await answer.text(), status=answer.status, headers=headers)

    async def _page(self, router, action, request):
        path, method = urlsplit(request.js_object.url).path, request.js_object.method
        asked = [(name, request.headers.get(name)) for name in PAGE_REQUEST_HEADERS]
        headers = [(name, value) for name, value in asked if value]

        async def dial(attempt):
            region = attempt.ranked.region
            answer = await _ask(region, path, headers, method)
            if answer.status >= 500 or (300 <= answer.status < 400 and answer.status != NOT_MODIFIED):
                await _drop(answer)
                raise DialFailed(RegionFault(region.name, "status", answer.status))
            return answer

        return await self._connect(router, action.placement, dial, lambda _late: None)

    async def _connect(self, router, placement, dial, discard):
        connector = RegionConnector(dial, discard, router.breaker, router.settings.failover)
        try:
            _, answer, faults = await connector.connect(placement.ranked)
        except NoRegion as refused:
            return _response(router.no_region(placement, refused.faults, refused.retry_after_s))
        except CallerAtFault as refused:
            return refused.answer
        if faults:
            # Dials that were given up still have to hear of it before the request ends.
            await asyncio.sleep(0)
        return answer

    async def _within_limit(self, name):
        binding = getattr(self.env, LIMIT_BINDINGS.get(name.partition(":")[0], ""), None)
        if binding is None:
            return True
        return bool(_field(await binding.limit({"key": name}), "success"))

    async def _refresh(self, router):
        """Read what regions reported; once an isolate has it, newer reports are fetched behind the request."""
        now = time.monotonic()
        known = _isolate.refreshed_at
        if getattr(self.env, "REPORTS", None) is None or (known is not None and now - known < REFRESH_S):
            return
        _isolate.refreshed_at = now
        if known is None:
            await self._read_reports(router)
        else:
            self.ctx.waitUntil(self._read_reports(router))

    async def _read_reports(self, router):
        try:
            listed = await self.env.REPORTS.list({"prefix": REPORT_PREFIX})
        except Exception as failure:
            # Routing goes on by position and by the isolate's own breaker.
            print(f"the regions' reports can't be read: {failure}")
            return
        found = [report_from_words(_field(entry, "metadata")) for entry in _field(listed, "keys")]
        router.statuses = summarise([report for report in found if report is not None], time.time())

    async def _probe(self, region):
        try:
            answer = await asyncio.wait_for(_ask(region, "/readyz", []), PROBE_TIMEOUT_S)
            text = await asyncio.wait_for(answer.text(), PROBE_TIMEOUT_S)
            report = report_of_probe(region.name, answer.status, text, time.time())
        except (DialFailed, TimeoutError):
            report = Report(region.name, time.time(), up=False)
        await self._store(f"{region.name}:probe", report)

    async def _telephone(self, action):
        """Keep what is to become of a call, or answer by what is kept."""
        from repartee_edge.telephone.outcomes import KeepOutcome

        if not isinstance(action, KeepOutcome):
            return action.answer(await self._outcome(action.name))
        if getattr(self.env, "REPORTS", None) is not None:
            options = {"expirationTtl": KEEP_S, "metadata": action.outcome.as_words()}
            await self.env.REPORTS.put(OUTCOME_PREFIX + action.name, "", options)
        return action.reply

    async def _outcome(self, name):
        from repartee_edge.telephone.outcomes import outcome_from_words

        if getattr(self.env, "REPORTS", None) is None:
            return None
        try:
            listed = await self.env.REPORTS.list({"prefix": OUTCOME_PREFIX + name})
        except Exception as failure:
            print(f"what became of a call can't be read: {failure}")
            return None
        for entry in _field(listed, "keys"):
            words = _field(entry, "metadata")
            return outcome_from_words({"next": _field(words, "next"), "to": _field(words, "to")})
        return None

    async def _store(self, name, report):
        if getattr(self.env, "REPORTS", None) is not None:
            options = {"expirationTtl": REPORT_TTL_S, "metadata": report_to_words(report)}
            await self.env.REPORTS.put(REPORT_PREFIX + name, "", options)


def _router(env):
    if _isolate.router is None:
        found = {name: getattr(env, name, None) for name in SETTING_NAMES}
        _isolate.router = Router(read_settings({k: v for k, v in found.items() if isinstance(v, str)}))
    return _isolate.router


async def _incoming(request):
    raw = request.js_object
    cf = getattr(raw, "cf", None)
    place = {name: getattr(cf, name, None) for name in CALLER_FIELDS}
    caller = Caller(**{k: v for k, v in place.items() if isinstance(v, str)}, direct=raw.method == "POST")
    headers = {}
    for pair in raw.headers:
        headers[pair[0]] = pair[1]
    return EdgeRequest(
        method=raw.method,
        path=urlsplit(raw.url).path,
        headers=headers,
        caller=caller,
        client_ip=headers.get("cf-connecting-ip", ""),
        body=await _body(raw) if raw.method in ("POST", "PATCH") else b"",
        query=urlsplit(raw.url).query,
    )


async def _body(raw):
    """The body, cut off just past what the router accepts."""
    found = bytearray()
    if not raw.body:
        return b""
    reader = raw.body.getReader()
    most = most_body_bytes(urlsplit(raw.url).path)
    while len(found) <= most:
        part = await reader.read()
        if part.done:
            return bytes(found)
        found += part.value.to_bytes()
    await reader.cancel()
    return bytes(found[: most + 1])


async def _ask(region, target, headers, method="GET", body=b""):
    """A region's answer to a request. Raises DialFailed; when cancelled, the request is aborted."""
    made = js.Headers.new()
    for name, value in headers:
        made.append(name, value)
    controller = js.AbortController.new()
    sent = {"body": body.decode("utf-8", "replace")} if body else {}
    try:
        return await fetch(
            region.origin + target,
            method=method,
            headers=made,
            redirect="manual",
            signal=controller.signal,
            **sent,
        )
    except OSError:
        raise DialFailed(RegionFault(region.name, "unreachable")) from None
    except asyncio.CancelledError:
        controller.abort()
        raise


async def _drop(answer):
    """Free the connection of an answer whose body nobody reads."""
    body = answer.js_object.body
    if body:
        await body.cancel()


def _hang_up(answer):
    socket = answer.js_object.webSocket
    if socket:
        socket.accept()
        socket.close(1001, "another region was quicker")


def _retry_after_s(answer):
    value = answer.headers.get("retry-after") or ""
    return float(value) if value.isdigit() else None


def _field(value, name):
    return value.get(name) if isinstance(value, dict) else getattr(value, name, None)


def _response(reply):
    return Response(reply.content().decode() or None, status=reply.status, headers=reply.all_headers())
