"""Telephone carriers for a system on this machine: accounts that are made for it, at the carriers' stand-ins."""

import base64
import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from repartee.errors import ConfigurationError

TWILIO_NUMBER = "+15550199"
"""What the stand-in's account has."""

OWN_ACCOUNTS = ("TWILIO_AUTH_TOKEN", "TELNYX_PUBLIC_KEY", "TELNYX_API_KEY")


@dataclass(frozen=True, slots=True, repr=False)
class LocalCarriers:
    """One account each at Twilio's stand-in and Telnyx's."""

    twilio_sid: str
    twilio_token: str
    telnyx_key: str
    telnyx_seed: str

    def customer_env(self, base_url: str) -> dict[str, str]:
        """What the edge and the regions need."""
        private = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(self.telnyx_seed.encode()).digest())
        return {
            "TWILIO_ACCOUNT_SID": self.twilio_sid,
            "TWILIO_AUTH_TOKEN": self.twilio_token,
            "TWILIO_BASE_URL": base_url,
            "REPARTEE_DIAL_FROM": TWILIO_NUMBER,
            "TELNYX_API_KEY": self.telnyx_key,
            "TELNYX_PUBLIC_KEY": base64.b64encode(private.public_key().public_bytes_raw()).decode(),
            "TELNYX_BASE_URL": base_url,
        }

    def carrier_env(self) -> dict[str, str]:
        """What the carriers know of their customer."""
        return {
            "TWILIO_ACCOUNT_SID": self.twilio_sid,
            "TWILIO_AUTH_TOKEN": self.twilio_token,
            "TELNYX_API_KEY": self.telnyx_key,
            "STANDIN_TELNYX_SEED": self.telnyx_seed,
        }


def carriers_here(environ: Mapping[str, str]) -> LocalCarriers:
    """New accounts. Raises ConfigurationError where there are real ones: those need addresses that carriers reach."""
    own = [name for name in OWN_ACCOUNTS if environ.get(name)]
    if own:
        raise ConfigurationError(
            f"{', '.join(own)} is set, and --telephone is for carriers on this machine: unset it, or have your own "
            "numbers answered as docs/telephone.md says."
        )
    return LocalCarriers(
        f"AC{secrets.token_hex(16)}",
        secrets.token_hex(16),
        f"KEY{secrets.token_hex(16)}",
        secrets.token_hex(32),
    )
