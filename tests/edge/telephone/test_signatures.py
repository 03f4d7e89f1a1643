"""Carriers' signatures: documented examples, and what is no carrier's."""

import ast
import base64
import hashlib
import inspect
import json
import random
import time
from urllib.parse import urlencode

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from repartee_edge.telephone import ed25519, signatures
from repartee_edge.telephone.signatures import (
    BadSignature,
    CarrierKeys,
    Webhook,
    plivo_signature,
    twilio_signature,
    webhook_fields,
)

NOW = 1_800_000_000.0
URL = "https://voice.example.com/v1/telephone/{}/incoming"
FORM = {"CallSid": "CA1", "From": "+15550100", "To": "+15550199", "CallStatus": "ringing", "CallUUID": "u1"}
TELNYX = Ed25519PrivateKey.from_private_bytes(b"7" * 32)
KEYS = CarrierKeys(
    twilio_auth_token="a Twilio token",
    telnyx_public_key=base64.b64encode(
        TELNYX.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    ).decode(),
    signalwire_signing_key="a SignalWire key",
    plivo_auth_token="a Plivo token",
    vonage_signature_secret="a Vonage secret that is long enough for HMAC",
    exotel_credentials="user:password",
)
CARRIERS = pytest.mark.parametrize("carrier", signatures.CARRIERS)


def signed(
    carrier: str, fields: dict[str, str] | None = None, *, url: str = "", now: float = NOW, body: bytes = b""
) -> Webhook:
    """A webhook as the carrier signs it."""
    url = url or URL.format(carrier)
    fields = FORM if fields is None else fields
    body = body or (json.dumps(fields) if carrier == "vonage" else urlencode(fields)).encode()
    pairs = list(fields.items())
    match carrier:
        case "twilio":
            headers = {"x-twilio-signature": twilio_signature(KEYS.twilio_auth_token, url, pairs)}
        case "signalwire":
            headers = {"x-signalwire-signature": twilio_signature(KEYS.signalwire_signing_key, url, pairs)}
        case "telnyx":
            signature = TELNYX.sign(f"{int(now)}|".encode() + body)
            headers = {
                "telnyx-timestamp": str(int(now)),
                "telnyx-signature-ed25519": base64.b64encode(signature).decode(),
            }
        case "plivo":
            headers = {
                "x-plivo-signature-v3-nonce": "12345",
                "x-plivo-signature-v3": plivo_signature(KEYS.plivo_auth_token, url, pairs, "12345"),
            }
        case "vonage":
            claims = {"iat": int(now), "payload_hash": hashlib.sha256(body).hexdigest()}
            token = jwt.encode(claims, KEYS.vonage_signature_secret, algorithm="HS256")
            headers = {"authorization": f"Bearer {token}"}
        case _:
            headers = {"authorization": f"Basic {base64.b64encode(b'user:password').decode()}"}
    return Webhook(url, headers, body, NOW)


def test_twilios_documented_example() -> None:
    """https://www.twilio.com/docs/usage/security: this token, address and fields make this signature."""
    fields = {
        "CallSid": "CA1234567890ABCDE",
        "Caller": "+14158675310",
        "Digits": "1234",
        "From": "+14158675310",
        "To": "+18005551212",
    }
    url = "https://mycompany.com/myapp.php?foo=1&bar=2"
    assert twilio_signature("12345", url, fields.items()) == "GvWf1cFY/Q7PnoempGyD5oXAezc="
    keys = CarrierKeys(twilio_auth_token="12345")
    headers = {"x-twilio-signature": "GvWf1cFY/Q7PnoempGyD5oXAezc="}
    said = webhook_fields("twilio", keys, Webhook(url, headers, urlencode(fields).encode(), NOW))
    assert said["CallSid"] == "CA1234567890ABCDE"


