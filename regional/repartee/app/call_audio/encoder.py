"""The process that encodes a worker's recordings and takes them to where they are kept.

    python -m repartee.app.call_audio.encoder < frames

The first line it reads is what to do, as JSON; frames follow. It writes a line of JSON for each recording that is
kept. It ends with its input, and then keeps what is open. If it is killed, the next one keeps what it has left
behind.
"""

import fcntl
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from repartee.app.call_audio.audio_files import AudioFile, OpusFile, WavFile, mend
from repartee.audio.recording_frames import FrameKind, RecordingFrame, read_frame
from repartee.audio.stereo import RATE_HZ, StereoCall
from repartee.errors import StoreError
from repartee.latency.backoff import backoff_s
from repartee.rtc.opus import OpusLibrary
from repartee.store.object_store import ObjectStorePlace
from repartee.store.recording_places import CONTENT_TYPES, RecordingPlace, open_place
from repartee.transport.webrtc.libraries import load_opus
from repartee.wire import outside_json
from repartee.wire.audio_format import AudioDecoder, WireFormat

NICENESS = 5
"""Calls come first."""

UPLOADS = 2
MOST_WAIT_S = 60.0


class EncoderOptions(msgspec.Struct, frozen=True):
    """``place`` is a folder or ``s3://bucket/prefix``, ``spool`` a folder for what is not kept yet."""

    place: str
    spool: str
    format: str
    bucket: ObjectStorePlace | None = None


class RecordingFile:
    """One recording in the making. ``spooled`` is its file until it is kept."""

    def __init__(self, begun: RecordingFrame, spool: Path, library: OpusLibrary | None) -> None:
        told = begun.told()
        self.call_id, self.name = str(told["call_id"]), str(told["name"])
        self.spooled = spool / spooled_name(self.name)
        self._stereo = StereoCall(begun.at)
        self.use(told)
        file = self.spooled.open("wb")
        fcntl.flock(file, fcntl.LOCK_EX)
        self._file: AudioFile = OpusFile(file, library, self.name) if library else WavFile(file)

    def use(self, formats: Any) -> None:
        """Audio comes in these formats."""
        self._heard = AudioDecoder(msgspec.convert(formats["source"], WireFormat), RATE_HZ)
        self._sent = AudioDecoder(msgspec.convert(formats["sink"], WireFormat), RATE_HZ)

    def take(self, frame: RecordingFrame) -> None:
        """Something has been heard, sent or cut."""
        match frame.kind:
            case FrameKind.FORMATS:
                self.use(frame.told())
            case FrameKind.HEARD:
                self._stereo.heard(self._heard.feed(frame.body), frame.at)
            case FrameKind.SENT:
                self._stereo.sent(self._sent.feed(frame.body), frame.at)
            case FrameKind.CUT:
                self._stereo.cut(frame.at)
        self._file.write(self._stereo.take(frame.at))

    def close(self, at: float) -> float:
        """The call is over; returns how long the recording is (s)."""
        self._file.write(self._stereo.end(at))
        self._file.close()
        return self._stereo.seconds


class Keeper:
    """Takes complete files to their place, trying each until it is there, and says so on ``out``."""

    def __init__(self, place: RecordingPlace, out: BinaryIO) -> None:
        self._place = place
        self._out = out
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._pool = ThreadPoolExecutor(UPLOADS)

    def keep(self, spooled: Path, name: str, call_id: str, seconds: float) -> None:
        """Keep this file, in a thread of the keeper's."""
        self._pool.submit(self._keep, spooled, name, call_id, seconds)

    def _keep(self, spooled: Path, name: str, call_id: str, seconds: float) -> None:
        size, tries = spooled.stat().st_size, 0
        while True:
            try:
                self._place.put(name, spooled, CONTENT_TYPES[Path(name).suffix])
                break
            except StoreError as error:
                self.tell({"failed": call_id, "why": str(error)})
                tries += 1
                if self._ending.wait(backoff_s(tries, first_s=1.0, most_s=MOST_WAIT_S)):
                    return  # the next process tries again
        spooled.unlink()
        self.tell({"kept": call_id, "name": name, "bytes": size, "seconds": seconds})

    def tell(self, line: Any) -> None:
        """Say this to the worker, if it is still there."""
        with self._lock:
            try:
                self._out.write(msgspec.json.encode(line) + b"\n")
                self._out.flush()
            except OSError:
                pass

    def close(self) -> None:
        """Try what is left once more."""
        self._ending.set()
        self._pool.shutdown()


def spooled_name(name: str) -> str:
    """A recording's name as the name of a file in the spool."""
    return f"{name.replace('/', '+')}.part"


def left_behind(spool: Path, keeper: Keeper) -> None:
    """Keep what a process that is gone has left."""
    for path in spool.glob("*.part"):
        with path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue  # another process writes it
        name = path.name.removesuffix(".part").replace("+", "/")
        mend(path)
        keeper.keep(path, name, Path(name).stem, 0.0)


def run(source: BinaryIO, out: BinaryIO) -> None:
    """Until the input ends."""
    options = outside_json.decode(source.readline(), EncoderOptions)
    spool = Path(options.spool)
    spool.mkdir(parents=True, exist_ok=True, mode=0o700)
    library = OpusLibrary(load_opus()) if options.format == "opus" else None
    keeper = Keeper(open_place(options.place, options.bucket), out)
    left_behind(spool, keeper)
    live: dict[int, RecordingFile] = {}
    at = time.monotonic()
    while (frame := read_frame(source.read)) is not None:
        at = frame.at if frame.kind is not FrameKind.BEGUN else at
        try:
            _take(frame, live, spool, library, keeper)
        except Exception as error:  # one recording's fault is not the others'
            recording = live.pop(frame.number, None)
            keeper.tell({"failed": recording.call_id if recording else "", "why": repr(error)})
            if recording:
                keeper.keep(recording.spooled, recording.name, recording.call_id, recording.close(at))
    for recording in live.values():
        keeper.keep(recording.spooled, recording.name, recording.call_id, recording.close(at))
    keeper.close()


def _take(
    frame: RecordingFrame,
    live: dict[int, RecordingFile],
    spool: Path,
    library: OpusLibrary | None,
    keeper: Keeper,
) -> None:
    if frame.kind is FrameKind.BEGUN:
        live[frame.number] = RecordingFile(frame, spool, library)
        return
    recording = live.get(frame.number)
    if recording is None:
        return
    if frame.kind in (FrameKind.ENDED, FrameKind.CANCELLED):
        del live[frame.number]
        seconds = recording.close(frame.at)
        if frame.kind is FrameKind.CANCELLED:
            recording.spooled.unlink()
        else:
            keeper.keep(recording.spooled, recording.name, recording.call_id, seconds)
    else:
        recording.take(frame)


if __name__ == "__main__":
    os.nice(NICENESS)
    run(sys.stdin.buffer, sys.stdout.buffer)
