"""The telephone network: who can be rung, which calls there are, and how a carrier reaches its customer."""

import asyncio
import itertools
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

import httpx

from repartee.standins.carrier.account import TELNYX_NUMBER, TWILIO_NUMBER, CarrierAccount, CarrierNumber
from repartee.standins.carrier.conference import ConferenceRoom
from repartee.standins.carrier.telephones import Telephone

WEBHOOK_S: Final = 15.0
"""How long a customer's server may take to answer a webhook."""

KEPT_CALLS: Final = 500


@dataclass(frozen=True, slots=True)
class WebhookAnswer:
    """What a customer's server has answered; status 0: nothing."""

    status: int
    text: str


class TelephoneNetwork:
    """Telephones, numbers, calls. ``calls`` has everything that a call offers, by its id."""

    def __init__(self, account: CarrierAccount, edge_url: str = "") -> None:
        self.account = account
        self.numbers: dict[str, CarrierNumber] = {}
        self.telephones: dict[str, Telephone] = {}
        self.rooms: dict[str, ConferenceRoom] = {}
        self.calls: dict[str, Any] = {}
        self.webhooks: list[tuple[str, dict[str, str], int]] = []
        self.tasks: set[asyncio.Task[Any]] = set()
        self._client = httpx.AsyncClient(timeout=WEBHOOK_S, trust_env=False)
        self._names = itertools.count(1)
        if edge_url:
            self.announce_to(edge_url)

    def announce_to(self, edge_url: str) -> None:
        """Have both accounts' first numbers answered by this edge."""
        for carrier, number in (("twilio", TWILIO_NUMBER), ("telnyx", TELNYX_NUMBER)):
            base = f"{edge_url}/v1/telephone/{carrier}"
            self.numbers[number] = CarrierNumber(number, carrier, f"{base}/incoming", f"{base}/status")

    async def aclose(self) -> None:
        """End all calls."""
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self._client.aclose()

    async def idle(self) -> None:
        """All calls are over."""
        await asyncio.gather(*self.tasks, return_exceptions=True)

    def start(self, work: Any) -> None:
        """Run something for as long as it takes."""
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def new_call_id(self, carrier: str) -> str:
        """As the carrier names its calls."""
        name = secrets.token_hex(16)
        return f"CA{name}" if carrier == "twilio" else f"v3:{name}"

    def keep(self, call_id: str, call: Any) -> None:
        """A call is known from now on, also when it is over."""
        self.calls[call_id] = call
        while len(self.calls) > KEPT_CALLS:
            self.calls.pop(next(iter(self.calls)))

    def free_telephone(self, number: str) -> Telephone | None:
        """The telephone of a number, if it is on the hook."""
        found = self.telephones.get(number)
        return None if found is None or found.gone.is_set() else found

    def room(self, name: str) -> ConferenceRoom:
        """A conference, which is there from its first member on."""
        room = self.rooms.get(name)
        if room is None or room.over:
            room = self.rooms[name] = ConferenceRoom()
            self.start(room.run())
        return room

    async def webhook(self, carrier: str, url: str, fields: Mapping[str, str]) -> WebhookAnswer:
        """Tell the customer's server, signed."""
        body = urlencode(fields).encode()
        headers = self.account.signed_headers(carrier, url, fields.items(), body, time.time())
        headers["content-type"] = "application/x-www-form-urlencoded"
        try:
            answer = await self._client.post(url, content=body, headers=headers)
        except httpx.HTTPError as error:
            self.webhooks.append((url, dict(fields), 0))
            return WebhookAnswer(0, type(error).__name__)
        self.webhooks.append((url, dict(fields), answer.status_code))
        return WebhookAnswer(answer.status_code, answer.text)
