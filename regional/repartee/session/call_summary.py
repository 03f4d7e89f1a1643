"""The author's own summary of a call that has become too long for the model to see.

Runs the author's function as a task of the call's, one at a time; its words go to the core as an event. Nothing waits
for it.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from repartee.agent.author_faults import note_trouble
from repartee.agent.cancelling import being_cancelled
from repartee.agent.context import CallContext
from repartee.agent.declaration import SummaryFunction
from repartee.turn.events import Event, Summarised

SUMMARY_S = 30.0
"""An author's function that takes longer is given up; the turns that it was to sum up come with the next."""

MAX_SUMMARY_CHARS = 8_000
"""A longer summary is cut off: the model is shown it with every request."""

WHO = {"user": "Caller", "assistant": "Agent", "tool": "Tool"}

Message = Mapping[str, Any]


class CallSummary:
    """Keeps one call's summary. ``start`` starts a task of the call's, ``deliver`` takes the event."""

    def __init__(
        self,
        function: SummaryFunction | None,
        context: CallContext,
        *,
        start: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
        deliver: Callable[[Event], None],
    ) -> None:
        self._function = function
        self._context = context
        self._start = start
        self._deliver = deliver
        self._summary = ""
        self._last: Message | None = None
        self._running = False

    def cover(self, left_out: Sequence[Message]) -> None:
        """The model is no longer shown these, in order; those that are summed up already are passed over."""
        if self._function is None or self._running or not left_out:
            return
        new = left_out[left_out.index(self._last) + 1 :] if self._last in left_out else left_out
        lines = [self._summary] if self._summary else []
        lines += [line for message in new if (line := line_of(message))]
        if new and lines:
            self._running = True
            self._start(self._run(self._function, "\n".join(lines), left_out[-1]))

    async def _run(self, function: SummaryFunction, words: str, last: Message) -> None:
        try:
            async with asyncio.timeout(SUMMARY_S):
                summary = await function(self._context, words)
        except (Exception, asyncio.CancelledError) as error:
            if being_cancelled():
                raise
            remedy = "The oldest turns are left out without a summary."
            note_trouble(self._context, "summary", error, remedy, given=words.splitlines())
            return
        finally:
            self._running = False
        if isinstance(summary, str) and summary.strip():
            self._summary, self._last = summary.strip()[:MAX_SUMMARY_CHARS], last
            self._deliver(Summarised(self._summary))


def line_of(message: Message) -> str:
    """A message of OpenAI's chat form as a line of a conversation ("": nothing was said)."""
    content = message.get("content")
    return f"{WHO.get(message['role'], 'Note')}: {content}" if content else ""
