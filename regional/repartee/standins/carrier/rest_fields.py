"""What may be asked of the carriers' REST interfaces: the fields that their documents name. Pure.

Twilio ignores a field that it does not know. A stand-in that did so would hide a misspelt one.
"""

from collections.abc import Iterable
from typing import Final

# fmt: off
DETECTING: Final = frozenset((
    "MachineDetection", "MachineDetectionTimeout", "MachineDetectionSpeechThreshold",
    "MachineDetectionSpeechEndThreshold", "MachineDetectionSilenceTimeout", "AsyncAmd", "AsyncAmdStatusCallback",
    "AsyncAmdStatusCallbackMethod",
))
STEERING: Final = frozenset((
    "Url", "Method", "FallbackUrl", "FallbackMethod", "StatusCallback", "StatusCallbackMethod",
))
PLACING: Final = STEERING | DETECTING | {
    "To", "From", "StatusCallbackEvent", "Timeout", "TimeLimit", "CallerId", "SendDigits", "ApplicationSid", "Record",
}
KNOWN: Final = {
    "twilio call": PLACING | {"Twiml", "Byoc", "CallReason", "CallToken"},
    "twilio update": STEERING | {"Status", "Twiml", "TimeLimit"},
    "twilio number": STEERING | {
        "PhoneNumber", "AreaCode", "FriendlyName", "VoiceUrl", "VoiceMethod", "VoiceFallbackUrl",
        "VoiceFallbackMethod", "VoiceApplicationSid", "TrunkSid", "AddressSid", "BundleSid",
    },
    "telnyx call": PLACING | {"Texml", "UrlMethod", "PreferredCodecs", "CustomHeaders", "SipRegion"},
    "telnyx update": STEERING | {"Status", "Texml"},
    "telnyx hangup": frozenset(("client_state", "command_id")),
    "telnyx transfer": frozenset((
        "to", "from", "from_display_name", "audio_url", "timeout_secs", "time_limit_secs", "client_state",
        "target_leg_client_state", "command_id", "sip_auth_username", "sip_auth_password", "webhook_url",
    )),
}
# fmt: on


def strange_field(resource: str, fields: Iterable[str]) -> str:
    """A field that the resource does not have; empty: there is none."""
    return min(set(fields) - KNOWN[resource], default="")