@pytest.mark.parametrize(
    ("public", "message", "signature"),
    [
        (
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
            "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
    ],
)
def test_ed25519_as_rfc_8032_has_it(public: str, message: str, signature: str) -> None:
    key, words, given = bytes.fromhex(public), bytes.fromhex(message), bytes.fromhex(signature)
    assert ed25519.verify(key, words, given)
    assert not ed25519.verify(key, words + b"x", given)
    assert not ed25519.verify(key, words, given[:32] + bytes(32))
    assert not ed25519.verify(key, words, given[:-1]) and not ed25519.verify(key[:-1], words, given)
    order = 2**252 + 27742317777372353535851937790883648493
    twin = (int.from_bytes(given[32:], "little") + order).to_bytes(32, "little")
    assert not ed25519.verify(key, words, given[:32] + twin), "a second signature of the same message"


def test_ed25519_against_another_implementation() -> None:
    rng = random.Random(1)
    for _ in range(20):
        key, message = Ed25519PrivateKey.from_private_bytes(rng.randbytes(32)), rng.randbytes(50)
        public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        signature = key.sign(message)
        assert ed25519.verify(public, message, signature)
        flipped = bytearray(signature)
        flipped[rng.randrange(64)] ^= 1 << rng.randrange(8)
        assert not ed25519.verify(public, message, bytes(flipped))


@CARRIERS
def test_what_the_carrier_signed_is_taken(carrier: str) -> None:
    assert dict(webhook_fields(carrier, KEYS, signed(carrier))) == FORM


def refuses(carrier: str, webhook: Webhook, keys: CarrierKeys = KEYS) -> None:
    with pytest.raises(BadSignature):
        webhook_fields(carrier, keys, webhook)


@CARRIERS
def test_what_it_did_not_sign_is_refused(carrier: str) -> None:
    good = signed(carrier)
    refuses(carrier, Webhook(good.url, {}, good.body, NOW))
    for name, value in good.headers.items():
        refuses(carrier, Webhook(good.url, {**good.headers, name: ""}, good.body, NOW))
        refuses(carrier, Webhook(good.url, {**good.headers, name: value[:-3] + "AAA"}, good.body, NOW))
    if carrier != "exotel":
        refuses(carrier, Webhook(good.url, good.headers, good.body.replace(b"CA1", b"CA2"), NOW))
    refuses(carrier, good, CarrierKeys())
    refuses(carrier, Webhook(good.url, good.headers, b"a=b&" * 5_000, NOW))


@pytest.mark.parametrize("carrier", ["twilio", "signalwire", "plivo"])
def test_another_address_is_refused_but_for_the_port_that_it_has_anyway(carrier: str) -> None:
    for url in ("https://other.example.com/x", URL.format(carrier) + "/", "http" + URL.format(carrier)[5:]):
        good = signed(carrier, url=url)
        refuses(carrier, Webhook(URL.format(carrier), good.headers, good.body, NOW))
    if carrier != "plivo":
        with_port = signed(carrier, url=URL.format(carrier).replace(".com/", ".com:443/"))
        webhook_fields(carrier, KEYS, Webhook(URL.format(carrier), with_port.headers, with_port.body, NOW))


@pytest.mark.parametrize("carrier", ["telnyx", "vonage"])
@pytest.mark.parametrize("age_s", [301, -301])
def test_what_carries_its_time_is_refused_after_five_minutes(carrier: str, age_s: int) -> None:
    refuses(carrier, signed(carrier, now=NOW - age_s))
    webhook_fields(carrier, KEYS, signed(carrier, now=NOW - 299))


def test_sha_256_where_the_account_signs_so() -> None:
    good, url = signed("twilio"), URL.format("twilio")
    signature = twilio_signature(KEYS.twilio_auth_token, url, FORM.items(), "sha256")
    settings = {"x-twilio-webhooks-signature-settings": "key=primary,algorithm=HMAC_SHA256"}
    headers = {"x-twilio-signature": signature, **settings}
    assert webhook_fields("twilio", KEYS, Webhook(url, headers, good.body, NOW))
    refuses("twilio", Webhook(url, {"x-twilio-signature": signature}, good.body, NOW))
    refuses("twilio", Webhook(url, {**good.headers, **settings}, good.body, NOW))


def test_every_comparison_takes_the_same_time() -> None:
    """No signature is compared with == or in: only compare_digest and the curve's equation decide."""
    tree = ast.parse(inspect.getsource(signatures))
    checks = [
        node
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name in ("_same", "_one_of", "_plivo")
    ]
    assert {node.name for node in checks} == {"_same", "_one_of", "_plivo"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            assert "signature" not in ast.unparse(node) and "given" not in ast.unparse(node)


def test_keys_do_not_show() -> None:
    assert "token" not in repr(KEYS) and repr(KEYS) == f"CarrierKeys({', '.join(signatures.CARRIERS)})"


def test_a_verification_takes_milliseconds() -> None:
    good = signed("telnyx")
    began = time.process_time()
    for _ in range(10):
        webhook_fields("telnyx", KEYS, good)
    assert (time.process_time() - began) / 10 < 0.05
