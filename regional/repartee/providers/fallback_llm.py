"""Several language models as one: the first to say a word wins, and another goes on where one breaks off.

When a model fails, the next takes over at once; when it has not begun by its deadline, the next is asked too. The
request's budget bounds what that may cost a turn. The lineup and the breakers decide whom to ask, and in which
order.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from http import HTTPStatus
from typing import TypeAlias

from repartee.errors import PoolTimeout, ProviderError
from repartee.latency.extra_requests import ExtraKind
from repartee.providers.continuing import Continuation, continued
from repartee.providers.interfaces import LLM, CalledTool, Finished, ReplyPart, ReplyRequest, TextDelta
from repartee.providers.lineup import (
    FallbackPolicy,
    Lineup,
    ServiceNotes,
    Standing,
    Unnoted,
    VendorFault,
    worst,
)

log = logging.getLogger(__name__)

_Parts: TypeAlias = AsyncGenerator[ReplyPart, None]


class FallbackLLM:
    """Implements :class:`~repartee.providers.interfaces.LLM` over several."""

    def __init__(
        self, lineup: Lineup[LLM], policy: FallbackPolicy | None = None, notes: ServiceNotes | None = None
    ) -> None:
        self._lineup = lineup
        self._policy = policy or FallbackPolicy()
        self._notes = notes or Unnoted()

    def __repr__(self) -> str:
        return f"<FallbackLLM: {self._lineup!r}>"

    def for_call(self, notes: ServiceNotes) -> "FallbackLLM":
        """The same for one call; ``notes`` learns who serves it."""
        return FallbackLLM(self._lineup, self._policy, notes)

    async def reply(self, request: ReplyRequest) -> AsyncGenerator[ReplyPart, None]:
        """Stream one reply. Raises ProviderError or PoolTimeout when all that were asked have failed."""
        answer = _Answer()
        failed: dict[str, VendorFault] = {}
        while True:
            order = [one for one in self._lineup.ranked() if one.vendor not in failed]
            race = TokenRace(answer.wanted(request), order, self._policy, self._notes)
            try:
                winner, first, parts = await race.first_word()
            except (ProviderError, PoolTimeout) as error:
                raise answer.given_up(worst([*failed.values(), error])) from error
            finally:
                failed |= race.failed
                await race.leave()
            self._notes.served("llm", winner.vendor)
            try:
                async with aclosing(parts):
                    for part in answer.take(first):
                        yield part
                    async for later in parts:
                        for part in answer.take(later):
                            yield part
                winner.breaker.served()
                return
            except (ProviderError, PoolTimeout) as error:
                winner.failed(error)
                failed[winner.vendor] = error
                others = [one for one in self._lineup.standings if one.vendor not in failed]
                if not others or not answer.may_go_on or not _take(request, "vendor"):
                    raise answer.given_up(error) from error
                self._notes.left("llm", winner.vendor, error)
                log.warning("%s broke off: %s; going on with another language model", winner.vendor, error)


class _Answer:
    """What the caller has of a reply, by however many models it was made."""

    def __init__(self) -> None:
        self._text = ""
        self._called = False
        self._finished = False
        self._continuation: Continuation | None = None

    @property
    def may_go_on(self) -> bool:
        """Another model can take it up. If the model has asked for a tool, that already runs."""
        return not self._called and not self._finished

    def wanted(self, request: ReplyRequest) -> ReplyRequest:
        """What the next model is asked."""
        if not self._text:
            return request
        self._continuation = Continuation(self._text)
        return replace(request, messages=continued(request.messages, self._text))

    def take(self, part: ReplyPart) -> list[ReplyPart]:
        """What of a model's next part is passed on."""
        if isinstance(part, TextDelta):
            new = self._continuation.feed(part.text) if self._continuation else part.text
            self._text += new
            return [TextDelta(new)] if new else []
        held = self._continuation.finish() if self._continuation else ""
        self._continuation = None
        self._text += held
        self._called = self._called or isinstance(part, CalledTool)
        self._finished = self._finished or isinstance(part, Finished)
        return [TextDelta(held), part] if held else [part]

    def given_up(self, error: VendorFault) -> VendorFault:
        """Why there is no more of it. What has been said cannot be asked for again."""
        if isinstance(error, ProviderError) and (self._text or self._called):
            error.retryable = False
        return error


