"""The names of the telephone's settings, and its paths. Pure, and quick to import: a Worker without telephone calls
needs no more of all this."""

KEY_NAMES = {
    "TWILIO_AUTH_TOKEN": "twilio_auth_token",
    "TELNYX_PUBLIC_KEY": "telnyx_public_key",
    "SIGNALWIRE_SIGNING_KEY": "signalwire_signing_key",
    "PLIVO_AUTH_TOKEN": "plivo_auth_token",
    "VONAGE_SIGNATURE_SECRET": "vonage_signature_secret",
    "EXOTEL_CREDENTIALS": "exotel_credentials",
}
"""Each carrier's key, by its variable."""

SETTING_NAMES = (
    *KEY_NAMES,
    "REPARTEE_PUBLIC_URL",
    "REPARTEE_TELEPHONE_NUMBERS",
    "REPARTEE_TELEPHONE_MEDIA",
    "REPARTEE_TELEPHONE_BUSY",
)

PREFIX = "/v1/telephone/"
OUT_PATHS = ("/v1/telephone/calls", "/v1/telephone/opt-outs")
"""What whoever has an API key asks for calls out; a region answers."""

KEEP_S = 600
"""So long what is to become of a call is kept: carriers ask within seconds."""
