"""Twilio's REST interface for calls, which those of other carriers resemble: addresses, forms and answers. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from repartee.app.carriers.api import CallDocument, CallToPlace, CarrierRequest


@dataclass(frozen=True, slots=True, repr=False)
class CompatibleCalls:
    """The calls of one account, at ``calls``; ``suffix`` ends the addresses. ``steering`` is how a document is named
    in a form; it is empty for what cannot be asked for. ``more`` is in the form of every call that is placed."""

    calls: str
    steering: Callable[[CallDocument], Mapping[str, str]]
    suffix: str = ".json"
    auth: tuple[str, str] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    more: Mapping[str, str] = field(default_factory=dict)
    hears_beeps: bool = True

    def hang_up(self, call_id: str) -> CarrierRequest:
        """``Status=completed``"""
        return self._update(call_id, {"Status": "completed"})

    def steer(self, call_id: str, document: CallDocument) -> CarrierRequest | None:
        """The call's document is replaced."""
        form = self.steering(document)
        return self._update(call_id, form) if form else None

    def place(self, call: CallToPlace) -> CarrierRequest:
        """Whether a machine has answered is found out during the call."""
        answer = {"Url": call.answer} if isinstance(call.answer, str) else self.steering(call.answer)
        form = {"To": call.to, "From": call.number, "Timeout": str(call.ring_s), **answer, **self.more}
        if call.ended_url:
            form |= {"StatusCallback": call.ended_url, "StatusCallbackEvent": "completed"}
        if call.machine_url:
            form |= {
                "MachineDetection": "DetectMessageEnd" if call.after_beep else "Enable",
                "AsyncAmd": "true",
                "AsyncAmdStatusCallback": call.machine_url,
            }
        return CarrierRequest(f"{self.calls}{self.suffix}", headers=self.headers, auth=self.auth, form=form)

    def placed_id(self, answer: Mapping[str, Any]) -> str:
        """``sid``, or TeXML's ``call_sid``"""
        return str(answer.get("sid") or answer.get("call_sid") or "")

    def look(self, call_id: str) -> CarrierRequest | None:
        """The call itself."""
        return CarrierRequest(self._address(call_id), "GET", headers=self.headers, auth=self.auth)

    def _update(self, call_id: str, form: Mapping[str, str]) -> CarrierRequest:
        return CarrierRequest(self._address(call_id), headers=self.headers, auth=self.auth, form=form)

    def _address(self, call_id: str) -> str:
        return f"{self.calls}/{quote(call_id, safe='')}{self.suffix}"
