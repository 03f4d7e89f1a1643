"""The process that encodes: what it leaves when it is killed, and that one recording's fault is not the others'."""

import io
import json
from pathlib import Path

import msgspec
import pytest

from repartee.app.call_audio.audio_files import WAV_HEAD, wav_head
from repartee.app.call_audio.encoder import EncoderOptions, run, spooled_name
from repartee.audio.recording_frames import FrameKind, RecordingFrame

WIRE = {"encoding": "audio/pcm", "hz": 24_000}


def begun(number: int, name: str, at: float = 10.0) -> RecordingFrame:
    told = {"call_id": Path(name).stem, "name": name, "source": WIRE, "sink": WIRE}
    return RecordingFrame(FrameKind.BEGUN, number, at, msgspec.json.encode(told))


def told_by(tmp_path: Path, *frames: RecordingFrame) -> list[dict[str, object]]:
    """Run it to the end of these frames; what it says."""
    options = EncoderOptions(str(tmp_path / "kept"), str(tmp_path / "spool"), "wav")
    data = msgspec.json.encode(options) + b"\n" + b"".join(frame.packed() for frame in frames)
    out = io.BytesIO()
    run(io.BytesIO(data), out)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_recording_is_as_long_as_the_call(tmp_path: Path) -> None:
    audio = RecordingFrame(FrameKind.HEARD, 1, 10.1, b"\1\0" * 2_400)
    [kept] = told_by(tmp_path, begun(1, "a/b/c1.wav"), audio, RecordingFrame(FrameKind.ENDED, 1, 12.5))
    assert (kept["kept"], kept["seconds"]) == ("c1", 2.5)
    file = tmp_path / "kept" / "a" / "b" / "c1.wav"
    assert file.stat().st_size == kept["bytes"] == WAV_HEAD.size + 24_000 * 4 * 2.5
    assert not list((tmp_path / "spool").iterdir())


def test_what_is_open_when_the_worker_is_gone_is_kept_and_what_was_cancelled_is_not(tmp_path: Path) -> None:
    told = told_by(
        tmp_path,
        begun(1, "c1.wav"),
        begun(2, "c2.wav"),
        RecordingFrame(FrameKind.HEARD, 1, 11.0, b"\1\0" * 2_400),
        RecordingFrame(FrameKind.CANCELLED, 2, 11.0),
    )
    assert [line["kept"] for line in told] == ["c1"]
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["c1.wav"]
    assert not list((tmp_path / "spool").iterdir())


@pytest.mark.parametrize("size", [0, 10, WAV_HEAD.size, WAV_HEAD.size + 4_803])
def test_what_a_killed_one_has_left_is_kept_by_the_next(tmp_path: Path, size: int) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    (spool / spooled_name("2026/x.wav")).write_bytes((wav_head(0) + bytes(4_803))[:size])
    [kept] = told_by(tmp_path)
    assert kept["kept"] == "x"
    data = (tmp_path / "kept" / "2026" / "x.wav").read_bytes()
    assert WAV_HEAD.unpack_from(data)[-1] == max(size - WAV_HEAD.size, 0) // 4 * 4


def test_a_frame_that_makes_no_sense_costs_its_own_recording_only(tmp_path: Path) -> None:
    told = told_by(
        tmp_path,
        RecordingFrame(FrameKind.BEGUN, 1, 10.0, b"{}"),
        begun(2, "c2.wav"),
        RecordingFrame(FrameKind.FORMATS, 2, 11.0, b"[]"),
        begun(3, "c3.wav"),
        RecordingFrame(FrameKind.ENDED, 3, 11.0),
        RecordingFrame(FrameKind.ENDED, 9, 11.0),
    )
    assert [line["failed"] for line in told if "failed" in line] == ["", "c2"]
    assert sorted(str(line["kept"]) for line in told if "kept" in line) == ["c2", "c3"]
