"""Keys by RTP (RFC 4733): each counts once, whatever is lost, comes twice or comes late."""

import random
import struct

import pytest

from repartee.rtc.rtp import RtpPacket
from repartee.rtc.telephone_event import KEYS, KeyEvents


def packets(key: int, timestamp: int, *, ssrc: int = 1) -> list[RtpPacket]:
    """One key, held for a while."""
    return [
        RtpPacket(110, 0, timestamp, ssrc, struct.pack("!BBH", key, (number > 3) << 7 | 10, 960 * number))
        for number in range(1, 7)
    ]


@pytest.mark.parametrize("seed", range(20))
def test_each_key_counts_once_with_the_first_of_its_packets_that_comes(seed: int) -> None:
    rng = random.Random(seed)
    keys = [rng.randrange(16) for _ in range(30)]
    start = rng.choice([0, 0xFFFF_0000])  # the clock goes round
    events, heard = KeyEvents(), ""
    for number, key in enumerate(keys):
        sent = packets(key, start + 4_800 * number & 0xFFFF_FFFF)
        for packet in rng.sample(sent, rng.randint(1, 6)):
            heard += events.receive(packet)
            if rng.random() < 0.3 and number:
                late = packets(keys[number - 1], start + 4_800 * (number - 1) & 0xFFFF_FFFF)[-1]
                assert events.receive(late) == ""
    assert heard == "".join(KEYS[key] for key in keys)


def test_another_stream_begins_anew_and_nonsense_is_nothing() -> None:
    events = KeyEvents()
    assert events.receive(packets(5, 9_000)[0]) == "5"
    assert events.receive(packets(5, 100, ssrc=2)[0]) == "5"
    for payload in (b"", b"\x05", b"\x05\x0a\x00", b"\x10\x0a\x00\x00", b"\xff" * 40):
        assert events.receive(RtpPacket(110, 0, 20_000, 2, payload)) == ""
