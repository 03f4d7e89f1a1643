"""The pieces below a connection: order, redundancy, codec, pacing, framing, protection."""

import hashlib
import hmac
import itertools
import struct
from ctypes.util import find_library

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st
from tests.regional.rtc.link import OPUS, level_of, pitch_of, tone

from repartee.rtc import rtcp, rtp
from repartee.rtc.audio_line import AudioPayloads, OutgoingAudio, StreamStart
from repartee.rtc.crc32c import crc32c
from repartee.rtc.framing import MAX_DATAGRAM_BYTES, Deframer, FrameTooLong, framed
from repartee.rtc.opus import OpusDecoder, OpusEncoder, OpusFault, OpusLibrary, OpusSettings
from repartee.rtc.pacing import Pacer
from repartee.rtc.reordering import MOST_MISSING, Arrived, Gap, ReorderBuffer
from repartee.rtc.rtp import RtpPacket
from repartee.rtc.srtp import PROFILES, SrtpKeys, SrtpSession
from repartee.transport.webrtc.libraries import bundled_opus, load_opus

# --- order -------------------------------------------------------------------------------------------------------


def in_order(sequences: list[int], buffer: ReorderBuffer | None = None) -> list[int | str]:
    buffer = buffer or ReorderBuffer()
    out: list[int | str] = []
    for sequence in sequences:
        ready = buffer.feed(sequence & 0xFFFF, str(sequence).encode(), 0.0)
        out += [int(one.payload) if isinstance(one, Arrived) else "lost" for one in ready]
    return out


def test_packets_overtaken_by_one_or_two_come_out_in_order() -> None:
    assert in_order([1, 3, 2, 4]) == [1, 2, 3, 4]
    assert in_order([1, 3, 4, 2, 5]) == [1, 2, 3, 4, 5]


def test_a_packet_overtaken_by_three_counts_as_lost() -> None:
    buffer = ReorderBuffer()
    assert in_order([1, 3, 4, 5, 2, 6], buffer) == [1, "lost", 3, 4, 5, 6]
    assert (buffer.missing, buffer.late) == (1, 1)


def test_numbers_wrap() -> None:
    assert in_order([65_534, 65_535, 65_537, 65_536, 65_538]) == [65_534, 65_535, 65_536, 65_537, 65_538]


def test_a_gap_waits_no_longer_than_its_time() -> None:
    buffer = ReorderBuffer()
    buffer.feed(1, b"a", 0.0)
    assert buffer.feed(3, b"c", 0.02) == []
    assert buffer.deadline == pytest.approx(0.08)
    assert buffer.flush(0.08) == [Gap(b"c"), Arrived(b"c")]
    assert buffer.deadline is None


def test_redundancy_fills_a_gap_at_once() -> None:
    buffer = ReorderBuffer()
    buffer.feed(1, b"a", 0.0)
    assert buffer.feed(3, b"c", 0.0, earlier=b"b") == [Arrived(b"b"), Arrived(b"c")]
    assert buffer.missing == 0


def test_a_jump_of_the_senders_is_not_filled() -> None:
    assert in_order([1, 2, 3 + MOST_MISSING * 10, 4 + MOST_MISSING * 10]) == [1, 2, 503, 504]


@given(st.lists(st.integers(0, 65_535), max_size=200))
def test_whatever_comes_the_buffer_stays_small(sequences: list[int]) -> None:
    buffer = ReorderBuffer()
    for sequence in sequences:
        out = buffer.feed(sequence, b"x", 0.0, earlier=b"y")
        assert len(out) <= MOST_MISSING + 4
        assert len(buffer._held) <= 2


# --- RTP, RED, RTCP ----------------------------------------------------------------------------------------------


@given(st.binary(max_size=80))
def test_no_bytes_are_too_strange_for_the_parsers(data: bytes) -> None:
    rtp.parse(data)
    rtp.parse_red(data)
    rtcp.parse(data)


def test_a_packet_is_read_as_it_was_written() -> None:
    packet = RtpPacket(111, 65_535, 2**32 - 1, 77, b"opus", marker=True)
    assert rtp.parse(packet.encode()) == packet


def test_extensions_sources_and_padding_are_skipped() -> None:
    head = struct.pack("!BBHII", 0x80 | 0x20 | 0x10 | 2, 111, 5, 6, 7)
    data = head + bytes(8) + struct.pack("!HH", 0xBEDE, 1) + bytes(4) + b"opus" + bytes([0, 0, 3])
    packet = rtp.parse(data)
    assert packet and packet.payload == b"opus"


