"""Telephones that are WebSockets: a person's at a page, or a program's. And what else the network offers under
``/telephone/``: its page, its calls, and faults on a line.

A handset connects to ``/telephone/handset?number=+1…``. Binary messages are 20 ms of mu-law both ways; texts are
objects: ``{"dial": NUMBER}``, ``{"answer": true, "machine": false}``, ``{"key": "5"}``, ``{"beep": true}`` and
``{"hang_up": true}`` one way, ``{"event": …}`` the other.
"""

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Final

from repartee.standins.asgi_link import MessageSocket
from repartee.standins.carrier.calls import CallPlan, CarriedCall
from repartee.standins.carrier.media_stream import LineFaults
from repartee.standins.carrier.network import TelephoneNetwork
from repartee.standins.carrier.playout import FRAME_BYTES
from repartee.standins.carrier.rest import call_json
from repartee.standins.carrier.telephones import Telephone
from repartee.standins.link import DirectWebSocket, Scope, query_of
from repartee.standins.openai_chat import Exchange

PREFIX: Final = "/telephone/"
PAGE: Final = Path(__file__).parent / "page"
KINDS: Final = {"html": "text/html; charset=utf-8", "js": "text/javascript", "css": "text/css"}


class Handset:
    """One WebSocket, and the telephone that it is."""

    def __init__(self, network: TelephoneNetwork, number: str, socket: Any) -> None:
        self._network = network
        self._number = number
        self._socket = socket
        self.telephone = self._fresh()

    def take(self, message: str | bytes) -> None:
        """A message of the handset's. What cannot be read ends its call."""
        if isinstance(message, bytes):
            for at in range(0, len(message), FRAME_BYTES):
                self.telephone.speak(message[at : at + FRAME_BYTES])
            return
        try:
            said = json.loads(message)
        except ValueError:
            said = None
        match said:
            case {"dial": str(number)}:
                self._dial(number)
            case {"answer": True}:
                self.telephone.machine = bool(said.get("machine"))
                self.telephone.answered.set()
            case {"key": str(key)} if len(key) == 1 and key in "0123456789*#ABCD":
                self.telephone.press(key)
            case {"beep": True}:
                self.telephone.beeped.set()
            case {"hang_up": True}:
                self.telephone.hang_up()
            case _:
                self._tell(
                    {"event": "error", "message": "A handset says dial, answer, key, beep or hang_up."}
                )

    def gone(self) -> None:
        """The socket is closed."""
        self.telephone.hang_up()
        if self._network.telephones.get(self._number) is self.telephone:
            del self._network.telephones[self._number]

    def _fresh(self) -> Telephone:
        telephone = Telephone(self._number, self._tell, self._socket.push_bytes)
        self._network.telephones[self._number] = telephone
        return telephone

    def _dial(self, number: str) -> None:
        found = self._network.numbers.get(number)
        if found is None or not found.voice_url:
            self._tell({"event": "ended", "status": "failed", "why": f"{number} is nobody's"})
            return
        self.telephone.answered.set()
        plan = CallPlan(self._number, number, url=found.voice_url, status_url=found.status_url)
        call = CarriedCall(self._network, found.carrier, plan, self.telephone)
        self._tell({"event": "ringing", "call_id": call.id, "carrier": found.carrier})
        self._network.start(call.run())

    def _tell(self, event: dict[str, Any]) -> None:
        if event["event"] == "ended":
            self.telephone = self._fresh()
        self._socket.push(json.dumps(event).encode())


async def handset(scope: Scope, receive: Any, send: Any, network: TelephoneNetwork) -> None:
    """The ASGI application of ``/telephone/handset``."""
    number = dict(query_of(scope)).get("number", "")
    await receive()
    if not number.startswith("+") or number in network.numbers:
        await send({"type": "websocket.http.response.start", "status": 400, "headers": []})
        await send(
            {"type": "websocket.http.response.body", "body": b"?number=+15550100 is missing, or taken."}
        )
        return
    socket: DirectWebSocket | MessageSocket = scope["extensions"].get("standins.socket") or MessageSocket(
        send
    )
    own = Handset(network, number, socket)
    socket.on_message = own.take
    await send({"type": "websocket.accept", "headers": []})
    try:
        while (message := await receive())["type"] != "websocket.disconnect":
            if isinstance(socket, MessageSocket) and message["type"] == "websocket.receive":
                socket.take(message)
    finally:
        if isinstance(socket, MessageSocket):
            socket.end()
        own.gone()


async def telephone_http(scope: Scope, receive: Any, send: Any, network: TelephoneNetwork) -> None:
    """The ASGI application of everything else under ``/telephone/``."""
    exchange = Exchange(scope, receive, send)
    kind, _, rest = scope["path"].removeprefix(PREFIX).partition("/")
    match scope["method"], kind:
        case "GET", "calls":
            await exchange.json(200, {"calls": [_told(call) for call in network.calls.values()]})
        case "POST", "calls":
            await _disturb(exchange, rest, network)
        case "GET", "webhooks":
            await exchange.json(200, {"webhooks": network.webhooks[-200:]})
        case "GET", "numbers":
            numbers = [{"number": n.number, "carrier": n.carrier} for n in network.numbers.values()]
            await exchange.json(200, {"numbers": numbers})
        case "GET", "" | "page":
            await _page(exchange, rest or "telephone.html")
        case _:
            await exchange.json(
                404, {"error": "There are calls, webhooks, numbers and handset under /telephone/."}
            )


def _told(call: CarriedCall) -> dict[str, Any]:
    streams = [asdict(stream.figures) for stream in call.streams]
    return call_json(call) | {"carrier": call.carrier, "log": call.log, "streams": streams}


async def _disturb(exchange: Exchange, call_id: str, network: TelephoneNetwork) -> None:
    """``{"kill": true}``, or faults by their names."""
    call = network.calls.get(call_id)
    try:
        said = json.loads(await exchange.body())
    except ValueError:
        said = None
    known = {field.name for field in fields(LineFaults)}
    if call is None or not isinstance(said, dict) or not set(said) <= {*known, "kill"}:
        await exchange.json(400, {"error": f'POST {{"kill": true}}, or some of {sorted(known)}, for a call.'})
        return
    for name in known & set(said):
        setattr(call.faults, name, bool(said[name]))
    if said.get("kill") and call.streams:
        call.streams[-1].kill()
    await exchange.json(200, _told(call))


async def _page(exchange: Exchange, name: str) -> None:
    path = PAGE / name
    if path.parent != PAGE or not path.is_file():
        await exchange.json(404, {"error": "There is no such page."})
        return
    body = path.read_bytes()
    kind = KINDS.get(path.suffix.removeprefix("."), "application/octet-stream")
    await exchange.start(200, {"content-type": kind, "content-length": str(len(body))})
    await exchange.write(body, last=True)
