"""Many calls at once, from one clock: each asks the same question over and over and times every answer.

Owns the schedule (who sends which frame when), what counts as answered, unanswered and early, and the generator's
own lateness. Must not know processes, profiles or files.
"""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from heapq import heapify, heappop, heapreplace
from typing import Protocol, TypeVar

import numpy as np

from repartee.audio.pcm import SAMPLE_BYTES, bytes_for_ms, duration_ms, silence
from repartee.audio.speech_end import leading_silence_ms, speech_end_ms
from repartee.bench.lean_socket import laid_out, open_socket
from repartee.client.call import session_url

FRAME_MS = 20
RATE_HZ = 24_000
SPEECH_MS = 600.0
MOST_OPENING = 16
ARRIVALS_PER_S = 16.0
"""Calls are placed no faster: a region dials each vendor 20 times a second at most, as callers do not come all at
once either."""

AUDIO_DELTA = b'"response.output_audio.delta"'
FRAMES_BETWEEN_LOOKS = 50
"""A generator that has fallen behind looks at what has come in after so many frames."""

TAIL_S = 0.5
"""Audio that follows on other audio within this time is the rest of one answer."""

TYPE_WITHIN = 120
"""An event's type stands within its first so many bytes."""


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked for. ``turns`` is for each call; ``turns_per_minute`` sets how often each asks. ``gated``: the
    callers' microphones send nothing while they are silent. ``webrtc``: they come by WebRTC."""

    url: str
    calls: int
    turns: int
    turns_per_minute: float = 24.0
    binary_audio: bool = False
    api_key: str = ""
    gated: bool = False
    webrtc: bool = False

    @property
    def frames_per_turn(self) -> int:
        return round(60_000 / self.turns_per_minute / FRAME_MS)


@dataclass(slots=True)
class Measured:
    """What came of it. Latencies are voice-to-voice in ms; ``lateness_ms`` is each frame's own."""

    latencies_ms: list[float] = field(default_factory=list)
    first_latencies_ms: list[float] = field(default_factory=list)
    """Those of calls' first turns, which are among the others too."""
    unanswered: int = 0
    early: int = 0
    lateness_ms: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Script:
    """One turn's frames, ready to be written, and where in them the speech ends."""

    frames: Sequence[bytes]
    last_speech_frame: int
    after_speech_s: float
    """How much of that frame comes after the last sample of speech."""


def speech(ms: float = SPEECH_MS) -> bytes:
    """A voice-like sound (24 kHz PCM16): harmonics of 120 Hz that swell like syllables."""
    time = np.arange(int(RATE_HZ * ms / 1000)) / RATE_HZ
    voice = sum(np.sin(2 * np.pi * 120 * harmonic * time) / harmonic for harmonic in range(1, 12))
    swell = 0.7 + 0.3 * np.sin(2 * np.pi * 5 * time)
    return bytes((7000 * swell * voice).clip(-32_000, 32_000).astype("<i2").tobytes())


