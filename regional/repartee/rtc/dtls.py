"""DTLS 1.2 (RFC 6347) by OpenSSL's memory BIOs, with the keys for SRTP (RFC 5764).

The other side shows a certificate that nobody signed; it counts only if its fingerprint is the one in the session
description, which came over HTTPS. Until that is so, no data and no key is given out. OpenSSL has its own clock for
retransmissions; who owns the session asks it again by :meth:`DtlsSession.tick`. Pure but for that.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from OpenSSL import SSL

from repartee.rtc.srtp import PROFILES, SrtpKeys

DTLS_1_2: Final = 0xFEFD
MTU_BYTES: Final = 1_200
MAX_RECORD_BYTES: Final = 16_384

_HASHES: Final[dict[str, Callable[[], hashes.HashAlgorithm]]] = {
    "sha-1": hashes.SHA1,
    "sha-224": hashes.SHA224,
    "sha-256": hashes.SHA256,
    "sha-384": hashes.SHA384,
    "sha-512": hashes.SHA512,
}
_KEYING_LABEL = b"EXTRACTOR-dtls_srtp"
_MAX_FLIGHT_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class DtlsIdentity:
    """This side's certificate and its key."""

    certificate: x509.Certificate
    key: EllipticCurvePrivateKey

    @property
    def fingerprint(self) -> str:
        """As a session description has it."""
        digest = self.certificate.fingerprint(hashes.SHA256())
        return "sha-256 " + ":".join(f"{byte:02X}" for byte in digest)


@dataclass(frozen=True, slots=True)
class DtlsFailed(Exception):
    """The session could not be opened, or a fault has ended it."""

    why: str

    def __str__(self) -> str:
        return self.why


def dtls_context(identity: DtlsIdentity) -> SSL.Context:
    """What all sessions of a worker share."""
    context = SSL.Context(SSL.DTLS_METHOD)
    context.set_min_proto_version(DTLS_1_2)
    context.set_max_proto_version(DTLS_1_2)
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, _take_any_certificate)
    context.use_certificate(identity.certificate)
    context.use_privatekey(identity.key)
    context.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_QUERY_MTU)
    context.set_tlsext_use_srtp(":".join(PROFILES).encode())
    return context


def _take_any_certificate(*_: object) -> bool:
    """Certificates here are signed by nobody: the fingerprint is checked after the handshake."""
    return True


class DtlsSession:
    """One side of one session. ``fingerprints`` are the other side's, as its session description has them: each the
    name of a hash and its value."""

    def __init__(
        self, context: SSL.Context, fingerprints: tuple[tuple[str, str], ...], *, is_client: bool = False
    ) -> None:
        self.is_client = is_client
        self._fingerprints = fingerprints
        self._connection = SSL.Connection(context, None)
        if is_client:
            self._connection.set_connect_state()
        else:
            self._connection.set_accept_state()
        self._connection.set_ciphertext_mtu(MTU_BYTES)
        self.keys: SrtpKeys | None = None
        """Once the handshake is done, and the certificate is the right one."""
        self.closed = False

    @property
    def established(self) -> bool:
        """The handshake is done, and the certificate is the right one."""
        return self.keys is not None

    @property
    def version(self) -> str:
        """The protocol's, once it is agreed on."""
        return self._connection.get_protocol_version_name()

    def start(self) -> list[bytes]:
        """A client begins; what to send."""
        self._shake_hands()
        return self._outgoing()

    def receive(self, datagram: bytes) -> tuple[list[bytes], list[bytes]]:
        """A datagram; what to send, and the data that it brought. Raises DtlsFailed."""
        self._connection.bio_write(datagram)
        if self.keys is None:
            self._shake_hands()
        data: list[bytes] = []
        while self.keys is not None and not self.closed:
            try:
                data.append(self._connection.recv(MAX_RECORD_BYTES))
            except SSL.WantReadError:
                break
            except SSL.ZeroReturnError:
                self.closed = True
            except SSL.Error as error:
                raise DtlsFailed(f"the DTLS session broke: {_reason(error)}") from None
        return self._outgoing(), data

    def send(self, data: bytes) -> list[bytes]:
        """Data for the other side, as what to send. Raises DtlsFailed."""
        if self.keys is None or self.closed:
            return []
        try:
            self._connection.send(data)
        except SSL.Error as error:
            raise DtlsFailed(f"the DTLS session broke: {_reason(error)}") from None
        return self._outgoing()

    def close(self) -> list[bytes]:
        """Say that this side is done."""
        self.closed = True
        if self.keys is None:
            return []
        try:
            self._connection.shutdown()
        except SSL.Error:
            return []
        return self._outgoing()

    def tick(self) -> list[bytes]:
        """What is to be sent again, as the other side did not answer in time. Raises DtlsFailed."""
        if self.keys is not None:
            return []
        try:
            self._connection.DTLSv1_handle_timeout()
        except SSL.Error as error:
            raise DtlsFailed(f"the DTLS handshake timed out: {_reason(error)}") from None
        return self._outgoing()

    def _shake_hands(self) -> None:
        try:
            self._connection.do_handshake()
        except SSL.WantReadError:
            return
        except SSL.Error as error:
            raise DtlsFailed(f"the DTLS handshake failed: {_reason(error)}") from None
        self._check_certificate()
        profile = (self._connection.get_selected_srtp_profile() or b"").decode()
        if profile not in PROFILES:
            raise DtlsFailed("the other side knows none of our SRTP profiles")
        sizes = PROFILES[profile]
        material = self._connection.export_keying_material(
            _KEYING_LABEL, 2 * (sizes.key_bytes + sizes.salt_bytes)
        )
        self.keys = SrtpKeys.of(profile, material, is_client=self.is_client)

    def _check_certificate(self) -> None:
        certificate = self._connection.get_peer_certificate(as_cryptography=True)
        if certificate is None:
            raise DtlsFailed("the other side shows no certificate")
        for name, value in self._fingerprints:
            made = _HASHES.get(name.lower())
            if made and certificate.fingerprint(made()).hex() == value.replace(":", "").lower():
                return
        raise DtlsFailed("the other side's certificate is not the one in its session description")

    def _outgoing(self) -> list[bytes]:
        """What OpenSSL wants sent, a datagram for each record: several together may be too long for the path."""
        datagrams: list[bytes] = []
        sent = 0
        while sent < _MAX_FLIGHT_BYTES:
            try:
                flight = self._connection.bio_read(_MAX_FLIGHT_BYTES)
            except SSL.WantReadError:
                break
            at = 0
            while at + 13 <= len(flight):
                end = at + 13 + struct.unpack_from("!H", flight, at + 11)[0]
                datagrams.append(flight[at:end])
                at = end
            sent += len(flight)
        return datagrams


def _reason(error: SSL.Error) -> str:
    told = error.args[0] if error.args else None
    if isinstance(told, list) and told:
        return str(told[-1][-1])
    return str(told or type(error).__name__)
