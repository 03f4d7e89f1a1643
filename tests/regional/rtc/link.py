"""Two ends of a WebRTC connection on a virtual clock, joined by a link that a test can bend."""

import math
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from repartee.rtc import sdp, stun
from repartee.rtc.audio_line import AudioPayloads, StreamStart
from repartee.rtc.demultiplexer import Demultiplexer
from repartee.rtc.dtls import DtlsIdentity, dtls_context
from repartee.rtc.ice import IceCredentials, IceLite
from repartee.rtc.ice_caller import IceCaller
from repartee.rtc.opus import OpusLibrary
from repartee.rtc.pacing import AudioFrame
from repartee.rtc.peer import (
    AudioHeard,
    Peer,
    PeerConnected,
    PeerEvent,
    PeerParts,
    PeerSecrets,
    is_stun,
)
from repartee.rtc.stun import Address
from repartee.transport.webrtc.certificate import new_identity
from repartee.transport.webrtc.libraries import load_opus

OPUS = OpusLibrary(load_opus())
WORKER, CALLER = ("192.0.2.1", 3478), ("198.51.100.7", 40_000)
STEP_S = 0.005
SERVER_ICE = IceCredentials("worker01", "the-workers-password-0001")
CLIENT_ICE = IceCredentials("caller01", "the-callers-password-0001")
SERVER_IDENTITY, CLIENT_IDENTITY = new_identity(), new_identity()


def tone(ms: float, hz: float = 440.0, *, level: float = 8_000.0, start_ms: float = 0.0) -> bytes:
    """A tone, mono PCM16 at 24 kHz."""
    at = np.arange(round(ms * 24)) + round(start_ms * 24)
    return (level * np.sin(2 * math.pi * hz * at / 24_000)).astype("<i2").tobytes()


def level_of(pcm: bytes) -> float:
    """Root mean square."""
    samples = np.frombuffer(pcm, "<i2").astype(float)
    return float(np.sqrt((samples**2).mean())) if len(samples) else 0.0


def pitch_of(pcm: bytes) -> float:
    """The strongest frequency (Hz)."""
    samples = np.frombuffer(pcm, "<i2").astype(float)
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * 24_000 / len(samples))


def new_secrets(ssrc: int = 1) -> PeerSecrets:
    start = StreamStart(ssrc, secrets.randbits(16), secrets.randbits(32))
    return PeerSecrets(start, secrets.randbits(31) + 1, secrets.randbits(32), secrets.token_bytes(16))


@dataclass
class Ends:
    """How the two ends are made."""

    server_identity: DtlsIdentity = SERVER_IDENTITY
    client_identity: DtlsIdentity = CLIENT_IDENTITY
    shown_by_client: DtlsIdentity | None = None
    """The certificate that the client really has, if it is another than in its offer."""
    red: bool = True


