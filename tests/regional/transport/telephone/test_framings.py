"""Every carrier's framing, against the messages that its documents show."""

import ast
import inspect
import json
from pathlib import Path

import pytest
from tests.regional.test_purity import impurities
from tests.regional.transport.telephone.messages import DOCUMENTED, PIECE, Documented

from repartee.transport.telephone import framing as f
from repartee.transport.telephone.carriers import FRAMINGS
from repartee.wire.audio_format import WireFormat

FOLDER = Path(inspect.getfile(f)).parent
CARRIERS = pytest.mark.parametrize("carrier", sorted(FRAMINGS))


def begun(carrier: str) -> tuple[f.Framing, Documented]:
    """A framing that has parsed its stream's start."""
    framing = FRAMINGS[carrier]()
    framing.parse(DOCUMENTED[carrier].start)
    return framing, DOCUMENTED[carrier]


def test_there_are_messages_for_all_six() -> None:
    assert set(FRAMINGS) == set(DOCUMENTED)
    assert all(make().carrier == name for name, make in FRAMINGS.items())


@CARRIERS
def test_what_a_carrier_sends_is_understood(carrier: str) -> None:
    documented, framing = DOCUMENTED[carrier], FRAMINGS[carrier]()
    assert framing.parse(documented.start) == f.StreamStarted(
        documented.stream_id,
        documented.call_id,
        documented.format,
        {
            "twilio": "audio/x-mulaw",
            "telnyx": "L16",
            "vonage": "audio/l16;rate=16000",
            "exotel": "audio/x-raw",
        }.get(carrier, "audio/x-l16"),
        documented.parameters,
    )
    assert framing.parse(documented.media) == f.AudioReceived(PIECE, *documented.place)
    assert framing.parse(documented.dtmf) == f.DigitReceived(documented.digit)
    assert framing.parse(documented.mark) == f.MarkPlayed("0.1")
    assert isinstance(framing.parse(documented.stop), f.StreamEnded)


@CARRIERS
def test_what_is_unknown_says_nothing(carrier: str) -> None:
    framing, documented = begun(carrier)
    for message in (*documented.noise, '{"event": "surprise", "new": {"field": [1]}}', "{}"):
        assert framing.parse(message) is None


@CARRIERS
def test_what_a_carrier_is_sent(carrier: str) -> None:
    framing, documented = begun(carrier)
    played = framing.audio(PIECE)
    assert (played if isinstance(played, bytes) else json.loads(played)) == documented.plays
    assert json.loads(framing.mark("0.1")) == documented.marks
    assert json.loads(framing.clear()) == documented.clears


@CARRIERS
def test_a_start_without_its_object_or_ids_still_begins_a_stream(carrier: str) -> None:
    event = "websocket:connected" if carrier == "vonage" else "start"
    for message in ({"event": event}, {"event": event, "start": None}, {"event": event, "start": {}}):
        framing = FRAMINGS[carrier]()
        started = framing.parse(json.dumps(message))
        assert isinstance(started, f.StreamStarted)
        assert (started.stream_id, started.call_id, dict(started.parameters)) == ("", "", {})
        assert started.format is not None
        assert framing.audio(PIECE) and framing.mark("0.1") and framing.clear()


@pytest.mark.parametrize(
    ("encoding", "rate", "format_"),
    [
        ("audio/x-mulaw", 8000, WireFormat("audio/pcmu", 8_000)),
        ("audio/x-mulaw;rate=8000", None, WireFormat("audio/pcmu", 8_000)),
        ("PCMU", "8000", WireFormat("audio/pcmu", 8_000)),
        ("PCMA", 8000, WireFormat("audio/pcma", 8_000)),
        ("audio/x-l16", 8000, WireFormat("audio/pcm", 8_000)),
        ("L16", 16000, WireFormat("audio/pcm", 16_000)),
        ("L16", 24000, WireFormat("audio/pcm", 24_000)),
        ("audio/l16;rate=8000", None, WireFormat("audio/pcm", 8_000)),
        ("raw/slin", None, WireFormat("audio/pcm", 8_000)),
        ("G722", 16000, None),
        ("OPUS", 16000, None),
        ("AMR-WB", 16000, None),
        ("L16", 44100, None),
        ("PCMU", 16000, None),
    ],
)
def test_formats_are_as_the_carrier_says(
    encoding: str, rate: int | str | None, format_: WireFormat | None
) -> None:
    assert f.format_of(encoding, rate) == format_


@pytest.mark.parametrize("encoding", ["PCMU", "PCMA", "L16"])
@pytest.mark.parametrize("carrier", ["twilio", "telnyx", "signalwire", "plivo", "exotel"])
def test_a_start_decides_the_format(carrier: str, encoding: str) -> None:
    said = json.loads(DOCUMENTED[carrier].start)
    media = said["start"].get("mediaFormat") or said["start"]["media_format"]
    media["encoding"] = encoding
    media["sampleRate" if "sampleRate" in media else "sample_rate"] = 8000
    started = FRAMINGS[carrier]().parse(json.dumps(said))
    assert isinstance(started, f.StreamStarted)
    assert started.format == f.format_of(encoding, 8000)


@CARRIERS
@pytest.mark.parametrize(
    "message",
    ["", "nonsense", "[]", '"text"', "7", "{" * 400, '{"event": ', "x" * (f.MAX_MESSAGE_BYTES + 1)],
    ids=["empty", "nonsense", "list", "text", "number", "deep", "cut", "long"],
)
def test_what_cannot_be_read_is_refused(carrier: str, message: str) -> None:
    with pytest.raises(f.BadFrame):
        FRAMINGS[carrier]().parse(message)


@pytest.mark.parametrize("carrier", sorted(set(FRAMINGS) - {"vonage"}))
def test_audio_that_is_no_base64_is_refused(carrier: str) -> None:
    with pytest.raises(f.BadFrame):
        FRAMINGS[carrier]().parse('{"event": "media", "media": {"payload": "%%%"}}')


@pytest.mark.parametrize("carrier", sorted(FRAMINGS))
def test_a_framing_is_small_and_knows_nothing_but_its_carriers_messages(carrier: str) -> None:
    source = (FOLDER / f"{carrier}.py").read_text()
    [framing] = [node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
    code = [line for line in source.splitlines()[framing.lineno - 1 : framing.end_lineno] if line.strip()]
    assert len(code) <= 62, "about 40 lines, their docstrings beside them"
    assert impurities(source) == set()
    for word in ("pacer", "caller_stream", "line_watch"):
        assert word not in source
