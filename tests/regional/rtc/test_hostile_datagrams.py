"""Whatever comes from whomever: no crash, no state for a stranger, never more out than in, and the call goes on.

4,000 datagrams of each kind here; `REPARTEE_FUZZ_DATAGRAMS=1000000` (`make fuzz`) makes it a million.
"""

import os
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.regional.rtc.hostile import FIRST_BYTES, WAYS, hostile_datagram
from tests.regional.rtc.link import CALLER, Link, level_of, tone

from repartee.rtc.data_channel import DataChannels
from repartee.rtc.demultiplexer import kind_of
from repartee.rtc.peer import PeerLeft
from repartee.rtc.sctp import Association, AssociationFailed
from repartee.rtc.sctp_chunks import Chunk, SctpPacket

DATAGRAMS = int(os.environ.get("REPARTEE_FUZZ_DATAGRAMS", "4000"))


def recorded() -> tuple[Link, list[bytes]]:
    """A call under way, and the datagrams that its caller sent."""
    seen: list[bytes] = []

    def noting(up: bool, data: bytes) -> bool:
        if up:
            seen.append(data)
        return False

    link = Link(drops=noting)
    link.connect()
    link.speak(link.client, tone(200))
    return link, seen


@pytest.mark.parametrize("way", WAYS)
def test_a_stranger_leaves_nothing_behind_and_gets_nothing(way: str) -> None:
    link, seen = recorded()
    dice, kinds = random.Random(14), Counter[str]()
    for number in range(DATAGRAMS):
        data = hostile_datagram(dice, seen, way)
        kinds[kind_of(data)] += 1
        source = (f"198.51.100.{dice.randrange(1, 255)}", dice.randrange(50_000, 60_000))
        found = link.port.receive(data, source, link.now)
        assert found is None or not found[1], data.hex()
        assert not link.server.take_outgoing(), "nothing is said to a stranger"
        if number % 5_000 == 0:
            link.run(0.5)
    assert link.port.addresses == 1 and link.port.peers == {link.server}
    expected = set(FIRST_BYTES) if way == "random" else {"stun", "dtls", "rtp"}
    assert expected <= set(kinds), kinds
    link.server_heard.clear()
    link.speak(link.client, tone(500))
    assert level_of(bytes(link.server_heard)) > 2_000, "the call goes on"


def test_who_sends_from_the_callers_own_address_breaks_nothing_either() -> None:
    """Spoofed: the address is believed, so this reaches the handshake's, the media's and the reports' parsers."""
    link, seen = recorded()
    dice = random.Random(15)
    came = went = 0
    for number in range(DATAGRAMS):
        data = hostile_datagram(dice, seen)
        came += len(data)
        found = link.port.receive(data, CALLER, link.now)
        assert not [event for event in (found[1] if found else []) if isinstance(event, PeerLeft)], data.hex()
        went += sum(len(out) for out, _ in link.server.take_outgoing())
        if number % 1_000 == 0:
            link.run(0.5)
    assert went <= came
    link.server_heard.clear()
    link.speak(link.client, tone(500))
    assert level_of(bytes(link.server_heard)) > 2_000, "the call goes on"


def test_a_call_that_is_being_set_up_stands_it_too() -> None:
    dice = random.Random(16)
    _, seen = recorded()
    media = [data for data in seen if data[0] > 3]
    link = Link()
    for _ in range(DATAGRAMS):
        link.port.receive(hostile_datagram(dice, media), ("198.51.100.9", 7), link.now)
    link.connect()


@given(st.lists(st.tuples(st.integers(0, 255), st.integers(0, 255), st.binary(max_size=40)), max_size=6))
def test_whatever_chunks_come_an_association_stays_within_its_bounds(
    chunks: list[tuple[int, int, bytes]],
) -> None:
    """The other side is authenticated, and may still be hostile."""
    server = DataChannels(Association(tag=1, first_tsn=0, cookie=b"c"))
    client = DataChannels(Association(tag=2, first_tsn=0, cookie=b"d"))
    packets = client.association.start(0.0) + client.open("oai-events", 0.0)
    for _ in range(6):
        back = [out for packet in packets for out in server.receive(packet, 0.0)[0]]
        packets = [out for packet in back for out in client.receive(packet, 0.0)[0]]
    assert server.is_open("oai-events")
    packet = SctpPacket(1, tuple(Chunk(*chunk) for chunk in chunks)).encode()
    try:
        for _ in range(3):
            server.receive(packet, 0.0)
    except AssociationFailed:
        assert any(kind == 6 for kind, _, _ in chunks), "only an abort ends it"
