"""SCTP packets (RFC 9260) as data channels use them: chunks read and written. Pure."""

import struct
from dataclasses import dataclass
from typing import Final

from repartee.rtc.crc32c import crc32c

DATA: Final = 0
INIT: Final = 1
INIT_ACK: Final = 2
SACK: Final = 3
HEARTBEAT: Final = 4
HEARTBEAT_ACK: Final = 5
ABORT: Final = 6
SHUTDOWN: Final = 7
SHUTDOWN_ACK: Final = 8
ERROR: Final = 9
COOKIE_ECHO: Final = 10
COOKIE_ACK: Final = 11
SHUTDOWN_COMPLETE: Final = 14
RECONFIG: Final = 130
FORWARD_TSN: Final = 192

STATE_COOKIE: Final = 7
FORWARD_TSN_SUPPORTED: Final = 0xC000
SUPPORTED_EXTENSIONS: Final = 0x8008
RESET_REQUEST: Final = 13
RESET_RESPONSE: Final = 16

BEGINS: Final = 2
ENDS: Final = 1
UNORDERED: Final = 4

PORT: Final = 5_000
MAX_PACKET_BYTES: Final = 1_160
"""Fits one DTLS record of the MTU."""

MAX_CHUNKS: Final = 64


@dataclass(frozen=True, slots=True)
class Chunk:
    """One chunk; ``value`` is without padding."""

    type: int
    flags: int
    value: bytes

    def encode(self) -> bytes:
        """Its bytes, padded."""
        size = len(self.value) + 4
        return struct.pack("!BBH", self.type, self.flags, size) + self.value + bytes(-size % 4)


@dataclass(frozen=True, slots=True)
class SctpPacket:
    """A packet; ``tag`` is the receiver's verification tag."""

    tag: int
    chunks: tuple[Chunk, ...]

    def encode(self) -> bytes:
        """Its bytes, with the checksum."""
        head = struct.pack("!HHI", PORT, PORT, self.tag)
        body = b"".join(chunk.encode() for chunk in self.chunks)
        return head + struct.pack("<I", crc32c(head + bytes(4) + body)) + body


def parse(data: bytes) -> SctpPacket | None:
    """The packet; None if it is none, or its checksum is wrong."""
    if not 16 <= len(data) <= 65_536:
        return None
    _, _, tag = struct.unpack_from("!HHI", data)
    (checksum,) = struct.unpack_from("<I", data, 8)
    if checksum != crc32c(data[:8] + bytes(4) + data[12:]):
        return None
    chunks: list[Chunk] = []
    at = 12
    while at + 4 <= len(data) and len(chunks) < MAX_CHUNKS:
        kind, flags, size = struct.unpack_from("!BBH", data, at)
        if size < 4 or at + size > len(data):
            return None
        chunks.append(Chunk(kind, flags, data[at + 4 : at + size]))
        at += size + -size % 4
    return SctpPacket(tag, tuple(chunks))


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter within a chunk."""

    type: int
    value: bytes

    def encode(self) -> bytes:
        """Its bytes, padded."""
        size = len(self.value) + 4
        return struct.pack("!HH", self.type, size) + self.value + bytes(-size % 4)


def parameters(value: bytes) -> list[Parameter]:
    """The parameters in a chunk's value, as far as they can be read."""
    found: list[Parameter] = []
    at = 0
    while at + 4 <= len(value) and len(found) < MAX_CHUNKS:
        kind, size = struct.unpack_from("!HH", value, at)
        if size < 4 or at + size > len(value):
            break
        found.append(Parameter(kind, value[at + 4 : at + size]))
        at += size + -size % 4
    return found


@dataclass(frozen=True, slots=True)
class Initiation:
    """INIT or INIT ACK: what a side begins with."""

    tag: int
    window: int
    streams_out: int
    streams_in: int
    first_tsn: int
    cookie: bytes = b""

    def encode(self, kind: int) -> Chunk:
        """As a chunk."""
        value = struct.pack(
            "!IIHHI", self.tag, self.window, self.streams_out, self.streams_in, self.first_tsn
        )
        if self.cookie:
            value += Parameter(STATE_COOKIE, self.cookie).encode()
        value += Parameter(FORWARD_TSN_SUPPORTED, b"").encode()
        value += Parameter(SUPPORTED_EXTENSIONS, bytes([FORWARD_TSN, RECONFIG])).encode()
        return Chunk(kind, 0, value)

    @classmethod
    def of(cls, chunk: Chunk) -> "Initiation | None":
        """From a chunk; None if it is too short, or has no tag."""
        if len(chunk.value) < 16:
            return None
        tag, window, streams_out, streams_in, first_tsn = struct.unpack_from("!IIHHI", chunk.value)
        cookie = next((p.value for p in parameters(chunk.value[16:]) if p.type == STATE_COOKIE), b"")
        return cls(tag, window, streams_out, streams_in, first_tsn, cookie) if tag else None


@dataclass(slots=True)
class Fragment:
    """DATA: a message, or a part of one."""

    tsn: int
    stream: int
    sequence: int
    protocol: int
    data: bytes
    flags: int

    def encode(self) -> Chunk:
        """As a chunk."""
        head = struct.pack("!IHHI", self.tsn, self.stream, self.sequence, self.protocol)
        return Chunk(DATA, self.flags, head + self.data)

    @classmethod
    def of(cls, chunk: Chunk) -> "Fragment | None":
        """From a chunk; None if it holds no data."""
        if len(chunk.value) < 13:
            return None
        tsn, stream, sequence, protocol = struct.unpack_from("!IHHI", chunk.value)
        return cls(tsn, stream, sequence, protocol, chunk.value[12:], chunk.flags)


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """SACK: all up to ``tsn`` has come, and what ``gaps`` says beyond it (first and last, counted from ``tsn``)."""

    tsn: int
    window: int
    gaps: tuple[tuple[int, int], ...] = ()

    def encode(self) -> Chunk:
        """As a chunk."""
        value = struct.pack("!IIHH", self.tsn, self.window, len(self.gaps), 0)
        return Chunk(SACK, 0, value + b"".join(struct.pack("!HH", *gap) for gap in self.gaps))

    @classmethod
    def of(cls, chunk: Chunk) -> "Acknowledgement | None":
        """From a chunk; None if it is too short."""
        if len(chunk.value) < 12:
            return None
        tsn, window, count, _ = struct.unpack_from("!IIHH", chunk.value)
        if 12 + 4 * count > len(chunk.value):
            return None
        gaps = tuple(struct.unpack_from("!HH", chunk.value, 12 + 4 * number) for number in range(count))
        return cls(tsn, window, gaps)
