"""RTCP (RFC 3550): what each side tells the other of loss, jitter and time, and goodbye.

:class:`ReceptionStatistics` counts what comes in and makes the report blocks; :class:`ReportsHeard` makes loss and
round trip of those that the other side sends. Pure; times are seconds of one clock.
"""

import struct
from collections import deque
from dataclasses import dataclass
from typing import Final

SENDER_REPORT: Final = 200
RECEIVER_REPORT: Final = 201
DESCRIPTION: Final = 202
BYE: Final = 203

_NTP_FRACTION = 1 << 32
_BLOCK_BYTES = 24


@dataclass(frozen=True, slots=True)
class ReportBlock:
    """What one side tells of the other's packets. ``fraction_lost`` is a share (of the time since the last report),
    ``jitter`` counts the RTP clock, the last two 1/65536 s."""

    ssrc: int
    fraction_lost: float
    lost: int
    highest: int
    jitter: int
    last_sr: int
    since_sr: int

    def encode(self) -> bytes:
        """Its 24 bytes."""
        lost = max(-(1 << 23), min(self.lost, (1 << 23) - 1)) & 0xFFFFFF
        share = max(0, min(255, int(self.fraction_lost * 256)))
        return struct.pack(
            "!IIIIII", self.ssrc, share << 24 | lost, self.highest, self.jitter, self.last_sr, self.since_sr
        )


@dataclass(frozen=True, slots=True)
class RtcpReport:
    """A sender's or a receiver's report. ``ntp`` is a sender's clock, in its middle 32 bits."""

    ssrc: int
    blocks: tuple[ReportBlock, ...]
    ntp: int | None = None


@dataclass(frozen=True, slots=True)
class Goodbye:
    """The other side ends its stream."""


def parse(data: bytes) -> list[RtcpReport | Goodbye]:
    """What a compound packet says, as far as it can be read."""
    said: list[RtcpReport | Goodbye] = []
    at = 0
    while at + 8 <= len(data) and data[at] >> 6 == 2:
        count, kind = data[at] & 31, data[at + 1]
        end = at + 4 + 4 * int.from_bytes(data[at + 2 : at + 4], "big")
        if end > len(data):
            break
        if kind == BYE:
            said.append(Goodbye())
        elif kind in (SENDER_REPORT, RECEIVER_REPORT):
            blocks_at = at + (28 if kind == SENDER_REPORT else 8)
            (ssrc,) = struct.unpack_from("!I", data, at + 4)
            if blocks_at + count * _BLOCK_BYTES > end:
                break
            ntp = struct.unpack_from("!I", data, at + 10)[0] if kind == SENDER_REPORT else None
            blocks = tuple(_block(data, blocks_at + _BLOCK_BYTES * number) for number in range(count))
            said.append(RtcpReport(ssrc, blocks, ntp))
        at = end
    return said


def receiver_report(ssrc: int, blocks: list[ReportBlock], cname: str) -> bytes:
    """A report of a side that does not send, with its name."""
    return _head(len(blocks), RECEIVER_REPORT, 4 + _BLOCK_BYTES * len(blocks)) + b"".join(
        [struct.pack("!I", ssrc), *(block.encode() for block in blocks), _description(ssrc, cname)]
    )


@dataclass(frozen=True, slots=True)
class SentSoFar:
    """What a sender tells of itself. ``at`` is now, ``timestamp`` is now by the RTP clock."""

    ssrc: int
    at: float
    timestamp: int
    packets: int
    payload_bytes: int


def sender_report(sent: SentSoFar, blocks: list[ReportBlock], cname: str) -> bytes:
    """A report of a side that sends, with its name."""
    ntp = int(sent.at * _NTP_FRACTION) & (1 << 64) - 1
    words = struct.pack(
        "!IQIII",
        sent.ssrc,
        ntp,
        sent.timestamp & 0xFFFFFFFF,
        sent.packets & 0xFFFFFFFF,
        sent.payload_bytes & 0xFFFFFFFF,
    )
    return _head(len(blocks), SENDER_REPORT, 24 + _BLOCK_BYTES * len(blocks)) + b"".join(
        [words, *(block.encode() for block in blocks), _description(sent.ssrc, cname)]
    )


def goodbye(ssrc: int) -> bytes:
    """An empty report and BYE, as a compound packet has to begin with a report."""
    return _head(0, RECEIVER_REPORT, 4) + struct.pack("!I", ssrc) + _head(1, BYE, 4) + struct.pack("!I", ssrc)


