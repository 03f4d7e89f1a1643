"""Warm connections, ready when a call needs one: the shell around :class:`~repartee.pool.policy.PoolPolicy`.

Owns the tasks that dial, the keepalive timer and the callers in the queue. The policy decides what to do; how to
open, keep and close a connection is the provider's business (:class:`Connector`). Nothing here waits while it
changes the pool's state, so no lock is needed and none is held while dialling. A lease cannot leak: whoever is
cancelled while waiting leaves the queue, and what was already handed to them goes back.

    pool = Pool("vendor", connector, PoolSettings(spare=4))
    pool.start()                                  # begins warming, returns at once
    lease = await pool.acquire()                  # raises ProviderError or PoolTimeout
    async with pool.lease() as connection: ...    # the same, released at the end of the block
    await pool.wait_warm(timeout_s=5)             # raises PoolTimeout
    pool.figures()                                # a frozen snapshot for metrics
    await pool.aclose()
"""

import asyncio
import contextlib
import logging
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Coroutine
from typing import Any, Generic

from repartee.errors import PoolTimeout, ProviderError, VoiceError
from repartee.pool.ceiling import DialCeiling
from repartee.pool.cold_waits import note_wait
from repartee.pool.connector import ConnectionT, Connector
from repartee.pool.fault_log import FaultLog
from repartee.pool.faults import reason_of
from repartee.pool.figures import PoolCounters, PoolFigures
from repartee.pool.lease import Lease
from repartee.pool.policy import PoolPolicy
from repartee.pool.settings import PoolSettings

log = logging.getLogger(__name__)


