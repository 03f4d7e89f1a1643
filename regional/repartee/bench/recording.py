"""`repartee bench recording`: what recording a call costs the worker, and the process that encodes, in CPU and bytes.

Feeds both with a call's frames as fast as they take them: no socket, no other call.
"""

import os
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console

from repartee.agent.secret_values import Secrets
from repartee.app.call_audio.encoder import RecordingFile
from repartee.app.call_audio.tap import CallTap, TapUser
from repartee.audio.recording_frames import RecordingFrame
from repartee.bench.load import FRAME_MS, RATE_HZ, speech
from repartee.client.report import write_report
from repartee.rtc.opus import OpusLibrary
from repartee.transport.interfaces import AudioFormats
from repartee.transport.webrtc.libraries import load_opus
from repartee.wire.audio_format import WireFormat

FRAME_BYTES = RATE_HZ * FRAME_MS // 1000 * 2
FRAMES_PER_MINUTE = 60_000 // FRAME_MS


def recording(
    minutes: Annotated[int, typer.Option(min=1, help="Minutes of a call.")] = 5,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write the figures.")] = None,
) -> None:
    """Encode a call in which each side speaks half of the time, as Opus and as WAV."""
    forms = {form: _measured(minutes, form) for form in ("opus", "wav")}
    report = {"minutes": minutes, "worker_cpu_s_per_call_minute": _tapped(minutes), **forms}
    write_report(report, json_path)
    console = Console(highlight=False)
    console.print(f"the worker: {report['worker_cpu_s_per_call_minute']:.4f} CPU s a call-minute")
    for form, told in forms.items():
        console.print(
            f"{form}: {told['cpu_s_per_call_minute']:.4f} CPU s and {told['mb_per_call_minute']:.2f} MB a call-minute"
        )


def _call(minutes: int, tap: CallTap, at: list[float]) -> None:
    """Both sides in turns of five seconds, with noise as of a line."""
    noise = np.random.default_rng(7).normal(0, 40, RATE_HZ * 5).astype("<i2").tobytes()
    voice = (speech(1_000) * 5)[: len(noise)]
    for frame in range(minutes * FRAMES_PER_MINUTE):
        at[0] += FRAME_MS / 1000
        place = frame * FRAME_BYTES % len(noise)
        caller_speaks = frame * FRAME_MS // 5_000 % 2 == 0
        tap.heard((voice if caller_speaks else noise)[place : place + FRAME_BYTES])
        if not caller_speaks:
            tap.sent(voice[place : place + FRAME_BYTES])


def _tap(put: Any, at: list[float]) -> CallTap:
    user = TapUser(put, begun=lambda: None, cancelled=lambda: None, clock=lambda: at[0])
    tap = CallTap(1, {"call_id": "bench", "name": "bench.ogg"}, user, spoken=False)
    tap.serve(lambda text: None, Secrets())
    tap.opened(AudioFormats(WireFormat(), WireFormat()), lambda: True)
    return tap


def _tapped(minutes: int) -> float:
    """What the worker's side takes, with the writing of its frames five at a time, as ten times a second gives."""
    at, waiting = [0.0], list[bytes]()
    with open(os.devnull, "wb", buffering=0) as sink:  # noqa: PTH123 - a device

        def put(frame: RecordingFrame) -> None:
            waiting.append(frame.packed())
            if len(waiting) >= 7:
                sink.write(b"".join(waiting))
                waiting.clear()

        tap = _tap(put, at)
        began = time.process_time()
        _call(minutes, tap, at)
        return round((time.process_time() - began) / minutes, 5)


def _measured(minutes: int, form: str) -> dict[str, float]:
    at, given = [0.0], list[RecordingFrame]()
    tap = _tap(given.append, at)
    _call(minutes, tap, at)
    library = OpusLibrary(load_opus()) if form == "opus" else None
    with tempfile.TemporaryDirectory(prefix="repartee-bench-") as folder:
        began = time.process_time()
        file = RecordingFile(given[0], Path(folder), library)
        for frame in given[1:]:
            file.take(frame)
        file.close(at[0])
        taken = time.process_time() - began
        size = file.spooled.stat().st_size
    return {
        "cpu_s_per_call_minute": round(taken / minutes, 5),
        "mb_per_call_minute": round(size / minutes / 1e6, 3),
    }
