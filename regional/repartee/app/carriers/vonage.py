"""Vonage's API for calls, as far as it controls them: documents (NCCO) are in the requests. Pure.

https://developer.vonage.com/en/voice/voice-api/code-snippets/controlling-conversations/transfer-a-call-inline-ncco.
Calls are not placed by it here: of a call's end it tells only where it tells of all else.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from repartee.app.carriers.api import CallDocument, CarrierRequest
from repartee.wire import outside_json


@dataclass(frozen=True, slots=True, repr=False)
class VonageApi:
    """Implements :class:`~repartee.app.carriers.api.CarrierApi`. ``token`` makes what a request is allowed by."""

    base_url: str
    token: Callable[[], str]

    def hang_up(self, call_id: str) -> CarrierRequest:
        """``hangup``"""
        return self._put(call_id, {"action": "hangup"})

    def steer(self, call_id: str, document: CallDocument) -> CarrierRequest | None:
        """``transfer``, to a document"""
        actions: list[Any] = outside_json.decode(document.text("vonage"), list[Any])
        return self._put(call_id, {"action": "transfer", "destination": {"type": "ncco", "ncco": actions}})

    def _put(self, call_id: str, wish: Mapping[str, Any]) -> CarrierRequest:
        headers = {"authorization": f"Bearer {self.token()}"}
        return CarrierRequest(
            f"{self.base_url}/v1/calls/{quote(call_id, safe='')}", "PUT", headers, json=wish
        )
