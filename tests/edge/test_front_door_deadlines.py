"""How long a connection may keep the front door waiting, on a clock of its own."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import uvicorn
from tests.edge.test_front_door import GET, POST, App, statuses
from uvicorn.server import ServerState

from repartee_edge.selfhosted.front_door import FrontDoor, Room
from repartee_edge.selfhosted.heads import DoorLimits


class Timer:
    def __init__(self, at: float, call: Callable[[], None]) -> None:
        self.at, self.call, self.cancelled = at, call, False

    def cancel(self) -> None:
        self.cancelled = True


class Clock:
    """A loop whose time passes when the test says so."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[Timer] = []

    def call_later(self, delay: float, call: Callable[..., None], *given: Any) -> Timer:
        timer = Timer(self.now + delay, lambda: call(*given))
        self.timers.append(timer)
        return timer

    def create_task(self, work: Any) -> asyncio.Task[Any]:
        return asyncio.get_running_loop().create_task(work)

    def pass_time(self, until: float) -> None:
        while due := [timer for timer in self.timers if timer.at <= until and not timer.cancelled]:
            first = min(due, key=lambda timer: timer.at)
            self.timers.remove(first)
            self.now = first.at
            first.call()
        self.now = until


class Wire(asyncio.Transport):
    """The connection's other end. ``unread``: the client reads nothing, so what is written stays."""

    def __init__(self, clock: Clock) -> None:
        super().__init__({"sockname": ("127.0.0.1", 80), "peername": ("127.0.0.1", 81)})
        self.clock = clock
        self.sent = b""
        self.unread = False
        self.closed_at: float | None = None

    def write(self, data: Any) -> None:
        self.sent += bytes(data)

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.close_if_read()

    def close_if_read(self) -> None:
        if not self.unread:
            self.closed_at = self.clock.now if self.closed_at is None else self.closed_at

    def get_write_buffer_size(self) -> int:
        return len(self.sent) if self.unread else 0

    def is_closing(self) -> bool:
        return self.closed_at is not None

    def close(self) -> None:
        self.close_if_read()

    def abort(self) -> None:
        self.unread = False
        self.close_if_read()

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class Line:
    """A connection with the limits as shipped."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.wire = Wire(self.clock)
        config = uvicorn.Config(App(), log_config=None)
        config.load()
        given: Any = {"config": config, "server_state": ServerState(), "app_state": {}, "_loop": self.clock}
        self.door = FrontDoor(room=Room(DoorLimits()), **given)
        self.door.connection_made(self.wire)

    async def send(self, data: bytes, at: float) -> None:
        self.clock.pass_time(at)
        self.door.data_received(data)
        for _ in range(5):
            await asyncio.sleep(0)

    def ends_at(self, until: float = 100.0) -> float | None:
        self.clock.pass_time(until)
        return self.wire.closed_at


async def test_a_connection_that_says_nothing_closes_after_10_s() -> None:
    line = Line()
    assert line.ends_at() == 10.0
    assert line.wire.sent == b""


async def test_half_a_head_is_refused_after_10_s_however_slowly_it_comes() -> None:
    line = Line()
    for second in range(10):
        await line.send(GET[second : second + 1], at=second + 0.9)
    assert line.ends_at() == 10.0
    assert statuses(line.wire.sent) == [408]


async def test_a_later_head_has_10_s_from_its_first_byte() -> None:
    line = Line()
    await line.send(GET + b"\r\n", at=0.0)
    for step in range(30):
        await line.send(GET[step : step + 1], at=4.0 + step / 3.1)
    assert line.ends_at() == 14.0
    assert statuses(line.wire.sent) == [200, 408]


async def test_an_idle_connection_closes_after_5_s() -> None:
    line = Line()
    await line.send(GET + b"\r\n", at=3.0)
    assert line.ends_at() == 8.0
    assert statuses(line.wire.sent) == [200]


@pytest.mark.parametrize("how", [b"Content-Length: 1000", b"Transfer-Encoding: chunked"])
async def test_a_body_has_10_s(how: bytes) -> None:
    line = Line()
    await line.send(POST + how + b"\r\n\r\n", at=3.0)
    for second in range(4, 13):
        await line.send(b"1\r\na\r\n", at=float(second))
    assert line.ends_at() == 13.0
    assert statuses(line.wire.sent) == [408]


async def test_a_client_that_does_not_read_its_answer_is_given_up_after_30_s() -> None:
    line = Line()
    line.wire.unread = True
    await line.send(GET + b"Connection: close\r\n\r\n", at=0.0)
    assert statuses(line.wire.sent) == [200]
    assert line.ends_at() == 30.0
