"""What is on its way to the client: a bounded queue in front of one socket, empty while the client keeps up.

Putting never waits, so nothing on the audio path does; a client that does not read is told apart from a slow
moment by how much has piled up.
"""

import asyncio
import base64
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

Message = dict[str, Any]
Send = Callable[[Message], Awaitable[None]]
Push = Callable[[Message], bool]

_encoder = msgspec.json.Encoder()


class Outbox:
    """The client's side of the wire, outwards. ``push`` sends a message if that needs no waiting, ``send`` waits.

    ``limit_bytes`` is how much may wait; ``binary`` sends audio as raw frames.
    """

    def __init__(self, send: Send, push: Push, *, binary: bool, limit_bytes: int) -> None:
        self._send = send
        self._push = push
        self.binary = binary
        self._limit_bytes = limit_bytes
        self._waiting: deque[Message] = deque()
        self._waiting_bytes = 0
        self._filled = asyncio.Event()
        self._sending = False

    @property
    def overfull(self) -> bool:
        """The client has stopped reading."""
        return self._waiting_bytes > self._limit_bytes

    def put_event(self, event: Message) -> None:
        """A server event, as JSON text."""
        self._put("text", _encoder.encode(event).decode())

    def put_text(self, text: str) -> None:
        """A server event that is JSON text already."""
        self._put("text", text)

    def put_audio(self, delta: Message, audio: bytes) -> None:
        """Audio on its own, or as the ``delta`` of its event."""
        if self.binary:
            self._put("bytes", audio)
        else:
            self.put_event(delta | {"delta": base64.b64encode(audio).decode()})

    async def run(self) -> None:
        """Send what is put, in order, until cancelled. Raises what the socket raises once the client is gone."""
        while True:
            await self._filled.wait()
            self._filled.clear()
            await self.flush()

    async def flush(self) -> None:
        """Send what waits."""
        while self._waiting:
            message = self._waiting.popleft()
            self._waiting_bytes -= _size(message)
            self._sending = True
            await self._send(message)
            self._sending = False

    def _put(self, kind: str, payload: str | bytes) -> None:
        message = {"type": "websocket.send", kind: payload}
        if not self._sending and not self._waiting and self._push(message):
            return
        self._waiting.append(message)
        self._waiting_bytes += len(payload)
        self._filled.set()


def _size(message: Message) -> int:
    return len(message.get("text") or message.get("bytes") or b"")
