"""What `repartee doctor` finds out over the network: providers and their keys, the clock, the edge, a region.

Keys are tried by the worker's own code: its pools open what a call would need, and the doctor reports their word.
"""

import asyncio
import socket
import ssl
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import httpx
import httpx2
from prometheus_client.parser import text_string_to_metric_families

from repartee.agent.agent import Agent
from repartee.app.aws.task_protection import STATE_PATH
from repartee.app.services import Services
from repartee.app.settings import Settings
from repartee.app.vendors_in_use import OpenedVendor
from repartee.doctor.certificate_advice import tls_advice
from repartee.doctor.findings import Finding
from repartee.doctor.machine_checks import needed_accounts
from repartee.doctor.remedies import advised
from repartee.errors import ConfigurationError, PoolTimeout, ProviderError
from repartee.pool.faults import PoolFault, fault_of
from repartee.providers.single_request import SingleRequests
from repartee.providers.sockets import tls_context
from repartee.providers.tunnel import ProxyError, dialled, way_to
from repartee.providers.vendor import Account
from repartee_edge.tickets import CLOCK_SKEW_S, TICKET_TTL_S

CONNECT_S = 10.0
WARM_S = 30.0
"""For what neither comes about nor fails: a dial does one or the other within a shorter limit of its own."""
POLL_S = 0.01
ENDS_SOON_DAYS = 90
"""How long before a model ends the doctor warns of it."""


@dataclass(frozen=True, slots=True)
class Knock:
    """A server that answered: how long each step took, and how far its clock is ahead of this machine's (±1 s)."""

    tcp_ms: float
    tls_ms: float | None
    http_ms: float
    ahead_s: float | None
    through: str = ""
    """The proxy that it was reached through, if any."""

    @property
    def words(self) -> str:
        through = f"through {self.through}: " if self.through else ""
        tls = "" if self.tls_ms is None else f", TLS {self.tls_ms:.0f} ms"
        return f"{through}TCP {self.tcp_ms:.0f} ms{tls}, a request {self.http_ms:.0f} ms"

    @property
    def figures(self) -> dict[str, float]:
        named = {
            "tcp_ms": self.tcp_ms,
            "tls_ms": self.tls_ms,
            "http_ms": self.http_ms,
            "ahead_s": self.ahead_s,
        }
        return {name: round(value, 2) for name, value in named.items() if value is not None}


class Unreachable(Exception):
    """Nobody answered; the arguments are what to tell and what to do about it."""

    def __init__(self, told: str, remedy: str) -> None:
        super().__init__(told)
        self.told = told
        self.remedy = remedy


async def knock(url: str, variable: str) -> Knock:
    """Connect to a server and ask it for something; ``variable`` is what the address was set with.

    Raises Unreachable.
    """
    parts = urlsplit(url)
    host, secure = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    try:
        async with asyncio.timeout(CONNECT_S):
            tcp_ms, tls_ms = await _connect(host, port, secure)
        proxy = way_to(host, port, secure=secure)
        return replace(await _ask(url, tcp_ms, tls_ms), through=proxy.named if proxy else "")
    except socket.gaierror:
        raise Unreachable(f"{host} has no address.", f"Check {variable} and this machine's DNS.") from None
    except ssl.SSLError as error:
        reason = getattr(error, "verify_message", "") or error.reason or "TLS failed"
        told = f"{host}:{port} is there, but its TLS is not to be trusted: {reason}."
        raise Unreachable(told, tls_advice(error, variable)) from None
    except TimeoutError:
        advice = "A firewall may drop what goes there: let this machine reach it."
        raise Unreachable(f"{host}:{port} did not answer within {CONNECT_S:g} s.", advice) from None
    except ConnectionRefusedError:
        raise Unreachable(
            f"Nothing listens at {host}:{port}.", f"Check {variable}; if it is a server of yours, start it."
        ) from None
    except ProxyError as error:
        advice = "Check what it says, or name the hosts that are reached without a proxy in NO_PROXY."
        raise Unreachable(f"{host}:{port} cannot be reached: {error}.", advice) from None
    except (OSError, httpx2.HTTPError) as error:
        told = f"{host}:{port} cannot be reached: {str(error) or type(error).__name__}."
        raise Unreachable(told, f"Check {variable} and this machine's network.") from None


