"""A caller on hold: hears music or nothing, and is not listened to."""

import asyncio
from collections.abc import Callable

import numpy as np

from repartee.transport.telephone.pacer import silence_for
from repartee.wire.audio_format import AudioEncoder, WireFormat

MUSIC_HZ = 8_000
NOTES_HZ = (262, 330, 392, 523, 392, 330, 294, 349, 440, 587, 440, 349)
"""Two broken chords, up and down."""

NOTE_MS = 400
LEVEL = 3_000
"""Of 32,767: well under a voice."""

PIECE_S = NOTE_MS / 1000


class Hold:
    """One call on hold. ``put`` plays audio of an item, in the line's format."""

    def __init__(self, format_: WireFormat, put: Callable[[str, bytes], None]) -> None:
        self._format = format_
        self._put = put
        self._times = 0
        self._playing = ""
        self._note = 0
        self._encoder = AudioEncoder(format_, MUSIC_HZ)
        self._timer: asyncio.TimerHandle | None = None
        self.on = False

    def begin(self, music: bool) -> None:
        """From now on."""
        if self.on:
            return
        self.on = True
        if music:
            self._times += 1
            self._playing = f"hold_{self._times}"
            self._play()

    def end(self) -> list[str]:
        """No more; the item whose music must not be heard any longer."""
        playing, self._playing, self.on = self._playing, "", False
        if self._timer:
            self._timer.cancel()
            self._timer = None
        return [playing] if playing else []

    def heard(self, audio: bytes) -> bytes:
        """The caller's audio, as it is to be listened to."""
        return silence_for(self._format, len(audio) / self._format.bytes_per_ms) if self.on else audio

    def _play(self) -> None:
        """A note ahead of what is heard: it is paced like everything else."""
        self._put(self._playing, self._encoder.feed(note(NOTES_HZ[self._note % len(NOTES_HZ)])))
        self._note += 1
        self._timer = asyncio.get_running_loop().call_later(PIECE_S, self._play)


def note(hz: int) -> bytes:
    """PCM16 at MUSIC_HZ: one that fades."""
    at = np.arange(MUSIC_HZ * NOTE_MS // 1000) / MUSIC_HZ
    return (LEVEL * np.exp(-4 * at) * np.sin(2 * np.pi * hz * at)).astype("<i2").tobytes()
