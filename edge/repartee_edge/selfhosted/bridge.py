"""A session passed on message by message: the way where uvicorn's version does not let the stream itself be joined.

Stands where ``tunnel`` does. Each side's pings and fragments are dealt with here, which costs more than passing bytes
on.
"""

import asyncio

from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol, Side, State

from repartee_edge.selfhosted.upstream import Upstream

READ_BYTES = 64 * 1024
MAX_MESSAGE_BYTES = 16 * 2**20
NORMAL, GONE = 1000, 1006


class Bridge:
    """What the app is given instead of a tunnel."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket

    def passes_on(self, header: bytes) -> bool:
        """Whether this header of the handshake is for the region: all but extensions, which are not spoken here."""
        return header != b"sec-websocket-extensions"

    async def join(self, upstream: Upstream, region: str) -> None:
        """Accept the client as the region did, then pass messages both ways until either side ends."""
        answer = dict(upstream.headers)
        await self._websocket.accept(
            answer.get("sec-websocket-protocol"), [(b"x-repartee-region", region.encode())]
        )
        far = _FarEnd(upstream)
        ways = [asyncio.create_task(self._to_region(far)), asyncio.create_task(self._to_client(far))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            upstream.transport.close()

    async def _to_region(self, far: "_FarEnd") -> None:
        while (message := await self._websocket.receive())["type"] == "websocket.receive":
            await far.send(message.get("text"), message.get("bytes"))
        code = message.get("code") or NORMAL
        await far.close(code if code not in (1005, GONE) else NORMAL, message.get("reason") or "")

    async def _to_client(self, far: "_FarEnd") -> None:
        try:
            while (message := await far.receive()) is not None:
                if isinstance(message, str):
                    await self._websocket.send_text(message)
                else:
                    await self._websocket.send_bytes(message)
            code, reason = far.closed_with
            await self._websocket.close(code if code not in (1005, GONE) else 1011, reason)
        except (WebSocketDisconnect, RuntimeError):
            return  # the client is gone: the other way has seen it


class _FarEnd:
    """The region's side: the protocol of ``websockets`` over the connection that the handshake left open."""

    def __init__(self, upstream: Upstream) -> None:
        self._protocol = Protocol(Side.CLIENT, state=State.OPEN, max_size=MAX_MESSAGE_BYTES)
        loop = asyncio.get_running_loop()
        self._reader = asyncio.StreamReader(READ_BYTES)
        adapter = asyncio.StreamReaderProtocol(self._reader)
        self._writer = asyncio.StreamWriter(upstream.transport, adapter, self._reader, loop)
        upstream.transport.set_protocol(adapter)
        adapter.connection_made(upstream.transport)
        self._protocol.receive_data(upstream.early)
        upstream.transport.resume_reading()
        self._pieces: list[bytes] = []
        self._is_text = False
        self._messages: list[str | bytes] = []

    @property
    def closed_with(self) -> tuple[int, str]:
        close = self._protocol.close_rcvd
        return (close.code, close.reason) if close else (GONE, "")

    async def send(self, text: str | None, data: bytes | None) -> None:
        if self._protocol.state is not State.OPEN:
            return
        if text is not None:
            self._protocol.send_text(text.encode())
        else:
            self._protocol.send_binary(data or b"")
        await self._flush()

    async def close(self, code: int, reason: str) -> None:
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(code, reason)
            await self._flush()

    async def receive(self) -> str | bytes | None:
        """The next message; None when there is no more."""
        while True:
            for event in self._protocol.events_received():
                if isinstance(event, Frame):
                    self._take(event)
            await self._flush()
            if self._messages:
                return self._messages.pop(0)
            if self._protocol.state is not State.OPEN:
                return None
            data = await self._reader.read(READ_BYTES)
            if not data:
                return None
            self._protocol.receive_data(data)

    def _take(self, frame: Frame) -> None:
        if frame.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            return
        if frame.opcode is not Opcode.CONT:
            self._is_text = frame.opcode is Opcode.TEXT
        self._pieces.append(bytes(frame.data))
        if frame.fin:
            whole, self._pieces = b"".join(self._pieces), []
            self._messages.append(whole.decode(errors="replace") if self._is_text else whole)

    async def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self._writer.write(data)
        await self._writer.drain()