async def _connect(host: str, port: int, secure: bool) -> tuple[float, float | None]:
    started = time.perf_counter()
    _, writer = await asyncio.open_connection(sock=await dialled(host, port, secure=secure))
    tcp_ms, tls_ms = (time.perf_counter() - started) * 1000, None
    try:
        if secure:
            started = time.perf_counter()
            await writer.start_tls(tls_context(), server_hostname=host)
            tls_ms = (time.perf_counter() - started) * 1000
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
    return tcp_ms, tls_ms


async def _ask(url: str, tcp_ms: float, tls_ms: float | None) -> Knock:
    """Ask for the page: the time from the request to the answer is the round trip and the server's own."""
    sent: list[tuple[float, float]] = []
    transport = SingleRequests(CONNECT_S, on_open=lambda: sent.append((time.time(), time.perf_counter())))
    async with httpx2.AsyncClient(timeout=CONNECT_S, transport=transport) as client:
        answer = await client.get(url)
        [(asked_at, started)] = sent
        took_s = time.perf_counter() - started
    ahead_s = None
    with suppress(KeyError, ValueError):
        # The header has no fraction: on average it is half a second behind.
        ahead_s = parsedate_to_datetime(answer.headers["date"]).timestamp() + 0.5 - (asked_at + took_s / 2)
    return Knock(tcp_ms, tls_ms, took_s * 1000, ahead_s)


async def check_providers(settings: Settings, agent: Agent) -> tuple[list[Finding], list[float]]:
    """Reachability and key of each provider that this agent needs, and how far ahead their clocks are, in
    seconds."""
    accounts = needed_accounts(settings, agent)
    knocks = await asyncio.gather(*(_knock(account, settings) for account in accounts))
    complete = all(settings.value_of(account.key_variable) for account in accounts)
    found: list[Finding] = []
    ahead_s: list[float] = []
    tried: dict[Account, KeyTried] = {}
    if complete:
        try:
            tried = await _try_keys(settings, agent)
        except ConfigurationError as error:
            found.append(Finding("agent", str(error), "Correct the agent; then ask again, for the keys."))
            complete = False
    for account, met in zip(accounts, knocks, strict=True):
        if isinstance(met, Unreachable):
            found.append(Finding(account.label, met.told, met.remedy))
            continue
        if met.ahead_s is not None:
            ahead_s.append(met.ahead_s)
        reached = f"{settings.value_of(account.url_variable)} answers ({met.words})"
        if complete:
            found.append(_key_finding(account, reached, tried.get(account), met))
        else:
            found.append(Finding(account.label, f"{reached}; no key was tried.", "", met.figures))
    return [*found, *model_findings(tried.values(), datetime.now(UTC).date())], ahead_s


async def _knock(account: Account, settings: Settings) -> Knock | Unreachable:
    try:
        return await knock(settings.value_of(account.url_variable), account.url_variable)
    except Unreachable as nobody:
        return nobody


@dataclass(frozen=True, slots=True)
class KeyTried:
    """What became of a provider's pool: the time until its first connection was open, or what was wrong."""

    ready_ms: float | None
    fault: PoolFault | None = None
    ends: tuple[str, date] | None = None
    """A model that is to be shut down, by the name of its setting, and the day."""


async def _try_keys(settings: Settings, agent: Agent) -> dict[Account, KeyTried]:
    """Whether each vendor gets a connection that lasts, and answers what its row of the table has it asked; of those
    with one account, what is wrong with one. Those of which neither is known in time are left out.

    Raises ConfigurationError if this agent cannot be served.
    """
    small = settings.model_copy(update={"warm_calls": 1, "record_phrases": False})
    services = Services(small, agent)
    started = time.perf_counter()
    try:
        await services.start()
        outcomes = await asyncio.gather(*(_try(opened, started) for opened in services.vendors))
    finally:
        await services.aclose()
    tried: dict[Account, KeyTried] = {}
    for opened, outcome in zip(services.vendors, outcomes, strict=True):
        known = tried.get(opened.row.account)
        if outcome is not None and (known is None or known.fault is None):
            ends, fault = outcome.ends or (known.ends if known else None), advised(opened.row, outcome.fault)
            tried[opened.row.account] = replace(outcome, ends=ends, fault=fault)
    return tried


