"""A call by telephone that is connected where its caller may not listen in."""

import asyncio
import json
from http import HTTPStatus

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from repartee.client import telephone
from repartee.client.faults import CallFailed
from repartee.client.telephone import TelephoneWishes, connect_telephone


async def network(socket: ServerConnection) -> None:
    """A telephone network that connects whoever dials."""
    async for message in socket:
        if "dial" in json.loads(message):
            for event in ("ringing", "answered"):
                await socket.send(json.dumps({"event": event, "call_id": "CA1"}))


def no_such_call(socket: ServerConnection, request: Request) -> Response:
    """A region that has no calls."""
    return socket.respond(HTTPStatus.NOT_FOUND, "There is no such call.")


async def test_a_call_that_another_region_has_is_a_fault_that_says_what_to_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(telephone, "ANSWER_S", 0.2)
    async with (
        serve(network, "127.0.0.1", 0) as carrier,
        serve(lambda socket: asyncio.sleep(0), "127.0.0.1", 0, process_request=no_such_call) as region,
    ):
        carriers, regions = (
            f"127.0.0.1:{next(iter(one.sockets)).getsockname()[1]}" for one in (carrier, region)
        )
        wishes = TelephoneWishes(f"http://{carriers}/", [f"http://{regions}"], lambda url: "ticket")
        with pytest.raises(CallFailed, match=rf"{regions} does not have it.*up --telephone --regions 1"):
            await connect_telephone(wishes)
