"""STUN as ICE uses it (RFC 8489, RFC 8445): messages read, checked and written.

A message that is malformed in any way is no message: nothing is answered to it. Pure.
"""

import hmac
import struct
import zlib
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

Address = tuple[str, int] | tuple[str, int, str]
"""An IP address and a port; of a connection of ICE-TCP, `tcp` too."""

COOKIE: Final = 0x2112A442
HEADER_BYTES: Final = 20
MAX_MESSAGE_BYTES: Final = 1_280
"""Longer ones are not for a path of unknown MTU (RFC 8489, 6.1)."""

MAX_ATTRIBUTES: Final = 32

BINDING_REQUEST: Final = 0x0001
BINDING_SUCCESS: Final = 0x0101
BINDING_ERROR: Final = 0x0111

MAPPED_ADDRESS: Final = 0x0001
USERNAME: Final = 0x0006
MESSAGE_INTEGRITY: Final = 0x0008
ERROR_CODE: Final = 0x0009
XOR_MAPPED_ADDRESS: Final = 0x0020
PRIORITY: Final = 0x0024
USE_CANDIDATE: Final = 0x0025
FINGERPRINT: Final = 0x8028
ICE_CONTROLLED: Final = 0x8029
ICE_CONTROLLING: Final = 0x802A

_FINGERPRINT_XOR = 0x5354554E
_INTEGRITY_BYTES = 24
_FINGERPRINT_BYTES = 8


@dataclass(frozen=True, slots=True)
class StunMessage:
    """A message. ``attributes`` are those under its signature (all of them, without one); the first of a kind
    counts. ``signed`` is what the ``signature`` covers."""

    type: int
    transaction_id: bytes
    attributes: dict[int, bytes]
    signed: bytes = b""
    signature: bytes = b""

    def is_signed_with(self, password: bytes) -> bool:
        """Whether its MESSAGE-INTEGRITY was made with this password."""
        if not self.signature:
            return False
        return hmac.compare_digest(hmac.digest(password, self.signed, "sha1"), self.signature)

    @property
    def username(self) -> tuple[str, str] | None:
        """USERNAME's two halves: the receiver's ufrag and the sender's."""
        try:
            receiver, colon, sender = self.attributes.get(USERNAME, b"").decode("ascii").partition(":")
        except UnicodeDecodeError:
            return None
        return (receiver, sender) if colon else None

    @property
    def mapped_address(self) -> Address | None:
        """Where the answering side saw the request come from."""
        if value := self.attributes.get(XOR_MAPPED_ADDRESS):
            return _address_in(value, self.transaction_id, xor=True)
        if value := self.attributes.get(MAPPED_ADDRESS):
            return _address_in(value, self.transaction_id, xor=False)
        return None


def parse(data: bytes) -> StunMessage | None:
    """The message in a datagram; None if it is none, or its FINGERPRINT is wrong."""
    if not HEADER_BYTES <= len(data) <= MAX_MESSAGE_BYTES or data[0] > 3:
        return None
    kind, length, cookie = struct.unpack_from("!HHI", data)
    if cookie != COOKIE or length % 4 or length != len(data) - HEADER_BYTES:
        return None
    attributes: dict[int, bytes] = {}
    signed = signature = b""
    at = HEADER_BYTES
    for _ in range(MAX_ATTRIBUTES):
        if at == len(data):
            return StunMessage(kind, data[8:20], attributes, signed, signature)
        if at + 4 > len(data):
            return None
        name, size = struct.unpack_from("!HH", data, at)
        end = at + 4 + size
        if end > len(data):
            return None
        value = data[at + 4 : end]
        if name == FINGERPRINT:
            is_last = size == 4 and end == len(data)
            if not is_last or struct.unpack("!I", value)[0] != _fingerprint(data[:at]):
                return None
        elif name == MESSAGE_INTEGRITY and not signature:
            if size != 20:
                return None
            # The header's length counts to the end of this attribute when the signature is made.
            signed = data[:2] + struct.pack("!H", end - HEADER_BYTES) + data[4:at]
            signature = value
        elif not signature:
            attributes.setdefault(name, value)
        at = end + -size % 4
    return None


def encode(
    kind: int, transaction_id: bytes, attributes: dict[int, bytes], password: bytes | None = None
) -> bytes:
    """A message with a FINGERPRINT, signed if there is a ``password``."""
    body = b"".join(
        struct.pack("!HH", name, len(value)) + value + bytes(-len(value) % 4)
        for name, value in attributes.items()
    )
    if password is not None:
        signed = _header(kind, len(body) + _INTEGRITY_BYTES, transaction_id) + body
        body += struct.pack("!HH", MESSAGE_INTEGRITY, 20) + hmac.digest(password, signed, "sha1")
    message = _header(kind, len(body) + _FINGERPRINT_BYTES, transaction_id) + body
    return message + struct.pack("!HHI", FINGERPRINT, 4, _fingerprint(message))


def success(request: StunMessage, source: Address, password: bytes | None) -> bytes:
    """The answer to a binding request that came from ``source``."""
    mapped = {XOR_MAPPED_ADDRESS: xor_address(source, request.transaction_id)}
    return encode(BINDING_SUCCESS, request.transaction_id, mapped, password)


def role_conflict(request: StunMessage, password: bytes) -> bytes:
    """487: both sides take the same role, and the other has to change."""
    code = {ERROR_CODE: struct.pack("!HBB", 0, 4, 87) + b"Role Conflict"}
    return encode(BINDING_ERROR, request.transaction_id, code, password)


def xor_address(address: Address, transaction_id: bytes) -> bytes:
    """XOR-MAPPED-ADDRESS's value."""
    raw = ip_address(address[0]).packed
    mask = struct.pack("!I", COOKIE) + transaction_id
    mapped = bytes(one ^ other for one, other in zip(raw, mask, strict=False))
    return struct.pack("!BBH", 0, 1 if len(raw) == 4 else 2, address[1] ^ COOKIE >> 16) + mapped


def _address_in(value: bytes, transaction_id: bytes, *, xor: bool) -> Address | None:
    if len(value) not in (8, 20):
        return None
    _, family, port = struct.unpack_from("!BBH", value)
    raw = value[4:]
    if family != (1 if len(raw) == 4 else 2):
        return None
    if xor:
        mask = struct.pack("!I", COOKIE) + transaction_id
        raw = bytes(one ^ other for one, other in zip(raw, mask, strict=False))
        port ^= COOKIE >> 16
    return str(ip_address(raw)), port


def _header(kind: int, length: int, transaction_id: bytes) -> bytes:
    return struct.pack("!HHI", kind, length, COOKIE) + transaction_id


def _fingerprint(message: bytes) -> int:
    return zlib.crc32(message) ^ _FINGERPRINT_XOR
