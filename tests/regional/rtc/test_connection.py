"""A whole connection on a virtual clock: handshake, media, reports, events, and how it ends."""

import itertools
import random
import time

import pytest
from OpenSSL import SSL
from tests.regional.rtc.link import CALLER, CLIENT_ICE, Ends, Link, is_media, level_of, pitch_of, tone

from repartee.rtc import rtcp
from repartee.rtc.data_channel import ChannelOpened, ChannelText
from repartee.rtc.dtls import dtls_context
from repartee.rtc.ice import IceCredentials
from repartee.rtc.pacing import AudioFrame
from repartee.rtc.peer import REPORT_S, Departure, PeerConnected, PeerLeft
from repartee.rtc.srtp import PROFILES
from repartee.transport.webrtc.certificate import new_identity


def departures(link: Link) -> list[Departure]:
    return [event.departure for event in link.server_events if isinstance(event, PeerLeft)]


def test_two_ends_meet_and_hear_each_other() -> None:
    link = Link().connect()
    assert link.server_events[0] == PeerConnected()
    link.speak(link.client, tone(1_000, 440))
    link.speak(link.server, tone(1_000, 660))
    link.run(0.1)
    assert len(link.server_heard) == len(link.client_heard) == 48_000
    assert pitch_of(bytes(link.server_heard)) == pytest.approx(440, abs=4)
    assert pitch_of(bytes(link.client_heard)) == pytest.approx(660, abs=4)


def test_the_handshake_is_dtls_1_2_with_gcm() -> None:
    link = Link().connect()
    assert link.server._dtls.version == "DTLSv1.2"
    keys = link.server._dtls.keys
    assert keys and keys.profile == "SRTP_AEAD_AES_128_GCM"
    assert next(iter(PROFILES)) == "SRTP_AEAD_AES_128_GCM"


def test_a_side_without_gcm_gets_the_older_protection(monkeypatch: pytest.MonkeyPatch) -> None:
    link = Link()
    context = dtls_context(link.ends.client_identity)
    context.set_tlsext_use_srtp(b"SRTP_AES128_CM_SHA1_80")
    connection = SSL.Connection(context, None)
    connection.set_connect_state()
    connection.set_ciphertext_mtu(1200)
    monkeypatch.setattr(link.client._dtls, "_connection", connection)
    link.connect()
    keys = link.server._dtls.keys
    assert keys and keys.profile == "SRTP_AES128_CM_SHA1_80"
    link.speak(link.client, tone(400))
    assert level_of(bytes(link.server_heard)) > 2_000


def test_another_certificate_than_the_described_one_gets_no_session() -> None:
    link = Link(Ends(shown_by_client=new_identity()))
    link.run(1.0)
    assert not link.server.connected
    assert departures(link) == [Departure.FAILED]
    assert not [data for _, data in link.sent_down if is_media(data)]
    link.client.send_audio(AudioFrame(tone(20), (), True), link.now)
    link.run(0.1)
    assert link.server_heard == b""


def test_a_lost_handshake_packet_is_sent_again() -> None:
    """OpenSSL's timers are real: the virtual clock waits for them."""
    lost: list[bytes] = []

    def first_three(up: bool, data: bytes) -> bool:
        if 19 < data[0] < 64 and len(lost) < 3:
            lost.append(data)
            return True
        return False

    link = Link(drops=first_three)
    for _ in range(400):
        link.run(0.05)
        if link.server.connected and link.client.connected:
            break
        time.sleep(0.02)
    assert link.server.connected and link.client.connected and len(lost) == 3


