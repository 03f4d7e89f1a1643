"""What `call` and `demo` share: a script of questions, asked one after another over one call."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from repartee.client.call import CallOptions, PlacedCall, place_call
from repartee.client.dialogue import Turn
from repartee.client.recording import write_wav
from repartee.client.speech import Question
from repartee.errors import VoiceError

PAUSE_MS = 400


@dataclass(frozen=True, slots=True)
class AskedLine:
    """A question, and how much of the answer to listen to before going on (None: all of it)."""

    question: Question
    interrupt_after_ms: float | None = None


@dataclass(frozen=True, slots=True)
class FinishedCall:
    """A call that is over."""

    turns: Sequence[Turn]
    call_id: str | None
    greeting: str


async def converse(
    options: CallOptions,
    lines: Sequence[AskedLine],
    *,
    on_turn: Callable[[Turn, str | None], None] | None = None,
    out: Path | None = None,
    afterwards: Callable[[PlacedCall], Awaitable[None]] | None = None,
) -> FinishedCall:
    """Ask everything; the last line must not be one to interrupt. ``on_turn`` is given each turn when it is over;
    ``afterwards`` is what the caller does before hanging up.

    Raises CallFailed and VoiceError.
    """
    async with place_call(options) as call:
        await call.greeting()
        told = 0
        for line in lines:
            cut_short = await _ask(call, line)
            # An answer that is about to be interrupted is over once the next question has been.
            while on_turn is not None and told < len(call.dialogue.turns) - cut_short:
                on_turn(call.dialogue.turns[told], call.dialogue.call_id)
                told += 1
        if afterwards is not None:
            await afterwards(call)
        else:
            await call.pause(PAUSE_MS)
        if out is not None:
            await asyncio.to_thread(_record, call, out)
        return FinishedCall(call.dialogue.turns, call.dialogue.call_id, call.dialogue.greeting)


async def _ask(call: PlacedCall, line: AskedLine) -> bool:
    """Ask; returns whether the answer is being spoken still, for the next question to interrupt."""
    turn = await call.say(line.question)
    if line.interrupt_after_ms is not None and await call.heard(turn, line.interrupt_after_ms):
        return True
    await call.answer_to(turn)
    await call.pause(PAUSE_MS)
    return False


def _record(call: PlacedCall, out: Path) -> None:
    try:
        write_wav(out, bytes(call.sent), call.playback.stretches, call.started_at_s, call.options.rate_hz)
    except OSError as error:
        raise VoiceError(f"{out} cannot be written: {error.strerror or error}.") from None