def test_red_holds_the_frame_before() -> None:
    payload = rtp.encode_red(111, b"now", (960, b"before"))
    blocks = rtp.parse_red(payload)
    assert blocks and [(b.offset, b.payload) for b in blocks] == [(960, b"before"), (0, b"now")]
    assert rtp.parse_red(rtp.encode_red(111, b"now", None)) == [rtp.RedBlock(111, 0, b"now")]
    assert rtp.parse_red(rtp.encode_red(111, b"now", (960, bytes(1024)))) == [rtp.RedBlock(111, 0, b"now")]


def test_the_clock_goes_on_where_nothing_is_sent() -> None:
    pacer = Pacer(48)
    start = StreamStart(1, 65_535, 2**32 - 960)
    line = OutgoingAudio(OpusEncoder(OPUS, OpusSettings()), AudioPayloads(111), start, frame_ms=20)
    packets = []
    for at in (10.0, 12.0):
        pacer.put("a", tone(40), at)
        for now in (at, at + 0.02):
            frame = pacer.take(now)
            assert frame
            packet = rtp.parse(line.packet(frame, now))
            assert packet
            packets.append(packet)
    assert [packet.sequence for packet in packets] == [0, 1, 2, 3]
    assert [packet.marker for packet in packets] == [True, False, True, False]
    stamps = [packet.timestamp - packets[0].timestamp & 0xFFFFFFFF for packet in packets]
    assert stamps == [0, 960, 96_000, 96_960]


# --- Opus --------------------------------------------------------------------------------------------------------

LIBRARIES = [
    pytest.param(file, id=name, marks=pytest.mark.skipif(not file, reason=f"no {name} libopus here"))
    for name, file in (("bundled", bundled_opus()), ("system", find_library("opus")))
]


def frames(pcm: bytes, ms: int = 20) -> list[bytes]:
    return [pcm[at : at + 48 * ms] for at in range(0, len(pcm), 48 * ms)]


@pytest.mark.parametrize("file", LIBRARIES)
def test_a_tone_survives_the_codec(file: str) -> None:
    library = OpusLibrary(load_opus(file))
    encoder, decoder = OpusEncoder(library, OpusSettings()), OpusDecoder(library)
    packets = [encoder.encode(frame) for frame in frames(tone(1_000, 523))]
    heard = b"".join(decoder.decode(packet) for packet in packets)
    assert len(heard) == 48_000
    assert pitch_of(heard) == pytest.approx(523, abs=4)
    assert level_of(heard[9_600:]) == pytest.approx(8_000 / 2**0.5, rel=0.2)
    assert sum(map(len, packets)) * 8 == pytest.approx(32_000, rel=0.5), "bits a second"


@pytest.mark.skipif(not find_library("opus") or not bundled_opus(), reason="there are no two libraries")
def test_one_library_understands_the_other() -> None:
    ours, other = OpusLibrary(load_opus(bundled_opus())), OpusLibrary(load_opus(find_library("opus")))
    encoder, decoder = OpusEncoder(ours, OpusSettings()), OpusDecoder(other)
    heard = b"".join(decoder.decode(encoder.encode(frame)) for frame in frames(tone(1_000, 600)))
    assert len(heard) == 48_000 and pitch_of(heard) == pytest.approx(600, abs=4)


@pytest.mark.parametrize("settings", [OpusSettings(low_delay=True), OpusSettings(complexity=0)])
def test_frames_of_10_ms_and_cheaper_encoding(settings: OpusSettings) -> None:
    encoder, decoder = OpusEncoder(OPUS, settings), OpusDecoder(OPUS)
    heard = b"".join(decoder.decode(encoder.encode(frame)) for frame in frames(tone(500, 440), 10))
    assert len(heard) == 24_000 and pitch_of(heard) == pytest.approx(440, abs=4)


def test_what_is_lost_without_a_copy_is_guessed() -> None:
    encoder, decoder = OpusEncoder(OPUS, OpusSettings()), OpusDecoder(OPUS)
    for frame in frames(tone(200)):
        decoder.decode(encoder.encode(frame))
    guessed = decoder.conceal()
    assert len(guessed) == 960 and level_of(guessed) > 1_000