def test_media_that_was_changed_or_comes_again_is_refused() -> None:
    link = Link().connect()
    seen: list[bytes] = []

    def taken_away(up: bool, data: bytes) -> bool:
        if up and is_media(data):
            seen.append(data)
        return up and is_media(data)

    link.drops = taken_away
    link.speak(link.client, tone(100))
    link.drops = lambda up, data: False
    for data in seen:
        changed = data[:-1] + bytes([data[-1] ^ 1])
        assert link.server.receive(changed, CALLER, link.now) == []
    heard = [link.server.receive(data, CALLER, link.now) for data in seen]
    assert all(heard)
    assert [link.server.receive(data, CALLER, link.now) for data in seen] == [[]] * len(seen)


def test_one_report_a_second_with_the_loss_that_was() -> None:
    link = Link()
    reports: list[tuple[float, rtcp.ReportBlock]] = []
    take = link.client._take_reports

    def noting(packet: bytes, now: float) -> list[object]:
        for said in rtcp.parse(packet):
            if isinstance(said, rtcp.RtcpReport):
                reports.extend((now, block) for block in said.blocks)
        return list(take(packet, now))

    link.client._take_reports = noting  # type: ignore[method-assign, assignment]
    link.connect()
    count = 0

    def every_tenth(up: bool, data: bytes) -> bool:
        nonlocal count
        if up and is_media(data):
            count += 1
            return count % 10 == 5
        return False

    link.drops = every_tenth
    link.speak(link.client, tone(5_000))
    times = [at for at, _ in reports]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert gaps and all(gap == pytest.approx(REPORT_S, abs=0.011) for gap in gaps)
    assert [block.fraction_lost for _, block in reports[2:]] == pytest.approx(
        [0.1] * len(reports[2:]), abs=0.03
    )
    assert reports[-1][1].lost == pytest.approx(count / 10, abs=6)


@pytest.mark.parametrize("delay_s", [0.025, 0.075])
def test_the_round_trip_comes_from_the_echo_of_a_senders_report(delay_s: float) -> None:
    link = Link(delay_s=delay_s)
    link.run(2.0)
    assert link.server.connected
    link.speak(link.server, tone(3_000))
    assert link.server.reports.rtt_ms == pytest.approx(2_000 * delay_s, abs=11)
    assert link.server.playout_delay_ms == pytest.approx(
        30 + 2 * link.server.reports.jitter_ms + 1_000 * delay_s, abs=11
    )


def test_redundancy_while_one_in_a_hundred_is_lost() -> None:
    link = Link().connect()
    out, encoder = link.server.outgoing, link.server.outgoing._encoder

    def told(lost: int, of: int, at: float) -> None:
        block = rtcp.ReportBlock(1, 0.0, lost, of, 0, 0, 0)
        link.server.reports.take(block, at)
        out.expect_loss(link.server.reports.loss)

    told(0, 0, 0.0)
    told(9, 1_000, 10.0)
    assert (out.redundant, encoder.loss_percent) == (False, 1)
    told(9 + 10, 2_000, 20.0)
    assert (out.redundant, encoder.loss_percent) == (True, 1)
    told(19 + 50, 3_000, 30.0)
    assert (out.redundant, encoder.loss_percent) == (True, 5)
    told(69, 4_000, 40.0)
    assert (out.redundant, encoder.loss_percent) == (False, 0)


def test_without_red_in_the_offer_there_is_none_in_what_is_sent() -> None:
    link = Link(Ends(red=False)).connect()
    link.server.outgoing.expect_loss(0.5)
    assert not link.server.outgoing.redundant
    assert "red/48000" not in link.answer_text


def test_red_is_offered_first() -> None:
    audio = next(line for line in Link().answer_text.splitlines() if line.startswith("m=audio"))
    assert audio.split()[3:] == ["63", "111"]


@pytest.mark.parametrize("red", [True, False])
def test_at_5_percent_loss_hardly_anything_is_guessed(red: bool) -> None:
    """Once the first report is in. Without RED, Opus's own poorer copies do it, when the line has them."""
    link = Link(Ends(red=red)).connect()
    dice = random.Random(4)
    link.drops = lambda up, data: is_media(data) and dice.random() < 0.05
    for speaker, hearer in ((link.server, link.client), (link.client, link.server)):
        link.speak(speaker, tone(3_000))
        before = hearer.incoming.concealed
        link.speak(speaker, tone(10_000))
        assert hearer.incoming.concealed - before <= (2 if red else 500 * 0.05)


