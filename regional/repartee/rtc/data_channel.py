"""Data channels (RFC 8831, RFC 8832) on an SCTP association: who opens which, and texts both ways. Pure."""

import struct
from dataclasses import dataclass
from typing import Final

from repartee.rtc.sctp import Association, SctpMessage

CONTROL: Final = 50
TEXT: Final = 51
BINARY: Final = 53
EMPTY_TEXT: Final = 56
EMPTY_BINARY: Final = 57

_ACK = 2
_OPEN = 3
_OPEN_HEAD = "!BBHIHH"
_OPEN_BYTES = 12

MOST_CHANNELS = 16
"""Channels that one caller may open; further ones are ignored."""

MAX_LABEL_BYTES = 256


@dataclass(frozen=True, slots=True)
class ChannelOpened:
    """The channel ``label`` is open."""

    label: str


@dataclass(frozen=True, slots=True)
class ChannelText:
    """A text on the channel ``label``."""

    label: str
    text: str


class DataChannels:
    """All channels of one call. Channels have names; two of one name are one to those who send."""

    def __init__(self, association: Association) -> None:
        self.association = association
        self._labels: dict[int, str] = {}

    def __repr__(self) -> str:
        return f"<DataChannels: {', '.join(self._labels.values())}>"

    def is_open(self, label: str) -> bool:
        """Whether texts can be sent on it."""
        return label in self._labels.values()

    def open(self, label: str, now: float, *, stream: int = 0) -> list[bytes]:
        """Open a channel; what to send."""
        name = label.encode()
        request = struct.pack(_OPEN_HEAD, _OPEN, 0, 0, 0, len(name), 0) + name
        self._labels[stream] = label
        return self.association.send(SctpMessage(stream, CONTROL, request), now)

    def send(self, label: str, text: str, now: float) -> list[bytes]:
        """A text on an open channel; what to send. Raises KeyError if there is no such channel."""
        for stream, name in self._labels.items():
            if name == label:
                data = text.encode()
                kind, data = (TEXT, data) if data else (EMPTY_TEXT, b"\0")
                return self.association.send(SctpMessage(stream, kind, data), now)
        raise KeyError(label)

    def receive(self, data: bytes, now: float) -> tuple[list[bytes], list[ChannelOpened | ChannelText]]:
        """A packet of the association's; what to send, and what it means. Raises AssociationFailed."""
        out, messages = self.association.receive(data, now)
        told: list[ChannelOpened | ChannelText] = []
        for message in messages:
            out += self._take(message, told, now)
        return out, told

    def _take(self, message: SctpMessage, told: list[ChannelOpened | ChannelText], now: float) -> list[bytes]:
        stream = message.stream
        if message.protocol == CONTROL:
            if message.data[:1] == bytes([_ACK]):
                if label := self._labels.get(stream):
                    told.append(ChannelOpened(label))
                return []
            label = _label_in(message.data)
            if label is None or (stream not in self._labels and len(self._labels) >= MOST_CHANNELS):
                return []
            self._labels[stream] = label
            told.append(ChannelOpened(label))
            return self.association.send(SctpMessage(stream, CONTROL, bytes([_ACK])), now)
        label = self._labels.get(stream)
        if label is not None and message.protocol in (TEXT, EMPTY_TEXT):
            text = "" if message.protocol == EMPTY_TEXT else message.data.decode("utf-8", "replace")
            told.append(ChannelText(label, text))
        return []


def _label_in(data: bytes) -> str | None:
    """The name in DATA_CHANNEL_OPEN; None if it is none."""
    if len(data) < _OPEN_BYTES or data[0] != _OPEN:
        return None
    size = struct.unpack_from(_OPEN_HEAD, data)[4]
    if size > MAX_LABEL_BYTES or _OPEN_BYTES + size > len(data):
        return None
    return data[_OPEN_BYTES : _OPEN_BYTES + size].decode("utf-8", "replace")
