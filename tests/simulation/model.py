"""A language model that answers oddly, and is strict about what it is asked."""

import asyncio
import itertools
from collections.abc import AsyncGenerator

from tests.regional.turn.conversation import check_messages
from tests.simulation.dice import Dice

from repartee.errors import PoolTimeout, ProviderError
from repartee.providers.interfaces import CalledTool, Finished, ReplyPart, ReplyRequest, TextDelta
from repartee.turn.usage import TokenUsage

WAYS = {
    "no tokens": 2.0,
    "white space": 1.0,
    "an emoji": 1.0,
    "filtered": 1.0,
    "filtered in mid-answer": 1.0,
    "cut off": 1.0,
    "cut off in its thoughts": 1.0,
    "thoughts": 2.0,
    "never begins": 1.0,
    "begins late": 2.0,
    "stalls": 1.0,
    "fails": 2.0,
    "fails for good": 1.0,
    "fails in mid-answer": 1.0,
    "no connection": 1.0,
    "refuses the history": 1.0,
    "an unknown tool": 1.0,
    "a tool with broken arguments": 1.0,
    "one id for all calls": 1.0,
    "words and a tool": 3.0,
    "many tools at once": 1.0,
    "a tool though it may not": 2.0,
    "no reason": 1.0,
}

COUNTS = {"counts late": 2.0, "never counts": 1.0, "fails to count": 1.0}
"""What becomes of the figures that a server has announced for the end of its answer."""

SENTENCES = (
    "That is no trouble at all.",
    "We are open until six in the evening.",
    "The table is by the window.",
    "Would you like anything else?",
    "Let me think about that for a moment, please.",
    "Yes.",
    "It costs about ten pounds, or a little more on Sundays.",
)


class SimulatedModel:
    """Implements LLM. ``loops``: it calls tools without end."""

    def __init__(self, dice: Dice) -> None:
        self._dice = dice
        self._numbers = itertools.count(1)
        self.loops = dice.chance(0.05)
        self.asked_at: list[float] = []
        if self.loops:
            dice.drawn["model", "calls tools without end"] += 1

    async def reply(self, request: ReplyRequest) -> AsyncGenerator[ReplyPart, None]:
        async for part in self._reply(request):
            if not isinstance(part, Finished) or not self._dice.chance(0.4):
                yield part
                continue
            yield Finished(part.reason, usage_follows=True)
            match self._dice.behaviour("model", COUNTS, sane="at once"):
                case "counts late":
                    await asyncio.sleep(self._dice.seconds(0.1, 1.0))
                case "never counts":
                    await asyncio.Event().wait()
                case "fails to count":
                    raise failed(retryable=True)
            yield TokenUsage(self._dice.number(1, 900), self._dice.number(1, 90))

    async def _reply(self, request: ReplyRequest) -> AsyncGenerator[ReplyPart, None]:
        self.asked_at.append(asyncio.get_running_loop().time())
        check_messages([message for message in request.messages if message["role"] != "system"])
        way = self._dice.behaviour("model", WAYS, sane="sane")
        await self._begin(way)
        may_call = request.tool_choice != "none" and bool(request.tools)
        if (self.loops and may_call) or (way == "a tool though it may not" and request.tools):
            yield self._call()
            yield Finished("tool_calls")
            return
        if parts := self._oddly(way):
            for part in parts:
                yield part
            return
        if may_call and request.messages[-1]["role"] == "user" and self._dice.chance(0.3):
            for part in self._with_tools(way):
                yield part
            return
        async for part in self._answer(way):
            yield part

    async def _begin(self, way: str) -> None:
        match way:
            case "never begins":
                await asyncio.Event().wait()
            case "begins late":
                await asyncio.sleep(self._dice.seconds(1.0, 9.0))
            case "fails" | "fails for good":
                raise failed(retryable=way == "fails")
            case "no connection":
                await asyncio.sleep(2.0)
                raise PoolTimeout("No connection to the model was ready within 2 s.")
            case "refuses the history":
                raise failed(retryable=False, status=400)
            case _:
                await asyncio.sleep(self._dice.seconds(0.1, 0.5))

    def _oddly(self, way: str) -> list[ReplyPart]:
        match way:
            case "no tokens":
                return [Finished("stop")]
            case "no reason":
                return [Finished("")]
            case "white space":
                return [TextDelta(" \n"), Finished("stop")]
            case "an emoji":
                return [TextDelta("🙂"), Finished("stop")]
            case "filtered":
                return [Finished("content_filter")]
            case "cut off in its thoughts":
                return [TextDelta("<think>What would they"), Finished("length")]
            case "an unknown tool":
                return [CalledTool(self._id(), "nobody_has_this", "{}"), Finished("tool_calls")]
            case "a tool with broken arguments":
                return [CalledTool(self._id(), "look_up", '{"number": '), Finished("tool_calls")]
        return []

    def _with_tools(self, way: str) -> list[ReplyPart]:
        count = self._dice.number(2, 12) if way == "many tools at once" else self._dice.number(1, 2)
        shared = self._id() if way == "one id for all calls" else None
        calls = [self._call(shared) for _ in range(count)]
        said: list[ReplyPart] = [TextDelta("One second. ")] if way == "words and a tool" else []
        return [*said, *calls, Finished("tool_calls")]

    def _call(self, call_id: str | None = None) -> CalledTool:
        name = self._dice.one_of(("look_up", "book", "fetch"))
        return CalledTool(call_id or self._id(), name, f'{{"number": {next(self._numbers)}}}')

    def _id(self) -> str:
        return f"call_{next(self._numbers)}"

    async def _answer(self, way: str) -> AsyncGenerator[ReplyPart, None]:
        text = " ".join(self._dice.one_of(SENTENCES) for _ in range(self._dice.number(1, 3)))
        if way == "thoughts":
            text = f"<think>They want to know. I could say no.</think>{text}"
        cut = self._dice.number(1, len(text) // 4)
        for place, start in enumerate(range(0, len(text), 4)):
            if place == cut:
                match way:
                    case "stalls":
                        await asyncio.Event().wait()
                    case "fails in mid-answer":
                        raise failed(retryable=True)
                    case "filtered in mid-answer":
                        yield Finished("content_filter")
                        return
                    case "cut off":
                        yield Finished("length")
                        return
            yield TextDelta(text[start : start + 4])
            await asyncio.sleep(0.01)
        yield Finished("stop")


def failed(*, retryable: bool, status: int | None = None) -> ProviderError:
    message = "Conversation roles must alternate." if status else "The model failed."
    return ProviderError(message, provider="model", stage="llm", retryable=retryable, status=status)
