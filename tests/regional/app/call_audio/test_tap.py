"""When the recording of a call begins, what goes into it, and what does not."""

from collections.abc import Callable
from typing import Any

import pytest

from repartee.agent.said import Said
from repartee.agent.secret_values import Secrets
from repartee.app.call_audio.tap import CallTap, TapUser
from repartee.audio.recording_frames import FrameKind, RecordingFrame, read_frame
from repartee.transport.interfaces import AudioFormats
from repartee.wire.audio_format import WireFormat

PCM = AudioFormats(WireFormat(), WireFormat())
SECOND = bytes(48_000)
NOTICE = "This call is being recorded."


class Tapped:
    """A call on a clock of the test's."""

    def __init__(self, *, spoken: bool) -> None:
        self.now = 100.0
        self.frames: list[RecordingFrame] = []
        self.rows: list[str] = []
        self.said_again: list[str] = []
        self.secrets = Secrets()
        user = TapUser(
            self.frames.append,
            begun=lambda: self.rows.append("begun"),
            cancelled=lambda: self.rows.append("cancelled"),
            clock=lambda: self.now,
        )
        self.tap = CallTap(3, {"call_id": "c", "name": "c.ogg"}, user, spoken=spoken)
        self.tap.serve(self.said_again.append, self.secrets)

    @property
    def kinds(self) -> list[str]:
        return [frame.kind.name for frame in self.frames]

    def notice(self, text: str = NOTICE, *, interrupted: bool = False) -> None:
        self.tap.said(Said("i1", 0, "agent", text, 0.0, interrupted))


def opened(tapped: Tapped, signal: Callable[[], bool] = lambda: False) -> Tapped:
    tapped.tap.opened(PCM, signal)
    return tapped


def test_a_client_is_signalled_before_the_first_sample() -> None:
    tapped = Tapped(spoken=False)
    tapped.tap.heard(b"x")
    order: list[Any] = []

    def signal() -> bool:
        order.append(list(tapped.frames))
        return True

    opened(tapped, signal)
    assert order == [[]]
    tapped.tap.heard(b"x")
    assert tapped.tap.announce(NOTICE) == ""
    assert tapped.kinds == ["BEGUN", "HEARD"]
    told = tapped.frames[0].told()
    assert told["source"] == told["sink"] == {"encoding": "audio/pcm", "hz": 24_000}
    assert tapped.rows == ["begun"]


def test_a_client_that_takes_no_signal_is_not_recorded() -> None:
    tapped = opened(Tapped(spoken=False))
    tapped.tap.heard(b"x")
    tapped.tap.ended()
    assert (tapped.kinds, tapped.rows) == ([], [])


def test_a_spoken_notice_is_played_to_its_end_before_the_recording_begins() -> None:
    tapped = opened(Tapped(spoken=True))
    assert tapped.tap.announce(NOTICE) == NOTICE
    tapped.tap.sent(SECOND)
    tapped.tap.heard(b"x")
    assert tapped.frames == []
    tapped.notice()
    [begun] = tapped.frames
    assert (begun.kind, begun.at) == (FrameKind.BEGUN, 101.0)
    tapped.tap.sent(SECOND)  # the greeting, ahead of its time
    tapped.now = 101.5
    tapped.notice("So it is.")  # nothing said now changes that
    tapped.tap.heard(b"x")
    tapped.tap.cut()
    tapped.tap.ended()
    tapped.tap.heard(b"y")
    assert tapped.kinds == ["BEGUN", "SENT", "HEARD", "CUT", "ENDED"]
    assert tapped.said_again == []


def test_a_notice_that_is_spoken_over_is_repeated_and_then_given_up(caplog: pytest.LogCaptureFixture) -> None:
    tapped = opened(Tapped(spoken=True))
    tapped.tap.announce(NOTICE)
    tapped.tap.sent(SECOND)
    tapped.notice()  # all of it was sent ...
    tapped.now = 100.4
    tapped.tap.cut()
    tapped.notice("This call is", interrupted=True)  # ... but not heard
    assert tapped.kinds == ["BEGUN", "CUT", "CANCELLED"]
    assert tapped.rows == ["begun", "cancelled"]
    assert tapped.said_again == [NOTICE]
    tapped.notice("This", interrupted=True)
    tapped.notice("This", interrupted=True)
    assert tapped.said_again == [NOTICE, NOTICE]
    assert "has not heard that it is recorded; not recording it" in caplog.text
    tapped.notice()
    assert tapped.rows == ["begun", "cancelled"]


def test_a_call_that_ends_during_the_notice_leaves_no_recording() -> None:
    tapped = opened(Tapped(spoken=True))
    tapped.tap.announce(NOTICE)
    tapped.tap.sent(SECOND)
    tapped.notice()
    tapped.now = 100.5
    tapped.tap.ended()
    assert tapped.rows == ["begun", "cancelled"]
    assert tapped.kinds == ["BEGUN", "CANCELLED"]


def test_what_is_secret_leaves_a_gap() -> None:
    tapped = opened(Tapped(spoken=False), lambda: True)
    tapped.secrets.hides_digits = True
    tapped.tap.heard(b"4711")
    tapped.secrets.hides_digits = False
    tapped.tap.heard(b"ok")
    assert [frame.body for frame in tapped.frames[1:]] == [b"ok"]


def test_another_format_is_known_before_its_audio() -> None:
    tapped = opened(Tapped(spoken=False), lambda: True)
    g711 = AudioFormats(WireFormat("audio/pcmu", 8_000), WireFormat("audio/pcmu", 8_000))
    tapped.tap.uses(PCM)
    tapped.tap.uses(g711)
    assert tapped.kinds == ["BEGUN", "FORMATS"]
    assert tapped.frames[1].told()["sink"] == {"encoding": "audio/pcmu", "hz": 8_000}


def test_frames_are_read_as_they_were_written_and_a_torn_one_ends_the_stream() -> None:
    frames = [RecordingFrame(FrameKind.HEARD, 1, 2.5, b"abc"), RecordingFrame(FrameKind.CUT, 2, 3.0)]
    data = b"".join(frame.packed() for frame in frames)

    def reading(rest: bytes) -> Callable[[int], bytes]:
        left = bytearray(rest)

        def read(size: int) -> bytes:
            piece = bytes(left[:size])
            del left[:size]
            return piece

        return read

    read = reading(data)
    assert [read_frame(read), read_frame(read), read_frame(read)] == [*frames, None]
    assert read_frame(reading(data[:19])) is None
    with pytest.raises(ValueError, match="is not a valid FrameKind"):
        read_frame(reading(b"\x63" + data[1:]))
