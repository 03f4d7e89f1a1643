"""Opus packets in an Ogg stream (RFC 3533, RFC 7845). Pure: gives bytes to be written one after the other."""

import struct
import zlib

OPUS_HZ = 48_000
"""Ogg counts Opus in these samples, whatever was encoded."""

MOST_SEGMENTS = 255
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_BEGIN, _END = 2, 4


def page_checksum(page: bytes) -> int:
    """Ogg's CRC: zlib's polynomial, with all bits the other way round."""
    mirrored = zlib.crc32(page.translate(_REVERSED), 0xFFFF_FFFF) ^ 0xFFFF_FFFF
    return int(f"{mirrored:032b}"[::-1], 2)


class OggOpus:
    """One stream. ``pre_skip`` are the encoder's first samples at 48 kHz, which nobody hears."""

    def __init__(self, serial: int, *, channels: int, input_hz: int, pre_skip: int) -> None:
        self._serial = serial
        self._head = struct.pack("<8sBBHIhB", b"OpusHead", 1, channels, pre_skip, input_hz, 0, 0)
        self._sequence = 0
        self._granule = 0
        self._packets: list[bytes] = []

    def begin(self) -> bytes:
        """The two headers, a page each."""
        vendor = b"repartee"
        tags = struct.pack("<8sI", b"OpusTags", len(vendor)) + vendor + struct.pack("<I", 0)
        return self._page([self._head], 0, _BEGIN) + self._page([tags], 0, 0)

    def add(self, packet: bytes, samples: int) -> bytes:
        """A packet of so many samples (at 48 kHz). Returns a page, once there are enough for one."""
        waiting = [*self._packets, packet]
        full = sum(len(one) // 255 + 1 for one in waiting) > MOST_SEGMENTS
        page = self.flush() if full else b""
        self._packets.append(packet)
        self._granule += samples
        return page

    def flush(self, *, last: bool = False) -> bytes:
        """A page with the packets that wait; the last one ends the stream."""
        packets, self._packets = self._packets, []
        return self._page(packets, self._granule, _END if last else 0) if packets or last else b""

    def _page(self, packets: list[bytes], granule: int, flags: int) -> bytes:
        lacing = b"".join(b"\xff" * (len(packet) // 255) + bytes([len(packet) % 255]) for packet in packets)
        fields = (b"OggS", 0, flags, granule, self._serial, self._sequence)
        self._sequence += 1
        head, tail = struct.pack("<4sBBqII", *fields), bytes([len(lacing)]) + lacing + b"".join(packets)
        return head + struct.pack("<I", page_checksum(head + bytes(4) + tail)) + tail