def scripted(frames_per_turn: int, *, binary_audio: bool, gated: bool = False) -> Script:
    """The frames of one turn: speech, then silence until the next, for which nothing is sent if it is ``gated``."""
    sound = speech()
    size = bytes_for_ms(FRAME_MS, RATE_HZ)
    pcm = sound + bytes(-len(sound) % size)
    pieces = [pcm[at : at + size] for at in range(0, len(pcm), size)]
    if len(pieces) >= frames_per_turn:
        raise ValueError(f"a turn of {frames_per_turn} frames has no room for {len(pieces)} of speech")
    pieces += [silence(FRAME_MS, RATE_HZ)] * (frames_per_turn - len(pieces))
    end_ms = speech_end_ms(pcm + silence(500, RATE_HZ), RATE_HZ)
    assert end_ms is not None
    last = int((end_ms - 1e-6) // FRAME_MS)
    frames = {piece: _message(piece, binary_audio=binary_audio) for piece in set(pieces)}
    if gated:
        frames[silence(FRAME_MS, RATE_HZ)] = b""
    return Script([frames[piece] for piece in pieces], last, ((last + 1) * FRAME_MS - end_ms) / 1000)


def _message(piece: bytes, *, binary_audio: bool) -> bytes:
    if binary_audio:
        return laid_out(piece, text=False)
    event = {"type": "input_audio_buffer.append", "audio": base64.b64encode(piece).decode()}
    return laid_out(json.dumps(event).encode(), text=True)


class LoadSocket(Protocol):
    """What a call writes to; ``closed`` says why it cannot any more."""

    closed: str | None

    def write(self, frame: bytes) -> None:
        """A frame of the script's."""

    def close(self) -> None:
        """Hang up."""


class LoadCaller(Protocol):
    """A call as :func:`run_load` sees it; ``over`` is looked at after each frame."""

    socket: LoadSocket | None

    @property
    def over(self) -> bool: ...

    def tick(self, now: float) -> None:
        """Send the frame that is due."""

    def receive(self, payload: bytes, is_text: bool, now: float) -> None:
        """Take a message from the server."""


AnyCaller = TypeVar("AnyCaller", bound=LoadCaller)


class LoadCall:
    """One call's turns. Times are seconds of one clock."""

    def __init__(self, script: Script, turns: int, measured: Measured) -> None:
        self.socket: LoadSocket | None = None
        self._script = script
        self._turns_left = turns
        self._is_first = True
        self._measured = measured
        self._frame = 0
        self._asking = False
        self._spoken_at_s: float | None = None
        self._answered = False
        self._was_early = False
        self._last_audio_s = -TAIL_S
        self._playing_from_s: float | None = None
        self._played_s = 0.0

    @property
    def over(self) -> bool:
        """Whether all turns have been asked and had their time."""
        return self._turns_left == 0 and not self._asking

    def tick(self, now: float) -> None:
        """Send the frame that is due."""
        if self._frame == 0:
            self._end_turn()
            if self._turns_left == 0:
                return
            self._turns_left -= 1
            self._asking = True
        assert self.socket is not None
        if frame := self._script.frames[self._frame]:
            self.socket.write(frame)
        if self._frame == self._script.last_speech_frame:
            self._spoken_at_s = now - self._script.after_speech_s
        self._frame = (self._frame + 1) % len(self._script.frames)

    def receive(self, payload: bytes, is_text: bool, now: float) -> None:
        """A message from the server."""
        if not is_text or AUDIO_DELTA in payload[:TYPE_WITHIN]:
            if not self._answered:
                self._hear(base64.b64decode(json.loads(payload)["delta"]) if is_text else payload, now)
            self._last_audio_s = now
        elif b'"error"' in payload[:TYPE_WITHIN]:
            self._measured.faults.append(str(json.loads(payload).get("error", {}).get("message")))

    def _hear(self, pcm: bytes, now: float) -> None:
        """Audio: the answer, once its first audible sample is heard after the question's end."""
        if self._answered or not self._asking:
            return
        silent_ms = leading_silence_ms(pcm, RATE_HZ)
        is_audible = silent_ms < duration_ms(len(pcm), RATE_HZ)
        if self._spoken_at_s is None:
            is_tail = now - self._last_audio_s < TAIL_S
            self._was_early = self._was_early or (is_audible and not is_tail)
            return
        if self._playing_from_s is None:
            self._playing_from_s = now
        starts_at_s = max(now, self._playing_from_s + self._played_s)
        self._played_s = starts_at_s - self._playing_from_s + len(pcm) / SAMPLE_BYTES / RATE_HZ
        if is_audible:
            self._answered = True
            latency_ms = (starts_at_s - self._spoken_at_s) * 1000 + silent_ms
            self._measured.latencies_ms.append(latency_ms)
            if self._is_first:
                self._measured.first_latencies_ms.append(latency_ms)

    def _end_turn(self) -> None:
        if self._asking:
            self._measured.unanswered += not self._answered
            self._measured.early += self._was_early
            self._is_first = False
        self._asking = self._answered = self._was_early = False
        self._spoken_at_s = self._playing_from_s = None
        self._played_s = 0.0


@asynccontextmanager
async def open_calls(load: Load, measured: Measured) -> AsyncIterator[list[LoadCall]]:
    """Place all calls; hangs up at the end of the block. Raises CallFailed."""
    script = scripted(load.frames_per_turn, binary_audio=load.binary_audio, gated=load.gated)
    async with placed(load, [LoadCall(script, load.turns, measured) for _ in range(load.calls)]) as calls:
        yield calls


@asynccontextmanager
async def placed(load: Load, calls: list[AnyCaller]) -> AsyncIterator[list[AnyCaller]]:
    """Connect these calls; hangs up at the end of the block. Raises CallFailed."""
    url = session_url(load.url, binary_audio=load.binary_audio)
    opening = asyncio.Semaphore(MOST_OPENING)

    async def place(call: AnyCaller, number: int) -> None:
        await asyncio.sleep(number / ARRIVALS_PER_S)
        async with opening:
            call.socket = await open_socket(
                url, load.api_key, lambda payload, text: call.receive(payload, text, time.monotonic())
            )

    try:
        await asyncio.gather(*(place(call, number) for number, call in enumerate(calls)))
        yield calls
    finally:
        for call in calls:
            if call.socket is not None:
                call.socket.close()
        await asyncio.sleep(0.1)


async def run_load(load: Load, measured: Measured, calls: Sequence[LoadCaller]) -> None:
    """Ask all turns; adds to ``measured``."""
    # uvloop's own clock stands still within a round of its loop, and counts whole milliseconds.
    started_s = time.monotonic() + 0.1
    turn_s = load.frames_per_turn * FRAME_MS / 1000
    # Spread over a whole turn, so that the calls' questions do not fall on the same moment.
    due = [(started_s + number / len(calls) * turn_s, number) for number in range(len(calls))]
    heapify(due)
    sent = 0
    while due:
        due_s, number = due[0]
        now = time.monotonic()
        if due_s > now:
            await asyncio.sleep(due_s - now)
            continue
        calls[number].tick(now)
        measured.lateness_ms.append((now - due_s) * 1000)
        if calls[number].over:
            heappop(due)
        else:
            heapreplace(due, (due_s + FRAME_MS / 1000, number))
        sent += 1
        if sent % FRAMES_BETWEEN_LOOKS == 0:
            await asyncio.sleep(0)
    measured.seconds = time.monotonic() - started_s
    measured.faults += [call.socket.closed for call in calls if call.socket and call.socket.closed]
