"""Keys that the other side presses, as RTP carries them beside its audio (RFC 4733). Pure."""

import struct
from typing import Final

from repartee.rtc.rtp import RtpPacket

KEYS: Final = "0123456789*#ABCD"
_NEWEST_AHEAD: Final = 1 << 31


class KeyEvents:
    """The keys of one stream. A key's packets come every 20 to 50 ms while it is held, and its last one three times;
    they share a timestamp, by which a key counts once, with the first of them that comes."""

    def __init__(self) -> None:
        self._last: tuple[int, int] | None = None

    def receive(self, packet: RtpPacket) -> str:
        """The key that this packet is the first of; empty for all else."""
        if len(packet.payload) < 4:
            return ""
        event, _, _ = struct.unpack_from("!BBH", packet.payload)
        if event >= len(KEYS):
            return ""
        if self._last is not None and self._last[0] == packet.ssrc:
            newer = packet.timestamp - self._last[1] & 0xFFFFFFFF
            if newer == 0 or newer >= _NEWEST_AHEAD:
                return ""
        self._last = (packet.ssrc, packet.timestamp)
        return KEYS[event]
