"""Audio on the wire: what comes out is what went in, at every rate and however the bytes are cut."""

import math
from array import array
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repartee.errors import ClientProtocolError
from repartee.wire.audio_format import (
    PCM_RATES_HZ,
    AudioDecoder,
    AudioEncoder,
    Encoding,
    WireFormat,
)

HZ = 24_000
SECOND = 1.0


def tone(hz: int, *, seconds: float = SECOND, pitch_hz: int = 400, level: int = 8_000) -> bytes:
    samples = (round(level * math.sin(2 * math.pi * pitch_hz * n / hz)) for n in range(int(hz * seconds)))
    return array("h", samples).tobytes()


def energy(pcm: bytes) -> float:
    samples = array("h", pcm)
    return math.sqrt(sum(sample * sample for sample in samples) / len(samples))


def crossings(pcm: bytes) -> int:
    samples = array("h", pcm)
    return sum(a < 0 <= b for a, b in pairwise(samples))


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def there_and_back(wire: WireFormat, pcm: bytes) -> bytes:
    encoder, decoder = AudioEncoder(wire, HZ), AudioDecoder(wire, HZ)
    sent = [encoder.feed(piece) for piece in pieces(pcm, 960)]
    return b"".join(decoder.feed(frame) for frame in [*sent, encoder.flush()])


FORMATS = [WireFormat("audio/pcm", hz) for hz in PCM_RATES_HZ]
FORMATS += [WireFormat("audio/pcmu", 8_000), WireFormat("audio/pcma", 8_000)]


@pytest.mark.parametrize("wire", FORMATS, ids=str)
def test_a_tone_survives_the_way_there_and_back(wire: WireFormat) -> None:
    heard = there_and_back(wire, tone(HZ))
    assert len(heard) == pytest.approx(2 * HZ * SECOND, rel=0.03)
    assert energy(heard) == pytest.approx(energy(tone(HZ)), rel=0.05)
    assert crossings(heard) == pytest.approx(400, abs=15)


def test_at_the_inner_rate_pcm_is_not_touched() -> None:
    pcm = tone(HZ, seconds=0.1)
    assert there_and_back(WireFormat("audio/pcm", HZ), pcm) == pcm


@pytest.mark.parametrize("wire", FORMATS, ids=str)
def test_the_wire_carries_as_many_bytes_as_the_format_says(wire: WireFormat) -> None:
    encoder = AudioEncoder(wire, HZ)
    sent = encoder.feed(tone(HZ)) + encoder.flush()
    assert len(sent) == pytest.approx(wire.bytes_per_ms * 1000, rel=0.01)


@pytest.mark.parametrize("encoding", ["audio/pcmu", "audio/pcma"])
def test_g711_at_its_own_rate_changes_every_sample_a_little_at_most(encoding: Encoding) -> None:
    pcm = tone(8_000, seconds=0.1)
    wire = WireFormat(encoding, 8_000)
    heard = array("h", AudioDecoder(wire, 8_000).feed(AudioEncoder(wire, 8_000).feed(pcm)))
    assert all(abs(a - b) <= 256 for a, b in zip(array("h", pcm), heard, strict=True))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 700), min_size=1, max_size=30), st.sampled_from(FORMATS))
def test_bytes_may_be_cut_anywhere(cuts: list[int], wire: WireFormat) -> None:
    sent = AudioEncoder(wire, HZ).feed(tone(HZ, seconds=0.2))
    whole, cut = AudioDecoder(wire, 16_000), AudioDecoder(wire, 16_000)
    frames, rest = [], sent
    for size in cuts:
        frames.append(rest[:size])
        rest = rest[size:]
    heard = b"".join(cut.feed(frame) for frame in [*frames, rest])
    assert len(heard) % 2 == 0
    expected = whole.feed(sent)
    # A resampler may hold back a few samples more or less depending on the cuts, but never shifts a byte.
    common = min(len(heard), len(expected))
    assert abs(len(heard) - len(expected)) <= 2 * 16 * 12
    far_apart = [
        abs(a - b) for a, b in zip(array("h", heard[:common]), array("h", expected[:common]), strict=True)
    ]
    assert max(far_apart, default=0) <= 64


def test_a_format_says_how_the_session_names_it() -> None:
    assert WireFormat().as_json() == {"type": "audio/pcm", "rate": 24_000}
    assert WireFormat("audio/pcmu", 8_000).as_json() == {"type": "audio/pcmu"}


def test_rates_that_cannot_be_are_refused_by_name() -> None:
    with pytest.raises(ClientProtocolError, match="8000, 16000, 24000, 48000") as caught:
        WireFormat.checked("audio/pcm", 44_100, param="session.audio.input.format")
    assert caught.value.param == "session.audio.input.format"
    with pytest.raises(ClientProtocolError, match="8000"):
        WireFormat.checked("audio/pcmu", 24_000, param="p")
