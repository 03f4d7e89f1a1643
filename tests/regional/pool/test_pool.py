"""The pool's shell, on connections that a script opens, loses and refuses."""

import asyncio
import contextlib
from typing import Any

import pytest
from tests.promptness import DEADLINE_S
from tests.regional.pool.scripted_provider import REFUSED, Connection, ScriptedProvider, running, until

from repartee.errors import PoolTimeout, ProviderError, VoiceError
from repartee.pool.cold_waits import follow_waits
from repartee.pool.faults import reason_of


async def test_a_warm_pool_gives_at_once_and_refills() -> None:
    provider = ScriptedProvider()
    async with running(provider, single_use=True) as pool:
        await pool.wait_warm(1)
        assert repr(pool) == "<Pool deepgram: 2 idle, 0 leased, 0 dialling>"
        lease = await pool.acquire()
        assert lease.hit
        assert repr(pool) == "<Pool deepgram: 1 idle, 1 leased, 1 dialling>"
        await until(lambda: repr(pool) == "<Pool deepgram: 2 idle, 1 leased, 0 dialling>")
        lease.release()
        lease.release()
        assert repr(pool) == "<Pool deepgram: 2 idle, 0 leased, 0 dialling>"
        assert provider.closed == [lease.connection]
        figures = pool.figures()
        assert (figures.hits, figures.misses, figures.dials, figures.idle) == (1, 0, 3, 2)


async def test_an_empty_pool_dials_for_the_caller_and_says_that_it_waited() -> None:
    provider, waits = ScriptedProvider(), follow_waits()
    async with running(provider, spare=0) as pool:
        async with pool.lease() as connection:
            assert connection.open
        assert provider.urgent == [True]
        figures = pool.figures()
        assert (figures.hits, figures.misses) == (0, 1)
        assert figures.wait_ms > 0
        [wait] = waits
        assert (wait.pool, wait.ms) == ("deepgram", figures.wait_ms)
        assert repr(pool) == "<Pool deepgram: 1 idle, 0 leased, 0 dialling>"


async def test_whoever_waits_gets_the_first_connection_there_is_in_order() -> None:
    provider = ScriptedProvider()
    async with running(provider, spare=0, max_open=1) as pool:
        first = await pool.acquire()
        waiting = [asyncio.create_task(pool.acquire()) for _ in range(2)]
        await until(lambda: pool.figures().waiting == 2)
        first.release()
        second = await waiting[0]
        assert second.connection is first.connection
        assert not waiting[1].done()
        second.release()
        (await waiting[1]).release()


async def test_dead_connections_are_not_given_out() -> None:
    provider = ScriptedProvider()
    async with running(provider) as pool:
        await pool.wait_warm(1)
        for connection in provider.open:
            connection.open = False  # half open: nobody has said so
        lease = await pool.acquire()
        assert lease.connection.open
        assert not lease.hit
        assert pool.figures().lost == 2


async def test_a_lost_connection_is_replaced() -> None:
    provider = ScriptedProvider()
    async with running(provider, spare=1) as pool:
        await pool.wait_warm(1)
        provider.dialled[0].lose()
        await until(lambda: pool.figures().idle == 1)
        assert provider.dialled[1].open


async def test_a_connection_that_failed_its_user_is_not_used_again() -> None:
    provider = ScriptedProvider()
    async with running(provider, spare=1) as pool:
        with pytest.raises(RuntimeError):
            async with pool.lease() as connection:
                raise RuntimeError
        assert not connection.open


async def test_a_failed_dial_is_told_to_the_caller_who_waited() -> None:
    provider = ScriptedProvider()
    provider.refuse = REFUSED
    async with running(provider, spare=1) as pool:
        with pytest.raises(ProviderError, match="Deepgram refused"):
            await pool.acquire()
        figures = pool.figures()
        assert figures.dial_failures >= 1
        assert figures.last_error == "Deepgram refused."
        assert not figures.warm
        with pytest.raises(
            PoolTimeout, match=r"not ready within 0.01 s. The last attempt failed: Deepgram refused"
        ):
            await pool.wait_warm(0.01)


