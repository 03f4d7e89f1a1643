"""Telnyx's APIs for calls: call control, and the one for TeXML, which resembles Twilio's. Pure.

https://developers.telnyx.com/api-reference/call-commands/hangup-call,
https://developers.telnyx.com/api-reference/texml-rest-commands/initiate-an-outbound-call
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from repartee.app.carriers.api import CallDocument, CallToPlace, CarrierRequest
from repartee.app.carriers.compatible import CompatibleCalls


@dataclass(frozen=True, slots=True, repr=False)
class TelnyxApi:
    """Calls are ended and handed on by call control, with a key alone; all else takes an account and one of its
    applications."""

    base_url: str
    key: str
    account: str
    application: str
    hears_beeps: bool = True

    @property
    def places(self) -> bool:
        """By TeXML."""
        return bool(self.account and self.application)

    def hang_up(self, call_id: str) -> CarrierRequest:
        """By call control."""
        return self._act(call_id, "hangup", {})

    def steer(self, call_id: str, document: CallDocument) -> CarrierRequest | None:
        """By call control as far as it goes, else by TeXML."""
        if document.verb == "dial":
            return self._act(call_id, "transfer", {"to": document.to})
        return self._texml.steer(call_id, document) if self.places else None

    def place(self, call: CallToPlace) -> CarrierRequest:
        """By TeXML."""
        return self._texml.place(call)

    def placed_id(self, answer: Mapping[str, Any]) -> str:
        """``sid``, or ``call_sid``"""
        return self._texml.placed_id(answer)

    def look(self, call_id: str) -> CarrierRequest | None:
        """By TeXML."""
        return self._texml.look(call_id)

    def _act(self, call_id: str, action: str, wish: Mapping[str, str]) -> CarrierRequest:
        url = f"{self.base_url}/v2/calls/{quote(call_id, safe='')}/actions/{action}"
        return CarrierRequest(url, headers=self._headers, json=wish)

    @property
    def _texml(self) -> CompatibleCalls:
        return CompatibleCalls(
            f"{self.base_url}/v2/texml/Accounts/{self.account}/Calls",
            lambda document: {"Texml": document.text("telnyx")},
            suffix="",
            headers=self._headers,
            more={"ApplicationSid": self.application},
        )

    @property
    def _headers(self) -> Mapping[str, str]:
        return {"authorization": f"Bearer {self.key}"}
