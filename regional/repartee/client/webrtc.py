"""A call by WebRTC, with the face of a WebSocket: bytes go out as Opus, and what is heard comes in as bytes.

Owns the caller's UDP or TCP socket and its timers; what goes over them is known below (rtc). The other side is
lite and has the address: this side sends the checks.
"""

import asyncio
import ctypes
import secrets
import time
from collections.abc import AsyncIterator, Callable
from ctypes.util import find_library
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from repartee.client.faults import CallFailed
from repartee.rtc import sdp, stun
from repartee.rtc.audio_line import AudioPayloads, StreamStart
from repartee.rtc.data_channel import ChannelOpened, ChannelText
from repartee.rtc.dtls import DtlsIdentity, dtls_context
from repartee.rtc.framing import Deframer, framed
from repartee.rtc.ice import IceCredentials
from repartee.rtc.ice_caller import IceCaller
from repartee.rtc.opus import OpusLibrary
from repartee.rtc.pacing import AudioFrame
from repartee.rtc.peer import AudioHeard, Peer, PeerConnected, PeerEvent, PeerLeft, PeerParts, PeerSecrets
from repartee.rtc.stun import Address

CHANNEL = "oai-events"
CALLS_PATH = "/v1/realtime/calls"
MOST_WAITING = 4_096
"""Texts and pieces of audio that may wait to be read."""


@dataclass(frozen=True, slots=True)
class MediaWishes:
    """How to connect. ``tcp``: by ICE-TCP only. ``via``: send media to this relay, not to the answer's address.
    ``opus``: a codec that many calls share."""

    tcp: bool = False
    via: Address | None = None
    connect_timeout_s: float = 10.0
    opus: OpusLibrary | None = None


class MediaSocket:
    """One call. Made by :func:`connect_media`."""

    def __init__(self, peer: Peer, ice: IceCaller) -> None:
        self.url = ""
        self.peer = peer
        self._ice = ice
        self._loop = asyncio.get_running_loop()
        self._incoming: asyncio.Queue[str | bytes | None] = asyncio.Queue(MOST_WAITING)
        self._write: Callable[[bytes, Address], None] = lambda data, target: None
        self._close: Callable[[], None] = lambda: None
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._sent_before = False
        self.listener: Callable[[str | bytes], None] | None = None
        """Who gets what comes at once, in place of :meth:`recv`."""
        self.ready = self._loop.create_future()

    # --- the face of a WebSocket ---------------------------------------------------------------------------------

    async def send(self, message: str | bytes) -> None:
        """An event, or 20 ms of audio (PCM16, 24 kHz)."""
        if isinstance(message, bytes):
            self.send_frame(message)
        else:
            self._take(self.peer.send_text(CHANNEL, message, time.monotonic()))
            self._drive()

    def send_frame(self, pcm: bytes) -> None:
        """20 ms of audio."""
        self.peer.send_audio(AudioFrame(pcm, (), not self._sent_before), time.monotonic())
        self._sent_before = True
        self._drive()

    async def recv(self) -> str | bytes:
        """The next event or piece of audio. Raises CallFailed when the call is over."""
        message = await self._incoming.get()
        if message is None:
            raise CallFailed("The server ended the call.")
        return message

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        while (message := await self._incoming.get()) is not None:
            yield message

    async def close(self) -> None:
        """Hang up."""
        self.peer.hang_up()
        self._flush()
        if self._timer:
            self._timer.cancel()
        self._close()

    def go_silent(self) -> None:
        """Be gone without a word, as a machine that is switched off."""
        self._write = lambda data, target: None
        if self._timer:
            self._timer.cancel()
        self._close()

    # --- datagrams -----------------------------------------------------------------------------------------------

    def begin(self, write: Callable[[bytes, Address], None], close: Callable[[], None]) -> None:
        """The socket is there."""
        self._write, self._close = write, close
        self._wake()

    def receive(self, data: bytes, source: Address) -> None:
        """A datagram has come."""
        now = time.monotonic()
        if not data:
            return
        if data[0] < 4:
            message = stun.parse(data)
            if message and message.type == stun.BINDING_REQUEST:
                self._take(self.peer.check(message, source, now))
            elif message and self._ice.answered(message, source, now):
                self._take(self.peer.begin())
        else:
            self._take(self.peer.receive(data, source, now))
        self._drive()

    def lost(self) -> None:
        """The socket is gone."""
        self._end("the connection was lost")

    def _wake(self) -> None:
        self._timer = None
        now = time.monotonic()
        for data, target in self._ice.checks(now):
            self._write(data, target)
        self._take(self.peer.tick(now))
        self._drive()

    def _drive(self) -> None:
        self._flush()
        due = min(self._ice.due, self.peer.deadline)
        if self._timer is None or due < self._due:
            if self._timer:
                self._timer.cancel()
            self._due = due
            self._timer = self._loop.call_later(max(0.0, due - time.monotonic()), self._wake)

    def _flush(self) -> None:
        for data, target in self.peer.take_outgoing():
            self._write(data, target)

    def _take(self, events: list[PeerEvent]) -> None:
        for event in events:
            if isinstance(event, AudioHeard):
                self._put(event.pcm)
            elif isinstance(event, ChannelText):
                self._put(event.text)
            elif isinstance(event, PeerConnected):
                self._take(self.peer.open_channel(CHANNEL, time.monotonic()))
            elif isinstance(event, ChannelOpened):
                if not self.ready.done():
                    self.ready.set_result(None)
            elif isinstance(event, PeerLeft):
                self._end(event.why)

    def _put(self, message: str | bytes | None) -> None:
        if self.listener is not None and message is not None:
            self.listener(message)
            return
        if self._incoming.full():
            self._incoming.get_nowait()
        self._incoming.put_nowait(message)

    def _end(self, why: str) -> None:
        if not self.ready.done():
            self.ready.set_exception(CallFailed(f"WebRTC could not connect: {why}."))
        self._put(None)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, socket: MediaSocket) -> None:
        self._socket = socket

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._socket.receive(data, addr[:2])


