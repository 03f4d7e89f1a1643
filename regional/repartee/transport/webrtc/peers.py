"""Connections made from offers: the worker's identity, its codec, its addresses, in one place."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from repartee.rtc import sdp
from repartee.rtc.audio_line import AudioPayloads, StreamStart
from repartee.rtc.dtls import dtls_context
from repartee.rtc.ice import CONSENT_S, IceCredentials, IceLite
from repartee.rtc.opus import OpusLibrary, OpusSettings
from repartee.rtc.pacing import FRAME_MS
from repartee.rtc.peer import Peer, PeerParts, PeerSecrets
from repartee.rtc.sdp import AnswerParts, Description, IceCandidate, OfferRefused
from repartee.transport.webrtc.certificate import new_identity
from repartee.transport.webrtc.libraries import load_opus
from repartee.transport.webrtc.names import new_ufrag


@dataclass(frozen=True, slots=True)
class MediaSettings:
    """How a worker's connections are. ``hosts`` are its public addresses; ``label`` names the worker in credentials
    (see names)."""

    hosts: Sequence[str]
    label: str
    frame_ms: int = FRAME_MS
    consent_s: float = CONSENT_S
    bitrate: int = 32_000
    complexity: int = 5
    low_delay: bool = False


def new_secrets() -> PeerSecrets:
    """Random numbers to begin a connection with."""
    stream = StreamStart(secrets.randbits(32), secrets.randbits(15), secrets.randbits(32))
    return PeerSecrets(stream, secrets.randbits(32) or 1, secrets.randbits(32), secrets.token_bytes(16))


@dataclass(frozen=True, slots=True)
class Connecting:
    """A connection that is being made, and the answer to its offer."""

    peer: Peer
    offer: Description
    answer: str
    session_id: int
    ssrc: int
    ice: IceLite


class PeerMaker:
    """Makes all connections of a worker."""

    def __init__(self, settings: MediaSettings) -> None:
        self._settings = settings
        identity = new_identity()
        self._fingerprint = identity.fingerprint
        self._context = dtls_context(identity)
        self._opus = OpusLibrary(load_opus())

    def answer(self, offer_text: str, port: int, *, streams: bool, now: float) -> Connecting:
        """A connection for an offer. Raises OfferRefused."""
        settings = self._settings
        offer = sdp.parse(offer_text)
        own, begins = self._credentials(), new_secrets()
        ice = IceLite(
            own,
            offer.ice.ufrag,
            tie_breaker=secrets.randbits(64),
            now=now,
            consent_s=settings.consent_s,
        )
        peer = Peer(
            PeerParts(
                ice,
                self._context,
                offer.fingerprints,
                AudioPayloads(offer.opus, offer.red, offer.keys[0] if offer.keys else None),
                self._opus,
                begins,
                has_channel=offer.data is not None,
                is_client=offer.setup == "passive",
                encoding=OpusSettings(settings.bitrate, settings.complexity, settings.low_delay),
                frame_ms=settings.frame_ms,
            ),
            now,
        )
        session_id, ssrc = secrets.randbits(60), begins.stream.ssrc
        answer = sdp.answer(offer, self._parts(own, port, streams, session_id, ssrc))
        return Connecting(peer, offer, answer, session_id, ssrc, ice)

    def restart(self, known: Connecting, offer_text: str, port: int, *, streams: bool) -> str | None:
        """New credentials for a connection, and the answer; None: the offer is another connection's. Raises
        OfferRefused."""
        offer = sdp.parse(offer_text)
        if offer.fingerprints != known.offer.fingerprints or offer.session_id != known.offer.session_id:
            return None
        if offer.ice.ufrag == known.offer.ice.ufrag:
            raise OfferRefused("This offer is known: make another with restartIce().")
        own = self._credentials()
        known.ice.restart(own, offer.ice.ufrag)
        return sdp.answer(offer, self._parts(own, port, streams, known.session_id, known.ssrc))

    def _credentials(self) -> IceCredentials:
        return IceCredentials(
            new_ufrag(self._settings.label, secrets.token_hex(8)),
            secrets.token_urlsafe(24).replace("_", "+").replace("-", "/"),
        )

    def _parts(
        self, own: IceCredentials, port: int, streams: bool, session_id: int, ssrc: int
    ) -> AnswerParts:
        protocols = ("udp", "tcp") if streams else ("udp",)
        candidates = tuple(
            IceCandidate(host, port, protocol) for protocol in protocols for host in self._settings.hosts
        )
        version = secrets.randbelow(1 << 30) + 1
        return AnswerParts(
            own, self._fingerprint, candidates, ssrc, session_id, version, self._settings.frame_ms
        )


__all__ = ["Connecting", "MediaSettings", "OfferRefused", "PeerMaker", "new_secrets"]
