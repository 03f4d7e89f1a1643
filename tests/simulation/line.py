"""The caller's telephone: what is played when, word for word, and what is cut. Implements Transport."""

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from tests.simulation.voice import Words

from repartee.errors import ClientProtocolError
from repartee.transport.interfaces import AudioFormats, CallEnd, CallSide
from repartee.turn import commands as c
from repartee.wire.session_settings import SessionSettings


@dataclass(slots=True)
class Heard:
    """One word, or a silence (0), as the caller heard it."""

    reply_id: int
    number: int
    began: float
    ended: float

    @property
    def ms(self) -> float:
        return (self.ended - self.began) * 1000


class SimulatedLine:
    """Plays what it is given in real time, one after the other."""

    def __init__(self, words: Words, *, reports_played: bool) -> None:
        self._words = words
        self._now = asyncio.get_running_loop().time
        self._gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._items: dict[int, str] = {}
        self.reports_played = reports_played
        self.call: CallSide
        self.log: list[tuple[float, c.Command]] = []
        self.heard: list[Heard] = []
        self.refusals: list[ClientProtocolError] = []
        self.failures: list[str] = []
        self.closed: CallEnd | None = None

    # --- the call's side -----------------------------------------------------------------------------------------

    @property
    def formats(self) -> AudioFormats | None:
        return None

    def lines(self, call: CallSide) -> Sequence[Coroutine[Any, Any, None]]:
        self.call = call
        return [self._report()] if self.reports_played else []

    async def receive(self) -> None:
        await self._gone
        self.call.client_gone()

    def opened(self, config: SessionSettings) -> None:
        pass

    def configured(self, config: SessionSettings) -> None:
        pass

    def tell(self, command: c.Command, audio_ms: int) -> None:
        self.log.append((self._now(), command))
        if isinstance(command, c.TurnStarted):
            self._drop_what_waits()  # as clients do when the caller begins to speak
        if isinstance(command, c.AnswerStarted):
            self._items[command.reply_id] = command.message.item_id

    def key_received(self, digit: str, at_s: int) -> None: ...

    def play(self, reply_id: int, audio: bytes) -> None:
        at = max(self._now(), self.heard[-1].ended if self.heard else 0.0)
        for number, ms in self._words.heard_in(audio):
            last = self.heard[-1] if self.heard else None
            if last and (last.reply_id, last.number) == (reply_id, number) and last.ended >= at - 1e-9:
                last.ended = at = last.ended + ms / 1000
                continue
            self.heard.append(Heard(reply_id, number, at, at + ms / 1000))
            at += ms / 1000

    def clear(self, reply_id: int) -> None:
        self._drop_what_waits()

    def _drop_what_waits(self) -> None:
        now = self._now()
        self.heard = [each for each in self.heard if each.began < now]
        for each in self.heard:
            each.ended = min(each.ended, now)

    def refuse(self, error: ClientProtocolError) -> None:
        self.refusals.append(error)

    def report_failure(self, message: str, code: str) -> None:
        self.failures.append(message)

    def stop_receiving(self) -> None:
        pass

    async def flush(self) -> None:
        pass

    async def close(self, end: CallEnd) -> None:
        self.closed = end

    # --- the caller's side ---------------------------------------------------------------------------------------

    def hang_up(self) -> None:
        if not self._gone.done():
            self._gone.set_result(None)

    @property
    def is_audible(self) -> bool:
        """The agent is being heard now."""
        now = self._now()
        return any(each.number and each.began <= now < each.ended for each in reversed(self.heard[-40:]))

    def words_now(self) -> str:
        """What the agent is saying at this moment, four words of it."""
        now = self._now()
        return " ".join(self._words[each.number] for each in self.heard if each.number and each.began <= now)[
            -24:
        ]

    async def _report(self) -> None:
        """Say what has been played, as a telephone's marks do."""
        while True:
            await asyncio.sleep(0.1)
            now, played = self._now(), dict[int, float]()
            for each in self.heard:
                if each.began < now:
                    ms = (min(each.ended, now) - each.began) * 1000
                    played[each.reply_id] = played.get(each.reply_id, 0.0) + ms
            for reply_id, ms in played.items():
                if reply_id in self._items:
                    self.call.take_played(self._items[reply_id], ms)