class TokenRace:
    """One request to several vendors, as far as the first word. ``order`` is not empty."""

    def __init__(
        self,
        request: ReplyRequest,
        order: list[Standing[LLM]],
        policy: FallbackPolicy,
        notes: ServiceNotes,
    ) -> None:
        self._request = request
        self._waiting = order
        self._policy = policy
        self._notes = notes
        self._now = asyncio.get_running_loop().time
        self._running: dict[asyncio.Task[ReplyPart], tuple[Standing[LLM], _Parts, float]] = {}
        self.failed: dict[str, VendorFault] = {}
        """Who has failed so far, and why."""

    async def first_word(self) -> tuple[Standing[LLM], ReplyPart, _Parts]:
        """Whoever has one, the word, and what follows it. Raises the first vendor's fault when all have failed."""
        deadline = self._enter(self._waiting.pop(0))
        while True:
            left_s = max(0.0, deadline - self._now()) if self._waiting else None
            done, _ = await asyncio.wait(self._running, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
            for task in [one for one in self._running if one in done]:
                standing, parts, _ = self._running.pop(task)
                if (error := task.exception()) is None:
                    self._overtaken()
                    return standing, task.result(), parts
                if not isinstance(error, ProviderError | PoolTimeout):
                    raise error
                self._lost(standing, error, deadline)
            if self._running and self._now() < deadline:
                continue
            if self._waiting and _take(self._request, "vendor"):
                deadline = self._enter(self._waiting.pop(0))
            elif self._running:
                self._waiting.clear()
            else:
                raise worst(self.failed.values())

    async def leave(self) -> None:
        """End what is left of the race; a loser's connection is its provider's business."""
        tasks, running = list(self._running), list(self._running.values())
        self._running.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for _, parts, _ in running:
            await parts.aclose()

    def _enter(self, standing: Standing[LLM], wait_s: float = 0.0) -> float:
        """Ask this one. Returns when it is late."""
        now = self._now()
        standing.asked()
        parts = standing.service.reply(self._request)
        self._running[asyncio.ensure_future(_first(parts, wait_s))] = standing, parts, now
        return now + self._policy.first_token_s

    def _lost(self, standing: Standing[LLM], error: VendorFault, deadline: float) -> None:
        """One has failed. If it asks for a moment that ends before it would be late, it is asked again then."""
        wait_s = error.retry_after_s if isinstance(error, ProviderError) else None
        busy = isinstance(error, ProviderError) and error.status == HTTPStatus.TOO_MANY_REQUESTS
        if busy and wait_s and self._now() + wait_s < deadline and _take(self._request, "retry"):
            log.info("%s failed: %s; asking it again in %.2f s", standing.vendor, error, wait_s)
            self._enter(standing, wait_s)
            return
        standing.failed(error)
        self.failed[standing.vendor] = error
        if self._running or self._waiting:
            self._notes.left("llm", standing.vendor, error)
            log.warning("%s failed: %s; asking another language model", standing.vendor, error)

    def _overtaken(self) -> None:
        """Somebody has won: whoever is late by now has failed the caller."""
        late = [one for one in self._running.values() if self._now() - one[2] >= self._policy.first_token_s]
        for standing, _, _ in late:
            error = ProviderError(
                f"{standing.vendor} had not begun to answer after {self._policy.first_token_s:g} s.",
                provider=standing.vendor,
                stage="llm",
                retryable=True,
            )
            standing.failed(error)
            self._notes.left("llm", standing.vendor, error)
            log.warning("a language model was late: %s; taking the answer of a quicker one", error)


async def _first(parts: _Parts, wait_s: float) -> ReplyPart:
    if wait_s:
        await asyncio.sleep(wait_s)
    return await anext(parts)


def _take(request: ReplyRequest, kind: ExtraKind) -> bool:
    return request.extra is None or request.extra.take(kind)
