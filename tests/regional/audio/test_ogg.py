"""Opus in Ogg, read back by a reader of the test's own, which trusts nothing."""

import struct
from typing import Any

from repartee.audio.ogg import OggOpus


def crc(data: bytes) -> int:
    """As RFC 3533 has it, bit by bit."""
    value = 0
    for byte in data:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ 0x04C11DB7 if value & 0x80000000 else value << 1) & 0xFFFFFFFF
    return value


def packets_of(stream: bytes, serial: int = 7) -> tuple[list[bytes], int]:
    """All packets of a stream, and the last granule."""
    at, packets, granule, sequence = 0, [], 0, 0
    flags = 0
    while at < len(stream):
        magic, version, flags, granule, of, number, checksum, count = struct.unpack_from(
            "<4sBBqIIIB", stream, at
        )
        assert (magic, version, of, number) == (b"OggS", 0, serial, sequence)
        assert bool(flags & 2) is (sequence == 0)
        lacing = stream[at + 27 : at + 27 + count]
        size = 27 + count + sum(lacing)
        page = stream[at : at + size]
        assert crc(page[:22] + bytes(4) + page[26:]) == checksum
        body, rest = page[27 + count :], b""
        for length in lacing:
            rest, body = rest + body[:length], body[length:]
            if length < 255:
                packets.append(rest)
                rest = b""
        assert rest == b"", "no packet goes over a page"
        at, sequence = at + size, sequence + 1
    assert flags & 4, "the last page says so"
    return packets, granule


def stream_of(packets: list[bytes], **options: Any) -> bytes:
    stream = OggOpus(7, channels=2, input_hz=24_000, pre_skip=312)
    data = stream.begin()
    for packet in packets:
        data += stream.add(packet, 960)
    return data + stream.flush(last=True)


def test_every_packet_is_read_back_with_its_headers_and_its_time() -> None:
    given = [bytes([n % 256]) * (n * 7 % 700) for n in range(600)]
    packets, granule = packets_of(stream_of(given))
    head = struct.unpack("<8sBBHIhB", packets[0])
    assert head == (b"OpusHead", 1, 2, 312, 24_000, 0, 0)
    assert packets[1].startswith(b"OpusTags\x08\0\0\0repartee")
    assert packets[2:] == given
    assert granule == 600 * 960


def test_an_empty_stream_has_an_end() -> None:
    assert len(packets_of(stream_of([]))[0]) == 2
