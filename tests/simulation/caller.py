"""A caller who asks, interrupts, coughs, agrees, falls silent, and hangs up."""

import asyncio
import contextlib
from functools import cache

from tests.simulation.dice import Dice
from tests.simulation.line import SimulatedLine
from tests.simulation.recogniser import SimulatedEars, Sound

from repartee.errors import ClientProtocolError
from repartee.providers.interfaces import HEARING_HZ
from repartee.session.call import Call
from repartee.standins.synthesiser import synthesise

QUESTIONS = (
    "What does the window table cost?",
    "Please book it for Friday.",
    "No, I meant Saturday.",
    "Can you look that up for me?",
    "How late are you open?",
)
WAYS = {
    "mhm": 3.0,
    "okay thank you": 2.0,
    "yes": 2.0,
    "a cough": 2.0,
    "interrupts": 3.0,
    "the agent's own words": 1.0,
    "silence": 1.0,
}
FRAME_MS = 100
QUIET_S = 12.0
"""A caller who has no more to say waits until the agent has said nothing for so long."""

PATIENCE_S = 120.0


@cache
def voice_of(words: str) -> bytes:
    """The caller's voice, as it is sent to recognition."""
    return synthesise(words).pcm


class SimulatedCaller:
    """One person on the line."""

    def __init__(self, dice: Dice, line: SimulatedLine, ears: SimulatedEars, call: Call) -> None:
        self._dice, self._line, self._ears, self._call = dice, line, ears, call
        self._now = asyncio.get_running_loop().time
        self._talking = b""
        self._hearing: set[asyncio.Task[None]] = set()
        self.questions: list[Sound] = []
        self.sounds: list[Sound] = []
        self.gaps_in_audio = dice.chance(0.2)
        """Nothing is sent while they are silent."""

    async def take_part(self) -> None:
        """The whole call, until they hang up."""
        sending = asyncio.create_task(self._send())
        try:
            for _ in range(self._dice.number(2, 6)):
                await self._act()
            if self._dice.chance(0.85):
                await self._until_quiet()
        finally:
            for task in (sending, *self._hearing):
                task.cancel()
            self._line.hang_up()

    async def _act(self) -> None:
        way = self._dice.behaviour("caller", WAYS, sane="asks")
        match way:
            case "silence":
                await asyncio.sleep(self._dice.seconds(5.0, 30.0))
            case "interrupts":
                await self._until_audible()
                await asyncio.sleep(self._dice.seconds(0.1, 1.5))
                await self._utter(self._dice.one_of(QUESTIONS))
            case "the agent's own words":
                await self._until_audible()
                await asyncio.sleep(0.6)
                await self._utter(self._line.words_now())
            case "mhm" | "okay thank you" | "yes":
                if self._dice.chance(0.5):
                    await self._until_audible()
                await asyncio.sleep(self._dice.seconds(0.0, 2.5))
                await self._utter(way)
            case "a cough":
                await asyncio.sleep(self._dice.seconds(0.0, 2.5))
                await self._utter("")
            case _:
                await self._until_quiet(1.0)
                await self._utter(self._dice.one_of(QUESTIONS))

    async def _utter(self, words: str) -> None:
        voice = voice_of(words or "hm")
        length_s = len(voice) / 2 / HEARING_HZ
        sound = Sound(words, self._now(), self._now() + length_s)
        self.sounds.append(sound)
        if words in QUESTIONS:
            self.questions.append(sound)
        self._talking = voice
        hearing = asyncio.create_task(self._ears.hear(sound))
        self._hearing.add(hearing)
        await asyncio.sleep(length_s)
        # Recognition hears one thing after the other; who speaks on meanwhile is heard later.
        await asyncio.wait([hearing], timeout=self._dice.seconds(0.3, 20.0))
        if not hearing.done():
            await asyncio.wait([hearing], timeout=PATIENCE_S)

    async def _send(self) -> None:
        size = FRAME_MS * HEARING_HZ // 500
        while True:
            frame, self._talking = self._talking[:size], self._talking[size:]
            if frame or not self.gaps_in_audio:
                with contextlib.suppress(ClientProtocolError):  # recognition has been away for long
                    self._call.take_audio(frame.ljust(size, b"\0"))
            await asyncio.sleep(FRAME_MS / 1000)

    async def _until_audible(self) -> None:
        until = self._now() + 6.0
        while not self._line.is_audible and self._now() < until:  # noqa: ASYNC110
            await asyncio.sleep(0.1)

    async def _until_quiet(self, quiet_s: float = QUIET_S) -> None:
        """Until the agent has said nothing for so long."""
        until, since = self._now() + PATIENCE_S, self._now()
        while self._now() < min(since + quiet_s, until):
            await asyncio.sleep(0.1)
            if self._line.is_audible:
                since = self._now()
