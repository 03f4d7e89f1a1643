"""Warm transfers: a person is called, hears the briefing, and is joined with the caller in a conference.

Twilio's REST interface, which Telnyx's for TeXML resembles.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote
from xml.sax.saxutils import escape

import httpx
import msgspec

from repartee.app.settings import Settings
from repartee.wire import outside_json

log = logging.getLogger(__name__)

RING_S: Final = 30
LOOK_S: Final = 0.5
"""How often the carrier is asked whether somebody has answered."""

WITHIN_S: Final = 5.0
OVER: Final = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})


def joining_for(settings: Settings, carrier: str, own_number: str) -> "Joining | None":
    """What joins callers of this carrier's to others; None: there is no key for that, or no number to call from."""
    token, key = settings.twilio_auth_token.get_secret_value(), settings.telnyx_api_key.get_secret_value()
    if carrier == "twilio" and settings.twilio_account_sid and token and own_number:
        account = settings.twilio_account_sid
        calls = f"{settings.twilio_base_url}/2010-04-01/Accounts/{account}/Calls"
        return Joining(own_number, calls, ".json", "Twiml", auth=(account, token))
    if (
        carrier == "telnyx"
        and key
        and settings.telnyx_account_id
        and settings.telnyx_application_id
        and own_number
    ):
        calls = f"{settings.telnyx_base_url}/v2/texml/Accounts/{settings.telnyx_account_id}/Calls"
        headers = {"authorization": f"Bearer {key}"}
        more = {"ApplicationSid": settings.telnyx_application_id}
        return Joining(own_number, calls, "", "Texml", headers=headers, more=more)
    return None


@dataclass(frozen=True, slots=True, repr=False)
class Joining:
    """At one carrier. ``suffix`` ends its addresses, ``document`` is its name for a call's document."""

    own_number: str
    calls: str
    suffix: str
    document: str
    auth: tuple[str, str] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    more: Mapping[str, str] = field(default_factory=dict)

    async def join(self, call_id: str, to: str, briefing: str, answered: Callable[[], None]) -> bool:
        """Whether somebody has answered, and the caller has been put together with them."""
        room = f"repartee-{secrets.token_hex(8)}"
        conference = f'<Dial><Conference beep="false" endConferenceOnExit="true">{room}</Conference></Dial>'
        auth = httpx.BasicAuth(*self.auth) if self.auth else None
        try:
            async with httpx.AsyncClient(
                timeout=WITHIN_S, trust_env=False, auth=auth, headers=dict(self.headers)
            ) as client:
                other = await self._call(client, to, f"<Say>{escape(briefing)}</Say>{conference}")
                if not await self._answered(client, other):
                    return False
                answered()
                await self._ask(client, call_id, {self.document: f"<Response>{conference}</Response>"})
                return True
        except (httpx.HTTPError, KeyError, ValueError, msgspec.MsgspecError) as error:
            log.warning(
                "a caller was not joined with anybody: %s; leaving them with the agent", type(error).__name__
            )
            return False

    async def _call(self, client: httpx.AsyncClient, to: str, verbs: str) -> str:
        fields = {"To": to, "From": self.own_number, "Timeout": str(RING_S), **self.more}
        fields[self.document] = f"<Response>{verbs}</Response>"
        answer = await client.post(f"{self.calls}{self.suffix}", data=fields)
        answer.raise_for_status()
        said = outside_json.decode(answer.content, dict[str, Any])
        return str(said.get("sid") or said["call_sid"])

    async def _answered(self, client: httpx.AsyncClient, call_id: str) -> bool:
        for _ in range(round((RING_S + 5) / LOOK_S)):
            answer = await client.get(self._address(call_id))
            said = outside_json.decode(answer.raise_for_status().content, dict[str, Any])
            status = str(said["status"])
            if status == "in-progress":
                return True
            if status in OVER:
                return False
            await asyncio.sleep(LOOK_S)
        await self._ask(client, call_id, {"Status": "completed"})
        return False

    async def _ask(self, client: httpx.AsyncClient, call_id: str, fields: Mapping[str, str]) -> None:
        (await client.post(self._address(call_id), data=dict(fields))).raise_for_status()

    def _address(self, call_id: str) -> str:
        return f"{self.calls}/{quote(call_id, safe='')}{self.suffix}"
