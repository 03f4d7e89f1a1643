"""An SCTP association (RFC 9260) over DTLS (RFC 8261): reliable messages on ordered streams, for data channels.

What a data channel of JSON events needs, and no more: no multihoming, no partial reliability here (it understands the
other side's), no path MTU discovery. Whole messages in and out; both directions bounded. Pure; times are
seconds.
"""

import struct
from collections import deque
from dataclasses import dataclass

from repartee.rtc import sctp_chunks as s
from repartee.rtc.sctp_chunks import Acknowledgement, Chunk, Fragment, Initiation, SctpPacket
from repartee.rtc.sctp_inbound import InboundStreams

RTO_S = 0.5
RTO_MAX_S = 8.0
MOST_RETRANSMISSIONS = 10
"""Of one packet, in a row; after that the other side is gone."""

FAST_RETRANSMIT_AT = 3
"""A packet that so many acknowledgements say is missing is sent again at once."""

FRAGMENT_BYTES = s.MAX_PACKET_BYTES - 28
FIRST_WINDOW_BYTES = 4 * s.MAX_PACKET_BYTES
MOST_WINDOW_BYTES = 256 * 1024
STREAMS = 1_024


class AssociationFailed(Exception):
    """The other side aborts, or does not answer any more."""


@dataclass(frozen=True, slots=True)
class SctpMessage:
    """A whole message. ``protocol`` is the payload protocol identifier."""

    stream: int
    protocol: int
    data: bytes


@dataclass(slots=True)
class _Sent:
    fragment: Fragment
    missed: int = 0
    acknowledged: bool = False
    retransmit: bool = False


