"""A customer's accounts at the carriers, and how a carrier signs what it sends them.

No I/O; ids and keys that nobody gives are drawn at random.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

TWILIO_NUMBER: Final = "+15550199"
TELNYX_NUMBER: Final = "+15550188"
"""The numbers that the accounts have from the start."""


@dataclass(slots=True)
class CarrierNumber:
    """A number of an account: where its calls are announced, and where it hears how they went."""

    number: str
    carrier: str
    voice_url: str = ""
    status_url: str = ""
    sid: str = field(default_factory=lambda: f"PN{secrets.token_hex(16)}")


@dataclass(frozen=True, slots=True)
class CarrierAccount:
    """One at each carrier. ``twilio_sha256``: it signs webhooks with HMAC-SHA256. ``telnyx_seed``: 32 bytes, the
    private key that Telnyx signs with."""

    twilio_sid: str
    twilio_token: str
    telnyx_key: str
    telnyx_seed: bytes = b""
    twilio_sha256: bool = False

    def id_at(self, carrier: str) -> str:
        """The account's id, as the carrier's messages have it."""
        return self.twilio_sid if carrier == "twilio" else "telnyx-user"

    def telnyx_private_key(self) -> Any:
        """Telnyx's side of its signatures. Imported here: only calls over Telnyx need the package."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return Ed25519PrivateKey.from_private_bytes(self.telnyx_seed)

    def telnyx_public_key(self) -> str:
        """What the customer checks Telnyx's signatures with, as its portal shows it."""
        return base64.b64encode(self.telnyx_private_key().public_key().public_bytes_raw()).decode()

    def signed_headers(
        self, carrier: str, url: str, fields: Iterable[tuple[str, str]], body: bytes, now: float
    ) -> dict[str, str]:
        """What a webhook with these fields, as ``body`` has them, is sent with."""
        if carrier == "telnyx":
            stamp = str(int(now))
            signature = self.telnyx_private_key().sign(f"{stamp}|".encode() + body)
            return {
                "telnyx-timestamp": stamp,
                "telnyx-signature-ed25519": base64.b64encode(signature).decode(),
            }
        return self.twilio_headers(url, fields)

    def twilio_headers(self, url: str, fields: Iterable[tuple[str, str]]) -> dict[str, str]:
        """Twilio's signature; a stream's handshake has it too, without fields."""
        signed = url + "".join(name + value for name, value in sorted(fields))
        algorithm = "sha256" if self.twilio_sha256 else "sha1"
        digest = hmac.new(self.twilio_token.encode(), signed.encode(), algorithm).digest()
        headers = {"x-twilio-signature": base64.b64encode(digest).decode()}
        if self.twilio_sha256:
            settings = "key=auth_token,algorithm=HMAC_SHA256"
            headers["x-twilio-webhooks-signature-settings"] = settings
        return headers


def account_in(environ: Mapping[str, str]) -> CarrierAccount:
    """The accounts that these variables name; what is missing is made up."""
    seed = environ.get("STANDIN_TELNYX_SEED", "")
    return CarrierAccount(
        environ.get("TWILIO_ACCOUNT_SID") or f"AC{secrets.token_hex(16)}",
        environ.get("TWILIO_AUTH_TOKEN") or secrets.token_hex(16),
        environ.get("TELNYX_API_KEY") or f"KEY{secrets.token_hex(16)}",
        hashlib.sha256(seed.encode()).digest() if seed else secrets.token_bytes(32),
    )
