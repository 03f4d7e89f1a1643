"""The settings of a region that takes telephone calls."""

from typing import Any
from urllib.parse import urlsplit

import jwt
from pydantic import AliasChoices, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings

from repartee_edge.telephone.signatures import CarrierKeys


def _key(variable: str, description: str) -> Any:
    """A secret; none unless it is set."""
    return Field(default=SecretStr(""), validation_alias=AliasChoices(variable), description=description)


class TelephoneSettings(BaseSettings):
    """A part of the worker's Settings. Field descriptions are the documentation's."""

    public_url: str = Field(
        default="",
        validation_alias=AliasChoices("REPARTEE_PUBLIC_URL"),
        description="This region's address as carriers know it (the edge's table has it as `host`), such as "
        "https://us-east.voice.example.com: what they sign. Needed for telephone calls.",
    )
    twilio_account_sid: str = Field(
        default="",
        validation_alias=AliasChoices("TWILIO_ACCOUNT_SID"),
        description="Twilio account that calls are ended and transferred with.",
    )
    twilio_auth_token: SecretStr = _key(
        "TWILIO_AUTH_TOKEN", "Twilio's key: signs its handshakes, and ends and transfers calls."
    )
    twilio_base_url: str = Field(
        default="https://api.twilio.com",
        validation_alias=AliasChoices("TWILIO_BASE_URL"),
        description="Where Twilio's API is.",
    )
    telnyx_public_key: SecretStr = _key(
        "TELNYX_PUBLIC_KEY", "Telnyx's public key; set: its streams are taken."
    )
    telnyx_api_key: SecretStr = _key("TELNYX_API_KEY", "Telnyx's key: ends and transfers calls.")
    telnyx_base_url: str = Field(
        default="https://api.telnyx.com",
        validation_alias=AliasChoices("TELNYX_BASE_URL"),
        description="Where Telnyx's API is.",
    )
    signalwire_signing_key: SecretStr = _key(
        "SIGNALWIRE_SIGNING_KEY", "SignalWire's key: signs its webhooks, and the token of its streams."
    )
    signalwire_base_url: str = Field(
        default="",
        validation_alias=AliasChoices("SIGNALWIRE_BASE_URL"),
        description="Where your space's API is at SignalWire, such as https://example.signalwire.com.",
    )
    signalwire_project_id: str = Field(
        default="",
        pattern=r"^[\w-]*$",
        validation_alias=AliasChoices("SIGNALWIRE_PROJECT_ID"),
        description="SignalWire project that calls are placed, ended and transferred with.",
    )
    signalwire_api_token: SecretStr = _key(
        "SIGNALWIRE_API_TOKEN", "SignalWire's token: places, ends and transfers calls."
    )
    plivo_auth_id: str = Field(
        default="",
        pattern=r"^[\w-]*$",
        validation_alias=AliasChoices("PLIVO_AUTH_ID"),
        description="Plivo account that calls are placed, ended and transferred with.",
    )
    plivo_auth_token: SecretStr = _key(
        "PLIVO_AUTH_TOKEN", "Plivo's key; set: its streams are taken. Places, ends and transfers calls."
    )
    plivo_base_url: str = Field(
        default="https://api.plivo.com",
        validation_alias=AliasChoices("PLIVO_BASE_URL"),
        description="Where Plivo's API is.",
    )
    vonage_signature_secret: SecretStr = _key(
        "VONAGE_SIGNATURE_SECRET", "Vonage's key: signs its webhooks, and the token of its streams."
    )
    vonage_application_id: str = Field(
        default="",
        validation_alias=AliasChoices("VONAGE_APPLICATION_ID"),
        description="Vonage application that calls are ended and transferred with.",
    )
    vonage_private_key: SecretStr = _key(
        "VONAGE_PRIVATE_KEY", "That application's private key (PEM): ends and transfers calls."
    )
    vonage_base_url: str = Field(
        default="https://api.nexmo.com",
        validation_alias=AliasChoices("VONAGE_BASE_URL"),
        description="Where Vonage's API is.",
    )
    exotel_credentials: SecretStr = _key(
        "EXOTEL_CREDENTIALS", "user:password that Exotel's streams come with."
    )
    telephone_start_s: float = Field(
        default=10.0,
        ge=1,
        le=60,
        validation_alias=AliasChoices("REPARTEE_TELEPHONE_START_S"),
        description="How long a carrier may take to begin a stream that it has opened, in seconds.",
    )

    telephone_narrow_hearing: bool = Field(
        default=True,
        validation_alias=AliasChoices("REPARTEE_TELEPHONE_NARROW_HEARING"),
        description="Whether a telephone's audio is sent to speech recognition as it came, such as mu-law at 8 kHz, "
        "where the vendor takes that; false: as PCM16 at 24 kHz, which is six times as much.",
    )
    telephone_checkpoint_bytes: int = Field(
        default=32_000,
        ge=0,
        le=1_000_000,
        validation_alias=AliasChoices("REPARTEE_TELEPHONE_CHECKPOINT_BYTES"),
        description="How much of what was said in a telephone call is kept in the store while it lasts, in bytes, "
        "for the region that goes on with it if this one is lost; 0: nothing.",
    )

    @field_validator(
        "public_url",
        "twilio_base_url",
        "telnyx_base_url",
        "signalwire_base_url",
        "plivo_base_url",
        "vonage_base_url",
    )
    @classmethod
    def _is_bare_address(cls, url: str) -> str:
        parts = urlsplit(url)
        if url and (
            parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment
        ):
            raise ValueError("must be a bare address, as in https://us-east.voice.example.com")
        return url.rstrip("/")

    @field_validator("vonage_private_key")
    @classmethod
    def _signs(cls, key: SecretStr) -> SecretStr:
        """Line ends may be written as backslash and n, as in a file of variables."""
        text = key.get_secret_value().replace("\\n", "\n").strip()
        if text:
            try:
                jwt.encode({}, text, algorithm="RS256")
            except NotImplementedError:
                raise ValueError("needs the package cryptography (the extra webrtc has it)") from None
            except (ValueError, jwt.PyJWTError):
                raise ValueError("must be a private key (PEM) for RSA") from None
        return SecretStr(text)

    def carrier_keys(self) -> CarrierKeys:
        """What carriers' handshakes are checked with."""
        return CarrierKeys(
            twilio_auth_token=self.twilio_auth_token.get_secret_value(),
            telnyx_public_key=self.telnyx_public_key.get_secret_value(),
            signalwire_signing_key=self.signalwire_signing_key.get_secret_value(),
            plivo_auth_token=self.plivo_auth_token.get_secret_value(),
            vonage_signature_secret=self.vonage_signature_secret.get_secret_value(),
            exotel_credentials=self.exotel_credentials.get_secret_value(),
        )
