"""A call's WebRTC connection, which may be replaced by another while the call goes on; knows no protocol's events.

Takes what comes of the connection and hands it to a :class:`LineTaker`.
"""

import asyncio
import time
from typing import Protocol

from repartee.rtc.data_channel import ChannelOpened, ChannelText
from repartee.rtc.pacing import AudioFrame
from repartee.rtc.peer import AudioHeard, KeyHeard, Peer, PeerConnected, PeerEvent, PeerLeft
from repartee.rtc.sdp import MAX_MESSAGE_BYTES
from repartee.transport.webrtc.peers import Connecting, PeerMaker
from repartee.transport.webrtc.port import MediaPort

CHANNEL = "oai-events"
MOST_EARLY = 64
"""Events of a caller's that are kept until its call has begun."""


class LineTaker(Protocol):
    """Who uses the line."""

    def take_pcm(self, pcm: bytes) -> None:
        """The caller's audio."""

    def take_text(self, text: str) -> None:
        """An event of the caller's."""

    def line_opened(self) -> None:
        """Audio may be sent."""

    def channel_opened(self) -> None:
        """Texts may be sent."""

    def line_away(self) -> None:
        """Another connection is being made in place of the one so far."""

    def line_lost(self, why: PeerLeft) -> None:
        """The caller is gone."""


class MediaLine:
    """One call's connection."""

    def __init__(self, port: MediaPort, peers: PeerMaker) -> None:
        self._port = port
        self._peers = peers
        self._taker: LineTaker | None = None
        self._known: Connecting | None = None
        self._early: list[PeerEvent] = []
        self._used = False
        self.connected = asyncio.Event()
        """The first connection stands."""

    def __repr__(self) -> str:
        return f"<MediaLine {self._known.peer if self._known else 'without a peer'}>"

    @property
    def peer(self) -> Peer:
        """The connection."""
        assert self._known is not None
        return self._known.peer

    @property
    def has_channel(self) -> bool:
        """The caller wants events."""
        return self._known is not None and self._known.offer.data is not None

    @property
    def payload_bytes(self) -> int:
        """The longest text that the caller takes."""
        return MAX_MESSAGE_BYTES

    def answer(self, offer: str) -> str:
        """The answer to an offer: of a new connection in place of the last, or of the last one's restart. Raises
        OfferRefused."""
        port, streams = self._port.port, self._port.streams
        if self._known is not None and self.peer.left is None:
            restarted = self._peers.restart(self._known, offer, port, streams=streams)
            if restarted is not None:
                self._port.renamed(self.peer)
                return restarted
        made = self._peers.answer(offer, port, streams=streams, now=time.monotonic())
        before, self._known = self._known, made
        if before is not None:
            self._port.detach(before.peer)
            if self._taker is not None:
                self._taker.line_away()
        self._port.attach(made.peer, lambda events: self._take(made.peer, events))
        return made.answer

    def use(self, taker: LineTaker) -> None:
        """Hand what comes to this one from now on, and what has come."""
        self._taker, self._used = taker, True
        early, self._early = self._early, []
        self._hand_over(early)

    def leave(self) -> None:
        """Hand over nothing more."""
        self._taker = None

    def send_frame(self, frame: AudioFrame, now: float) -> None:
        """Audio that is due."""
        peer = self.peer
        peer.send_audio(frame, now)
        self._port.drive(peer)

    def can_send_text(self) -> bool:
        """Whether the channel is open."""
        return self.peer.channel_is_open(CHANNEL)

    def send_text(self, text: str) -> None:
        """A text on the open channel."""
        peer = self.peer
        events = peer.send_text(CHANNEL, text, time.monotonic())
        self._port.drive(peer)
        if events:
            self._take(peer, events)

    def hang_up(self) -> None:
        """Say goodbye, and be gone."""
        self.peer.hang_up()
        self._port.detach(self.peer)

    def _take(self, peer: Peer, events: list[PeerEvent]) -> None:
        if self._known is None or peer is not self._known.peer:
            return  # it has been replaced
        if self._taker is None:
            if not self._used and len(self._early) < MOST_EARLY:
                self._early += [event for event in events if not isinstance(event, AudioHeard)]
            if any(isinstance(event, PeerConnected) for event in events):
                self.connected.set()
            return
        self._hand_over(events)

    def _hand_over(self, events: list[PeerEvent]) -> None:
        taker = self._taker
        if taker is None:
            return
        for event in events:
            if isinstance(event, AudioHeard):
                taker.take_pcm(event.pcm)
            elif isinstance(event, ChannelText):
                if event.label == CHANNEL:
                    taker.take_text(event.text)
            elif isinstance(event, KeyHeard):
                taker.take_text(f'{{"type":"repartee.dtmf","digit":"{event.key}"}}')  # as the channel says it
            elif isinstance(event, ChannelOpened):
                if event.label == CHANNEL:
                    taker.channel_opened()
            elif isinstance(event, PeerConnected):
                self.connected.set()
                taker.line_opened()
            else:
                taker.line_lost(event)
