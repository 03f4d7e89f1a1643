"""What an agent does with its call beside talking: ends it, transfers the caller, presses keys.

An end waits until all that is being said has been heard, as far as can be known.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from repartee.transport.interfaces import CallControl, CallEnd

log = logging.getLogger(__name__)

PART_S = 30.0
"""An agent that ends or hands on a call is heard out for so long."""

QUIET_LOOK_S = 0.05
QUIET_LOOKS = 3
"""The agent has finished when it is found quiet so many times in a row: between two texts it is so for a moment."""


class ClosingOnly:
    """Implements :class:`~repartee.transport.interfaces.CallControl` for a connection that can only be closed."""

    can = frozenset({"hang_up", "on_dtmf"})

    async def hang_up(self) -> None:
        """The connection is closed anyway."""

    async def transfer(self, to: str) -> None:
        """Never called: the agent is refused before."""

    async def warm_transfer(self, to: str, briefing: str, answered: Callable[[], None]) -> bool:
        """Never called: the agent is refused before."""
        return False

    def hold(self, music: bool) -> None:
        """Never called: the agent is refused before."""

    def take_back(self) -> None:
        """Never called: the agent is refused before."""

    def dtmf(self, digits: str) -> None:
        """Never called: the agent is refused before."""

    async def played(self) -> None:
        """The client's loudspeaker is reckoned by the call."""


class Parting:
    """The end of one call. Implements :class:`~repartee.agent.context.CallHandle`.

    ``start`` starts a task of the call's, ``say`` has the caller hear a text, ``talking`` says whether the
    agent talks, ``end`` ends the call.
    """

    def __init__(
        self,
        control: CallControl,
        *,
        start: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
        say: Callable[[str], None],
        talking: Callable[[], bool],
        end: Callable[[CallEnd], None],
    ) -> None:
        self._control = control
        self._start, self._say, self._talking, self._end = start, say, talking, end
        self._begun = asyncio.Event()
        self._parting = False
        self.leaving: CallEnd | None = None
        """What the call ends with once its connection is gone: the agent has asked for that."""

    def begin(self) -> None:
        """The client knows of its session."""
        self._begun.set()

    @property
    def can(self) -> frozenset[str]:
        """What the client's connection can do."""
        return self._control.can

    def hang_up(self, say: str) -> None:
        """End the call once this has been heard."""
        self._part(say, self._control.hang_up, CallEnd.AGENT_HUNG_UP)

    def transfer(
        self, to: str, say: str, briefing: str = "", unanswered: str = "", music: bool = True
    ) -> None:
        """Hand the caller on once this has been heard."""
        if not briefing:
            self._part(say, lambda: self._control.transfer(to), CallEnd.TRANSFERRED)
        elif not self._parting:
            self._parting = True
            self._start(self._hand_over(to, say, briefing, unanswered, music))

    def hold(self, music: bool) -> None:
        """The caller hears music or nothing."""
        self._control.hold(music)

    def take_back(self) -> None:
        """The caller is heard again."""
        self._control.take_back()

    def dtmf(self, digits: str) -> None:
        """Play these keys."""
        self._control.dtmf(digits)

    def _part(self, say: str, part: Callable[[], Awaitable[None]], end: CallEnd) -> None:
        if not self._parting:
            self._parting = True
            self._start(self._take_part(say, part, end))

    async def _take_part(self, say: str, part: Callable[[], Awaitable[None]], end: CallEnd) -> None:
        await self._said(say)
        self.leaving = end
        await part()
        self._end(end)

    async def _hand_over(self, to: str, say: str, briefing: str, unanswered: str, music: bool) -> None:
        """Keep the caller on hold until somebody else has answered; if nobody does, go on with them."""

        def leaves() -> None:
            self.leaving = CallEnd.TRANSFERRED

        await self._said(say)
        self._control.hold(music)
        if await self._control.warm_transfer(to, briefing, leaves):
            self._end(CallEnd.TRANSFERRED)
            return
        self.leaving = None
        self._control.take_back()
        self._parting = False
        if unanswered.strip():
            self._say(unanswered)

    async def _said(self, say: str) -> None:
        """This has been heard, and all before it."""
        await self._begun.wait()
        if say.strip():
            self._say(say)
        try:
            async with asyncio.timeout(PART_S):
                await self._heard_out()
        except TimeoutError:
            log.info("what was said last was not heard within %g s; ending the call nevertheless", PART_S)

    async def _heard_out(self) -> None:
        quiet = 0
        while quiet < QUIET_LOOKS:
            await asyncio.sleep(QUIET_LOOK_S)
            quiet = 0 if self._talking() else quiet + 1
        await self._control.played()