def test_a_lost_packet_is_a_syllable_and_not_a_stall() -> None:
    """The rest of the answer is heard, at its time."""
    link = Link().connect()
    count = 0

    def the_fifth(up: bool, data: bytes) -> bool:
        nonlocal count
        count += is_media(data)
        return is_media(data) and count == 5

    link.drops = the_fifth
    link.speak(link.server, tone(1_000))
    link.run(0.1)
    assert len(link.client_heard) == 48_000, "no gap in the samples"
    assert link.client.incoming.concealed + link.client.incoming.recovered == 1


def test_events_go_both_ways_and_in_order() -> None:
    link = Link(delay_s=0.02)
    dice = random.Random(1)
    link.run(1.0)
    link.drops = lambda up, data: dice.random() < 0.1
    link.run(3.0)
    texts = [f"{number} " + "x" * dice.choice([0, 10, 3_000, 20_000]) for number in range(60)]
    for text in texts:
        link.server.send_text("oai-events", text, link.now)
        link.client.send_text("oai-events", text, link.now)
        link.run(0.05)
    link.run(40.0)
    for events in (link.client_events, link.server_events):
        assert [event.text for event in events if isinstance(event, ChannelText)] == texts
        assert [event.label for event in events if isinstance(event, ChannelOpened)] == ["oai-events"]


def test_goodbye_ends_the_call_and_hanging_up_says_it() -> None:
    link = Link().connect()
    link.server.hang_up()
    link.run(0.1)
    left = next(event for event in link.client_events if isinstance(event, PeerLeft))
    assert left.departure is Departure.HUNG_UP
    link = Link().connect()
    link.client._put([link.client._srtp.protect_rtcp(rtcp.goodbye(2))])  # type: ignore[union-attr]
    link.run(0.1)
    assert departures(link) == [Departure.HUNG_UP]


def test_checks_that_stop_end_the_call_at_the_deadline() -> None:
    link = Link().connect()
    link.drops = lambda up, data: True
    since = link.lite.consent_until - 30
    link.run(29.0 - (link.now - since))
    assert departures(link) == []
    link.run(1.1)
    assert departures(link) == [Departure.NO_CONSENT]


def test_the_call_moves_with_its_caller() -> None:
    """Another address, port and round trip, in the middle of an answer: the next check moves everything."""
    link = Link(delay_s=0.005).connect()
    link.speak(link.server, tone(500))
    link.caller_at, link.delay_s = ("203.0.113.77", 1_234), 0.06
    heard = len(link.client_heard)
    link.run(3.0)
    link.speak(link.server, tone(500))
    link.run(0.2)
    assert link.lite.address == ("203.0.113.77", 1_234)
    assert len(link.client_heard) - heard == 24_000
    link.speak(link.client, tone(500))
    link.run(0.2)
    assert link.server.reports.rtt_ms == pytest.approx(120, abs=12)
    assert level_of(bytes(link.server_heard)) > 2_000


def test_an_ice_restart_goes_on_with_the_same_session() -> None:
    link = Link().connect()
    server, client = (
        IceCredentials("worker02", "the-workers-password-0002"),
        IceCredentials("caller02", "x" * 24),
    )
    link.lite.restart(server, client.ufrag)
    link.port.add(link.server)
    link.caller_at = ("203.0.113.78", 99)
    link.ice.restart(client, server, [("192.0.2.1", 3478)], link.now)
    link.run(0.5)
    link.speak(link.server, tone(500))
    link.run(0.1)
    assert link.lite.address == ("203.0.113.78", 99)
    assert len(link.client_heard) == 24_000
    assert CLIENT_ICE.ufrag not in link.lite.ufrags
