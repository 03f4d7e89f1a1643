"""The carriers' REST interfaces: Twilio's 2010-04-01; Telnyx's call control, and its TeXML, much like Twilio's."""

import base64
import hmac
import json
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

from repartee.standins.bad_request import BadRequest
from repartee.standins.carrier.account import CarrierNumber
from repartee.standins.carrier.calls import CallPlan, CarriedCall
from repartee.standins.carrier.documents import DocumentRefused, read_document
from repartee.standins.carrier.network import TelephoneNetwork
from repartee.standins.carrier.rest_fields import strange_field
from repartee.standins.link import Scope, headers_of
from repartee.standins.openai_chat import Exchange

PHONE: Final = re.compile(r"\+[1-9][0-9]{6,14}")
TWILIO: Final = re.compile(r"/2010-04-01/Accounts/([^/]+)/(.+)\.json")
TEXML: Final = re.compile(r"/v2/texml/Accounts/([^/]+)/Calls(?:/([^/]+))?")
ACTION: Final = re.compile(r"/v2/calls/([^/]+)/actions/(\w+)")
PREFIXES: Final = ("/2010-04-01/", "/v2/texml/", "/v2/calls/")
EVENTS: Final = frozenset({"initiated", "ringing", "answered", "completed"})


class RestRefused(Exception):
    """What a carrier answers in place of doing it. ``code`` is its own number."""

    def __init__(self, status: int, code: int, why: str) -> None:
        super().__init__(why)
        self.status, self.code = status, code


async def rest(scope: Scope, receive: Any, send: Any, network: TelephoneNetwork) -> None:
    """The ASGI application of everything under PREFIXES."""
    exchange = Exchange(scope, receive, send)
    path, method = scope["path"], scope["method"]
    telnyx = path.startswith("/v2/")
    try:
        _check_key(headers_of(scope), network, telnyx=telnyx)
        fields = _fields(await exchange.body(), headers_of(scope).get("content-type", ""))
        status, answer = _answer(path, method, fields, network)
        await exchange.json(status, answer)
    except RestRefused as refusal:
        await exchange.json(refusal.status, _refusal(refusal, telnyx=telnyx))
    except BadRequest as error:
        await exchange.json(400, {"code": 20001, "message": str(error)})


def _refusal(refusal: RestRefused, *, telnyx: bool) -> dict[str, Any]:
    if telnyx:
        return {"errors": [{"code": str(refusal.code), "title": str(refusal), "detail": str(refusal)}]}
    return {"code": refusal.code, "message": str(refusal), "status": refusal.status}


def _check_key(headers: Mapping[str, str], network: TelephoneNetwork, *, telnyx: bool) -> None:
    account = network.account
    basic = base64.b64encode(f"{account.twilio_sid}:{account.twilio_token}".encode()).decode()
    wanted = f"Bearer {account.telnyx_key}" if telnyx else f"Basic {basic}"
    if not hmac.compare_digest(headers.get("authorization", "").encode(), wanted.encode()):
        raise RestRefused(401, 10009 if telnyx else 20003, "Authenticate")


def _fields(body: bytes, kind: str) -> dict[str, str]:
    """A form's or an object's; of a repeated field all, with a space between."""
    if kind.startswith("application/json"):
        try:
            said = json.loads(body or b"{}")
        except ValueError:
            raise BadRequest("The body is not JSON.") from None
        return {name: str(value) for name, value in said.items()} if isinstance(said, dict) else {}
    found: dict[str, str] = {}
    for name, value in parse_qsl(body.decode(), keep_blank_values=True):
        found[name] = f"{found[name]} {value}" if name in found else value
    return found


def _answer(path: str, method: str, fields: dict[str, str], network: TelephoneNetwork) -> tuple[int, Any]:
    if found := TWILIO.fullmatch(path):
        if found[1] != network.account.twilio_sid:
            raise RestRefused(404, 20404, "The requested resource was not found")
        return _twilio(found[2], method, fields, network)
    if found := TEXML.fullmatch(path):
        if found[2] is None and method == "POST":
            if not fields.get("ApplicationSid"):
                raise RestRefused(422, 10015, "ApplicationSid is missing")
            return 200, _created("telnyx", fields, network)
        if found[2]:
            return 200, _call(found[2], "telnyx", method, fields, network)
    if (found := ACTION.fullmatch(path)) and method == "POST":
        return 200, _telnyx_action(found[1], found[2], fields, network)
    raise RestRefused(404, 20404, f"There is nothing at {path}")


def _twilio(resource: str, method: str, fields: dict[str, str], network: TelephoneNetwork) -> tuple[int, Any]:
    kind, _, name = resource.partition("/")
    if kind == "Calls" and name:
        return 200, _call(name, "twilio", method, fields, network)
    if kind == "Calls" and method == "POST":
        return 201, _created("twilio", fields, network)
    if kind == "AvailablePhoneNumbers" and method == "GET":
        return 200, {
            "available_phone_numbers": [{"phone_number": "+15550123", "friendly_name": "(555) 0123"}]
        }
    if kind == "IncomingPhoneNumbers":
        return _number(name, method, fields, network)
    raise RestRefused(404, 20404, f"The requested resource {resource} was not found")


def _only_known(resource: str, fields: Mapping[str, str]) -> None:
    if strange := strange_field(resource, fields):
        telnyx = resource.startswith("telnyx")
        raise RestRefused(422 if telnyx else 400, 10015 if telnyx else 20001, f"{strange} is no parameter")


