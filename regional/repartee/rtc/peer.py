"""The other side of one WebRTC connection: its checks, its handshake, its media, its data channels.

Datagrams go in with where they came from, datagrams come out with where they go; what they mean is returned as
events. Nothing is believed of an address that has not shown the call's password, and nothing is sent to it. Pure but
for OpenSSL's timers; times are seconds.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from OpenSSL import SSL

from repartee.rtc import rtcp, stun
from repartee.rtc.audio_line import AudioPayloads, IncomingAudio, OutgoingAudio, StreamStart
from repartee.rtc.data_channel import ChannelOpened, ChannelText, DataChannels
from repartee.rtc.dtls import DtlsFailed, DtlsSession
from repartee.rtc.ice import IceSide
from repartee.rtc.opus import OpusDecoder, OpusEncoder, OpusLibrary, OpusSettings
from repartee.rtc.pacing import FRAME_MS, AudioFrame
from repartee.rtc.rtp import CLOCK_HZ
from repartee.rtc.sctp import Association, AssociationFailed
from repartee.rtc.srtp import SrtpSession
from repartee.rtc.stun import Address, StunMessage

REPORT_S = 1.0
"""A report each second: a browser's encoder puts copies in only once it knows of loss."""

HANDSHAKE_TICK_S = 0.1
"""How often OpenSSL is asked whether something of the handshake is to be sent again."""

CNAME = "agent"
LEAST_BUFFER_MS = 30.0
"""What a listener's jitter buffer holds on a quiet line (NetEq: 20 to 40 ms) ..."""

BUFFER_PER_JITTER = 2.0
"""... and by how much it grows for each ms of jitter."""


@dataclass(frozen=True, slots=True)
class PeerConnected:
    """The handshake is done: audio may go both ways."""


@dataclass(frozen=True, slots=True)
class AudioHeard:
    """The other side's audio, mono PCM16 at 24 kHz."""

    pcm: bytes


@dataclass(frozen=True, slots=True)
class KeyHeard:
    """The other side has pressed a key: 0 to 9, ``*``, ``#`` or A to D."""

    key: str


class Departure(Enum):
    """Why the other side is gone."""

    HUNG_UP = "it hung up"
    NO_CONSENT = "its checks have stopped"
    FAILED = "the connection failed"


@dataclass(frozen=True, slots=True)
class PeerLeft:
    """The other side is gone."""

    departure: Departure
    why: str


PeerEvent = PeerConnected | AudioHeard | KeyHeard | ChannelOpened | ChannelText | PeerLeft


@dataclass(frozen=True, slots=True)
class PeerSecrets:
    """Random numbers and bytes that a connection begins with."""

    stream: StreamStart
    tag: int
    first_tsn: int
    cookie: bytes


@dataclass(frozen=True, slots=True)
class PeerParts:
    """What a connection is made from."""

    ice: IceSide
    context: SSL.Context
    fingerprints: tuple[tuple[str, str], ...]
    payloads: AudioPayloads
    opus: OpusLibrary
    secrets: PeerSecrets
    has_channel: bool = True
    is_client: bool = False
    encoding: OpusSettings = field(default_factory=OpusSettings)
    frame_ms: int = FRAME_MS


