"""The telephones at the ends of the network: their audio in frames of 20 ms, their keys, and whom they can reach.

Owns no sockets: a telephone is whatever takes frames and gives some.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from repartee.standins.carrier.playout import SILENCE
from repartee.standins.carrier.tones import ToneDetector

MOST_FRAMES: Final = 100
"""So much of a telephone's audio waits; what is older is dropped."""

MISSING_FRAMES: Final = 3
"""A telephone that has sent nothing for so many frames is silent, not late."""

Told = Callable[[dict[str, Any]], None]


class Telephone:
    """One, as the network sees it. ``tell`` gives it events, ``play`` 20 ms of audio (mu-law)."""

    def __init__(self, number: str, tell: Told, play: Callable[[bytes], None]) -> None:
        self.number = number
        self.tell = tell
        self.answered = asyncio.Event()
        self.gone = asyncio.Event()
        self.on_key: Callable[[str], None] | None = None
        self.machine = False
        self.beeped = asyncio.Event()
        self._play = play
        self._frames: deque[bytes] = deque(maxlen=MOST_FRAMES)
        self._missing = 0
        self._tones = ToneDetector()

    def speak(self, frame: bytes) -> None:
        """20 ms into the telephone."""
        self._frames.append(frame)

    def press(self, key: str) -> None:
        """A key, while a call is up."""
        if self.on_key is not None:
            self.on_key(key)

    def hang_up(self) -> None:
        """The handset is down."""
        self.gone.set()

    def heard(self) -> list[bytes]:
        """What has been spoken into it since the last look, 20 ms ago; silence once nothing more comes."""
        frames = list(self._frames)
        self._frames.clear()
        self._missing = 0 if frames else self._missing + 1
        return frames or ([SILENCE] if self._missing >= MISSING_FRAMES else [])

    def play(self, frame: bytes) -> None:
        """20 ms out of the telephone; reports the keys that are heard in it."""
        self._play(frame)
        if key := self._tones.hear(frame):
            self.tell({"event": "key_heard", "key": key})
