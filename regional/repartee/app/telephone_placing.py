"""Places calls by telephone: who may be called, when, how many at once; and asks the carrier for it."""

import hashlib
import logging
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlencode

import httpx
import msgspec
from msgspec import Meta

from repartee.app.carriers.accounts import PLACING_CARRIERS, placing_api
from repartee.app.carriers.api import CallToPlace
from repartee.app.carriers.asking import send
from repartee.app.settings import Settings
from repartee.app.telephone_hours import hours_in, opens_in_s, refusal_by_hours
from repartee.app.telephone_out_settings import zones_in
from repartee.errors import VoiceError
from repartee.store.interfaces import Store
from repartee.store.placed_calls import (
    PLACING,
    UNCERTAIN,
    PlacingLimits,
    PlacingRefused,
    begin_placing,
    not_placed,
    placed,
)
from repartee.wire import outside_json
from repartee_edge.request import MAX_METADATA_CHARS
from repartee_edge.telephone.terms import FIELD, sign_terms
from repartee_edge.tickets import TicketKeys

log = logging.getLogger(__name__)

ASK_S: Final = 10.0
"""How long a carrier may take to accept a call."""

FINAL: Final = {"opted_out": 403, "not_certain": 409}
"""The statuses of refusals that another try does not change; of all others 429."""

OnMachine = Literal["hang_up", "message", "ignore"]
Carrier = Literal["twilio", "telnyx", "signalwire", "plivo"]
_AGENT = r"^[\w.:/-]{0,100}$"


class CallWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /v1/telephone/calls. ``on_machine``: what the agent does when a machine has answered: hang up,
    say ``message`` after its beep, or nothing in particular. A call with the same ``key`` is placed once."""

    to: Annotated[str, Meta(pattern=r"^\+[1-9][0-9]{6,14}$")]
    agent: Annotated[str, Meta(pattern=_AGENT)] = ""
    from_: Annotated[str, Meta(pattern=r"^\+[1-9][0-9]{6,14}$|^$")] = msgspec.field(default="", name="from")
    carrier: Carrier | None = None
    on_machine: OnMachine = "hang_up"
    message: Annotated[str, Meta(max_length=500)] = ""
    ring_s: Annotated[int, Meta(ge=5, le=120)] = 30
    key: Annotated[str, Meta(max_length=200)] = ""
    metadata: Annotated[dict[str, Annotated[str, Meta(max_length=120)]], Meta(max_length=10)] = msgspec.field(
        default_factory=dict
    )


class NotPlaced(VoiceError):
    """A call that is not placed. ``status`` is HTTP's; ``retry_after_s`` None: it makes no sense to try again."""

    def __init__(self, status: int, code: str, words: str, retry_after_s: int | None = None) -> None:
        super().__init__(words)
        self.status, self.code, self.retry_after_s = status, code, retry_after_s


@dataclass(frozen=True, slots=True)
class CallPlaced:
    """A call that the carrier has taken."""

    call_id: str
    carrier: str
    to: str
    number: str

    def as_json(self) -> dict[str, str]:
        """As it is answered."""
        return {"call_id": self.call_id, "carrier": self.carrier, "to": self.to, "from": self.number}