class Association:
    """One side. ``tag``, ``first_tsn`` and ``cookie`` are random numbers and bytes. The side with ``is_client``
    begins."""

    def __init__(self, *, tag: int, first_tsn: int, cookie: bytes, is_client: bool = False) -> None:
        self.established = False
        self.deadline: float | None = None
        """When :meth:`tick` is due."""
        self.waiting_bytes = 0
        """What has been given to send, and is not acknowledged."""
        self._own = Initiation(tag or 1, MOST_WINDOW_BYTES, STREAMS, STREAMS, first_tsn, cookie)
        self._is_client = is_client
        self._peer_tag = 0
        self._peer_window = FIRST_WINDOW_BYTES
        self._window = FIRST_WINDOW_BYTES
        self._next_tsn = first_tsn
        self._sequences: dict[int, int] = {}
        self._queue: deque[Fragment] = deque()
        self._flight: dict[int, _Sent] = {}
        self._flight_bytes = 0
        self._inbound: InboundStreams | None = None
        self._opening: Chunk | None = None
        self._rto_s = RTO_S
        self._tries = 0

    def __repr__(self) -> str:
        return f"<Association: {len(self._queue)} queued, {len(self._flight)} in flight>"

    # --- what the user does --------------------------------------------------------------------------------------

    def start(self, now: float) -> list[bytes]:
        """A client begins; what to send."""
        self._opening = Initiation(
            self._own.tag, self._own.window, STREAMS, STREAMS, self._own.first_tsn
        ).encode(s.INIT)
        self._restart_timer(now)
        return [SctpPacket(0, (self._opening,)).encode()]

    def send(self, message: SctpMessage, now: float) -> list[bytes]:
        """A message for the other side; what to send now. Before the association stands, it waits."""
        sequence = self._sequences.get(message.stream, 0)
        self._sequences[message.stream] = sequence + 1 & 0xFFFF
        data = message.data
        pieces = [data[at : at + FRAGMENT_BYTES] for at in range(0, len(data), FRAGMENT_BYTES)]
        for number, piece in enumerate(pieces):
            flags = (s.BEGINS if number == 0 else 0) | (s.ENDS if number == len(pieces) - 1 else 0)
            fragment = Fragment(self._next_tsn, message.stream, sequence, message.protocol, piece, flags)
            self._next_tsn = self._next_tsn + 1 & 0xFFFFFFFF
            self._queue.append(fragment)
        self.waiting_bytes += len(data)
        return self._transmit(now)

    def tick(self, now: float) -> list[bytes]:
        """Send again what was not acknowledged in time. Raises AssociationFailed."""
        if self.deadline is None or now < self.deadline:
            return []
        self._tries += 1
        if self._tries > MOST_RETRANSMISSIONS:
            raise AssociationFailed("the other side acknowledges nothing on the data channel")
        self._rto_s = min(self._rto_s * 2, RTO_MAX_S)
        self._restart_timer(now)
        if self._opening is not None:
            return [SctpPacket(self._peer_tag, (self._opening,)).encode()]
        self._window = FIRST_WINDOW_BYTES
        for sent in self._flight.values():
            sent.retransmit = not sent.acknowledged
        return self._transmit(now)

    # --- what comes ----------------------------------------------------------------------------------------------

    def receive(self, data: bytes, now: float) -> tuple[list[bytes], list[SctpMessage]]:
        """A packet; what to send, and the messages that are complete now. Raises AssociationFailed."""
        packet = s.parse(data)
        if packet is None:
            return [], []
        begins = any(chunk.type == s.INIT for chunk in packet.chunks)
        if packet.tag != (0 if begins else self._own.tag):
            return [], []
        answers: list[Chunk] = []
        messages: list[SctpMessage] = []
        had_data = False
        for chunk in packet.chunks:
            if chunk.type == s.DATA:
                had_data = True
                self._take_data(chunk, messages)
            elif chunk.type == s.FORWARD_TSN and self._inbound and len(chunk.value) >= 4:
                had_data = True
                self._inbound.skip_to(struct.unpack_from("!I", chunk.value)[0])
                messages += [SctpMessage(*whole) for whole in self._inbound.complete()]
            else:
                answers += self._take_control(chunk, now)
        if had_data and self._inbound:
            answers.insert(0, self._inbound.acknowledgement().encode())
        out = [SctpPacket(self._peer_tag, tuple(answers)).encode()] if answers else []
        return out + self._transmit(now), messages

    def _take_data(self, chunk: Chunk, messages: list[SctpMessage]) -> None:
        fragment = Fragment.of(chunk)
        if fragment and self._inbound and self._inbound.take(fragment):
            messages += [SctpMessage(*whole) for whole in self._inbound.complete()]

    def _take_control(self, chunk: Chunk, now: float) -> list[Chunk]:
        match chunk.type:
            case s.INIT:
                return self._begun(chunk)
            case s.INIT_ACK:
                return self._begin_answered(chunk, now)
            case s.COOKIE_ECHO:
                return self._cookie_came(chunk)
            case s.COOKIE_ACK:
                self._stands()
            case s.SACK:
                self._acknowledged(chunk, now)
            case s.HEARTBEAT:
                return [Chunk(s.HEARTBEAT_ACK, 0, chunk.value)]
            case s.RECONFIG:
                return self._reset_streams(chunk)
            case s.SHUTDOWN:
                return [Chunk(s.SHUTDOWN_ACK, 0, b"")]
            case s.ABORT:
                raise AssociationFailed("the other side closed the data channel's association")
        return []

    def _begun(self, chunk: Chunk) -> list[Chunk]:
        initiation = Initiation.of(chunk)
        if initiation is None or (self.established and initiation.tag != self._peer_tag):
            return []
        self._meet(initiation)
        return [self._own.encode(s.INIT_ACK)]

    def _begin_answered(self, chunk: Chunk, now: float) -> list[Chunk]:
        initiation = Initiation.of(chunk)
        if initiation is None or self._opening is None or self.established:
            return []
        self._meet(initiation)
        self._opening = Chunk(s.COOKIE_ECHO, 0, initiation.cookie)
        self._restart_timer(now)
        return [self._opening]

    def _meet(self, initiation: Initiation) -> None:
        if self._inbound is None:
            self._inbound = InboundStreams(initiation.first_tsn)
        self._peer_tag = initiation.tag
        self._peer_window = initiation.window

    def _cookie_came(self, chunk: Chunk) -> list[Chunk]:
        if chunk.value != self._own.cookie or self._inbound is None:
            return []
        self._stands()
        return [Chunk(s.COOKIE_ACK, 0, b"")]

    def _stands(self) -> None:
        self.established = True
        self._opening = None
        self.deadline = None
        self._tries = 0

    def _reset_streams(self, chunk: Chunk) -> list[Chunk]:
        """The other side closes channels (RFC 6525): granted."""
        answers = []
        for parameter in s.parameters(chunk.value):
            if parameter.type == s.RESET_REQUEST and len(parameter.value) >= 12:
                number = parameter.value[:4]
                response = s.Parameter(s.RESET_RESPONSE, number + struct.pack("!I", 1))
                answers.append(Chunk(s.RECONFIG, 0, response.encode()))
        return answers

    # --- what goes -----------------------------------------------------------------------------------------------

    def _acknowledged(self, chunk: Chunk, now: float) -> None:
        sack = Acknowledgement.of(chunk)
        if sack is None:
            return
        done = [tsn for tsn in self._flight if sack.tsn - tsn & 0xFFFFFFFF < 0x80000000]
        newly = sum(self._finish(tsn) for tsn in done)
        highest = 0
        for first, last in sack.gaps[: s.MAX_CHUNKS]:
            for offset in range(first, min(last, first + len(self._flight)) + 1):
                sent = self._flight.get(sack.tsn + offset & 0xFFFFFFFF)
                if sent and not sent.acknowledged:
                    sent.acknowledged = True
                    highest = max(highest, offset)
        if highest:
            self._count_missing(sack.tsn, highest)
        self._peer_window = sack.window
        if newly:
            self._window = min(self._window + min(newly, s.MAX_PACKET_BYTES), MOST_WINDOW_BYTES)
            self._rto_s, self._tries = RTO_S, 0
            self.deadline = None
        if self._flight and self.deadline is None:
            self._restart_timer(now)

    def _finish(self, tsn: int) -> int:
        size = len(self._flight.pop(tsn).fragment.data)
        self._flight_bytes -= size
        self.waiting_bytes -= size
        return size

    def _count_missing(self, tsn: int, highest: int) -> None:
        for number, sent in self._flight.items():
            if not sent.acknowledged and number - tsn & 0xFFFFFFFF < highest:
                sent.missed += 1
                if sent.missed == FAST_RETRANSMIT_AT:
                    sent.retransmit = True
                    self._window = max(self._window // 2, FIRST_WINDOW_BYTES)

    def _transmit(self, now: float) -> list[bytes]:
        if not self.established:
            return []
        chunks: list[Chunk] = []
        for sent in self._flight.values():
            if sent.retransmit:
                sent.retransmit = False
                chunks.append(sent.fragment.encode())
        room = min(self._window, self._peer_window) - self._flight_bytes
        while self._queue and (room >= len(self._queue[0].data) or not self._flight):
            fragment = self._queue.popleft()
            room -= len(fragment.data)
            self._flight[fragment.tsn] = _Sent(fragment)
            self._flight_bytes += len(fragment.data)
            chunks.append(fragment.encode())
        if chunks and self.deadline is None:
            self._restart_timer(now)
        return [SctpPacket(self._peer_tag, tuple(group)).encode() for group in _grouped(chunks)]

    def _restart_timer(self, now: float) -> None:
        self.deadline = now + self._rto_s


def _grouped(chunks: list[Chunk]) -> list[list[Chunk]]:
    """As many in a packet as fit."""
    groups: list[list[Chunk]] = []
    room = 0
    for chunk in chunks:
        size = len(chunk.value) + 4 + 3
        if size > room:
            groups.append([])
            room = s.MAX_PACKET_BYTES - 12
        groups[-1].append(chunk)
        room -= size
    return groups