async def _try(opened: OpenedVendor, started: float) -> KeyTried | None:
    """What becomes of one vendor; None if nothing does within WARM_S."""
    row, provider = opened.row, opened.provider
    opened_ms: float | None = None
    with suppress(TimeoutError):
        async with asyncio.timeout(WARM_S):
            while True:
                pools = provider.pools()
                if opened_ms is None and any(pool.idle or pool.warm for pool in pools):
                    opened_ms = (time.perf_counter() - started) * 1000
                if opened_ms is not None and all(pool.ready or pool.warm for pool in pools):
                    break
                if fault := next((pool.fault for pool in pools if pool.fault), None):
                    return KeyTried(None, fault)
                await asyncio.sleep(POLL_S)
            try:
                await row.check(provider)
            except (ProviderError, PoolTimeout) as error:
                return KeyTried(None, fault_of(row.account.name, error))
            day = await row.ends(provider) if row.ends else None
            return KeyTried(opened_ms, ends=(row.model, day) if day else None)
    return None


def model_findings(tried: Iterable[KeyTried], today: date) -> list[Finding]:
    """The models that end within ENDS_SOON_DAYS, or have."""
    found = []
    for variable, day in (one.ends for one in tried if one.ends):
        left = (day - today).days
        if left < 0:
            told = f"The model that {variable} or the agent names was to be shut down on {day:%-d %B %Y}."
            found.append(Finding("model", told, f"Name another: {variable}, or the agent's model."))
        elif left <= ENDS_SOON_DAYS:
            told = (
                f"The model that {variable} or the agent names will be shut down on {day:%-d %B %Y}, in {left} days: "
                "name another before that."
            )
            found.append(Finding("model", told, figures={"days_left": left}))
    return found


def _key_finding(account: Account, reached: str, tried: KeyTried | None, met: Knock) -> Finding:
    name = account.label
    if tried is None:
        told = f"{reached}, but a connection as a call needs it did not come about within {WARM_S:g} s."
        return Finding(name, told, "Try again; its status page may know why.", met.figures)
    if tried.ready_ms is not None:
        told = f"{reached}, its key is accepted, a connection is ready after {tried.ready_ms:.0f} ms."
        return Finding(name, told, figures={**met.figures, "ready_ms": round(tried.ready_ms, 2)})
    fault = tried.fault
    assert fault is not None
    what = "the key is refused" if fault.status in (401, 403) else "not as a call needs it"
    return Finding(name, f"{reached}, but {what}: {fault.why}", fault.do, met.figures)


def check_clock(ahead_s: Sequence[float]) -> Finding:
    """Whether this machine's clock is right, by how far others' are ahead of it."""
    if not ahead_s:
        return Finding("clock", "Nobody told the time, so it was not checked.")
    off_s = -statistics.median(ahead_s)
    told = f"It is {abs(off_s):.0f} s {'fast' if off_s > 0 else 'slow'} by the others' clocks."
    figures = {"fast_s": round(off_s, 1)}
    if abs(off_s) > CLOCK_SKEW_S:
        remedy = (
            f"Let it be set by NTP (timedatectl set-ntp true): session tickets are valid for {TICKET_TTL_S} s, and "
            f"clocks may differ by {CLOCK_SKEW_S} s."
        )
        return Finding("clock", told, remedy, figures)
    return Finding("clock", f"It is right, within {max(1, round(abs(off_s)))} s.", figures=figures)


async def check_edge(settings: Settings) -> tuple[list[Finding], list[float]]:
    """Whether the edge that heartbeats go to is there, and its clock."""
    if not settings.edge_url:
        return [], []
    try:
        met = await knock(f"{settings.edge_url}/healthz", "REPARTEE_EDGE_URL")
    except Unreachable as nobody:
        return [Finding("edge", nobody.told, nobody.remedy)], []
    told = f"{settings.edge_url} answers ({met.words})."
    return [Finding("edge", told, figures=met.figures)], [met.ahead_s] if met.ahead_s is not None else []