async def test_a_pool_recovers_by_itself_when_the_provider_does() -> None:
    provider = ScriptedProvider()
    provider.refuse = REFUSED
    async with running(provider, spare=1, backoff_first_s=0.01, backoff_max_s=0.02) as pool:
        await until(lambda: pool.figures().dial_failures >= 2)
        provider.refuse = None
        await pool.wait_warm(1)
        assert pool.figures().last_error is None


async def test_a_caller_waits_only_so_long() -> None:
    provider = ScriptedProvider()
    provider.gate.clear()
    async with running(provider, spare=0) as pool:
        with pytest.raises(PoolTimeout, match=r"was ready within 0\.01 s"):
            await pool.acquire(timeout_s=0.01)
        assert pool.figures().waiting == 0
        provider.gate.set()
        await until(lambda: pool.figures().idle == 1)


async def test_a_cancelled_caller_leaves_the_queue_and_the_dial_is_kept_for_others() -> None:
    provider = ScriptedProvider()
    provider.gate.clear()
    async with running(provider, spare=0) as pool:
        caller = asyncio.create_task(pool.acquire())
        await until(lambda: provider.dialling == 1)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        assert pool.figures().waiting == 0
        provider.gate.set()
        await until(lambda: pool.figures().idle == 1)
        assert (await pool.acquire()).hit


async def test_a_caller_cancelled_in_the_moment_of_success_leaks_nothing() -> None:
    provider = ScriptedProvider()
    async with running(provider, spare=0, max_open=1) as pool:
        first = await pool.acquire()
        caller = asyncio.create_task(pool.acquire())
        await until(lambda: pool.figures().waiting == 1)
        first.release()  # hands over to the caller, who has not run yet
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        assert repr(pool) == "<Pool deepgram: 1 idle, 0 leased, 0 dialling>"


async def test_closing_tells_who_waits() -> None:
    provider = ScriptedProvider()
    provider.gate.clear()
    async with running(provider, spare=0) as pool:
        caller = asyncio.create_task(pool.acquire())
        await until(lambda: provider.dialling == 1)
        await pool.aclose()
        with pytest.raises(PoolTimeout, match="is closing"):
            await caller
        with pytest.raises(PoolTimeout, match="is closing"):
            await pool.acquire()


async def test_idle_connections_are_kept_alive() -> None:
    provider = ScriptedProvider()
    async with running(provider, spare=1, keepalive_s=0.01) as pool:
        await pool.wait_warm(1)
        await until(lambda: provider.dialled[0].kept_alive >= 3)


async def test_a_connection_being_checked_is_not_given_out_and_one_that_fails_is_replaced() -> None:
    provider = ScriptedProvider()
    provider.checks = asyncio.Event()
    async with running(provider, spare=1, keepalive_s=0.02) as pool:
        await pool.wait_warm(1)
        await until(lambda: provider.dialled[0].kept_alive == 1)
        lease = await pool.acquire()
        assert lease.connection is not provider.dialled[0]
        provider.check_result = False
        provider.checks.set()
        await until(lambda: not provider.dialled[0].open)


async def test_many_callers_and_cancellations_leave_the_books_balanced() -> None:
    provider = ScriptedProvider()
    async with running(provider, spare=3, slots=2, max_open=8) as pool:

        async def call(number: int) -> None:
            async with pool.lease():
                await asyncio.sleep(0.001 * (number % 3))

        calls = [asyncio.create_task(call(number)) for number in range(200)]
        for number, task in enumerate(calls):
            if number % 3 == 0:
                await asyncio.sleep(0)
                task.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        figures = pool.figures()
        assert (figures.leased, figures.waiting) == (0, 0)
        assert len(provider.open) <= 8


class ClosingProvider(ScriptedProvider):
    """Takes every connection, and ends it a moment later."""

    ends = True

    async def dial(self, *, urgent: bool) -> Connection:
        connection = await super().dial(urgent=urgent)
        if self.ends:
            asyncio.get_running_loop().call_later(0.002, connection.lose)
        return connection