def test_what_is_lost_is_made_from_the_copy_after_it() -> None:
    encoder, decoder = OpusEncoder(OPUS, OpusSettings()), OpusDecoder(OPUS)
    encoder.expect_loss(20)
    quiet, loud = frames(tone(400, level=100)), frames(tone(100, 880))
    packets = [encoder.encode(frame) for frame in [*quiet, *loud]]
    for packet in packets[:20]:
        decoder.decode(packet)
    first = decoder.recover(packets[21])
    assert level_of(first) > 1_000, (
        "the loud frame was in the packet after it, and could not have been guessed"
    )


def test_a_packet_that_is_none_is_concealed() -> None:
    decoder = OpusDecoder(OPUS)
    assert len(decoder.decode(b"")) == 960
    assert len(decoder.decode(bytes([0xFF] * 9))) % 2 == 0
    with pytest.raises(OpusFault):
        OpusEncoder(OPUS, OpusSettings()).encode(bytes(100))


# --- pacing ------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 4_000), max_size=30))
def test_whatever_the_pieces_frames_are_whole_and_20_ms_apart(sizes: list[int]) -> None:
    pacer, now, sent = Pacer(48), 5.0, []
    for size in sizes:
        pacer.put("a", bytes(2 * size), now)
    pacer.end("a", now)
    while pacer.due is not None:
        now = max(now, pacer.due)
        frame = pacer.take(now)
        assert frame and len(frame.pcm) == 960
        sent.append(now)
    assert len(sent) == -(-2 * sum(sizes) // 960)
    assert all(later - earlier == pytest.approx(0.02) for earlier, later in itertools.pairwise(sent))
    assert pacer.is_through("a") and pacer.waiting_ms == 0


def test_a_barge_in_takes_back_all_that_has_not_been_sent() -> None:
    pacer = Pacer(48)
    pacer.put("a", tone(1_000), 0.0)
    for number in range(5):
        assert pacer.take(number * 0.02)
    assert pacer.clear("a") == 900
    assert pacer.due is None and pacer.take(1.0) is None
    assert pacer.paced_ms("a") == 100 and pacer.is_through("a")


def test_what_follows_a_cleared_item_is_kept() -> None:
    pacer = Pacer(48)
    pacer.put("a", tone(100), 0.0)
    pacer.put("b", tone(40), 0.0)
    pacer.clear("a")
    frame = pacer.take(0.0)
    assert frame and frame.parts == (("b", 20.0),)


def test_a_process_that_stood_still_does_not_catch_up_in_a_burst() -> None:
    pacer = Pacer(48)
    pacer.put("a", tone(1_000), 0.0)
    assert pacer.take(0.0) and pacer.take(1.0)
    assert pacer.due == pytest.approx(1.02)


def test_a_small_delay_is_made_up_for() -> None:
    pacer = Pacer(48)
    pacer.put("a", tone(1_000), 0.0)
    assert pacer.take(0.0) and pacer.take(0.05)
    assert pacer.due == pytest.approx(0.04)


def test_more_than_may_wait_is_refused() -> None:
    pacer = Pacer(48, most_ms=1_000)
    assert pacer.put("a", tone(900), 0.0)
    assert not pacer.put("a", tone(200), 0.0)
    assert pacer.waiting_ms == 900


# --- framing -----------------------------------------------------------------------------------------------------


@given(st.lists(st.binary(min_size=1, max_size=1_500), max_size=8), st.integers(1, 700))
def test_a_stream_in_any_pieces_gives_the_datagrams(datagrams: list[bytes], size: int) -> None:
    stream = b"".join(map(framed, datagrams))
    deframer = Deframer()
    found = [one for at in range(0, len(stream), size) for one in deframer.feed(stream[at : at + size])]
    assert found == datagrams


def test_a_frame_that_no_datagram_can_be_ends_the_stream() -> None:
    with pytest.raises(FrameTooLong):
        Deframer().feed(struct.pack("!H", MAX_DATAGRAM_BYTES + 1))


# --- protection, against another implementation ------------------------------------------------------------------


def derive(master: bytes, salt: bytes, label: int, size: int) -> bytes:
    """RFC 3711, 4.3: AES-CM as the pseudo-random function."""
    iv = int.from_bytes(salt.ljust(14, b"\0"), "big") ^ label << 48
    counter = Cipher(algorithms.AES(master), modes.CTR((iv << 16).to_bytes(16, "big"))).encryptor()
    return counter.update(bytes(size))


def gcm_protected(key: bytes, salt: bytes, packet: bytes) -> bytes:
    """RFC 7714, 8: an RTP packet of the first 65,536."""
    session_key, session_salt = derive(key, salt, 0, 16), derive(key, salt, 2, 12)
    ssrc, sequence = packet[8:12], packet[2:4]
    iv = int.from_bytes(bytes(2) + ssrc + bytes(4) + sequence, "big") ^ int.from_bytes(session_salt, "big")
    return packet[:12] + AESGCM(session_key).encrypt(iv.to_bytes(12, "big"), packet[12:], packet[:12])


def cm_protected(key: bytes, salt: bytes, packet: bytes) -> bytes:
    """RFC 3711, 4.1.1 and 4.2."""
    session_key, session_salt = derive(key, salt, 0, 16), derive(key, salt, 2, 14)
    ssrc, sequence = packet[8:12], packet[2:4]
    iv = int.from_bytes(session_salt, "big") << 16
    iv ^= int.from_bytes(ssrc, "big") << 64 ^ int.from_bytes(sequence, "big") << 16
    counter = Cipher(algorithms.AES(session_key), modes.CTR(iv.to_bytes(16, "big"))).encryptor()
    sealed = packet[:12] + counter.update(packet[12:])
    tag = hmac.new(derive(key, salt, 1, 20), sealed + bytes(4), hashlib.sha1).digest()[:10]
    return sealed + tag


def gcm_protected_report(key: bytes, salt: bytes, packet: bytes) -> bytes:
    """RFC 7714, 9: the first RTCP packet of a sender."""
    session_key, session_salt = derive(key, salt, 3, 16), derive(key, salt, 5, 12)
    index = struct.pack("!I", 1 << 31 | 1)
    iv = int.from_bytes(bytes(2) + packet[4:8] + bytes(2) + struct.pack("!I", 1), "big")
    iv ^= int.from_bytes(session_salt, "big")
    sealed = AESGCM(session_key).encrypt(iv.to_bytes(12, "big"), packet[8:], packet[:8] + index)
    return packet[:8] + sealed + index


@pytest.mark.parametrize(
    ("profile", "protected"),
    [("SRTP_AEAD_AES_128_GCM", gcm_protected), ("SRTP_AES128_CM_SHA1_80", cm_protected)],
)
def test_protection_agrees_with_another_implementation(profile: str, protected: object) -> None:
    sizes = PROFILES[profile]
    material = bytes(range(2 * (sizes.key_bytes + sizes.salt_bytes)))
    server = SrtpKeys.of(profile, material, is_client=False)
    client = SrtpKeys.of(profile, material, is_client=True)
    assert (server.inbound, server.outbound) == (client.outbound, client.inbound)
    key, salt = client.outbound[: sizes.key_bytes], client.outbound[sizes.key_bytes :]
    packet = RtpPacket(111, 7, 960, 0xCAFE, b"some opus").encode()
    made = protected(key, salt, packet)  # type: ignore[operator]
    session = SrtpSession(server)
    assert session.unprotect(made) == packet
    assert session.unprotect(made) is None, "a replay"
    assert SrtpSession(client).protect(packet) == made
    for at in range(len(made)):
        changed = made[:at] + bytes([made[at] ^ 4]) + made[at + 1 :]
        assert SrtpSession(server).unprotect(changed) is None


def test_reports_are_protected_as_another_implementation_does() -> None:
    profile = "SRTP_AEAD_AES_128_GCM"
    client = SrtpKeys.of(profile, bytes(range(56)), is_client=True)
    server = SrtpKeys.of(profile, bytes(range(56)), is_client=False)
    report = rtcp.receiver_report(0xCAFE, [], "caller")
    made = gcm_protected_report(client.outbound[:16], client.outbound[16:], report)
    assert SrtpSession(server).unprotect_rtcp(made) == report
    assert SrtpSession(server).unprotect_rtcp(made[:-1] + bytes([made[-1] ^ 1])) is None
    assert SrtpSession(client).protect_rtcp(report)[:8] == report[:8]


def test_the_checksum_is_castagnolis() -> None:
    assert crc32c(b"123456789") == 0xE3069283
