"""Callers whose audio is G.711: over a WebSocket in base64, and on a carrier's stream.

Owns what goes over the wire; what is timed is the load's. The carrier is one that signs no handshakes (Telnyx), and
plays at real time: marks come back when their audio has been played.
"""

import asyncio
import base64
import json

import numpy as np

from repartee.bench.lean_socket import laid_out
from repartee.bench.load import (
    AUDIO_DELTA,
    FRAME_MS,
    RATE_HZ,
    TYPE_WITHIN,
    LoadCall,
    Measured,
    Script,
    scripted,
)
from repartee.wire.audio_format import AudioDecoder, AudioEncoder, WireFormat

MU_LAW = WireFormat("audio/pcmu", 8_000)
FRAME_BYTES = 160
SETTINGS = {
    "type": "session.update",
    "session": {
        "type": "realtime",
        "audio": {"input": {"format": {"type": "audio/pcmu"}}, "output": {"format": {"type": "audio/pcmu"}}},
    },
}


def g711_frames(frames_per_turn: int) -> tuple[list[bytes], Script]:
    """One turn in mu-law, 20 ms each, and the script that says where its speech ends."""
    script = scripted(frames_per_turn, binary_audio=True)
    header = len(script.frames[0]) - RATE_HZ // 50 * 2
    pcm = b"".join(frame[header:] for frame in script.frames)
    # Sample by sample: a filter rings on for a millisecond after speech, and so into the next frame.
    every_third = np.frombuffer(pcm, "<i2")[:: RATE_HZ // MU_LAW.hz].tobytes()
    audio = AudioEncoder(MU_LAW, MU_LAW.hz).feed(every_third)
    return [
        audio[at : at + FRAME_BYTES] for at in range(0, len(script.frames) * FRAME_BYTES, FRAME_BYTES)
    ], script


def at_24_khz(audio: bytes) -> bytes:
    """Mu-law as the PCM16 that the load listens to, sample by sample: nothing looks ahead."""
    pcm = AudioDecoder(MU_LAW, MU_LAW.hz).feed(audio)
    return np.repeat(np.frombuffer(pcm, "<i2"), RATE_HZ // MU_LAW.hz).tobytes()


class G711Call(LoadCall):
    """Over a WebSocket, in base64."""

    def __init__(self, frames_per_turn: int, turns: int, measured: Measured) -> None:
        frames, script = g711_frames(frames_per_turn)
        events = [
            {"type": "input_audio_buffer.append", "audio": base64.b64encode(f).decode()} for f in frames
        ]
        laid = [laid_out(json.dumps(event).encode(), text=True) for event in events]
        super().__init__(Script(laid, script.last_speech_frame, script.after_speech_s), turns, measured)
        self._settled = False

    def tick(self, now: float) -> None:
        """The settings first."""
        if not self._settled and self.socket is not None:
            self._settled = True
            self.socket.write(laid_out(json.dumps(SETTINGS).encode(), text=True))
        super().tick(now)

    def receive(self, payload: bytes, is_text: bool, now: float) -> None:
        """A message from the server."""
        if is_text and AUDIO_DELTA in payload[:TYPE_WITHIN]:
            audio = base64.b64decode(json.loads(payload)["delta"])
            super().receive(at_24_khz(audio), False, now)
        else:
            super().receive(payload, is_text, now)


class CarrierCall(LoadCall):
    """On a carrier's stream, which carries audio from its start to its end, whoever's turn it is."""

    def __init__(self, frames_per_turn: int, turns: int, measured: Measured) -> None:
        frames, script = g711_frames(frames_per_turn)
        # Without numbers and times, which a region does without: each message is laid out once.
        laid = [said(event="media", media={"payload": base64.b64encode(frame).decode()}) for frame in frames]
        super().__init__(Script(laid, script.last_speech_frame, script.after_speech_s), turns, measured)
        self._silence = laid[-1]
        self._asks = False
        self._plays_until = 0.0
        self._waiting: list[str] = []

    async def hold_line(self) -> None:
        """The stream's beginning, and silence while the caller asks nothing; until cancelled. There is a socket."""
        assert self.socket is not None
        media_format = {"encoding": "PCMU", "sample_rate": 8000, "channels": 1}
        self.socket.write(said(event="start", stream_id="1", start={"media_format": media_format}))
        while True:
            await asyncio.sleep(FRAME_MS / 1000)
            if not self._asks or self.over:
                self.socket.write(self._silence)

    def tick(self, now: float) -> None:
        """Send the frame that is due."""
        self._asks = True
        super().tick(now)

    def receive(self, payload: bytes, is_text: bool, now: float) -> None:
        """``media`` is played at real time; ``mark`` comes back when all before it was; ``clear`` drops both."""
        message = json.loads(payload)
        match message["event"]:
            case "media":
                audio = base64.b64decode(message["media"]["payload"])
                self._plays_until = max(self._plays_until, now) + len(audio) / MU_LAW.hz
                super().receive(at_24_khz(audio), False, now)
            case "mark":
                name = message["mark"]["name"]
                self._waiting.append(name)
                asyncio.get_running_loop().call_later(max(0.0, self._plays_until - now), self._played, name)
            case "clear":
                self._plays_until = now
                for name in list(self._waiting):
                    self._played(name)

    def _played(self, name: str) -> None:
        if name in self._waiting and self.socket is not None:
            self._waiting.remove(name)
            self.socket.write(said(event="mark", mark={"name": name}))


def said(**message: object) -> bytes:
    """A carrier's message, as it is written."""
    return laid_out(json.dumps(message).encode(), text=True)