def _number(name: str, method: str, fields: dict[str, str], network: TelephoneNetwork) -> tuple[int, Any]:
    own = [number for number in network.numbers.values() if number.carrier == "twilio"]
    if method == "GET" and not name:
        return 200, {"incoming_phone_numbers": [_number_json(number) for number in own]}
    if name:
        number = next((each for each in own if each.sid == name), None)
        if number is None:
            raise RestRefused(404, 20404, "The requested resource was not found")
        status = 200
    else:
        wanted = fields.get("PhoneNumber", "")
        if PHONE.fullmatch(wanted) is None:
            raise RestRefused(400, 21421, "PhoneNumber is invalid")
        number = network.numbers.setdefault(wanted, CarrierNumber(wanted, "twilio"))
        status = 201
    if method == "POST":
        _only_known("twilio number", fields)
        for said, kept in (("VoiceUrl", "voice_url"), ("StatusCallback", "status_url")):
            if said in fields:
                setattr(number, kept, fields[said])
    return status, _number_json(number)


def _number_json(number: CarrierNumber) -> dict[str, str]:
    return {
        "sid": number.sid,
        "phone_number": number.number,
        "voice_url": number.voice_url,
        "voice_method": "POST",
        "status_callback": number.status_url,
    }


def _call(
    call_id: str, carrier: str, method: str, fields: Mapping[str, str], network: TelephoneNetwork
) -> Any:
    call = network.calls.get(call_id)
    if call is None or call.carrier != carrier:
        raise RestRefused(404, 20404, f"The requested resource /Calls/{call_id} was not found")
    if method == "POST":
        _only_known(f"{carrier} update", fields)
        if call.over:
            raise RestRefused(400, 21220, "Call is not in-progress. Cannot redirect.")
        _update(call, fields)
    return call_json(call)


def _update(call: CarriedCall, fields: Mapping[str, str]) -> None:
    wishes = [name for name in ("Status", "Twiml", "Texml", "Url") if fields.get(name)]
    if len(wishes) != 1:
        raise RestRefused(400, 21218, "One of Status, Twiml (TeXML: Texml) and Url is needed")
    match wishes[0]:
        case "Status" if fields["Status"] in ("completed", "canceled"):
            call.complete()
        case "Status":
            raise RestRefused(400, 21218, f"A call's status cannot be set to {fields['Status']}")
        case "Url":
            call.redirect(fields["Url"])
        case _:
            _replace(call, fields[wishes[0]])


def _replace(call: CarriedCall, document: str) -> None:
    try:
        call.replace(document)
    except DocumentRefused as error:
        raise RestRefused(400, error.code, str(error)) from None


def _telnyx_action(call_id: str, action: str, fields: Mapping[str, str], network: TelephoneNetwork) -> Any:
    call = network.calls.get(call_id)
    if call is None or call.carrier != "telnyx":
        raise RestRefused(404, 10005, "Resource not found")
    if call.over:
        raise RestRefused(422, 90018, "Call has already ended")
    if action in ("hangup", "transfer"):
        _only_known(f"telnyx {action}", fields)
    match action:
        case "hangup":
            call.complete()
        case "transfer" if fields.get("to"):
            _replace(call, f"<Response><Dial>{fields['to']}</Dial></Response>")
        case _:
            raise RestRefused(422, 10015, f"{action} needs more, or is not known")
    return {"data": {"result": "ok"}}


def _created(carrier: str, fields: Mapping[str, str], network: TelephoneNetwork) -> Any:
    _only_known(f"{carrier} call", fields)
    caller, called = fields.get("From", ""), fields.get("To", "")
    own = network.numbers.get(caller)
    if own is None or own.carrier != carrier:
        raise RestRefused(400, 21210, f"{caller or 'From'} is no number of this account")
    if PHONE.fullmatch(called) is None:
        raise RestRefused(400, 21211, f"{called!r} is no telephone number")
    url, document = fields.get("Url", ""), fields.get("Twiml") or fields.get("Texml", "")
    if bool(url) == bool(document):
        raise RestRefused(400, 21205, "Either Url or Twiml is needed")
    if document:
        _checked(document, carrier)
    events = frozenset((fields.get("StatusCallbackEvent") or "completed").split())
    if not events <= EVENTS:
        raise RestRefused(400, 21626, f"StatusCallbackEvent has {', '.join(sorted(events - EVENTS))}")
    detection = fields.get("MachineDetection", "")
    if detection not in ("", "Enable", "DetectMessageEnd", "Disable"):
        raise RestRefused(400, 21624, f"MachineDetection cannot be {detection}")
    if detection in ("Enable", "DetectMessageEnd") and fields.get("AsyncAmd") != "true":
        raise RestRefused(400, 21624, "this stand-in detects machines asynchronously: AsyncAmd=true")
    timeout = fields.get("Timeout", "60")
    if not timeout.isdigit() or not 1 <= int(timeout) <= 600:
        raise RestRefused(400, 21216, "Timeout is 1 to 600 seconds")
    plan = CallPlan(
        caller,
        called,
        "outbound-api",
        url,
        document,
        fields.get("StatusCallback", ""),
        events,
        float(timeout),
        detection if detection != "Disable" else "",
        fields.get("AsyncAmdStatusCallback", ""),
    )
    call = CarriedCall(network, carrier, plan, None)
    network.start(call.run())
    return call_json(call)


def _checked(document: str, carrier: str) -> None:
    try:
        read_document(document, carrier)
    except DocumentRefused as error:
        raise RestRefused(400, error.code, str(error)) from None


def call_json(call: CarriedCall) -> dict[str, Any]:
    """A call as the carriers describe it."""
    return {
        "sid": call.id,
        "status": call.status,
        "direction": call.plan.direction,
        "from": call.plan.caller,
        "to": call.plan.called,
        "answered_by": call.answered_by or None,
    }
