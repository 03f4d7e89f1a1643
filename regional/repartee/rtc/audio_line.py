"""A call's audio as RTP: what comes in is put in order and decoded, what goes out is encoded and numbered.

Redundancy is paid for only while it is needed: copies of the frame before (RED, else Opus's own poorer ones) go out
while the other side reports loss. Pure; times are seconds.
"""

import math
from dataclasses import dataclass

from repartee.rtc import rtp
from repartee.rtc.opus import OpusDecoder, OpusEncoder
from repartee.rtc.pacing import AudioFrame
from repartee.rtc.reordering import Arrived, Gap, ReorderBuffer
from repartee.rtc.rtcp import ReceptionStatistics
from repartee.rtc.rtp import CLOCK_HZ, RtpPacket
from repartee.rtc.telephone_event import KeyEvents

RED_FROM_LOSS = 0.01
"""From this share of lost packets on, each frame is sent twice."""

MOST_FEC_PERCENT = 30


@dataclass(frozen=True, slots=True)
class AudioPayloads:
    """The payload types that were agreed on. ``red``, ``keys`` None: the other side has none."""

    opus: int
    red: int | None = None
    keys: int | None = None


class IncomingAudio:
    """What the other side says."""

    def __init__(self, decoder: OpusDecoder, payloads: AudioPayloads) -> None:
        self.reception = ReceptionStatistics(CLOCK_HZ)
        self.recovered = 0
        """Frames made from a copy in the packet after them."""
        self.concealed = 0
        """Frames guessed."""
        self._decoder = decoder
        self._payloads = payloads
        self._buffer = ReorderBuffer()
        self._keys = KeyEvents()
        self._pressed = ""

    @property
    def deadline(self) -> float | None:
        """When :meth:`flush` is due."""
        return self._buffer.deadline

    def receive(self, data: bytes, now: float) -> bytes:
        """A packet (unprotected); the PCM that is ready now."""
        packet = rtp.parse(data)
        if packet is None:
            return b""
        if packet.ssrc != self.reception.ssrc:
            self._buffer = ReorderBuffer()
        self.reception.count(packet.ssrc, packet.sequence, packet.timestamp, now)
        payload, earlier = self._frames_in(packet)
        return self._decoded(self._buffer.feed(packet.sequence, payload, now, earlier))

    def take_keys(self) -> str:
        """The keys that were pressed since this was asked last."""
        pressed, self._pressed = self._pressed, ""
        return pressed

    def flush(self, now: float) -> bytes:
        """The wait for a missing packet is over."""
        return self._decoded(self._buffer.flush(now))

    def _frames_in(self, packet: RtpPacket) -> tuple[bytes, bytes | None]:
        """The packet's own frame, and the one before it if it is in there. Other payloads have no audio."""
        if packet.payload_type == self._payloads.opus:
            return packet.payload, None
        if packet.payload_type == self._payloads.keys:
            self._pressed += self._keys.receive(packet)
            return b"", None
        if packet.payload_type != self._payloads.red:
            return b"", None
        blocks = rtp.parse_red(packet.payload)
        if not blocks:
            return b"", None
        opus = self._payloads.opus
        own = blocks[-1].payload if blocks[-1].payload_type == opus else b""
        before = blocks[-2] if len(blocks) > 1 else None
        return own, before.payload if before and before.payload_type == opus and before.payload else None

    def _decoded(self, ready: list[Arrived | Gap]) -> bytes:
        if len(ready) == 1 and isinstance(ready[0], Arrived):  # the usual case
            return self._decoder.decode(ready[0].payload)
        pieces = []
        for one in ready:
            if isinstance(one, Arrived):
                pieces.append(self._decoder.decode(one.payload))
            elif one.following:
                self.recovered += 1
                pieces.append(self._decoder.recover(one.following))
            else:
                self.concealed += 1
                pieces.append(self._decoder.conceal())
        return b"".join(pieces)


@dataclass(frozen=True, slots=True)
class StreamStart:
    """Where a stream's numbers begin: random ones."""

    ssrc: int
    sequence: int
    timestamp: int


class OutgoingAudio:
    """What the agent says."""

    def __init__(
        self, encoder: OpusEncoder, payloads: AudioPayloads, start: StreamStart, *, frame_ms: int
    ) -> None:
        self.ssrc = start.ssrc
        self.packets = 0
        self.payload_bytes = 0
        self.redundant = False
        """Whether each frame is sent twice."""
        self._encoder = encoder
        self._payloads = payloads
        self._sequence = start.sequence & 0xFFFF
        self._timestamp = start.timestamp & 0xFFFFFFFF
        self._step = CLOCK_HZ * frame_ms // 1000
        self._sent_at: float | None = None
        self._before: bytes | None = None

    def packet(self, frame: AudioFrame, now: float) -> bytes:
        """The next RTP packet (to be protected). Its clock goes on where nothing was sent."""
        if self._sent_at is not None:
            steps = 1
            if frame.first:
                steps = max(1, round((now - self._sent_at) * CLOCK_HZ / self._step))
            self._timestamp = self._timestamp + steps * self._step & 0xFFFFFFFF
        self._sent_at = now
        self._sequence = self._sequence + 1 & 0xFFFF
        payload = self._encoder.encode(frame.pcm)
        kind, body = self._payloads.opus, payload
        if self.redundant and self._payloads.red is not None:
            earlier = None if self._before is None or frame.first else (self._step, self._before)
            kind, body = self._payloads.red, rtp.encode_red(self._payloads.opus, payload, earlier)
        self._before = payload
        self.packets += 1
        self.payload_bytes += len(body)
        return RtpPacket(kind, self._sequence, self._timestamp, self.ssrc, body, frame.first).encode()

    def timestamp(self, now: float) -> int:
        """Now, by the stream's clock."""
        since_s = 0.0 if self._sent_at is None else now - self._sent_at
        return self._timestamp + int(since_s * CLOCK_HZ) & 0xFFFFFFFF

    def expect_loss(self, share: float) -> None:
        """The other side reports that so many packets are lost."""
        self.redundant = self._payloads.red is not None and share >= RED_FROM_LOSS
        self._encoder.expect_loss(min(math.ceil(round(share * 100, 6)), MOST_FEC_PERCENT))