class _Framed(asyncio.Protocol):
    def __init__(self, socket: MediaSocket, server: Address) -> None:
        self._socket, self._server = socket, server
        self._deframer = Deframer()

    def data_received(self, data: bytes) -> None:
        for datagram in self._deframer.feed(data):
            self._socket.receive(datagram, self._server)

    def connection_lost(self, exc: Exception | None) -> None:
        self._socket.lost()


async def connect_media(url: str, headers: dict[str, str], wishes: MediaWishes) -> MediaSocket:
    """Place a call at ``url`` (http or https, with the path). Raises CallFailed; httpx's errors pass through."""
    identity = _new_identity()
    own = IceCredentials(secrets.token_hex(4), secrets.token_hex(16))
    begins = _new_secrets()
    offer = sdp.offer(sdp.OfferParts(own, identity.fingerprint, begins.stream.ssrc, secrets.randbits(60)))
    # Reading the certificates to trust takes 50 ms: not where none are needed.
    secure = url.startswith("https:")
    async with httpx.AsyncClient(timeout=wishes.connect_timeout_s, trust_env=False, verify=secure) as client:
        posted = await client.post(url, content=offer, headers={**headers, "Content-Type": "application/sdp"})
        posted.raise_for_status()
    answer = sdp.parse(posted.text)
    protocol = "tcp" if wishes.tcp else "udp"
    found = [(each.host, each.port) for each in answer.candidates if each.protocol == protocol]
    if not found:
        raise CallFailed(f"The server has no {protocol.upper()} candidate in its answer.")
    targets: list[Address] = [wishes.via] if wishes.via else list(found)
    now = time.monotonic()
    ice = IceCaller(
        own,
        answer.ice,
        targets,
        tie_breaker=secrets.randbits(64),
        new_id=lambda: secrets.token_bytes(12),
        now=now,
    )
    peer = Peer(
        PeerParts(
            ice,
            dtls_context(identity),
            answer.fingerprints,
            AudioPayloads(answer.opus, answer.red),
            wishes.opus or OpusLibrary(load_opus()),
            begins,
            is_client=True,
        ),
        now,
    )
    socket = MediaSocket(peer, ice)
    socket.url = posted.headers.get("location", "")
    await _open(socket, targets[0], tcp=wishes.tcp)
    try:
        await asyncio.wait_for(asyncio.shield(socket.ready), wishes.connect_timeout_s)
    except TimeoutError:
        await socket.close()
        raise CallFailed(f"WebRTC could not connect to {targets[0][0]}:{targets[0][1]}.") from None
    return socket


async def _open(socket: MediaSocket, target: Address, *, tcp: bool) -> None:
    loop = asyncio.get_running_loop()
    if tcp:
        try:
            stream, _ = await loop.create_connection(lambda: _Framed(socket, target), target[0], target[1])
        except OSError as error:
            raise CallFailed(f"{target[0]}:{target[1]} cannot be reached by TCP: {error.strerror}.") from None
        socket.begin(lambda data, to: stream.write(framed(data)), stream.close)
        return
    datagrams, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(socket), local_addr=("0.0.0.0", 0))
    socket.begin(lambda data, to: datagrams.sendto(data, to[:2]), datagrams.close)


def _new_secrets() -> PeerSecrets:
    stream = StreamStart(secrets.randbits(32), secrets.randbits(15), secrets.randbits(32))
    return PeerSecrets(stream, secrets.randbits(32) or 1, secrets.randbits(32), secrets.token_bytes(16))


def _new_identity() -> DtlsIdentity:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "caller")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=1))
    return DtlsIdentity(builder.not_valid_after(now + timedelta(days=2)).sign(key, hashes.SHA256()), key)


def load_opus() -> ctypes.CDLL:
    """libopus: the extra's, else the system's. Raises CallFailed."""
    try:
        from opuslib_next.api import libopus  # not on every platform

        return ctypes.CDLL(libopus._name)
    except Exception:
        found = find_library("opus")
        if found is None:
            raise CallFailed("A call by WebRTC needs libopus: pip install 'repartee[webrtc]'.") from None
        return ctypes.CDLL(found)