def _head(count: int, kind: int, content_bytes: int) -> bytes:
    return struct.pack("!BBH", 0x80 | count, kind, content_bytes // 4)


def _description(ssrc: int, cname: str) -> bytes:
    item = bytes([1, len(cname)]) + cname.encode("ascii") + b"\0"
    item += bytes(-len(item) % 4)
    return _head(1, DESCRIPTION, 4 + len(item)) + struct.pack("!I", ssrc) + item


def _block(data: bytes, at: int) -> ReportBlock:
    ssrc, loss, highest, jitter, last_sr, since_sr = struct.unpack_from("!IIIIII", data, at)
    lost = loss & 0xFFFFFF
    if lost & 0x800000:
        lost -= 1 << 24
    return ReportBlock(ssrc, (loss >> 24) / 256, lost, highest, jitter, last_sr, since_sr)


class ReceptionStatistics:
    """What has come of one stream (RFC 3550, A.1, A.3 and A.8)."""

    def __init__(self, clock_hz: int) -> None:
        self._clock_hz = clock_hz
        self.ssrc: int | None = None
        self._begin(None, 0)

    def _begin(self, ssrc: int | None, sequence: int) -> None:
        """Another stream: count anew."""
        self.ssrc = ssrc
        self.received = 0
        self.jitter = 0.0
        self._base = self._highest = sequence
        self._expected_before = self._received_before = 0
        self._transit: float | None = None
        self._last_sr = 0
        self._sr_at = 0.0

    def count(self, ssrc: int, sequence: int, timestamp: int, now: float) -> None:
        """A packet has come."""
        if ssrc != self.ssrc:
            self._begin(ssrc, sequence)
        self.received += 1
        ahead = sequence - self._highest & 0xFFFF
        if ahead < 0x8000:
            self._highest += ahead
        transit = now * self._clock_hz - timestamp
        if self._transit is not None:
            difference = abs(transit - self._transit)
            if difference < self._clock_hz:  # not a timestamp that wrapped, or began anew
                self.jitter += (difference - self.jitter) / 16
        self._transit = transit

    def heard_report(self, ntp: int, now: float) -> None:
        """The sender's report has come: the next block echoes it."""
        self._last_sr, self._sr_at = ntp, now

    @property
    def expected(self) -> int:
        """Packets that should have come."""
        return 0 if self.ssrc is None else self._highest - self._base + 1

    @property
    def lost(self) -> int:
        """Packets that did not come (fewer than none, if some came twice)."""
        return self.expected - self.received

    def block(self, now: float) -> ReportBlock | None:
        """The report for the time since the last one; None while nothing has come."""
        if self.ssrc is None:
            return None
        expected = self.expected - self._expected_before
        lost = expected - (self.received - self._received_before)
        self._expected_before, self._received_before = self.expected, self.received
        share = max(0.0, lost / expected) if expected > 0 else 0.0
        since_sr = int((now - self._sr_at) * 65536) & 0xFFFFFFFF if self._last_sr else 0
        return ReportBlock(
            self.ssrc,
            share,
            self.lost,
            self._highest & 0xFFFFFFFF,
            int(self.jitter),
            self._last_sr,
            since_sr,
        )


LOSS_WINDOW_S = 5.0
"""Loss is what the reports of the last so many seconds say of it."""


class ReportsHeard:
    """What the other side's reports say of what is sent to it."""

    def __init__(self, clock_hz: int) -> None:
        self._clock_hz = clock_hz
        self._last: ReportBlock | None = None
        self._counts: deque[tuple[float, int, int]] = deque()
        self.lost = 0
        self.jitter_ms = 0.0
        self.rtt_ms: float | None = None
        """None: not known yet."""
        self.count = 0

    @property
    def loss(self) -> float:
        """The share of packets that were lost of late. While nothing is sent it stays what it was."""
        expected = sum(expected for _, _, expected in self._counts)
        return max(0.0, sum(lost for _, lost, _ in self._counts) / expected) if expected else 0.0

    def take(self, block: ReportBlock, now: float) -> None:
        """A report block about our stream."""
        self.count += 1
        self._count_loss(block, now)
        self.lost = block.lost
        self.jitter_ms = block.jitter * 1000 / self._clock_hz
        if block.last_sr:
            sent_at_now = int(now * 65536) & 0xFFFFFFFF
            rtt = sent_at_now - block.last_sr - block.since_sr & 0xFFFFFFFF
            if rtt < 60 * 65536:  # a longer one is a clock that jumped
                self.rtt_ms = rtt * 1000 / 65536

    def _count_loss(self, block: ReportBlock, now: float) -> None:
        """The totals say more exactly than the 256ths of a report what was lost since the one before."""
        before, self._last = self._last, block
        if before is None:
            lost, expected = round(block.fraction_lost * 256), 256
        else:
            lost = block.lost - before.lost
            expected = block.highest - before.highest & 0xFFFFFFFF
            if not 0 < expected < 1 << 16:
                return
        while self._counts and now - self._counts[0][0] >= LOSS_WINDOW_S:
            self._counts.popleft()
        self._counts.append((now, lost, expected))
