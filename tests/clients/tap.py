"""Stands between a client and the edge, over real sockets, and writes down what the server says."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from tests.promptness import DEADLINE_S
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol


class Tap:
    """One system's. ``events`` are all that the server has said, ``asked`` all that the client has, audio aside."""

    def __init__(self, upstream: str, trusted: ssl.SSLContext) -> None:
        self._upstream = upstream
        self._trusted = trusted
        self.events: list[dict[str, Any]] = []
        self.asked: list[dict[str, Any]] = []
        self._came = asyncio.Event()

    async def hears(self, seen: Callable[[], Any], what: str) -> Any:
        """What ``seen`` gives, once it gives something."""
        try:
            async with asyncio.timeout(DEADLINE_S):
                while not (found := seen()):
                    self._came.clear()
                    await self._came.wait()
                return found
        except TimeoutError:
            kinds = [each["type"] for each in self.events if not each["type"].endswith("audio.delta")]
            raise AssertionError(f"{what} did not come: {kinds[-60:]}, asked: {self.asked[-8:]}") from None

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == kind]

    @property
    def said(self) -> list[str]:
        """The transcripts of the answers whose audio is complete, in order."""
        return [event["transcript"] for event in self.of("response.output_audio_transcript.done")]

    async def pass_on(self, client: ServerConnection) -> None:
        """One client's connection."""
        request = client.request
        assert request is not None
        kept = (
            {"Authorization": request.headers["Authorization"]} if "Authorization" in request.headers else {}
        )
        offered = [
            Subprotocol(item.strip()) for item in request.headers.get("Sec-WebSocket-Protocol", "").split(",")
        ]
        beta = {"OpenAI-Beta": request.headers["OpenAI-Beta"]} if "OpenAI-Beta" in request.headers else {}
        async with connect(
            self._upstream + request.path.removeprefix("/v1/realtime"),
            additional_headers=kept | beta,
            subprotocols=[item for item in offered if item] or None,
            ssl=self._trusted,
            max_size=None,
            proxy=None,
        ) as server:
            ways = [
                asyncio.create_task(self._to_server(client, server)),
                asyncio.create_task(self._to_client(server, client)),
            ]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()

    async def _to_server(self, client: Any, server: Any) -> None:
        with suppress(ConnectionClosed):
            async for frame in client:
                if '"input_audio_buffer.append"' not in frame[:200]:
                    self.asked.append(json.loads(frame))
                await server.send(frame)

    async def _to_client(self, server: Any, client: Any) -> None:
        with suppress(ConnectionClosed):
            async for frame in server:
                self.events.append(json.loads(frame))
                self._came.set()
                await client.send(frame)


@asynccontextmanager
async def tapping(
    upstream: str, own: ssl.SSLContext, trusted: ssl.SSLContext
) -> AsyncIterator[tuple[Tap, str]]:
    """A tap before ``upstream``, and the URL at which a client finds it."""
    tap = Tap(upstream, trusted)

    def chosen(connection: ServerConnection, offered: Any) -> Subprotocol | None:
        return Subprotocol("realtime") if "realtime" in offered else None

    async with serve(
        tap.pass_on, "127.0.0.1", 0, ssl=own, max_size=None, select_subprotocol=chosen, compression=None
    ) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield tap, f"wss://localhost:{port}/v1/realtime"
