"""A line of each carrier's: killed, stalled, and with its frames out of order."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.regional.transport.telephone.messages import DOCUMENTED

from repartee.transport.telephone.carriers import FRAMINGS
from repartee.transport.telephone.line import TelephoneTransport
from repartee.transport.websocket import AsgiSocket, WebSocketLink
from repartee.wire.announcer import Announcer
from repartee.wire.client_events import ClientEvent

EACH = pytest.mark.parametrize("carrier", sorted(FRAMINGS))
TROUBLE_S = 8.0


class RecordedCall:
    """What a line hands over. Implements :class:`~repartee.transport.interfaces.CallSide`."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.gone = 0
        self.troubles: list[tuple[str, bool]] = []
        self.faults: list[BaseException] = []

    def take_audio(self, audio: bytes) -> None:
        self.pieces.append(audio)

    def take_event(self, event: ClientEvent, source: str) -> None:
        raise AssertionError("a carrier wishes for nothing")

    def take_digit(self, digit: str) -> None: ...

    def take_played(self, item_id: str, played_ms: float) -> None: ...

    def refer(self, to: str) -> None:
        raise AssertionError

    def part(self, say: str) -> None: ...

    def line_troubled(self, trouble: str, *, lost: bool) -> None:
        self.troubles.append((trouble, lost))

    def client_gone(self) -> None:
        self.gone += 1

    def client_slow(self) -> None: ...

    def fail(self, error: BaseException) -> None:
        self.faults.append(error)


class OneLine:
    """A line that has begun, and its carrier's end."""

    def __init__(self, carrier: str) -> None:
        self.documented, framing = DOCUMENTED[carrier], FRAMINGS[carrier]()
        framing.parse(self.documented.start)
        self.resumes = framing.resumes
        self.sent: list[str | bytes] = []
        self.call = RecordedCall()
        self._inbound: asyncio.Queue[Mapping[str, Any]] = asyncio.Queue()
        socket = AsgiSocket(self._inbound.get, self._send, push=self._push)
        self.line = TelephoneTransport(WebSocketLink(socket), framing, self.documented.format, Announcer("1"))
        self.piece_bytes = int(self.documented.format.bytes_per_ms * 20)

    async def _send(self, message: dict[str, Any]) -> None:
        self._push(message.get("text") or message.get("bytes") or "")

    def _push(self, message: str | bytes) -> bool:
        self.sent.append(message)
        return True

    def piece(self, number: int) -> bytes:
        """20 ms that no other 20 ms resemble."""
        return bytes([number + 1]) * self.piece_bytes

    def speaks(self, number: int) -> None:
        """The caller's 20 ms of this number."""
        message = self.documented.media
        if isinstance(message, bytes):
            self._inbound.put_nowait({"type": "websocket.receive", "bytes": self.piece(number)})
            return
        said = json.loads(message)
        said["media"]["payload"] = base64.b64encode(self.piece(number)).decode()
        for name, value in (("chunk", number + 1), ("timestamp", 20 * number)):
            if name in said["media"]:
                said["media"][name] = str(value)
        self._inbound.put_nowait({"type": "websocket.receive", "text": json.dumps(said)})

    def dies(self) -> None:
        """The socket is gone."""
        self._inbound.put_nowait({"type": "websocket.disconnect", "code": 1006})

    async def until(self, seen: Any) -> None:
        async with asyncio.timeout(TROUBLE_S):
            while not seen():  # noqa: ASYNC110 - the line's own clock changes it
                await asyncio.sleep(0.01)


@asynccontextmanager
async def a_line(carrier: str) -> AsyncIterator[OneLine]:
    one = OneLine(carrier)
    tasks = [asyncio.ensure_future(line) for line in one.line.lines(one.call)]
    tasks.append(asyncio.ensure_future(one.line.receive()))
    try:
        yield one
    finally:
        one.line.stop_receiving()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


@EACH
@pytest.mark.parametrize("when", ["in mid-answer", "in mid-utterance"])
async def test_a_stream_that_is_killed_ends_the_call_once(carrier: str, when: str) -> None:
    async with a_line(carrier) as one:
        if when == "in mid-answer":
            one.line.play(1, bytes(int(one.documented.format.bytes_per_ms * 2_000)))
            await one.until(lambda: one.sent)
        else:
            for number in range(5):
                one.speaks(number)
            await one.until(lambda: len(one.call.pieces) == 5)
        one.dies()
        await one.until(lambda: one.call.gone)
        one.line.stop_receiving()
        sent = len(one.sent)
        await asyncio.sleep(0.3)
        assert (one.call.gone, len(one.sent), one.call.faults) == (1, sent, [])


@EACH
async def test_a_stream_that_stalls_inwards_is_in_trouble_and_given_up_if_another_may_follow(
    carrier: str,
) -> None:
    async with a_line(carrier) as one:
        one.speaks(0)
        await one.until(lambda: one.call.troubles)
        assert one.call.troubles == [("nothing_received", one.resumes)]


@EACH
async def test_a_stream_that_plays_nothing_is_in_trouble(carrier: str) -> None:
    async with a_line(carrier) as one:

        async def keep_speaking() -> None:
            for number in range(1_000):
                one.speaks(number % 200)
                await asyncio.sleep(0.1)

        speaking = asyncio.create_task(keep_speaking())
        one.line.play(1, bytes(int(one.documented.format.bytes_per_ms * 200)))
        await one.until(lambda: one.call.troubles)
        speaking.cancel()
        assert one.call.troubles == [("nothing_played", one.resumes)]


@EACH
async def test_frames_out_of_order_are_all_heard(carrier: str) -> None:
    order = [0, 1, 3, 2, 4, 6, 5, 7, 8, 9]
    async with a_line(carrier) as one:
        for number in order:
            one.speaks(number)
        wanted = [one.piece(number) for number in range(10)]
        await one.until(lambda: sum(piece in wanted for piece in one.call.pieces) == 10)
        spoken = [piece for piece in one.call.pieces if piece in wanted]
        assert sorted(spoken) == sorted(wanted), "each once"
        if carrier == "telnyx":
            assert one.call.pieces == wanted, (
                "it promises no order: they are sorted, and nothing is filled in"
            )
