"""One synthesis context: text gathers, becomes speech, and goes out at the pace the profile sets.

Owns buffering and pacing; knows Cartesia's messages for audio, but not its requests. Other vendors' contexts word
theirs otherwise: :mod:`.elevenlabs`, :mod:`.flux_tts`.
"""

import asyncio
import base64
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from repartee.standins.pcm import from_linear16
from repartee.standins.state import Engines, StandInState
from repartee.standins.synthesiser import SpokenText, synthesise
from repartee.standins.timing import wait_until

SENTENCE_ENDS = (".", "!", "?", ":", ";")
FIRST_CHUNK_MS = 40
CHUNK_MS = 100
EXPIRY_S = 1.0
"""A context that gets no more text ends so long after its last audio."""

PENDING_LIMIT = 1000
"""Pieces of text a context holds at most; more are an abuse and end it."""

_THREAD = ThreadPoolExecutor(max_workers=1, thread_name_prefix="espeak")


async def speech_of(engines: Engines, text: str, voice: str, rate_hz: int) -> SpokenText:
    """The text as speech: at once in the light mode, otherwise made in a thread."""
    at_once = engines.speak(text, voice, rate_hz)
    if at_once is not None:
        return at_once
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_THREAD, lambda: synthesise(text, voice=voice, rate_hz=rate_hz))


@dataclass(frozen=True, slots=True)
class OutputFormat:
    """Raw audio: one of ``pcm_s16le``, ``pcm_f32le``, ``pcm_mulaw``, ``pcm_alaw`` at a rate in Hz."""

    encoding: str
    rate_hz: int


@dataclass(frozen=True, slots=True)
class Piece:
    """Text to speak, when it came, and whether a flush or the context's end follows it."""

    text: str
    arrived_s: float
    flush: bool = False
    last: bool = False


class TextBuffer:
    """Gathers text until there is enough to speak well, or it has waited long enough. Pure: the time is given.

    With no delay allowed every text is a piece of its own.
    """

    def __init__(self, delay_ms: float) -> None:
        self._delay_s = delay_ms / 1000
        self._text = ""
        self._since_s = 0.0

    @property
    def due_s(self) -> float | None:
        """When what has gathered must be spoken, or None if nothing has."""
        return self._since_s + self._delay_s if self._text else None

    def add(self, text: str, now_s: float) -> str:
        """Add text; the text to speak now, perhaps none."""
        if not self._text:
            self._since_s = now_s
        self._text += text
        if self._delay_s == 0 or self._text.rstrip().endswith(SENTENCE_ENDS):
            return self.take()
        return ""

    def take(self) -> str:
        """All that has gathered."""
        text, self._text = self._text, ""
        return text