class Peer:
    """One connection."""

    def __init__(self, parts: PeerParts, now: float) -> None:
        self.ice = parts.ice
        self.fingerprints = parts.fingerprints
        self.left: PeerLeft | None = None
        self.reports = rtcp.ReportsHeard(CLOCK_HZ)
        self.incoming = IncomingAudio(OpusDecoder(parts.opus), parts.payloads)
        self.outgoing = OutgoingAudio(
            OpusEncoder(parts.opus, parts.encoding),
            parts.payloads,
            parts.secrets.stream,
            frame_ms=parts.frame_ms,
        )
        self._dtls = DtlsSession(parts.context, parts.fingerprints, is_client=parts.is_client)
        self._srtp: SrtpSession | None = None
        self._channels: DataChannels | None = None
        if parts.has_channel:
            secrets = parts.secrets
            association = Association(tag=secrets.tag, first_tsn=secrets.first_tsn, cookie=secrets.cookie)
            self._channels = DataChannels(association)
        self._begun = False
        self._send: list[tuple[bytes, Address]] = []
        self._report_at = now
        self._handshake_at = now

    def __repr__(self) -> str:
        return f"<Peer {self.ice!r}: {'connected' if self.connected else 'connecting'}>"

    @property
    def connected(self) -> bool:
        """Audio may go both ways."""
        return self._srtp is not None

    @property
    def playout_delay_ms(self) -> float:
        """From sending a sample until the other side hears it: half the round trip, and its jitter buffer."""
        buffer_ms = LEAST_BUFFER_MS + BUFFER_PER_JITTER * self.reports.jitter_ms
        return buffer_ms + (self.reports.rtt_ms or 0.0) / 2

    @property
    def deadline(self) -> float:
        """When :meth:`tick` is due."""
        due = self.ice.consent_until
        due = min(due, self._report_at if self.connected else self._handshake_at)
        if self.incoming.deadline is not None:
            due = min(due, self.incoming.deadline)
        if self._channels and self._channels.association.deadline is not None:
            due = min(due, self._channels.association.deadline)
        return due

    def take_outgoing(self) -> list[tuple[bytes, Address]]:
        """The datagrams to send, each with where to."""
        sent, self._send = self._send, []
        return sent

    # --- what comes ----------------------------------------------------------------------------------------------

    def check(self, message: StunMessage, source: Address, now: float) -> list[PeerEvent]:
        """A binding request that names this connection."""
        answer = self.ice.receive(message, source, now)
        if answer is None:
            return []
        self._send.append((answer.answer, source))
        return self.begin() if answer.accepted else []

    def begin(self) -> list[PeerEvent]:
        """The other side is there: a DTLS client starts its handshake."""
        if not self._dtls.is_client or self._dtls.established or self._begun:
            return []
        self._begun = True
        return self._guarded(lambda: self._put(self._dtls.start()))

    def receive(self, data: bytes, source: Address, now: float) -> list[PeerEvent]:
        """A datagram that is no STUN message, from an address that has shown the password."""
        first = data[0]
        if 127 < first < 192:
            return self._take_media(data, now)
        if 19 < first < 64:
            return self._guarded(lambda: self._take_dtls(data, now))
        return []

    def _take_media(self, data: bytes, now: float) -> list[PeerEvent]:
        if self._srtp is None or len(data) < 8:
            return []
        if 64 <= data[1] & 0x7F <= 95:
            packet = self._srtp.unprotect_rtcp(data)
            return self._take_reports(packet, now) if packet else []
        packet = self._srtp.unprotect(data)
        pcm = self.incoming.receive(packet, now) if packet else b""
        events: list[PeerEvent] = [AudioHeard(pcm)] if pcm else []
        if pressed := self.incoming.take_keys():
            events += [KeyHeard(key) for key in pressed]
        return events

    def _take_reports(self, packet: bytes, now: float) -> list[PeerEvent]:
        for said in rtcp.parse(packet):
            if isinstance(said, rtcp.Goodbye):
                return self._leave(Departure.HUNG_UP, "it said goodbye")
            if said.ntp is not None:
                self.incoming.reception.heard_report(said.ntp, now)
            for block in said.blocks:
                if block.ssrc == self.outgoing.ssrc:
                    self.reports.take(block, now)
                    self.outgoing.expect_loss(self.reports.loss)
        return []

    def _take_dtls(self, data: bytes, now: float) -> list[PeerEvent]:
        events: list[PeerEvent] = []
        out, messages = self._dtls.receive(data)
        self._put(out)
        if self._srtp is None and self._dtls.keys is not None:
            self._srtp = SrtpSession(self._dtls.keys)
            self._report_at = now + REPORT_S
            events.append(PeerConnected())
        for message in messages:
            if self._channels:
                packets, told = self._channels.receive(message, now)
                self._encrypt(packets)
                events += told
        if self._dtls.closed:
            events += self._leave(Departure.HUNG_UP, "it closed the connection")
        return events

    # --- what goes -----------------------------------------------------------------------------------------------

    def send_audio(self, frame: AudioFrame, now: float) -> None:
        """A frame that is due. Before the connection stands, or after, it is lost."""
        if self._srtp is not None and self.left is None:
            self._put([self._srtp.protect(self.outgoing.packet(frame, now))])

    def channel_is_open(self, label: str) -> bool:
        """Whether :meth:`send_text` can be used."""
        return self._channels is not None and self._channels.is_open(label)

    @property
    def channel_backlog_bytes(self) -> int:
        """What was given to the data channels and is not acknowledged."""
        return self._channels.association.waiting_bytes if self._channels else 0

    def open_channel(self, label: str, now: float) -> list[PeerEvent]:
        """Begin the association and open a channel on it, as a caller does. Raises KeyError without one."""
        if self._channels is None:
            raise KeyError(label)
        packets = self._channels.association.start(now) + self._channels.open(label, now)
        return self._guarded(lambda: self._encrypt(packets))

    def send_text(self, label: str, text: str, now: float) -> list[PeerEvent]:
        """A text on an open channel. Raises KeyError if there is no such channel."""
        if self._channels is None:
            raise KeyError(label)
        packets = self._channels.send(label, text, now)
        return self._guarded(lambda: self._encrypt(packets))

    def hang_up(self) -> None:
        """Say goodbye; what says so is to be sent."""
        if self._srtp is not None:
            self._put([self._srtp.protect_rtcp(rtcp.goodbye(self.outgoing.ssrc))])
        self._put(self._dtls.close())

    def tick(self, now: float) -> list[PeerEvent]:
        """What time has brought about."""
        if self.left is not None:
            return []
        if now >= self.ice.consent_until:
            return self._leave(Departure.NO_CONSENT, "no connectivity check has come for too long")
        return self._guarded(lambda: self._tick(now))

    def _tick(self, now: float) -> list[PeerEvent]:
        events: list[PeerEvent] = []
        if not self.connected and now >= self._handshake_at:
            self._handshake_at = now + HANDSHAKE_TICK_S
            self._put(self._dtls.tick())
        if self.connected and now >= self._report_at:
            self._report_at += REPORT_S
            if self._report_at <= now:
                self._report_at = now + REPORT_S
            self._report(now)
        if self.incoming.deadline is not None and now >= self.incoming.deadline:
            events.append(AudioHeard(self.incoming.flush(now)))
        if self._channels:
            self._encrypt(self._channels.association.tick(now))
        return events

    def _report(self, now: float) -> None:
        block = self.incoming.reception.block(now)
        blocks = [block] if block else []
        out = self.outgoing
        sent = rtcp.SentSoFar(out.ssrc, now, out.timestamp(now), out.packets, out.payload_bytes)
        packet = rtcp.sender_report(sent, blocks, CNAME)
        if not out.packets:
            packet = rtcp.receiver_report(out.ssrc, blocks, CNAME)
        if self._srtp is not None:
            self._put([self._srtp.protect_rtcp(packet)])

    def _encrypt(self, packets: list[bytes]) -> list[PeerEvent]:
        for packet in packets:
            self._put(self._dtls.send(packet))
        return []

    def _put(self, datagrams: list[bytes]) -> list[PeerEvent]:
        if self.ice.address is not None:
            self._send += [(datagram, self.ice.address) for datagram in datagrams]
        return []

    def _guarded(self, work: Callable[[], list[PeerEvent]]) -> list[PeerEvent]:
        try:
            return work()
        except (DtlsFailed, AssociationFailed) as fault:
            return self._leave(Departure.FAILED, str(fault))

    def _leave(self, departure: Departure, why: str) -> list[PeerEvent]:
        if self.left is not None:
            return []
        self.left = PeerLeft(departure, why)
        return [self.left]


def is_stun(data: bytes) -> bool:
    """Whether a datagram may be a STUN message (RFC 7983)."""
    return len(data) >= stun.HEADER_BYTES and data[0] < 4
