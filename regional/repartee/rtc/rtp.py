"""RTP packets (RFC 3550) with Opus in them, and redundancy (RFC 2198). Pure."""

import struct
from dataclasses import dataclass
from typing import Final

CLOCK_HZ: Final = 48_000
"""Opus's RTP clock, whatever the audio's rate (RFC 7587)."""

HEADER_BYTES: Final = 12
MAX_RED_BLOCKS: Final = 8
_MAX_RED_OFFSET = (1 << 14) - 1
_MAX_RED_BYTES = (1 << 10) - 1


@dataclass(frozen=True, slots=True)
class RtpPacket:
    """A packet. ``payload`` is without padding."""

    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes
    marker: bool = False

    def encode(self) -> bytes:
        """Its bytes."""
        second = self.payload_type | self.marker << 7
        return struct.pack("!BBHII", 0x80, second, self.sequence, self.timestamp, self.ssrc) + self.payload


def parse(data: bytes) -> RtpPacket | None:
    """The packet; None if it is none."""
    if len(data) < HEADER_BYTES or data[0] >> 6 != 2:
        return None
    first, second, sequence, timestamp, ssrc = struct.unpack_from("!BBHII", data)
    at = HEADER_BYTES + 4 * (first & 15)
    if first & 0x10:  # an extension: skipped
        if at + 4 > len(data):
            return None
        at += 4 + 4 * int.from_bytes(data[at + 2 : at + 4], "big")
    end = len(data)
    if first & 0x20:
        if not data[-1]:
            return None
        end -= data[-1]
    if at > end:
        return None
    return RtpPacket(second & 0x7F, sequence, timestamp, ssrc, data[at:end], bool(second & 0x80))


@dataclass(frozen=True, slots=True)
class RedBlock:
    """A frame in a redundant packet. ``offset`` is how much earlier it is than the packet (of the RTP clock)."""

    payload_type: int
    offset: int
    payload: bytes


def parse_red(payload: bytes) -> list[RedBlock] | None:
    """The frames, the packet's own one last; None if it is not RED."""
    heads: list[tuple[int, int, int]] = []
    at = 0
    while True:
        if at >= len(payload) or len(heads) > MAX_RED_BLOCKS:
            return None
        if not payload[at] & 0x80:
            heads.append((payload[at] & 0x7F, 0, -1))
            at += 1
            break
        if at + 4 > len(payload):
            return None
        (word,) = struct.unpack_from("!I", payload, at)
        heads.append((word >> 24 & 0x7F, word >> 10 & 0x3FFF, word & 0x3FF))
        at += 4
    blocks = []
    for kind, offset, size in heads:
        end = len(payload) if size < 0 else at + size
        if end > len(payload):
            return None
        blocks.append(RedBlock(kind, offset, payload[at:end]))
        at = end
    return blocks


def encode_red(payload_type: int, payload: bytes, earlier: tuple[int, bytes] | None) -> bytes:
    """A RED payload: the frame, and before it the one that was ``earlier`` by so much, if that can be said."""
    if earlier is None or earlier[0] > _MAX_RED_OFFSET or len(earlier[1]) > _MAX_RED_BYTES:
        return bytes([payload_type]) + payload
    word = 1 << 31 | payload_type << 24 | earlier[0] << 10 | len(earlier[1])
    return struct.pack("!IB", word, payload_type) + earlier[1] + payload
