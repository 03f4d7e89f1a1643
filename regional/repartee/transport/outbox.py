"""What is on its way to the client: a bounded queue in front of one socket, empty while the client keeps up.

Putting never waits, so nothing on the audio path does. How much has piled up tells a client that does not read from
a slow moment.
"""

import asyncio
import base64
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

ServerEvent = dict[str, Any]
Send = Callable[[str | bytes], Awaitable[None]]
Push = Callable[[str | bytes], bool]

_encoder = msgspec.json.Encoder()


class Outbox:
    """The client's side of the wire, outwards. ``push`` sends a message if that needs no waiting, ``send`` waits.

    ``limit_bytes`` is how much may wait before ``on_overfull`` is called; ``binary`` sends audio as raw frames.
    """

    def __init__(
        self,
        send: Send,
        push: Push,
        *,
        binary: bool,
        limit_bytes: int,
        on_overfull: Callable[[], None] = lambda: None,
    ) -> None:
        self._send = send
        self._push = push
        self.binary = binary
        self._limit_bytes = limit_bytes
        self._on_overfull = on_overfull
        self._waiting: deque[str | bytes] = deque()
        self._waiting_bytes = 0
        self._filled = asyncio.Event()
        self._sending = False

    def put_event(self, event: ServerEvent) -> None:
        """A server event, as JSON text."""
        self._put(_encoder.encode(event).decode())

    def put_text(self, text: str) -> None:
        """A server event that is JSON text already."""
        self._put(text)

    def put(self, payload: str | bytes) -> None:
        """A message as it is."""
        self._put(payload)

    def replace(self, payload: str | bytes) -> None:
        """A message in place of all that waits."""
        self._waiting.clear()
        self._waiting_bytes = 0
        self._put(payload)

    def put_audio(self, delta: ServerEvent, audio: bytes) -> None:
        """Audio on its own, or as the ``delta`` of its event."""
        if self.binary:
            self._put(audio)
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
            payload = self._waiting.popleft()
            self._waiting_bytes -= len(payload)
            self._sending = True
            await self._send(payload)
            self._sending = False

    def _put(self, payload: str | bytes) -> None:
        if not self._sending and not self._waiting and self._push(payload):
            return
        self._waiting.append(payload)
        self._waiting_bytes += len(payload)
        self._filled.set()
        if self._waiting_bytes > self._limit_bytes:
            self._on_overfull()
