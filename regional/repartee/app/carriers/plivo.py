"""Plivo's API for calls: objects, and a call is led on by an address. Pure.

https://www.plivo.com/docs/voice/api/call. The answer to a request for a call has the request's id. The call's own id
exists once somebody has answered, and only its webhooks have it: so this interface cannot say when a person has
answered. It hears no beeps either.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from repartee.app.carriers.api import CallDocument, CallToPlace, CarrierRequest
from repartee.app.carriers.document_links import DocumentLinks


@dataclass(frozen=True, slots=True, repr=False)
class PlivoApi:
    """Implements :class:`~repartee.app.carriers.api.PlacingApi`. Documents are where ``links`` say."""

    base_url: str
    auth_id: str
    token: str
    links: DocumentLinks
    hears_beeps: bool = False

    def hang_up(self, call_id: str) -> CarrierRequest:
        """DELETE"""
        return CarrierRequest(self._address(call_id), "DELETE", auth=(self.auth_id, self.token))

    def steer(self, call_id: str, document: CallDocument) -> CarrierRequest | None:
        """The first leg is transferred to a document."""
        url = self.links.url("plivo", document)
        wish = {"legs": "aleg", "aleg_url": url, "aleg_method": "POST"}
        return self._post(self._address(call_id), wish) if url else None

    def place(self, call: CallToPlace) -> CarrierRequest:
        """Whether a machine has answered is found out during the call."""
        answer = call.answer if isinstance(call.answer, str) else self.links.url("plivo", call.answer)
        wish: dict[str, Any] = {"to": call.to, "from": call.number, "ring_timeout": call.ring_s}
        wish |= {"answer_url": answer, "answer_method": "POST"}
        if call.ended_url:
            wish |= {"hangup_url": call.ended_url, "hangup_method": "POST"}
        if call.machine_url:
            wish |= {
                "machine_detection": "true",
                "machine_detection_url": call.machine_url,
                "machine_detection_method": "POST",
            }
        return self._post(self._calls, wish)

    def placed_id(self, answer: Mapping[str, Any]) -> str:
        """``request_uuid``, which webhooks name beside the call's own"""
        return str(answer.get("request_uuid") or "")

    def look(self, call_id: str) -> CarrierRequest | None:
        """It does not say by the request's id how far a call is."""
        return None

    def _post(self, url: str, wish: Mapping[str, Any]) -> CarrierRequest:
        return CarrierRequest(url, auth=(self.auth_id, self.token), json=wish)

    def _address(self, call_id: str) -> str:
        return f"{self._calls}{quote(call_id, safe='')}/"

    @property
    def _calls(self) -> str:
        return f"{self.base_url}/v1/Account/{self.auth_id}/Call/"
