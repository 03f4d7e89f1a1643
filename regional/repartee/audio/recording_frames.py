"""What a worker tells the process that encodes its recordings: a frame for each piece of audio and each event. Pure.

Audio stands in a frame as it was on the client's wire: whoever encodes it decodes it first.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import msgspec

_HEAD = struct.Struct("<BIdI")
MOST_BODY = 64_000_000


class FrameKind(IntEnum):
    """``BEGUN`` and ``FORMATS`` hold JSON, ``HEARD`` (the caller's) and ``SENT`` (the agent's) audio."""

    BEGUN = 1
    FORMATS = 2
    HEARD = 3
    SENT = 4
    CUT = 5
    ENDED = 6
    CANCELLED = 7


@dataclass(frozen=True, slots=True)
class RecordingFrame:
    """``number`` is the recording's, in this process; ``at`` is seconds on the worker's monotonic clock."""

    kind: FrameKind
    number: int
    at: float
    body: bytes = b""

    def packed(self) -> bytes:
        """On the wire."""
        return _HEAD.pack(self.kind, self.number, self.at, len(self.body)) + self.body

    def told(self) -> Mapping[str, Any]:
        """The JSON in it."""
        told: dict[str, Any] = msgspec.json.decode(self.body)
        return told


def read_frame(read: Callable[[int], bytes]) -> RecordingFrame | None:
    """The next frame; None at the end, also if the last one is torn. ``read`` gives so many bytes, or fewer at the
    end. Raises ValueError for what is no frame."""
    head = read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    kind, number, at, size = _HEAD.unpack(head)
    if size > MOST_BODY:
        raise ValueError(f"a frame of {size} bytes")
    body = read(size) if size else b""
    return RecordingFrame(FrameKind(kind), number, at, body) if len(body) == size else None
