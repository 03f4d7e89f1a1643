"""One short call: the greeting is heard, one question asked, the answer heard, and the line hung up.

Owns what is timed in it. Must not know processes, profiles or files.
"""

import asyncio
import base64
import json
import time
from dataclasses import dataclass

from repartee.audio.pcm import duration_ms
from repartee.audio.speech_end import leading_silence_ms
from repartee.bench.lean_socket import LeanSocket, open_socket
from repartee.bench.load import AUDIO_DELTA, FRAME_MS, RATE_HZ, TYPE_WITHIN, Script, scripted
from repartee.client.call import session_url
from repartee.client.faults import CallFailed

CREATED = b'"session.created"'
DONE = b'"response.done"'
ANSWER_FRAMES = 100
"""How long a question is, with the silence after it: 2 s."""


@dataclass(frozen=True, slots=True)
class CallerHabits:
    """How to call. ``greeted``: a greeting is awaited. ``burst``: the question is sent at once, not as it is spoken;
    its answer then has no latency worth telling. ``hasty``: the line is hung up as soon as the answer begins.
    """

    url: str
    binary_audio: bool = True
    greeted: bool = False
    burst: bool = False
    hasty: bool = False
    patience_s: float = 5.0
    api_key: str = ""


@dataclass(slots=True)
class ShortCall:
    """What came of a call, in ms: dialling until the session was ready, from then until the greeting was audible,
    from the question's last sample until the answer was. None: it did not happen.
    """

    ready_ms: float | None = None
    greeting_ms: float | None = None
    answer_ms: float | None = None
    fault: str | None = None


class _Line:
    """What the server has sent so far; times are seconds of a monotonic clock."""

    def __init__(self) -> None:
        self._news = asyncio.Event()
        self.ready_at_s: float | None = None
        self.heard_at_s: float | None = None
        self.spoken_at_s: float | None = None
        self.done = 0
        self.fault: str | None = None

    def receive(self, payload: bytes, is_text: bool) -> None:
        """A message from the server."""
        now = time.monotonic()
        start = payload[:TYPE_WITHIN]
        if not is_text or AUDIO_DELTA in start:
            if self.heard_at_s is None:
                pcm = base64.b64decode(json.loads(payload)["delta"]) if is_text else payload
                silent_ms = leading_silence_ms(pcm, RATE_HZ)
                if silent_ms < duration_ms(len(pcm), RATE_HZ):
                    self.heard_at_s = now + silent_ms / 1000
        elif CREATED in start:
            self.ready_at_s = now
        elif DONE in start:
            self.done += 1
        elif b'"error"' in start:
            self.fault = str(json.loads(payload).get("error", {}).get("message"))
        self._news.set()

    def listen_anew(self) -> None:
        """What comes from now on is another answer."""
        self.heard_at_s, self.done = None, 0

    async def until(self, name: str, patience_s: float) -> bool:
        """Wait for one of the above; whether it came in time."""
        deadline = time.monotonic() + patience_s
        while not getattr(self, name):
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), deadline - time.monotonic())
            except TimeoutError:
                return False
        return True


async def short_call(caller: CallerHabits) -> ShortCall:
    """Place one call. ``fault`` says what went wrong; nothing is raised."""
    result = ShortCall()
    line = _Line()
    script = scripted(ANSWER_FRAMES, binary_audio=caller.binary_audio)
    dialled_s = time.monotonic()
    socket: LeanSocket | None = None
    try:
        socket = await open_socket(
            session_url(caller.url, binary_audio=caller.binary_audio), caller.api_key, line.receive
        )
        if not await line.until("ready_at_s", caller.patience_s):
            raise CallFailed("The session did not begin.")
        assert line.ready_at_s is not None
        result.ready_ms = (line.ready_at_s - dialled_s) * 1000
        if caller.greeted:
            await _hear_greeting(line, caller, result)
        await _ask(socket, script, line, caller, result)
        result.fault = line.fault or socket.closed
    except CallFailed as failed:
        result.fault = str(failed)
    finally:
        if socket is not None:
            socket.close()
    return result


async def _hear_greeting(line: _Line, caller: CallerHabits, result: ShortCall) -> None:
    if not (
        await line.until("heard_at_s", caller.patience_s) and await line.until("done", caller.patience_s)
    ):
        raise CallFailed("The greeting was not heard.")
    assert line.heard_at_s is not None and line.ready_at_s is not None
    result.greeting_ms = (line.heard_at_s - line.ready_at_s) * 1000


async def _ask(
    socket: LeanSocket, script: Script, line: _Line, caller: CallerHabits, result: ShortCall
) -> None:
    line.listen_anew()
    speaking = asyncio.create_task(_speak(socket, script, line, burst=caller.burst))
    try:
        if not await line.until("heard_at_s", caller.patience_s):
            raise CallFailed("The question was not answered.")
        assert line.heard_at_s is not None and line.spoken_at_s is not None
        if not caller.burst:
            result.answer_ms = (line.heard_at_s - line.spoken_at_s) * 1000
        if not caller.hasty and not await line.until("done", caller.patience_s):
            raise CallFailed("The answer did not end.")
    finally:
        speaking.cancel()
        await asyncio.gather(speaking, return_exceptions=True)


async def _speak(socket: LeanSocket, script: Script, line: _Line, *, burst: bool) -> None:
    began_s = time.monotonic()
    for number, frame in enumerate(script.frames):
        if not burst:
            await asyncio.sleep(began_s + number * FRAME_MS / 1000 - time.monotonic())
        socket.write(frame)
        if number == script.last_speech_frame:
            line.spoken_at_s = time.monotonic() - script.after_speech_s
