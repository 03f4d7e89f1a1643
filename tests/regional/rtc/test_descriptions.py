"""Offers as Chromium, Firefox, Safari, aiortc and Pion shape them, and the answers to them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repartee.rtc import sdp
from repartee.rtc.ice import IceCredentials
from repartee.rtc.sdp import AnswerParts, IceCandidate, OfferRefused

FINGERPRINT = "sha-256 " + ":".join(["AB"] * 32)
DATA = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\na=mid:{mid}\na=sctp-port:5000\n"
TRANSPORT = (
    "a=ice-ufrag:Abc1\na=ice-pwd:abcdefghijklmnopqrstuvwx\n"
    f"a=fingerprint:{FINGERPRINT}\na=setup:actpass\na=rtcp-mux\n"
)
HEAD = "v=0\no=- 42 2 IN IP4 127.0.0.1\ns=-\nt=0 0\n"


def chromium(direction: str = "sendrecv") -> str:
    """Opus and RED at 111 and 63 among others, everything in each section."""
    return (
        f"{HEAD}a=group:BUNDLE 0 1\na=extmap-allow-mixed\na=msid-semantic: WMS x\n"
        f"m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126\nc=IN IP4 0.0.0.0\na=mid:0\na={direction}\n{TRANSPORT}"
        "a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\na=rtpmap:111 opus/48000/2\n"
        "a=rtcp-fb:111 transport-cc\na=fmtp:111 minptime=10;useinbandfec=1\na=rtpmap:63 red/48000/2\n"
        "a=fmtp:63 111/111\na=rtpmap:0 PCMU/8000\na=ssrc:1 cname:x\n" + DATA.format(mid=1) + TRANSPORT
    )


def firefox() -> str:
    """The fingerprint belongs to the session, a video line comes along, `mid`s are names of their own."""
    transport = TRANSPORT.replace(f"a=fingerprint:{FINGERPRINT}\n", "")
    return (
        f"{HEAD}a=fingerprint:{FINGERPRINT}\na=ice-options:trickle\na=group:BUNDLE sdparta_0 v sdparta_1\n"
        f"m=audio 9 UDP/TLS/RTP/SAVPF 109 9 0 8 101\na=mid:sdparta_0\n{transport}"
        "a=rtpmap:109 opus/48000/2\na=fmtp:109 maxplaybackrate=48000;stereo=1;useinbandfec=1\n"
        f"m=video 9 UDP/TLS/RTP/SAVPF 120\na=mid:v\n{transport}a=rtpmap:120 VP8/90000\n"
        + DATA.format(mid="sdparta_1")
        + transport
    )


def aiortc() -> str:
    """The data channel first, candidates in the offer, opus at 96."""
    return (
        f"{HEAD}a=group:BUNDLE 0 1\n{DATA.format(mid=0)}{TRANSPORT}"
        "m=audio 50000 UDP/TLS/RTP/SAVPF 96 0 8\nc=IN IP4 192.168.1.5\na=mid:1\n"
        f"{TRANSPORT}a=rtpmap:96 opus/48000/2\na=rtpmap:0 PCMU/8000\n"
        "a=candidate:9b 1 udp 2130706431 192.168.1.5 50000 typ host\na=end-of-candidates\n"
    )


def pion() -> str:
    """`UDP/TLS/RTP/SAVPF` with many codecs, an upper-case `OPUS`, no data channel."""
    return (
        f"{HEAD}a=fingerprint:{FINGERPRINT}\na=group:BUNDLE 0\n"
        f"m=audio 9 UDP/TLS/RTP/SAVPF 111 9 0\na=mid:0\n{TRANSPORT}a=rtpmap:9 G722/8000\n"
        "a=rtpmap:111 OPUS/48000/2\na=sendrecv\n"
    )


def safari() -> str:
    """Each section with its whole transport and candidates of which none can be resolved; RED after Opus; trickle."""
    candidates = "".join(
        f"a=candidate:{number} 1 {protocol} 2113937151 5e1c6f1a-9b1b-4a6e-8a6f-0b6f2f{number}.local {port} typ host\n"
        for number, protocol, port in ((1, "udp", 55_001), (2, "tcp", 9))
    )
    transport = f"{TRANSPORT}a=ice-options:trickle\n{candidates}"
    return (
        f"{HEAD}a=group:BUNDLE 0 1\na=extmap-allow-mixed\na=msid-semantic: WMS\n"
        f"m=audio 55001 UDP/TLS/RTP/SAVPF 111 63 103 9 102 0 8 105 13 110 113 126\nc=IN IP4 0.0.0.0\n{transport}"
        "a=rtcp:9 IN IP4 0.0.0.0\na=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time\na=mid:0\n"
        "a=sendrecv\na=rtcp-rsize\na=rtpmap:111 opus/48000/2\na=fmtp:111 minptime=10;useinbandfec=1\n"
        "a=rtpmap:63 red/48000/2\na=fmtp:63 111/111\n"
        f"m=application 9 UDP/DTLS/SCTP webrtc-datachannel\nc=IN IP4 0.0.0.0\n{transport}"
        "a=mid:1\na=sctp-port:5000\na=max-message-size:262144\n"
    )


def answered(offer: str) -> str:
    here = (IceCandidate("203.0.113.1", 3478), IceCandidate("203.0.113.1", 3478, "tcp"))
    parts = AnswerParts(IceCredentials("worker01", "p" * 24), FINGERPRINT, here, 9, 1)
    return sdp.answer(sdp.parse(offer), parts)


@pytest.mark.parametrize(
    ("offer", "opus", "red", "has_data", "kinds"),
    [
        (chromium(), 111, 63, True, ["audio 9", "application 9"]),
        (firefox(), 109, None, True, ["audio 9", "video 0", "application 9"]),
        (aiortc(), 96, None, True, ["application 9", "audio 9"]),
        (pion(), 111, None, False, ["audio 9"]),
        (safari(), 111, 63, True, ["audio 9", "application 9"]),
        (chromium().replace("\n", "\r\n"), 111, 63, True, ["audio 9", "application 9"]),
    ],
)
def test_an_offer_gets_an_answer_line_for_line(
    offer: str, opus: int, red: int | None, has_data: bool, kinds: list[str]
) -> None:
    read = sdp.parse(offer)
    assert (read.opus, read.red, read.data is not None) == (opus, red, has_data)
    assert read.ice == IceCredentials("Abc1", "abcdefghijklmnopqrstuvwx")
    assert read.fingerprints == (("sha-256", ":".join(["AB"] * 32)),)
    answer = answered(offer)
    lines = answer.split("\r\n")
    assert [" ".join(line[2:].split()[:2]) for line in lines if line.startswith("m=")] == kinds
    taken = [each.mid for each in read.sections if each in (read.audio, read.data)]
    bundle = next(line for line in lines if line.startswith("a=group:BUNDLE"))
    assert set(bundle.split()[1:]) == set(taken)
    assert "a=ice-lite" in lines and "a=setup:passive" in lines
    audio = next(line for line in lines if line.startswith("m=audio"))
    assert audio.split()[3:] == ([str(red)] if red else []) + [str(opus)], "RED first"
    assert not [line for line in lines if "extmap" in line or "rtcp-fb" in line]


def test_udp_and_tcp_candidates_carry_one_port_number() -> None:
    candidates = [line.split() for line in answered(chromium()).split("\r\n") if "candidate:" in line]
    assert {(words[2], words[5]) for words in candidates} == {("udp", "3478"), ("tcp", "3478")}
    assert all("tcptype passive" in " ".join(words) for words in candidates if words[2] == "tcp")


@pytest.mark.parametrize(
    ("offered", "given"),
    [("sendrecv", "sendrecv"), ("recvonly", "sendonly"), ("sendonly", "recvonly"), ("inactive", "inactive")],
)
def test_directions_are_mirrored(offered: str, given: str) -> None:
    assert f"a={given}" in answered(chromium(offered)).split("\r\n")


def test_a_passive_offer_makes_this_side_begin() -> None:
    assert "a=setup:active" in answered(chromium().replace("actpass", "passive"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("v=0", "hello"), "v=0"),
        (("m=audio", "m=video"), "audio line"),
        (("opus/48000/2", "speex/16000"), "Opus"),
        (("a=rtcp-mux", "a=rtcp-rsize"), "rtcp-mux"),
        (("a=ice-ufrag:Abc1", "a=nothing"), "ice-ufrag"),
        (("a=fingerprint", "a=nothing"), "fingerprint"),
        (("a=mid:0", "a=mid:<script>"), "a=mid"),
        (("s=-", "s=-\n" + "a=x\n" * 3_000), "too long"),
    ],
)
def test_what_is_missing_is_said(change: tuple[str, str], words: str) -> None:
    with pytest.raises(OfferRefused, match=words):
        answered(chromium().replace(*change))


OFFERS = (chromium(), firefox(), safari(), aiortc(), pion())


@given(
    st.sampled_from(OFFERS),
    st.lists(
        st.tuples(st.integers(0, 60), st.sampled_from(["drop", "twice", "cut", "swap", "text"]), st.text()),
        max_size=8,
    ),
)
def test_an_offer_that_was_tampered_with_is_answered_or_refused(
    offer: str, changes: list[tuple[int, str, str]]
) -> None:
    lines = offer.split("\n")
    for at, change, text in changes:
        place = at % len(lines)
        if change == "drop" and len(lines) > 1:
            del lines[place]
        elif change == "twice":
            lines.insert(place, lines[place])
        elif change == "cut":
            lines[place] = lines[place][: len(lines[place]) // 2]
        elif change == "swap":
            lines[place], lines[0] = lines[0], lines[place]
        else:
            lines[place] += text
    try:
        answer = answered("\n".join(lines))
    except OfferRefused:
        return
    assert answer.count("m=audio 9 UDP/TLS/RTP/SAVPF") == 1 and answer.endswith("\r\n")
    assert "\n" not in answer.replace("\r\n", "") and "\r" not in answer.replace("\r\n", "")


def test_red_of_something_else_is_not_taken() -> None:
    assert sdp.parse(chromium().replace("63 111/111", "63 110/110")).red is None


@pytest.mark.parametrize(
    ("offered", "taken"),
    [
        ({110: 48_000, 126: 8_000}, "110 telephone-event/48000"),
        ({126: 8_000}, "126 telephone-event/8000"),
        ({}, None),
    ],
)
def test_keys_by_rtp_are_taken_where_they_are_offered(offered: dict[int, int], taken: str | None) -> None:
    parts = sdp.OfferParts(IceCredentials("caller01", "q" * 24), FINGERPRINT, 5, 1)
    answer = answered(with_keys(sdp.offer(parts), offered))
    assert [line for line in answer.split("\r\n") if "telephone-event" in line] == (
        [f"a=rtpmap:{taken}"] if taken else []
    )
    if taken:
        number = taken.split()[0]
        assert answer.split("\r\n")[7].endswith(f" {number}") and f"a=fmtp:{number} 0-15" in answer


def with_keys(offer: str, kinds: dict[int, int]) -> str:
    """An offer with telephone events in it, as browsers write them."""
    for number, hz in kinds.items():
        offer = offer.replace("SAVPF 111", f"SAVPF {number} 111").replace(
            "a=rtcp-mux", f"a=rtcp-mux\r\na=rtpmap:{number} telephone-event/{hz}"
        )
    return offer


def test_the_callers_own_offer_is_read_by_the_same_reader() -> None:
    parts = sdp.OfferParts(IceCredentials("caller01", "q" * 24), FINGERPRINT, 5, 1)
    read = sdp.parse(sdp.offer(parts))
    assert (read.opus, read.red, read.ice) == (sdp.OPUS_PAYLOAD, sdp.RED_PAYLOAD, parts.ice)
    answer = sdp.parse(answered(sdp.offer(parts)))
    assert answer.candidates[0] == IceCandidate("203.0.113.1", 3478)
