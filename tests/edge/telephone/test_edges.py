"""Both kinds of edge take carriers' webhooks, and answer what follows a stream by what the region said."""

import base64
import hashlib
import json
import time
from urllib.parse import urlencode
from xml.etree import ElementTree

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.edge.conftest import TICKET_KEY, StartEdge, StartRegion, edge_env

from repartee_edge.telephone.outcomes import LineOutcome, sign_outcome
from repartee_edge.telephone.signatures import plivo_signature, twilio_signature
from repartee_edge.tickets import TicketKeys, verify

PUBLIC = "https://voice.example.com"
TOKEN = "0123456789abcdef"
VONAGE_SECRET = "0123456789abcdef0123456789abcdef"
FORM = {"CallSid": "CA1", "From": "+15550100", "To": "+15550199", "CallStatus": "ringing"}
TELNYX = Ed25519PrivateKey.from_private_bytes(b"9" * 32)
PUBLIC_KEY = TELNYX.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
KEYS = {
    "TWILIO_AUTH_TOKEN": TOKEN,
    "TELNYX_PUBLIC_KEY": base64.b64encode(PUBLIC_KEY).decode(),
    "REPARTEE_PUBLIC_URL": PUBLIC,
}


def headers_of(carrier: str, path: str, body: bytes) -> dict[str, str]:
    form = {"content-type": "application/x-www-form-urlencoded"}
    if carrier == "twilio":
        return form | {"x-twilio-signature": twilio_signature(TOKEN, PUBLIC + path, FORM.items())}
    stamp = str(int(time.time()))
    signature = base64.b64encode(TELNYX.sign(f"{stamp}|".encode() + body)).decode()
    return form | {"telnyx-timestamp": stamp, "telnyx-signature-ed25519": signature}


@pytest.mark.parametrize("carrier", ["twilio", "telnyx"])
async def test_a_call_comes_is_lost_and_ends(
    start_region: StartRegion, start_edge: StartEdge, carrier: str
) -> None:
    near, far = await start_region("near"), await start_region("far")
    edge = await start_edge(edge_env(near, far, residency=None, **KEYS))

    async with httpx.AsyncClient(base_url=f"http://{edge}", timeout=60) as http:

        async def ask(path: str) -> httpx.Response:
            body = urlencode(FORM).encode()
            return await http.post(path, content=body, headers=headers_of(carrier, path, body))

        incoming = f"/v1/telephone/{carrier}/incoming"
        assert (await http.post(incoming, data=FORM)).status_code == 403
        first = await ask(incoming)
        assert (first.status_code, first.headers["content-type"]) == (200, "text/xml")
        assert (await ask(incoming)).text == first.text
        document = ElementTree.fromstring(first.text)
        stream, redirect = document.find(".//Stream"), document.findtext("Redirect")
        assert stream is not None and redirect
        url = stream.attrib["url"]
        assert url.startswith(f"ws://127.0.0.1:{near.port}/v1/telephone/{carrier}/stream/")
        ticket = verify(TicketKeys(TICKET_KEY), url.rpartition("/")[2], region="near", now=time.time())
        assert ticket.metadata["phone"] == "+15550100"

        lost = await ask(redirect.removeprefix(PUBLIC))
        assert f"ws://127.0.0.1:{far.port}/" in lost.text, "another region than the one that it had"
        assert (await ask(f"/v1/telephone/{carrier}/status")).status_code == 204

        token = sign_outcome(
            TicketKeys(TICKET_KEY),
            carrier=carrier,
            call_id="CA1",
            outcome=LineOutcome("transfer", "+15550122"),
            now=time.time(),
        )
        told = await http.post(
            f"/v1/telephone/{carrier}/outcome", headers={"authorization": f"Bearer {token}"}
        )
        assert told.status_code == 204
        follows = ElementTree.fromstring(lost.text).findtext("Redirect")
        assert follows
        assert "<Dial>+15550122</Dial>" in (await ask(follows.removeprefix(PUBLIC))).text
        if "selfhosted" in str(start_edge):
            counted = (await http.get("/metrics")).text
            assert f'carrier="{carrier}",kind="incoming",status="403"' in counted
            assert f'carrier="{carrier}",kind="status",status="204"' in counted


def others_webhook(carrier: str) -> tuple[bytes, dict[str, str]]:
    """A call of a carrier that is not among those above."""
    url, form = f"{PUBLIC}/v1/telephone/{carrier}/incoming", urlencode(FORM).encode()
    kind = {"content-type": "application/x-www-form-urlencoded"}
    match carrier:
        case "signalwire":
            return form, kind | {"x-signalwire-signature": twilio_signature(TOKEN, url, FORM.items())}
        case "plivo":
            signature = plivo_signature(TOKEN, url, FORM.items(), "7")
            return form, kind | {"x-plivo-signature-v3": signature, "x-plivo-signature-v3-nonce": "7"}
    body = json.dumps({"uuid": "u1", "from": "+15550100", "to": "+15550199"}).encode()
    claims = {"iat": int(time.time()), "payload_hash": hashlib.sha256(body).hexdigest()}
    token = jwt.encode(claims, VONAGE_SECRET, algorithm="HS256")
    return body, {"content-type": "application/json", "authorization": f"Bearer {token}"}


async def test_signalwires_plivos_and_vonages_calls_come_too(
    start_region: StartRegion, start_edge: StartEdge
) -> None:
    near = await start_region("near")
    keys = {
        "SIGNALWIRE_SIGNING_KEY": TOKEN,
        "PLIVO_AUTH_TOKEN": TOKEN,
        "VONAGE_SIGNATURE_SECRET": VONAGE_SECRET,
        "REPARTEE_PUBLIC_URL": PUBLIC,
    }
    edge = await start_edge(edge_env(near, residency=None, **keys))
    async with httpx.AsyncClient(base_url=f"http://{edge}", timeout=60) as http:
        for carrier in ("signalwire", "plivo", "vonage"):
            path, (body, headers) = f"/v1/telephone/{carrier}/incoming", others_webhook(carrier)
            answer = await http.post(path, content=body, headers=headers)
            assert f"ws://127.0.0.1:{near.port}/v1/telephone/{carrier}/stream/" in answer.text, answer.text
            changed = await http.post(path, content=body + b" ", headers=headers)
            assert changed.status_code == 403


async def test_an_exotel_address_is_asked_for_with_its_fields_in_the_query(
    start_region: StartRegion, start_edge: StartEdge
) -> None:
    near = await start_region("near")
    edge = await start_edge(edge_env(near, EXOTEL_CREDENTIALS="user:word", REPARTEE_PUBLIC_URL=PUBLIC))
    path = "/v1/telephone/exotel/incoming?CallSid=x1&CallFrom=%2B9198&CallTo=080"
    async with httpx.AsyncClient(base_url=f"http://{edge}", timeout=60) as http:
        assert (await http.get(path)).status_code == 403
        answer = await http.get(path, auth=("user", "word"))
    url = answer.json()["url"]
    assert url.startswith(f"ws://user:word@127.0.0.1:{near.port}/v1/telephone/exotel/stream/")
    ticket = verify(TicketKeys(TICKET_KEY), url.rpartition("/")[2], region="near", now=time.time())
    assert (ticket.metadata["phone"], ticket.metadata["called"]) == ("+9198", "080")
