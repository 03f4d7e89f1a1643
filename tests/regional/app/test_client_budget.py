"""What one connection may take of the process: frames in a turn of the loop, messages a second."""

import asyncio
import time

import pytest
from tests.promptness import DEADLINE_S
from tests.regional.app.test_client_socket import (
    EMPTY,
    FIRST,
    PING,
    App,
    connected,
    connection,
    conversing,
    handed,
    upgrade,
)
from uvicorn.protocols.utils import ClientDisconnected
from websockets.exceptions import ConnectionClosed

from repartee.app.client_socket import (
    MAX_FRAGMENTS,
    Budget,
)


class TestBudget:
    """What one connection may take of the process."""

    async def test_so_many_messages_are_taken_in_a_turn_of_the_loop_and_then_reading_pauses(self) -> None:
        app = App()
        protocol, wire = await conversing(app)
        protocol.data_received(EMPTY * 150)
        assert (len(app.handed), wire.reading) == (64, False)
        await handed(app, 151)
        assert len(app.handed) == 150
        await asyncio.wait_for(wire.reads.wait(), DEADLINE_S)

    async def test_others_have_their_turn_in_between(self) -> None:
        app = App()
        protocol, _ = await conversing(app)
        seen: list[int] = []
        protocol.data_received(EMPTY * 150)
        while len(app.handed) < 150:
            await asyncio.sleep(0)
            seen.append(len(app.handed))
        assert {64, 128} <= set(seen)

    async def test_messages_that_take_long_pause_reading_sooner(self) -> None:
        app = App()
        protocol, wire = await conversing(app)

        def take(message: str | bytes) -> None:
            app.take(message)
            until = time.monotonic() + Budget().loop_ms / 1000
            while time.monotonic() < until:
                pass

        protocol.hand_over(take)
        protocol.data_received(EMPTY * 3)
        assert (len(app.handed), wire.reading) == (1, False)
        await handed(app, 4)
        assert len(app.handed) == 3

    async def test_what_comes_before_it_is_wanted_waits_unread(self) -> None:
        app = App()
        protocol, wire = connection(app)
        protocol.data_received(upgrade())
        protocol.data_received(FIRST + EMPTY * 1000)
        assert (protocol.queue.qsize(), wire.reading) == (1, False)  # the handshake's own event
        await handed(app, 1001)
        assert app.order == ["first", *[b""] * 1000]

    async def test_a_burst_is_allowed(self) -> None:
        app = App()
        async with connected(app) as connection:
            for _ in range(4000):
                await connection.send(b"20 ms of audio")
            await handed(app, 4000)
        assert app.order[-1] == "gone"

    @pytest.mark.parametrize("kind", ["message", "empty", "ping", "pong", "fragment"])
    async def test_a_client_that_sends_more_than_a_call_may_is_disconnected_with_the_reason(
        self, kind: str
    ) -> None:
        frame = {
            "message": b"\x81\x81\0\0\0\0a",
            "empty": EMPTY,
            "ping": PING + b"a",
            "pong": b"\x8a\x80\0\0\0\0",
            "fragment": b"\x00\x81\0\0\0\0a",
        }[kind]
        app = App()
        async with connected(app, Budget(messages_per_s=50.0)) as connection:
            await connection.send("first")
            await asyncio.wait_for(app.waiting.wait(), DEADLINE_S)
            if kind == "fragment":
                connection.transport.write(b"\x01\x81\0\0\0\0a")
            connection.transport.write(frame * 10_000)
            with pytest.raises(ConnectionClosed) as closed:
                await asyncio.wait_for(connection.recv(), DEADLINE_S)
            await handed(app, 2)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008
        assert closed.value.rcvd.reason == "A call may send 50 messages a second, pings included."
        assert len(app.handed) < 1000

    async def test_a_message_in_too_many_frames_closes_the_connection(self) -> None:
        app = App()
        async with connected(app, Budget(messages_per_s=5000)) as connection:
            await connection.send("first")
            await asyncio.wait_for(app.waiting.wait(), DEADLINE_S)
            connection.transport.write(b"\x01\x80\0\0\0\0" + b"\x00\x80\0\0\0\0" * MAX_FRAGMENTS)
            with pytest.raises(ConnectionClosed) as closed:
                await asyncio.wait_for(connection.recv(), DEADLINE_S)
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1009

    async def test_a_frame_that_is_too_long_is_refused_by_its_head(self) -> None:
        app = App()
        async with connected(app) as connection:
            await connection.send("first")
            await asyncio.wait_for(app.waiting.wait(), DEADLINE_S)
            connection.transport.write(b"\x82\xff" + (2**40).to_bytes(8) + b"\0\0\0\0" + bytes(300_000))
            with pytest.raises(ConnectionClosed) as closed:
                await asyncio.wait_for(connection.recv(), DEADLINE_S)
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1009

    async def test_pings_of_a_client_that_does_not_read_pile_up_no_answers(self) -> None:
        protocol, wire = await conversing(App())
        protocol.pause_writing()
        for payload in b"abc":
            protocol.data_received(PING + bytes([payload]))
        assert wire.written == []
        protocol.resume_writing()
        assert wire.written == [b"\x8a\x01c"]

    async def test_a_compressed_frame_is_refused(self) -> None:
        app = App()
        protocol, wire = await conversing(app)
        protocol.data_received(b"\xc1\x81\0\0\0\0a")
        assert wire.written[0][2:4] == (1002).to_bytes(2)
        assert app.handed == []

    async def test_the_application_cannot_send_after_that(self) -> None:
        app = App()
        protocol, _ = await conversing(app)
        protocol.data_received(b"\xc1\x81\0\0\0\0a")
        assert app.shortcuts.push("hello?") is False
        with pytest.raises(ClientDisconnected):
            await protocol.send({"type": "websocket.close"})
