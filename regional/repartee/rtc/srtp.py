"""SRTP and SRTCP (RFC 3711, RFC 7714) by libsrtp: AES-GCM first, else AES-CM with HMAC-SHA1.

libsrtp keeps the window against replays. Pure.
"""

from dataclasses import dataclass
from typing import Final

import pylibsrtp
from pylibsrtp import Policy, Session

MAX_PACKET_BYTES: Final = 1_500 - pylibsrtp.SRTP_MAX_SRTCP_TRAILER_LEN
"""The longest packet to protect, so that it fits a datagram and libsrtp's buffer."""

MAX_PROTECTED_BYTES: Final = 1_500


@dataclass(frozen=True, slots=True)
class SrtpProfile:
    """A way to protect packets; the lengths of its keys."""

    number: int
    key_bytes: int
    salt_bytes: int


PROFILES: Final = {
    "SRTP_AEAD_AES_128_GCM": SrtpProfile(Policy.SRTP_PROFILE_AEAD_AES_128_GCM, 16, 12),
    "SRTP_AES128_CM_SHA1_80": SrtpProfile(Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 16, 14),
}
"""By OpenSSL's names, the preferred one first."""


@dataclass(frozen=True, slots=True)
class SrtpKeys:
    """Key and salt for each direction."""

    profile: str
    inbound: bytes
    outbound: bytes

    @classmethod
    def of(cls, profile: str, material: bytes, *, is_client: bool) -> "SrtpKeys":
        """From DTLS's keying material (RFC 5764, 4.2)."""
        sizes = PROFILES[profile]
        key, salt = sizes.key_bytes, sizes.salt_bytes
        clients = material[:key] + material[2 * key : 2 * key + salt]
        servers = material[key : 2 * key] + material[2 * key + salt : 2 * (key + salt)]
        return cls(profile, servers, clients) if is_client else cls(profile, clients, servers)


class SrtpSession:
    """Both directions of one call."""

    def __init__(self, keys: SrtpKeys) -> None:
        self.profile = keys.profile
        self.refused = 0
        number = PROFILES[keys.profile].number
        self._inbound = Session(
            Policy(key=keys.inbound, ssrc_type=Policy.SSRC_ANY_INBOUND, srtp_profile=number)
        )
        self._outbound = Session(
            Policy(key=keys.outbound, ssrc_type=Policy.SSRC_ANY_OUTBOUND, srtp_profile=number)
        )

    def protect(self, packet: bytes) -> bytes:
        """An RTP packet for the other side."""
        return self._outbound.protect(packet)

    def protect_rtcp(self, packet: bytes) -> bytes:
        """An RTCP packet for the other side."""
        return self._outbound.protect_rtcp(packet)

    def unprotect(self, packet: bytes) -> bytes | None:
        """The RTP packet in it; None if it was changed, comes again, or is none."""
        if len(packet) > MAX_PROTECTED_BYTES:
            return None
        try:
            return self._inbound.unprotect(packet)
        except pylibsrtp.Error:
            self.refused += 1
            return None

    def unprotect_rtcp(self, packet: bytes) -> bytes | None:
        """The RTCP packet in it; None if it was changed, comes again, or is none."""
        if len(packet) > MAX_PROTECTED_BYTES:
            return None
        try:
            return self._inbound.unprotect_rtcp(packet)
        except pylibsrtp.Error:
            self.refused += 1
            return None
