"""A language model that gets a second request when it is late to begin: the first to say a word wins.

The second request goes out on another connection (or to another model), which helps against a slow connection; it
does not speed up a model that is slow for everybody. latency/hedging decides when.
"""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeAlias

from repartee.errors import PoolTimeout, ProviderError
from repartee.latency.hedging import HedgePolicy
from repartee.providers.interfaces import LLM, ReplyPart, ReplyRequest

_Parts: TypeAlias = AsyncGenerator[ReplyPart, None]
_Race: TypeAlias = dict[asyncio.Task[ReplyPart], _Parts]

LOOK_AGAIN_S = 0.05
"""While a fresh worker learns what late is, a request that waits asks the policy again after this long."""


class HedgedLLM:
    """Implements :class:`~repartee.providers.interfaces.LLM` over another; ``second`` is asked when it is late."""

    def __init__(self, first: LLM, second: LLM | None = None, policy: HedgePolicy | None = None) -> None:
        self._first = first
        self._second = second or first
        self.policy = policy or HedgePolicy()

    def __repr__(self) -> str:
        return f"<HedgedLLM: {self.policy!r}>"

    async def reply(self, request: ReplyRequest) -> AsyncGenerator[ReplyPart, None]:
        """Stream one reply. Raises ProviderError or PoolTimeout when all that were asked have failed."""
        began = time.monotonic()
        self.policy.begin()
        race: _Race = {}
        original = _enter(race, self._first.reply(request))
        try:
            extra, late = request.extra, await self._late(race, began)
            if late and (extra is None or extra.left) and self.policy.may_hedge():
                if extra is not None:
                    extra.take("hedge")
                _enter(race, self._second.reply(request))
            winner = await _first_answer(race)
            parts = race.pop(winner)
            self.policy.answered((time.monotonic() - began) * 1000, by_hedge=winner is not original)
            await _leave(race)
            async with aclosing(parts):
                yield winner.result()
                async for part in parts:
                    yield part
        finally:
            await _leave(race)

    async def _late(self, race: _Race, began: float) -> bool:
        """Wait until somebody answers, or is late by what the policy knows then."""
        while (left_s := began + self.policy.deadline_ms / 1000 - time.monotonic()) > 0:
            if self.policy.learning:
                left_s = min(left_s, LOOK_AGAIN_S)
            answered, _ = await asyncio.wait(race, timeout=left_s)
            if answered:
                return False
        return True


def _enter(race: _Race, parts: _Parts) -> asyncio.Task[ReplyPart]:
    task = asyncio.ensure_future(_next(parts))
    race[task] = parts
    return task


async def _next(parts: _Parts) -> ReplyPart:
    return await anext(parts)


async def _first_answer(race: _Race) -> asyncio.Task[ReplyPart]:
    """The first task that has a part; one that fails is out, and the last one's failure is raised."""
    while True:
        done, pending = await asyncio.wait(race, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            if task.exception() is None:
                return task
        if not pending:
            error = done.pop().exception()
            assert error is not None
            raise error
        for task in done:
            if not isinstance(error := task.exception(), ProviderError | PoolTimeout):
                raise error or AssertionError
            await race.pop(task).aclose()


async def _leave(race: _Race) -> None:
    """End what is left of the race; a loser's connection is its provider's business."""
    losers, parts = list(race), list(race.values())
    race.clear()
    for task in losers:
        task.cancel()
    await asyncio.gather(*losers, return_exceptions=True)
    for rest in parts:
        await rest.aclose()
