"""Datagrams in a stream (RFC 4571): two bytes of length before each. ICE-TCP carries them so. Pure."""

import struct

MAX_DATAGRAM_BYTES = 1_500
"""A longer frame is an attack, or no ICE-TCP."""


class FrameTooLong(Exception):
    """The stream holds a frame that is longer than any datagram here."""


def framed(datagram: bytes) -> bytes:
    """The datagram as a frame."""
    return struct.pack("!H", len(datagram)) + datagram


class Deframer:
    """Takes a stream in pieces, gives whole datagrams. Holds one frame at most."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The datagrams that are complete now. Raises FrameTooLong; the stream is of no use then."""
        self._held += data
        found: list[bytes] = []
        at = 0
        while at + 2 <= len(self._held):
            size = self._held[at] << 8 | self._held[at + 1]
            if size > MAX_DATAGRAM_BYTES:
                raise FrameTooLong(f"a frame of {size} bytes: {MAX_DATAGRAM_BYTES} are the most")
            if at + 2 + size > len(self._held):
                break
            if size:
                found.append(bytes(self._held[at + 2 : at + 2 + size]))
            at += 2 + size
        del self._held[:at]
        return found
