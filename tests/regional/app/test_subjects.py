"""How many calls one token or key may have at once: in one process, and over those of a region."""

import time
from contextlib import AsyncExitStack, ExitStack

import pytest
from tests.regional.app.processes.test_parent import until_ready
from tests.regional.app.running import TICKET_KEY, calling, region, region_process, until
from websockets.exceptions import InvalidStatus

from repartee.app.subjects import Subjects
from repartee.errors import TooManyCalls
from repartee_edge.tickets import TicketKeys, sign


def test_a_subject_has_so_many_calls_at_once_and_no_more() -> None:
    subjects = Subjects()
    with ExitStack() as calls:
        for _ in range(2):
            calls.enter_context(subjects.one("a token", 2))
        with pytest.raises(TooManyCalls, match="2 calls at once already"), subjects.one("a token", 2):
            pass
        with subjects.one("another", 1):
            assert repr(subjects) == "<Subjects: 2 with 3 calls>"
    assert repr(subjects) == "<Subjects: 0 with 0 calls>"
    with subjects.one("a token", 2):
        pass


def test_a_call_that_fails_is_over() -> None:
    subjects = Subjects()
    with pytest.raises(RuntimeError), subjects.one("a token", 1):
        raise RuntimeError
    assert repr(subjects) == "<Subjects: 0 with 0 calls>"


def test_without_a_limit_nothing_is_counted() -> None:
    subjects = Subjects()
    with ExitStack() as calls:
        for _ in range(1000):
            calls.enter_context(subjects.one("a key", None))
        assert repr(subjects) == "<Subjects: 0 with 0 calls>"


def ticket(subject: str, limit: int | None) -> dict[str, str]:
    """A new ticket, as the edge sends it along."""
    keys = TicketKeys(TICKET_KEY)
    return {"x-repartee-ticket": sign(keys, region="here", subject=subject, now=time.time(), limit=limit)}


async def place(url: str, calls: AsyncExitStack, subject: str, limit: int | None) -> int:
    """The status of one more call, which goes on until ``calls`` are closed."""
    try:
        await calls.enter_async_context(calling(url, additional_headers=ticket(subject, limit)))
    except InvalidStatus as refusal:
        assert refusal.response.headers["Retry-After"] == "2"
        assert b"too_many_calls" in (refusal.response.body or b"")
        return refusal.response.status_code
    return 101


async def test_one_token_takes_two_slots_and_leaves_the_others(providers: dict[str, str]) -> None:
    settings = {**providers, "REPARTEE_TICKET_KEY": TICKET_KEY, "REPARTEE_REGION": "here"}
    async with region(settings, allow_anonymous=False) as worker:
        async with AsyncExitStack() as calls:
            statuses = [await place(worker.url, calls, "token", 2) for _ in range(10)]
            assert statuses == [101, 101] + [429] * 8
            assert worker.worker.slots.taken == 2
            assert await place(worker.url, calls, "a key", 500) == 101
            assert await place(worker.url, calls, "an older edge's", None) == 101
        await until(lambda: not worker.worker.slots.taken)
        async with AsyncExitStack() as calls:
            assert await place(worker.url, calls, "token", 2) == 101


async def test_the_calls_of_a_token_are_counted_over_all_processes(providers: dict[str, str]) -> None:
    settings = {**providers, "REPARTEE_TICKET_KEY": TICKET_KEY, "REPARTEE_REGION": "here"}
    with region_process(settings, "--workers", "2") as worker:
        await until_ready(worker)
        async with AsyncExitStack() as calls:
            statuses = [await place(worker.url, calls, "token", 3) for _ in range(8)]
            assert statuses == [101] * 3 + [429] * 5
            assert await place(worker.url, calls, "another", 3) == 101