class CallPlacer:
    """Places the calls of one region."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings = settings
        self._store = store

    async def place(self, wish: CallWish, subject: str) -> "CallPlaced":
        """Have the carrier call. Raises NotPlaced, and StoreError."""
        settings, now = self._settings, time.time()
        carrier = wish.carrier or self._usual_carrier()
        number = wish.from_ or settings.dial_from
        self._check(wish, carrier, number, now)
        key = hashlib.sha256(f"{subject}\n{wish.key or secrets.token_hex(16)}".encode()).hexdigest()
        limits = PlacingLimits(settings.dial_at_once, settings.dial_per_minute)
        begun = await begin_placing(self._store, key, wish.to, limits, now)
        if isinstance(begun, PlacingRefused):
            raise NotPlaced(FINAL.get(begun.code, 429), begun.code, begun.words, begun.retry_after_s)
        if begun != PLACING:
            return CallPlaced(begun, carrier, wish.to, number)
        try:
            call_id = await self._ask(carrier, self._call(wish, carrier, number, now))
        except NotPlaced as refusal:
            if refusal.code == "not_certain":  # nobody is called twice
                await placed(self._store, key, wish.to, UNCERTAIN, now)
            else:
                await not_placed(self._store, key)
            raise
        await placed(self._store, key, wish.to, call_id, now)
        return CallPlaced(call_id, carrier, wish.to, number)

    def _check(self, wish: CallWish, carrier: str, number: str, now: float) -> None:
        settings, api = self._settings, placing_api(self._settings, carrier)
        if not (api and settings.edge_url and settings.public_url):
            raise NotPlaced(
                501,
                "not_configured",
                f"This region places no calls over {carrier}: it needs the carrier's keys, REPARTEE_EDGE_URL and "
                "REPARTEE_PUBLIC_URL (docs/telephone.md).",
            )
        if not number:
            raise NotPlaced(400, "no_number", "Name the number to call from: `from`, or REPARTEE_DIAL_FROM.")
        if wish.on_machine == "message" and not wish.message.strip():
            raise NotPlaced(400, "no_message", "on_machine is message, and there is no `message`.")
        if wish.on_machine == "message" and not api.hears_beeps:
            words = f"Over {carrier} no message can be left: it does not say when a machine's beep has been."
            raise NotPlaced(400, "no_beeps", words)
        if sum(len(name) + len(value) for name, value in wish.metadata.items()) > MAX_METADATA_CHARS:
            words = f"The metadata may have {MAX_METADATA_CHARS} characters in all."
            raise NotPlaced(400, "metadata_too_long", words)
        hours, zones = hours_in(settings.dial_hours), zones_in(settings.dial_zones)
        assert hours is not None
        if why := refusal_by_hours(wish.to, now, hours, zones):
            wait_s = opens_in_s(wish.to, now, hours, zones)
            raise NotPlaced(403, "outside_hours", f"{wish.to} is not called now: {why}.", wait_s)

    def _usual_carrier(self) -> str:
        """The first that calls can be placed with."""
        ready = (carrier for carrier in PLACING_CARRIERS if placing_api(self._settings, carrier))
        return next(ready, PLACING_CARRIERS[0])

    def _call(self, wish: CallWish, carrier: str, number: str, now: float) -> CallToPlace:
        settings = self._settings
        keys = TicketKeys(settings.ticket_key.get_secret_value())
        terms = sign_terms(keys, region=settings.region, agent=wish.agent, metadata=wish.metadata, now=now)
        own = {"on_machine": wish.on_machine, "message": wish.message}
        after = sign_terms(keys, region=settings.region, agent=wish.agent, metadata=own, now=now)
        back = f"{settings.public_url}/v1/telephone/{carrier}"
        return CallToPlace(
            wish.to,
            number,
            f"{settings.edge_url}/v1/telephone/{carrier}/incoming?{urlencode({FIELD: terms})}",
            f"{back}/placed",
            "" if wish.on_machine == "ignore" else f"{back}/machine?{urlencode({FIELD: after})}",
            wish.on_machine == "message",
            wish.ring_s,
        )

    async def _ask(self, carrier: str, call: CallToPlace) -> str:
        """The carrier's id of the call. Raises NotPlaced."""
        api = placing_api(self._settings, carrier)
        assert api is not None
        try:
            async with httpx.AsyncClient(timeout=ASK_S, trust_env=False) as client:
                answer = await send(client, api.place(call))
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            words = f"The carrier cannot be reached ({type(error).__name__})."
            raise NotPlaced(502, "carrier_unreachable", words, 5) from None
        except httpx.HTTPError as error:
            words = f"The carrier did not say whether it has placed the call ({type(error).__name__})."
            raise NotPlaced(409, "not_certain", words) from None
        if not answer.is_success:
            log.warning(
                "a call was not placed, as the carrier answered %d; telling whoever asked for it",
                answer.status_code,
            )
            raise NotPlaced(422, "carrier_refused", f"The carrier refuses the call: {answer.text[:300]}")
        call_id = api.placed_id(_said(answer))
        if not call_id:
            raise NotPlaced(409, "not_certain", "The carrier has taken the call, and does not say its id.")
        return call_id


def _said(answer: httpx.Response) -> Mapping[str, Any]:
    try:
        said: Mapping[str, Any] = outside_json.decode(answer.content, dict[str, Any])
    except msgspec.MsgspecError:
        return {}
    return said
