"""A conference: everybody in it hears all the others."""

import asyncio
from typing import Final

import numpy as np

from repartee.standins.carrier.playout import SILENCE
from repartee.standins.carrier.telephones import Telephone
from repartee.standins.carrier.ticks import ticks
from repartee.standins.pcm import from_linear16, to_linear16

TONE_HZ: Final = 440
MUSIC_LEVEL: Final = 2_000


class ConferenceRoom:
    """Members come and go; the first may wait for the others, with music."""

    def __init__(self) -> None:
        self.members: list[Telephone] = []
        self.over = False
        self.ended = asyncio.Event()
        self._music: set[int] = set()

    def join(self, telephone: Telephone, *, music: bool) -> None:
        """``music``: what is heard while nobody else is there; else silence."""
        self.members.append(telephone)
        if music:
            self._music.add(id(telephone))

    def leave(self, telephone: Telephone, *, ends: bool) -> None:
        """Somebody goes; ``ends``: that ends it for all."""
        if telephone in self.members:
            self.members.remove(telephone)
        if ends or not self.members:
            self.over = True
            self.ended.set()

    async def run(self) -> None:
        """Until it is over."""
        async for tick in ticks():
            if self.over:
                return
            mix(self.members, tick, self._music)


def mix(members: list[Telephone], tick: int = 0, music: "set[int] | frozenset[int]" = frozenset()) -> None:
    """Have each of them hear 20 ms of the others."""
    spoken = [_samples((member.heard() or [SILENCE])[-1]) for member in members]
    total = np.sum(spoken, axis=0) if spoken else np.zeros(160)
    for member, own in zip(members, spoken, strict=True):
        others = total - own
        if len(members) == 1 and id(member) in music:
            at = (np.arange(160) + 160 * tick) / 8_000
            others = MUSIC_LEVEL * np.sin(2 * np.pi * TONE_HZ * at)
        clipped = np.clip(others, -32_768, 32_767).astype("<i2").tobytes()
        member.play(from_linear16(clipped, "pcm_mulaw"))


def _samples(frame: bytes) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    return np.frombuffer(to_linear16(frame, "mulaw"), "<i2").astype(np.int64)
