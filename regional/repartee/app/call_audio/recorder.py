"""A worker's recordings: what its calls' taps give, on its way to the process that encodes it.

Nothing here waits. Frames go into the encoder's pipe ten times a second. If it does not take them, the recorder
drops what exceeds the bound: the recording has silence there, the log a line, and the call notices nothing.
"""

import asyncio
import contextlib
import itertools
import logging
import re
import sys
import time
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from repartee.app.call_audio.encoder import EncoderOptions
from repartee.app.call_audio.tap import CallTap, TapUser
from repartee.audio.recording_frames import FrameKind, RecordingFrame
from repartee.errors import StoreError
from repartee.store.interfaces import Store
from repartee.store.recording_places import RecordingPlace, open_place
from repartee.store.recordings import forget, keep_begun, keep_complete
from repartee.store.schema import Row
from repartee.wire import outside_json

log = logging.getLogger(__name__)

WRITE_EVERY_S = 0.1
MOST_WAITING_BYTES = 8_000_000
"""Some 80 s of a call in PCM at 24 kHz, both ways; G.711 takes a sixth of that."""

CLOSE_S = 20.0
"""When the worker ends, what is still to be kept may take so long; the next worker keeps the rest."""

RESTART_S = 5.0
_PLAIN = re.compile(r"[^A-Za-z0-9_\-]")


class Recorder:
    """Records the calls of one worker. ``store`` has a row for each recording."""

    def __init__(self, options: EncoderOptions, store: Store) -> None:
        self._options = options
        self._store = store
        self._numbers = itertools.count(1)
        self._waiting: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._lost: set[int] = set()
        self._closing = False

    def __repr__(self) -> str:
        return f"<Recorder: {len(self._waiting)} frames wait>"

    @property
    def pid(self) -> int | None:
        """The encoder's process; None while there is none."""
        return self._process.pid if self._process else None

    def tap(self, call_id: str, caller: str, *, spoken: bool) -> CallTap:
        """For one call."""
        number, now = next(self._numbers), datetime.now(UTC)
        plain = _PLAIN.sub("_", call_id)
        name = f"{now:%Y/%m/%d}/{plain}.{'ogg' if self._options.format == 'opus' else 'wav'}"
        row: Row = {
            "call_id": call_id,
            "at": now.timestamp(),
            "caller": caller or None,
            "place": self._options.place,
            "name": name,
            "bytes": 0,
            "seconds": 0.0,
        }
        user = TapUser(
            self._put,
            begun=lambda: keep_begun(self._store, row),
            cancelled=lambda: forget(self._store, call_id),
            clock=time.monotonic,
        )
        return CallTap(number, {"call_id": call_id, "name": name}, user, spoken=spoken)

    # --- to the encoder ------------------------------------------------------------------------------------------

    def _put(self, frame: RecordingFrame) -> None:
        if frame.kind in (FrameKind.HEARD, FrameKind.SENT) and self._is_behind(frame.number):
            return
        self._waiting.append(frame.packed())
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(WRITE_EVERY_S, self._write)

    def _is_behind(self, number: int) -> bool:
        pipe = self._process.stdin if self._process else None
        behind = pipe is None or pipe.transport.get_write_buffer_size() > MOST_WAITING_BYTES
        if behind and number not in self._lost:
            self._lost.add(number)
            log.warning("recordings are not encoded as fast as they come; leaving a gap in one of them")
        elif not behind:
            self._lost.discard(number)
        return behind

    def _write(self) -> None:
        self._timer = None
        waiting, self._waiting = self._waiting, []
        if self._process and self._process.stdin:
            with contextlib.suppress(OSError):
                self._process.stdin.write(b"".join(waiting))

    # --- the encoder's process -----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Have an encoder for as long as this is not cancelled; another, when one is lost."""
        while not self._closing:
            await self._start()
            await self._listen()
            if not self._closing:
                log.error("the process that encodes recordings has ended; starting another")
                await asyncio.sleep(RESTART_S)

    async def _start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "repartee.app.call_audio.encoder",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            # Ctrl-C is for the worker, which ends this in its own time.
            start_new_session=True,
        )
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(self._options) + b"\n")

    async def _listen(self) -> None:
        process = self._process
        assert process is not None
        assert process.stdout is not None
        async for line in process.stdout:
            await self._heed(outside_json.decode(line))
        await process.wait()

    async def _heed(self, told: Mapping[str, Any]) -> None:
        if "failed" in told:
            log.warning(
                "the recording of call %s could not be kept: %s; trying again", told["failed"], told["why"]
            )
            return
        try:
            wanted = await keep_complete(self._store, told["kept"], told["bytes"], told["seconds"])
            if not wanted:  # its caller has been erased
                await asyncio.to_thread(self.place.delete, told["name"])
        except StoreError as error:
            log.warning("a recording is kept, but its row is not complete: %s; going on", error)

    @property
    def place(self) -> RecordingPlace:
        """Where recordings are kept."""
        return open_place(self._options.place, self._options.bucket)

    async def aclose(self) -> None:
        """End the encoder once it has kept what it has."""
        self._closing = True
        if self._timer:
            self._timer.cancel()
        self._write()
        process = self._process
        if process is None or process.stdin is None:
            return
        process.stdin.close()


@contextlib.asynccontextmanager
async def recording_calls(recorder: Recorder) -> AsyncIterator[Recorder]:
    """The encoder runs for as long as the block lasts, and then until it has kept what it has."""
    task = asyncio.create_task(recorder.run())
    try:
        yield recorder
    finally:
        await recorder.aclose()
        done, _ = await asyncio.wait([task], timeout=CLOSE_S)
        if not done:
            task.cancel()
            await asyncio.wait([task])
