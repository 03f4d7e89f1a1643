"""Whose datagram is this: all calls of a worker share one port (RFC 7983).

A check is known by the name in it, everything else by the address that a check has come from. What belongs to nobody
is dropped: no answer, and nothing is kept of where it came from. Pure; times are seconds.
"""

from collections import Counter
from collections.abc import Mapping
from typing import TypeVar

from repartee.rtc import stun
from repartee.rtc.peer import Peer, PeerEvent
from repartee.rtc.stun import Address

MAX_DATAGRAM_BYTES = 1_500

_Key = TypeVar("_Key")


def kind_of(data: bytes) -> str:
    """What a datagram is by its first byte: ``stun``, ``zrtp``, ``dtls``, ``turn``, ``rtp`` or ``unknown``."""
    first = data[0] if data else 255
    for last, kind in ((3, "stun"), (15, "unknown"), (19, "zrtp"), (63, "dtls"), (79, "turn")):
        if first <= last:
            return kind
    return "rtp" if 127 < first < 192 else "unknown"


class Demultiplexer:
    """The connections behind one port."""

    def __init__(self) -> None:
        self._by_ufrag: dict[str, Peer] = {}
        self._by_address: dict[Address, Peer] = {}
        self.dropped: Counter[str] = Counter()
        """Datagrams of nobody's, by kind."""

    def __repr__(self) -> str:
        return f"<Demultiplexer: {len(self.peers)} peers at {len(self._by_address)} addresses>"

    @property
    def peers(self) -> set[Peer]:
        """The connections."""
        return set(self._by_ufrag.values())

    @property
    def addresses(self) -> int:
        """How many addresses are known: those that have shown a call's password."""
        return len(self._by_address)

    def knows(self, address: Address) -> bool:
        """Whether a call's password was shown from there."""
        return address in self._by_address

    def add(self, peer: Peer) -> None:
        """A connection, or new credentials of one."""
        for ufrag in peer.ice.ufrags:
            self._by_ufrag[ufrag] = peer

    def remove(self, peer: Peer) -> None:
        """The connection is over."""
        for ufrag in _keys_of(self._by_ufrag, peer):
            del self._by_ufrag[ufrag]
        for address in _keys_of(self._by_address, peer):
            del self._by_address[address]

    def receive(self, data: bytes, source: Address, now: float) -> tuple[Peer, list[PeerEvent]] | None:
        """Hand a datagram to the connection that it belongs to. None: to none."""
        if not 0 < len(data) <= MAX_DATAGRAM_BYTES:
            return None
        if data[0] < 4:
            return self._check(data, source, now)
        peer = self._by_address.get(source)
        if peer is None:
            self.dropped[kind_of(data)] += 1
            return None
        return peer, peer.receive(data, source, now)

    def _check(self, data: bytes, source: Address, now: float) -> tuple[Peer, list[PeerEvent]] | None:
        message = stun.parse(data)
        names = message.username if message else None
        peer = self._by_ufrag.get(names[0]) if names else None
        if message is None or peer is None:
            self.dropped["stun"] += 1
            return None
        events = peer.check(message, source, now)
        self._note_addresses(peer)
        return peer, events

    def _note_addresses(self, peer: Peer) -> None:
        known = peer.ice.addresses
        if all(self._by_address.get(address) is peer for address in known):
            return
        for address in _keys_of(self._by_address, peer):
            if address not in known:
                del self._by_address[address]
        for address in known:
            self._by_address[address] = peer


def _keys_of(table: Mapping[_Key, Peer], peer: Peer) -> list[_Key]:
    return [key for key, value in table.items() if value is peer]