@dataclass
class Link:
    """A call. ``delay_s`` is one way; ``drops`` says whether a datagram is lost (``up``: from the caller)."""

    ends: Ends = field(default_factory=Ends)
    delay_s: float = 0.0
    drops: Callable[[bool, bytes], bool] = lambda up, data: False
    now: float = 100.0

    def __post_init__(self) -> None:
        ends = self.ends
        self.offer = sdp.parse(
            sdp.offer(sdp.OfferParts(CLIENT_ICE, ends.client_identity.fingerprint, 2, 1, red=ends.red))
        )
        here = (sdp.IceCandidate(*WORKER),)
        self.answer_text = sdp.answer(
            self.offer, sdp.AnswerParts(SERVER_ICE, ends.server_identity.fingerprint, here, 1, 7)
        )
        answer = sdp.parse(self.answer_text)
        payloads = AudioPayloads(self.offer.opus, self.offer.red)
        ice = IceLite(SERVER_ICE, self.offer.ice.ufrag, tie_breaker=5, now=self.now)
        self.lite = ice
        context = dtls_context(ends.server_identity)
        self.server = Peer(
            PeerParts(ice, context, self.offer.fingerprints, payloads, OPUS, new_secrets(1)), self.now
        )
        self.ice = IceCaller(
            CLIENT_ICE,
            answer.ice,
            [WORKER],
            tie_breaker=9,
            new_id=lambda: secrets.token_bytes(12),
            now=self.now,
        )
        context = dtls_context(ends.shown_by_client or ends.client_identity)
        self.client = Peer(
            PeerParts(self.ice, context, answer.fingerprints, payloads, OPUS, new_secrets(2), is_client=True),
            self.now,
        )
        self.port = Demultiplexer()
        self.port.add(self.server)
        self.caller_at = CALLER
        self.server_events: list[PeerEvent] = []
        self.client_events: list[PeerEvent] = []
        self.server_heard = bytearray()
        self.client_heard = bytearray()
        self.sent_down: list[tuple[float, bytes]] = []
        self._on_the_way: list[tuple[float, int, bool, bytes, Address]] = []
        self._numbers = 0

    def run(self, seconds: float, each: Callable[[], None] = lambda: None) -> None:
        """Let time pass; ``each`` is called every 5 ms."""
        until = self.now + seconds
        while self.now < until - 1e-9:
            self.now += STEP_S
            each()
            self._step()

    def connect(self) -> "Link":
        """Let both ends meet."""
        self.run(1.0)
        assert self.server.connected and self.client.connected
        return self

    def speak(self, speaker: Peer, pcm: bytes) -> None:
        """Send this at its pace; returns when all is sent."""
        for number, at in enumerate(range(0, len(pcm), 960)):
            frame = pcm[at : at + 960]
            speaker.send_audio(AudioFrame(frame + bytes(960 - len(frame)), (), number == 0), self.now)
            self.run(0.02)

    def _step(self) -> None:
        self._collect()
        while self._on_the_way and self._on_the_way[0][0] <= self.now:
            _, _, up, data, source = self._on_the_way.pop(0)
            if up:
                self._to_server(data, source)
            else:
                self._to_client(data)
            self._collect()
        self._note(self.server.tick(self.now), self.server_events, self.server_heard)
        self._note(self.client.tick(self.now), self.client_events, self.client_heard)
        self._collect()

    def _collect(self) -> None:
        for data, _ in [*self.ice.checks(self.now), *self.client.take_outgoing()]:
            self._post(True, data, self.caller_at)
        for data, target in self.server.take_outgoing():
            self.sent_down.append((self.now, data))
            if target == self.caller_at:
                self._post(False, data, WORKER)

    def _post(self, up: bool, data: bytes, source: Address) -> None:
        if not self.drops(up, data):
            self._numbers += 1
            self._on_the_way.append((self.now + self.delay_s, self._numbers, up, data, source))
            self._on_the_way.sort(key=lambda one: one[:2])

    def _to_server(self, data: bytes, source: Address) -> None:
        found = self.port.receive(data, source, self.now)
        if found:
            self._note(found[1], self.server_events, self.server_heard)

    def _to_client(self, data: bytes) -> None:
        if is_stun(data):
            message = stun.parse(data)
            assert message
            if self.ice.answered(message, WORKER, self.now):
                self.client.begin()
            return
        self._note(self.client.receive(data, WORKER, self.now), self.client_events, self.client_heard)

    def _note(self, events: list[PeerEvent], noted: list[PeerEvent], heard: bytearray) -> None:
        for event in events:
            if isinstance(event, AudioHeard):
                heard += event.pcm
                continue
            noted.append(event)
            if isinstance(event, PeerConnected) and noted is self.client_events:
                self.client.open_channel("oai-events", self.now)


def is_media(data: bytes) -> bool:
    """Whether a datagram is RTP (not RTCP)."""
    return 127 < data[0] < 192 and not 64 <= data[1] & 0x7F <= 95