async def check_task_protection(settings: Settings) -> list[Finding]:
    """On ECS: whether this task may protect itself while it has calls."""
    if not settings.ecs_agent_uri:
        return []
    subject = "task protection"
    try:
        async with httpx.AsyncClient(timeout=CONNECT_S, trust_env=False) as client:
            answer = await client.get(settings.ecs_agent_uri + STATE_PATH)
    except httpx.HTTPError as error:
        told = f"The ECS agent at ECS_AGENT_URI cannot be reached: {str(error) or type(error).__name__}."
        return [Finding(subject, told, "ECS sets ECS_AGENT_URI itself: do not set it, nor pass it on.")]
    said = " ".join(answer.text.split())[:300]
    if not answer.is_success or '"protection"' not in said:
        remedy = (
            "Give the task's role ecs:GetTaskProtection and ecs:UpdateTaskProtection; run it in a service."
        )
        return [Finding(subject, f"ECS refuses it: {answer.status_code} {said}", remedy)]
    return [Finding(subject, "ECS lets this task protect itself.")]


async def check_region(url: str) -> tuple[list[Finding], list[float]]:
    """A running region: whether it is ready, its calls and its pools; and its clock."""
    url = url.rstrip("/")
    try:
        met = await knock(f"{url}/healthz", "--region-url")
    except Unreachable as nobody:
        return [Finding("region", nobody.told, nobody.remedy)], []
    return await _region(url, met), [met.ahead_s] if met.ahead_s is not None else []


async def _region(url: str, met: Knock) -> list[Finding]:
    async with httpx.AsyncClient(timeout=CONNECT_S, trust_env=False) as client:
        try:
            ready = await client.get(f"{url}/readyz")
            metrics = await client.get(f"{url}/metrics")
        except httpx.HTTPError as error:
            told = f"{url} broke off: {str(error) or type(error).__name__}."
            return [Finding("region", told, "Look at its log.")]
    said = _readiness(ready)
    faults = {fault["pool"]: fault for fault in said["faults"]}
    if ready.status_code != 200:
        draining = said["draining"]
        remedy = (
            "Wait for the drain to end."
            if draining
            else "Wait for it; what fails is said below, and in its log."
        )
        state = said.get("why") or f"status {ready.status_code}"
        found = [Finding("region", f"{url} answers ({met.words}), but is not ready: {state}.", remedy)]
    elif not said["admitting"]:
        told = f"{url} is ready ({met.words}), but refuses new calls: a provider that they need fails."
        found = [Finding("region", told, "See what is said of its pools.", met.figures)]
    else:
        found = [Finding("region", f"{url} is ready ({met.words}).", figures=met.figures)]
    if metrics.status_code != 200:
        told = "Its metrics cannot be read at this address, so its pools were not looked at."
        return [*found, Finding("region", told)]
    return [*found, *_region_findings(metrics.text, faults)]


def _readiness(answer: httpx.Response) -> dict[str, Any]:
    """The body of a region's /readyz; of one that sends another, what its status says."""
    said: dict[str, Any] = {"admitting": answer.is_success, "draining": False, "faults": []}
    with suppress(ValueError):
        body = answer.json()
        if isinstance(body, dict):
            said |= body
    return said


def _region_findings(exposition: str, faults: Mapping[str, Mapping[str, str]]) -> list[Finding]:
    values: dict[str, float] = {}
    pools: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(exposition):
        for sample in family.samples:
            if sample.name == "repartee_pool_connections":
                pools.setdefault(sample.labels["provider"], {})[sample.labels["state"]] = sample.value
            elif not sample.labels:
                values[sample.name] = sample.value
    active, slots = values.get("repartee_calls_active", 0), values.get("repartee_call_slots", 0)
    full = (
        "All slots are taken: start another worker, or raise REPARTEE_MAX_CALLS if this one has CPU to spare."
    )
    told = f"{active:.0f} of {slots:.0f} call slots are taken."
    found = [
        Finding("calls", told, full if slots and active >= slots else "", {"active": active, "slots": slots})
    ]
    for name, states in sorted(pools.items()):
        told = (
            ", ".join(f"{states.get(state, 0):.0f} {state}" for state in ("idle", "leased", "dialling")) + "."
        )
        if fault := faults.get(name):
            found.append(Finding(f"pool {name}", f"{told} {fault['why']}", fault["do"], states))
        else:
            found.append(Finding(f"pool {name}", told, figures=states))
    return found