class Pool(Generic[ConnectionT]):
    """Keeps connections of one kind ready. Lives on one event loop."""

    def __init__(
        self,
        name: str,
        connector: Connector[ConnectionT],
        settings: PoolSettings,
        ceiling: DialCeiling | None = None,
    ) -> None:
        """``ceiling`` bounds the dials of all pools of one provider."""
        self._name = name
        self._connector = connector
        self._settings = settings
        self._policy = PoolPolicy(settings, ceiling)
        self._connections: dict[int, ConnectionT] = {}
        self._waiters: deque[asyncio.Future[int]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._warmed = asyncio.Event()
        self._counters = PoolCounters()
        self._faults = FaultLog(name)
        self._refusal: ProviderError | None = None
        self._running = False
        self._closed = False

    def __repr__(self) -> str:
        policy = self._policy
        return f"<Pool {self._name}: {policy.idle} idle, {policy.leased} leased, {policy.dialling} dialling>"

    @property
    def name(self) -> str:
        return self._name

    @property
    def warm(self) -> bool:
        """The spare connections were all ready once, and a new call need not fail now."""
        return self._policy.warm

    def figures(self) -> PoolFigures:
        policy, counters = self._policy, self._counters
        return PoolFigures(
            name=self._name,
            warm=policy.warm,
            idle=policy.idle,
            leased=policy.leased,
            dialling=policy.dialling,
            waiting=len(self._waiters),
            hits=counters.hits,
            misses=counters.misses,
            dials=counters.dials,
            dial_failures=counters.dial_failures,
            lost=counters.lost,
            wait_ms=counters.wait_ms,
            wait_ms_max=counters.wait_ms_max,
            oldest_s=policy.oldest_age_s(self._now()),
            last_error=None if self._faults.fault is None else self._faults.fault.why,
            ready=policy.ready_slots,
            usable=policy.usable,
            failures=dict(counters.reasons),
            fault=self._faults.fault,
        )

    def start(self) -> None:
        """Begin warming; returns at once. Call it on the loop that the pool is to live on."""
        self._running = True
        if self._policy.filled:
            self._warmed.set()
        self._tend()

    def expect(self, demand: int) -> None:
        """So many leases may be wanted at the same time: keep as many slots open."""
        self._policy.demand = demand
        self.in_calls(demand)

    def in_calls(self, calls: int) -> None:
        """So many calls are in progress; they need no connections beside those that they have."""
        self._policy.calls = calls
        self._tend()

    async def wait_warm(self, timeout_s: float) -> None:
        """Wait until the pool has been full once. Raises PoolTimeout, with the last dial's error in it."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._warmed.wait()
        except TimeoutError:
            raise PoolTimeout(
                f"Connections to {self._name} were not ready within {timeout_s:g} s.{self._faults.words}"
            ) from None

    async def acquire(self, *, timeout_s: float | None = None) -> Lease[ConnectionT]:
        """A ready connection, or a new one dialled at once. Raises ProviderError (the dial's) or PoolTimeout."""
        if self._closed:
            raise self._closing()
        started = self._now()
        key = self._take()
        if key is not None:
            self._counters.hits += 1
            self._tend()
            return self._lease(key, hit=True, wait_ms=0.0)
        self._counters.misses += 1
        self._check_welcome()
        key = await self._wait_for_one(timeout_s or self._settings.acquire_timeout_s)
        wait_ms = (self._now() - started) * 1000
        self._counters.wait_ms += wait_ms
        self._counters.wait_ms_max = max(self._counters.wait_ms_max, wait_ms)
        note_wait(self._name, time.time(), wait_ms)
        return self._lease(key, hit=False, wait_ms=wait_ms)

    @contextlib.asynccontextmanager
    async def lease(self, *, timeout_s: float | None = None) -> AsyncIterator[ConnectionT]:
        """:meth:`acquire`, released at the end of the block."""
        with await self.acquire(timeout_s=timeout_s) as connection:
            yield connection

    async def dial_apart(self, connector: Connector[ConnectionT]) -> Lease[ConnectionT]:
        """A connection of a kind that this pool does not keep, for one use; it counts against the same ceiling.

        Raises ProviderError or PoolTimeout.
        """
        if self._closed:
            raise self._closing()
        self._check_welcome()
        timeout_s = self._settings.acquire_timeout_s
        started = self._now()
        try:
            async with asyncio.timeout(timeout_s):
                while (wait_s := self._policy.take_dial(self._now())) > 0:  # noqa: ASYNC110 - it is time that frees one
                    await asyncio.sleep(wait_s)
                connection = await connector.dial(urgent=True)
        except TimeoutError:
            raise PoolTimeout(f"No connection to {self._name} was ready within {timeout_s:g} s.") from None

        def give_back(reusable: bool) -> None:
            connector.close(connection)

        return Lease(connection, give_back, hit=False, wait_ms=(self._now() - started) * 1000)

    async def aclose(self) -> None:
        """Stop dialling and close everything, leased connections too. Idempotent; waiting callers get PoolTimeout."""
        self._running = False
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(self._closing())
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        for key in tuple(self._connections):
            self._drop(key)
        await asyncio.gather(*tasks, return_exceptions=True)

    def _check_welcome(self) -> None:
        """Raises the refusal with which the provider asked to be left alone, while it wants to be."""
        left_s = self._policy.left_alone_s(self._now())
        refusal = self._refusal
        if left_s > 0 and refusal is not None:
            raise ProviderError(
                str(refusal),
                provider=refusal.provider,
                stage=refusal.stage,
                retryable=refusal.retryable,
                status=refusal.status,
                retry_after_s=left_s,
            )

    def _closing(self) -> PoolTimeout:
        return PoolTimeout(f"The pool of connections to {self._name} is closing.")

    # --- the queue -----------------------------------------------------------------------------------------------

    def _take(self) -> int | None:
        """Lease a slot on a connection that is really open."""
        while (key := self._policy.acquire(self._now())) is not None:
            if self._connector.is_open(self._connections[key]):
                return key
            self._on_lost(key, tend=False)
        return None

    async def _wait_for_one(self, timeout_s: float) -> int:
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[int] = loop.create_future()
        self._waiters.append(waiter)
        self._tend(waiting=True)
        try:
            async with asyncio.timeout(timeout_s):
                return await waiter
        except TimeoutError:
            self._give_up(waiter)
            raise PoolTimeout(
                f"No connection to {self._name} was ready within {timeout_s:g} s.{self._faults.words}"
            ) from None
        except asyncio.CancelledError:
            self._give_up(waiter)
            raise
        finally:
            with contextlib.suppress(ValueError):
                self._waiters.remove(waiter)

    def _give_up(self, waiter: asyncio.Future[int]) -> None:
        """The caller has gone; what was handed over in the same moment goes back."""
        if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
            self._release(waiter.result(), reusable=True)

    def _serve_waiters(self) -> None:
        while self._waiters:
            if self._waiters[0].done():
                self._waiters.popleft()
                continue
            key = self._take()
            if key is None:
                return
            self._waiters.popleft().set_result(key)

    def _fail_waiters(self, error: VoiceError) -> None:
        """A dial has failed: tell those callers for whom no other dial is under way."""
        waiting = [waiter for waiter in self._waiters if not waiter.done()]
        for waiter in waiting[: max(0, len(waiting) - self._policy.dialling * self._settings.slots)]:
            waiter.set_exception(error)
            self._waiters.remove(waiter)

    # --- leases --------------------------------------------------------------------------------------------------

    def _lease(self, key: int, *, hit: bool, wait_ms: float) -> Lease[ConnectionT]:
        def give_back(reusable: bool) -> None:
            self._release(key, reusable=reusable)

        return Lease(self._connections[key], give_back, hit=hit, wait_ms=wait_ms)

    def _release(self, key: int, *, reusable: bool, used: bool = True) -> None:
        connection = self._connections.get(key)
        if connection is None:
            return
        is_open = self._connector.is_open(connection)
        if self._policy.release(key, self._now(), reusable=reusable and is_open, used=used, served=reusable):
            self._drop(key)
        self._serve_waiters()
        self._tend()

    def _on_lost(self, key: int, *, tend: bool = True) -> None:
        if not self._policy.has(key):
            return
        self._counters.lost += 1
        error = self._connector.why_lost(self._connections[key])
        if self._policy.lost(key, self._now(), random.random(), agreed=error is None) and error is not None:
            self._count_failure(error)
        self._drop(key)
        if tend:
            self._tend()

    def _drop(self, key: int) -> None:
        connection = self._connections.pop(key, None)
        self._policy.forget(key)
        if connection is not None:
            self._connector.close(connection)

    # --- the background ------------------------------------------------------------------------------------------

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _tend(self, *, waiting: bool = False) -> None:
        """Do what is due, and arrange to be called again when something next will be. A pool that was not started
        dials for ``waiting`` callers all the same."""
        if self._closed or not (self._running or waiting or self._waiters):
            return
        now = self._now()
        self._policy.on_demand = not (self._running and self._connector.keeps_open)
        plan = self._policy.plan(now, waiting=sum(not waiter.done() for waiter in self._waiters))
        for _ in range(plan.urgent):
            self._dial(urgent=True)
        for _ in range(plan.dial):
            self._dial(urgent=False)
        for key in plan.close:
            self._drop(key)
        for key in plan.keepalive:
            self._keep_alive(key)
        if self._policy.filled:
            self._warmed.set()
        if not self._policy.troubled:
            self._faults.recovered()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if plan.wake_at is not None:
            self._timer = asyncio.get_running_loop().call_at(plan.wake_at, self._tend)

    def _spawn(self, work: Coroutine[Any, Any, None], what: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=f"{what} {self._name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _keep_alive(self, key: int) -> None:
        check = self._connector.keep_alive(self._connections[key])
        if check is not None and self._policy.borrow(key):
            self._spawn(self._run_check(key, check), "keep alive")

    async def _run_check(self, key: int, check: Coroutine[Any, Any, bool]) -> None:
        good = False
        try:
            good = await check
        finally:
            self._release(key, reusable=good, used=False)

    def _dial(self, *, urgent: bool) -> None:
        def done(task: asyncio.Task[None]) -> None:
            if task.cancelled():  # in the middle, or before it has run at all
                self._policy.dial_abandoned()

        self._spawn(self._dial_one(urgent), "dial").add_done_callback(done)

    async def _dial_one(self, urgent: bool) -> None:
        self._counters.dials += 1
        timeout_s = self._settings.dial_timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                connection = await self._connector.dial(urgent=urgent)
        except VoiceError as error:
            self._dial_failed(error)
        except TimeoutError:
            self._dial_failed(
                PoolTimeout(f"{self._name} took a connection no further within {timeout_s:g} s.")
            )
        except Exception as error:
            log.exception("a dial to %s failed by a fault of this program; dialling again later", self._name)
            self._dial_failed(VoiceError(f"Dialling {self._name} failed: {error!r}."))
        else:
            self._admit(connection)
        self._tend()

    def _dial_failed(self, error: VoiceError) -> None:
        hopeless, retry_after_s = False, None
        if isinstance(error, ProviderError):
            hopeless, retry_after_s = not error.retryable, error.retry_after_s
            self._refusal = error
        self._policy.dial_failed(self._now(), random.random(), hopeless=hopeless, retry_after_s=retry_after_s)
        self._count_failure(error)
        self._fail_waiters(error)

    def _count_failure(self, error: VoiceError) -> None:
        self._counters.dial_failures += 1
        self._counters.reasons[reason_of(error)] += 1
        self._faults.failed(error, self._now())

    def _admit(self, connection: ConnectionT) -> None:
        if self._closed or not (self._connector.keeps_open or self._connector.is_open(connection)):
            self._connector.close(connection)
            self._policy.answered()
            return
        answered = self._connector.has_answered(connection)
        key = self._policy.opened(self._now(), random.random(), served=answered)
        self._connections[key] = connection
        self._connector.on_lost(connection, lambda: self._on_lost(key))
        self._serve_waiters()
