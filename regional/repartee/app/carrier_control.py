"""Ends and transfers telephone calls: by the carrier's API, or by what the edge tells the carrier after the stream.

A call that is over already is no error: the caller may have hung up first.
"""

import logging
import time
from collections.abc import Callable
from typing import Final

import httpx

from repartee.app.carriers.accounts import carrier_api, placing_api
from repartee.app.carriers.api import CallDocument, CarrierRequest, can_join
from repartee.app.carriers.asking import send
from repartee.app.settings import Settings
from repartee.app.telephone_joining import Joining
from repartee.transport.telephone.carriers import FRAMINGS
from repartee.transport.telephone.line import TelephoneTransport
from repartee_edge.telephone.outcomes import LineOutcome, sign_outcome
from repartee_edge.tickets import TicketKeys

log = logging.getLogger(__name__)

WITHIN_S: Final = 3.0
"""How long a carrier or the edge may take to do it; a call must not be held up by them."""

OVER: Final = (404, 409, 410)
TWILIO_OVER: Final = "21220"
TELNYX_OVER: Final = "90018"


async def end_call(settings: Settings, carrier: str, call_id: str, say: str = "") -> None:
    """End a call that another process holds; with a text, the carrier's own voice says it first, if it can."""
    api = carrier_api(settings, carrier)
    if api is None:
        return
    goodbye = api.steer(call_id, CallDocument("end", say=say)) if say else None
    async with httpx.AsyncClient(timeout=WITHIN_S, trust_env=False) as client:
        await _ask(client, carrier, goodbye or api.hang_up(call_id))


def what_calls_lack(settings: Settings) -> list[str]:
    """What the calls of each carrier that can call here cannot do, in words; leaves out carriers whose calls can do
    it all."""
    by_edge = bool(settings.edge_url and settings.ticket_key.get_secret_value())
    lacking = []
    for carrier in settings.carrier_keys().carriers:
        api, placing = carrier_api(settings, carrier), placing_api(settings, carrier)
        followed = by_edge and FRAMINGS[carrier]().resumes
        transfers = followed or (api is not None and api.steer("", CallDocument("dial")) is not None)
        lacks = [
            *([] if transfers else ["be handed on"]),
            *([] if api or followed else ["be hung up but by closing their streams"]),
            *([] if placing and can_join(placing) else ["be handed on with a briefing"]),
            *([] if placing else ["be placed"]),
        ]
        if lacks:
            lacking.append(f"calls at {carrier} cannot {', '.join(lacks)}")
    return lacking


class CarrierControl:
    """Controls one telephone call. Implements :class:`~repartee.transport.interfaces.CallControl`."""

    def __init__(
        self, settings: Settings, line: TelephoneTransport, carrier: str, call_id: str, own_number: str = ""
    ) -> None:
        self._settings = settings
        self._line = line
        self._carrier = carrier
        self._call_id = call_id
        self._own_number = own_number
        line.hang_up = self.hang_up

    @property
    def can(self) -> frozenset[str]:
        """A transfer needs the carrier's API, or an edge that follows up."""
        by_api = self._request("") is not None
        # A carrier that does not ask what follows a stream does not hear of it from the edge.
        transfer = {"transfer"} if by_api or (self._by_edge and FRAMINGS[self._carrier]().resumes) else set()
        warm = {"warm_transfer"} if self._joining() else set()
        return frozenset({"hang_up", "hold", "dtmf", "on_dtmf", *transfer, *warm})

    async def hang_up(self) -> None:
        """End the call, not only its stream."""
        await self._do(None)

    async def transfer(self, to: str) -> None:
        """Connect the caller to this number."""
        await self._do(to)

    async def warm_transfer(self, to: str, briefing: str, answered: Callable[[], None]) -> bool:
        """By a second call, and a conference that both join."""
        joining = self._joining()
        return joining is not None and await joining.join(self._call_id, to, briefing, answered)

    def hold(self, music: bool) -> None:
        """In the stream: the call stays where it is."""
        self._line.hold(music)

    def take_back(self) -> None:
        """In the stream."""
        self._line.take_back()

    def _joining(self) -> Joining | None:
        api = placing_api(self._settings, self._carrier)
        return Joining(api, self._own_number) if api and self._own_number and can_join(api) else None

    def _request(self, transfer_to: str | None) -> CarrierRequest | None:
        """What ends the call, or hands it on; None: the carrier's API cannot be asked for that."""
        api = carrier_api(self._settings, self._carrier)
        if api is None or transfer_to is None:
            return api.hang_up(self._call_id) if api else None
        return api.steer(self._call_id, CallDocument("dial", transfer_to))

    def dtmf(self, digits: str) -> None:
        """As tones."""
        self._line.play_keys(digits)

    async def played(self) -> None:
        """By its marks."""
        await self._line.played()

    @property
    def _by_edge(self) -> bool:
        return bool(self._settings.edge_url and self._settings.ticket_key.get_secret_value())

    async def _do(self, transfer_to: str | None) -> None:
        request = self._request(transfer_to)
        what = "ended" if transfer_to is None else "handed on"
        try:
            async with httpx.AsyncClient(timeout=WITHIN_S, trust_env=False) as client:
                if request is not None and await _ask(client, self._carrier, request):
                    return
                if self._by_edge:
                    await self._tell_edge(client, transfer_to)
                elif request is None:
                    log.warning(
                        "a call at %s cannot be %s without a key for its API; ending its stream alone",
                        self._carrier,
                        what,
                    )
        except httpx.HTTPError as error:
            log.warning(
                "a call at %s was not %s: %s; ending its stream alone",
                self._carrier,
                what,
                type(error).__name__,
            )

    async def _tell_edge(self, client: httpx.AsyncClient, transfer_to: str | None) -> None:
        """Have the edge answer what follows the stream."""
        outcome = LineOutcome("hang_up") if transfer_to is None else LineOutcome("transfer", transfer_to)
        keys = TicketKeys(self._settings.ticket_key.get_secret_value())
        token = sign_outcome(
            keys, carrier=self._carrier, call_id=self._call_id, outcome=outcome, now=time.time()
        )
        answer = await client.post(
            f"{self._settings.edge_url}/v1/telephone/{self._carrier}/outcome",
            headers={"authorization": f"Bearer {token}"},
        )
        answer.raise_for_status()


async def _ask(client: httpx.AsyncClient, carrier: str, request: CarrierRequest) -> bool:
    """Whether the carrier has done it, or the call was over already."""
    try:
        answer = await send(client, request)
    except httpx.HTTPError as error:
        log.warning(
            "%s could not be reached: %s; leaving it to the edge if there is one",
            carrier,
            type(error).__name__,
        )
        return False
    if answer.is_success:
        return True
    if answer.status_code in OVER or (
        answer.status_code in (400, 422) and (TELNYX_OVER in answer.text or TWILIO_OVER in answer.text)
    ):
        log.info("the call at %s was over already; nothing is left to do", carrier)
        return True
    log.warning("%s refused with %d; leaving it to the edge if there is one", carrier, answer.status_code)
    return False