@dataclass(kw_only=True, eq=False)
class Context:
    """One context's speech, from its first text to ``done``; ``late_ms`` is added to its first audio."""

    context_id: str
    state: StandInState
    send: Callable[[str | bytes], None]
    on_end: Callable[["Context"], None]
    output: OutputFormat
    voice: str
    timestamps: bool
    buffer_delay_ms: float
    late_ms: float = 0.0
    expiry_s: float | None = EXPIRY_S

    def __post_init__(self) -> None:
        tts = self.state.profile.tts
        self._ttfb_s = (self.state.draw("ttfb", tts.ttfb_ms) + self.late_ms) / 1000
        self._speed = self.state.draw("speed", tts.speed) if tts.speed is not None else None
        self._buffer = TextBuffer(self.buffer_delay_ms)
        self._pieces: asyncio.Queue[Piece] = asyncio.Queue(PENDING_LIMIT)
        self._flush_id = 1
        self._ready_s = 0.0
        self.spoken_ms = 0.0
        self.last_taken = False
        """No more text may come."""

        self._quoted_id = json.dumps(self.context_id)
        self._started_s = time.monotonic()
        self._buffer_timer: asyncio.TimerHandle | None = None
        self._task = asyncio.get_running_loop().create_task(self._run())

    def say(self, text: str, *, last: bool, flush: bool) -> None:
        """Take text; ``flush`` speaks all that has gathered, ``last`` also ends the context."""
        self.last_taken |= last
        now_s = time.monotonic()
        ready = self._buffer.add(text, now_s) if text else ""
        if last or flush:
            ready += self._buffer.take()
        if ready or last or flush:
            try:
                self._pieces.put_nowait(Piece(ready, now_s, flush, last))
            except asyncio.QueueFull:
                self.cancel()
                self.on_end(self)
        self._watch_buffer()

    def _watch_buffer(self) -> None:
        if self._buffer_timer is not None:
            self._buffer_timer.cancel()
            self._buffer_timer = None
        due_s = self._buffer.due_s
        if due_s is not None:
            loop = asyncio.get_running_loop()
            self._buffer_timer = loop.call_later(max(0.0, due_s - time.monotonic()), self._buffer_due)

    def _buffer_due(self) -> None:
        self._buffer_timer = None
        text = self._buffer.take()
        if text and not self._pieces.full():
            self._pieces.put_nowait(Piece(text, time.monotonic()))

    def cancel(self) -> None:
        """Stop at once: nothing more is sent."""
        if self._buffer_timer is not None:
            self._buffer_timer.cancel()
        self._task.cancel()

    async def _run(self) -> None:
        while True:
            piece = await self._next_piece()
            if piece is None:
                break
            if piece.text.strip():
                await self._speak(piece)
            if piece.flush:
                self.flushed()
            if piece.last:
                break
        if self._buffer_timer is not None:
            self._buffer_timer.cancel()
        self.ended()
        self.on_end(self)

    def flushed(self) -> None:
        """All text before a flush has been spoken."""
        self._tell("flush_done", f'"flush_done":true,"flush_id":{self._flush_id},"done":false')
        self._flush_id += 1

    def ended(self) -> None:
        """All of it has been spoken."""
        self._tell("done", '"done":true', status=200)

    async def _next_piece(self) -> Piece | None:
        """The next text, or None once the context has expired. Text still gathering keeps it alive."""
        while True:
            try:
                async with asyncio.timeout(self.expiry_s if self.spoken_ms else None):
                    return await self._pieces.get()
            except TimeoutError:
                if self._buffer.due_s is None:
                    return None

    async def _speak(self, piece: Piece) -> None:
        spoken = await speech_of(self.state.engines, piece.text, self.voice, self.output.rate_hz)
        first_s = max(self._ready_s, piece.arrived_s + self._ttfb_s)
        rate = self.output.rate_hz
        size = rate * FIRST_CHUNK_MS // 1000 * 2
        at = 0
        told = self.words_messages(spoken)
        while at < len(spoken.pcm):
            due_s = first_s + at / 2 / rate / self._speed if self._speed is not None else first_s
            told.append(self.audio_message(spoken.pcm[at : at + size], due_s))
            late_ms = await wait_until(due_s)
            if not at:
                self.state.stats.lateness_ms.append(late_ms)
            for message in told:
                self.send(message)
            told.clear()
            at += size
            size = rate * CHUNK_MS // 1000 * 2
        self.spoken_ms += spoken.duration_ms
        self._ready_s = first_s + (
            spoken.duration_ms / 1000 / self._speed if self._speed is not None else 0.0
        )

    def audio_message(self, pcm: bytes, due_s: float) -> str | bytes:
        """A chunk of audio (16-bit samples) that is due then."""
        data = base64.b64encode(from_linear16(pcm, self.output.encoding)).decode("ascii")
        step_ms = (due_s - self._started_s) * 1000
        return self._message(
            "chunk", f'"data":"{data}","done":false,"step_time":{step_ms:.3f},"flush_id":{self._flush_id}'
        )

    def words_messages(self, spoken: SpokenText) -> list[str | bytes]:
        """When its words are spoken, before its audio."""
        if not self.timestamps or not spoken.words:
            return []
        base_ms = self.spoken_ms
        words = {
            "words": [word for word, _, _ in spoken.words],
            "start": [round((base_ms + start) / 1000, 3) for _, start, _ in spoken.words],
            "end": [round((base_ms + end) / 1000, 3) for _, _, end in spoken.words],
        }
        fields = f'"done":false,"word_timestamps":{json.dumps(words)},"flush_id":{self._flush_id}'
        return [self._message("timestamps", fields)]

    def _tell(self, kind: str, fields: str, status: int = 206) -> None:
        self.send(self._message(kind, fields, status))

    def _message(self, kind: str, fields: str, status: int = 206) -> str:
        return f'{{"type":"{kind}","context_id":{self._quoted_id},"status_code":{status},{fields}}}'