async def test_one_that_accepts_and_closes_is_never_warm_and_told_of_in_one_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "repartee.pool")
    provider = ClosingProvider()
    settings: dict[str, Any] = {
        "young_s": 0.03,
        "backoff_first_s": 0.01,
        "backoff_max_s": 0.05,
        "dials_per_s": 50,
    }
    async with running(provider, **settings) as pool:
        await until(lambda: pool.figures().dial_failures >= 6)
        figures = pool.figures()
        assert figures.last_error == "Deepgram closed the connection (1011 internal)."
        assert figures.fault is not None
        assert "status page" in figures.fault.do
        assert (figures.warm, figures.usable, figures.ready) == (False, False, 0)
        provider.ends = False
        await pool.wait_warm(1)
        assert (pool.figures().fault, pool.figures().usable) == (None, True)
    assert [record.getMessage() for record in caplog.records] == [
        "cannot connect to deepgram: Deepgram closed the connection (1011 internal); retrying. "
        "The provider is failing: look at its status page.",
        "connected to deepgram again; calls may use it",
    ]


async def test_a_dial_that_hangs_is_named_within_its_time_limit() -> None:
    provider = ScriptedProvider()
    provider.gate.clear()
    async with running(provider, dial_timeout_s=0.02) as pool:
        await until(lambda: pool.figures().fault is not None)
        assert "no further within 0.02 s" in str(pool.figures().last_error)


async def test_a_connection_that_the_provider_said_it_would_end_is_no_fault() -> None:
    provider = ScriptedProvider()
    async with running(provider, spare=1, young_s=10.0) as pool:
        await until(lambda: bool(provider.open))
        provider.dialled[0].announced = True
        provider.dialled[0].lose()
        await until(lambda: bool(provider.open))
        assert pool.figures().fault is None


async def test_a_provider_that_keeps_nothing_open_is_ready_and_dialled_for_each_caller() -> None:
    provider = ScriptedProvider()

    async def answered(*, urgent: bool) -> Connection:
        connection = await ScriptedProvider.dial(provider, urgent=urgent)
        if not urgent:
            provider.keeps_open = connection.open = False
        return connection

    provider.dial = answered  # type: ignore[method-assign]
    async with running(provider) as pool:
        await pool.wait_warm(1)
        assert (pool.warm, pool.figures().idle) == (True, 0)
        probed = len(provider.dialled)
        for _ in range(3):
            lease = await pool.acquire()
            lease.connection.announced = True
            lease.connection.lose()
            lease.release()
        assert len(provider.dialled) == probed + 3
        assert pool.figures().fault is None


async def test_a_kind_that_is_not_kept_counts_against_the_same_ceiling() -> None:
    provider = ScriptedProvider()
    async with running(provider, spare=0, dials_per_s=2, acquire_timeout_s=0.05) as pool:
        for _ in range(2):
            (await pool.dial_apart(provider)).release()
        with pytest.raises(PoolTimeout):
            await pool.dial_apart(provider)
        assert len(provider.dialled) == 2


async def test_a_fault_of_ours_in_a_dial_backs_off_too(caplog: pytest.LogCaptureFixture) -> None:
    provider = ScriptedProvider()
    provider.refuse = ZeroDivisionError("oh")
    async with running(provider, backoff_first_s=5.0) as pool:
        await until(lambda: pool.figures().dial_failures >= 2)
        await asyncio.sleep(0.02)
        assert pool.figures().dials == 2
    assert "fault of this program" in caplog.text


async def test_a_dial_that_comes_about_although_it_was_cancelled_is_closed() -> None:
    provider = ScriptedProvider()
    dial = provider.dial

    async def stubborn(*, urgent: bool) -> Connection:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(DEADLINE_S)
        return await dial(urgent=urgent)

    provider.dial = stubborn  # type: ignore[method-assign]
    async with running(provider):
        await asyncio.sleep(0)
    assert len(provider.closed) == 2


async def test_a_closed_pool_dials_nothing_apart() -> None:
    provider = ScriptedProvider()
    async with running(provider, started=False) as pool:
        await pool.aclose()
        with pytest.raises(PoolTimeout, match="is closing"):
            await pool.dial_apart(provider)
    assert provider.dialled == []


def test_each_reason_of_a_failure_has_a_name() -> None:
    def failed(status: int | None) -> ProviderError:
        return ProviderError("No.", provider="x", stage="tts", retryable=True, status=status)

    errors = [failed(429), failed(1008), failed(None), PoolTimeout("Late."), VoiceError("Ours.")]
    assert [reason_of(error) for error in errors] == [
        "http_429",
        "closed_1008",
        "unreachable",
        "timeout",
        "fault",
    ]
